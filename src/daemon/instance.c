// SPDX-License-Identifier: Apache-2.0
/* An instance's working life: container, init, runs. Its end is in reclaim.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/pool-internal.h"

#define CLAIM_MS	60000	/* a populated partition must be there by then */
#define GRACE_MS	5000	/* the agent enforces a call's limit; this much later we stop waiting for it */
#define PIDS_MAX	1024	/* OpenWhisk's --pids-limit */
#define NO_RESOURCES	"Failed to provision resources to run the action."

static const struct {
	const char *name;
	enum policy_instance_state policy;
} states[] = {
	[INSTANCE_CREATING] = { "creating", POLICY_BUSY },
	[INSTANCE_INIT] = { "init", POLICY_BUSY },
	[INSTANCE_RUNNING] = { "running", POLICY_BUSY },
	[INSTANCE_IDLE] = { "idle", POLICY_IDLE },
	[INSTANCE_LEAVING] = { "leaving", POLICY_LEAVING },
};

enum policy_instance_state instance_policy_state(const struct instance *instance)
{
	enum policy_instance_state state = states[instance->state].policy;

	if (state == POLICY_BUSY && instance->n_serving < instance->concurrency && !instance->failed && !instance->retired)
		return POLICY_SPARE;
	return state;
}

const char *instance_state_name(enum instance_state state)
{
	return states[state].name;
}

void instance_free(struct instance *instance)
{
	TAILQ_REMOVE(&instance->machine->instances, instance, link);
	json_decref(instance->created);
	free(instance->action);
	free(instance);
}

static void take_in(struct instance *instance, struct call *call)
{
	call->instance = instance;
	TAILQ_INSERT_TAIL(&instance->serving, call, link);
	instance->n_serving++;
}

static void let_out(struct call *call)
{
	TAILQ_REMOVE(&call->instance->serving, call, link);
	call->instance->n_serving--;
	call->instance = NULL;
}

/* Calls that waited for the first one's init find another place, before all that came later. */
static void send_back_waiting(struct instance *instance)
{
	struct call *first = TAILQ_FIRST(&instance->serving), *call;

	while ((call = TAILQ_LAST(&instance->serving, call_list)) != first) {
		let_out(call);
		pool_requeue(call);
	}
}

/* Its last call is through. */
static void rest(struct instance *instance)
{
	if (instance->failed || instance->retired) {
		reclaim_start(instance, instance->failed ? "failed" : "action changed", true);
		return;
	}
	instance->state = INSTANCE_IDLE;
	instance->idle_since_ns = clock_ns(CLOCK_MONOTONIC);
}

/* Ends the call; the instance goes on or, once its last call is through, leaves. */
static void end_call(struct call *call, struct outcome *outcome, bool usable)
{
	struct instance *instance = call->instance;
	struct pool *pool = instance->machine->pool;

	if (instance->state != INSTANCE_RUNNING)
		send_back_waiting(instance);
	let_out(call);
	instance->calls++;
	instance->failed |= !usable;
	if (!instance->n_serving)
		rest(instance);
	call_finish(call, outcome);
	pool_kick(pool);
}

static void fail_call(struct call *call, const struct err *why)
{
	const struct instance *instance = call->instance;
	struct outcome outcome;

	log_warning("%s: %s: %s", instance->machine->id, instance->action, why->text);
	outcome_whisk_error(NO_RESOURCES, &outcome);
	end_call(call, &outcome, false);
}

static void on_ran(void *arg, const struct vm_reply *reply)
{
	struct call *call = arg;
	struct outcome outcome;

	call->times.run_ms = (reply->answered_ns - call->step_ns) / NS_PER_MS;
	if (reply->status)
		outcome_from_answer(OUTCOME_RUN, &call->limits, reply->status, reply->body, &outcome);
	else
		outcome_from_silence(OUTCOME_RUN, &call->limits, reply->err.code == ETIMEDOUT, &outcome);
	if (!reply->status)
		log_warning("%s: activation %s: %s", call->instance->machine->id, call->id, reply->err.text);
	end_call(call, &outcome, reply->status == 200);
}

static void run(struct call *call)
{
	struct instance *instance = call->instance;
	unsigned int limit = (unsigned int)call->limits.timeout;
	json_t *body = call_environment(call, false);
	struct err err;
	int r;

	json_object_set(body, "value", call->arguments);
	json_object_set_new(body, "timeout_ms", json_integer(limit));
	json_object_set_new(body, "logs_max_bytes", json_integer((json_int_t)call->limits.logs << 20));
	json_object_set_new(body, "result_max_bytes", json_integer(LIMITS_RESULT_MAX));
	instance->state = INSTANCE_RUNNING;
	call->step_ns = clock_ns(CLOCK_MONOTONIC);
	r = vm_container_run(instance->machine->vm, instance->id, body, limit + GRACE_MS, (struct vm_done){ on_ran, call }, &err);
	json_decref(body);
	if (r < 0)
		fail_call(call, &err);
}

/* Waiting is over: what follows is the function's time. */
static void begin(struct call *call, bool cold)
{
	call->times.cold = cold;
	call->times.start_ms = epoch_ms();
	call->times.wait_ms = (clock_ns(CLOCK_MONOTONIC) - call->arrived_ns) / NS_PER_MS;
}

