// SPDX-License-Identifier: Apache-2.0
/* Normal memory: what a memory map, page tables and a container's cgroup take of it; how long the cgroup takes to make and remove. */
#include "bench.h"

#include <stdio.h>

#define WARM 20
#define CGROUPS 60
#define TABLE_BYTES (64 * MIB)

static void memory_map(void)
{
	uint64_t before;

	if (!partition_count)
		return;
	before = free_normal_kib();
	request(1);
	wait_state(0, "populated");
	result("map", "\"partition_mib\": %zu, \"kib\": %llu", partition_bytes / MIB, (unsigned long long)(before - free_normal_kib()));
}

static void page_tables(void)
{
	uint64_t before;

	if (!partition_count)
		return;
	claim_new("a");
	settle_counters();
	before = meminfo("PageTables:");
	start_user("a", TABLE_BYTES);
	settle_counters();
	result("tables", "\"used_mib\": %zu, \"kib\": %llu", TABLE_BYTES / MIB, (unsigned long long)(meminfo("PageTables:") - before));
	cg_end("a");
}

/* Slabs and per-CPU chunks come in steps: the first cgroups fill what is there, and the next many are the measure. */
static void cgroups(void)
{
	static uint64_t make[WARM + CGROUPS], end[WARM + CGROUPS];
	uint64_t before = 0, used;

	for (unsigned int i = 0; i < WARM + CGROUPS; i++) {
		uint64_t start;

		if (i == WARM)
			before = free_normal_kib();
		start = clock_now();
		CHECK(cg_make(numbered("m", i)) == 0);
		make[i] = clock_now() - start;
	}
	used = before - free_normal_kib();
	for (unsigned int i = 0; i < WARM + CGROUPS; i++) {
		uint64_t start = clock_now();

		CHECK(cg_remove(numbered("m", i)) == 0);
		end[i] = clock_now() - start;
	}
	median_of(make, WARM + CGROUPS);
	median_of(end, WARM + CGROUPS);
	result("cgroup", "\"partitions\": %u, \"n\": %d, \"kib_each\": %llu, \"mkdir\": %llu, \"mkdir_max\": %llu, \"rmdir\": %llu", partition_count,
	       CGROUPS, (unsigned long long)(used / CGROUPS), (unsigned long long)make[(WARM + CGROUPS) / 2],
	       (unsigned long long)make[WARM + CGROUPS - 1], (unsigned long long)end[(WARM + CGROUPS) / 2]);
}

const struct test bench_memory_tests[] = {
	/* Cgroups last: their memory comes back later than they go. */
	{ "the memory map of a partition", memory_map },
	{ "page tables of an instance", page_tables },
	{ "a container's cgroup", cgroups },
	{ NULL, NULL },
};
