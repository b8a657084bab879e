// SPDX-License-Identifier: Apache-2.0
/* Anonymous memory that a process of a claiming cgroup makes for itself: each way must end in the partition. */
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

static void all_here(const char *mem, size_t bytes, void *nid)
{
	size_t bad = pages_elsewhere(mem, bytes, *(int *)nid);

	CHECK_MSG(bad == 0, "%zu of %zu pages", bad, bytes / PAGE);
}

static bool is_present(const void *page)
{
	return pfn_of(page) != 0;
}

static void first_touch(void *nid)
{
	char *mem = map_anon(32 * MIB);

	touch(mem, 32 * MIB, 1);
	all_here(mem, 32 * MIB, nid);
}

/* Read first: the zero page, which is nobody's, then a copy on write. */
static void read_then_write(void *nid)
{
	char *mem = map_anon(MIB);

	for (size_t i = 0; i < MIB; i += PAGE)
		CHECK(*(volatile char *)(mem + i) == 0);
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
	mem = map_anon(MIB);
	CHECK(madvise(mem, MIB, MADV_POPULATE_READ) == 0);
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
}

static void populated_by_request(void *nid)
{
	char *mem = map_anon(MIB);

	CHECK(madvise(mem, MIB, MADV_POPULATE_WRITE) == 0);
	all_here(mem, MIB, nid);
	mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK(mem != MAP_FAILED);
	all_here(mem, MIB, nid);
	mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(mem != MAP_FAILED);
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
}

static void locked(void *nid)
{
	char *mem = map_anon(MIB);

	CHECK(mlock(mem, MIB) == 0);
	all_here(mem, MIB, nid);
	mem = map_anon(MIB);
	CHECK(mlock2(mem, MIB, MLOCK_ONFAULT) == 0);
	CHECK(!is_present(mem));
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
	CHECK(mlockall(MCL_FUTURE) == 0);
	mem = map_anon(MIB);
	all_here(mem, MIB, nid);
	CHECK(munlockall() == 0);
	all_here(mem, MIB, nid);
}

