// SPDX-License-Identifier: Apache-2.0
/* Late drains: tasks that do not die at once, and CPUs that do not do their part. */
#include "hostile.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREEZER "/tmp/freezer"
#define CPU1 "/sys/devices/system/cpu/cpu1/online"

static void hold_memory(void *arg)
{
	map_pattern(8 * MIB);
	pause_for_ever();
}

struct members {
	const char *cgroup;
	int count;
};

static bool has_members(void *arg)
{
	struct members *m = arg;
	char text[32];

	cg_read(m->cgroup, "pids.current", text, sizeof(text));
	return atoi(text) >= m->count;
}

/* Children have come into their cgroup, which they are born outside of. */
static void wait_members(const char *cgroup, int count)
{
	struct members m = { cgroup, count };

	CHECK(wait_until(has_members, &m, 20000));
}

/* A killed task that its tracer holds just before the end: nothing can hurry it, and the kernel says whom it waits for. */
static void test_ptracer(void)
{
	unsigned int id = set_stage();
	pid_t pid = start_in("a", hold_memory, NULL);
	int status;

	wait_asleep(pid);
	CHECK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT) == 0);
	host_request(0);
	CHECK(cg_write("a", "cgroup.kill", "1") == 0);
	CHECK(waitpid(pid, &status, __WALL) == pid);
	CHECK(status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8));
	CHECK(cg_remove("a") == -EBUSY);
	wait_reason(id, "claimed");
	CHECK(is_mapped_by(id, pid));
	CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
	waitpid(pid, NULL, 0);
	cg_end("a");
	check_recovery(id);
	check_next_owner();
}

static void freeze_hard(pid_t pid)
{
	char text[16];

	mkdir(FREEZER, 0755);
	CHECK(mount("freezer", FREEZER, "cgroup", 0, "freezer") == 0);
	CHECK(mkdir(FREEZER "/x", 0755) == 0);
	snprintf(text, sizeof(text), "%d", pid);
	CHECK(write_file(FREEZER "/x/tasks", text, 0) == 0);
	CHECK(write_file(FREEZER "/x/freezer.state", "FROZEN", 0) == 0);
	wait_blocked(pid);
}

static void thaw(void)
{
	CHECK(write_file(FREEZER "/x/freezer.state", "THAWED", 0) == 0);
}

static bool freezer_gone(void *arg)
{
	return rmdir(FREEZER "/x") == 0;
}

/* The old freezer stops a task in D state, where no signal reaches it. Its memory can be had, the partition cannot. */
static void test_uninterruptible(void)
{
	unsigned int id = set_stage();
	pid_t pid = start_in("a", hold_memory, NULL);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	wait_asleep(pid);
	freeze_hard(pid);
	host_request(0);
	CHECK(cg_write("a", "cgroup.kill", "1") == 0);
	wait_reason(id, "claimed");
	CHECK(is_mapped_by(id, pid));
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	CHECK(partition_value(id, "free_bytes") < partition_bytes - 8 * MIB);
	CHECK(syscall(SYS_process_mrelease, pidfd, 0) == 0);
	CHECK(partition_value(id, "free_bytes") > partition_bytes - 8 * MIB);
	CHECK(cg_remove("a") == -EBUSY);
	thaw();
	waitpid(pid, NULL, 0);
	close(pidfd);
	cg_end("a");
	check_recovery(id);
	CHECK(wait_until(freezer_gone, NULL, 5000));
	umount(FREEZER);
	check_next_owner();
}

static void test_mrelease(void)
{
	unsigned int id = set_stage();
	pid_t pid = start_in("a", hold_memory, NULL);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	wait_asleep(pid);
	host_request(0);
	CHECK(cg_write("a", "cgroup.kill", "1") == 0);
	/* ESRCH: it was faster. */
	CHECK(syscall(SYS_process_mrelease, pidfd, 0) == 0 || errno == ESRCH);
	cg_end("a");
	waitpid(pid, NULL, 0);
	close(pidfd);
	check_recovery(id);
}

static bool is_frozen(void *arg)
{
	return cg_event("a", "cgroup.events", "frozen") == 1;
}

static void test_frozen(void)
{
	unsigned int id = set_stage();
	pid_t pid = start_in("a", hold_memory, NULL);

	wait_asleep(pid);
	CHECK(cg_write("a", "cgroup.freeze", "1") == 0);
	CHECK(wait_until(is_frozen, NULL, 20000));
	end_instance();
	waitpid(pid, NULL, 0);
	check_recovery(id);
	check_next_owner();
}

/* Freezing and the end at once, in a cgroup whose task hardly ever sleeps. */
static void touch_for_ever(void *arg)
{
	char *mem = map_anon(MIB);

	for (;;)
		touch(mem, MIB, 1);
}

