// SPDX-License-Identifier: Apache-2.0
/* Who may claim: capabilities of whoever opened the file, cgroup and user namespaces, delegated cgroups. And what may be written. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define NOBODY 65534
#define FILE_OF_A "/sys/fs/cgroup/a/memory.squeezy"
#define STRESS_ROUNDS 400

static void expect(const char *cgroup, const char *text)
{
	char now[16];

	cg_read(cgroup, "memory.squeezy", now, sizeof(now));
	CHECK_MSG(!strcmp(now, text), "memory.squeezy of %s is '%s'", cgroup, now);
}

static void delegate(const char *path)
{
	char full[64];

	snprintf(full, sizeof(full), "/sys/fs/cgroup/%s", path);
	CHECK_MSG(chown(full, NOBODY, NOBODY) == 0, "%s", full);
}

static void write_given_fd(void *arg)
{
	CHECK(setuid(NOBODY) == 0);
	CHECK(write(*(int *)arg, "auto", 4) == 4);
}

/* Who opened the file decides, as for every file of a cgroup. */
static void test_opener(void)
{
	int fd;

	populate(1);
	CHECK(cg_make("a") == 0);
	delegate("a/memory.squeezy");
	fd = open(FILE_OF_A, O_RDWR);
	CHECK(fd >= 0);
	CHECK(run_in(NULL, write_given_fd, &fd) == 0);
	expect("a", "0");
	CHECK(write(fd, "none", 4) == 4);
	close(fd);
	CHECK(seteuid(NOBODY) == 0);
	fd = open(FILE_OF_A, O_RDWR);
	CHECK(seteuid(0) == 0);
	CHECK(fd >= 0);
	CHECK(write(fd, "auto", 4) < 0 && errno == EPERM);
	CHECK(write(fd, "0", 1) < 0 && errno == EPERM);
	close(fd);
	expect("a", "none");
	cg_end("a");
}

static void own_user_namespace(void *arg)
{
	CHECK(setuid(NOBODY) == 0);
	CHECK(unshare(CLONE_NEWUSER) == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EPERM);
}

/* All capabilities in a user namespace are none over the machine's memory. */
static void test_user_namespace(void)
{
	populate(1);
	CHECK(cg_make("a") == 0);
	delegate("a/memory.squeezy");
	CHECK(run_in(NULL, own_user_namespace, NULL) == 0);
	expect("a", "none");
	cg_end("a");
}

static void in_own_namespace(void *arg)
{
	char text[16];

	CHECK(unshare(CLONE_NEWCGROUP) == 0);
	cg_read("a", "memory.squeezy", text, sizeof(text));
	CHECK(!strcmp(text, "none"));
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EPERM);
	CHECK(cg_write("a", "memory.squeezy", "none") == -EPERM);
	/* What lies below the namespace's root is for whoever has the capability. */
	CHECK(cg_make("a/b") == 0);
	CHECK(cg_write("a/b", "cgroup.procs", "0") == 0);
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	CHECK(cg_write("a/b", "memory.squeezy", "auto") == 0);
	CHECK(cg_write("a/b", "memory.squeezy", "none") == -EBUSY);
}

/* The root of a cgroup namespace is its parent's to configure, if the mount says nsdelegate. */
static void test_cgroup_namespace(void)
{
	populate(1);
	CHECK(cg_make("a") == 0);
	CHECK(mount("none", "/sys/fs/cgroup", NULL, MS_REMOUNT, "nsdelegate") == 0);
	CHECK(run_in("a", in_own_namespace, NULL) == 0);
	CHECK(mount("none", "/sys/fs/cgroup", NULL, MS_REMOUNT, NULL) == 0);
	expect("a", "none");
	cg_end("a/b");
	cg_end("a");
}

/* May read, use and subdivide what it was given; may not take. */
static void owner(void *arg)
{
	char *mem;

	CHECK(cg_write("a", "cgroup.procs", "0") == 0);
	CHECK(setuid(NOBODY) == 0);
	CHECK(cg_make("a/b") == 0);
	CHECK(cg_write("a/b", "cgroup.procs", "0") == 0);
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	expect("a/b", "0");
	CHECK(cg_write("a", "memory.squeezy", "none") == -EACCES);
	CHECK(cg_write("a/b", "memory.squeezy", "auto") == -EPERM);
	CHECK(cg_write("a/b", "memory.squeezy", "none") == -EPERM);
	mem = map_anon(MIB);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, *(int *)arg) == 0);
}

static void giver(void *arg)
{
	CHECK(setuid(NOBODY) == 0);
	CHECK(cg_write("a", "memory.squeezy", "none") == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -EPERM);
	CHECK(cg_write("a", "memory.squeezy", "0") == -EPERM);
}

static void test_delegated(void)
{
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	delegate("a");
	delegate("a/cgroup.procs");
	delegate("a/cgroup.subtree_control");
	CHECK(run_in(NULL, owner, &nid) == 0);
	cg_end("a/b");
	/* Whoever may write the file may give up; there is no way back. */
	delegate("a/memory.squeezy");
	CHECK(run_in(NULL, giver, NULL) == 0);
	expect("a", "none");
	cg_end("a");
}

