// SPDX-License-Identifier: Apache-2.0
/* A full partition: who is killed, who waits, who does not notice. */
#include "hostile.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

/* A life elsewhere, which has to go on: rounds of touching fresh memory. */
static _Atomic unsigned long *rounds;

static void bystander(void *arg)
{
	for (;;) {
		char *mem = map_anon(MIB);

		touch(mem, MIB, 1);
		munmap(mem, MIB);
		++*rounds;
	}
}

static bool has_advanced(void *arg)
{
	return *rounds > *(unsigned long *)arg;
}

static void wait_advance(void)
{
	unsigned long before = *rounds;

	CHECK(wait_until(has_advanced, &before, 20000));
}

/* Starts a bystander in the new cgroup "b", which claims another partition or lives on normal memory. */
static pid_t start_bystander(bool claims)
{
	pid_t pid;

	rounds = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(rounds != MAP_FAILED);
	if (claims)
		claim_new("b");
	else
		CHECK(cg_make("b") == 0);
	pid = start_in("b", bystander, NULL);
	wait_advance();
	return pid;
}

static void end_bystander(pid_t pid)
{
	wait_advance();
	CHECK(cg_event("b", "memory.events", "oom_kill") == 0);
	CHECK(cg_event("b", "memory.events", "oom") == 0);
	cg_end("b");
	CHECK(WTERMSIG(wait_for(pid)) == SIGKILL);
	munmap(rounds, PAGE);
}

static void sleeper(void *arg)
{
	for (;;)
		pause();
}

static void set_oom_score(const char *adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	CHECK(fd >= 0 && write(fd, adj, strlen(adj)) > 0);
	close(fd);
}

/* Holds *arg bytes of the partition; a plain fork's mapping is in the same place in the parent. */
static void holder(void *arg)
{
	size_t bytes = *(size_t *)arg;

	touch(map_anon(bytes), bytes, 1);
	sleeper(NULL);
}

static void gulp(void *arg)
{
	touch(map_anon(2 * partition_bytes), 2 * partition_bytes, 1);
}

/* The counters say "oom", not "max": memory.max has never been reached. */
static void test_events(void)
{
	uint64_t kills = counter("oom_kills"), full = counter("partition_full");
	pid_t other;

	populate(2);
	claim_new("a");
	other = start_bystander(true);
	CHECK(was_killed(run_in("a", gulp, NULL)));
	CHECK(counter("oom_kills") == kills + 1);
	CHECK(counter("partition_full") > full);
	CHECK(cg_event("a", "memory.events", "oom") >= 1);
	CHECK(cg_event("a", "memory.events", "oom_kill") == 1);
	CHECK(cg_event("a", "memory.events", "max") == 0);
	CHECK(cg_event("a", "memory.events", "high") == 0);
	end_bystander(other);
	cg_end("a");
}

static void test_oom_group(void)
{
	pid_t other, first, second;

	populate(2);
	claim_new("a");
	CHECK(cg_write("a", "memory.oom.group", "1") == 0);
	other = start_bystander(true);
	first = start_in("a", sleeper, NULL);
	second = start_in("a", sleeper, NULL);
	wait_asleep(first);
	wait_asleep(second);
	CHECK(was_killed(run_in("a", gulp, NULL)));
	CHECK(was_killed(wait_for(first)));
	CHECK(was_killed(wait_for(second)));
	CHECK(cg_event("a", "memory.events", "oom_group_kill") == 1);
	CHECK(cg_event("a", "memory.events", "oom_kill") >= 3);
	end_bystander(other);
	cg_end("a");
}

/* The largest below the claimant goes, in whichever child, and memory.max of one does not hold the other back. */
static void test_nested(void)
{
	size_t most = partition_bytes / 4 * 3;
	pid_t hog, other;

	populate(2);
	claim_new("a");
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	CHECK(cg_make("a/b") == 0);
	CHECK(cg_make("a/c") == 0);
	CHECK(cg_write("a/c", "memory.max", "16M") == 0);
	CHECK(was_killed(run_in("a/c", gulp, NULL)));
	CHECK(cg_event("a/c", "memory.events", "oom_kill") == 1);
	CHECK(cg_event("a", "memory.events.local", "oom") == 0);
	CHECK(cg_write("a/c", "memory.max", "max") == 0);
	other = start_bystander(true);
	hog = start_in("a/b", holder, &most);
	wait_asleep(hog);
	CHECK(was_killed(run_in("a/c", gulp, NULL)));
	CHECK(was_killed(wait_for(hog)));
	CHECK(cg_event("a/b", "memory.events", "oom_kill") == 1);
	CHECK(cg_event("a/c", "memory.events", "oom_kill") == 2);
	CHECK(cg_event("a", "memory.events.local", "oom") >= 2);
	end_bystander(other);
	cg_end("a/b");
	cg_end("a/c");
	cg_end("a");
}

static void preferred_victim(void *arg)
{
	set_oom_score("1000");
	holder(arg);
}

