// SPDX-License-Identifier: Apache-2.0
/* The pool's VMs: started for a class of calls, grown with their instances, replaced when they die. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/pool-internal.h"
#include "vm/normal-memory.h"

#define GROW_MS		60000

uint64_t machine_fixed_bytes(const struct pool *pool, uint64_t partition_bytes)
{
	const struct options *options = pool->options;
	uint64_t base = options->base_bytes;

	if (!base)
		base = vm_base_bytes((unsigned int)options->partitions, partition_bytes, options->shared_bytes);
	return base + options->shared_bytes;
}

unsigned int machine_staying(const struct machine *machine)
{
	const struct instance *instance;
	unsigned int count = 0;

	TAILQ_FOREACH(instance, &machine->instances, link)
		if (instance->state != INSTANCE_LEAVING)
			count++;
	return count;
}

/* What the host has promised this VM beyond its fixed memory, in partitions: asked for or still there, whichever is more. */
unsigned int machine_populated(const struct machine *machine)
{
	uint64_t size = vm_size_bytes(machine->vm);
	uint64_t floor = vm_get_config(machine->vm)->backend == VM_SQUEEZY ? 0 : vm_get_config(machine->vm)->shared_bytes;
	uint64_t there = size > floor ? (size - floor + machine->partition_bytes - 1) / machine->partition_bytes : 0;

	return there > machine->target ? (unsigned int)there : machine->target;
}

static void on_grown(void *arg, const struct vm_resize *resize)
{
	if (resize->err.code && resize->err.code != ESTALE && resize->err.code != EPIPE)
		log_warning("%s", resize->err.text);
}

void machine_grow(struct machine *machine)
{
	unsigned int staying = machine_staying(machine), most = vm_get_config(machine->vm)->partitions;
	struct err err;

	if (staying > most)
		staying = most;
	if (staying <= machine->target)
		return;
	machine->target = staying;
	if (vm_set_requested(machine->vm, machine->target, GROW_MS, (struct vm_resize_done){ on_grown, NULL }, &err) < 0)
		log_warning("%s", err.text);
}

static void fail_queue(struct pool *pool, uint64_t class)
{
	struct call *call, *next;

	for (call = TAILQ_FIRST(&pool->queue); call; call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->class != class)
			continue;
		TAILQ_REMOVE(&pool->queue, call, link);
		call_fail(call, "Failed to provision resources to run the action.");
	}
}

/* Everything in it goes, then itself. The VM is dead or was never started, so no call refers to an instance any more. */
static void machine_free(struct machine *machine)
{
	struct instance *instance;

	reclaim_abort_all(machine);
	while ((instance = TAILQ_FIRST(&machine->instances)))
		instance_free(instance);
	TAILQ_REMOVE(&machine->pool->machines, machine, link);
	vm_free(machine->vm);
	free(machine->ns);
	free(machine);
}

void machine_drop(struct machine *machine)
{
	vm_kill(machine->vm, NULL);
	vm_end(machine->vm);
	machine_free(machine);
}

static void on_ready(struct machine *machine)
{
	const char *kernel = json_string_value(json_object_get(vm_hello(machine->vm), "kernel"));
	struct err err;

	machine->was_ready = true;
	log_info("%s: ready after %.1f s (kernel %.60s)", machine->id,
		 (double)(vm_ready_ns(machine->vm) - vm_spawned_ns(machine->vm)) / 1e9, kernel ? kernel : "unknown");
	/* Nothing asked for: but from here on we know the device's size (in the baseline the shared memory is being plugged). */
	if (vm_set_requested(machine->vm, 0, GROW_MS, (struct vm_resize_done){ on_grown, NULL }, &err) < 0)
		log_warning("%s", err.text);
	machine_watch(machine);
	pool_kick(machine->pool);
}

