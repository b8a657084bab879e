// SPDX-License-Identifier: Apache-2.0
/* Populates: the first, from parked, with a memory map made ahead, and beside maps that are being made and removed. */
#include "bench.h"

#include <stdio.h>
#include <unistd.h>

#define ROUNDS 20
#define TRIES 8

/* Time stamps of the newest populate, as long as the mover worked on it. */
static uint64_t populate_ns(unsigned int id)
{
	return partition_value(id, "populated_ns") - partition_value(id, "populate_start_ns");
}

/* One more partition each time. From before the request until user space knows that it is claimable, as the stock driver is measured. */
static void first_populates(uint64_t *from_request, uint64_t *in_guest)
{
	for (unsigned int i = 0; i < partition_count; i++) {
		uint64_t start = clock_now();

		request(i + 1);
		wait_state(i, "populated");
		from_request[i] = clock_now() - start;
		in_guest[i] = populate_ns(i);
	}
}

static void report(const char *kind, uint64_t *from_request, uint64_t *in_guest, unsigned int n)
{
	median_of(from_request, n);
	median_of(in_guest, n);
	result("populate", "\"kind\": \"%s\", \"partition_mib\": %zu, \"n\": %u, \"from_request\": %llu, \"from_request_max\": %llu, "
	       "\"guest\": %llu, \"guest_max\": %llu", kind, partition_bytes / MIB, n, (unsigned long long)from_request[n / 2],
	       (unsigned long long)from_request[n - 1], (unsigned long long)in_guest[n / 2], (unsigned long long)in_guest[n - 1]);
}

static bool is_out(void *arg)
{
	unsigned int *id = arg;

	return !partition_value(*id, "plugged_bytes");
}

static void populate_first(void)
{
	uint64_t from_request[64], in_guest[64];

	CHECK(partition_count <= 64);
	first_populates(from_request, in_guest);
	report("first", from_request, in_guest, partition_count);
}

static void populate_parked(void)
{
	uint64_t from_request[ROUNDS], in_guest[ROUNDS];
	unsigned int id = 0;

	request(0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t start;

		CHECK(wait_until(is_out, &id, 20000));
		start = clock_now();
		request(1);
		wait_state(0, "populated");
		from_request[i] = clock_now() - start;
		in_guest[i] = populate_ns(0);
		request(0);
	}
	report("parked", from_request, in_guest, ROUNDS);
}

static void set_knob(const char *name, unsigned int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/sys/kernel/mm/squeezy/%s", name);
	snprintf(text, sizeof(text), "%u", value);
	CHECK_MSG(write_file(path, text, 0) == 0, "%s", path);
}

static bool others_are(const char *state, bool all)
{
	bool any = false;

	for (unsigned int i = 1; i < partition_count; i++) {
		if (has_state(i, state))
			any = true;
		else if (all)
			return false;
	}
	return any;
}

static bool others_parked(void *arg)
{
	return others_are("parked", true);
}

static bool others_absent(void *arg)
{
	return others_are("absent", true);
}

/* Memory maps are there before anything is plugged. */
static void populate_prepared(void)
{
	uint64_t from_request[64], in_guest[64];

	CHECK(partition_count <= 64);
	set_knob("keep_memmap", partition_count);
	set_knob("prepare_memmap", partition_count);
	CHECK(wait_until(others_parked, NULL, 20000));
	wait_state(0, "parked");
	first_populates(from_request, in_guest);
	report("prepared", from_request, in_guest, partition_count);
	request(0);
}

/* Populates partition 0; true if another one was in this state all the while. */
static bool populate_while(const char *state, uint64_t *from_request, uint64_t *in_guest)
{
	uint64_t start = clock_now();
	unsigned int id = 0;
	bool beside;

	request(1);
	wait_state(0, "populated");
	*from_request = clock_now() - start;
	beside = others_are(state, false);
	*in_guest = populate_ns(0);
	request(0);
	CHECK(wait_until(is_out, &id, 20000));
	return beside;
}

/* The maps of all others are made, and removed again, while partition 0 comes and goes. */
static void populate_beside(void)
{
	uint64_t from_request[2][TRIES], in_guest[2][TRIES];
	unsigned int made = 0, removed = 0, id = 0;

	request(0);
	CHECK(wait_until(is_out, &id, 20000));
	for (unsigned int i = 0; i < TRIES; i++) {
		set_knob("prepare_memmap", 0);
		set_knob("keep_memmap", 1);
		removed += populate_while("unmapping", &from_request[1][removed], &in_guest[1][removed]);
		CHECK(wait_until(others_absent, NULL, 20000));
		set_knob("keep_memmap", partition_count);
		set_knob("prepare_memmap", partition_count);
		made += populate_while("mapping", &from_request[0][made], &in_guest[0][made]);
		CHECK(wait_until(others_parked, NULL, 20000));
	}
	CHECK_MSG(made && removed, "of %d populates %u met a map being made, %u one being removed", TRIES, made, removed);
	report("mapping", from_request[0], in_guest[0], made);
	report("unmapping", from_request[1], in_guest[1], removed);
}

const struct test bench_populate_tests[] = {
	{ "first populate", populate_first },
	{ "populate from parked", populate_parked },
	{ NULL, NULL },
};

const struct test bench_beside_tests[] = {
	{ "populate while others' maps are made and removed", populate_beside },
	{ NULL, NULL },
};

const struct test bench_prepared_tests[] = {
	{ "first populate with a map made ahead", populate_prepared },
	{ NULL, NULL },
};