static void survivor(void *nid)
{
	size_t bytes = partition_bytes / 4 * 3;
	char *mem = map_anon(bytes);

	touch(mem, bytes, 1);
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

/* Another is killed for the one that finds the partition full, and not one page of it is anywhere else, then or before. */
static void test_survivor(void)
{
	size_t half = partition_bytes / 2;
	pid_t victim, other;
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	other = start_bystander(false);
	for (int i = 0; i < 3; i++) {
		victim = start_in("a", preferred_victim, &half);
		wait_asleep(victim);
		CHECK(run_in("a", survivor, &nid) == 0);
		CHECK(was_killed(wait_for(victim)));
	}
	CHECK(cg_event("a", "memory.events", "oom_kill") == 3);
	end_bystander(other);
	cg_end("a");
}

static void *gulp_thread(void *arg)
{
	size_t bytes = 2 * partition_bytes / THREADS;

	touch(map_anon(bytes), bytes, 1);
	return NULL;
}

static void threaded_gulp(void *arg)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, gulp_thread, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Eight threads meet the wall at once: one process is killed, once. */
static void test_threads(void)
{
	uint64_t kills = counter("oom_kills");
	pid_t small;

	populate(1);
	claim_new("a");
	small = start_in("a", sleeper, NULL);
	wait_asleep(small);
	CHECK(was_killed(run_in("a", threaded_gulp, NULL)));
	CHECK(counter("oom_kills") == kills + 1);
	CHECK(waitpid(small, NULL, WNOHANG) == 0);
	cg_end("a");
	CHECK(was_killed(wait_for(small)));
}

/* What comes and goes there meanwhile: 8 MiB, and on a kernel that keeps freed memory more (run.py). */
static uint64_t slack_kib(void)
{
	const char *text = getenv("slack_kib");

	CHECK(text);
	return strtoull(text, NULL, 10);
}

static bool node0_has(void *kib)
{
	return node_kb(0, "MemFree") >= *(uint64_t *)kib;
}

/*
 * A member that was frozen before it knew dies all the same, and the writer comes back: with an error, or because a memory without
 * a process is the writer's, which has no partition: normal memory serves it until the writer has gone.
 */
static void test_frozen(void)
{
	size_t bytes = partition_bytes / 2, more = partition_bytes;
	char *mem = map_anon(more);
	struct iovec local = { mem, more }, remote = { mem, more };
	uint64_t had;
	pid_t hog;

	populate(1);
	claim_new("a");
	had = node_kb(0, "MemFree");
	hog = start_in("a", holder, &bytes);
	wait_asleep(hog);
	CHECK(cg_write("a", "cgroup.freeze", "1") == 0);
	wait_event("a", "cgroup.events", "frozen", 1);
	process_vm_writev(hog, &local, 1, &remote, 1, 0);
	CHECK(was_killed(wait_for(hog)));
	CHECK(cg_event("a", "memory.events", "oom_kill") == 1);
	munmap(mem, more);
	cg_end("a");
	/* What normal memory has lent is back. */
	had -= slack_kib();
	CHECK_MSG(wait_until(node0_has, &had, 20000), "%lu KiB, not %lu", node_kb(0, "MemFree"), had);
}

static void protected_holder(void *arg)
{
	set_oom_score("-1000");
	holder(arg);
}

/* Nobody can be killed: the writer from outside gets its error and nobody dies. */
static void test_remote_unkillable(void)
{
	size_t bytes = partition_bytes / 2, more = partition_bytes;
	char *mem = map_anon(more);
	struct iovec local = { mem, more }, remote = { mem, more };
	pid_t hog;

	populate(1);
	claim_new("a");
	hog = start_in("a", protected_holder, &bytes);
	wait_asleep(hog);
	CHECK(process_vm_writev(hog, &local, 1, &remote, 1, 0) < (ssize_t)more);
	CHECK(waitpid(hog, NULL, WNOHANG) == 0);
	CHECK(cg_event("a", "memory.events", "oom") >= 1);
	CHECK(cg_event("a", "memory.events", "oom_kill") == 0);
	munmap(mem, more);
	cg_end("a");
	CHECK(was_killed(wait_for(hog)));
}

/* What a member with a userfaultfd tells its monitor, in memory that both share. */
struct uffd_area {
	char *mem;
	int fd;
};

static void uffd_member(void *arg)
{
	struct uffd_area *area = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	CHECK(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0);
	area->mem = map_anon(2 * partition_bytes);
	reg.range.start = (uintptr_t)area->mem;
	reg.range.len = 2 * partition_bytes;
	CHECK(ioctl(fd, UFFDIO_REGISTER, &reg) == 0);
	set_oom_score("-1000");
	area->fd = fd;
	sleeper(NULL);
}

/* Copies into the member's memory until the kernel refuses; returns how far it came. */
static size_t copy_all(int fd, char *mem, char *from)
{
	for (size_t at = 0; at < 2 * partition_bytes; at += MIB) {
		struct uffdio_copy copy = { .dst = (uintptr_t)mem + at, .src = (uintptr_t)from, .len = MIB };

		if (ioctl(fd, UFFDIO_COPY, &copy))
			return at;
	}
	return 2 * partition_bytes;
}

static void test_userfaultfd(void)
{
	struct uffd_area *area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *from = map_anon(MIB);
	int pidfd, fd;
	size_t copied;
	pid_t pid;

	CHECK(area != MAP_FAILED);
	touch(from, MIB, 7);
	populate(1);
	claim_new("a");
	pid = start_in("a", uffd_member, area);
	wait_asleep(pid);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, area->fd, 0);
	CHECK(pidfd >= 0 && fd >= 0);
	copied = copy_all(fd, area->mem, from);
	CHECK_MSG(copied <= partition_bytes && copied > partition_bytes / 2, "%zu MiB", copied / MIB);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	close(fd);
	close(pidfd);
	cg_end("a");
	CHECK(was_killed(wait_for(pid)));
	munmap(area, PAGE);
	munmap(from, MIB);
}

