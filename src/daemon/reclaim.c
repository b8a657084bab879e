// SPDX-License-Identifier: Apache-2.0
/*
 * Ending an instance and getting its memory back, measured.
 *
 *	WAITING -> BEFORE -> RELEASING -> RESIDENT -> AFTER -> (record)
 *
 * RELEASING sends the agent's DELETE and, in squeezy mode at the same moment, the smaller requested-size. The stock driver gets its
 * request when the container is gone: asked earlier it would migrate pages that are about to be freed, and look slower than it is.
 * One reclaim of a VM is measured at a time, the others wait; an urgent one (a failed instance that may still burn CPU, memory that a
 * call waits for) skips the queue and the first look into the guest.
 *
 * Times in a record, ms: kill = first signal to last process gone, guest = first signal to pages out of the guest's allocator,
 * returned = first signal to the guest's unplug answered (guest's clock, squeezy only); host_size = DELETE sent to device size reached,
 * host_resident = DELETE sent to the resident size no longer falling (host's clock).
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/pool-internal.h"

#define LOOK_MS		2000	/* the agent's GET /v1/memory */
#define DELETE_MS	30000
#define DELETE_AGAIN_MS	500	/* many processes take long to die: the agent goes on trying, and so do we */
#define DELETE_TRIES	12	/* an honest agent answers a try after 10 to 30 s, a broken one at once */
#define SHRINK_MS	30000
#define SETTLE_MS	2	/* between two looks at the resident size */
#define SETTLE_MS_MAX	500

enum step {
	STEP_WAITING,	/* behind another reclaim of this VM */
	STEP_BEFORE,	/* the guest's counters before */
	STEP_RELEASING,	/* DELETE and the smaller size are under way */
	STEP_RESIDENT,	/* the size is reached; watching the host's pages */
	STEP_AFTER,	/* the guest's counters after */
};

struct reclaim {
	TAILQ_ENTRY(reclaim) link;
	struct machine *machine;
	struct instance *instance;	/* NULL once its container is gone */
	enum step step;
	bool swap, urgent;
	bool deleted, resized;
	char instance_id[24];
	char *action;
	const char *reason;
	int partition;
	uint64_t asked_ms;		/* epoch */
	uint64_t sent_ns, size_ns, resident_ns;
	json_t *before, *after;		/* the agent's answers, NULL: none */
	json_t *gone;			/* the agent's answer to DELETE */
	struct vm_resident resident_before, resident_after;
	uint64_t size_before, size_after;
	unsigned int polls, delete_tries;
	struct event *timer;
	struct err err;
};

static void start_next(struct machine *machine);

static void reclaim_free(struct reclaim *reclaim)
{
	TAILQ_REMOVE(&reclaim->machine->reclaims, reclaim, link);
	if (reclaim->timer)
		event_free(reclaim->timer);
	json_decref(reclaim->before);
	json_decref(reclaim->after);
	json_decref(reclaim->gone);
	free(reclaim->action);
	free(reclaim);
}

void reclaim_abort_all(struct machine *machine)
{
	struct reclaim *reclaim;

	while ((reclaim = TAILQ_FIRST(&machine->reclaims)))
		reclaim_free(reclaim);
}

static json_t *partition_entry(const struct reclaim *reclaim, const json_t *memory)
{
	json_t *partitions = json_object_get(json_object_get(memory, "squeezy"), "partitions"), *entry;
	size_t i;

	if (reclaim->partition < 0)
		return NULL;
	json_array_foreach(partitions, i, entry)
		if (json_integer_value(json_object_get(entry, "id")) == reclaim->partition && json_is_object(entry))
			return entry;
	return NULL;
}

