// SPDX-License-Identifier: Apache-2.0
/* Boot memory as the runtime gives it [vm_base_bytes()]: every partition has its map, every container its cgroup, and there is room left. */
#include "bench.h"
#include "suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* For each container's page tables, sockets and files of its runtime, and for programs outside; as test_base_has_room() has it. */
#define ROOM_EACH (16 * MIB)
#define ROOM_OUTSIDE (128 * MIB)

static void live_inside(void *nid)
{
	char *mem = map_anon(MIB);

	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, *(int *)nid) == 0);
	raise(SIGSTOP);
}

static pid_t start_container(unsigned int i)
{
	int nid = partition_nid(claim_new(numbered("c", i)));

	return start_stopped(numbered("c", i), live_inside, &nid);
}

/* Boot memory is what is not movable of node 0: the shared partition is. */
static uint64_t free_boot_kib(void)
{
	FILE *in = fopen("/proc/zoneinfo", "re");
	char line[256], zone[32] = "";
	unsigned long pages = 0, value;
	int node = -1;

	CHECK(in);
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "Node %d, zone %31s", &node, zone) != 2 && !node && strcmp(zone, "Movable") != 0 &&
		    sscanf(line, " pages free %lu", &value) == 1)
			pages += value;
	fclose(in);
	return pages * 4;
}

static void test_room(void)
{
	uint64_t need_kib = (partition_count * ROOM_EACH + ROOM_OUTSIDE) >> 10, free_kib;
	pid_t *pids = calloc(partition_count, sizeof(*pids));

	CHECK(pids);
	populate(partition_count);
	for (unsigned int i = 0; i < partition_count; i++)
		pids[i] = start_container(i);
	free_kib = free_boot_kib();
	CHECK_MSG(free_kib >= need_kib, "%lu KiB are free, not %lu", free_kib, need_kib);
	for (unsigned int i = 0; i < partition_count; i++) {
		cg_end(numbered("c", i));
		CHECK(was_killed(wait_for(pids[i])));
	}
	free(pids);
}

const struct test base_tests[] = {
	{ "all partitions, a container in each, and room beside them", test_room },
	{ NULL, NULL }
};
