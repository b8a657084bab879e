// SPDX-License-Identifier: Apache-2.0
#include "stress_work.h"
#include "harness.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define HUGE (2 * MIB)
#define FLOODS_MIN 3

const char *const stress_deed_names[STRESS_NR_DEEDS] = {
	"claims", "claims refused", "moves", "disturbances", "small", "huge", "forks", "splices", "rings", "advice", "floods",
	"remote", "nested", "placed", "maps",
};

unsigned int stress_random(uint64_t *state, unsigned int limit)
{
	*state += 0x9e3779b97f4a7c15;
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (unsigned int)((z ^ (z >> 31)) % limit);
}

void stress_did(struct stress_shared *shared, enum stress_deed deed)
{
	__atomic_fetch_add(&shared->deeds[deed], 1, __ATOMIC_RELAXED);
}

/* Counted as soon as it is done: the instance may end at any time, and on a slow machine it mostly does before the rest is over. */
static struct stress_worker *me;

static void did(enum stress_deed deed)
{
	stress_did(me->shared, deed);
}

static uint64_t load(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

/* Where new memory of this process has to come from. */
struct home {
	int nid;	/* -1: from anywhere */
	uint64_t moves;
};

/* Is being moved, or its cgroup has no claim: anywhere. To be asked before the memory is mapped. */
static struct home my_home(void)
{
	struct home home = { -1, load(&me->shared->moves_begun[me->slot]) };
	char cgroup[64], file[128], id[16];

	if (load(&me->shared->moves_over[me->slot]) != home.moves || read_file("/proc/self/cgroup", cgroup, sizeof(cgroup)))
		return home;
	snprintf(file, sizeof(file), "/sys/fs/cgroup%s/memory.squeezy", cgroup + strlen("0::"));
	if (!read_file(file, id, sizeof(id)) && id[0] >= '0' && id[0] <= '9')
		home.nid = partition_nid((unsigned int)atoi(id));
	return home;
}

/* Nothing is spilled: what was written since then is at home, unless the process has a new one. */
static void all_at_home(const char *mem, size_t bytes, struct home home)
{
	size_t elsewhere;

	if (home.nid < 0)
		return;
	elsewhere = pages_elsewhere(mem, bytes, home.nid);
	if (load(&me->shared->moves_begun[me->slot]) != home.moves)
		return;
	CHECK_MSG(!elsewhere, "%zu of %zu pages are not in node %d", elsewhere, bytes / PAGE, home.nid);
	did(STRESS_PLACED);
}

/* NULL when the address space or the limit does not allow more: then this deed is skipped. */
static char *map_somewhere(size_t bytes)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* Our bytes stay ours, whatever happens to the page below them. */
static void fill_and_compare(char *mem, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i += PAGE) {
		mem[i] = (char)value;
		mem[i + PAGE - 1] = (char)value;
	}
	for (size_t i = 0; i < bytes; i += PAGE)
		CHECK((unsigned char)mem[i] == value && (unsigned char)mem[i + PAGE - 1] == value);
}

static void do_small(uint64_t *rnd)
{
	size_t bytes = (1 + stress_random(rnd, 8)) * MIB;
	struct home home = my_home();
	char *mem = map_somewhere(bytes);

	if (!mem)
		return;
	did(STRESS_SMALL);
	fill_and_compare(mem, bytes, (unsigned char)stress_random(rnd, 255) + 1);
	all_at_home(mem, bytes, home);
	munmap(mem, bytes);
}

/* 2 MiB pages where madvise enables them, else 64 KiB; then holes in them. */
static void do_huge(uint64_t *rnd)
{
	struct home home = my_home();
	char *mem = map_somewhere(4 * HUGE);

	if (!mem)
		return;
	if (!madvise(mem, 4 * HUGE, MADV_HUGEPAGE))
		did(STRESS_HUGE);
	fill_and_compare(mem, 4 * HUGE, (unsigned char)stress_random(rnd, 255) + 1);
	all_at_home(mem, 4 * HUGE, home);
	for (int i = 0; i < 8; i++)
		madvise(mem + stress_random(rnd, 2000) * PAGE, (1 + stress_random(rnd, 40)) * PAGE, MADV_DONTNEED);
	munmap(mem, stress_random(rnd, 2) ? 4 * HUGE : HUGE + 16 * PAGE);
}

/* Into bytes of a child that it does not look at itself; it may be over already. */
static void write_into(pid_t pid, char *mem, uint64_t *rnd)
{
	char text[] = "from outside";
	char *at = mem + stress_random(rnd, 512) * PAGE + 64;
	struct iovec local = { text, sizeof(text) }, remote = { at, sizeof(text) };

	if (process_vm_writev(pid, &local, 1, &remote, 1, 0) > 0)
		did(STRESS_REMOTE);
}