static void moved_mapping(void *nid)
{
	char *mem = map_anon(MIB), *old;

	touch(mem, MIB, 1);
	/* Something behind it, so that it has to move. */
	mmap(mem + MIB, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	mem = mremap(mem, MIB, 2 * MIB, MREMAP_MAYMOVE);
	CHECK(mem != MAP_FAILED);
	all_here(mem, MIB, nid);
	touch(mem, 2 * MIB, 2);
	all_here(mem, 2 * MIB, nid);
	old = mem;
	/* glibc hands on no address here, the kernel wants one. */
	mem = (char *)syscall(SYS_mremap, old, 2 * MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(mem != MAP_FAILED && mem != old);
	all_here(mem, 2 * MIB, nid);
	touch(old, 2 * MIB, 3);
	all_here(old, 2 * MIB, nid);
}

/* Given back and touched again: new pages, the same partition. */
static void given_back(void *nid)
{
	char *mem = map_anon(MIB);

	touch(mem, MIB, 1);
	CHECK(madvise(mem, MIB, MADV_DONTNEED) == 0);
	CHECK(!is_present(mem));
	touch(mem, MIB, 2);
	all_here(mem, MIB, nid);
	CHECK(madvise(mem, MIB, MADV_FREE) == 0);
	touch(mem, MIB, 3);
	all_here(mem, MIB, nid);
	CHECK(mem[0] == 3);
	CHECK(mlock(mem, MIB) == 0);
	CHECK(madvise(mem, MIB, MADV_DONTNEED_LOCKED) == 0);
	touch(mem, MIB, 4);
	all_here(mem, MIB, nid);
}

/* There is no swap: cold pages stay, what was marked free goes; neither turns up elsewhere. */
static void cold(void *nid)
{
	char *mem = map_anon(MIB);

	touch(mem, MIB, 1);
	CHECK(madvise(mem, MIB, MADV_COLD) == 0);
	CHECK(madvise(mem, MIB, MADV_PAGEOUT) == 0);
	CHECK(is_present(mem) && mem[0] == 1);
	all_here(mem, MIB, nid);
	CHECK(madvise(mem, MIB, MADV_WILLNEED) == -1 && errno == EBADF);
	CHECK(madvise(mem, MIB, MADV_FREE) == 0);
	CHECK(madvise(mem, MIB, MADV_PAGEOUT) == 0);
	touch(mem, MIB, 2);
	all_here(mem, MIB, nid);
}

static void protection_changes(void *nid)
{
	char *mem = map_anon(MIB);

	touch(mem, MIB / 2, 1);
	CHECK(mprotect(mem, MIB, PROT_READ) == 0);
	CHECK(*(volatile char *)(mem + MIB / 2) == 0);
	CHECK(mprotect(mem, MIB, PROT_READ | PROT_WRITE) == 0);
	touch(mem, MIB, 2);
	all_here(mem, MIB, nid);
	mem = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	CHECK(mprotect(mem, MIB, PROT_READ | PROT_WRITE) == 0);
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
}

static void heap(void *nid)
{
	char *old = sbrk((intptr_t)MIB), *mem;

	CHECK(old != (void *)-1);
	/* The first byte may share its page with what was there before the fork. */
	mem = (char *)(((uintptr_t)old + PAGE - 1) & ~(PAGE - 1));
	touch(mem, MIB / 2, 1);
	all_here(mem, MIB / 2, nid);
}

static __attribute__((noinline)) void use_stack(void *nid)
{
	char frame[512 * 1024];
	char *mem = (char *)(((uintptr_t)frame + PAGE - 1) & ~(PAGE - 1));

	touch(mem, sizeof(frame) - PAGE, 1);
	__asm__ volatile("" : : "r"(frame) : "memory");
	/* The upper part may be pages from before the claim, which this process inherited by fork. */
	all_here(mem, sizeof(frame) / 4 * 3, nid);
}

static void grows_down(void *nid)
{
	char *room = mmap(NULL, 16 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *mem;

	CHECK(room != MAP_FAILED);
	CHECK(munmap(room, 16 * MIB) == 0);
	mem = mmap(room + 16 * MIB - PAGE, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(mem != MAP_FAILED);
	for (size_t i = 0; i < 256; i++)
		*(volatile char *)(mem - i * PAGE) = 1;
	all_here(mem - 255 * PAGE, 256 * PAGE, nid);
	use_stack(nid);
}

static void many_small_mappings(void *nid)
{
	for (int i = 0; i < 500; i++) {
		char *mem = map_anon(2 * PAGE);

		touch(mem, 2 * PAGE, 1);
		all_here(mem, 2 * PAGE, nid);
		CHECK(mprotect(mem, PAGE, PROT_READ) == 0);
	}
}

static void fill_and_look(void *nid)
{
	first_touch(nid);
	read_then_write(nid);
}

/* A child cgroup inherits; its pages are in the same partition. */
static void test_inherit(void)
{
	char id[16];
	int nid;

	populate(1);
	CHECK(cg_make("a") == 0);
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	CHECK(cg_make("a/b") == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == 0);
	cg_read("a/b", "memory.squeezy", id, sizeof(id));
	CHECK(id[0] != 'n');
	nid = partition_nid((unsigned int)atoi(id));
	CHECK(run_in("a/b", fill_and_look, &nid) == 0);
	CHECK(cg_write("a/b", "memory.squeezy", "auto") == -EBUSY);
	CHECK(cg_write("a/b", "memory.squeezy", "none") == -EPERM);
	cg_end("a/b");
	cg_end("a");
}

static void fill_to_half(void *nid)
{
	char *mem = map_anon(partition_bytes / 2);

	touch(mem, partition_bytes / 2, 1);
	all_here(mem, partition_bytes / 2, nid);
	for (;;)
		pause();
}

/* The owner's pages are seen as its own from outside, page by page. */
static void test_census(void)
{
	struct census c;
	unsigned int id;
	pid_t pid;
	int nid;

	populate(1);
	id = claim_new("a");
	nid = partition_nid(id);
	pid = start_in("a", fill_to_half, &nid);
	wait_asleep(pid);
	check_nobody_else(id, "a");
	take_census(id, "a", &c);
	CHECK_MSG(c.own >= partition_bytes / 2 / PAGE, "%zu own", c.own);
	/* The same pages counted for another cgroup are foreign: the census can fail. */
	take_census(id, NULL, &c);
	CHECK_MSG(c.foreign >= partition_bytes / 2 / PAGE, "%zu foreign", c.foreign);
	cg_end("a");
	wait_for(pid);
	check_nobody_else(id, NULL);
}

INSIDE(first_touch)
INSIDE(read_then_write)
INSIDE(populated_by_request)
INSIDE(locked)
INSIDE(moved_mapping)
INSIDE(given_back)
INSIDE(cold)
INSIDE(protection_changes)
INSIDE(heap)
INSIDE(grows_down)
INSIDE(many_small_mappings)

const struct test placement_tests[] = {
	{ "anonymous memory comes from the partition", test_first_touch },
	{ "so does what was read before it is written", test_read_then_write },
	{ "MAP_POPULATE, MADV_POPULATE_*, MAP_NORESERVE", test_populated_by_request },
	{ "mlock, mlock2 and mlockall", test_locked },
	{ "mremap, also MREMAP_DONTUNMAP", test_moved_mapping },
	{ "touched again after MADV_DONTNEED and MADV_FREE", test_given_back },
	{ "MADV_COLD and MADV_PAGEOUT", test_cold },
	{ "mprotect and a fault after it", test_protection_changes },
	{ "the heap", test_heap },
	{ "stacks and MAP_GROWSDOWN", test_grows_down },
	{ "hundreds of small mappings", test_many_small_mappings },
	{ "a child cgroup inherits the claim", test_inherit },
	{ "a census of the partition finds the owner's pages only", test_census },
	{ NULL, NULL }
};