static json_int_t field(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static json_t *ms(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns >= from_ns ? json_real((double)(to_ns - from_ns) / 1e6) : json_null();
}

static void record_guest(const struct reclaim *reclaim, json_t *record)
{
	const json_t *entry = partition_entry(reclaim, reclaim->after), *was = partition_entry(reclaim, reclaim->before);
	uint64_t kill_ns = (uint64_t)field(reclaim->gone, "kill_ns");
	const json_t *stat_before = json_object_get(reclaim->before, "vmstat"), *stat_after = json_object_get(reclaim->after, "vmstat");

	json_object_set_new(record, "kill_ms", ms(kill_ns, (uint64_t)field(reclaim->gone, "empty_ns")));
	/* The stock driver has no clock of its own in the guest: its memory is gone when the host sees the device's size. */
	if (reclaim->machine->pool->options->backend == VM_VIRTIO_MEM)
		json_object_set_new(record, "guest_ms", ms(reclaim->sent_ns, reclaim->size_ns));
	else
		json_object_set_new(record, "guest_ms", ms(kill_ns, (uint64_t)field(entry, "drained_ns")));
	json_object_set_new(record, "returned_ms", ms(kill_ns, (uint64_t)field(entry, "returned_ns")));
	if (was)
		json_object_set_new(record, "touched_bytes", json_integer(field(was, "managed_bytes") - field(was, "free_bytes")));
	else
		json_object_set_new(record, "touched_bytes", json_integer(field(reclaim->gone, "memory_peak_bytes")));
	if (stat_before && stat_after)
		json_object_set_new(record, "pages_migrated",
				    json_integer(field(stat_after, "pgmigrate_success") - field(stat_before, "pgmigrate_success")));
	else
		json_object_set_new(record, "pages_migrated", json_null());
}

static void record_host(const struct reclaim *reclaim, json_t *record)
{
	json_int_t returned = (json_int_t)reclaim->size_before - (json_int_t)reclaim->size_after;

	json_object_set_new(record, "host_size_ms", ms(reclaim->sent_ns, reclaim->size_ns));
	json_object_set_new(record, "host_resident_ms", ms(reclaim->sent_ns, reclaim->resident_ns));
	json_object_set_new(record, "bytes_returned", json_integer(returned > 0 ? returned : 0));
	json_object_set_new(record, "resident_before_bytes", json_integer((json_int_t)reclaim->resident_before.rss_bytes));
	json_object_set_new(record, "resident_after_bytes", json_integer((json_int_t)reclaim->resident_after.rss_bytes));
	json_object_set_new(record, "thp_before_bytes", json_integer((json_int_t)reclaim->resident_before.thp_bytes));
	json_object_set_new(record, "polls", json_integer(reclaim->polls));
}

static void write_record(const struct reclaim *reclaim)
{
	struct pool *pool = reclaim->machine->pool;
	json_t *record = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:b}", "seq", (json_int_t)++pool->last_reclaim,
		"vm", reclaim->machine->id, "backend", pool->options->backend == VM_SQUEEZY ? "squeezy" : "virtio-mem",
		"instance", reclaim->instance_id, "action", reclaim->action, "reason", reclaim->reason,
		"partition", reclaim->partition >= 0 ? json_integer(reclaim->partition) : json_null(),
		"size_bytes", (json_int_t)reclaim->machine->partition_bytes, "asked_ms", (json_int_t)reclaim->asked_ms,
		"complete", reclaim->err.code == 0, "superseded", reclaim->err.code == ESTALE);

	if (!record)
		return;
	record_guest(reclaim, record);
	record_host(reclaim, record);
	if (reclaim->err.code)
		json_object_set_new(record, "error", json_string(reclaim->err.text));
	json_array_append_new(pool->reclaims, record);
	while (json_array_size(pool->reclaims) > RECLAIMS_KEPT)
		json_array_remove(pool->reclaims, 0);
}

static void finish(struct reclaim *reclaim)
{
	struct machine *machine = reclaim->machine;

	if (!reclaim->swap && reclaim->gone)
		write_record(reclaim);
	reclaim_free(reclaim);
	start_next(machine);
	pool_kick(machine->pool);
}

static void on_after(void *arg, const struct vm_reply *reply)
{
	struct reclaim *reclaim = arg;

	if (reply->status == 200)
		reclaim->after = json_incref(reply->body);
	finish(reclaim);
}

