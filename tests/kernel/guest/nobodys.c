// SPDX-License-Identifier: Apache-2.0
/*
 * Address spaces that are nobody's: all processes have died, or fork() is not over. Linux charges them to the root, that is to nobody.
 * What is written to them is the writer's: of its partition, and charged to its cgroup.
 */
#include "hostile.h"
#include "pages.h"
#include "remote.h"
#include "suite.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2 * MIB)
#define BYTES (8 * MIB)
#define EVENT_TIMEOUT_MS 120000
#define CLAIM_STAT "/sys/fs/cgroup/a/memory.squeezy.stat"

/* What a writer in this cgroup, which is "a" or below, must have paid between the two. */
struct bill {
	const char *cgroup;
	uint64_t free_bytes, current, redirected;
};

static struct bill open_bill(const char *cgroup)
{
	return (struct bill){ cgroup, flat_key(CLAIM_STAT, "free"), cg_number(cgroup, "memory.current"), counter("charges_redirected") };
}

static void check_bill(const struct bill *bill)
{
	uint64_t free_now = flat_key(CLAIM_STAT, "free"), current = cg_number(bill->cgroup, "memory.current");

	CHECK_MSG(free_now + BYTES <= bill->free_bytes + MIB, "%lu bytes of the partition were free, now %lu", bill->free_bytes, free_now);
	CHECK_MSG(current + MIB >= bill->current + BYTES, "%s had %lu bytes, now %lu", bill->cgroup, bill->current, current);
	CHECK(counter("charges_redirected") >= bill->redirected + BYTES / PAGE - 2);
}

/* A write that stops twice, where the source's pages are missing: once for the death, once to be looked at. */
struct late_write {
	int mem, death, end;
	char *to, *from;
	ssize_t done;
	pthread_t thread;
};

static void *write_late(void *arg)
{
	struct late_write *late = arg;

	late->done = pwrite(late->mem, late->from, BYTES, (off_t)late->to);
	return NULL;
}

static void give_zeroes(int fd, char *page)
{
	struct uffdio_zeropage zero = { { (uint64_t)page, PAGE }, 0, 0 };

	CHECK(ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0);
}

static void begin_write(struct late_write *late, pid_t pid, char *to)
{
	late->to = to;
	late->from = map_anon(BYTES);
	CHECK(madvise(late->from, BYTES, MADV_NOHUGEPAGE) == 0);
	touch(late->from, PAGE, 1);
	touch(late->from + 2 * PAGE, BYTES - 3 * PAGE, 1);
	late->death = userfaultfd_for(late->from + PAGE, PAGE);
	late->end = userfaultfd_for(late->from + BYTES - PAGE, PAGE);
	late->mem = open_mem(pid);
	CHECK(pthread_create(&late->thread, NULL, write_late, late) == 0);
	wait_fault(late->death);
}

static void go_on(struct late_write *late)
{
	give_zeroes(late->death, late->from + PAGE);
	wait_fault(late->end);
}

static void end_write(struct late_write *late)
{
	give_zeroes(late->end, late->from + BYTES - PAGE);
	CHECK(pthread_join(late->thread, NULL) == 0);
	CHECK(late->done == (ssize_t)BYTES);
	close(late->mem);
	close(late->death);
	close(late->end);
}

static void stay(void *unused)
{
	pause_for_ever();
}

static char *map_small(size_t bytes)
{
	char *mem = map_anon(bytes);

	CHECK(madvise(mem, bytes, MADV_NOHUGEPAGE) == 0);
	return mem;
}

static void write_to_the_dead(void *cgroup)
{
	char *to = map_small(BYTES);
	pid_t pid = start_in(NULL, stay, NULL);
	struct late_write late;
	struct bill bill;

	begin_write(&late, pid, to);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	bill = open_bill(cgroup);
	go_on(&late);
	check_bill(&bill);
	end_write(&late);
}

static void test_write_to_the_dead(void)
{
	populate(1);
	claim_new("a");
	CHECK(run_in("a", write_to_the_dead, "a") == 0);
	cg_end("a");
}

/* Not the claimant: a cgroup below it cannot escape from its own limit, nor have others below it killed. */
static void test_written_from_below(void)
{
	populate(1);
	claim_new("a");
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	CHECK(cg_make("a/b") == 0);
	CHECK(run_in("a/b", write_to_the_dead, "a/b") == 0);
	cg_end("a/b");
	cg_end("a");
}

