/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pool share: pool.c queues and decides, machine.c keeps VMs, instance.c runs calls, call.c ends them,
 * reclaim.c gives memory back, watch.c, sample.c, status.c and inspect.c look.
 *
 * Who owns what: the pool owns machines, queued calls, records; a machine owns its VM, its instances and its reclaims; an instance owns
 * the calls it serves. A machine is freed only when its VM is dead, which completes every call to the VM before.
 */
#ifndef SQUEEZY_DAEMON_POOL_INTERNAL_H
#define SQUEEZY_DAEMON_POOL_INTERNAL_H

#include <stdint.h>
#include <sys/queue.h>

#include "daemon/limits.h"
#include "daemon/pool.h"
#include "policy/policy.h"
#include "vm/vm.h"

struct event;
struct reclaim;

#define RECLAIMS_KEPT	256
#define SAMPLES_KEPT	8192
#define NS_PER_MS	1000000ull

/* One invocation, from submit to record. */
struct call {
	TAILQ_ENTRY(call) link;		/* in pool->queue, or in its instance's calls */
	struct pool *pool;
	struct instance *instance;	/* NULL: it is in the queue */
	char id[ACTIVATION_ID_SIZE];
	char *ns, *action, *transaction, *cause, *binding, *key;	/* as in call_request */
	struct throttle *throttle;
	json_t *document, *arguments;
	struct limits limits;
	uint64_t revision, class;	/* keys for the policy */
	uint64_t partition_bytes;
	uint64_t arrived_ns;		/* CLOCK_MONOTONIC */
	struct call_times times;
	uint64_t step_ns;		/* when init or run was sent */
	json_t *init_logs;		/* lines of a good init */
	struct call_done done;
};

TAILQ_HEAD(call_list, call);

enum instance_state {
	INSTANCE_CREATING,		/* POST /v1/containers is under way */
	INSTANCE_INIT,			/* the action's code is being loaded */
	INSTANCE_RUNNING,		/* one call, or several */
	INSTANCE_IDLE,
	INSTANCE_LEAVING,		/* waits for, or is in, its DELETE */
};

struct instance {
	TAILQ_ENTRY(instance) link;
	struct machine *machine;
	char id[24];
	char *action;			/* ns/package/name */
	uint64_t revision;
	enum instance_state state;
	struct call_list serving;	/* CREATING, INIT: for its first call, and those that wait for the same; RUNNING: being run */
	unsigned int n_serving, concurrency;	/* how many, and how many at most */
	int partition;			/* -1: none */
	uint64_t memory_bytes;
	uint64_t idle_since_ns;
	uint64_t calls;			/* answered */
	bool failed;			/* a call has broken it: it takes no more and ends with its last */
	bool retired;			/* its action has changed: not idle again */
	json_t *created;		/* the agent's answer to create: its times */
};

TAILQ_HEAD(instance_list, instance);
TAILQ_HEAD(reclaim_list, reclaim);

/* A VM and what runs in it. */
struct machine {
	TAILQ_ENTRY(machine) link;
	struct pool *pool;
	struct vm *vm;
	char id[24];
	char *ns;
	uint64_t class;
	uint64_t partition_bytes;
	unsigned int target;		/* units asked of the memory device */
	struct instance_list instances;
	struct reclaim_list reclaims;
	bool was_ready;
	bool sampling;
	bool watch_due;			/* ask for events with the next tick */
	uint64_t events_seen;		/* number of the newest event we know */
};

struct pool {
	struct event_base *base;
	const struct options *options;
	struct store *store;
	TAILQ_HEAD(, machine) machines;
	struct call_list queue;
	unsigned int n_calls;		/* queued and running */
	uint64_t last_machine, last_instance, last_key, last_reclaim;
	uint64_t calls_done, started_ns;
	json_t *keys;			/* text -> number: revisions and classes */
	struct event *dispatch, *tick, *sampler, *flush;
	uint64_t trim_after_ms;		/* epoch: the next look for old records */
	bool flush_due;			/* records wait for their way to the disk */
	json_t *reclaims, *samples;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	bool limits_told;
};

/* pool.c */
void pool_kick(struct pool *pool);			/* looks at the queue again, from the loop */
void pool_requeue(struct call *call);			/* it has lost its instance before it ran: the next in the queue, or failed when all stops */
void pool_fail_queued(struct pool *pool);		/* everything stops */
int pool_defer(struct pool *pool, void (*fn)(void *arg), void *arg);	/* calls fn(arg) from the loop's next turn; -ENOMEM */
uint64_t pool_key(struct pool *pool, const char *text);	/* a number for a text, the same for the same text */
uint64_t epoch_ms(void);

/* call.c */
struct call *call_new(struct pool *pool, const struct call_request *request, struct call_done done);
void call_finish(struct call *call, struct outcome *outcome);	/* stores the record, tells, frees both */
void call_fail(struct call *call, const char *text);		/* as a whisk error */
json_t *call_environment(const struct call *call, bool for_init);
const char *call_action_name(const struct call *call);		/* without namespace and package */
int call_load_code(const struct call *call, json_t **ret_exec, struct err *err);	/* exec with its code, from the store; owned */

/* machine.c */
int machine_start(struct pool *pool, const char *ns, uint64_t class, uint64_t partition_bytes, struct err *err);
void machine_grow(struct machine *machine);		/* so that every instance that stays has a partition */
void machine_drop(struct machine *machine);		/* at once, with all in it */
uint64_t machine_fixed_bytes(const struct pool *pool, uint64_t partition_bytes);
unsigned int machine_staying(const struct machine *machine);	/* instances that are not leaving */
unsigned int machine_populated(const struct machine *machine);

/* instance.c */
void instance_create(struct machine *machine, struct call *call);
void instance_run(struct instance *instance, struct call *call);
void instance_free(struct instance *instance);
enum policy_instance_state instance_policy_state(const struct instance *instance);
const char *instance_state_name(enum instance_state state);

/* reclaim.c: each sets INSTANCE_LEAVING and frees the instance once its container is gone */
void reclaim_start(struct instance *instance, const char *reason, bool urgent);	/* reason is kept by reference; urgent: do not queue */
void reclaim_swap(struct instance *instance);		/* a new instance takes over its partition: no memory goes back */
void reclaim_abort_all(struct machine *machine);	/* its VM is dead */

/* watch.c: keeps one question for events open */
void machine_watch(struct machine *machine);

/* sample.c */
void sample_all(struct pool *pool);

#endif