static void do_fork(uint64_t *rnd)
{
	struct home home = my_home();
	char *mem = map_somewhere(2 * MIB);
	int status = 0;
	pid_t pid;

	if (!mem)
		return;
	touch(mem, 2 * MIB, 1);
	pid = fork();
	if (!pid) {
		fill_and_compare(mem, 2 * MIB, 2);
		all_at_home(mem, 2 * MIB, home);
		_exit(0);
	}
	if (pid > 0) {
		did(STRESS_FORKS);
		for (int i = 0; i < 16; i++)
			write_into(pid, mem, rnd);
	}
	fill_and_compare(mem, 2 * MIB, 3);
	all_at_home(mem, 2 * MIB, home);
	/* Sometimes an orphan stays for the kill. */
	if (pid > 0 && stress_random(rnd, 8))
		waitpid(pid, &status, 0);
	CHECK(!WIFEXITED(status) || !WEXITSTATUS(status));
	munmap(mem, 2 * MIB);
}

static void do_splice(uint64_t *rnd, int pipe_fd)
{
	char *mem = map_somewhere(MIB);
	struct iovec iov = { mem, (1 + stress_random(rnd, 8)) * PAGE };

	if (!mem)
		return;
	touch(mem, MIB, 4);
	/* A full pipe takes nothing. */
	if (vmsplice(pipe_fd, &iov, 1, SPLICE_F_NONBLOCK) > 0)
		did(STRESS_SPLICES);
	munmap(mem, MIB);
}

/* A registered buffer pins memory that was never touched before; the ring may outlive the mapping. */
static void do_ring(uint64_t *rnd)
{
	struct io_uring_params params = { .flags = 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);
	char *mem = map_somewhere(MIB);
	struct iovec iov = { mem, MIB };

	if (fd < 0)
		return;
	if (mem) {
		if (!syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1))
			did(STRESS_RINGS);
		munmap(mem, MIB);
	}
	if (stress_random(rnd, 4))
		close(fd);
}

static void do_advice(uint64_t *rnd)
{
	static const int advice[] = { MADV_FREE, MADV_COLLAPSE, MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED };
	char *mem = map_somewhere(2 * HUGE);
	char *moved;

	if (!mem)
		return;
	did(STRESS_ADVICE);
	touch(mem, 2 * HUGE, 5);
	for (int i = 0; i < 3; i++)
		madvise(mem, 2 * HUGE, advice[stress_random(rnd, sizeof(advice) / sizeof(advice[0]))]);
	if (!stress_random(rnd, 3))
		mlock(mem, MIB);
	moved = mremap(mem, 2 * HUGE, 2 * HUGE + MIB, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED) {
		/* Behind it are others' mappings. */
		munmap(mem, 2 * HUGE);
		return;
	}
	touch(moved, HUGE, 6);
	munmap(moved, 2 * HUGE + MIB);
}

/* More than the partition holds: somebody inside is killed. */
static void do_flood(void)
{
	size_t bytes = partition_bytes + partition_bytes / 8;
	char *mem = map_somewhere(bytes);

	if (!mem)
		return;
	did(STRESS_FLOODS);
	touch(mem, bytes, 7);
	munmap(mem, bytes);
}

void stress_work(struct stress_worker *worker)
{
	static const enum stress_deed deeds[] = {
		STRESS_SMALL, STRESS_SMALL, STRESS_HUGE, STRESS_HUGE, STRESS_FORKS, STRESS_SPLICES, STRESS_RINGS, STRESS_ADVICE,
	};
	uint64_t *rnd = &worker->rnd;

	me = worker;
	for (;;) {
		enum stress_deed deed = deeds[stress_random(rnd, sizeof(deeds) / sizeof(deeds[0]))];

		/* Rare, as they end the instance; but there are some in any run. */
		if (worker->shared->deeds[STRESS_FLOODS] < FLOODS_MIN || !stress_random(rnd, 300))
			deed = STRESS_FLOODS;
		switch (deed) {
		case STRESS_HUGE: do_huge(rnd); break;
		case STRESS_FORKS: do_fork(rnd); break;
		case STRESS_SPLICES: do_splice(rnd, worker->pipe_fd); break;
		case STRESS_RINGS: do_ring(rnd); break;
		case STRESS_ADVICE: do_advice(rnd); break;
		case STRESS_FLOODS: do_flood(); break;
		default: do_small(rnd); break;
		}
	}
}
