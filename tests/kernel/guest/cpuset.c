// SPDX-License-Identifier: Apache-2.0
/*
 * Cpusets that name a partition's node, change under a living process, and come and go. Linux moves a process's memory after its cpuset:
 * never into a partition or out of one.
 */
#include "hostile.h"
#include "pages.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL (8 * MIB)
#define NONE (-1)

static void set_controller(const char *word)
{
	CHECK(cg_write(".", "cgroup.subtree_control", word) == 0);
}

/* Names an ordinary node, a partition's, or both in cpuset.mems. Only the former counts; without one the parent's are in effect. */
static void set_mems(const char *cgroup, int ordinary, int nid)
{
	char text[32], effective[32];

	if (ordinary != NONE && nid != NONE)
		snprintf(text, sizeof(text), "%d,%d", ordinary, nid);
	else
		snprintf(text, sizeof(text), "%d", ordinary == NONE ? nid : ordinary);
	CHECK_MSG(cg_write(cgroup, "cpuset.mems", text) == 0, "%s", text);
	if (ordinary == NONE)
		cg_read(".", "cpuset.mems.effective", text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%d", ordinary);
	cg_read(cgroup, "cpuset.mems.effective", effective, sizeof(effective));
	CHECK_MSG(!strcmp(effective, text), "%s, and not %s", effective, text);
}

struct member {
	const char *cgroup;
	char *mem;	/* SMALL bytes, full of the pattern */
	int nid;	/* of a partition: its own or, to an outsider, another's */
};

/* Calls look() after each change of the cpuset that the caller lives in, with the ordinary node that is named. */
static void change_mems(struct member *m, void (*look)(const struct member *m, int ordinary))
{
	int own = m->nid, last = partition_nid(0) - 1;
	const int steps[][2] = { { 0, NONE }, { NONE, own }, { 0, own }, { last, NONE }, { last, own }, { NONE, own }, { 0, NONE } };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		set_mems(m->cgroup, steps[i][0], steps[i][1]);
		look(m, steps[i][0]);
	}
}

static void outside(const struct member *m, int ordinary)
{
	char *more = map_pattern(MIB);

	CHECK(has_pattern(m->mem, SMALL) && is_ordinary(m->mem, SMALL));
	/* The cpuset is obeyed as far as it goes. */
	CHECK(ordinary == NONE ? is_ordinary(more, MIB) : pages_elsewhere(more, MIB, ordinary) == 0);
	munmap(more, MIB);
}

static void stay_outside(void *nid)
{
	struct member m = { "b", map_pattern(SMALL), *(int *)nid };

	outside(&m, NONE);
	change_mems(&m, outside);
	none_inside(2);
}

/* A partition that is claimed and one that is free. */
static void test_outsider(void)
{
	int nids[2];

	populate(2);
	set_controller("+cpuset");
	nids[0] = partition_nid(claim_new("a"));
	nids[1] = partition_nid(1);
	CHECK(nids[0] != nids[1]);
	CHECK(cg_make("b") == 0);
	for (size_t i = 0; i < 2; i++) {
		set_mems("b", NONE, nids[i]);
		CHECK(run_in("b", stay_outside, &nids[i]) == 0);
	}
	cg_end("a");
	cg_end("b");
	set_controller("-cpuset");
}

static void inside(const struct member *m, int ordinary)
{
	char *more = map_pattern(MIB);

	CHECK_MSG(has_pattern(m->mem, SMALL) && pages_elsewhere(m->mem, SMALL, m->nid) == 0, "what it had, node %d named", ordinary);
	CHECK_MSG(pages_elsewhere(more, MIB, m->nid) == 0, "what it adds, node %d named", ordinary);
	munmap(more, MIB);
}

static void stay_inside(void *nid)
{
	struct member m = { "a", map_pattern(SMALL), *(int *)nid };

	change_mems(&m, inside);
}

static void test_owner(void)
{
	int nid;

	populate(1);
	set_controller("+cpuset");
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", stay_inside, &nid) == 0);
	cg_end("a");
	set_controller("-cpuset");
}

/* From a cpuset of its own to the root's, and to a new one. */
static void turn_off_and_on(void *nid)
{
	struct member m = { "a", map_pattern(SMALL), *(int *)nid };
	char before[16], after[16];

	cg_read("a", "memory.squeezy", before, sizeof(before));
	for (int ordinary = 0; ordinary < partition_nid(0); ordinary++) {
		set_controller("+cpuset");
		inside(&m, NONE);
		set_mems("a", ordinary, m.nid);
		inside(&m, ordinary);
		set_controller("-cpuset");
		inside(&m, NONE);
	}
	set_controller("+cpuset");
	inside(&m, NONE);
	cg_read("a", "memory.squeezy", after, sizeof(after));
	CHECK_MSG(!strcmp(before, after), "%s, and then %s", before, after);
	set_controller("-cpuset");
}
INSIDE(turn_off_and_on)

static void leave_for_cpuset(void *nid)
{
	struct member m = { "b", map_pattern(SMALL), *(int *)nid };
	uint64_t refused = counter("migrations_refused");
	char *more;

	CHECK(cg_write("", "cgroup.procs", "0") == 0);
	set_controller("+cpuset");
	/* Linux moves nothing unless something changes for the process: in a machine with one ordinary node, that is its CPUs. */
	CHECK(cg_write("b", "cpuset.cpus", "0") == 0);
	set_mems("b", 0, NONE);
	CHECK(cg_write("b", "cgroup.procs", "0") == 0);
	CHECK_MSG(counter("migrations_refused") >= refused + SMALL / PAGE, "%lu refused", counter("migrations_refused") - refused);
	CHECK(has_pattern(m.mem, SMALL) && pages_elsewhere(m.mem, SMALL, m.nid) == 0);
	more = map_pattern(MIB);
	CHECK(pages_elsewhere(more, MIB, 0) == 0);
}

/*
 * A process takes its pages along to the root cpuset and to another one: its memory is to follow from all nodes that there can be, also
 * from partitions'.
 * Must come first: when somebody has been moved back to the root cpuset, Linux counts no more than its effective nodes.
 */
static void test_departed(void)
{
	int nid;

	populate(1);
	CHECK(cg_make("b") == 0);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", leave_for_cpuset, &nid) == 0);
	cg_end("b");
	cg_end("a");
	set_controller("-cpuset");
}

const struct test cpuset_tests[] = {
	{ "the pages of a process that leaves for another cpuset stay in the partition", test_departed },
	{ "a cpuset that names a partition's node lets nobody in", test_outsider },
	{ "cpuset.mems of a living owner is changed", test_owner },
	{ "the cpuset controller is turned off and on over a living owner", test_turn_off_and_on },
	{ NULL, NULL }
};
