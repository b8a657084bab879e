// SPDX-License-Identifier: Apache-2.0
#include "bench-reclaim.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "cli/bench-actors.h"
#include "cli/bench-madvise.h"
#include "vm/sync.h"

#define WARM_UP_MS 150		/* the others run this long before the reclaim */
#define END_MS 120000
#define RESIZE_MS 120000
#define MEMORY_MS 30000
#define RESIDENT_WAIT_MS 5000	/* how long the resident size may lag behind the device's size */
#define ANSWER_WAIT_MS 30000
#define FALL_PERCENT 95

/* What the guest counts since boot. */
struct counts {
	uint64_t migrated;
	uint64_t requests;		/* to unplug; partitions only */
};

/* What is known while a reclaim is under way. */
struct reclaim {
	struct load *load;
	enum reclaim_schedule schedule;
	struct actors actors;
	struct vm_result end;
	struct vm_resize_result shrink;
	struct counts before;
};

const char *reclaim_method(enum vm_backend backend)
{
	return backend == VM_SQUEEZY ? "squeezy" : "virtio-mem";
}

const char *reclaim_schedule_name(enum reclaim_schedule schedule)
{
	return schedule == RECLAIM_WITH_KILL ? "with the kill" : "after the end";
}

static double span_ms(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0;
}

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static int guest_memory(struct load *load, struct vm_result *ret, struct err *err)
{
	int r = vm_memory(load->vm, MEMORY_MS, vm_result_into(ret), err);

	return r ? r : vm_wait(load->base, ret, err);
}

static int read_counts(struct load *load, struct counts *ret, struct err *err)
{
	struct vm_result memory = { 0 };
	int r = guest_memory(load, &memory, err);

	if (!r)
		*ret = (struct counts){
			.migrated = number(json_object_get(memory.body, "vmstat"), "pgmigrate_success"),
			.requests = number(json_object_get(json_object_get(memory.body, "squeezy"), "counters"), "requests_unplug"),
		};
	vm_result_clear(&memory);
	return r;
}

/* Span between an event and the return of a partition, by the guest's clock. */
static int span_to_return(const json_t *partition, const char *from, double *ret, struct err *err)
{
	uint64_t start = number(partition, from), end = number(partition, "returned_ns");

	if (!start || end < start)
		return err_set(err, EPROTO, "the guest reports no %s and return of the partition", from);
	*ret = span_ms(start, end);
	return 0;
}

/* What only the guest knows of the partition's end. */
static int read_guest_times(const struct reclaim *c, struct reclaim_sample *s, struct err *err)
{
	struct vm_result memory = { 0 };
	const json_t *list, *one, *id = json_object_get(c->end.body, "partition");
	int r = json_is_integer(id) ? 0 : err_set(err, EPROTO, "the agent does not say which partition the instance had");

	if (!r)
		r = guest_memory(c->load, &memory, err);
	if (r)
		return r;
	list = json_object_get(json_object_get(memory.body, "squeezy"), "partitions");
	one = json_array_get(list, (size_t)json_integer_value(id));
	r = span_to_return(one, "drain_start_ns", &s->guest_ms, err);
	if (!r && c->schedule == RECLAIM_WITH_KILL)
		r = span_to_return(one, "released_ns", &s->reclaim_ms, err);
	vm_result_clear(&memory);
	return r;
}

/* What was begun is waited for in any case: its answer goes into c. */
static int ask(struct reclaim *c, const char *victim_id, struct err *err)
{
	struct load *load = c->load;
	int r = vm_container_delete(load->vm, victim_id, END_MS, vm_result_into(&c->end), err);
	int ended = 0;

	if (r)
		return r;
	if (c->schedule == RECLAIM_AFTER_END)
		r = vm_wait(load->base, &c->end, err);
	if (!r)
		r = vm_set_requested(load->vm, load->n - 1, RESIZE_MS, vm_resize_into(&c->shrink), err);
	if (!r)
		r = vm_wait_resize(load->base, &c->shrink, err);
	if (c->schedule == RECLAIM_WITH_KILL)
		ended = vm_wait(load->base, &c->end, r ? NULL : err);
	return r ? r : ended;
}

