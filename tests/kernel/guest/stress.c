// SPDX-License-Identifier: Apache-2.0
/*
 * Everything at once and at random: instances come, claim, fault, fork, pin, move and are killed while the host changes its mind and
 * the rest of the kernel does what disturbs. The kernel's check of every page runs all the time, and at the end everything is back.
 *
 * stress_seconds=N on the kernel command line sets how long (at least MIN_ROUNDS changes of the host's mind), stress_seed=N repeats
 * a run's choices, though not its timing.
 */
#include "ledger.h"
#include "stress_work.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3
#define MIN_ROUNDS 60
#define MOST_TIMES 20
#define CHECK_EVERY 6
#define DEFAULT_SECONDS 20
#define END_MS 120000

static struct stress_shared *shared;
static uint64_t seed;

/* One slot: makes an instance, lets it work, ends it; again and again. */
struct instance {
	uint64_t rnd;
	unsigned int number;
	char name[8];
	char inner[16];	/* where its processes are: in it, or in a child cgroup */
	pid_t workers[WORKERS];
	int pipe[2];
};

static unsigned int env_number(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : otherwise;
}

static int claim_somehow(struct instance *in)
{
	char id[8];

	switch (stress_random(&in->rnd, 8)) {
	case 0:
		return cg_write_nonblock(in->name, "memory.squeezy", "auto");
	case 1:
		snprintf(id, sizeof(id), "%u", stress_random(&in->rnd, partition_count));
		return cg_write(in->name, "memory.squeezy", id);
	default:
		return cg_write(in->name, "memory.squeezy", "auto");
	}
}

/* Mostly below the partition, as it should be; sometimes the partition itself is the limit. */
static void limit_somehow(struct instance *in)
{
	char text[32];

	if (!stress_random(&in->rnd, 4))
		return;
	snprintf(text, sizeof(text), "%zu", partition_bytes * (2 + stress_random(&in->rnd, 3)) / 4);
	cg_write(in->name, stress_random(&in->rnd, 4) ? "memory.max" : "memory.high", text);
}

/* Below a cgroup that divides its memory there are no processes beside its children. */
static void nest_somehow(struct instance *in)
{
	snprintf(in->inner, sizeof(in->inner), "%s", in->name);
	if (stress_random(&in->rnd, 4) || cg_write(in->name, "cgroup.subtree_control", "+memory"))
		return;
	snprintf(in->inner, sizeof(in->inner), "%s/c", in->name);
	CHECK(cg_make(in->inner) == 0);
	stress_did(shared, STRESS_NESTED);
}

static void work(void *arg)
{
	struct instance *in = arg;
	struct stress_worker worker = { shared, in->number, in->rnd, in->pipe[1] };

	stress_work(&worker);
}

static void start_workers(struct instance *in)
{
	for (unsigned int i = 0; i <= stress_random(&in->rnd, WORKERS); i++) {
		in->rnd += 0x9e3779b97f4a7c15;
		in->workers[i] = start_in(in->inner, work, in);
	}
}

/* A worker finds itself in another instance, or outside of any. */
static void move_somebody(struct instance *in)
{
	char name[8], pid[16];

	if (!in->workers[0] || stress_random(&in->rnd, 6))
		return;
	snprintf(name, sizeof(name), "s%u", stress_random(&in->rnd, STRESS_SLOTS));
	snprintf(pid, sizeof(pid), "%d", in->workers[0]);
	__atomic_fetch_add(&shared->moves_begun[in->number], 1, __ATOMIC_SEQ_CST);
	if (cg_write(stress_random(&in->rnd, 4) ? name : ".", "cgroup.procs", pid) == 0)
		stress_did(shared, STRESS_MOVES);
	__atomic_fetch_add(&shared->moves_over[in->number], 1, __ATOMIC_SEQ_CST);
}

/* A worker ends by a kill, ours or that of a full partition, and by nothing else; a child of its own may have come to its end. */
static void judge(int status)
{
	if (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : !WEXITSTATUS(status))
		return;
	printf("# stress: a worker ended with %#x\n", status);
	__atomic_store_n(&shared->failed, true, __ATOMIC_RELAXED);
}

