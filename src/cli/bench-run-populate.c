// SPDX-License-Identifier: Apache-2.0
/* The experiment `populate`: guest time to make partitions usable, the first time and again from parked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench-options.h"
#include "cli/bench-stats.h"
#include "vm/sync.h"

#define RESIZE_MS 60000
#define MEMORY_MS 30000
#define SETTLE_MS 5000
#define SETTLE_STEP_MS 50
#define MIN_RATIO 20.0		/* a later populate must take this much less guest time than the first */

struct rounds {
	struct vm *vm;
	struct event_base *base;
	unsigned int n_first, n_again;
	double first_ms[STATS_MAX_SAMPLES], again_ms[STATS_MAX_SAMPLES];
	char kernel[80];
	bool kvm;
};

static int resize(struct rounds *rounds, unsigned int units, struct err *err)
{
	struct vm_resize_result resized = { 0 };
	int r = vm_set_requested(rounds->vm, units, RESIZE_MS, vm_resize_into(&resized), err);

	return r ? r : vm_wait_resize(rounds->base, &resized, err);
}

/* Guest time of the newest populate of each partition, after list[n]. -EAGAIN: one is not populated yet. */
static int read_times(const json_t *partitions, double *list, unsigned int n, struct err *err)
{
	const json_t *one;
	size_t i;

	if (!json_array_size(partitions))
		return err_set(err, EPROTO, "the guest reports no partitions: is squeezy= understood by its kernel?");
	json_array_foreach((json_t *)partitions, i, one) {
		json_int_t start = json_integer_value(json_object_get(one, "populate_start_ns"));
		json_int_t end = json_integer_value(json_object_get(one, "populated_ns"));

		if (end <= start || start <= 0)
			return err_set(err, EAGAIN, "partition %zu was plugged but not populated", i);
		if (n + i < STATS_MAX_SAMPLES)
			list[n + i] = (double)(end - start) / 1e6;
	}
	return 0;
}

/* The device has its size before the guest has handed out the last pages of a partition, so ask again for a while. */
static int collect(struct rounds *rounds, double *list, unsigned int *n, unsigned int partitions, struct err *err)
{
	int r = -EAGAIN;

	for (unsigned int waited = 0; r == -EAGAIN && waited < SETTLE_MS; waited += SETTLE_STEP_MS) {
		struct vm_result memory = { 0 };

		vm_sleep(rounds->base, SETTLE_STEP_MS);
		r = vm_memory(rounds->vm, MEMORY_MS, vm_result_into(&memory), err);
		if (!r)
			r = vm_wait(rounds->base, &memory, err);
		if (!r)
			r = read_times(json_object_get(json_object_get(memory.body, "squeezy"), "partitions"), list, *n, err);
		vm_result_clear(&memory);
	}
	if (!r)
		*n = *n + partitions < STATS_MAX_SAMPLES ? *n + partitions : STATS_MAX_SAMPLES;
	return r;
}

/* All partitions one after the other, as instances that come one by one would ask for them. */
static int grow_all(struct rounds *rounds, unsigned int n, struct err *err)
{
	int r = 0;

	for (unsigned int units = 1; !r && units <= n; units++)
		r = resize(rounds, units, err);
	return r;
}

static int measure(struct rounds *rounds, const struct bench_options *o, struct err *err)
{
	int r = grow_all(rounds, o->instances, err);

	if (!r)
		r = collect(rounds, rounds->first_ms, &rounds->n_first, o->instances, err);
	for (unsigned int k = 0; !r && k < o->samples; k++) {
		r = resize(rounds, 0, err);
		if (!r)
			r = grow_all(rounds, o->instances, err);
		if (!r)
			r = collect(rounds, rounds->again_ms, &rounds->n_again, o->instances, err);
	}
	return r;
}

static int print(const struct rounds *rounds, const struct bench_options *o, uint64_t size_bytes)
{
	struct stats first, again;
	const char *accel = rounds->kvm ? "kvm" : "tcg";
	double ratio;

	if (stats_compute(rounds->first_ms, rounds->n_first, &first) || stats_compute(rounds->again_ms, rounds->n_again, &again))
		return -EINVAL;
	ratio = again.median > 0 ? first.median / again.median : 0;
	if (o->json)
		printf("{\"accel\": \"%s\", \"kernel\": \"%s\", \"size_bytes\": %llu, \"partitions\": %u,\n"
		       " \"first\": {\"n\": %zu, \"median_ms\": %.4f, \"p99_ms\": %.4f, \"min_ms\": %.4f, \"max_ms\": %.4f},\n"
		       " \"parked\": {\"n\": %zu, \"median_ms\": %.4f, \"p99_ms\": %.4f, \"min_ms\": %.4f, \"max_ms\": %.4f},\n"
		       " \"median_ratio\": %.1f}\n", accel, rounds->kernel, (unsigned long long)size_bytes, o->instances, first.n,
		       first.median, first.p99, first.min, first.max, again.n, again.median, again.p99, again.min, again.max, ratio);
	else
		printf("Populate of %llu MiB, guest time (%s, kernel %s): first %.2f ms (%.2f - %.2f, n %zu), from parked %.3f ms "
		       "(%.3f - %.3f, n %zu): %.0f times less; at least %.0f must hold\n", (unsigned long long)size_bytes >> 20, accel,
		       rounds->kernel, first.median, first.min, first.max, first.n, again.median, again.min, again.max, again.n, ratio,
		       MIN_RATIO);
	return !o->quick && ratio < MIN_RATIO;
}

static int run_size(const struct bench_options *o, struct event_base *base, const char *dir, uint64_t size_bytes, struct err *err)
{
	struct vm_config config = {
		.id = "bench-populate",
		.dir = dir,
		.kernel = o->kernel,
		.image = o->image,
		.backend = VM_SQUEEZY,
		.accel = o->accel,
		.partitions = o->instances,
		.partition_bytes = size_bytes,
	};
	struct rounds rounds = { .base = base };
	int r = vm_boot(base, &config, &rounds.vm, err);

	if (r)
		return err_wrap(err, "log: %s/serial.log", dir);
	rounds.kvm = vm_is_kvm(rounds.vm);
	snprintf(rounds.kernel, sizeof(rounds.kernel), "%s", json_string_value(json_object_get(vm_hello(rounds.vm), "kernel")) ?: "unknown");
	r = measure(&rounds, o, err);
	vm_shutdown(base, rounds.vm, 10000);
	return r ? r : print(&rounds, o, size_bytes);
}

int bench_run_populate(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err)
{
	int worst = 0;

	if (o->against)
		return err_set(err, EINVAL, "--against: populate compares a first populate with a later one, there is no other side");
	for (unsigned int i = 0; i < o->n_sizes; i++) {
		char sub[256];
		int r;

		snprintf(sub, sizeof(sub), "%s/populate-%llu", dir, (unsigned long long)o->sizes_bytes[i] >> 20);
		r = run_size(o, base, sub, o->sizes_bytes[i], err);
		if (r < 0)
			return r;
		worst = r > worst ? r : worst;
	}
	return worst;
}
