/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces for containers, made by a helper process: each takes tens of milliseconds of kernel work under emulation, in which the
 * agent must go on serving others. A few are kept in store. The helper is forked from the agent and has nothing of it but one socket.
 */
#ifndef SQUEEZY_AGENT_NET_POOL_H
#define SQUEEZY_AGENT_NET_POOL_H

#include <stdbool.h>
#include <sys/queue.h>

struct children;
struct err;
struct event_base;
struct net_pool;

struct net_wait {
	TAILQ_ENTRY(net_wait) entry;
	bool queued;
	/* A connected namespace, whose descriptor is the callee's, and its slot, to be given back with net_pool_release(); or a sentence. Once, maybe
	 * from net_pool_take(). */
	void (*ready)(struct net_wait *wait, unsigned int slot, int netns_fd, const char *error);
	void *userdata;
};

/* Starts the helper. Once, at boot, after net_boot(). 0 or -errno. */
int net_pool_new(struct event_base *base, struct children *children, struct net_pool **ret, struct err *err);

void net_pool_take(struct net_pool *pool, struct net_wait *wait);

/* Stops waiting; does nothing if it does not wait. */
void net_pool_cancel(struct net_pool *pool, struct net_wait *wait);

/* The slot may be used again. Its namespace ends with its last descriptor and process. */
void net_pool_release(struct net_pool *pool, unsigned int slot);

#endif
