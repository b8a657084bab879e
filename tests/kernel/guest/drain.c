// SPDX-License-Identifier: Apache-2.0
/* Returning memory: drain, stragglers, parked partitions, secrecy, boot without the feature. */
#include "suite.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

static void fill(void *arg)
{
	size_t bytes = partition_bytes * 3 / 4;
	char *mem = map_anon(bytes);

	for (size_t i = 0; i < bytes; i += sizeof(long))
		*(long *)(mem + i) = 0x5a5a5a5a5a5a5a5a;
}

static void fill_and_stay(void *arg)
{
	fill(arg);
	for (;;)
		pause();
}

/* An ended instance's partition goes back whole, and no page is migrated. */
static void test_drain(void)
{
	uint64_t migrated, drains;
	pid_t pid;

	populate(2);
	wait_state(0, "populated");
	wait_state(1, "populated");
	claim_new("a");
	claim_new("b");
	pid = start_in("b", fill_and_stay, NULL);
	wait_asleep(pid);
	migrated = vmstat("pgmigrate_success");
	drains = counter("drains");
	host_request(1);
	host_ask("size");
	sleep_ms(100);
	CHECK(has_state(0, "claimed") && has_state(1, "claimed"));
	cg_end("b");
	waitpid(pid, NULL, 0);
	wait_state(1, "parked");
	populate(1);
	CHECK(vmstat("pgmigrate_success") == migrated);
	wait_counter("drains", drains + 1);
	CHECK(partition_value(1, "managed_bytes") == 0);
	CHECK(host_ask("size") == partition_bytes);
	CHECK(partition_value(1, "released_ns") <= partition_value(1, "drained_ns"));
	CHECK(partition_value(1, "drained_ns") <= partition_value(1, "returned_ns"));
	CHECK(has_state(0, "claimed"));
	cg_end("a");
}

static void look_for_old_bytes(void *arg)
{
	size_t bytes = partition_bytes * 3 / 4;
	char *mem = map_anon(bytes);

	for (size_t i = 0; i < bytes; i += PAGE) {
		mem[i] = 0;
		for (size_t j = 0; j < PAGE; j += sizeof(long))
			CHECK(*(long *)(mem + i + j) == 0);
	}
}

/* The next owner sees zeroes, with and without an unplug in between. */
static void test_no_old_bytes(void)
{
	populate(1);
	for (int round = 0; round < 2; round++) {
		claim_new("a");
		CHECK(run_in("a", fill, NULL) == 0);
		cg_end("a");
		if (round)
			populate(0);
		populate(1);
		wait_state(0, "populated");
		claim_new("a");
		CHECK(run_in("a", look_for_old_bytes, NULL) == 0);
		cg_end("a");
	}
}

static void test_populate_again(void)
{
	uint64_t first, parked;

	populate(partition_count);
	populate(0);
	first = counter("populates_first");
	parked = counter("populates_parked");
	for (unsigned int i = 0; i < partition_count; i++)
		CHECK(has_state(i, "parked"));
	populate(partition_count);
	CHECK(counter("populates_first") == first);
	CHECK(counter("populates_parked") == parked + partition_count);
	populate(0);
}

/* Adjacent ups and downs of the request end where the last one says. */
static void test_request_moves(void)
{
	for (unsigned int round = 0; round < 20; round++)
		host_request(round * 7 % (partition_count + 1));
	populate(1);
	claim_new("a");
	CHECK(run_in("a", fill, NULL) == 0);
	cg_end("a");
	populate(0);
}

static void splicer(void *arg)
{
	int *pipe_end = arg;
	char *mem = map_anon(MIB);
	struct iovec iov = { mem, 4 * PAGE };

	touch(mem, MIB, 1);
	CHECK(vmsplice(pipe_end[1], &iov, 1, 0) == (ssize_t)(4 * PAGE));
}

static bool pipe_is_all(void *id)
{
	return partition_value(*(unsigned int *)id, "missing_bytes") == 4 * PAGE;
}

