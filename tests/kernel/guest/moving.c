// SPDX-License-Identifier: Apache-2.0
/*
 * A fault that is held between the look at its claim and the allocation, or between that and the charge ({look,charge}_delay_ms of
 * CONFIG_SQUEEZY_DEBUG), and what is done to its cgroup meanwhile. Also a fault whose pages are refused by fault injection.
 */
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define DEBUG "/sys/kernel/debug/squeezy/"
#define FAIL "/sys/kernel/debug/fail_page_alloc/"
#define HOLD_MS "60000"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void move_to(pid_t pid, const char *cgroup)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	CHECK(cg_write(cgroup, "cgroup.procs", text) == 0);
}

/* Where a fault can be held, and how many have been. */
struct point {
	const char *knob, *counter;
	uint64_t before;
};

static bool one_more_held(void *arg)
{
	struct point *point = arg;

	return file_number(point->counter) > point->before;
}

/* Starts fn in the claiming cgroup "a" and returns when its first fault hangs there. */
static pid_t start_held_at(struct point point, void (*fn)(void *arg), void *arg)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	CHECK(cg_make("b") == 0);
	pid = start_in("a", fn, (void *[]){ ready, arg });
	/* It has everything that it needs, and waits for the knob. */
	CHECK(read(ready[0], &byte, 1) == 1);
	point.before = file_number(point.counter);
	CHECK(write_file(point.knob, HOLD_MS, 0) == 0);
	CHECK(kill(pid, SIGUSR1) == 0);
	CHECK(wait_until(one_more_held, &point, 20000));
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static pid_t start_held(void (*fn)(void *arg), void *arg)
{
	return start_held_at((struct point){ DEBUG "charge_delay_ms", DEBUG "charges_delayed", 0 }, fn, arg);
}

/* The same between look and allocation; the task is moved then, away from the claim that it has seen. */
static pid_t start_looked_and_moved(void (*fn)(void *arg), int *nid, const char *cgroup)
{
	pid_t pid = start_held_at((struct point){ DEBUG "look_delay_ms", DEBUG "looks_delayed", 0 }, fn, nid);

	move_to(pid, cgroup);
	return pid;
}

static void let_go(void)
{
	CHECK(write_file(DEBUG "look_delay_ms", "0", 0) == 0);
	CHECK(write_file(DEBUG "charge_delay_ms", "0", 0) == 0);
}

/* Room for one huge page. */
static char *map_huge_aligned(void)
{
	char *mem = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	return (char *)(((uintptr_t)mem + 2 * MIB - 1) & ~(2 * MIB - 1));
}

/* A page of a mapping whose page table is there: the next fault allocates this page and nothing else. */
static char *fresh_page(void)
{
	char *mem = map_huge_aligned();

	CHECK(madvise(mem, 2 * MIB, MADV_NOHUGEPAGE) == 0);
	mem[0] = 1;
	return mem + PAGE;
}

/* The child's side of start_held(). */
static void wait_knob(int *ready)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(write(ready[1], "", 1) == 1);
	CHECK(sigwait(&set, &sig) == 0);
}

/* Its page is of the old partition, what it touches after that is not. */
static void touch_moved(void *arg)
{
	void **args = arg;
	int nid = *(int *)args[1];
	char *page = fresh_page();

	wait_knob(args[0]);
	*page = 1;
	CHECK(node_of(page) == nid);
	page[PAGE] = 1;
	CHECK(node_of(page + PAGE) == 0);
}

static void test_moved(void)
{
	uint64_t redirected = counter("charges_redirected");
	int nid;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_held(touch_moved, &nid);
	move_to(pid, "b");
	let_go();
	CHECK(wait_for(pid) == 0);
	CHECK(counter("charges_redirected") == redirected + 1);
	CHECK(cg_event("b", "memory.events", "oom") == 0);
	cg_end("a");
	cg_end("b");
	wait_state(0, "populated");
}

static void touch_moved_and_stop(void *arg)
{
	touch_moved(arg);
	raise(SIGSTOP);
}

