// SPDX-License-Identifier: Apache-2.0
/* Fork, exec, vfork, threads and clone: whose partition the pages of a new process or program come from. */
#include "pages.h"
#include "suite.h"
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

static void all_here(const char *mem, size_t bytes, void *nid)
{
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

static void fork_and_cow(void *nid)
{
	char *mem = map_anon(8 * MIB);
	int status;
	pid_t pid;

	touch(mem, 8 * MIB, 1);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		touch(mem, 8 * MIB, 2);
		_exit(pages_elsewhere(mem, 8 * MIB, *(int *)nid) ? 1 : 0);
	}
	touch(mem, 8 * MIB, 3);
	all_here(mem, 8 * MIB, nid);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

struct advised {
	char *wiped, *lost;
	void *nid;
};

static void look_at_advised(void *arg)
{
	struct advised *a = arg;
	unsigned char there[MIB / PAGE];

	for (size_t i = 0; i < MIB; i++)
		CHECK_MSG(!a->wiped[i], "byte %zu", i);
	touch(a->wiped, MIB, 2);
	all_here(a->wiped, MIB, a->nid);
	CHECK(mincore(a->lost, MIB, there) == -1 && errno == ENOMEM);
}

/* What a child has of its parent's memory may be asked for. KSM would bring it together with others', and is not there to be asked. */
static void advised(void *nid)
{
	struct advised a = { map_anon(MIB), map_anon(MIB), nid };

	touch(a.wiped, MIB, 1);
	touch(a.lost, MIB, 1);
	CHECK(madvise(a.wiped, MIB, MADV_WIPEONFORK) == 0);
	CHECK(madvise(a.lost, MIB, MADV_DONTFORK) == 0);
	CHECK(madvise(a.lost, MIB, MADV_MERGEABLE) == -1 && errno == EINVAL);
	CHECK(run_in(NULL, look_at_advised, &a) == 0);
	CHECK(a.wiped[0] == 1 && a.lost[0] == 1);
	all_here(a.wiped, MIB, nid);
	all_here(a.lost, MIB, nid);
}

static void exec_self(void *nid)
{
	static char big[64 * 1024], env_big[64 * 1024];
	char node[16];
	char *argv[] = { EXEC_NAME, "look", node, big, NULL }, *envp[] = { env_big, NULL };

	memset(big, 'a', sizeof(big) - 1);
	memset(env_big, 'e', sizeof(env_big) - 1);
	snprintf(node, sizeof(node), "%d", *(int *)nid);
	execve("/proc/self/exe", argv, envp);
	CHECK(false);
}

static char in_bss[MIB];
static char in_data[16 * PAGE] = { 1 };

/* The new program: arguments, environment, stack, data, bss and heap are its own, hence the partition's; its text is a file's. */
static int look_at_program(char **argv)
{
	size_t anon, elsewhere;
	int nid = atoi(argv[2]);
	char *heap = malloc(MIB / 2);

	in_child = true;
	CHECK(heap);
	memset(heap, 1, MIB / 2);
	memset(in_bss, 1, sizeof(in_bss));
	memset(in_data, 2, sizeof(in_data));
	CHECK(node_of(argv[3]) == nid && node_of(argv[3] + 32 * 1024) == nid);
	CHECK(node_of(environ[0] + 32 * 1024) == nid);
	CHECK(node_of(&anon) == nid);
	CHECK(node_of(in_data + 8 * PAGE) == nid && node_of(in_bss + MIB / 2) == nid);
	CHECK(node_of((const void *)look_at_program) == 0);
	anon = look_at_self(nid, &elsewhere);
	CHECK_MSG(elsewhere == 0, "%zu pages, %zu of them anonymous", elsewhere, anon);
	CHECK_MSG(anon > (MIB + MIB / 2) / PAGE, "only %zu anonymous pages seen", anon);
	free(heap);
	return 0;
}

int exec_main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	return argc > 3 && !strcmp(argv[1], "look") ? look_at_program(argv) : 1;
}

static void vfork_and_exec(void *nid)
{
	static char node[16];
	static char *argv[] = { EXEC_NAME, "look", node, NULL, NULL }, *envp[] = { NULL, NULL };
	static char big[64 * 1024], env_big[64 * 1024];
	pid_t pid;

	memset(big, 'a', sizeof(big) - 1);
	memset(env_big, 'e', sizeof(env_big) - 1);
	argv[3] = big;
	envp[0] = env_big;
	snprintf(node, sizeof(node), "%d", *(int *)nid);
	pid = vfork();
	if (!pid) {
		execve("/proc/self/exe", argv, envp);
		_exit(1);
	}
	CHECK(pid > 0);
	CHECK(wait_for(pid) == 0);
}

static void *touching_thread(void *arg)
{
	touch(arg, MIB, 1);
	return NULL;
}

static void threads(void *nid)
{
	char *mem = map_anon(8 * MIB);
	pthread_t thread[8];

	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_create(&thread[i], NULL, touching_thread, mem + i * MIB) == 0);
	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	all_here(mem, 8 * MIB, nid);
}

