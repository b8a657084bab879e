/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for kernel files that say "changed" with POLLPRI (cgroup.events, memory.squeezy, partition states). libevent cannot wait
 * for POLLPRI, so that such files share one epoll descriptor, which libevent watches for reading.
 */
#ifndef SQUEEZY_AGENT_PRI_H
#define SQUEEZY_AGENT_PRI_H

struct event_base;
struct pri;

struct pri_watch {
	int fd;			/* -1: not watching */
	/* The file changed. Must read it from offset 0, which arms the next change. May remove any watch. */
	void (*changed)(struct pri_watch *watch);
	void *userdata;
};

/* 0 or -errno. There is one for the life of the agent. */
int pri_new(struct event_base *base, struct pri **ret);
void pri_free(struct pri *pri);

/* Watches an open file; the caller keeps the descriptor and the watch. 0 or -errno. */
int pri_add(struct pri *pri, struct pri_watch *watch, int fd);

/* Stops watching; a watch that is not added is left alone. */
void pri_remove(struct pri *pri, struct pri_watch *watch);

#endif
