/* SPDX-License-Identifier: Apache-2.0 */
/* The five rtnetlink requests the agent needs. Each acts in the network namespace the socket was opened in and waits for the kernel's answer,
 * which the kernel gives within the call. All return 0 or -errno. Addresses are in host byte order. */
#ifndef SQUEEZY_AGENT_NETLINK_H
#define SQUEEZY_AGENT_NETLINK_H

#include <stdint.h>

/* A socket, or -errno. The caller closes it. */
int netlink_open(void);

int netlink_link_up(int fd, const char *name);
int netlink_link_delete(int fd, const char *name);
int netlink_address(int fd, const char *name, uint32_t address, unsigned int prefix);
int netlink_default_route(int fd, uint32_t gateway);

/* A veth pair: name here, peer_name in the network namespace of netns_fd. */
int netlink_veth(int fd, const char *name, const char *peer_name, int netns_fd);

#endif
