// SPDX-License-Identifier: Apache-2.0
#include "suite.h"

#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"
#define SYSFS "/sys/kernel/mm/squeezy"
#define PAGE 4096ul
#define STATE_TIMEOUT_MS 20000
/* A machine that does other things as well may take so many times as long as is asked for: no test is about time. */
#define SLOWER 4
#define CHILD_FAILED 99

size_t partition_bytes;
unsigned int partition_count;
static jmp_buf test_end;
bool in_child;

void check_msg(bool ok, const char *what, const char *file, int line, const char *fmt, ...)
{
	char detail[256];
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	check(false, what, file, line, detail);
}

void check(bool ok, const char *what, const char *file, int line, const char *detail)
{
	if (ok)
		return;
	printf("# %s:%d: %s is false (errno %d) %s\n", file, line, what, errno, detail);
	fflush(stdout);
	if (in_child)
		_exit(CHILD_FAILED);
	longjmp(test_end, 1);
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool wait_until(bool (*fn)(void *arg), void *arg, unsigned int timeout_ms)
{
	uint64_t end = now_ms() + (uint64_t)timeout_ms * SLOWER;

	do {
		if (fn(arg))
			return true;
		sleep_ms(2);
	} while (now_ms() < end);
	return fn(arg);
}

int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, size - 1 - len);
		error = errno;
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < size - 1);
	close(fd);
	if (n < 0)
		return -error;
	buf[len] = '\0';
	buf[strcspn(buf, "\n")] = size > 4096 ? '\n' : '\0';
	return 0;
}

int write_file(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

uint64_t flat_key(const char *path, const char *key)
{
	static char text[65536];
	size_t len = strlen(key);

	CHECK_MSG(read_file(path, text, sizeof(text)) == 0, "%s", path);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, key, len) && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	CHECK_MSG(false, "%s has no %s", path, key);
	return 0;
}

uint64_t file_number(const char *path)
{
	char text[64];

	CHECK_MSG(read_file(path, text, sizeof(text)) == 0, "%s", path);
	return strtoull(text, NULL, 10);
}

int file_write(const char *path, const char *text)
{
	return write_file(path, text, 0);
}

uint64_t counter(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS "/counters/%s", name);
	return file_number(path);
}

uint64_t vmstat(const char *name)
{
	return flat_key("/proc/vmstat", name);
}

uint64_t meminfo(const char *name)
{
	return flat_key("/proc/meminfo", name);
}

uint64_t partition_value(unsigned int id, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS "/partition%u/%s", id, file);
	return file_number(path);
}

int partition_nid(unsigned int id)
{
	return (int)partition_value(id, "node");
}

bool has_state(unsigned int id, const char *state)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), SYSFS "/partition%u/state", id);
	CHECK_MSG(read_file(path, text, sizeof(text)) == 0, "%s", path);
	return !strcmp(text, state);
}

struct wanted_state {
	unsigned int id;
	const char *state;
};

static bool state_reached(void *arg)
{
	struct wanted_state *w = arg;

	return has_state(w->id, w->state);
}

void wait_state(unsigned int id, const char *state)
{
	struct wanted_state w = { id, state };
	char path[128], now[32], reason[64];

	if (wait_until(state_reached, &w, STATE_TIMEOUT_MS))
		return;
	snprintf(path, sizeof(path), SYSFS "/partition%u/state", id);
	CHECK(read_file(path, now, sizeof(now)) == 0);
	snprintf(path, sizeof(path), SYSFS "/partition%u/busy_reason", id);
	CHECK(read_file(path, reason, sizeof(reason)) == 0);
	CHECK_MSG(false, "partition %u is not %s but %s, %lu KiB missing, busy: %s", id, state, now,
		  partition_value(id, "missing_bytes") >> 10, reason);
}

void mount_disk(const char *where)
{
	static const char devices[] = "/devices";

	CHECK(mkdir(devices, 0755) == 0 && mkdir(where, 0755) == 0);
	CHECK(mount("devtmpfs", devices, "devtmpfs", 0, NULL) == 0);
	CHECK(mount("/devices/vda", where, "erofs", MS_RDONLY, NULL) == 0);
}