/* The first call is sent on last: until then the instance is busy with it and cannot end. */
static void run_all(struct instance *instance)
{
	struct call *first = TAILQ_FIRST(&instance->serving), *call, *next;

	for (call = TAILQ_NEXT(first, link); call; call = next) {
		next = TAILQ_NEXT(call, link);
		begin(call, false);
		run(call);
	}
	run(first);
}

static void on_initialized(void *arg, const struct vm_reply *reply)
{
	struct instance *instance = arg;
	struct call *call = TAILQ_FIRST(&instance->serving);
	struct outcome outcome;

	call->times.init_ms = (reply->answered_ns - call->step_ns) / NS_PER_MS;
	if (reply->status)
		outcome_from_answer(OUTCOME_INIT, &call->limits, reply->status, reply->body, &outcome);
	else
		outcome_from_silence(OUTCOME_INIT, &call->limits, reply->err.code == ETIMEDOUT, &outcome);
	if (reply->status != 200) {
		end_call(call, &outcome, false);
		return;
	}
	call->init_logs = json_incref(outcome.logs);
	outcome_clear(&outcome);
	run_all(instance);
}

/* The action was changed or deleted between the call and its turn. */
static void fail_for_code(struct call *call, const struct err *why)
{
	const struct instance *instance = call->instance;
	struct outcome outcome;

	log_warning("%s: %s: its code cannot be loaded: %s", instance->machine->id, instance->action, why->text);
	outcome_whisk_error("Action could not be found or may have been deleted.", &outcome);
	end_call(call, &outcome, false);
}

static void init(struct instance *instance)
{
	struct call *call = TAILQ_FIRST(&instance->serving);
	json_t *exec, *main_name, *body;
	unsigned int limit = (unsigned int)call->limits.timeout;
	struct err err;
	int r;

	begin(call, true);
	r = call_load_code(call, &exec, &err);
	if (r < 0) {
		fail_for_code(call, &err);
		return;
	}
	main_name = json_object_get(exec, "main");
	body = json_pack("{s:{s:s, s:o, s:O, s:O, s:o}, s:i}", "value", "name", call_action_name(call), "main",
			 main_name ? json_incref(main_name) : json_string("main"), "code", json_object_get(exec, "code"),
			 "binary", json_object_get(exec, "binary"), "env", call_environment(call, true), "timeout_ms", (int)limit);
	json_decref(exec);
	instance->state = INSTANCE_INIT;
	call->step_ns = clock_ns(CLOCK_MONOTONIC);
	r = vm_container_init(instance->machine->vm, instance->id, body, limit + GRACE_MS, (struct vm_done){ on_initialized, instance }, &err);
	json_decref(body);
	if (r < 0)
		fail_call(call, &err);
}

static void on_created(void *arg, const struct vm_reply *reply)
{
	const char *said = json_string_value(json_object_get(reply->body, "error"));
	json_t *partition = json_object_get(reply->body, "partition");
	struct instance *instance = arg;
	struct err why = reply->err;

	if (reply->status != 201) {
		if (reply->status)
			err_set(&why, EREMOTEIO, "the agent made no container (%d): %.300s", reply->status, said ? said : "no reason given");
		fail_call(TAILQ_FIRST(&instance->serving), &why);
		return;
	}
	if (json_is_integer(partition) && json_integer_value(partition) >= 0 && json_integer_value(partition) < 126)
		instance->partition = (int)json_integer_value(partition);
	instance->created = json_incref(reply->body);
	init(instance);
}

static struct instance *instance_new(struct machine *machine, struct call *call)
{
	struct instance *instance = calloc(1, sizeof(*instance));

	if (!instance || !(instance->action = strdup(call->action))) {
		free(instance);
		return NULL;
	}
	snprintf(instance->id, sizeof(instance->id), "i%llu", (unsigned long long)++machine->pool->last_instance);
	instance->machine = machine;
	instance->revision = call->revision;
	instance->state = INSTANCE_CREATING;
	instance->partition = -1;
	instance->memory_bytes = (uint64_t)call->limits.memory << 20;
	TAILQ_INIT(&instance->serving);
	instance->concurrency = action_overlaps(call->document) ? (unsigned int)call->limits.concurrency : 1;
	TAILQ_INSERT_TAIL(&machine->instances, instance, link);
	take_in(instance, call);
	return instance;
}

void instance_create(struct machine *machine, struct call *call)
{
	struct instance *instance = instance_new(machine, call);
	struct vm_container container;
	struct err err;

	if (!instance) {
		call_fail(call, NO_RESOURCES);
		return;
	}
	machine_grow(machine);
	/* The claim waits in the guest for the partition that was just asked for. Files of an instance may take a quarter of its limit. */
	container = (struct vm_container){
		.id = instance->id, .memory_bytes = instance->memory_bytes, .tmpfs_bytes = instance->memory_bytes / 4,
		.kind = action_agent_kind(call->document), .pids_max = PIDS_MAX,
		.concurrency = instance->concurrency, .timeout_ms = CLAIM_MS,
	};
	if (vm_container_create(machine->vm, &container, (struct vm_done){ on_created, instance }, &err) < 0)
		fail_call(call, &err);
}

void instance_run(struct instance *instance, struct call *call)
{
	take_in(instance, call);
	if (instance->state == INSTANCE_CREATING || instance->state == INSTANCE_INIT)
		return;		/* run_all() */
	begin(call, false);
	run(call);
}
