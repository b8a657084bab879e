// SPDX-License-Identifier: Apache-2.0
/* A device whose configuration is wrong, contradicts itself or never rests. */
#include "fake.h"
#include "maps.h"
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define KIB (1ul << 10)
#define MIB (1ul << 20)

static void use_some(void *arg)
{
	touch(map_anon(16 * MIB), 16 * MIB, 1);
}

static void claim_and_use(const char *cgroup)
{
	claim_new(cgroup);
	CHECK(run_in(cgroup, use_some, NULL) == 0);
	cg_end(cgroup);
}

/*
 * Nothing in it can be right, so that nothing is done with it: no request, no partition, and claims say so. Our driver keeps the
 * device all the same, as the stock driver would make its memory everybody's.
 */
static void refuse_device(const char *what, uint64_t value)
{
	uint64_t sent = counter("requests_plug") + counter("requests_unplug");

	fake_plug_in();
	CHECK_MSG(fake_has_driver("squeezy"), "%s %#lx", what, (unsigned long)value);
	CHECK_MSG(fake_is_given_up(), "%s %#lx", what, (unsigned long)value);
	fake_request(partition_bytes);
	fake_set("interrupts", 10);
	CHECK(counter("requests_plug") + counter("requests_unplug") == sent);
	for (unsigned int i = 0; i < partition_count; i++)
		CHECK_MSG(has_state(i, "absent") || has_state(i, "parked"), "%s %#lx", what, (unsigned long)value);
	fake_end_lost();
}

static void one_cycle(void)
{
	fake_start();
	fake_populate(1);
	claim_and_use("a");
	fake_end();
}

static void test_block_sizes_refused(void)
{
	const uint64_t bad[] = { 0, 1, 2 * KIB, 3 * MIB, partition_bytes * 2, UINT64_MAX, 1ul << 63, MIB + 1 };

	for (size_t i = 0; i < LEN(bad); i++) {
		fake_make_honest();
		fake_set("config/block_size", bad[i]);
		refuse_device("block size", bad[i]);
	}
	one_cycle();
}

/* The region is large enough to hold the partitions wherever it begins, or it would not be ours. */
static void test_addresses_refused(void)
{
	const uint64_t all = partition_count * partition_bytes;
	uint64_t addr;

	fake_make_honest();
	addr = fake_value("config/addr");
	{
		const struct {
			uint64_t addr, size;
		} bad[] = {
			{ addr + 4 * KIB, all + partition_bytes - 4 * KIB },	/* no border of a device block */
			{ addr + 1, all + partition_bytes - 1 },
			{ addr - 1, all + 1 },
			{ 0, all },						/* the kernel itself */
			{ 16 * MIB, all + partition_bytes - 16 * MIB },
			{ 1ul << 52, all },					/* more than any CPU has */
			{ 1ul << 63, all },
			{ -all, all },
			{ -4 * KIB, all + 4 * KIB },				/* wraps around to the kernel itself */
			{ UINT64_MAX, all + 1 },
		};

		for (size_t i = 0; i < LEN(bad); i++) {
			fake_make_honest();
			fake_set("config/addr", bad[i].addr);
			fake_set("config/region_size", bad[i].size);
			refuse_device("address", bad[i].addr);
		}
	}
	one_cycle();
}

/* A region of another size is not ours: the stock driver gets it, and nothing is requested of it. */
static void test_regions_declined(void)
{
	const uint64_t all = partition_count * partition_bytes;
	const uint64_t bad[] = { 0, 2 * MIB, partition_bytes, all - 2 * MIB, all - 1, all + partition_bytes, UINT64_MAX };

	for (size_t i = 0; i < LEN(bad); i++) {
		fake_make_honest();
		fake_set("config/region_size", bad[i]);
		fake_plug_in();
		CHECK_MSG(!fake_has_driver("squeezy"), "%#lx", (unsigned long)bad[i]);
		CHECK_MSG(fake_is_given_up(), "%#lx", (unsigned long)bad[i]);
		fake_end_lost();
	}
	one_cycle();
}

/* Memory of the guest before us, which the device gives up at once, later, or never. */
static void test_plugged_at_probe(void)
{
	/* A device that migrates refuses for as long as that takes. */
	static const char *const good[] = { "ack", "busy:3", "late:100", "busy:80", "nack" };
	static const char *const bad[] = { "error", "garbage", "empty", "never", "bad-id" };

	for (size_t i = 0; i < LEN(good); i++) {
		fake_make_honest();
		fake_write("answers", good[i]);
		fake_set("config/plugged_size", partition_bytes);
		fake_plug_in();
		CHECK_MSG(!fake_is_given_up(), "%s", good[i]);
		fake_populate(1);
		claim_and_use("a");
		fake_end();
	}
	for (size_t i = 0; i < LEN(bad); i++) {
		fake_make_honest();
		fake_write("answers", bad[i]);
		fake_set("answer_timeout_ms", 200);
		fake_set("config/plugged_size", partition_bytes);
		fake_plug_in();
		fake_wait_given_up();
		fake_end_lost();
	}
	one_cycle();
}

/* While it is being cleaned: it goes, and it is asked for memory, which it plugs afterwards only. */
static void test_plugged_and_gone(void)
{
	uint64_t plugs = counter("requests_plug");

	fake_make_honest();
	fake_write("answers", "busy:200");
	fake_set("config/plugged_size", partition_bytes);
	fake_plug_in();
	fake_request(partition_bytes);
	sleep_ms(500);
	CHECK(!fake_is_given_up());
	CHECK(counter("requests_plug") == plugs);
	fake_end_lost();
	one_cycle();
}

