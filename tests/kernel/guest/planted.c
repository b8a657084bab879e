// SPDX-License-Identifier: Apache-2.0
/* Mistakes planted in the kernel (debugfs squeezy/plant): are they noticed? And is nothing noticed where there is none? */
#include "ledger.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLANT "/sys/kernel/debug/squeezy/plant"
#define KMEMLEAK "/sys/kernel/debug/kmemleak"
#define MIB (1ul << 20)

static void plant(const char *what)
{
	CHECK_MSG(file_write(PLANT, what) == 0, "planting of %s", what);
}

static void hold(void *unused)
{
	char *mem = map_anon(8 * MIB);

	touch(mem, 8 * MIB, 1);
	for (;;)
		pause();
}

/* A mistake of this kind makes the check speak, and its removal makes it silent. */
static void expect_found(const char *what, const char *undo, const char *words)
{
	char text[4096];

	check_pages();
	plant(what);
	CHECK_MSG(!pages_are_right(text, sizeof(text)), "%s is not found", what);
	CHECK_MSG(strstr(text, words), "the check says: %.200s", text);
	plant(undo);
	check_pages();
}

static void test_check_finds(void)
{
	pid_t pid;

	populate(2);
	claim_new("a");
	pid = start_in("a", hold, NULL);
	wait_asleep(pid);
	expect_found("page", "-page", "in use, but not anonymous");
	expect_found("anon", "-anon", "charged to nobody");
	expect_found("file", "-file", "page cache");
	expect_found("table", "-table", "a page table");
	expect_found("count", "-count", "NR_FREE_PAGES is not the sum");
	expect_found("owner", "owner", "charged to a cgroup outside of the claimant");
	expect_found("nid", "nid", "node ids of cgroups contradict each other");
	expect_found("nid", "nid", "a cgroup's node is not that of its claim");
	expect_found("zonelist", "zonelist", "a zonelist has the zone of a partition");
	expect_found("managed", "-managed", "managed pages do not fit its state");
	expect_found("pcp", "-pcp", "a per-CPU list is longer or shorter than its count");
	expect_found("length", "-length", "a free list is not as long as its count");
	expect_found("cache", "-cache", "its node counts memory of the kernel or of files");
	expect_found("sections", "sections", "sections are online or offline against its state");
	wait_state(1, "populated");
	expect_found("free", "-reference", "a free page is referenced or in a block that is not movable");
	populate(1);
	CHECK(has_state(1, "parked"));
	expect_found("parked", "-reference", "referenced, but parked");
	cg_end("a");
	populate(0);
	check_pages();
}

/* Also by a caller in the kernel that names the node; it is what mempolicies come down to. */
static void test_by_node(void)
{
	uint64_t free;

	populate(1);
	claim_new("a");
	free = partition_value(0, "free_bytes");
	CHECK(free > 0);
	plant("by-node");
	CHECK(partition_value(0, "free_bytes") == free);
	cg_end("a");
	populate(0);
}

const struct test check_tests[] = {
	{ "the check of all pages finds pages, counts, lists, an owner, a node and a zonelist that are wrong", test_check_finds },
	{ "the kernel gets nothing by naming a partition's node", test_by_node },
	{ NULL, NULL }
};

/* For a boot that has to be found failed. */
static void test_plant_warning(void)
{
	plant("warning");
}

const struct test plant_warning_tests[] = {
	{ "a warning is planted", test_plant_warning },
	{ NULL, NULL }
};

static void test_plant_leak(void)
{
	plant("leak");
}

const struct test plant_leak_tests[] = {
	{ "a leak is planted", test_plant_leak },
	{ NULL, NULL }
};

/* kmemleak reports nothing that is younger than five seconds; what is about to be freed may look lost to the first scan. */
#define KMEMLEAK_AGE_MS 6000

static void test_no_leaks(void)
{
	char text[8192];

	for (int i = 0; i < 2; i++) {
		sleep_ms(KMEMLEAK_AGE_MS);
		CHECK(file_write(KMEMLEAK, "scan") == 0);
		CHECK(file_read(KMEMLEAK, text, sizeof(text)) == 0);
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# kmemleak: %s\n", line);
	CHECK_MSG(!text[0], "memory of the kernel has been lost");
}

const struct test leaks_tests[] = {
	{ "kmemleak finds nothing", test_no_leaks },
	{ NULL, NULL }
};
