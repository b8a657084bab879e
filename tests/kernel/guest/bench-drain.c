// SPDX-License-Identifier: Apache-2.0
/* Drains: their cost beside others in use, several at once, and the same one again and again. */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5
#define ADJACENT 8
#define RECLAIMS 200
#define WARM 5
#define LEFTOVER_BYTES (8 * MIB)

static bool is_returned(void *arg)
{
	unsigned int *id = arg;

	return !partition_value(*id, "plugged_bytes") && partition_value(*id, "returned_ns") > partition_value(*id, "drain_start_ns");
}

static void wait_returned(unsigned int id)
{
	CHECK_MSG(wait_until(is_returned, &id, 20000), "partition %u is not returned", id);
}

static void drain_spare(unsigned int others, struct drain *ret)
{
	struct drain before;

	request(others + 1);
	wait_state(others, "populated");
	drain_begin(&before);
	request(others);
	wait_returned(others);
	drain_read(others, false, &before, ret);
}

/* The same from the end of a claim on: waking the mover and finding the partition are in it. */
static void drain_released(unsigned int others, struct drain *ret)
{
	struct drain before;

	request(others + 1);
	wait_state(others, "populated");
	claim_new("spare");
	request(others);
	drain_begin(&before);
	CHECK(cg_remove("spare") == 0);
	wait_returned(others);
	drain_read(others, true, &before, ret);
}

/* Drains the partition above "others" in use and reports medians. */
static void measure_spare(unsigned int others, size_t used_bytes)
{
	uint64_t drain[ROUNDS], back[ROUNDS], release[ROUNDS];
	struct drain d = { 0 };

	for (unsigned int i = 0; i < ROUNDS; i++) {
		drain_spare(others, &d);
		drain[i] = d.drain_ns;
		back[i] = d.return_ns;
		CHECK_MSG(d.passes == 1 && !d.busy, "%llu passes", (unsigned long long)d.passes);
		drain_released(others, &d);
		release[i] = d.release_ns;
	}
	median_of(drain, ROUNDS);
	median_of(back, ROUNDS);
	median_of(release, ROUNDS);
	result("drain", "\"partition_mib\": %zu, \"partitions\": %u, \"others\": %u, \"used_mib\": %zu, \"drained\": %llu, \"returned\": %llu, "
	       "\"returned_max\": %llu, \"from_release\": %llu, \"requests\": %llu", partition_bytes / MIB, partition_count, others, used_bytes / MIB,
	       (unsigned long long)drain[ROUNDS / 2], (unsigned long long)back[ROUNDS / 2], (unsigned long long)back[ROUNDS - 1],
	       (unsigned long long)release[ROUNDS / 2], (unsigned long long)d.requests);
}

static void add_users(unsigned int from, unsigned int to, size_t bytes)
{
	for (unsigned int i = from; i < to; i++) {
		request(i + 1);
		wait_state(i, "populated");
		CHECK(claim_new(numbered("u", i)) == i);
		start_user(numbered("u", i), bytes);
	}
}

static void end_users(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		cg_end(numbered("u", i));
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* 1, 2, 4 ... others, and all but one. */
static void drain_beside_others(void)
{
	unsigned int used = 0, last = partition_count - 1;

	for (unsigned int others = 1; used < last; others = others * 2 < last ? others * 2 : last) {
		add_users(used, others, MIB);
		measure_spare(others, MIB);
		used = others;
	}
	end_users(used);
}

/* Two others: with next to nothing, then with most of their partitions in use. */
static void drain_in_full_vm(void)
{
	unsigned int others = 2;

	add_users(0, others, MIB);
	measure_spare(others, MIB);
	end_users(others);
	add_users(0, others, partition_bytes / 10 * 9);
	measure_spare(others, partition_bytes / 10 * 9);
	end_users(others);
}

static void drain_size(void)
{
	measure_spare(0, 0);
}

static void grow_to(unsigned int n)
{
	request(n);
	for (unsigned int i = 0; i < n; i++)
		wait_state(i, "populated");
}

/* From the first look at one of [0, n) to the last one given back. */
static uint64_t span_of_drains(unsigned int n)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t start = partition_value(i, "drain_start_ns"), returned = partition_value(i, "returned_ns");

		first = start < first ? start : first;
		last = returned > last ? returned : last;
	}
	return last - first;
}

