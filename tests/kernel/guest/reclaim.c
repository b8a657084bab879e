// SPDX-License-Identifier: Apache-2.0
/* MADV_FREE memory in a partition: reclaimed for limits, on request, and before anybody is killed. */
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

static char *map_freed(size_t bytes)
{
	char *mem = map_anon(bytes);

	touch(mem, bytes, 1);
	CHECK(madvise(mem, bytes, MADV_FREE) == 0);
	return mem;
}

/* What was written after MADV_FREE is not free any more; the rest reads as it was, or as zero. */
static void check_freed(const char *mem, size_t bytes, size_t kept)
{
	size_t gone = 0;

	for (size_t at = 0; at < kept; at += PAGE)
		CHECK_MSG(mem[at] == 2, "page %zu has %d", at / PAGE, mem[at]);
	for (size_t at = kept; at < bytes; at += PAGE) {
		CHECK_MSG(mem[at] == 0 || mem[at] == 1, "page %zu has %d", at / PAGE, mem[at]);
		gone += mem[at] == 0;
	}
	CHECK(gone > 0);
}

/* Gives @first bytes up, takes back an eighth of them, and then uses @second bytes more. */
struct plan {
	size_t first, second;
	int nid;
};

static void free_and_fill(void *arg)
{
	struct plan *plan = arg;
	char *freed = map_freed(plan->first), *mem = map_anon(plan->second);

	touch(freed, plan->first / 8, 2);
	touch(mem, plan->second, 3);
	CHECK(pages_elsewhere(mem, plan->second, plan->nid) == 0);
	check_freed(freed, plan->first, plan->first / 8);
}

static void read_all(const char *mem, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE)
		(void)*(volatile const char *)(mem + at);
}

/* Given up, and read since by two: reclaim thinks them worth keeping, at first. */
static void free_read_and_fill(void *arg)
{
	struct plan *plan = arg;
	char *freed = map_freed(plan->first), *mem = map_anon(plan->second);
	int fds[2];
	char byte;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	read_all(freed, plan->first);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		read_all(freed, plan->first);
		if (write(fds[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	CHECK(read(fds[0], &byte, 1) == 1);
	touch(mem, plan->second, 3);
	CHECK(pages_elsewhere(mem, plan->second, plan->nid) == 0);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void fill_partition(void (*fn)(void *plan))
{
	struct plan plan = { partition_bytes / 4 * 3, partition_bytes / 2, 0 };
	uint64_t full = counter("partition_full"), kills = counter("oom_kills");

	populate(1);
	plan.nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", fn, &plan) == 0);
	CHECK(counter("partition_full") > full);
	CHECK(counter("oom_kills") == kills);
	CHECK(cg_event("a", "memory.events", "oom") == 0);
	cg_end("a");
}

static void test_full(void)
{
	fill_partition(free_and_fill);
}

/* The third scan comes before a kill. */
static void test_full_read(void)
{
	fill_partition(free_read_and_fill);
}

static void fill_limit(void (*fn)(void *plan))
{
	struct plan plan = { 40 * MIB, 40 * MIB, 0 };
	uint64_t full = counter("partition_full");

	populate(1);
	plan.nid = partition_nid(claim_new("a"));
	CHECK(cg_write("a", "memory.max", "64M") == 0);
	CHECK(run_in("a", fn, &plan) == 0);
	CHECK(cg_event("a", "memory.events", "max") > 0);
	CHECK(cg_event("a", "memory.events", "oom") == 0);
	CHECK(counter("partition_full") == full);
	cg_end("a");
}

static void test_memory_max(void)
{
	fill_limit(free_and_fill);
}

static void test_memory_max_read(void)
{
	fill_limit(free_read_and_fill);
}

static void test_memory_high(void)
{
	struct plan plan = { 40 * MIB, 32 * MIB, 0 };

	populate(1);
	plan.nid = partition_nid(claim_new("a"));
	CHECK(cg_write("a", "memory.high", "56M") == 0);
	CHECK(run_in("a", free_and_fill, &plan) == 0);
	CHECK(cg_event("a", "memory.events", "high") > 0);
	CHECK(cg_number("a", "memory.peak") < 64 * MIB);
	cg_end("a");
}

static void freed_holder(void *arg)
{
	map_freed(*(size_t *)arg);
	for (;;)
		pause();
}

static void test_memory_reclaim(void)
{
	size_t bytes = 32 * MIB;
	uint64_t before;
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_in("a", freed_holder, &bytes);
	wait_asleep(pid);
	before = cg_number("a", "memory.current");
	CHECK(cg_write("a", "memory.reclaim", "16M") == 0);
	CHECK(before - cg_number("a", "memory.current") >= 15 * MIB);
	/* What is in use stays: 32 MiB and a bit are not to be had. */
	CHECK(cg_write("a", "memory.reclaim", "32M") == -EAGAIN);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	cg_end("a");
	wait_for(pid);
}

/* Asked for above the claimant, and held back by memory.min below it. */
static void test_hierarchy(void)
{
	size_t bytes = 32 * MIB;
	uint64_t before;
	pid_t pid;

	populate(1);
	CHECK(cg_make("a") == 0);
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	claim_new("a/b");
	pid = start_in("a/b", freed_holder, &bytes);
	wait_asleep(pid);
	CHECK(cg_write("a", "memory.min", "64M") == 0);
	CHECK(cg_write("a/b", "memory.min", "64M") == 0);
	before = cg_number("a/b", "memory.current");
	CHECK(cg_write("a", "memory.reclaim", "16M") == -EAGAIN);
	CHECK(before - cg_number("a/b", "memory.current") < 8 * MIB);
	CHECK(cg_write("a/b", "memory.min", "0") == 0);
	CHECK(cg_write("a", "memory.reclaim", "16M") == 0);
	CHECK(before - cg_number("a/b", "memory.current") >= 15 * MIB);
	cg_end("a/b");
	wait_for(pid);
	cg_end("a");
}

/* Others' reclaim does not shrink a partition. */
static void test_others(void)
{
	size_t bytes = 32 * MIB;
	uint64_t before;
	pid_t claiming, other;

	populate(1);
	claim_new("a");
	CHECK(cg_make("b") == 0);
	claiming = start_in("a", freed_holder, &bytes);
	wait_asleep(claiming);
	other = start_in("b", freed_holder, &bytes);
	wait_asleep(other);
	before = cg_number("a", "memory.current");
	CHECK(cg_write("b", "memory.reclaim", "16M") == 0);
	CHECK(cg_write("b", "memory.reclaim", "64M") == -EAGAIN);
	CHECK(cg_number("a", "memory.current") >= before);
	cg_end("a");
	cg_end("b");
	wait_for(claiming);
	wait_for(other);
}

const struct test reclaim_tests[] = {
	{ "MADV_FREE memory goes before anybody is killed", test_full },
	{ "MADV_FREE memory that was read since goes before anybody is killed", test_full_read },
	{ "memory.max reclaims MADV_FREE memory", test_memory_max },
	{ "memory.max reclaims MADV_FREE memory that was read since", test_memory_max_read },
	{ "memory.high reclaims MADV_FREE memory", test_memory_high },
	{ "memory.reclaim reclaims from the partition", test_memory_reclaim },
	{ "memory.reclaim from above, and memory.min", test_hierarchy },
	{ "reclaim of another cgroup leaves the partition alone", test_others },
	{ NULL, NULL }
};
