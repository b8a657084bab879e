// SPDX-License-Identifier: Apache-2.0
/* Memory over time, for pictures: what the device has, what the guest uses, what the host holds. */
#include <stdlib.h>

#include "base/fd.h"
#include "daemon/pool-internal.h"

#define LOOK_MS 2000

static json_int_t partitions_used(const json_t *squeezy)
{
	json_t *entry;
	json_int_t used = 0;
	size_t i;

	json_array_foreach(json_object_get(squeezy, "partitions"), i, entry) {
		json_int_t managed = json_integer_value(json_object_get(entry, "managed_bytes"));
		json_int_t left = json_integer_value(json_object_get(entry, "free_bytes"));

		if (managed > left)
			used += managed - left;
	}
	return used;
}

static void on_memory(void *arg, const struct vm_reply *reply)
{
	struct machine *machine = arg;
	struct pool *pool = machine->pool;
	struct vm_resident resident = { 0 };
	const json_t *squeezy = json_object_get(reply->body, "squeezy");
	json_int_t total = json_integer_value(json_object_get(reply->body, "memtotal_bytes"));
	json_int_t available = json_integer_value(json_object_get(reply->body, "memavailable_bytes"));
	json_t *sample;

	machine->sampling = false;
	if (reply->status != 200 || vm_resident(machine->vm, &resident, NULL) < 0)
		return;
	sample = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:o, s:i}", "t_ms", (json_int_t)epoch_ms(), "vm", machine->id,
		"requested_bytes", (json_int_t)(vm_requested_units(machine->vm) * machine->partition_bytes),
		"plugged_bytes", (json_int_t)vm_size_bytes(machine->vm), "guest_used_bytes", total > available ? total - available : 0,
		"resident_bytes", (json_int_t)resident.rss_bytes,
		"partitions_used_bytes", json_is_object(squeezy) ? json_integer(partitions_used(squeezy)) : json_null(),
		"instances", (int)machine_staying(machine));
	if (sample)
		json_array_append_new(pool->samples, sample);
	if (json_array_size(pool->samples) > SAMPLES_KEPT)
		json_array_remove(pool->samples, 0);
}

void sample_all(struct pool *pool)
{
	struct machine *machine;

	TAILQ_FOREACH(machine, &pool->machines, link) {
		if (machine->sampling || vm_state(machine->vm) != VM_READY)
			continue;
		machine->sampling = !vm_memory(machine->vm, LOOK_MS, (struct vm_done){ on_memory, machine }, NULL);
	}
}
