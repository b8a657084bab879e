// SPDX-License-Identifier: Apache-2.0
/* Huge pages of a claiming cgroup: by fault, by khugepaged, by request, and the sizes between. */
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define HUGE (2 * MIB)
#define THP_SYSFS "/sys/kernel/mm/transparent_hugepage/"

static void all_here(const char *mem, size_t bytes, void *nid)
{
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

static bool is_huge(const void *page)
{
	return flags_of_pfn(pfn_of(page)) >> KPF_THP & 1;
}

/* Address space for @bytes that starts at the border of a huge page. */
static char *map_aligned(size_t bytes)
{
	char *mem = map_anon(bytes + HUGE);

	return (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));
}

/* The same, filled with small pages and open to huge ones after that. */
static char *map_small(size_t bytes)
{
	char *mem = map_aligned(bytes);

	CHECK(madvise(mem, bytes, MADV_NOHUGEPAGE) == 0);
	touch(mem, bytes, 1);
	CHECK(!is_huge(mem));
	CHECK(madvise(mem, bytes, MADV_HUGEPAGE) == 0);
	return mem;
}

static void by_fault(void *nid)
{
	char *mem = map_aligned(32 * MIB);
	uint64_t before = vmstat("thp_fault_alloc");

	CHECK(madvise(mem, 32 * MIB, MADV_HUGEPAGE) == 0);
	touch(mem, 32 * MIB, 1);
	CHECK_MSG(vmstat("thp_fault_alloc") - before >= 15, "%lu of at least 15, %lu fallbacks",
		  vmstat("thp_fault_alloc") - before, vmstat("thp_fault_fallback"));
	all_here(mem, 32 * MIB, nid);
}

/* The huge zero page is the kernel's; a write to it makes pages of the partition. Linux turns it off in a VM as small as ours. */
static void zero_first(void *nid)
{
	char *mem = map_aligned(HUGE);

	CHECK(write_file(THP_SYSFS "use_zero_page", "1", 0) == 0);
	CHECK(madvise(mem, HUGE, MADV_HUGEPAGE) == 0);
	CHECK(*(volatile char *)mem == 0);
	CHECK(write_file(THP_SYSFS "use_zero_page", "0", 0) == 0);
	CHECK(is_huge(mem) && flags_of_pfn(pfn_of(mem)) >> KPF_ZERO_PAGE & 1);
	touch(mem, HUGE, 1);
	all_here(mem, HUGE, nid);
}

/* A write after fork splits or copies; both halves of the family stay inside. */
static void copied_after_fork(void *nid)
{
	char *mem = map_aligned(4 * HUGE);
	int status;
	pid_t pid;

	CHECK(madvise(mem, 4 * HUGE, MADV_HUGEPAGE) == 0);
	touch(mem, 4 * HUGE, 1);
	CHECK(is_huge(mem) && is_huge(mem + 2 * HUGE));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		touch(mem, 2 * HUGE, 2);
		_exit(pages_elsewhere(mem, 4 * HUGE, *(int *)nid) ? 1 : 0);
	}
	touch(mem, 3 * HUGE, 3);
	all_here(mem, 4 * HUGE, nid);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

static void by_request(void *nid)
{
	char *mem = map_small(4 * HUGE);

	CHECK(madvise(mem, 4 * HUGE, MADV_COLLAPSE) == 0);
	CHECK(is_huge(mem) && is_huge(mem + 3 * HUGE));
	all_here(mem, 4 * HUGE, nid);
}

static bool is_collapsed(void *mem)
{
	return is_huge(mem);
}

/* khugepaged itself, which runs in no cgroup. */
static void collapsed_in_time(void *nid)
{
	uint64_t before = vmstat("thp_collapse_alloc");
	char *mem = map_small(2 * HUGE);

	CHECK(wait_until(is_collapsed, mem, 60000));
	CHECK(vmstat("thp_collapse_alloc") > before);
	all_here(mem, 2 * HUGE, nid);
}

static void by_khugepaged(void *nid)
{
	khugepaged_set_rests("10", "10");
	collapsed_in_time(nid);
	khugepaged_set_rests("10000", "60000");
}

