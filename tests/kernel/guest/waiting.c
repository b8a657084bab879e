// SPDX-License-Identifier: Apache-2.0
/* Waiting for a partition: order, who is told what when, and what happens meanwhile. */
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 8

static void writer(void *arg)
{
	CHECK(cg_write(arg, "memory.squeezy", "auto") == 0);
}

static void refused_writer(void *arg)
{
	CHECK(cg_write(arg, "memory.squeezy", "auto") == -EBUSY);
}

static pid_t start_writer(const char *cgroup)
{
	pid_t pid;

	CHECK(cg_make(cgroup) == 0);
	pid = start_in(NULL, writer, (void *)cgroup);
	wait_blocked(pid);
	return pid;
}

static bool claims(const char *cgroup)
{
	char text[16];

	cg_read(cgroup, "memory.squeezy", text, sizeof(text));
	return strcmp(text, "none");
}

/* Who is killed loses its place, and nobody else does. */
static void test_killed_in_the_middle(void)
{
	pid_t first, second, third;

	populate(0);
	first = start_writer("a");
	second = start_writer("b");
	third = start_writer("c");
	kill(second, SIGKILL);
	CHECK(WIFSIGNALED(wait_for(second)));
	populate(1);
	CHECK(wait_for(first) == 0);
	CHECK(!claims("b") && !claims("c"));
	populate(2);
	CHECK(wait_for(third) == 0);
	CHECK(!claims("b"));
	cg_end("a");
	cg_end("b");
	cg_end("c");
}

/* A late comer does not overtake with O_NONBLOCK, nor by number before there is one. */
static void test_no_overtaking(void)
{
	pid_t first;

	populate(0);
	first = start_writer("a");
	CHECK(cg_make("b") == 0);
	CHECK(cg_write_nonblock("b", "memory.squeezy", "auto") == -EAGAIN);
	CHECK(cg_write("b", "memory.squeezy", "0") == -EBUSY);
	populate(1);
	CHECK(wait_for(first) == 0);
	CHECK(claims("a") && !claims("b"));
	cg_end("a");
	cg_end("b");
}

/* Eight writers for one cgroup: one is served, seven hear of it at once. */
static void test_many_writers(void)
{
	unsigned int served = 0, refused = 0;
	pid_t pids[WRITERS];

	populate(0);
	CHECK(cg_make("a") == 0);
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = start_in(NULL, i ? refused_writer : writer, "a");
		wait_blocked(pids[i]);
	}
	populate(1);
	for (int i = 0; i < WRITERS; i++)
		*(wait_for(pids[i]) || i ? &refused : &served) += 1;
	CHECK_MSG(served == 1 && refused == WRITERS - 1, "%u served", served);
	CHECK(counter("claims") - counter("releases") == 1);
	cg_end("a");
}

/* An ancestor and a child wait: whoever is first, the other cannot have one beside it. */
static void test_nested(void)
{
	pid_t child, parent;

	populate(0);
	CHECK(cg_make("a") == 0);
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	child = start_writer("a/b");
	parent = start_in(NULL, refused_writer, "a");
	wait_blocked(parent);
	populate(1);
	CHECK(wait_for(child) == 0);
	CHECK(wait_for(parent) == 0);
	CHECK(!claims("a") && claims("a/b"));
	cg_end("a/b");
	cg_end("a");
}

/* The device shrinks under a claim; who waits is served first, and then it shrinks. */
static void test_unplug_requested(void)
{
	pid_t pid;

	populate(1);
	claim_new("a");
	host_request(0);
	pid = start_writer("b");
	CHECK(has_state(0, "claimed"));
	cg_end("a");
	CHECK(wait_for(pid) == 0);
	CHECK(claims("b") && has_state(0, "claimed"));
	cg_end("b");
	wait_state(0, "parked");
}

/* Says when it is in its cgroup: on the way there it hangs in other places. */
static void arrived_writer(void *arg)
{
	CHECK(write(*(int *)arg, "", 1) == 1);
	writer("a");
}

/* cgroup.freeze of the writer's own cgroup takes effect after the wait: it keeps its place and gets its partition. */
static void test_frozen_writer(void)
{
	int fds[2];
	pid_t pid;
	char byte;

	populate(0);
	CHECK(cg_make("a") == 0 && cg_make("b") == 0 && pipe(fds) == 0);
	pid = start_in("b", arrived_writer, &fds[1]);
	CHECK(read(fds[0], &byte, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	wait_blocked(pid);
	CHECK(cg_write("b", "cgroup.freeze", "1") == 0);
	CHECK(cg_event("b", "cgroup.events", "frozen") == 0);
	populate(1);
	wait_event("b", "cgroup.events", "frozen", 1);
	CHECK(claims("a"));
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	CHECK(cg_write("b", "cgroup.freeze", "0") == 0);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
	cg_end("b");
}

/* Suspend is refused before anything is frozen, and a claim that waits does not notice; needs CONFIG_PM_DEBUG. */
static void test_refused_suspend(void)
{
	pid_t pid;

	populate(0);
	pid = start_writer("a");
	CHECK(write_file("/sys/module/suspend/parameters/pm_test_delay", "0", 0) == 0);
	/* It would go no further than that. */
	CHECK(write_file("/sys/power/pm_test", "freezer", 0) == 0);
	CHECK(write_file("/sys/power/state", "freeze", 0) == -EPERM);
	CHECK(write_file("/sys/power/pm_test", "none", 0) == 0);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	populate(1);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
}

/* Cgroup v1 cannot take the memory controller away from under the claims: CONFIG_SQUEEZY depends on that. */
static void test_v1(void)
{
	int rc, error;

	mkdir("/tmp/v1", 0755);
	CHECK(mount("none", "/tmp/v1", "cgroup", 0, "none,name=other") == 0);
	CHECK(umount("/tmp/v1") == 0);
	CHECK(cg_write(".", "cgroup.subtree_control", "-memory") == 0);
	rc = mount("none", "/tmp/v1", "cgroup", 0, "memory");
	error = errno;
	if (!rc)
		umount("/tmp/v1");
	CHECK(cg_write(".", "cgroup.subtree_control", "+memory") == 0);
	CHECK_MSG(rc < 0 && error == EINVAL, "error %d", error);
	populate(1);
	claim_new("a");
	cg_end("a");
}

const struct test waiting_tests[] = {
	{ "a killed writer loses its place and nobody else's", test_killed_in_the_middle },
	{ "nobody overtakes those who wait", test_no_overtaking },
	{ "many writers for one cgroup", test_many_writers },
	{ "an ancestor and its child wait", test_nested },
	{ "a claim waits while the device shrinks", test_unplug_requested },
	{ "a waiting writer is frozen after its wait", test_frozen_writer },
	{ "cgroup v1 does not get the controller", test_v1 },
	{ NULL, NULL }
};

const struct test freezing_tests[] = {
	{ "a waiting claim does not notice a suspend that is refused", test_refused_suspend },
	{ NULL, NULL }
};
