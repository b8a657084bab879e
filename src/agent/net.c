// SPDX-License-Identifier: Apache-2.0
#include "agent/net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/netlink.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define IP(a, b, c, d)	((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define HOST_ADDRESS	IP(10, 0, 2, 15)
#define HOST_GATEWAY	IP(10, 0, 2, 2)
#define SLOT_BASE	IP(10, 88, 0, 0)

const char net_rules[] =
	"table inet squeezy {\n"
	" chain input { type filter hook input priority 0; policy drop;\n"
	"  iifname \"lo\" accept\n"
	"  iifname \"eth0\" ct state established,related accept\n"
	" }\n"
	" chain forward { type filter hook forward priority 0; policy drop;\n"
	"  ct state established,related accept\n"
	"  meta nfproto ipv4 iifname \"sq*\" oifname \"eth0\" ip saddr 10.88.0.0/16 jump out\n"
	"  iifname \"sq*\" reject\n"
	" }\n"
	" chain out {\n"
	"  ip daddr 10.0.2.3 udp dport 53 accept\n"
	"  ip daddr 10.0.2.3 tcp dport 53 accept\n"
	"  ip daddr { 0.0.0.0/8, 10.0.2.0/24, 10.88.0.0/16, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } reject\n"
	"  accept\n"
	" }\n"
	" chain outside { type nat hook postrouting priority 100;\n"
	"  oifname \"eth0\" ip saddr 10.88.0.0/16 masquerade\n"
	" }\n"
	"}\n";

/* Best effort: a kernel without IPv6 has no such file, and nothing to turn off. */
static void no_ipv6(void)
{
	file_write_text(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	file_write_text(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

static int eth0_up(int nl, struct err *err)
{
	int r = netlink_link_up(nl, "eth0");

	if (r == 0)
		r = netlink_address(nl, "eth0", HOST_ADDRESS, 24);
	if (r == 0)
		r = netlink_default_route(nl, HOST_GATEWAY);
	return r < 0 ? err_set(err, -r, "cannot set up eth0: %s", strerror(-r)) : 0;
}

int net_boot(struct err *err)
{
	cleanup_fd int nl = netlink_open();
	int r;

	if (nl < 0)
		return err_set(err, -nl, "cannot open rtnetlink: %s", strerror(-nl));
	no_ipv6();
	r = netlink_link_up(nl, "lo");
	if (r < 0)
		return err_set(err, -r, "cannot bring up lo: %s", strerror(-r));
	if (if_nametoindex("eth0")) {
		r = eth0_up(nl, err);
		if (r < 0)
			return r;
	}
	file_write_text(AT_FDCWD, "/proc/sys/net/ipv4/conf/default/rp_filter", "1");
	r = file_write_text(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1");
	return r < 0 ? err_set(err, -r, "cannot turn on forwarding: %s", strerror(-r)) : 0;
}

/* Leaves the calling thread in a new namespace; *ret_fd names it. */
static int enter_new(int *ret_fd)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	*ret_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* Nothing may go on in a container's namespace. */
static void leave(int root_fd)
{
	if (setns(root_fd, CLONE_NEWNET) < 0) {
		log_error("cannot return to the root network namespace: %s", strerror(errno));
		abort();
	}
}

/* Inside the new namespace: the container's end. */
static int inner(uint32_t base)
{
	cleanup_fd int nl = netlink_open();
	int r = nl < 0 ? nl : netlink_link_up(nl, "lo");

	if (r == 0)
		r = netlink_address(nl, "eth0", base + 2, 30);
	if (r == 0)
		r = netlink_link_up(nl, "eth0");
	if (r == 0)
		r = netlink_default_route(nl, base + 1);
	return r;
}

/* In the root namespace: the pair and our end. */
static int outer(const char *name, uint32_t base, int netns_fd)
{
	cleanup_fd int nl = netlink_open();
	int r = nl < 0 ? nl : netlink_veth(nl, name, "eth0", netns_fd);

	if (r == 0)
		r = netlink_address(nl, name, base + 1, 30);
	if (r == 0)
		r = netlink_link_up(nl, name);
	return r;
}

static int connect_slot(unsigned int slot, int root_fd, int *ret_netns_fd)
{
	uint32_t base = SLOT_BASE + slot * 4;
	char name[IFNAMSIZ];
	int r = enter_new(ret_netns_fd);

	snprintf(name, sizeof(name), "sq%u", slot);
	if (r == 0)
		no_ipv6();
	leave(root_fd);
	if (r == 0)
		r = outer(name, base, *ret_netns_fd);
	if (r == 0 && setns(*ret_netns_fd, CLONE_NEWNET) < 0)
		r = -errno;
	if (r == 0)
		r = inner(base);
	leave(root_fd);
	return r;
}

/* Absent is fine: the kernel removes a pair when the container's namespace ends, a moment after its last process. */
static void close_slot(unsigned int slot)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "sq%u", slot);
	if (if_nametoindex(name)) {
		cleanup_fd int nl = netlink_open();

		if (nl >= 0)
			netlink_link_delete(nl, name);
	}
}

int net_open(unsigned int slot, int *ret_netns_fd, struct err *err)
{
	cleanup_fd int root_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	*ret_netns_fd = -1;
	if (root_fd < 0)
		return err_set(err, errno, "cannot open the root network namespace: %s", strerror(errno));
	close_slot(slot);
	r = connect_slot(slot, root_fd, ret_netns_fd);
	if (r < 0) {
		close_slot(slot);
		fd_close(ret_netns_fd);
		return err_set(err, -r, "cannot make the network of slot %u: %s", slot, strerror(-r));
	}
	return 0;
}