/* A pipe outside holds pages of a dead instance: the drain waits, then completes by itself. */
static void test_straggler_in_pipe(void)
{
	uint64_t busy = counter("drain_busy");
	unsigned int id;
	int fds[2];

	populate(1);
	CHECK(pipe(fds) == 0);
	id = claim_new("a");
	CHECK(run_in("a", splicer, fds) == 0);
	cg_end("a");
	host_request(0);
	CHECK(wait_until(pipe_is_all, &id, 20000));
	CHECK(has_state(id, "released"));
	CHECK(counter("drain_busy") > busy);
	close(fds[0]);
	close(fds[1]);
	wait_state(id, "parked");
	populate(0);
}

/* A straggler does not stop the VM from giving another, free partition back. */
static void test_straggler_and_spare(void)
{
	unsigned int id;
	int fds[2];

	populate(2);
	CHECK(pipe(fds) == 0);
	id = claim_new("a");
	CHECK(run_in("a", splicer, fds) == 0);
	cg_end("a");
	populate(1);
	CHECK(has_state(1 - id, "parked"));
	close(fds[0]);
	close(fds[1]);
	wait_state(id, "populated");
	populate(0);
}

/* Only the driver decides what is online. */
static void test_blocks_cannot_be_offlined(void)
{
	struct dirent *entry;
	char path[512];
	DIR *dir;
	int fd, seen = 0;

	populate(1);
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", partition_nid(0));
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		/* "memory_failure" is no block. */
		if (strncmp(entry->d_name, "memory", 6) || !isdigit(entry->d_name[6]))
			continue;
		snprintf(path, sizeof(path), "/sys/devices/system/memory/%.32s/state", entry->d_name);
		fd = open(path, O_WRONLY);
		CHECK(fd >= 0);
		CHECK(write(fd, "offline", 7) < 0 && errno == EPERM);
		close(fd);
		seen++;
	}
	closedir(dir);
	CHECK(seen > 0);
}

static void read_whole_kcore(void *arg)
{
	char buf[65536];
	int fd = open("/proc/kpageflags", O_RDONLY);

	CHECK(fd >= 0);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

static void churn(void *arg)
{
	for (;;) {
		char *mem = map_anon(8 * MIB);

		touch(mem, 8 * MIB, 1);
		munmap(mem, 8 * MIB);
	}
}

/* Claims, forks, kills, drains and populates at once, for a while. */
static void test_stress(void)
{
	static char *const names[] = { "a", "b", "c" };
	pid_t pids[3], reader;

	populate(3);
	reader = start_in(NULL, read_whole_kcore, NULL);
	for (int round = 0; round < 15; round++) {
		for (int i = 0; i < 3; i++) {
			claim_new(names[i]);
			pids[i] = start_in(names[i], churn, NULL);
		}
		sleep_ms(100 + (unsigned int)round * 7);
		host_request((unsigned int)round % 3);
		for (int i = 0; i < 3; i++) {
			cg_end(names[i]);
			waitpid(pids[i], NULL, 0);
		}
		host_request(3);
	}
	waitpid(reader, NULL, 0);
	populate(0);
}

const struct test drain_tests[] = {
	{ "an ended instance's partition goes back, nothing migrates", test_drain },
	{ "the next owner sees no old bytes", test_no_old_bytes },
	{ "parked partitions come back without hot-add", test_populate_again },
	{ "the request moves while we follow", test_request_moves },
	{ "a pipe holds pages: drain waits and completes", test_straggler_in_pipe },
	{ "a straggler does not keep a spare", test_straggler_and_spare },
	{ "blocks of a partition cannot be offlined by hand", test_blocks_cannot_be_offlined },
	{ "everything at once", test_stress },
	{ NULL, NULL }
};

static void test_feature_is_off(void)
{
	CHECK(access("/sys/kernel/mm/squeezy", F_OK) != 0);
	CHECK(cg_make("a") == 0);
	CHECK(access("/sys/fs/cgroup/a/memory.squeezy", F_OK) != 0);
	cg_end("a");
}

static void test_memory_is_ordinary(void)
{
	char *mem = map_anon(16 * MIB);

	touch(mem, 16 * MIB, 1);
	CHECK(pages_elsewhere(mem, 16 * MIB, 0) == 0);
	munmap(mem, 16 * MIB);
}

const struct test off_tests[] = {
	{ "no trace of the feature", test_feature_is_off },
	{ "memory is ordinary", test_memory_is_ordinary },
	{ NULL, NULL }
};