static void reap(void)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0)
		judge(status);
}

/*
 * Children of ours may live in another instance's cgroup, and others in ours: whoever ends kills what is in its own cgroup until all
 * is gone. Every slot does, so nobody waits for a slot that waits for him.
 */
static void end_instance(struct instance *in)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		if (in->workers[i])
			kill(in->workers[i], SIGKILL);
	for (;;) {
		int rc;

		cg_write(in->name, "cgroup.kill", "1");
		reap();
		if (!stress_random(&in->rnd, 4))
			cg_write(in->name, "memory.squeezy", "none");
		if (strcmp(in->inner, in->name))
			cg_remove(in->inner);
		rc = cg_remove(in->name);
		if (!rc || rc == -ENOENT)
			break;
		sleep_ms(2);
	}
}

static void one_life(struct instance *in)
{
	int rc = cg_make(in->name);

	CHECK_MSG(rc == 0, "mkdir of %s: %d", in->name, rc);
	memset(in->workers, 0, sizeof(in->workers));
	CHECK(pipe2(in->pipe, O_NONBLOCK | O_CLOEXEC) == 0);
	limit_somehow(in);
	nest_somehow(in);
	rc = claim_somehow(in);
	CHECK_MSG(!rc || rc == -EAGAIN || rc == -EBUSY, "claim: %d", rc);
	stress_did(shared, rc ? STRESS_CLAIMS_REFUSED : STRESS_CLAIMS);
	if (!rc) {
		start_workers(in);
		for (unsigned int i = stress_random(&in->rnd, 12); i; i--) {
			sleep_ms(stress_random(&in->rnd, 40));
			move_somebody(in);
			reap();
		}
	}
	end_instance(in);
	/* What the pipe holds survives its owner for a while. */
	sleep_ms(stress_random(&in->rnd, 2) * stress_random(&in->rnd, 50));
	close(in->pipe[0]);
	close(in->pipe[1]);
}

static void run_slot(void *arg)
{
	unsigned int number = *(unsigned int *)arg;
	struct instance in = { .rnd = seed * 1000 + number, .number = number };
	int status;

	snprintf(in.name, sizeof(in.name), "s%u", number);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (!shared->stop)
		one_life(&in);
	/* Those that sit in another slot's cgroup go when that slot ends. */
	while (waitpid(-1, &status, 0) > 0)
		judge(status);
}

/* What the rest of the kernel does meanwhile. */
static void disturb(void *arg)
{
	static const struct {
		const char *path, *text;
	} deeds[] = {
		{ "/proc/sys/vm/compact_memory", "1" },
		{ "/proc/sys/vm/drop_caches", "3" },
		{ "/sys/devices/system/cpu/cpu1/online", "0" },
		{ "/sys/devices/system/cpu/cpu1/online", "1" },
		{ "/sys/kernel/mm/squeezy/keep_memmap", "0" },
		{ "/sys/kernel/mm/squeezy/keep_memmap", "1" },
		{ "/sys/kernel/mm/squeezy/prepare_memmap", "0" },
		{ "/sys/kernel/mm/squeezy/prepare_memmap", "1" },
		{ "/sys/fs/cgroup/s0/memory.reclaim", "8M" },
	};
	uint64_t rnd = seed + 77;
	char buf[65536], keep[16], prepare[16];

	CHECK(read_file("/sys/kernel/mm/squeezy/keep_memmap", keep, sizeof(keep)) == 0);
	CHECK(read_file("/sys/kernel/mm/squeezy/prepare_memmap", prepare, sizeof(prepare)) == 0);
	while (!shared->stop) {
		unsigned int i = stress_random(&rnd, sizeof(deeds) / sizeof(deeds[0]) + 2);

		if (i < sizeof(deeds) / sizeof(deeds[0])) {
			if (file_write(deeds[i].path, deeds[i].text) == 0)
				stress_did(shared, STRESS_DISTURBANCES);
		} else {
			file_read("/proc/kpageflags", buf, sizeof(buf));
			file_read("/sys/fs/cgroup/s0/memory.squeezy.stat", buf, sizeof(buf));
		}
		sleep_ms(stress_random(&rnd, 60));
	}
	file_write("/sys/devices/system/cpu/cpu1/online", "1");
	file_write("/sys/kernel/mm/squeezy/prepare_memmap", prepare);
	file_write("/sys/kernel/mm/squeezy/keep_memmap", keep);
}