/* Reads smaps until the resident size is low enough; the last reading counts in any case. */
static int watch_resident(struct reclaim *c, struct reclaim_sample *s, struct err *err)
{
	uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + RESIDENT_WAIT_MS * 1000000ull;
	uint64_t goal = s->touched_bytes / 100 * FALL_PERCENT;

	for (;;) {
		struct vm_resident now;
		int r = vm_resident(c->load->vm, &now, err);

		if (r)
			return r;
		s->resident_after_bytes = now.rss_bytes;
		s->host_free_ms = span_ms(c->shrink.resize.asked_ns, clock_ns(CLOCK_MONOTONIC));
		if (now.rss_bytes + goal <= s->resident_before_bytes || clock_ns(CLOCK_MONOTONIC) > deadline)
			return 0;
		vm_sleep(c->load->base, 1);
	}
}

/* From the requests to the memory seen gone. */
static int take_back(struct reclaim *c, const char *victim_id, struct reclaim_sample *s, struct err *err)
{
	int r = ask(c, victim_id, err);

	if (r)
		return r;
	r = watch_resident(c, s, err);
	if (r)
		return r;
	s->end_ms = span_ms(c->end.sent_ns, c->end.answered_ns);
	s->from_kill_ms = span_ms(c->end.sent_ns, c->shrink.resize.reached_ns);
	s->reclaim_ms = span_ms(c->shrink.resize.asked_ns, c->shrink.resize.reached_ns);
	s->guest_ms = s->reclaim_ms;
	if (c->load->backend == VM_SQUEEZY)
		r = read_guest_times(c, s, err);
	return r;
}

/* What the host needs for its own memory while both of its CPUs have other work. Our calls wait meanwhile: their times do not count. */
static int measure_busy_madvise(const struct reclaim *c, struct reclaim_sample *s, struct err *err)
{
	struct madvise_sample host;
	int r = madvise_measure(c->load->size_bytes, !c->load->host_4k, &host, err);

	if (r)
		return r;
	s->busy_madvise_ms = host.ms;
	s->madvise_thp_bytes = host.thp_bytes;
	return 0;
}

static double worst_call_ms(const struct actors *actors)
{
	double worst = 0;

	for (unsigned int i = 0; i < actors->n; i++) {
		if (actors->list[i].worst_ms > worst)
			worst = actors->list[i].worst_ms;
	}
	return worst;
}

static int look_before(struct reclaim *c, unsigned int victim, struct reclaim_sample *s, struct err *err)
{
	struct vm_resident resident;
	int r = read_counts(c->load, &c->before, err);

	if (!r)
		r = vm_resident(c->load->vm, &resident, err);
	if (r)
		return r;
	s->resident_before_bytes = resident.rss_bytes;
	s->thp_before_bytes = resident.thp_bytes;
	s->touched_bytes = c->load->instances[victim].touched_bytes;
	return 0;
}

static int measure(struct reclaim *c, unsigned int victim, struct reclaim_sample *s, struct err *err)
{
	struct counts after;
	int r = look_before(c, victim, s, err);

	if (r)
		return r;
	actors_mark(&c->actors);
	r = take_back(c, c->load->instances[victim].id, s, err);
	if (!r)
		r = read_counts(c->load, &after, err);
	if (r)
		return r;
	s->pages_migrated = after.migrated - c->before.migrated;
	s->requests = after.requests - c->before.requests;
	return 0;
}

int reclaim_once(struct load *load, enum reclaim_schedule schedule, unsigned int victim, unsigned int writers, struct reclaim_sample *ret,
		 struct err *err)
{
	struct reclaim *c = calloc(1, sizeof(*c));
	struct reclaim_sample s = { 0 };
	int r, stopped;

	if (!c)
		return err_set(err, ENOMEM, "bench: out of memory");
	c->load = load;
	c->schedule = schedule;
	actors_start(&c->actors, load, victim, writers);
	vm_sleep(load->base, WARM_UP_MS);
	r = measure(c, victim, &s, err);
	s.worst_call_ms = worst_call_ms(&c->actors);
	if (!r)
		r = measure_busy_madvise(c, &s, err);
	stopped = actors_stop(&c->actors, r ? 0 : ANSWER_WAIT_MS, r ? NULL : err);
	r = r ? r : stopped;
	s.others = c->actors.n;
	s.answering = actors_answering(&c->actors);
	vm_result_clear(&c->end);
	free(c);
	if (!r)
		r = load_restore(load, victim, err);
	if (r)
		return err_wrap(err, "%s, reclaim of %llu MiB", reclaim_method(load->backend), (unsigned long long)load->size_bytes >> 20);
	*ret = s;
	return 0;
}
