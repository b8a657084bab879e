// SPDX-License-Identifier: Apache-2.0
/* memory.squeezy: claims, waiting, releases, bad input, a full partition. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)

static void sleeper(void *arg)
{
	for (;;)
		pause();
}

static void test_claim_and_release(void)
{
	char text[16];
	unsigned int id;

	populate(2);
	id = claim_new("a");
	CHECK(id == 0);
	CHECK(has_state(0, "claimed"));
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EBUSY);
	CHECK(cg_write("a", "memory.squeezy", "none") == 0);
	cg_read("a", "memory.squeezy", text, sizeof(text));
	CHECK(!strcmp(text, "none"));
	wait_state(0, "populated");
	CHECK(cg_write("a", "memory.squeezy", "1") == 0);
	CHECK(has_state(1, "claimed"));
	CHECK(cg_make("b") == 0);
	CHECK(cg_write("b", "memory.squeezy", "1") == -EBUSY);
	cg_end("b");
	cg_end("a");
	wait_state(1, "populated");
}

static void test_release_while_populated(void)
{
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = start_in("a", sleeper, NULL);
	wait_asleep(pid);
	CHECK(cg_write("a", "memory.squeezy", "none") == -EBUSY);
	cg_end("a");
	waitpid(pid, NULL, 0);
}

static void test_bad_input(void)
{
	static const char *const bad[] = { "", "-1", "AUTO", "auto auto", "99999999999999999999", "0x1", "1.5", "127", "no" };
	char *huge = malloc(65536);

	populate(1);
	CHECK(cg_make("a") == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_MSG(cg_write("a", "memory.squeezy", bad[i]) == -EINVAL || !bad[i][0], "'%s'", bad[i]);
	CHECK(huge);
	memset(huge, '7', 65535);
	huge[65535] = '\0';
	CHECK(cg_write("a", "memory.squeezy", huge) < 0);
	free(huge);
	CHECK(access("/sys/fs/cgroup/memory.squeezy", F_OK) != 0);
	wait_state(0, "populated");
	cg_end("a");
}

static void unprivileged(void *arg)
{
	CHECK(setuid(65534) == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EACCES);
}

static void delegated(void *arg)
{
	CHECK(setuid(65534) == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EPERM);
}

static void test_unprivileged(void)
{
	populate(1);
	CHECK(cg_make("a") == 0);
	CHECK(run_in(NULL, unprivileged, NULL) == 0);
	CHECK(chown("/sys/fs/cgroup/a/memory.squeezy", 65534, 65534) == 0);
	CHECK(run_in(NULL, delegated, NULL) == 0);
	wait_state(0, "populated");
	cg_end("a");
}

static void claim_writer(void *arg)
{
	CHECK(cg_write(arg, "memory.squeezy", "auto") == 0);
}

static void test_waits_in_order(void)
{
	char text[16];
	pid_t first, second;

	populate(0);
	CHECK(cg_make("a") == 0);
	CHECK(cg_make("b") == 0);
	first = start_in(NULL, claim_writer, "a");
	wait_blocked(first);
	second = start_in(NULL, claim_writer, "b");
	wait_blocked(second);
	CHECK(cg_make("c") == 0);
	CHECK(cg_write_nonblock("c", "memory.squeezy", "auto") == -EAGAIN);
	populate(1);
	CHECK(wait_for(first) == 0);
	cg_read("b", "memory.squeezy", text, sizeof(text));
	CHECK(!strcmp(text, "none"));
	populate(2);
	CHECK(wait_for(second) == 0);
	cg_end("a");
	cg_end("b");
	cg_end("c");
}

static void doomed_writer(void *arg)
{
	CHECK(cg_write(arg, "memory.squeezy", "auto") == -ENODEV);
}

/* A waiting claim blocks neither its own rmdir nor any other cgroup operation. */
static void test_rmdir_while_waiting(void)
{
	pid_t pid;

	populate(0);
	CHECK(cg_make("a") == 0);
	pid = start_in(NULL, doomed_writer, "a");
	wait_blocked(pid);
	CHECK(cg_make("b") == 0);
	CHECK(cg_remove("b") == 0);
	CHECK(cg_remove("a") == 0);
	CHECK(wait_for(pid) == 0);
}