/* Maps of the device before it, whose partitions nobody uses, are not in the way of one that lies elsewhere. */
static void test_other_region(void)
{
	uint64_t removed;

	one_cycle();
	CHECK(has_state(0, "parked"));
	removed = counter("maps_removed") + count_state("parked");
	fake_make_honest();
	fake_set("config/region_size", partition_count * partition_bytes + 2 * MIB);
	fake_plug_in();
	CHECK(!fake_is_given_up());
	CHECK_MSG(counter("maps_removed") == removed, "%lu, not %lu", counter("maps_removed"), removed);
	fake_populate(1);
	claim_and_use("a");
	fake_end();
	/* And back. */
	one_cycle();
	CHECK_MSG(counter("maps_removed") == removed + 1, "%lu, not %lu", counter("maps_removed"), removed + 1);
}

static void test_plugged_size_lies(void)
{
	static const uint64_t lies[] = { 0, 1, 1ul << 62, UINT64_MAX - 1 };

	fake_start();
	for (size_t i = 0; i < LEN(lies); i++) {
		fake_set("config/plugged_size", lies[i]);
		fake_populate(2);
		claim_and_use("a");
		fake_populate(0);
	}
	fake_end();
}

static void test_usable_region(void)
{
	fake_start();
	fake_set("config/usable_region_size", partition_bytes);
	fake_request(partition_count * partition_bytes);
	fake_wait_plugged(1);
	claim_and_use("a");
	fake_wait_plugged(1);
	/* It follows the requested size. */
	fake_set("config/usable_region_size", 2 * partition_bytes + 2 * MIB);
	fake_set("interrupts", 1);
	fake_wait_plugged(2);
	fake_set("config/usable_region_size", UINT64_MAX);
	fake_set("interrupts", 1);
	fake_wait_plugged(partition_count);
	/* What is plugged stays so until it is not requested any more. */
	fake_set("config/usable_region_size", 0);
	fake_set("interrupts", 1);
	claim_and_use("a");
	fake_set("config/usable_region_size", partition_count * partition_bytes);
	fake_end();
}

static void test_requested_size(void)
{
	const uint64_t all = partition_count * partition_bytes;
	const struct {
		uint64_t requested;
		unsigned int partitions;
	} sizes[] = {
		{ 1, 0 }, { partition_bytes - 1, 0 }, { partition_bytes + 1, 1 }, { 2 * partition_bytes - 4 * KIB, 1 },
		{ all - 1, partition_count - 1 }, { all + 1, partition_count }, { 8 * all, partition_count }, { 0, 0 },
		{ UINT64_MAX, partition_count }, { 1ul << 63, partition_count }, { 2 * MIB, 0 },
	};

	fake_start();
	for (size_t i = 0; i < LEN(sizes); i++) {
		fake_request(sizes[i].requested);
		fake_wait_plugged(sizes[i].partitions);
	}
	fake_end();
}

/* Two reads never agree. That must not hold up anything; when it ends the driver follows. */
static void test_never_rests(void)
{
	fake_start();
	fake_set("config/requested_other", partition_count * partition_bytes);
	for (int i = 0; i < 50; i++)
		fake_set("interrupts", 20);
	fake_set("config/requested_size", partition_bytes);
	for (int i = 0; i < 50; i++) {
		fake_set("interrupts", 1);
		sleep_ms(2);
	}
	fake_set("config/requested_other", 0);
	fake_populate(1);
	claim_and_use("a");
	fake_end();
}

/* A new size every millisecond, while somebody uses a partition. */
static void test_requested_size_jumps(void)
{
	unsigned int seed = 7;

	fake_start();
	fake_populate(1);
	for (int round = 0; round < 4; round++) {
		pid_t pid;

		claim_new("a");
		pid = start_in("a", use_some, NULL);
		for (int i = 0; i < 500; i++) {
			fake_request((uint64_t)rand_r(&seed) % (partition_count + 1) * partition_bytes + (i % 3 ? 0 : 4 * KIB));
			sleep_ms(1);
		}
		CHECK(wait_for(pid) == 0);
		cg_end("a");
		fake_populate(1 + round % partition_count);
	}
	fake_end();
}

/* Interrupts for nothing change nothing. */
static void test_interrupt_storm(void)
{
	uint64_t sent;

	fake_start();
	fake_populate(2);
	sent = counter("requests_plug") + counter("requests_unplug");
	fake_set("interrupts", 20000);
	claim_and_use("a");
	CHECK(counter("requests_plug") + counter("requests_unplug") == sent);
	fake_end();
}

static void test_block_sizes(void)
{
	const uint64_t good[] = { 4 * KIB, 64 * KIB, 4 * MIB, 64 * MIB, partition_bytes };

	for (size_t i = 0; i < LEN(good); i++) {
		fake_make_honest();
		fake_set("config/block_size", good[i]);
		fake_plug_in();
		fake_populate(2);
		claim_and_use("a");
		fake_write("answers", "nack ack busy ack error");
		fake_end();
	}
}

const struct test fakeconfig_tests[] = {
	{ "block sizes from 4 KiB to a partition", test_block_sizes },
	{ "block sizes that cannot be", test_block_sizes_refused },
	{ "addresses that cannot be", test_addresses_refused },
	{ "a region of another size", test_regions_declined },
	{ "memory plugged before us", test_plugged_at_probe },
	{ "memory plugged before us, and the device goes before it is gone", test_plugged_and_gone },
	{ "a region that lies otherwise than the one before", test_other_region },
	{ "a plugged size that is not true", test_plugged_size_lies },
	{ "a usable region smaller than the requested size", test_usable_region },
	{ "requested sizes that are no multiple, or too large", test_requested_size },
	{ "a requested size that never rests", test_never_rests },
	{ "a requested size that jumps every millisecond", test_requested_size_jumps },
	{ "a storm of interrupts", test_interrupt_storm },
	{ NULL, NULL },
};