static bool leader_is_gone(void *arg)
{
	char path[64], text[512] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	end = strrchr(text, ')');
	return end && end[2] == 'Z';
}

static void *last_thread(void *nid)
{
	char *mem;

	CHECK(wait_until(leader_is_gone, NULL, 20000));
	mem = map_anon(MIB);
	touch(mem, MIB, 1);
	all_here(mem, MIB, nid);
	exit(0);
}

/* The first thread, owner of the address space, ends before the others. */
static void leader_exits(void *nid)
{
	static int node;
	pthread_t thread;

	node = *(int *)nid;
	CHECK(pthread_create(&thread, NULL, last_thread, &node) == 0);
	pthread_exit(NULL);
}

static pid_t fork_into(const char *cgroup)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char path[64];
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", cgroup);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	args.cgroup = (uint64_t)fd;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	close(fd);
	return pid;
}

/* Born in the cgroup: what the child writes is the partition's, what it only reads stays its parent's. */
static void test_clone_into_cgroup(void)
{
	char *mem = map_anon(MIB);
	int nid, status;
	pid_t pid;

	touch(mem, MIB, 1);
	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = fork_into("a");
	CHECK(pid >= 0);
	if (!pid) {
		touch(mem, MIB / 2, 2);
		if (pages_elsewhere(mem, MIB / 2, nid))
			_exit(1);
		_exit(pages_elsewhere(mem + MIB / 2, MIB / 2, 0) ? 2 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_MSG(status == 0, "%#x", status);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	munmap(mem, MIB);
	cg_end("a");
}

/* Pinned pages are copied while forking: for the child, but placed and paid by the parent, who owned the page. */
static void early_copy(void *nid)
{
	char *mem = map_anon(PAGE);
	int ring, status;
	pid_t pid;

	mem[0] = 1;
	ring = uring_make();
	CHECK(uring_register(ring, mem, PAGE) == 0);
	pid = fork_into("b");
	CHECK(pid >= 0);
	if (!pid)
		_exit(node_of(mem) == *(int *)nid && mem[0] == 1 ? 0 : 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_MSG(status == 0, "%#x", status);
	CHECK(node_of(mem) == *(int *)nid);
	close(ring);
}

static void test_early_copy(void)
{
	unsigned int id, other;
	int nid;

	populate(2);
	id = claim_new("a");
	other = claim_new("b");
	nid = partition_nid(id);
	CHECK(run_in("a", early_copy, &nid) == 0);
	check_nobody_else(other, "b");
	cg_end("a");
	cg_end("b");
}

static int move_in_and_touch(void *mem)
{
	if (cg_write("a", "cgroup.procs", "0"))
		return 1;
	touch(mem, MIB, 1);
	return 0;
}

/* A child that shares the address space pays nothing: the owner's memory, wherever the child lives. */
static void test_shared_address_space(void)
{
	char *mem = map_anon(MIB), *stack = map_anon(MIB);
	pid_t pid;

	populate(1);
	claim_new("a");
	pid = clone(move_in_and_touch, stack + MIB, CLONE_VM | CLONE_VFORK | SIGCHLD, mem);
	CHECK(pid > 0);
	CHECK(wait_for(pid) == 0);
	CHECK(mem[0] == 1 && pages_elsewhere(mem, MIB, 0) == 0);
	munmap(mem, MIB);
	munmap(stack, MIB);
	cg_end("a");
}

static void touch_more_when_told(void *arg)
{
	char *mem = map_anon(2 * MIB);

	touch(mem, MIB, 1);
	raise(SIGSTOP);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	touch(mem + MIB, MIB, 1);
	all_here(mem + MIB, MIB, arg);
}

/* What was there before stays where it is; what comes after the move is the partition's. */
static void test_moved_in(void)
{
	char text[16];
	int nid;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_stopped(NULL, touch_more_when_told, &nid);
	snprintf(text, sizeof(text), "%d", pid);
	CHECK(cg_write("a", "cgroup.procs", text) == 0);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
}

INSIDE(fork_and_cow)
INSIDE(advised)
INSIDE(exec_self)
INSIDE(vfork_and_exec)
INSIDE(threads)
INSIDE(leader_exits)

const struct test processes_tests[] = {
	{ "copies after fork, parent's and child's", test_fork_and_cow },
	{ "MADV_WIPEONFORK and MADV_DONTFORK; MADV_MERGEABLE is refused", test_advised },
	{ "exec: arguments, environment, stack, data, bss, heap", test_exec_self },
	{ "vfork and exec", test_vfork_and_exec },
	{ "threads", test_threads },
	{ "a thread that outlives the first one", test_leader_exits },
	{ "a child born in the cgroup (CLONE_INTO_CGROUP)", test_clone_into_cgroup },
	{ "early copies of pinned pages are the parent's", test_early_copy },
	{ "a child that shares the address space uses its owner's memory", test_shared_address_space },
	{ "a process that is moved in", test_moved_in },
	{ NULL, NULL }
};