/* Brings small pages of node 0 into a claim; they can never be collapsed. */
static void bring_small_pages(void *cgroup)
{
	char *mem = map_aligned(HUGE);

	CHECK(madvise(mem, HUGE, MADV_NOHUGEPAGE) == 0);
	touch(mem, HUGE, 1);
	CHECK(cg_write("", "cgroup.procs", "0") == 0);
	CHECK(cg_write(cgroup, "cgroup.procs", "0") == 0);
	CHECK(madvise(mem, HUGE, MADV_HUGEPAGE) == 0);
	raise(SIGSTOP);
}

/* What one instance cannot have is no reason for khugepaged to rest: the pages of others are collapsed all the same. */
static void test_others_collapse(void)
{
	uint64_t failed;
	int nid;
	pid_t pid;

	populate(2);
	claim_new("b");
	nid = partition_nid(claim_new("a"));
	pid = start_stopped(NULL, bring_small_pages, "b");
	failed = vmstat("thp_collapse_alloc_failed");
	/* Whoever rests for want of memory does so until the test's time is up. */
	khugepaged_set_rests("10", "100000000");
	khugepaged_scan();
	CHECK(vmstat("thp_collapse_alloc_failed") > failed);
	CHECK(run_in("a", collapsed_in_time, &nid) == 0);
	khugepaged_set_rests("10000", "60000");
	cg_end("b");
	wait_for(pid);
	cg_end("a");
}

struct mixed {
	int nid;
	char *mem;
};

/*
 * Pages that predate the claim are in node 0. A range of nothing else is left alone: whether it is anonymous cannot be told where
 * the huge page is allocated. One page of the partition among them settles it, and the huge page is the partition's.
 */
static void mixed_range(void *arg)
{
	struct mixed *m = arg;

	CHECK(pages_elsewhere(m->mem, HUGE, 0) == 0);
	CHECK(madvise(m->mem, HUGE, MADV_HUGEPAGE) == 0);
	CHECK(madvise(m->mem, HUGE, MADV_COLLAPSE) == -1);
	CHECK(!is_huge(m->mem) && pages_elsewhere(m->mem, HUGE, 0) == 0);
	m->mem[0] = 2;
	CHECK(node_of(m->mem) == m->nid);
	CHECK(madvise(m->mem, HUGE, MADV_COLLAPSE) == 0);
	CHECK(is_huge(m->mem) && pages_elsewhere(m->mem, HUGE, m->nid) == 0);
	CHECK(m->mem[0] == 2 && m->mem[HUGE - PAGE] == 1);
}

static void test_mixed_range(void)
{
	struct mixed m = { .mem = map_aligned(HUGE) };

	CHECK(madvise(m.mem, HUGE, MADV_NOHUGEPAGE) == 0);
	touch(m.mem, HUGE, 1);
	populate(1);
	m.nid = partition_nid(claim_new("a"));
	/* The fork leaves the pages with the parent, too: they are shared, which no collapse minds. */
	CHECK(run_in("a", mixed_range, &m) == 0);
	cg_end("a");
	munmap(m.mem, HUGE);
}

struct departed {
	const char *to;
	int nid, to_nid;
};

static void stays_small(const char *mem, const struct departed *d)
{
	CHECK(!is_huge(mem + PAGE));
	CHECK(pages_elsewhere(mem + PAGE, HUGE - PAGE, d->nid) == 0);
}

/*
 * Leaves its claim with small pages of the partition. Where it is now it gets no huge page for them: a copy would bring contents of one
 * partition to another, or to normal memory. A page of the new place among them does not settle it.
 */