/* Waits until a task has done what it had to do in "b"; nobody had to give way for it there. */
static void check_at_ease(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	CHECK_MSG(WIFSTOPPED(status), "status %#x", status);
	CHECK(cg_event("b", "memory.events", "high") == 0 && cg_event("b", "memory.events", "max") == 0);
	CHECK(cg_event("b", "memory.events", "oom") == 0 && cg_event("b", "memory.events", "oom_kill") == 0);
}

/* Pages of the partition that are paid for; all of them by "a". */
static size_t pages_of_a(unsigned int id)
{
	struct census c;

	take_census(id, "a", &c);
	CHECK_MSG(c.foreign == 0, "%zu own, %zu foreign (flags %#lx)", c.own, c.foreign, c.foreign_flags);
	return c.own;
}

/*
 * The claimant is above memory.high: it pays all the same, and the task that has left is not held up for it. Nor does the claimant count
 * it as "high": Linux looks after the charge, where the task is by then.
 */
static void test_moved_above_high(void)
{
	uint64_t redirected = counter("charges_redirected");
	unsigned int id;
	int nid;
	pid_t pid;

	populate(1);
	id = claim_new("a");
	nid = partition_nid(id);
	pid = start_held(touch_moved_and_stop, &nid);
	move_to(pid, "b");
	CHECK(cg_write("a", "memory.high", "0") == 0);
	CHECK(cg_number("a", "memory.current") > 0);
	let_go();
	check_at_ease(pid);
	CHECK(counter("charges_redirected") == redirected + 1);
	CHECK(pages_of_a(id) > 0);
	cg_end("a");
	cg_end("b");
	waitpid(pid, NULL, 0);
}

/*
 * An exiting task frees its pages when it has unmapped 10000 of them (MAX_GATHER_BATCH_COUNT). The rest comes when the OOM killer takes it
 * for gone: a task with less than that may die in vain, and the next one is chosen.
 */
#define MEMBER_BYTES (64 * MIB)

static void stay_with_some(void *arg)
{
	touch(map_anon(MEMBER_BYTES), MEMBER_BYTES, 1);
	raise(SIGSTOP);
}

static void set_oom_score_adj(pid_t pid, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	CHECK(write_file(path, value, 0) == 0);
}

/* Limits "a" to less than it has. Setting a limit would kill the member, which is to be there when the charge needs it. */
static void limit_to(uint64_t bytes, pid_t member)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", bytes);
	set_oom_score_adj(member, "-1000");
	CHECK(cg_write("a", "memory.max", text) == 0);
	set_oom_score_adj(member, "0");
	CHECK(cg_number("a", "memory.current") > bytes);
	CHECK(cg_event("a", "memory.events", "oom_kill") == 0);
}

/* The claimant has reached its limit: it pays with a task of its own, not with the one that has left. */
static void test_moved_at_max(void)
{
	uint64_t redirected = counter("charges_redirected");
	pid_t pid, member;
	unsigned int id;
	int nid;

	populate(1);
	id = claim_new("a");
	nid = partition_nid(id);
	member = start_stopped("a", stay_with_some, NULL);
	pid = start_held(touch_moved_and_stop, &nid);
	move_to(pid, "b");
	limit_to(cg_number("a", "memory.current") - MIB, member);
	let_go();
	check_at_ease(pid);
	CHECK(was_killed(wait_for(member)));
	CHECK(cg_event("a", "memory.events", "oom_kill") == 1);
	CHECK(counter("charges_redirected") == redirected + 1);
	CHECK(pages_of_a(id) > 0);
	cg_end("a");
	cg_end("b");
	waitpid(pid, NULL, 0);
}

/* The page is refused, the second try is served from ordinary memory. */
static void populate_moved(void *arg)
{
	void **args = arg;
	char *page = fresh_page();

	wait_knob(args[0]);
	CHECK(madvise(page, PAGE, MADV_POPULATE_WRITE) == -1 && errno == ENOMEM);
	CHECK(node_of(page) == -ENOENT);
	CHECK(madvise(page, PAGE, MADV_POPULATE_WRITE) == 0);
	CHECK(node_of(page) == 0);
	/* Of the old partition still: what it was given before. */
	munmap(page - PAGE, PAGE);
	kill(getpid(), SIGSTOP);
}

