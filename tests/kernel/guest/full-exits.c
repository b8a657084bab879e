// SPDX-License-Identifier: Apache-2.0
/* Ways out of a fault that waits at a full partition, other than room: a signal, or to be no member any more. */
#include "hostile.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_STAT "/sys/fs/cgroup/a/memory.squeezy.stat"
#define PIPES 8
#define LEFT_EARLY 3

/* Fills the partition to the last page, then lets the kernel write to a droppable page, for which nobody is killed. */
static void droppable_when_full(void *arg)
{
	const size_t most = partition_bytes - 8 * MIB;
	char *mem = map_anon(partition_bytes), *at = mem + most;
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	int fds[2];

	CHECK(page != MAP_FAILED && pipe(fds) == 0);
	touch(mem, most, 1);
	CHECK(write(fds[1], mem, PAGE) == (ssize_t)PAGE);
	while (flat_key(OWN_STAT, "free") || flat_key(OWN_STAT, "per_cpu")) {
		CHECK(at < mem + partition_bytes);
		*at = 1;
		at += PAGE;
	}
	*(volatile bool *)arg = true;
	CHECK_MSG(false, "read() is answered %zd", read(fds[0], page, PAGE));
}

static bool is_set(void *flag)
{
	return *(volatile bool *)flag;
}

static bool full_thrice(void *before)
{
	return counter("partition_full") >= *(uint64_t *)before + 3;
}

static void test_droppable(void)
{
	bool *full = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t kills = counter("oom_kills"), met;
	pid_t pid;

	CHECK(full != MAP_FAILED);
	populate(1);
	claim_new("a");
	met = counter("partition_full");
	pid = start_in("a", droppable_when_full, full);
	CHECK(wait_until(is_set, full, 60000));
	/* It tries again and again. */
	CHECK(wait_until(full_thrice, &met, 20000));
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(was_killed(wait_for(pid)));
	CHECK(counter("oom_kills") == kills);
	cg_end("a");
	munmap(full, PAGE);
}

/*
 * Ends when it has been moved away: in the fault that waits for room, or before one that meets the full partition, which is too early.
 * The counter says which: it counts such faults. One of those may also find a page on another CPU's list, and then goes on.
 */
static void fill_and_leave(void *nid)
{
	const size_t most = partition_bytes - (PIPES + 8) * MIB;
	char *mem = map_anon(partition_bytes), *at = mem + most;
	uint64_t met;
	int ends[2];

	CHECK(madvise(mem, partition_bytes, MADV_NOHUGEPAGE) == 0);
	/* Memory that is neither free nor mapped: nobody is killed for it at once. */
	for (int i = 0; i < PIPES; i++) {
		make_wide_pipe(ends);
		fill_pipe(ends[1]);
	}
	touch(mem, most, 1);
	for (;; at += PAGE) {
		CHECK(at < mem + partition_bytes);
		met = counter("partition_full");
		*at = 1;
		if (node_of(at) != *(int *)nid)
			break;
	}
	CHECK(node_of(at) == 0);
	_exit(counter("partition_full") > met ? 0 : LEFT_EARLY);
}

struct leaver {
	pid_t pid;
	uint64_t met;
	bool ended;
};

/* In the wait for room (killable, which Linux shows as D), or ended. */
static bool waits_or_ended(void *arg)
{
	struct leaver *l = arg;
	siginfo_t info = { .si_pid = 0 };

	CHECK(waitid(P_PID, (id_t)l->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
	l->ended = info.si_pid;
	return l->ended || (counter("partition_full") > l->met && is_blocked(l->pid));
}

/* Its time is short: when it is over, somebody is killed, or nobody is left to be. */
static bool leaves_in_time(int nid)
{
	struct leaver l = { .met = counter("partition_full") };
	uint64_t oom = cg_event("a", "memory.events", "oom");
	int status, rc;
	char text[16];

	l.pid = start_in("a", fill_and_leave, &nid);
	CHECK(wait_until(waits_or_ended, &l, 60000));
	snprintf(text, sizeof(text), "%d", l.pid);
	rc = cg_write(".", "cgroup.procs", text);
	CHECK_MSG(rc == 0 || rc == -ESRCH, "%d", rc);
	status = wait_for(l.pid);
	CHECK_MSG(status == 0 || was_killed(status) || WEXITSTATUS(status) == LEFT_EARLY, "status %#x", status);
	/* Who ended before he was moved found normal memory where there was none for him. */
	CHECK(status != 0 || (!l.ended && rc == 0));
	return status == 0 && cg_event("a", "memory.events", "oom") == oom;
}

/* Moved away while it waits for room: normal memory serves it. */
static void test_leave(void)
{
	bool left = false;
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	for (int i = 0; i < 10 && !left; i++)
		left = leaves_in_time(nid);
	CHECK(left);
	cg_end("a");
}

const struct test full_exits_tests[] = {
	{ "who writes to a droppable page in a system call can be killed", test_droppable },
	{ "who leaves a full partition while it waits gets normal memory", test_leave },
	{ NULL, NULL }
};
