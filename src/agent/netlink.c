// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	char rest[512];
};

static struct rtattr *put(struct request *request, unsigned short type, const void *data, size_t len)
{
	struct rtattr *attr = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->head.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(attr), data, len);
	request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) + RTA_ALIGN(attr->rta_len);
	return attr;
}

static void put_end(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)request + request->head.nlmsg_len - (char *)nest);
}

/* Room for a family header, which is zero. */
static void *begin(struct request *request, unsigned short type, unsigned short flags, size_t header_len)
{
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_type = type;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(header_len);
	return NLMSG_DATA(&request->head);
}

static int talk(int fd, struct request *request)
{
	char answer[1024];
	struct nlmsghdr *head = (struct nlmsghdr *)answer;
	ssize_t n;

	if (send(fd, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(fd, answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(head, (size_t)n) || head->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
}

static int index_of(const char *name)
{
	unsigned int index = if_nametoindex(name);

	return index ? (int)index : -ENODEV;
}

int netlink_open(void)
{
	const struct timeval limit = { .tv_sec = 5 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

int netlink_link_up(int fd, const char *name)
{
	struct request request;
	struct ifinfomsg *info = begin(&request, RTM_NEWLINK, 0, sizeof(*info));

	info->ifi_index = index_of(name);
	if (info->ifi_index < 0)
		return info->ifi_index;
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	return talk(fd, &request);
}

int netlink_link_delete(int fd, const char *name)
{
	struct request request;
	struct ifinfomsg *info = begin(&request, RTM_DELLINK, 0, sizeof(*info));

	info->ifi_index = index_of(name);
	return info->ifi_index < 0 ? info->ifi_index : talk(fd, &request);
}

int netlink_address(int fd, const char *name, uint32_t address, unsigned int prefix)
{
	uint32_t wire = htonl(address);
	struct request request;
	struct ifaddrmsg *info = begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*info));
	int index = index_of(name);

	if (index < 0)
		return index;
	info->ifa_family = AF_INET;
	info->ifa_prefixlen = (unsigned char)prefix;
	info->ifa_index = (unsigned int)index;
	put(&request, IFA_LOCAL, &wire, sizeof(wire));
	put(&request, IFA_ADDRESS, &wire, sizeof(wire));
	return talk(fd, &request);
}

int netlink_default_route(int fd, uint32_t gateway)
{
	uint32_t wire = htonl(gateway);
	struct request request;
	struct rtmsg *info = begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_scope = RT_SCOPE_UNIVERSE;
	info->rtm_type = RTN_UNICAST;
	put(&request, RTA_GATEWAY, &wire, sizeof(wire));
	return talk(fd, &request);
}

int netlink_veth(int fd, const char *name, const char *peer_name, int netns_fd)
{
	const struct ifinfomsg peer_info = { 0 };
	uint32_t netns = (uint32_t)netns_fd;
	struct rtattr *info, *data, *peer;
	struct request request;

	begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	put(&request, IFLA_IFNAME, name, strlen(name) + 1);
	info = put(&request, IFLA_LINKINFO, NULL, 0);
	put(&request, IFLA_INFO_KIND, "veth", 4);
	data = put(&request, IFLA_INFO_DATA, NULL, 0);
	peer = put(&request, VETH_INFO_PEER, &peer_info, sizeof(peer_info));
	put(&request, IFLA_IFNAME, peer_name, strlen(peer_name) + 1);
	put(&request, IFLA_NET_NS_FD, &netns, sizeof(netns));
	put_end(&request, peer);
	put_end(&request, data);
	put_end(&request, info);
	return talk(fd, &request);
}
