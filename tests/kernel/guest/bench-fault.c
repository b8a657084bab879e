// SPDX-License-Identifier: Apache-2.0
/* Instructions of an anonymous page fault, and of giving the page back, inside a claiming cgroup and in one that claims nothing. */
#include "bench.h"
#include "pages.h"

#include <string.h>
#include <sys/mman.h>

#define ROUNDS 5
#define HUGE_BYTES (2 * MIB)

struct faults {
	const char *who;		/* of the cgroup: "claim" or "none" */
	const char *pages;
	size_t bytes, step;
	int advice, nid;		/* nid: of the node that has to serve them */
	uint64_t fault[ROUNDS], unmap[ROUNDS];
};

/* Memory that starts at a border of a huge page; the rest of the mapping is never touched. */
static char *map_aligned(size_t bytes, int advice)
{
	char *mem = map_anon(bytes + HUGE_BYTES);

	mem += -(uintptr_t)mem % HUGE_BYTES;
	CHECK(madvise(mem, bytes, advice) == 0);
	return mem;
}

/* A fault that takes a page of somewhere else, or small pages in place of a huge one, would be cheap for the wrong reason. */
static void check_placed(const struct faults *f, const char *mem)
{
	bool huge = f->step == HUGE_BYTES;

	CHECK(pages_elsewhere(mem, f->bytes, f->nid) == 0);
	for (size_t at = 0; at < f->bytes; at += HUGE_BYTES)
		CHECK((flags_of_pfn(pfn_of(mem + at)) >> KPF_THP & 1) == huge);
}

static void measure_round(struct faults *f, unsigned int round)
{
	size_t n = f->bytes / f->step;
	char *mem = map_aligned(f->bytes, f->advice);
	uint64_t start = clock_now();

	for (size_t at = 0; at < f->bytes; at += f->step)
		mem[at] = 1;
	f->fault[round] = (clock_now() - start) / n;
	check_placed(f, mem);
	start = clock_now();
	CHECK(madvise(mem, f->bytes, MADV_DONTNEED) == 0);
	f->unmap[round] = (clock_now() - start) / n;
	CHECK(munmap(mem, f->bytes) == 0);
}

static void measure(void *arg)
{
	struct faults *f = arg;

	for (unsigned int i = 0; i < ROUNDS; i++)
		measure_round(f, i);
	median_of(f->fault, ROUNDS);
	median_of(f->unmap, ROUNDS);
	result("fault", "\"who\": \"%s\", \"pages\": \"%s\", \"n\": %zu, \"min\": %llu, \"median\": %llu, \"max\": %llu, \"unmap\": %llu",
	       f->who, f->pages, f->bytes / f->step, (unsigned long long)f->fault[0], (unsigned long long)f->fault[ROUNDS / 2],
	       (unsigned long long)f->fault[ROUNDS - 1], (unsigned long long)f->unmap[ROUNDS / 2]);
}

static void measure_in(const char *cgroup, const char *who, int nid)
{
	struct faults small = { .who = who, .pages = "4k", .bytes = 16 * MIB, .step = 4096, .advice = MADV_NOHUGEPAGE, .nid = nid };
	struct faults huge = { .who = who, .pages = "thp", .bytes = 32 * MIB, .step = HUGE_BYTES, .advice = MADV_HUGEPAGE, .nid = nid };

	CHECK(run_in(cgroup, measure, &small) == 0);
	CHECK(run_in(cgroup, measure, &huge) == 0);
}

static void faults_without(void)
{
	CHECK(cg_make("a") == 0);
	measure_in("a", "none", 0);
	cg_end("a");
}

static void faults_with(void)
{
	int nid;

	if (!partition_count)
		return;
	request(1);
	wait_state(0, "populated");
	faults_without();
	nid = partition_nid(claim_new("b"));
	measure_in("b", "claim", nid);
	cg_end("b");
}

/* The others first have a partition that is claimed, so that whatever a claim turns on is on. */
static void faults_beside(void)
{
	if (!partition_count)
		return;
	request(2);
	claim_new("b");
	CHECK(cg_make("a") == 0);
	measure_in("a", "beside", 0);
	cg_end("a");
	cg_end("b");
}

const struct test bench_fault_tests[] = {
	{ "faults of a cgroup that claims nothing", faults_without },
	{ "faults of a cgroup that claims a partition", faults_with },
	{ "faults beside a claim", faults_beside },
	{ NULL, NULL },
};
