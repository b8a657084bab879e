// SPDX-License-Identifier: Apache-2.0
/* hugetlb has pools of its own, which must not be filled from partitions. Needs the test kernel. */
#include "pages.h"
#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define HUGE (2 * MIB)
#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define NODE_POOL "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/"

static unsigned long pool_value(const char *path)
{
	unsigned long value = 0;
	FILE *f = fopen(path, "re");

	CHECK_MSG(f && fscanf(f, "%lu", &value) == 1, "%s", path);
	fclose(f);
	return value;
}

/* A pool asked of a partition's node stays empty; one asked of all nodes fills from node 0. */
static void test_pools(void)
{
	char path[160];

	populate(2);
	claim_new("a");
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), NODE_POOL "nr_hugepages", partition_nid(i));
		write_file(path, "8", 0);
		CHECK_MSG(pool_value(path) == 0, "%s", path);
		snprintf(path, sizeof(path), NODE_POOL "nr_overcommit_hugepages", partition_nid(i));
		CHECK(access(path, F_OK) != 0);
	}
	CHECK(write_file(POOL "nr_hugepages", "8", 0) == 0);
	CHECK(pool_value(POOL "nr_hugepages") == 8);
	snprintf(path, sizeof(path), NODE_POOL "nr_hugepages", 0);
	CHECK(pool_value(path) == 8);
	CHECK(write_file(POOL "nr_hugepages", "0", 0) == 0);
	CHECK(write_file(POOL "nr_overcommit_hugepages", "8", 0) == 0);
	check_nobody_else(1, NULL);
	cg_end("a");
}

/* MAP_HUGETLB of an owner is served from the pools: outside. */
static void map_hugetlb(void *nid)
{
	char *mem = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	CHECK(mem != MAP_FAILED);
	touch(mem, 4 * HUGE, 1);
	CHECK(pages_elsewhere(mem, 4 * HUGE, 0) == 0);
}

static void test_owner(void)
{
	CHECK(write_file(POOL "nr_overcommit_hugepages", "8", 0) == 0);
	run_claimed(map_hugetlb);
	CHECK(write_file(POOL "nr_hugepages", "4", 0) == 0);
	run_claimed(map_hugetlb);
	CHECK(write_file(POOL "nr_hugepages", "0", 0) == 0);
	CHECK(write_file(POOL "nr_overcommit_hugepages", "0", 0) == 0);
}

const struct test hugetlb_tests[] = {
	{ "pools are not filled from partitions", test_pools },
	{ "huge pages of an owner come from the pools", test_owner },
	{ NULL, NULL }
};
