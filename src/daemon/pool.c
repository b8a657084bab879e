// SPDX-License-Identifier: Apache-2.0
#include "daemon/pool.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/pool-internal.h"
#include "store/store.h"

#define TICK_MS			100
#define TRIM_MS			5000
#define QUEUE_MS_MAX		180000	/* a call that found no place in this time fails */
#define CLASSES_BLOCKED_MAX	64
#define KEYS_MAX		100000
#define NO_RESOURCES		"Failed to provision resources to run the action."

uint64_t epoch_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / NS_PER_MS;
}

uint64_t pool_key(struct pool *pool, const char *text)
{
	json_t *known = json_object_get(pool->keys, text);

	if (known)
		return (uint64_t)json_integer_value(known);
	json_object_set_new(pool->keys, text, json_integer((json_int_t)++pool->last_key));
	return pool->last_key;
}

struct deferred {
	void (*fn)(void *arg);
	void *arg;
};

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
	struct deferred *deferred = arg;

	deferred->fn(deferred->arg);
	free(deferred);
}

int pool_defer(struct pool *pool, void (*fn)(void *arg), void *arg)
{
	struct deferred *deferred = malloc(sizeof(*deferred));
	struct timeval now = { 0 };

	if (!deferred)
		return -ENOMEM;
	*deferred = (struct deferred){ fn, arg };
	if (event_base_once(pool->base, -1, EV_TIMEOUT, on_deferred, deferred, &now) == 0)
		return 0;
	free(deferred);
	return -ENOMEM;
}

void pool_kick(struct pool *pool)
{
	if (pool->dispatch)
		event_active(pool->dispatch, EV_TIMEOUT, 0);
}

void pool_fail_queued(struct pool *pool)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&pool->queue))) {
		TAILQ_REMOVE(&pool->queue, call, link);
		call_fail(call, "The server is stopping.");
	}
}

void pool_requeue(struct call *call)
{
	struct pool *pool = call->pool;

	TAILQ_INSERT_HEAD(&pool->queue, call, link);
	if (pool->stopping)
		pool_fail_queued(pool);
}

/* The pool as the policy sees it, with the way back from its indexes. */
struct snapshot {
	struct policy_view view;
	struct policy_instance *policy_instances;
	struct policy_vm *policy_vms;
	struct instance **instances;
	struct machine **machines;
};

static void snapshot_clear(struct snapshot *snapshot)
{
	free(snapshot->policy_instances);
	free(snapshot->policy_vms);
	free(snapshot->instances);
	free(snapshot->machines);
}

static void add_instance(struct snapshot *snapshot, struct instance *instance, unsigned int vm)
{
	size_t i = snapshot->view.n_instances++;

	snapshot->instances[i] = instance;
	snapshot->policy_instances[i] = (struct policy_instance){
		.action = instance->revision, .idle_since_ns = instance->idle_since_ns, .vm = vm,
		.state = instance_policy_state(instance),
	};
}

static void add_machine(struct snapshot *snapshot, struct machine *machine)
{
	size_t i = snapshot->view.n_vms++;
	struct instance *instance;

	snapshot->machines[i] = machine;
	snapshot->policy_vms[i] = (struct policy_vm){
		.class = machine->class, .fixed_bytes = machine_fixed_bytes(machine->pool, machine->partition_bytes),
		.partition_bytes = machine->partition_bytes, .partitions = vm_get_config(machine->vm)->partitions,
		.populated = machine_populated(machine), .ready = vm_state(machine->vm) == VM_READY,
	};
	TAILQ_FOREACH(instance, &machine->instances, link)
		add_instance(snapshot, instance, (unsigned int)i);
}

static int snapshot_take(struct pool *pool, struct snapshot *snapshot)
{
	size_t n_machines = 0, n_instances = 0;
	struct instance *instance;
	struct machine *machine;

	*snapshot = (struct snapshot){ .view.budget_bytes = pool->options->budget_bytes };
	TAILQ_FOREACH(machine, &pool->machines, link) {
		n_machines++;
		TAILQ_FOREACH(instance, &machine->instances, link)
			n_instances++;
	}
	snapshot->policy_instances = calloc(n_instances + 1, sizeof(*snapshot->policy_instances));
	snapshot->policy_vms = calloc(n_machines + 1, sizeof(*snapshot->policy_vms));
	snapshot->instances = calloc(n_instances + 1, sizeof(struct instance *));
	snapshot->machines = calloc(n_machines + 1, sizeof(struct machine *));
	if (!snapshot->policy_instances || !snapshot->policy_vms || !snapshot->instances || !snapshot->machines) {
		snapshot_clear(snapshot);
		return -ENOMEM;
	}
	snapshot->view.instances = snapshot->policy_instances;
	snapshot->view.vms = snapshot->policy_vms;
	TAILQ_FOREACH(machine, &pool->machines, link)
		add_machine(snapshot, machine);
	return 0;
}

static void start_vm_for(struct call *call)
{
	struct err err;

	if (machine_start(call->pool, call->ns, call->class, call->partition_bytes, &err) == 0)
		return;
	log_error("%s", err.text);
	TAILQ_REMOVE(&call->pool->queue, call, link);
	call_fail(call, NO_RESOURCES);
}

