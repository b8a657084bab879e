/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claiming a memory partition for a cgroup through memory.squeezy (docs/interfaces.md), without ever blocking: `auto` is written with
 * O_NONBLOCK, tried again when the file says POLLPRI, and by a slow timer should a notice be lost.
 */
#ifndef SQUEEZY_AGENT_CLAIM_H
#define SQUEEZY_AGENT_CLAIM_H

#include <stdbool.h>

#include "agent/pri.h"

struct err;
struct event;
struct event_base;

struct claim {
	struct pri *pri;
	struct pri_watch watch;
	struct event *retry;
	int fd;
	int partition;		/* -1 until held */
	/* The claim is held (error 0, partition set) or cannot be had (-errno). Once, never from claim_start(). */
	void (*ended)(struct claim *claim, int error);
	void *userdata;
};

/* Ready for claim_stop(). */
void claim_init(struct claim *claim);

/* Starts claiming for the cgroup directory. 1: held at once, partition set. 0: `ended` will be called. -errno: this kernel or cgroup cannot. */
int claim_start(struct claim *claim, struct event_base *base, struct pri *pri, int cgroup_fd, struct err *err);

/* Gives the partition of an empty cgroup back before the cgroup is removed, which takes longer. A refusal is no harm: removal releases it, too. */
void claim_release(int cgroup_fd);

/* Ends waiting. What is held stays held until the cgroup is removed. */
void claim_stop(struct claim *claim);

#endif