/* The first of what every stress has to do that was not done yet, or STRESS_NR_DEEDS. Refusals come by chance. */
static unsigned int first_not_done(void)
{
	unsigned int deed = 0;

	while (deed < STRESS_NR_DEEDS && (shared->deeds[deed] || deed == STRESS_CLAIMS_REFUSED))
		deed++;
	return deed;
}

/* For so long, and on a slow machine until all has been done, but no longer than MOST_TIMES as long. */
static void change_minds(unsigned int seconds)
{
	uint64_t rnd = seed, removed = counter("maps_removed");
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned int round = 0;; round++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		now.tv_sec -= start.tv_sec;
		if (round >= MIN_ROUNDS && now.tv_sec >= seconds &&
		    (now.tv_sec >= MOST_TIMES * seconds || first_not_done() == STRESS_NR_DEEDS))
			break;
		host_request(stress_random(&rnd, partition_count + 1));
		sleep_ms(stress_random(&rnd, 150));
		if (round % CHECK_EVERY)
			continue;
		check_pages();
		if (counter("maps_removed") > removed)
			stress_did(shared, STRESS_MAPS);
	}
}

struct children {
	pid_t pids[STRESS_SLOTS + 1];
	unsigned int alive;
};

static bool all_ended(void *arg)
{
	struct children *c = arg;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned int i = 0; i <= STRESS_SLOTS; i++)
			if (c->pids[i] == pid) {
				c->alive--;
				CHECK_MSG(status == 0, "process %u of the stress ended with %#x", i, status);
			}
	return !c->alive;
}

static void print_deeds(void)
{
	printf("# stress: seed %llu:", (unsigned long long)seed);
	for (unsigned int i = 0; i < STRESS_NR_DEEDS; i++)
		printf(" %llu %s", (unsigned long long)shared->deeds[i], stress_deed_names[i]);
	printf("\n");
}

static void start_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = env_number("stress_seed", (unsigned int)now.tv_nsec ^ (unsigned int)now.tv_sec);
	printf("# stress: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
}

static void test_everything_at_once(void)
{
	struct children c = { .alive = STRESS_SLOTS + 1 };
	uint64_t claims, drains;
	struct ledger before;

	populate(partition_count);
	ledger_open(&before);
	start_seed();
	claims = counter("claims");
	drains = counter("drains");
	file_write("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled", "madvise");
	for (unsigned int i = 0; i < STRESS_SLOTS; i++)
		c.pids[i] = start_in(NULL, run_slot, &i);
	c.pids[STRESS_SLOTS] = start_in(NULL, disturb, NULL);
	change_minds(env_number("stress_seconds", DEFAULT_SECONDS));
	shared->stop = true;
	/* Nobody waits for a claim in vain any more. */
	host_request(partition_count);
	CHECK_MSG(wait_until(all_ended, &c, END_MS), "%u processes of the stress do not end", c.alive);
	print_deeds();
	CHECK_MSG(first_not_done() == STRESS_NR_DEEDS, "no %s", stress_deed_names[first_not_done()]);
	CHECK(!shared->failed);
	CHECK(counter("claims") >= claims + STRESS_SLOTS && counter("drains") > drains);
	ledger_close(&before);
	check_pages();
	munmap(shared, sizeof(*shared));
}

const struct test stress_tests[] = {
	{ "claims, faults, forks, pins, moves, kills, drains at random; all comes back", test_everything_at_once },
	{ NULL, NULL }
};