static void leave_and_collapse(void *arg)
{
	struct departed *d = arg;
	char *mem = map_small(HUGE);

	CHECK(cg_write(d->to, "cgroup.procs", "0") == 0);
	CHECK(madvise(mem, HUGE, MADV_COLLAPSE) == -1 && errno == EBUSY);
	CHECK(node_of(mem) == d->nid);
	stays_small(mem, d);
	CHECK(madvise(mem, PAGE, MADV_DONTNEED) == 0);
	mem[0] = 2;
	CHECK(node_of(mem) == d->to_nid);
	CHECK(madvise(mem, HUGE, MADV_COLLAPSE) == -1 && errno == EBUSY);
	CHECK(node_of(mem) == d->to_nid);
	stays_small(mem, d);
	raise(SIGSTOP);
	stays_small(mem, d);
	/* There was no other reason. */
	CHECK(cg_write("a", "cgroup.procs", "0") == 0);
	CHECK(madvise(mem, PAGE, MADV_DONTNEED) == 0);
	CHECK(madvise(mem, HUGE, MADV_COLLAPSE) == 0);
	CHECK(is_huge(mem));
	all_here(mem, HUGE, &d->nid);
}

/* While it is stopped, khugepaged tries the same. */
static void depart(struct departed *d)
{
	uint64_t failed;
	pid_t pid = start_stopped("a", leave_and_collapse, d);

	failed = vmstat("thp_collapse_alloc_failed");
	khugepaged_set_rests("10", "10");
	khugepaged_scan();
	khugepaged_set_rests("10000", "60000");
	CHECK(vmstat("thp_collapse_alloc_failed") > failed);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
}

static void test_departed_to_root(void)
{
	struct departed d = { .to = "", .to_nid = 0 };

	populate(1);
	d.nid = partition_nid(claim_new("a"));
	depart(&d);
	cg_end("a");
}

static void test_departed_to_claim(void)
{
	struct departed d = { .to = "b" };

	populate(2);
	d.nid = partition_nid(claim_new("a"));
	d.to_nid = partition_nid(claim_new("b"));
	depart(&d);
	cg_end("a");
	cg_end("b");
}

static void wait_with_small_pages(void *mem)
{
	CHECK(madvise(mem, HUGE, MADV_NOHUGEPAGE) == 0);
	touch(mem, HUGE, 1);
	CHECK(madvise(mem, HUGE, MADV_HUGEPAGE) == 0);
	raise(SIGSTOP);
	CHECK(is_huge(mem));
}

/* Collapse on behalf of another process: its partition, not the caller's memory. */
static void test_by_remote_request(void)
{
	char *mem = map_aligned(HUGE);
	struct iovec iov = { mem, HUGE };
	void *page = mem;
	int nid, node, pidfd;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_stopped("a", wait_with_small_pages, mem);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(pidfd >= 0);
	CHECK(syscall(SYS_process_madvise, pidfd, &iov, 1, MADV_COLLAPSE, 0) == (long)HUGE);
	CHECK(syscall(SYS_move_pages, pid, 1, &page, NULL, &node, 0) == 0);
	CHECK_MSG(node == nid, "node %d", node);
	close(pidfd);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
}

static uint64_t mthp_stat(unsigned int kib, const char *name)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), THP_SYSFS "hugepages-%ukB/stats/%s", kib, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_MSG(fd >= 0, "%s", path);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 10);
}

/* Every size between a page and a huge page. */
static void sizes_between(void *nid)
{
	for (unsigned int kib = 16; kib <= 1024; kib *= 2) {
		uint64_t before = mthp_stat(kib, "anon_fault_alloc");
		char path[128], *mem = map_aligned(8 * MIB);

		snprintf(path, sizeof(path), THP_SYSFS "hugepages-%ukB/enabled", kib);
		CHECK(write_file(path, "always", 0) == 0);
		touch(mem, 8 * MIB, 1);
		CHECK(write_file(path, "never", 0) == 0);
		CHECK_MSG(mthp_stat(kib, "anon_fault_alloc") - before >= 8 * MIB / 1024 / kib, "%u KiB", kib);
		CHECK(is_huge(mem));
		all_here(mem, 8 * MIB, nid);
		/* Copies of large folios after fork. */
		if (!fork()) {
			touch(mem, 8 * MIB, 2);
			_exit(0);
		}
		touch(mem, 8 * MIB, 3);
		all_here(mem, 8 * MIB, nid);
		CHECK(wait(NULL) > 0);
	}
}