/* Fills most of the partition with single pages and gives every other one back. */
static void fragment(void)
{
	size_t bytes = partition_bytes - 4 * MIB;
	char *mem = map_anon(bytes);

	CHECK(madvise(mem, bytes, MADV_NOHUGEPAGE) == 0);
	touch(mem, bytes, 1);
	for (size_t at = 0; at < bytes; at += 2 * PAGE)
		CHECK(madvise(mem + at, PAGE, MADV_DONTNEED) == 0);
}

static void huge_child(void *arg)
{
	int nid = *(int *)arg;
	char *mem = map_anon(32 * MIB);
	uint64_t fallbacks;

	fragment();
	fallbacks = vmstat("thp_fault_fallback");
	CHECK(madvise(mem, 32 * MIB, MADV_HUGEPAGE) == 0);
	touch(mem, 32 * MIB, 1);
	CHECK(vmstat("thp_fault_fallback") >= fallbacks + 10);
	CHECK(pages_elsewhere(mem, 32 * MIB, nid) == 0);
}

/* No 2 MiB are free in one piece: small pages do, and nobody is bothered. */
static void test_huge_fallback(void)
{
	uint64_t full = counter("partition_full");
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", huge_child, &nid) == 0);
	CHECK(counter("partition_full") == full);
	CHECK(cg_event("a", "memory.events", "oom") == 0);
	cg_end("a");
}

#define MTHP "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/"

static void mthp_child(void *arg)
{
	int nid = *(int *)arg;
	uint64_t made = file_number(MTHP "stats/anon_fault_alloc"), missed;
	char *mem = map_anon(16 * MIB);

	touch(mem, 16 * MIB, 1);
	CHECK(file_number(MTHP "stats/anon_fault_alloc") >= made + 16 * MIB / (64 << 10) - 2);
	CHECK(pages_elsewhere(mem, 16 * MIB, nid) == 0);
	munmap(mem, 16 * MIB);
	fragment();
	missed = file_number(MTHP "stats/anon_fault_fallback");
	mem = map_anon(16 * MIB);
	touch(mem, 16 * MIB, 1);
	CHECK(file_number(MTHP "stats/anon_fault_fallback") > missed);
	CHECK(pages_elsewhere(mem, 16 * MIB, nid) == 0);
}

static void test_mthp_fallback(void)
{
	uint64_t full = counter("partition_full");
	int nid, status;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(write_file(MTHP "enabled", "always", 0) == 0);
	status = run_in("a", mthp_child, &nid);
	CHECK(write_file(MTHP "enabled", "never", 0) == 0);
	CHECK(status == 0);
	CHECK(counter("partition_full") == full);
	cg_end("a");
}

/* "some ... total=N" of memory.pressure, microseconds. */
static uint64_t stalled_us(const char *cgroup)
{
	char text[128], *total;

	cg_read(cgroup, "memory.pressure", text, sizeof(text));
	total = strstr(text, "total=");
	CHECK_MSG(total, "%s", text);
	return strtoull(total + 6, NULL, 10);
}

static void test_pressure(void)
{
	pid_t small, other;

	populate(2);
	claim_new("a");
	other = start_bystander(true);
	small = start_in("a", sleeper, NULL);
	CHECK(was_killed(run_in("a", gulp, NULL)));
	CHECK(stalled_us("a") > 0);
	CHECK(stalled_us("b") == 0);
	end_bystander(other);
	cg_end("a");
	wait_for(small);
}

const struct test full_tests[] = {
	{ "a full partition counts as oom, not as max", test_events },
	{ "a full partition honours memory.oom.group", test_oom_group },
	{ "a full partition kills below its claimant only", test_nested },
	{ "who survives at a full partition stays in it, and normal memory does not notice", test_survivor },
	{ "many threads at a full partition: one kill", test_threads },
	{ "a full partition of frozen tasks", test_frozen },
	{ "a remote writer at a full partition gets an error", test_remote_unkillable },
	{ "userfaultfd at a full partition gets an error", test_userfaultfd },
	{ "no free 2 MiB: small pages, no kill", test_huge_fallback },
	{ "64 KiB folios, and small pages when there are none", test_mthp_fallback },
	{ "a full partition is memory pressure inside only", test_pressure },
	{ NULL, NULL }
};
