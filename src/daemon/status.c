// SPDX-License-Identifier: Apache-2.0
/* The pool, shown as JSON. */
#include "base/fd.h"
#include "daemon/pool-internal.h"

static json_t *instance_status(const struct instance *instance, uint64_t now)
{
	bool idle = instance->state == INSTANCE_IDLE;

	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:i, s:o, s:O*}", "id", instance->id, "action", instance->action,
			 "state", instance_state_name(instance->state),
			 "partition", instance->partition >= 0 ? json_integer(instance->partition) : json_null(),
			 "memory_bytes", (json_int_t)instance->memory_bytes, "calls", (json_int_t)instance->calls,
			 "serving", (int)instance->n_serving,
			 "idle_ms", idle ? json_integer((json_int_t)((now - instance->idle_since_ns) / NS_PER_MS)) : json_null(),
			 "created", instance->created);
}

static json_t *machine_status(const struct machine *machine, uint64_t now)
{
	const struct vm_config *config = vm_get_config(machine->vm);
	json_t *instances = json_array(), *status;
	struct vm_resident resident = { 0 };
	const struct instance *instance;
	bool ready = vm_ready_ns(machine->vm) != 0;

	(void)vm_resident(machine->vm, &resident, NULL);
	TAILQ_FOREACH(instance, &machine->instances, link)
		json_array_append_new(instances, instance_status(instance, now));
	status = json_pack("{s:s, s:s, s:s, s:i, s:b, s:i, s:I, s:I, s:I}", "id", machine->id, "namespace", machine->ns,
		"state", vm_state_name(vm_state(machine->vm)), "pid", (int)vm_pid(machine->vm), "kvm", vm_is_kvm(machine->vm),
		"partitions", (int)config->partitions, "partition_bytes", (json_int_t)config->partition_bytes,
		"shared_bytes", (json_int_t)config->shared_bytes, "base_bytes", (json_int_t)config->base_bytes);
	if (status)
		json_object_update_new(status, json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
			"requested_bytes", (json_int_t)(vm_requested_units(machine->vm) * config->partition_bytes),
			"plugged_bytes", (json_int_t)vm_size_bytes(machine->vm), "resident_bytes", (json_int_t)resident.rss_bytes,
			"resident_thp_bytes", (json_int_t)resident.thp_bytes, "device_bytes", (json_int_t)vm_device_bytes(machine->vm),
			"boot_ms", ready ? json_real((double)(vm_ready_ns(machine->vm) - vm_spawned_ns(machine->vm)) / 1e6) : json_null(),
			"hello", ready ? json_incref(vm_hello(machine->vm)) : json_null(), "instances", instances));
	else
		json_decref(instances);
	return status;
}

json_t *pool_status(const struct pool *pool)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), promised = 0;
	json_t *vms = json_array();
	const struct machine *machine;
	const struct call *call;
	unsigned int queued = 0;

	TAILQ_FOREACH(machine, &pool->machines, link) {
		json_array_append_new(vms, machine_status(machine, now));
		promised += machine_fixed_bytes(pool, machine->partition_bytes) + machine_populated(machine) * machine->partition_bytes;
	}
	TAILQ_FOREACH(call, &pool->queue, link)
		queued++;
	return json_pack("{s:s, s:s, s:I, s:{s:I, s:I}, s:{s:i, s:i, s:I}, s:o}", "version", SQUEEZY_VERSION,
			 "backend", pool->options->backend == VM_SQUEEZY ? "squeezy" : "virtio-mem",
			 "uptime_ms", (json_int_t)((now - pool->started_ns) / NS_PER_MS),
			 "memory", "budget_bytes", (json_int_t)pool->options->budget_bytes, "promised_bytes", (json_int_t)promised,
			 "calls", "queued", (int)queued, "in_flight", (int)pool->n_calls, "done", (json_int_t)pool->calls_done,
			 "vms", vms);
}

unsigned int pool_in_flight(const struct pool *pool)
{
	return pool->n_calls;
}

bool pool_is_stopping(const struct pool *pool)
{
	return pool->stopping;
}

json_t *pool_reclaims(const struct pool *pool)
{
	return json_incref(pool->reclaims);
}

json_t *pool_samples(const struct pool *pool)
{
	return json_incref(pool->samples);
}

void pool_clear_samples(struct pool *pool)
{
	json_array_clear(pool->samples);
}