/* Split: partly unmapped, by a change of protection, and all at once through debugfs. */
static void split(void *nid)
{
	char *mem = map_aligned(8 * HUGE);

	CHECK(madvise(mem, 8 * HUGE, MADV_HUGEPAGE) == 0);
	touch(mem, 8 * HUGE, 1);
	for (size_t i = 0; i < 4; i++)
		CHECK(madvise(mem + i * HUGE, PAGE, MADV_DONTNEED) == 0);
	CHECK(mprotect(mem + 4 * HUGE, PAGE, PROT_READ) == 0);
	CHECK(write_file("/sys/kernel/debug/split_huge_pages", "1", 0) == 0);
	CHECK(!is_huge(mem + 7 * HUGE));
	all_here(mem + 4 * HUGE, 4 * HUGE, nid);
	touch(mem, 4 * HUGE, 2);
	all_here(mem, 4 * HUGE, nid);
}

static size_t bytes_used_up(void)
{
	return partition_bytes / 16 * 7;
}

/*
 * Until the partition cannot serve a huge page: small ones of the partition, no huge one from elsewhere. Returns bytes_used_up() that
 * have all that there were.
 */
static char *use_up_huge(void *nid)
{
	size_t bytes = 2 * bytes_used_up();
	uint64_t fallbacks = vmstat("thp_fault_fallback");
	char *mem = map_aligned(bytes), *more;

	touch(mem, bytes, 1);
	/* Every second page of it is free again. */
	for (size_t i = 0; i < bytes; i += 2 * PAGE)
		CHECK(madvise(mem + i, PAGE, MADV_DONTNEED) == 0);
	more = map_aligned(bytes_used_up());
	CHECK(madvise(more, bytes_used_up(), MADV_HUGEPAGE) == 0);
	touch(more, bytes_used_up(), 1);
	CHECK(vmstat("thp_fault_fallback") > fallbacks);
	all_here(more, bytes_used_up(), nid);
	return more;
}

static void no_room_for_huge(void *nid)
{
	use_up_huge(nid);
}

/* EBUSY: the partition lacks one for now. Normal memory, which has some, is not asked. */
static void no_room_to_collapse(void *nid)
{
	char *more = use_up_huge(nid), *mem = map_small(4 * HUGE);

	CHECK(madvise(mem, 4 * HUGE, MADV_COLLAPSE) == -1 && errno == EBUSY);
	for (size_t i = 0; i < 4 * HUGE; i += HUGE)
		CHECK(!is_huge(mem + i));
	all_here(mem, 4 * HUGE, nid);
	/* There was no other reason. */
	CHECK(munmap(more, bytes_used_up()) == 0);
	CHECK(madvise(mem, 4 * HUGE, MADV_COLLAPSE) == 0);
	CHECK(is_huge(mem) && is_huge(mem + 3 * HUGE));
	all_here(mem, 4 * HUGE, nid);
}

INSIDE(by_fault)
INSIDE(zero_first)
INSIDE(copied_after_fork)
INSIDE(by_request)
INSIDE(by_khugepaged)
INSIDE(sizes_between)
INSIDE(split)
INSIDE(no_room_for_huge)
INSIDE(no_room_to_collapse)

const struct test huge_tests[] = {
	{ "huge pages by fault", test_by_fault },
	{ "a write to the huge zero page", test_zero_first },
	{ "huge pages copied after fork", test_copied_after_fork },
	{ "huge pages by MADV_COLLAPSE", test_by_request },
	{ "huge pages by khugepaged", test_by_khugepaged },
	{ "khugepaged goes on where an instance has no huge page", test_others_collapse },
	{ "collapse of a range that predates the claim", test_mixed_range },
	{ "small pages taken along to the root cgroup are not collapsed", test_departed_to_root },
	{ "small pages taken along to another claim are not collapsed", test_departed_to_claim },
	{ "MADV_COLLAPSE by another process", test_by_remote_request },
	{ "the sizes between (16 KiB to 1 MiB)", test_sizes_between },
	{ "huge pages that are split", test_split },
	{ "a fragmented partition falls back to small pages of its own", test_no_room_for_huge },
	{ "MADV_COLLAPSE without a free huge page in the partition: EBUSY", test_no_room_to_collapse },
	{ NULL, NULL }
};