static void refuse(struct call *call)
{
	log_warning("%s needs a VM with %llu MiB partitions, which does not fit the budget of %llu MiB beside the others", call->action,
		    (unsigned long long)call->partition_bytes >> 20,
		    (unsigned long long)call->pool->options->budget_bytes >> 20);
	TAILQ_REMOVE(&call->pool->queue, call, link);
	call_fail(call, NO_RESOURCES);
}

static void assign(struct call *call, struct machine *machine, struct instance *warm)
{
	TAILQ_REMOVE(&call->pool->queue, call, link);
	if (warm)
		instance_run(warm, call);
	else
		instance_create(machine, call);
}

/* Carries out a decision. False: the call stays queued, and so does its class. */
static bool carry_out(struct call *call, const struct snapshot *snapshot, struct policy_decision decision)
{
	switch (decision.verb) {
	case POLICY_REUSE:
		assign(call, NULL, snapshot->instances[decision.index]);
		return true;
	case POLICY_CREATE:
		assign(call, snapshot->machines[decision.index], NULL);
		return true;
	case POLICY_SWAP: {
		struct machine *machine = snapshot->instances[decision.index]->machine;

		reclaim_swap(snapshot->instances[decision.index]);
		assign(call, machine, NULL);
		return true;
	}
	case POLICY_EVICT:
		reclaim_start(snapshot->instances[decision.index], "memory", true);
		return false;
	case POLICY_START_VM:
		start_vm_for(call);
		return false;
	case POLICY_REFUSE:
		refuse(call);
		return true;
	case POLICY_QUEUE:
		break;
	}
	return false;
}

/* Tries to place the first call of a class that is not blocked. False when there is none. */
static bool dispatch_one(struct pool *pool, uint64_t blocked[CLASSES_BLOCKED_MAX], size_t *n_blocked)
{
	struct snapshot snapshot;
	struct call *call;
	uint64_t class;
	bool placed;
	size_t i;

	TAILQ_FOREACH(call, &pool->queue, link) {
		for (i = 0; i < *n_blocked && blocked[i] != call->class; i++)
			;
		if (i == *n_blocked)
			break;
	}
	if (!call || *n_blocked == CLASSES_BLOCKED_MAX || snapshot_take(pool, &snapshot) < 0)
		return false;
	class = call->class;	/* the call may be gone below */
	placed = carry_out(call, &snapshot, policy_place(&snapshot.view, &(struct policy_call){
		.action = call->revision, .class = call->class, .partition_bytes = call->partition_bytes,
		.vm_fixed_bytes = machine_fixed_bytes(pool, call->partition_bytes) }));
	snapshot_clear(&snapshot);
	if (!placed)
		blocked[(*n_blocked)++] = class;
	return true;
}

static void on_dispatch(evutil_socket_t fd, short what, void *arg)
{
	uint64_t blocked[CLASSES_BLOCKED_MAX];
	size_t n_blocked = 0;

	while (dispatch_one(arg, blocked, &n_blocked))
		;
}

static void expire_calls(struct pool *pool, uint64_t now)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&pool->queue)) && now - call->arrived_ns > QUEUE_MS_MAX * NS_PER_MS) {
		TAILQ_REMOVE(&pool->queue, call, link);
		call_fail(call, NO_RESOURCES);
	}
}

static void expire_instances(struct pool *pool, uint64_t now)
{
	struct instance *instance, *next;
	struct machine *machine;

	TAILQ_FOREACH(machine, &pool->machines, link) {
		for (instance = TAILQ_FIRST(&machine->instances); instance; instance = next) {
			struct policy_instance seen = { .idle_since_ns = instance->idle_since_ns, .state = instance_policy_state(instance) };

			next = TAILQ_NEXT(instance, link);
			if (policy_expired(&seen, pool->options->keep_alive_ms * NS_PER_MS, now))
				reclaim_start(instance, "keep-alive", false);
		}
	}
}

static void trim_records(struct pool *pool)
{
	const struct options *options = pool->options;
	uint64_t now = epoch_ms(), age = options->keep_days * 86400000ull;
	struct err err;

	if (now < pool->trim_after_ms)
		return;
	pool->trim_after_ms = now + TRIM_MS;
	if (store_trim(pool->store, &(struct store_keep){ options->keep_records, now > age ? now - age : 0, options->keep_bytes }, &err) < 0)
		log_error("old activation records stay: %s", err.text);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct machine *machine;
	struct pool *pool = arg;

	TAILQ_FOREACH(machine, &pool->machines, link)
		if (machine->watch_due)
			machine_watch(machine);
	expire_calls(pool, now);
	expire_instances(pool, now);
	trim_records(pool);
	if (TAILQ_EMPTY(&pool->machines) && !pool->n_calls && json_object_size(pool->keys) > KEYS_MAX)
		json_object_clear(pool->keys);
	pool_kick(pool);
}