static bool all_plugged(void *arg)
{
	unsigned int *wanted = arg, plugged = 0;

	for (unsigned int i = 0; i < partition_count; i++) {
		if (partition_value(i, "plugged_bytes") == partition_bytes)
			plugged++;
		else if (partition_value(i, "plugged_bytes"))
			return false;
		/* Plugged, and not yet in the hands of the allocator: parked, or (with init_on_free) even without a map. */
		if (has_state(i, "mapping") ||
		    (partition_value(i, "plugged_bytes") && !has_state(i, "populated") && !has_state(i, "claimed") && !has_state(i, "released")))
			return false;
	}
	return plugged == *wanted;
}

struct wanted_count {
	const char *name;
	uint64_t value;
};

static bool counter_reached(void *arg)
{
	struct wanted_count *w = arg;

	return counter(w->name) >= w->value;
}

void wait_counter(const char *name, uint64_t value)
{
	struct wanted_count w = { name, value };

	wait_until(counter_reached, &w, STATE_TIMEOUT_MS);
	CHECK_MSG(counter(name) == value, "%s is %lu, not %lu", name, counter(name), value);
}

void populate(unsigned int partitions)
{
	host_request(partitions);
	CHECK_MSG(wait_until(all_plugged, &partitions, STATE_TIMEOUT_MS), "%u partitions are not plugged", partitions);
}

pid_t start_in(const char *cgroup, void (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid)
		return pid;
	in_child = true;
	if (cgroup)
		CHECK(cg_write(cgroup, "cgroup.procs", "0") == 0);
	fn(arg);
	fflush(stdout);
	_exit(0);
}

int wait_for(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_MSG(!WIFEXITED(status) || WEXITSTATUS(status) != CHILD_FAILED, "in the child %d", pid);
	return status;
}

int run_in(const char *cgroup, void (*fn)(void *arg), void *arg)
{
	return wait_for(start_in(cgroup, fn, arg));
}

void run_claimed(void (*fn)(void *nid))
{
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", fn, &nid) == 0);
	cg_end("a");
}

char *map_anon(size_t bytes)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	return mem;
}

void touch(char *mem, size_t bytes, char value)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		mem[i] = value;
}

static void query_nodes(void **pages, int *nodes, size_t count)
{
	CHECK(syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0) == 0);
}

int node_of(const void *page)
{
	void *pages[1] = { (void *)page };
	int node;

	query_nodes(pages, &node, 1);
	return node;
}

size_t pages_elsewhere(const char *mem, size_t bytes, int nid)
{
	void *pages[512];
	int nodes[512];
	size_t bad = 0;

	for (size_t at = 0; at < bytes;) {
		size_t n = 0;

		for (; n < 512 && at < bytes; at += PAGE)
			pages[n++] = (void *)(mem + at);
		query_nodes(pages, nodes, n);
		for (size_t i = 0; i < n; i++)
			bad += nodes[i] != nid;
	}
	return bad;
}

/* The host answers on the console, as if it typed. */
static void set_up_console(void)
{
	struct termios t;

	if (!tcgetattr(0, &t)) {
		t.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(0, TCSANOW, &t);
	}
}

static void set_up(void)
{
	char text[64];

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 0755);
	mknod("/dev/kmsg", S_IFCHR | 0600, makedev(1, 11));
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("cgroup2", CGROUPS, "cgroup2", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	/* The kernel turns huge pages off in a VM that boots with less than 512 MiB. */
	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise", 0);
	write_file(CGROUPS "/cgroup.subtree_control", "+memory +pids", 0);
	if (!read_file(SYSFS "/partition_bytes", text, sizeof(text)))
		partition_bytes = strtoull(text, NULL, 10);
	if (!read_file(SYSFS "/partitions", text, sizeof(text)))
		partition_count = (unsigned int)atoi(text);
}