static const struct {
	const char *text;
	int len, error;
} inputs[] = {
	{ "auto\0", 5, EINVAL },	{ "au\0to", 5, EINVAL },	{ "\0", 1, EINVAL },
	{ "none\0", 5, EINVAL },	{ "\n", 1, EINVAL },		{ "   ", 3, EINVAL },
	{ "\xff\xfe\x00\x01", 4, EINVAL }, { "\xc3\xa4uto", 5, EINVAL },	{ "auto,", 5, EINVAL },
	{ "auto none", 9, EINVAL },	{ "0x0", 3, EINVAL },		{ "0 0", 3, EINVAL },
	{ "-0", 2, EINVAL },		{ "-1", 2, EINVAL },		{ "4", 1, EINVAL },
	{ "4294967296", 10, EINVAL },	{ "18446744073709551616", 20, EINVAL }, { "1e0", 3, EINVAL },
	{ "nOne", 4, EINVAL },		{ "au", 2, EINVAL },		{ "to", 2, EINVAL },
	{ "%s%n", 4, EINVAL },		{ "auto\r", 5, 0 },		{ " none\n\n", 7, 0 },
};

static void put(int fd, const char *text, int len, int error)
{
	ssize_t n = write(fd, text, (size_t)len);

	CHECK_MSG(error ? n < 0 && errno == error : n == len, "'%.*s'", len, text);
}

/* Each is refused without a word in the log and changes nothing; what is accepted is text, with white space around it. */
static void test_inputs(void)
{
	uint64_t claims = counter("claims");
	char *huge = malloc(65536);
	int fd, log = kernel_log();

	populate(1);
	CHECK(huge && cg_make("a") == 0);
	fd = open(FILE_OF_A, O_RDWR);
	CHECK(fd >= 0);
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		put(fd, inputs[i].text, inputs[i].len, inputs[i].error);
		expect("a", inputs[i].error || inputs[i].text[0] != 'a' ? "none" : "0");
		CHECK(write(fd, "none", 4) == 4);
	}
	memset(huge, '7', 65536);
	put(fd, huge, 4095, EINVAL);
	put(fd, huge, 4097, E2BIG);
	put(fd, huge, 65536, E2BIG);
	put(fd, (char *)8, 4, EFAULT);
	CHECK(write(fd, "", 0) == 0);
	CHECK(counter("claims") == claims + 1);
	wait_state(0, "populated");
	close(fd);
	free(huge);
	CHECK(cg_write("a", "memory.squeezy.stat", "1") == -EINVAL);
	CHECK(kernel_log_lines(log, "squeezy") == 0);
	cg_end("a");
}

static unsigned int knobs, others;

/* What cannot be written to cannot be opened for that either, by nobody. */
static int try_to_open(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (type != FTW_F)
		return 0;
	if (st->st_mode & 0222) {
		knobs++;
		return 0;
	}
	others++;
	CHECK_MSG(open(path, O_WRONLY) < 0 && errno == EACCES, "%s: %d", path, errno);
	return 0;
}

static void test_read_only(void)
{
	CHECK(nftw("/sys/kernel/mm/squeezy", try_to_open, 8, FTW_PHYS) == 0);
	CHECK_MSG(knobs == 3, "%u files can be written to", knobs);
	CHECK(others > 10 * partition_count);
}

/* One write is one command, wherever in the file and in however many pieces. */
static void test_pieces(void)
{
	struct iovec pieces[] = { { "au", 2 }, { "to", 2 } };
	int fd;

	populate(1);
	CHECK(cg_make("a") == 0);
	fd = open(FILE_OF_A, O_RDWR | O_APPEND);
	CHECK(fd >= 0);
	CHECK(writev(fd, pieces, 2) == 4);
	expect("a", "0");
	CHECK(pwrite(fd, "none", 4, 1000) == 4);
	expect("a", "none");
	CHECK(pwrite(fd, "auto", 4, -1) < 0 && errno == EINVAL);
	CHECK(ftruncate(fd, 0) < 0 || access(FILE_OF_A, F_OK) == 0);
	expect("a", "none");
	close(fd);
	cg_end("a");
}

static void hammer(void *arg)
{
	static const char *const texts[] = { "auto", "none", "0", "1", "2", "none", "bad" };
	unsigned int seed = (unsigned int)getpid();

	for (int i = 0; i < STRESS_ROUNDS; i++) {
		const char *text = texts[(unsigned int)rand_r(&seed) % 7];
		int rc = cg_write_nonblock(rand_r(&seed) & 1 ? "a" : "b", "memory.squeezy", text);

		CHECK_MSG(rc == 0 || rc == -EBUSY || rc == -EAGAIN || rc == -EINVAL, "'%s': %d", text, rc);
	}
}

/* Many writers, all commands: in the end claims and partitions agree. */
static void test_hammer(void)
{
	unsigned int claimed = 0;
	pid_t pids[6];

	populate(3);
	CHECK(cg_make("a") == 0);
	CHECK(cg_make("b") == 0);
	for (int i = 0; i < 6; i++)
		pids[i] = start_in(NULL, hammer, NULL);
	for (int i = 0; i < 6; i++)
		CHECK(wait_for(pids[i]) == 0);
	for (unsigned int i = 0; i < partition_count; i++)
		claimed += has_state(i, "claimed");
	CHECK(counter("claims") - counter("releases") == claimed);
	CHECK(cg_write("a", "memory.squeezy", "none") == 0);
	CHECK(cg_write("b", "memory.squeezy", "none") == 0);
	CHECK(counter("claims") == counter("releases"));
	for (unsigned int i = 0; i < 3; i++)
		wait_state(i, "populated");
	cg_end("a");
	cg_end("b");
}

const struct test delegation_tests[] = {
	{ "whoever opened the file decides", test_opener },
	{ "a user namespace gives no claim", test_user_namespace },
	{ "a cgroup namespace's root with nsdelegate", test_cgroup_namespace },
	{ "a delegated cgroup: use, divide, give up, not take", test_delegated },
	{ "bad, binary and huge text", test_inputs },
	{ "files that are read only cannot be opened for writing", test_read_only },
	{ "one write is one command", test_pieces },
	{ "many writers of everything", test_hammer },
	{ NULL, NULL }
};