static void drain_adjacent(void)
{
	unsigned int n = ADJACENT;
	struct drain before, one, all = { 0 };
	uint64_t singles = 0, requests;

	grow_to(n);
	requests = counter("requests_unplug");
	for (unsigned int i = n; i--;) {
		drain_begin(&before);
		request(i);
		wait_returned(i);
		drain_read(i, false, &before, &one);
		singles += one.return_ns;
	}
	requests = counter("requests_unplug") - requests;
	grow_to(n);
	drain_begin(&before);
	request(0);
	for (unsigned int i = 0; i < n; i++)
		wait_returned(i);
	drain_read(0, false, &before, &all);
	result("adjacent", "\"partition_mib\": %zu, \"partitions\": %u, \"singles\": %llu, \"singles_requests\": %llu, \"at_once\": %llu, "
	       "\"at_once_requests\": %llu", partition_bytes / MIB, n, (unsigned long long)singles, (unsigned long long)requests,
	       (unsigned long long)span_of_drains(n), (unsigned long long)all.requests);
}

/* An instance that has run on every CPU and leaves pages on their lists. */
static void use_every_cpu(void *arg)
{
	char *mem = map_anon(LEFTOVER_BYTES);
	unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);

	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
		touch(mem + LEFTOVER_BYTES / cpus * cpu, LEFTOVER_BYTES / cpus, 1);
	}
}

static void reclaim_one(struct drain *ret)
{
	struct drain before;

	request(1);
	wait_state(0, "populated");
	claim_new("a");
	CHECK(run_in("a", use_every_cpu, NULL) == 0);
	CHECK(cg_event("a", "memory.squeezy.stat", "per_cpu") > 0);
	request(0);
	drain_begin(&before);
	CHECK(cg_remove("a") == 0);
	wait_returned(0);
	drain_read(0, true, &before, ret);
}

static void note_range(uint64_t value, uint64_t range[2])
{
	if (value < range[0])
		range[0] = value;
	if (value > range[1])
		range[1] = value;
}

static void reclaim_often(void)
{
	static uint64_t release[RECLAIMS], back[RECLAIMS];
	uint64_t requests[2] = { UINT64_MAX, 0 }, passes[2] = { UINT64_MAX, 0 }, busy = 0, refused = 0;
	struct drain d;

	/* The driver learns how large a request may be. */
	for (unsigned int i = 0; i < WARM; i++)
		reclaim_one(&d);
	for (unsigned int i = 0; i < RECLAIMS; i++) {
		reclaim_one(&d);
		release[i] = d.release_ns;
		back[i] = d.return_ns;
		note_range(d.requests, requests);
		note_range(d.passes, passes);
		busy += d.busy;
		refused += d.refused;
	}
	median_of(release, RECLAIMS);
	median_of(back, RECLAIMS);
	result("reclaims", "\"n\": %d, \"partition_mib\": %zu, \"cpus\": %ld, \"requests_min\": %llu, \"requests_max\": %llu, "
	       "\"passes_min\": %llu, \"passes_max\": %llu, \"retries\": %llu, \"refused\": %llu, \"returned_median\": %llu, "
	       "\"returned_p99\": %llu, \"from_release_median\": %llu, \"from_release_p99\": %llu", RECLAIMS, partition_bytes / MIB,
	       sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)requests[0], (unsigned long long)requests[1],
	       (unsigned long long)passes[0], (unsigned long long)passes[1], (unsigned long long)busy, (unsigned long long)refused,
	       (unsigned long long)back[RECLAIMS / 2], (unsigned long long)percentile_of(back, RECLAIMS, 99),
	       (unsigned long long)release[RECLAIMS / 2], (unsigned long long)percentile_of(release, RECLAIMS, 99));
}

const struct test bench_others_tests[] = {
	{ "drain beside others", drain_beside_others },
	{ NULL, NULL },
};

const struct test bench_adjacent_tests[] = {
	{ "several drains at once", drain_adjacent },
	{ NULL, NULL },
};

const struct test bench_full_tests[] = {
	{ "drain beside full partitions", drain_in_full_vm },
	{ NULL, NULL },
};

const struct test bench_size_tests[] = {
	{ "drain by size", drain_size },
	{ NULL, NULL },
};

const struct test bench_reclaims_tests[] = {
	{ "the same reclaim again and again", reclaim_often },
	{ NULL, NULL },
};