static void on_sample(evutil_socket_t fd, short what, void *arg)
{
	sample_all(arg);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct pool *pool = arg;
	struct err err;

	pool->flush_due = false;
	if (store_flush(pool->store, &err) < 0)
		log_error("activation records of the last %d ms are lost: %s", RECORD_MS, err.text);
}

static int start_timers(struct pool *pool)
{
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	uint64_t ms = pool->options->sample_ms;
	struct timeval sample = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	pool->dispatch = event_new(pool->base, -1, 0, on_dispatch, pool);
	pool->tick = event_new(pool->base, -1, EV_PERSIST, on_tick, pool);
	pool->sampler = event_new(pool->base, -1, EV_PERSIST, on_sample, pool);
	pool->flush = evtimer_new(pool->base, on_flush, pool);
	if (!pool->dispatch || !pool->tick || !pool->sampler || !pool->flush || event_add(pool->tick, &tick) < 0)
		return -ENOMEM;
	return ms ? event_add(pool->sampler, &sample) : 0;
}

/* A budget that no VM fits is a mistake to be told at once, not with the first call. */
static int check_budget(const struct pool *pool, struct err *err)
{
	uint64_t least = machine_fixed_bytes(pool, pool->options->partition_bytes) + pool->options->partition_bytes;

	if (least <= pool->options->budget_bytes)
		return 0;
	return err_set(err, ENOMEM, "--budget %llu MiB is less than one VM with one partition needs (%llu MiB); give more, or smaller "
		       "--partition-size, --shared-size or --partitions", (unsigned long long)pool->options->budget_bytes >> 20,
		       (unsigned long long)least >> 20);
}

int pool_new(struct event_base *base, const struct options *options, struct store *store, struct pool **ret, struct err *err)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (!pool)
		return err_set(err, ENOMEM, "out of memory");
	pool->base = base;
	pool->options = options;
	pool->store = store;
	pool->started_ns = clock_ns(CLOCK_MONOTONIC);
	TAILQ_INIT(&pool->machines);
	TAILQ_INIT(&pool->queue);
	pool->keys = json_object();
	pool->reclaims = json_array();
	pool->samples = json_array();
	if (!pool->keys || !pool->reclaims || !pool->samples || start_timers(pool) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	else
		r = check_budget(pool, err);
	if (r < 0) {
		pool_free(pool);
		return r;
	}
	*ret = pool;
	return 0;
}

static void free_timer(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

void pool_free(struct pool *pool)
{
	struct machine *machine;

	if (!pool)
		return;
	pool->stopping = true;
	while ((machine = TAILQ_FIRST(&pool->machines)))
		machine_drop(machine);
	pool_fail_queued(pool);
	free_timer(&pool->dispatch);
	free_timer(&pool->tick);
	free_timer(&pool->sampler);
	free_timer(&pool->flush);
	(void)store_flush(pool->store, NULL);
	json_decref(pool->keys);
	json_decref(pool->reclaims);
	json_decref(pool->samples);
	free(pool);
}

int pool_submit(struct pool *pool, const struct call_request *request, struct call_done done, char id[ACTIVATION_ID_SIZE], struct err *err)
{
	struct call *call;

	if (pool->stopping)
		return err_set(err, ESHUTDOWN, "The server is stopping.");
	if (pool->n_calls >= POOL_CALLS_MAX)
		return err_set(err, EAGAIN, "Too many concurrent requests in flight (count: %u, allowed: %u).", pool->n_calls, POOL_CALLS_MAX);
	call = call_new(pool, request, done);
	if (!call)
		return err_set(err, ENOMEM, "The server is out of memory.");
	memcpy(id, call->id, ACTIVATION_ID_SIZE);
	TAILQ_INSERT_TAIL(&pool->queue, call, link);
	pool_kick(pool);
	return 0;
}

void pool_retire(struct pool *pool, const char *action)
{
	struct instance *instance, *next;
	struct machine *machine;

	TAILQ_FOREACH(machine, &pool->machines, link) {
		for (instance = TAILQ_FIRST(&machine->instances); instance; instance = next) {
			next = TAILQ_NEXT(instance, link);
			if (strcmp(instance->action, action))
				continue;
			instance->retired = true;
			if (instance->state == INSTANCE_IDLE)
				reclaim_start(instance, "action changed", false);
		}
	}
}

int pool_evict(struct pool *pool, const char *id, unsigned int *ret_count, struct err *err)
{
	struct instance *instance, *next;
	struct machine *machine;

	*ret_count = 0;
	TAILQ_FOREACH(machine, &pool->machines, link) {
		for (instance = TAILQ_FIRST(&machine->instances); instance; instance = next) {
			next = TAILQ_NEXT(instance, link);
			if (id && strcmp(instance->id, id))
				continue;
			if (id && instance->state != INSTANCE_IDLE)
				return err_set(err, EBUSY, "Instance %s is not idle, but %s.", id, instance_state_name(instance->state));
			if (instance->state != INSTANCE_IDLE)
				continue;
			reclaim_start(instance, "asked", false);
			(*ret_count)++;
		}
	}
	return id && !*ret_count ? err_set(err, ENOENT, "There is no instance %.40s.", id) : 0;
}
