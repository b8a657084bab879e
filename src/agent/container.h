/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One container: cgroup, claim, network namespace, OCI bundle, crun, runtime.
 *
 * Making one: cgroup and limits; then, at the same time, the claim, and network namespace and `crun create` (which leaves the container's first process waiting); when
 * both are through, `crun start`; when the runtime says it is ready, the call is answered. Ending one, for whatever reason, is always the same: kill the
 * cgroup, wait until it is empty, remove it (which releases the partition), answer, and only then clean up what takes longer.
 */
#ifndef SQUEEZY_AGENT_CONTAINER_H
#define SQUEEZY_AGENT_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "agent/cgroup.h"
#include "agent/child.h"
#include "agent/claim.h"
#include "agent/net-pool.h"
#include "agent/pri.h"
#include "agent/runtime.h"

struct agent;
struct event;
struct h2_call;

enum container_state {
	CONTAINER_CREATING,	/* create_call waits */
	CONTAINER_READY,	/* may be given an init or run */
	CONTAINER_RUNNING,	/* an init or runs are under way */
	CONTAINER_DEAD,		/* its processes are gone or being killed; waits for DELETE */
	CONTAINER_ENDING,	/* being removed */
	CONTAINER_GONE,		/* removed; files to clean up are left. Not found any more */
};

struct container_request {
	char id[33];
	const char *const *argv;	/* the runtime, static */
	const char *kind;		/* static */
	uint64_t memory_bytes;
	uint64_t tmpfs_bytes;
	uint64_t pids_max;
	uint64_t timeout_ms;
	uint64_t concurrency;		/* runs at a time */
	bool claim;
};

/* One /init or /run. */
struct run {
	struct exchange exchange;	/* first: the runtime hands it back */
	struct container *container;
	struct h2_call *call;
	bool is_init;
	uint64_t start_ns;
	uint64_t timeout_ms;
};

struct container {
	LIST_ENTRY(container) entry;
	struct agent *agent;
	struct container_request request;
	enum container_state state;
	struct net_wait net;
	bool has_slot;
	unsigned int slot;
	struct cgroup cgroup;
	struct claim claim;
	bool may_start;			/* claim held, or none wanted */
	bool created;			/* crun create is through */
	int netns_fd;
	struct child crun;
	struct child init;		/* the container's first process */
	struct runtime runtime;
	struct exchange hello;		/* waits for the runtime's first line */
	struct event *timer;		/* creation limit; grace for an exit status; retry of removal */
	void (*on_timer)(struct container *container);

	struct h2_call *create_call;
	uint64_t start_ns;
	uint64_t create_ns;		/* these are durations since then */
	uint64_t net_ns;
	uint64_t claim_ns;
	uint64_t crun_ns;		/* crun create is through */
	uint64_t go_ns;			/* crun start was called */

	unsigned int runs;		/* under way */
	bool failing;			/* one has broken it: no further ones, and the end when the others are through */
	bool closed;			/* the runtime's pipes ended; waiting for its exit status */
	bool exited;			/* the first process has ended, with exit_status (128 + signal if killed) */
	int exit_status;

	struct h2_call *delete_call;	/* NULL while a failed creation is undone */
	struct pri_watch populated;
	int events_fd;
	unsigned int remove_tries;
	uint64_t kill_ns;		/* the kill; CLOCK_BOOTTIME, as the two below */
	uint64_t empty_ns;
	uint64_t peak_bytes;
	char failure[640];		/* why the creation failed, for create_call */
	const char *failure_reason;
};

/* NULL if there is none. */
struct container *container_find(struct agent *agent, const char *id);

/* Starts making a container; answers the call sooner or later. */
void container_create(struct agent *agent, const struct container_request *request, struct h2_call *call);

/* Sends the call's body as /init or /run to the runtime; answers the call. */
void container_exchange(struct container *container, struct h2_call *call, bool is_init);

/* Starts the end; answers the call when the cgroup is gone. The container is freed then. */
void container_delete(struct container *container, struct h2_call *call);

/* Internal to container*.c: */

/* Creation cannot succeed: undo it, then answer create_call with 4xx/5xx. */
void container_fail(struct container *container, const char *reason, const char *text);

/* The first process has ended by itself. */
void container_exited(struct child *child, int status);

/* The runtime ended a run's exchange, or broke the contract while idle. */
void container_runtime_ended(struct runtime *runtime, struct exchange *exchange, enum runtime_end end);

/* Answers the runs under way when the container is ended from outside. */
void container_drop_runs(struct container *container);

/* Begins the end (state ENDING). */
void container_end(struct container *container);

/* Removes what is left of a GONE container and frees it. */
void container_clean(struct container *container);

/* (Re)arms the container's one timer. */
void container_set_timer(struct container *container, void (*fn)(struct container *), uint64_t ms);
void container_stop_timer(struct container *container);

#endif