static void test_freezing(void)
{
	for (int round = 0; round < 5; round++) {
		unsigned int id = set_stage();
		pid_t pid = start_in("a", touch_for_ever, NULL);

		wait_members("a", 1);
		CHECK(cg_write("a", "cgroup.freeze", "1") == 0);
		end_instance();
		waitpid(pid, NULL, 0);
		check_recovery(id);
	}
}

static void fork_for_ever(void *arg)
{
	for (;;) {
		pid_t pid = fork();

		if (pid < 0)
			continue;
		touch(map_anon(16 * PAGE), 16 * PAGE, 1);
		if (!pid && fork() >= 0)
			_exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void test_racing_fork(void)
{
	for (int round = 0; round < 5; round++) {
		unsigned int id = set_stage();
		pid_t pid;

		CHECK(cg_write("a", "pids.max", "60") == 0);
		pid = start_in("a", fork_for_ever, NULL);
		wait_members("a", 20);
		end_instance();
		waitpid(pid, NULL, 0);
		check_recovery(id);
	}
	check_next_owner();
}

/* More pages than are in batches at most, with two CPUs: 496. */
#define PIPES 3

/* Leaves a few pages in a batch of CPU 1 and ends on CPU 0. */
static void touch_on_cpu1(void *arg)
{
	use_cpu(1);
	touch(map_anon(8 * PAGE), 8 * PAGE, 1);
	use_cpu(0);
}

static void test_idle_cpu(void)
{
	uint64_t migrated = vmstat("pgmigrate_success");
	unsigned int id = set_stage();

	CHECK(run_in("a", touch_on_cpu1, NULL) == 0);
	CHECK(cg_event("a", "memory.squeezy.stat", "per_cpu") > 0);
	end_instance();
	check_recovery(id);
	CHECK(vmstat("pgmigrate_success") == migrated);
}

/*
 * Leaves a few pages in the batch of CPU 1 that takes them from one LRU list to another, more than all batches hold in pipes, and ends
 * on CPU 0.
 */
static void free_lazily_on_cpu1(void *arg)
{
	int (*pipes)[2] = arg;
	char *mem = map_anon(256 * PAGE);

	for (int i = 0; i < PIPES; i++)
		fill_pipe(pipes[i][1]);
	use_cpu(1);
	CHECK(madvise(mem, 256 * PAGE, MADV_NOHUGEPAGE) == 0);
	touch(mem, 256 * PAGE, 1);
	CHECK(madvise(mem, 8 * PAGE, MADV_FREE) == 0);
	use_cpu(0);
}

static pid_t find_mover(void)
{
	char path[64], name[32];
	pid_t pid = 1;

	do {
		CHECK(++pid < 1000);
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	} while (read_file(path, name, sizeof(name)) || strcmp(name, "squeezy_mover"));
	return pid;
}

/* It empties the batches of the CPU on which it runs. */
static void set_mover_cpus(int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	CHECK(sched_setaffinity(find_mover(), sizeof(set), &set) == 0);
}

/* When the first looks are over, who has emptied batches then, only the batch is left: somebody has to empty it again. */
static void test_idle_cpu_later(void)
{
	unsigned int id = set_stage();
	int pipes[PIPES][2];

	for (int i = 0; i < PIPES; i++)
		make_wide_pipe(pipes[i]);
	set_mover_cpus(0, 0);
	CHECK(run_in("a", free_lazily_on_cpu1, pipes) == 0);
	end_instance();
	wait_reason(id, "references");
	CHECK(held(id, "references") > PIPES * MIB);
	for (int i = 0; i < PIPES; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	check_recovery(id);
	set_mover_cpus(0, 1);
}

static void hog_cpu1(void *arg)
{
	struct sched_param high = { .sched_priority = 50 };

	/* A test that fails must not take the CPU from those after it. */
	alarm(120);
	use_cpu(1);
	CHECK(sched_setscheduler(0, SCHED_FIFO, &high) == 0);
	CHECK(write(*(int *)arg, "", 1) == 1);
	for (;;)
		__asm__ volatile("pause");
}

static pid_t start_hog(void)
{
	int fds[2];
	pid_t pid;
	char byte;

	CHECK(pipe(fds) == 0);
	CHECK(write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1", 0) == 0);
	pid = start_in(NULL, hog_cpu1, &fds[1]);
	CHECK(read(fds[0], &byte, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

/* A CPU whose tasks never get to empty its batch: it is emptied over their heads, and nothing waits. */
static void test_starved_cpu(void)
{
	unsigned int id;
	uint64_t drains;
	pid_t hog;

	populate(2);
	id = claim_new("a");
	CHECK(run_in("a", touch_on_cpu1, NULL) == 0);
	use_cpu(0);
	hog = start_hog();
	drains = counter("drains");
	cg_end("a");
	host_request(0);
	wait_state(1, "parked");
	wait_state(id, "parked");
	wait_counter("drains", drains + 2);
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	CHECK(write_file("/proc/sys/kernel/sched_rt_runtime_us", "950000", 0) == 0);
	check_recovery(id);
}

static void churn(void *arg)
{
	for (;;) {
		char *mem = map_anon(MIB);

		touch(mem, MIB, 1);
		munmap(mem, MIB);
		/* On both CPUs in turn; one may be gone. */
		sched_yield();
	}
}

static void test_cpu_hotplug(void)
{
	for (int round = 0; round < 4; round++) {
		unsigned int id = set_stage();
		pid_t pids[2];

		CHECK(run_in("a", touch_on_cpu1, NULL) == 0);
		for (int i = 0; i < 2; i++)
			pids[i] = start_in("a", churn, NULL);
		wait_members("a", 2);
		CHECK(write_file(CPU1, "0", 0) == 0);
		if (round % 2)
			CHECK(write_file(CPU1, "1", 0) == 0);
		end_instance();
		for (int i = 0; i < 2; i++)
			waitpid(pids[i], NULL, 0);
		check_recovery(id);
		if (!(round % 2))
			CHECK(write_file(CPU1, "1", 0) == 0);
	}
	check_next_owner();
}

/* arg: how often it has been switched off and on. */
static void toggle_cpu1(void *arg)
{
	for (;;) {
		CHECK(write_file(CPU1, "0", 0) == 0);
		CHECK(write_file(CPU1, "1", 0) == 0);
		__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELAXED);
	}
}

/* On CPU 1 if that is there; it may go meanwhile. */
static void touch_on_cpu1_if_there(void *arg)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0 || errno == EINVAL);
	touch(map_anon(8 * PAGE), 8 * PAGE, 1);
}

struct toggles {
	unsigned int *count, before;
};

static bool toggled(void *arg)
{
	struct toggles *t = arg;

	return __atomic_load_n(t->count, __ATOMIC_RELAXED) != t->before;
}

/* A CPU goes and comes without end while instances end: neither its batches nor its absence keep a drain. */
static void test_cpu_toggled(void)
{
	struct toggles t = { mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 0 };
	pid_t pid;

	CHECK(t.count != MAP_FAILED);
	pid = start_in(NULL, toggle_cpu1, t.count);
	for (int round = 0; round < 10; round++) {
		unsigned int id = set_stage();

		CHECK(run_in("a", touch_on_cpu1_if_there, NULL) == 0);
		t.before = __atomic_load_n(t.count, __ATOMIC_RELAXED);
		CHECK_MSG(wait_until(toggled, &t, 20000), "after %u times", t.before);
		end_instance();
		check_recovery(id);
	}
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(t.count, PAGE);
	CHECK(write_file(CPU1, "1", 0) == 0);
	check_next_owner();
}

static void dump_core(void *arg)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	map_pattern(4 * MIB);
	CHECK(setrlimit(RLIMIT_CORE, &all) == 0);
	abort();
}

static bool dumps_core(void *arg)
{
	char path[64], text[8192];

	snprintf(path, sizeof(path), "/proc/%d/status", *(pid_t *)arg);
	return read_file(path, text, sizeof(text)) == 0 && strstr(text, "CoreDumping:\t1");
}

/* In the middle of a core dump, which waits for somebody to read it: the kill ends that, too. */
static void test_core_dump(void)
{
	unsigned int id = set_stage();
	char old[128];
	pid_t pid;

	CHECK(read_file("/proc/sys/kernel/core_pattern", old, sizeof(old)) == 0);
	/* Nobody reads the pipe. What the kernel starts to do so (main() in harness.c) ends with the pipe. */
	CHECK(write_file("/proc/sys/kernel/core_pattern", "|/init " CORE_READER, 0) == 0);
	pid = start_in("a", dump_core, NULL);
	CHECK(wait_until(dumps_core, &pid, 20000));
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	end_instance();
	waitpid(pid, NULL, 0);
	check_recovery(id);
	CHECK(write_file("/proc/sys/kernel/core_pattern", old, 0) == 0);
	check_next_owner();
}

const struct test late_tasks_tests[] = {
	{ "a killed task that its tracer holds", test_ptracer },
	{ "a killed task in D state", test_uninterruptible },
	{ "process_mrelease() of a victim", test_mrelease },
	{ "a frozen cgroup", test_frozen },
	{ "a freezing cgroup", test_freezing },
	{ "fork races with the end", test_racing_fork },
	{ "batches of an idle CPU", test_idle_cpu },
	{ "batches of an idle CPU, filled by who holds other pages for longer", test_idle_cpu_later },
	{ "batches of a starved CPU are emptied all the same", test_starved_cpu },
	{ "CPU hotplug", test_cpu_hotplug },
	{ "CPU hotplug while partitions are drained", test_cpu_toggled },
	{ NULL, NULL }
};

const struct test core_dump_tests[] = {
	{ "a core dump that nobody reads", test_core_dump },
	{ NULL, NULL }
};