/* The claimant may have nothing: its last task dies, and that is not enough. The one that has left is refused the page, and lives. */
static void test_moved_at_max_zero(void)
{
	uint64_t redirected = counter("charges_redirected"), refused = counter("charges_refused");
	pid_t pid, member;
	unsigned int id;

	populate(1);
	id = claim_new("a");
	member = start_stopped("a", stay_with_some, NULL);
	pid = start_held(populate_moved, NULL);
	move_to(pid, "b");
	limit_to(0, member);
	let_go();
	check_at_ease(pid);
	CHECK(was_killed(wait_for(member)));
	CHECK(cg_event("a", "memory.events", "oom_kill") == 1);
	CHECK(counter("charges_redirected") == redirected + 1 && counter("charges_refused") == refused);
	pages_of_a(id);
	cg_end("a");
	cg_end("b");
	waitpid(pid, NULL, 0);
}

static bool page_missing(void *unused)
{
	return partition_value(0, "missing_bytes") > 0;
}

/*
 * The claim goes while the fault is under way, and the host wants the memory: it gets it as soon as the page has been refused,
 * although the task lives on.
 */
static void release_while_held(int (*give_up)(void))
{
	uint64_t refused = counter("charges_refused");
	int status;
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_held(populate_moved, NULL);
	move_to(pid, "b");
	CHECK(give_up() == 0);
	CHECK(has_state(0, "released"));
	host_request(0);
	CHECK(wait_until(page_missing, NULL, 20000));
	CHECK(has_state(0, "released"));
	let_go();
	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	CHECK_MSG(WIFSTOPPED(status), "status 0x%x", status);
	CHECK(counter("charges_refused") == refused + 1);
	cg_remove("a");
	cg_end("b");
	CHECK(WIFSIGNALED(wait_for(pid)));
	wait_state(0, "parked");
}

static int write_none(void)
{
	return cg_write("a", "memory.squeezy", "none");
}

static int remove_it(void)
{
	return cg_remove("a");
}

static void test_released(void)
{
	release_while_held(write_none);
}

static void test_removed(void)
{
	release_while_held(remove_it);
}

static void touch_one(void *arg)
{
	void **args = arg;
	char *page = fresh_page();

	wait_knob(args[0]);
	*page = 1;
}

static void test_killed(void)
{
	uint64_t refused = counter("charges_refused");
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_held(touch_one, NULL);
	CHECK(cg_write("a", "memory.squeezy", "none") == -EBUSY);
	host_request(0);
	cg_end("a");
	CHECK(WTERMSIG(wait_for(pid)) == SIGKILL);
	wait_state(0, "parked");
	CHECK(counter("charges_refused") == refused);
	let_go();
	cg_end("b");
}

/* What a fault has seen is long over: the partition has another owner, whose pages it must not get. */
static void touch_late(void *arg)
{
	void **args = arg;
	char *page = fresh_page();

	wait_knob(args[0]);
	*page = 1;
	CHECK(node_of(page) == *(int *)args[1]);
}

/* Huge pages are for those who ask (MADV_HUGEPAGE); khugepaged does not look at this memory, whose collapse would be held in our place. */
static void collapse_late(void *arg)
{
	void **args = arg;
	char *mem = map_huge_aligned();

	memset(mem, 1, 2 * MIB);
	wait_knob(args[0]);
	CHECK(madvise(mem, 2 * MIB, MADV_COLLAPSE) == -1);
	CHECK(pages_elsewhere(mem, 2 * MIB, 0) == 0);
}

static void look_then_another_owner(void (*fn)(void *arg))
{
	uint64_t redirected = counter("charges_redirected"), before;
	int normal = 0;
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_looked_and_moved(fn, &normal, "b");
	CHECK(cg_write("a", "memory.squeezy", "none") == 0);
	/* Waits until what the task has of the partition has moved. */
	CHECK(claim_new("c") == 0);
	before = cg_number("c", "memory.current");
	let_go();
	CHECK(wait_for(pid) == 0);
	CHECK(counter("charges_redirected") == redirected);
	CHECK(cg_number("c", "memory.current") <= before);
	cg_end("a");
	cg_end("b");
	cg_end("c");
	wait_state(0, "populated");
}