/* Cgroups that a failed test left behind would fail the next ones. */
static void clean_up(void)
{
	static const char *const names[] = { "a/b", "a/c", "a", "b", "c" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cg_sweep(names[i]);
	/* We are process 1: everybody but us. */
	kill(-1, SIGKILL);
	close_range(3, ~0U, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static const struct suite {
	const char *name;
	const struct test *tests;
} suites[] = {
	{ "placement", placement_tests },
	{ "processes", processes_tests },
	{ "huge", huge_tests },
	{ "remote", remote_tests },
	{ "nobodys", nobodys_tests },
	{ "outside", outside_tests },
	{ "exclusion", exclusion_tests },
	{ "cpuset", cpuset_tests },
	{ "secrecy", secrecy_tests },
	{ "shared", shared_tests },
	{ "reporting", reporting_tests },
	{ "walkers", walkers_tests },
	{ "hugetlb", hugetlb_tests },
	{ "pins", pins_tests },
	{ "claim", claim_tests },
	{ "drain", drain_tests },
	{ "full", full_tests },
	{ "full-exits", full_exits_tests },
	{ "reclaim", reclaim_tests },
	{ "maps", maps_tests },
	{ "maps-fail", maps_fail_tests },
	{ "maps-lock", maps_lock_tests },
	{ "maps-room", maps_room_tests },
	{ "driver", driver_tests },
	{ "driver-power", driver_power_tests },
	{ "driver-reboot", driver_reboot_tests },
	{ "driver-none", driver_none_tests },
	{ "kexec", kexec_tests },
	{ "kexec-next", kexec_next_tests },
	{ "crash", crash_tests },
	{ "crash-dump", crash_dump_tests },
	{ "waiting", waiting_tests },
	{ "freezing", freezing_tests },
	{ "delegation", delegation_tests },
	{ "controller", controller_tests },
	{ "controller-hidden", controller_hidden_tests },
	{ "moving", moving_tests },
	{ "injected", injected_tests },
	{ "events", event_tests },
	{ "options", options_tests },
	{ "holders", holders_tests },
	{ "late-tasks", late_tasks_tests },
	{ "core-dump", core_dump_tests },
	{ "poison", poison_tests },
	{ "fakeanswers", fakeanswers_tests },
	{ "fakelost", fakelost_tests },
	{ "fakeconfig", fakeconfig_tests },
	{ "fakefuzz", fakefuzz_tests },
	{ "off", off_tests },
	{ "bench-boot", bench_boot_tests },
	{ "bench-fault", bench_fault_tests },
	{ "bench-others", bench_others_tests },
	{ "bench-adjacent", bench_adjacent_tests },
	{ "bench-full", bench_full_tests },
	{ "bench-size", bench_size_tests },
	{ "bench-reclaims", bench_reclaims_tests },
	{ "bench-reason", bench_reason_tests },
	{ "bench-populate", bench_populate_tests },
	{ "bench-beside", bench_beside_tests },
	{ "bench-prepared", bench_prepared_tests },
	{ "bench-plug", bench_plug_tests },
	{ "bench-grow", bench_grow_tests },
	{ "bench-memory", bench_memory_tests },
	{ "base", base_tests },
	{ "stress", stress_tests },
	{ "faults", faults_tests },
	{ "check", check_tests },
	{ "leaks", leaks_tests },
	{ "plant_warning", plant_warning_tests },
	{ "plant_leak", plant_leak_tests },
};

/* In a function of its own: no variable of the caller's is at the mercy of longjmp. */
static bool run_one(const struct test *t)
{
	if (setjmp(test_end))
		return false;
	t->run();
	return true;
}

/* On a kernel that can check all its pages no test may leave a wrong one. */
static const struct test pages_test = { "pages", check_pages };

static unsigned int run_all(const struct test *tests, unsigned int number)
{
	for (const struct test *t = tests; t->name; t++) {
		bool ok = run_one(t) && run_one(&pages_test);

		host_say("@tap %s %u - %s", ok ? "ok" : "not ok", ++number, t->name);
		clean_up();
	}
	return number;
}

/* Runs the suites of a comma-separated list; an unknown name is a failed test. */
static unsigned int run_suites(char *list)
{
	unsigned int number = 0;

	for (char *rest = NULL, *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		const struct suite *s = suites, *end = suites + sizeof(suites) / sizeof(suites[0]);

		while (s < end && strcmp(s->name, name))
			s++;
		if (s < end)
			number = run_all(s->tests, number);
		else
			host_say("@tap not ok %u - there is no suite %s", ++number, name);
	}
	return number;
}

/* Reads nothing, until whoever writes has gone. */
static int leave_core(void)
{
	struct pollfd p = { .fd = 0 };

	return poll(&p, 1, -1) != 1;
}

int main(int argc, char **argv)
{
	char *list = getenv("suites");

	/* A test ran this program again, see processes.c. */
	if (!strcmp(argv[0], EXEC_NAME))
		return exec_main(argc, argv);
	if (argc > 1 && !strcmp(argv[1], CORE_READER))
		return leave_core();
	set_up();
	set_up_console();
	setvbuf(stdout, NULL, _IOLBF, 0);
	host_say("@tap 1..%u", run_suites(list ? list : (char[]){ "off" }));
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