static void on_dead(struct machine *machine, const struct err *why)
{
	struct pool *pool = machine->pool;
	bool was_ready = machine->was_ready, again = pool->options->prestart && was_ready && !pool->stopping;
	uint64_t class = machine->class, partition_bytes = machine->partition_bytes;
	char *ns = machine->ns;
	struct err err;

	machine->ns = NULL;
	if (pool->stopping)
		log_info("%s: ended", machine->id);
	else
		log_error("%s: ended unexpectedly: %s", machine->id, why ? why->text : "for no known reason");
	machine_free(machine);
	if (!was_ready)
		fail_queue(pool, class);	/* another try would fail the same way */
	if (again && machine_start(pool, ns, class, partition_bytes, &err) < 0)
		log_error("%s", err.text);
	free(ns);
	if (pool->stopping && TAILQ_EMPTY(&pool->machines) && pool->stopped)
		pool->stopped(pool->stopped_arg);
	else
		pool_kick(pool);
}

static void on_state(void *arg, struct vm *vm, enum vm_state state, const struct err *why)
{
	struct machine *machine = arg;

	log_debug("%s: %s", machine->id, vm_state_name(state));
	if (state == VM_READY)
		on_ready(machine);
	else if (state == VM_DEAD)
		on_dead(machine, why);
}

/* What this host cannot do, said once. */
static void tell_host_limits(struct pool *pool, const struct vm *vm)
{
	if (pool->limits_told)
		return;
	pool->limits_told = true;
	if (!vm_in_cgroup(vm))
		log_info("no writable memory cgroup here: QEMU runs in ours, only --budget bounds its memory");
	if (!vm_is_kvm(vm))
		log_warning("no usable KVM here (/dev/kvm must open and the CPU show vmx or svm): VMs are emulated, about 20 times slower");
}

static int make_vm(struct machine *machine, struct err *err)
{
	static const struct vm_callbacks callbacks = { .state = on_state };
	const struct options *options = machine->pool->options;
	char dir[4096];
	struct vm_config config = {
		.id = machine->id, .dir = dir, .qemu = options->qemu, .kernel = options->kernel, .image = options->image,
		.append = options->append, .user = options->qemu_user, .backend = options->backend, .accel = options->accel,
		.partitions = (unsigned int)options->partitions, .vcpus = (unsigned int)options->vcpus,
		.boot_timeout_ms = (unsigned int)options->boot_ms, .partition_bytes = machine->partition_bytes,
		.shared_bytes = options->shared_bytes, .base_bytes = options->base_bytes,
	};
	int r;

	snprintf(dir, sizeof(dir), "%s/vm/%s", options->state, machine->id);
	r = vm_new(machine->pool->base, &config, &callbacks, machine, &machine->vm, err);
	return r < 0 ? r : vm_start(machine->vm, err);
}

int machine_start(struct pool *pool, const char *ns, uint64_t class, uint64_t partition_bytes, struct err *err)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int r;

	if (!machine)
		return err_set(err, ENOMEM, "out of memory");
	machine->pool = pool;
	machine->ns = strdup(ns);
	machine->class = class;
	machine->partition_bytes = partition_bytes;
	TAILQ_INIT(&machine->instances);
	TAILQ_INIT(&machine->reclaims);
	snprintf(machine->id, sizeof(machine->id), "vm%llu", (unsigned long long)++pool->last_machine);
	TAILQ_INSERT_TAIL(&pool->machines, machine, link);
	r = make_vm(machine, err);
	if (r < 0) {
		machine_free(machine);
		return r;
	}
	tell_host_limits(pool, machine->vm);
	log_info("%s: started for namespace %s, %llu partitions of %llu MiB", machine->id, ns,
		 (unsigned long long)pool->options->partitions, (unsigned long long)partition_bytes >> 20);
	return 0;
}

int pool_prestart(struct pool *pool, struct err *err)
{
	uint64_t bytes = pool->options->partition_bytes;
	char text[128];

	snprintf(text, sizeof(text), "class guest %llu", (unsigned long long)bytes);
	return machine_start(pool, "guest", pool_key(pool, text), bytes, err);
}

void pool_stop(struct pool *pool, unsigned int timeout_ms, void (*done)(void *arg), void *arg)
{
	struct machine *machine;

	pool->stopping = true;
	pool->stopped = done;
	pool->stopped_arg = arg;
	pool_fail_queued(pool);
	TAILQ_FOREACH(machine, &pool->machines, link)
		vm_stop(machine->vm, timeout_ms);
	if (TAILQ_EMPTY(&pool->machines))
		done(arg);
}