static void test_fault_looked(void)
{
	look_then_another_owner(touch_late);
}

static void test_collapse_looked(void)
{
	look_then_another_owner(collapse_late);
}

/* The partition has gone to the host meanwhile. */
static void test_looked_unplugged(void)
{
	int normal = 0;
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_looked_and_moved(touch_late, &normal, "b");
	host_request(0);
	CHECK(cg_write("a", "memory.squeezy", "none") == 0);
	wait_state(0, "parked");
	let_go();
	CHECK(wait_for(pid) == 0);
	CHECK(has_state(0, "parked"));
	cg_end("a");
	cg_end("b");
}

/* Both partitions have owners, and the task has changed hands: what it has seen is the old one's. */
static void test_looked_moved(void)
{
	uint64_t redirected = counter("charges_redirected");
	unsigned int id;
	int nid;
	pid_t pid;

	populate(2);
	claim_new("a");
	id = claim_new("c");
	nid = partition_nid(id);
	pid = start_looked_and_moved(touch_late, &nid, "c");
	let_go();
	CHECK(wait_for(pid) == 0);
	CHECK(counter("charges_redirected") == redirected);
	cg_end("a");
	cg_end("b");
	cg_end("c");
}

/* Every page allocation of a task that has set make-it-fail. */
static void fail_pages(const char *percent)
{
	CHECK(write_file(FAIL "task-filter", "Y", 0) == 0);
	CHECK(write_file(FAIL "ignore-gfp-highmem", "N", 0) == 0);
	CHECK(write_file(FAIL "ignore-gfp-wait", "N", 0) == 0);
	CHECK(write_file(FAIL "min-order", "0", 0) == 0);
	CHECK(write_file(FAIL "verbose", "0", 0) == 0);
	CHECK(write_file(FAIL "times", "-1", 0) == 0);
	CHECK(write_file(FAIL "probability", percent, 0) == 0);
}

static void droppable_child(void *arg)
{
	char *mem = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	mem = (char *)(((uintptr_t)mem + 2 * MIB - 1) & ~(2 * MIB - 1));
	mem[0] = 1;
	CHECK(write_file("/proc/self/make-it-fail", "1", 0) == 0);
	mem[PAGE] = 1;
	CHECK(write_file("/proc/self/make-it-fail", "0", 0) == 0);
	CHECK(node_of(mem + PAGE) == *(int *)arg);
}

static bool full_again(void *before)
{
	return counter("partition_full") >= *(uint64_t *)before + 3;
}

/* It comes back until there is a page; nobody dies for it. */
static void test_droppable(void)
{
	uint64_t full = counter("partition_full"), kills = counter("oom_kills");
	int nid;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	fail_pages("100");
	pid = start_in("a", droppable_child, &nid);
	CHECK(wait_until(full_again, &full, 20000));
	fail_pages("0");
	CHECK(wait_for(pid) == 0);
	CHECK(counter("oom_kills") == kills);
	CHECK(cg_event("a", "memory.events", "oom") == 0);
	cg_end("a");
}

const struct test moving_tests[] = {
	{ "moved with a fault under way: the claimant pays", test_moved },
	{ "moved with a fault under way, claimant above memory.high", test_moved_above_high },
	{ "moved with a fault under way, claimant at memory.max: a task of its own dies for it", test_moved_at_max },
	{ "moved with a fault under way, claimant at memory.max with no task left", test_moved_at_max_zero },
	{ "released with a fault under way", test_released },
	{ "removed with a fault under way", test_removed },
	{ "killed with a fault under way", test_killed },
	{ "a fault that looked at its claim before another came", test_fault_looked },
	{ "a collapse that looked at its claim before another came", test_collapse_looked },
	{ "a fault that looked at its claim before the partition went", test_looked_unplugged },
	{ "a fault that looked before its task was moved to another claim", test_looked_moved },
	{ NULL, NULL }
};

const struct test injected_tests[] = {
	{ "a droppable mapping kills nobody", test_droppable },
	{ NULL, NULL }
};