static void look_after(struct reclaim *reclaim)
{
	reclaim->step = STEP_AFTER;
	if (vm_memory(reclaim->machine->vm, LOOK_MS, (struct vm_done){ on_after, reclaim }, NULL) < 0)
		finish(reclaim);
}

/* The resident size has settled when a look finds no less than the look before. */
static void look_resident(struct reclaim *reclaim)
{
	struct timeval after = { .tv_usec = SETTLE_MS * 1000 };
	uint64_t last = reclaim->resident_after.rss_bytes, now;
	struct vm_resident seen;

	if (vm_resident(reclaim->machine->vm, &seen, NULL) < 0) {
		look_after(reclaim);
		return;
	}
	now = clock_ns(CLOCK_MONOTONIC);
	if (reclaim->resident_ns && (seen.rss_bytes >= last || now - reclaim->size_ns > SETTLE_MS_MAX * NS_PER_MS)) {
		look_after(reclaim);
		return;
	}
	reclaim->resident_ns = now;
	reclaim->resident_after = seen;
	event_add(reclaim->timer, &after);
}

static void send_delete(struct reclaim *reclaim);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct reclaim *reclaim = arg;

	if (reclaim->step == STEP_RELEASING)
		send_delete(reclaim);
	else
		look_resident(reclaim);
}

/* Both the container and the memory are gone, or will not go. */
static void advance(struct reclaim *reclaim)
{
	if (!reclaim->deleted || !reclaim->resized)
		return;
	if (reclaim->swap || !reclaim->gone) {
		finish(reclaim);
		return;
	}
	reclaim->step = STEP_RESIDENT;
	look_resident(reclaim);
}

static void on_resized(void *arg, const struct vm_resize *resize)
{
	struct reclaim *reclaim = arg;

	reclaim->resized = true;
	reclaim->size_after = resize->size_bytes;
	reclaim->size_ns = resize->reached_ns;
	reclaim->polls = resize->polls;
	if (resize->err.code)
		reclaim->err = resize->err;
	if (resize->err.code && resize->err.code != ESTALE)
		log_warning("%s: %s was not returned: %s", reclaim->machine->id, reclaim->instance_id, resize->err.text);
	advance(reclaim);
}

static void shrink(struct reclaim *reclaim)
{
	struct machine *machine = reclaim->machine;
	unsigned int staying = machine_staying(machine);

	reclaim->size_before = vm_size_bytes(machine->vm);
	if (machine->target > staying)
		machine->target--;
	if (vm_set_requested(machine->vm, machine->target, SHRINK_MS, (struct vm_resize_done){ on_resized, reclaim }, &reclaim->err) < 0)
		reclaim->resized = true;
}

/* A container that cannot be ended keeps its memory for ever: the VM goes instead. */
static void give_up(struct reclaim *reclaim, const struct vm_reply *reply)
{
	const char *said = json_string_value(json_object_get(reply->body, "error"));
	struct err why;

	err_set(&why, EIO, "%s: the agent cannot end container %s: %.300s", reclaim->machine->id, reclaim->instance_id,
		reply->status ? said ? said : "no reason given" : reply->err.text);
	vm_kill(reclaim->machine->vm, &why);
}

static void on_deleted(void *arg, const struct vm_reply *reply)
{
	struct reclaim *reclaim = arg;
	struct pool *pool = reclaim->machine->pool;

	if (vm_state(reclaim->machine->vm) != VM_READY)
		return;		/* it dies or stops: reclaim and instance go with the machine */
	if (reply->status != 200 && reply->status != 404) {
		struct timeval later = { .tv_usec = DELETE_AGAIN_MS * 1000 };

		if (++reclaim->delete_tries >= DELETE_TRIES)
			give_up(reclaim, reply);
		else
			event_add(reclaim->timer, &later);
		return;
	}
	if (reply->status == 200)
		reclaim->gone = json_incref(reply->body);
	instance_free(reclaim->instance);
	reclaim->instance = NULL;
	reclaim->deleted = true;
	if (!reclaim->swap && pool->options->backend == VM_VIRTIO_MEM)
		shrink(reclaim);
	advance(reclaim);
	pool_kick(pool);
}

