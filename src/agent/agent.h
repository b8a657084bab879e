/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's parts share: one of these, for the life of the VM. */
#ifndef SQUEEZY_AGENT_AGENT_H
#define SQUEEZY_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/net.h"

struct children;
struct container;
struct event_base;
struct events;
struct pri;

struct agent {
	struct event_base *base;
	struct pri *pri;
	struct children *children;
	struct events *events;
	LIST_HEAD(, container) containers;
	bool slots[NET_SLOTS_MAX];	/* taken by a container, or by what is left of one */
	bool net;			/* there is an eth0 */
	uint64_t boot_ns;		/* CLOCK_BOOTTIME when ready */
	uint64_t partitions;		/* 0: kernel without squeezy */
	uint64_t partition_bytes;
};

#define RUN_DIR "/run/squeezy"

#endif