static void test_kill_while_waiting(void)
{
	pid_t pid;

	populate(0);
	CHECK(cg_make("a") == 0);
	pid = start_in(NULL, claim_writer, "a");
	wait_blocked(pid);
	kill(pid, SIGKILL);
	CHECK(WIFSIGNALED(wait_for(pid)));
	populate(1);
	wait_state(0, "populated");
	cg_end("a");
}

static void test_nonblocking_poll(void)
{
	struct pollfd pfd = { .events = POLLPRI };
	char text[16];
	int fd;

	populate(0);
	CHECK(cg_make("a") == 0);
	fd = open("/sys/fs/cgroup/a/memory.squeezy", O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	CHECK(pread(fd, text, sizeof(text), 0) > 0);
	CHECK(write(fd, "auto", 4) < 0 && errno == EAGAIN);
	pfd.fd = fd;
	CHECK(poll(&pfd, 1, 50) == 0);
	populate(1);
	CHECK(poll(&pfd, 1, 10000) == 1);
	CHECK(write(fd, "auto", 4) == 4);
	close(fd);
	cg_end("a");
}

static void gulp(void *arg)
{
	char *mem = map_anon(2 * partition_bytes);

	touch(mem, 2 * partition_bytes, 1);
}

static void bystander(void *arg)
{
	sleep_ms(100);
	for (;;) {
		char *mem = map_anon(MIB);

		touch(mem, MIB, 1);
		munmap(mem, MIB);
		sleep_ms(1);
	}
}

/* No memory.max: the partition itself is the limit, and the kill stays inside. */
static void test_full_partition(void)
{
	uint64_t kills = counter("oom_kills");
	pid_t other;
	int status;

	populate(2);
	claim_new("a");
	claim_new("b");
	other = start_in("b", bystander, NULL);
	status = run_in("a", gulp, NULL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(counter("oom_kills") > kills);
	CHECK(cg_event("a", "memory.events", "oom_kill") >= 1);
	CHECK(cg_event("b", "memory.events", "oom_kill") == 0);
	CHECK(waitpid(other, NULL, WNOHANG) == 0);
	cg_end("a");
	cg_end("b");
	waitpid(other, NULL, 0);
}

static void unkillable_gulp(void *arg)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	CHECK(fd >= 0 && write(fd, "-1000", 5) == 5);
	gulp(arg);
}

static void test_full_partition_unkillable(void)
{
	int status;

	populate(1);
	claim_new("a");
	status = run_in("a", unkillable_gulp, NULL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	cg_end("a");
}

static void test_memory_max_first(void)
{
	uint64_t kills = counter("oom_kills");
	char text[32];
	int status;

	populate(1);
	claim_new("a");
	snprintf(text, sizeof(text), "%zu", partition_bytes);
	CHECK(cg_write("a", "memory.max", text) == 0);
	status = run_in("a", gulp, NULL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(counter("oom_kills") == kills);
	CHECK(cg_event("a", "memory.events", "oom_kill") >= 1);
	cg_end("a");
}

const struct test claim_tests[] = {
	{ "claim, release, claim by number", test_claim_and_release },
	{ "no release while processes live", test_release_while_populated },
	{ "bad input changes nothing", test_bad_input },
	{ "a claim needs CAP_SYS_RESOURCE", test_unprivileged },
	{ "claims are served in order of arrival", test_waits_in_order },
	{ "rmdir while a claim waits", test_rmdir_while_waiting },
	{ "kill while a claim waits", test_kill_while_waiting },
	{ "EAGAIN and poll", test_nonblocking_poll },
	{ "a full partition kills inside its cgroup only", test_full_partition },
	{ "a full partition ends with unkillable members too", test_full_partition_unkillable },
	{ "memory.max acts before the partition is full", test_memory_max_first },
	{ NULL, NULL }
};