static void send_delete(struct reclaim *reclaim)
{
	struct vm *vm = reclaim->machine->vm;
	struct err err;

	if (vm_state(vm) == VM_READY &&
	    vm_container_delete(vm, reclaim->instance_id, DELETE_MS, (struct vm_done){ on_deleted, reclaim }, &err) < 0)
		vm_kill(vm, &err);
}

static void release(struct reclaim *reclaim)
{
	struct machine *machine = reclaim->machine;

	reclaim->step = STEP_RELEASING;
	(void)vm_resident(machine->vm, &reclaim->resident_before, NULL);
	reclaim->asked_ms = epoch_ms();
	reclaim->sent_ns = clock_ns(CLOCK_MONOTONIC);
	send_delete(reclaim);
	if (vm_state(machine->vm) != VM_READY)
		return;
	if (reclaim->swap)
		reclaim->resized = true;
	else if (machine->pool->options->backend == VM_SQUEEZY)
		shrink(reclaim);
}

static void on_before(void *arg, const struct vm_reply *reply)
{
	struct reclaim *reclaim = arg;

	if (vm_state(reclaim->machine->vm) != VM_READY)
		return;
	if (reply->status == 200)
		reclaim->before = json_incref(reply->body);
	release(reclaim);
}

static void start(struct reclaim *reclaim)
{
	if (reclaim->swap || reclaim->urgent) {
		release(reclaim);
		return;
	}
	reclaim->step = STEP_BEFORE;
	if (vm_memory(reclaim->machine->vm, LOOK_MS, (struct vm_done){ on_before, reclaim }, NULL) < 0)
		release(reclaim);
}

/* Measured ones go one by one; urgent ones and swaps do not wait and do not hold others up. */
static void start_next(struct machine *machine)
{
	struct reclaim *reclaim, *first = NULL;

	if (vm_state(machine->vm) != VM_READY)
		return;
	TAILQ_FOREACH(reclaim, &machine->reclaims, link) {
		bool measured = !reclaim->swap && !reclaim->urgent;

		if (measured && reclaim->step != STEP_WAITING)
			return;
		if (measured && !first)
			first = reclaim;
	}
	if (first)
		start(first);
}

static struct reclaim *reclaim_new(struct instance *instance, const char *reason)
{
	struct machine *machine = instance->machine;
	struct reclaim *reclaim = calloc(1, sizeof(*reclaim));

	instance->state = INSTANCE_LEAVING;
	if (!reclaim)
		return NULL;
	reclaim->timer = evtimer_new(machine->pool->base, on_timer, reclaim);
	reclaim->action = strdup(instance->action);
	if (!reclaim->timer || !reclaim->action) {
		if (reclaim->timer)
			event_free(reclaim->timer);
		free(reclaim->action);
		free(reclaim);
		return NULL;
	}
	memcpy(reclaim->instance_id, instance->id, sizeof(reclaim->instance_id));
	reclaim->machine = machine;
	reclaim->instance = instance;
	reclaim->reason = reason;
	reclaim->partition = instance->partition;
	TAILQ_INSERT_TAIL(&machine->reclaims, reclaim, link);
	return reclaim;
}

static void begin(struct instance *instance, const char *reason, bool urgent, bool swap)
{
	struct machine *machine = instance->machine;
	struct reclaim *reclaim = reclaim_new(instance, reason);
	struct err err;

	if (vm_state(machine->vm) != VM_READY)
		return;
	if (!reclaim) {
		err_set(&err, ENOMEM, "out of memory: %s cannot be ended", instance->id);
		vm_kill(machine->vm, &err);
		return;
	}
	reclaim->urgent = urgent;
	reclaim->swap = swap;
	if (urgent || swap)
		start(reclaim);
	else
		start_next(machine);
}

void reclaim_start(struct instance *instance, const char *reason, bool urgent)
{
	begin(instance, reason, urgent, false);
}

void reclaim_swap(struct instance *instance)
{
	begin(instance, "swap", false, true);
}
