/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's parts share: one of these, for the life of the VM. */
#ifndef SQUEEZY_AGENT_AGENT_H
#define SQUEEZY_AGENT_AGENT_H

#include <stdint.h>
#include <sys/queue.h>

struct children;
struct container;
struct event_base;
struct events;
struct net_pool;
struct pri;

struct agent {
	struct event_base *base;
	struct pri *pri;
	struct children *children;
	struct events *events;
	LIST_HEAD(, container) containers;
	struct net_pool *nets;
	uint64_t boot_ns;		/* CLOCK_BOOTTIME when ready */
	uint64_t partitions;		/* 0: kernel without squeezy */
	uint64_t partition_bytes;
};

#define RUN_DIR "/run/squeezy"

#endif
