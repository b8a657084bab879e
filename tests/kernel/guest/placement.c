// SPDX-License-Identifier: Apache-2.0
/* Where the pages of a claiming cgroup lie, and that nobody else gets any. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
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

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void fill_and_look(void *arg)
{
	int nid = *(int *)arg;
	char *mem = map_anon(32 * MIB);
	int on_stack = 0;

	touch(mem, 32 * MIB, 1);
	CHECK(pages_elsewhere(mem, 32 * MIB, nid) == 0);
	/* Read first: the zero page, then a copy on write. */
	mem = map_anon(MIB);
	CHECK(*(volatile char *)mem == 0);
	mem[0] = 1;
	CHECK(node_of(mem) == nid);
	CHECK(madvise(mem, MIB, MADV_POPULATE_WRITE) == 0);
	CHECK(pages_elsewhere(mem, MIB, nid) == 0);
	mem = mremap(mem, MIB, 2 * MIB, MREMAP_MAYMOVE);
	CHECK(mem != MAP_FAILED);
	touch(mem, 2 * MIB, 2);
	CHECK(pages_elsewhere(mem, 2 * MIB, nid) == 0);
	CHECK(mlock(mem, MIB) == 0);
	CHECK(pages_elsewhere(mem, 2 * MIB, nid) == 0);
	on_stack++;
	CHECK(on_stack == 1);
}

static void test_first_touch(void)
{
	unsigned int id;
	int nid;

	populate(1);
	id = claim_new("a");
	nid = partition_nid(id);
	CHECK(run_in("a", fill_and_look, &nid) == 0);
	CHECK(partition_value(id, "free_bytes") <= partition_bytes);
	cg_end("a");
}

static void cow_child(void *arg)
{
	int nid = *(int *)arg;
	char *mem = map_anon(8 * MIB);
	int status;
	pid_t pid;

	touch(mem, 8 * MIB, 1);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		touch(mem, 8 * MIB, 2);
		_exit(pages_elsewhere(mem, 8 * MIB, nid) ? 1 : 0);
	}
	touch(mem, 8 * MIB, 3);
	CHECK(pages_elsewhere(mem, 8 * MIB, nid) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

static void test_fork_and_cow(void)
{
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", cow_child, &nid) == 0);
	cg_end("a");
}

static void thp_child(void *arg)
{
	int nid = *(int *)arg;
	char *mem = map_anon(32 * MIB);
	uint64_t before;

	CHECK(madvise(mem, 32 * MIB, MADV_HUGEPAGE) == 0);
	before = vmstat("thp_fault_alloc");
	touch(mem, 32 * MIB, 1);
	CHECK_MSG(vmstat("thp_fault_alloc") - before >= 15, "%lu of at least 15, %lu fallbacks",
		  vmstat("thp_fault_alloc") - before, vmstat("thp_fault_fallback"));
	CHECK(pages_elsewhere(mem, 32 * MIB, nid) == 0);
}

static void test_huge_pages(void)
{
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", thp_child, &nid) == 0);
	cg_end("a");
}

/* The bytes of a mapping lie in ordinary memory: node 0. */
static void file_child(void *arg)
{
	char *mem;
	int fd = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)(4 * MIB)) == 0);
	mem = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	touch(mem, 4 * MIB, 1);
	CHECK(pages_elsewhere(mem, 4 * MIB, 0) == 0);
	munmap(mem, 4 * MIB);
	/* A private mapping of it: read from the file's page, written to the partition. */
	mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(mem != MAP_FAILED);
	CHECK(mem[0] == 1 && node_of(mem) == 0);
	mem[0] = 2;
	CHECK(node_of(mem) == *(int *)arg);
	close(fd);
	unlink("/tmp/file");
	mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
}

static void test_file_and_shmem(void)
{
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", file_child, &nid) == 0);
	cg_end("a");
}

static void ordinary_child(void *arg)
{
	char *mem = map_anon(64 * MIB);

	touch(mem, 64 * MIB, 1);
	CHECK(pages_elsewhere(mem, 64 * MIB, 0) == 0);
}

/* Nobody else gets a page of a populated partition, in a cgroup or out of one. */
static void test_others_stay_out(void)
{
	populate(2);
	CHECK(cg_make("b") == 0);
	CHECK(run_in("b", ordinary_child, NULL) == 0);
	CHECK(run_in(NULL, ordinary_child, NULL) == 0);
	cg_end("b");
	for (unsigned int i = 0; i < 2; i++)
		CHECK(partition_value(i, "free_bytes") == partition_bytes ||
		      partition_bytes - partition_value(i, "free_bytes") < 2 * MIB);
}

static void escape_child(void *arg)
{
	unsigned long to_zero = 1, own[4] = { 0 };
	int nid = *(int *)arg, status, zero = 0;
	char *mem = map_anon(MIB);
	void *page = mem;

	touch(mem, MIB, 1);
	CHECK(syscall(SYS_move_pages, 0, 1, &page, &zero, &status, 2 /* MPOL_MF_MOVE */) >= 0);
	CHECK(status < 0 || node_of(mem) == nid);
	syscall(SYS_mbind, mem, MIB, 2 /* MPOL_BIND */, &to_zero, 8, 2);
	own[nid / 64] = 1ul << (nid % 64);
	syscall(SYS_migrate_pages, 0, 256, own, &to_zero);
	CHECK(pages_elsewhere(mem, MIB, nid) == 0);
}

static void intrude_child(void *arg)
{
	unsigned long from_zero = 1, to[4] = { 0 };
	int nid = *(int *)arg, status;
	char *mem = map_anon(MIB);
	void *page = mem;

	touch(mem, MIB, 1);
	to[nid / 64] = 1ul << (nid % 64);
	syscall(SYS_move_pages, 0, 1, &page, &nid, &status, 2);
	syscall(SYS_migrate_pages, 0, 256, &from_zero, to);
	syscall(SYS_mbind, mem, MIB, 2, to, 256, 2);
	syscall(SYS_set_mempolicy, 2, to, 256);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	mem = map_anon(MIB);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
}

static void test_migration_refused(void)
{
	uint64_t refused = counter("migrations_refused");
	int nid;

	populate(2);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", escape_child, &nid) == 0);
	CHECK(counter("migrations_refused") > refused);
	CHECK(run_in(NULL, intrude_child, &nid) == 0);
	cg_end("a");
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

/* process_vm_writev from outside faults pages in for the target. */
static void sleeper(void *arg)
{
	for (;;)
		pause();
}

static void test_remote_write(void)
{
	char *mem = map_anon(MIB);
	struct iovec local = { mem, MIB }, remote = { mem, MIB };
	void *page = mem;
	int nid, node;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_in("a", sleeper, NULL);
	wait_asleep(pid);
	touch(mem, MIB, 1);
	CHECK(process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)MIB);
	CHECK(syscall(SYS_move_pages, pid, 1, &page, NULL, &node, 0) == 0);
	CHECK_MSG(node == nid, "node %d", node);
	cg_end("a");
	waitpid(pid, NULL, 0);
}

const struct test placement_tests[] = {
	{ "anonymous memory comes from the partition", test_first_touch },
	{ "copies after fork come from the partition", test_fork_and_cow },
	{ "huge pages come from the partition", test_huge_pages },
	{ "file and shmem pages stay outside", test_file_and_shmem },
	{ "others get nothing from a populated partition", test_others_stay_out },
	{ "no system call migrates pages in or out", test_migration_refused },
	{ "a child cgroup inherits the claim", test_inherit },
	{ "a remote write lands in the target's partition", test_remote_write },
	{ NULL, NULL }
};
