/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network of the VM. The root namespace holds eth0 (QEMU user networking: 10.0.2.15/24, gateway 10.0.2.2) and forwards for the containers with
 * NAT; each container has a namespace of its own, one veth pair and a /30 of 10.88.0.0/16. The firewall (net_rules) lets a container reach the
 * outside and DNS at 10.0.2.3, and nothing else: not the rest of 10.0.2.0/24 (the host's loopback is at 10.0.2.2), not the root
 * namespace, not another container.
 */
#ifndef SQUEEZY_AGENT_NET_H
#define SQUEEZY_AGENT_NET_H

struct err;

#define NET_SLOTS_MAX 1024

/* The nftables rules, for `nft -f -`. */
extern const char net_rules[];

/* Loopback, eth0 if there is one, forwarding. Once, at boot. 0 or -errno. */
int net_boot(struct err *err);

/* Makes the namespace of a container slot (0 .. NET_SLOTS_MAX-1), connected, in place of what the slot had. *ret_netns_fd keeps it alive until
 * closed. Changes the calling process's namespace for a moment: not for the agent itself but for its helper (net-pool.h). 0 or -errno. */
int net_open(unsigned int slot, int *ret_netns_fd, struct err *err);

#endif