/* Until its fork() is over a child is in the root cgroup, whatever its parent is in. An event that nobody reads holds a fork(). */
static void *fork_late(void *child)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	*(pid_t *)child = pid;
	return NULL;
}

static struct uffd_msg read_fork(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(poll(&poll_fd, 1, EVENT_TIMEOUT_MS) == 1);
	CHECK(read(fd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg) && msg.event == UFFD_EVENT_FORK);
	return msg;
}

static void copy_to_the_unborn(void *cgroup)
{
	/* Events come in the order of the mappings. */
	char *mem = map_small(BYTES + PAGE), *last = mem + BYTES, *source = map_small(BYTES);
	int fd = userfaultfd_with(mem, BYTES, UFFD_FEATURE_EVENT_FORK), hold = userfaultfd_with(last, PAGE, UFFD_FEATURE_EVENT_FORK), theirs;
	pid_t child = 0;
	struct bill bill;
	pthread_t thread;

	touch(source, BYTES, 1);
	CHECK(pthread_create(&thread, NULL, fork_late, &child) == 0);
	theirs = (int)read_fork(fd).arg.fork.ufd;
	bill = open_bill(cgroup);
	copy_pages(theirs, mem, source, BYTES);
	CHECK(child == 0);
	check_bill(&bill);
	close((int)read_fork(hold).arg.fork.ufd);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(child > 0 && wait_for(child) == 0);
	close(theirs);
	close(fd);
	close(hold);
}

static void test_copy_to_the_unborn(void)
{
	populate(1);
	claim_new("a");
	CHECK(run_in("a", copy_to_the_unborn, "a") == 0);
	cg_end("a");
}

/* A process with one page from before its claim, where there is room for a huge one. */
static void bring_a_page(void *mem)
{
	CHECK(madvise(mem, HUGE, MADV_NOHUGEPAGE) == 0);
	touch(mem, PAGE, 1);
	CHECK(cg_write("a", "cgroup.procs", "0") == 0);
	CHECK(madvise(mem, HUGE, MADV_HUGEPAGE) == 0);
	raise(SIGSTOP);
}

struct victim {
	pid_t pid;
	char *to;
};

/* A zombie has no address space, and so no program. */
static bool is_dead(void *pid)
{
	char path[32], text[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", *(pid_t *)pid);
	return readlink(path, text, sizeof(text)) < 0;
}

/* khugepaged has no claim: it would make a huge page of node 0, charged to nobody. */
static void keep_the_dead(void *arg)
{
	struct victim *victim = arg;
	uint64_t failed, collapsed;
	struct late_write late;

	begin_write(&late, victim->pid, victim->to);
	CHECK(kill(victim->pid, SIGKILL) == 0 && wait_until(is_dead, &victim->pid, 20000));
	failed = vmstat("thp_collapse_alloc_failed");
	collapsed = vmstat("thp_collapse_alloc");
	khugepaged_set_rests("10", "10");
	khugepaged_scan();
	khugepaged_set_rests("10000", "60000");
	CHECK(vmstat("thp_collapse_alloc") == collapsed);
	CHECK(vmstat("thp_collapse_alloc_failed") > failed);
	go_on(&late);
	end_write(&late);
}

static void test_collapse_of_the_dead(void)
{
	char *mem = map_anon(2 * HUGE), *huge = (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));
	struct victim victim = { .to = map_small(BYTES) };

	populate(1);
	claim_new("a");
	victim.pid = start_stopped(NULL, bring_a_page, huge);
	CHECK(run_in("a", keep_the_dead, &victim) == 0);
	CHECK(waitpid(victim.pid, NULL, 0) == victim.pid);
	cg_end("a");
	munmap(mem, 2 * HUGE);
	munmap(victim.to, BYTES);
}

const struct test nobodys_tests[] = {
	{ "/proc/PID/mem of a process that dies meanwhile", test_write_to_the_dead },
	{ "the same from a cgroup below the claimant, which pays", test_written_from_below },
	{ "userfaultfd of a child whose fork() is not over", test_copy_to_the_unborn },
	{ "khugepaged leaves alone what is nobody's", test_collapse_of_the_dead },
	{ NULL, NULL }
};
