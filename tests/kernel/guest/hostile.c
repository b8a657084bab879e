// SPDX-License-Identifier: Apache-2.0
/* What the tests of late drains share. */
#include "hostile.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Under emulation beside other machines everything takes longer than the 2 s that the kernel needs at most. */
#define REASON_TIMEOUT_MS 30000

char *map_pattern(size_t bytes)
{
	char *mem = map_anon(bytes);

	memset(mem, PATTERN, bytes);
	return mem;
}

bool has_pattern(const char *mem, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (mem[i] != PATTERN)
			return false;
	return true;
}

void pause_for_ever(void)
{
	for (;;)
		pause();
}

void make_wide_pipe(int pipe_ends[2])
{
	CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0 && fcntl(pipe_ends[1], F_SETPIPE_SZ, MIB) == MIB);
}

void fill_pipe(int pipe_end)
{
	struct iovec iov = { map_pattern(MIB), MIB };

	CHECK(vmsplice(pipe_end, &iov, 1, SPLICE_F_NONBLOCK) == MIB);
	munmap(iov.iov_base, MIB);
}

void splice_and_die(void *pipe_ends)
{
	struct iovec iov = { map_pattern(PIPE_PAGES * PAGE), PIPE_PAGES * PAGE };

	CHECK(vmsplice(((int *)pipe_ends)[1], &iov, 1, 0) == (ssize_t)(PIPE_PAGES * PAGE));
}

void leave_with(const char *mem, size_t bytes, int nid)
{
	CHECK(pages_elsewhere(mem, bytes, nid) == 0);
	CHECK(cg_write("", "cgroup.procs", "0") == 0);
	raise(SIGSTOP);
	/* The partition is gone meanwhile. Everything is as it was, elsewhere. */
	CHECK(has_pattern(mem, bytes));
	CHECK(pages_elsewhere(mem, bytes, 0) == 0);
}

void leave_and_stay(void *nid)
{
	leave_with(map_pattern(MIB), MIB, *(int *)nid);
}

void partition_text(unsigned int id, const char *file, char *buf, size_t size)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/squeezy/partition%u/%s", id, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_MSG(fd >= 0, "%s", path);
	n = read(fd, buf, size - 1);
	close(fd);
	CHECK_MSG(n >= 0, "%s", path);
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

bool has_reason(unsigned int id, const char *reason)
{
	char text[32];

	partition_text(id, "busy_reason", text, sizeof(text));
	return !strcmp(text, reason);
}

struct wanted_reason {
	unsigned int id;
	const char *reason;
};

static bool reason_is_there(void *arg)
{
	struct wanted_reason *w = arg;

	return has_reason(w->id, w->reason);
}

void wait_reason(unsigned int id, const char *reason)
{
	struct wanted_reason w = { id, reason };
	char text[32];

	if (wait_until(reason_is_there, &w, REASON_TIMEOUT_MS))
		return;
	partition_text(id, "busy_reason", text, sizeof(text));
	CHECK_MSG(false, "partition %u: the reason is %s, not %s", id, text, reason);
}

uint64_t held(unsigned int id, const char *holder)
{
	char file[64];

	snprintf(file, sizeof(file), "holders/%s", holder);
	return partition_value(id, file);
}

bool is_mapped_by(unsigned int id, pid_t pid)
{
	char text[4096], *rest, *word;

	partition_text(id, "mapped_by", text, sizeof(text));
	for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (atoi(word) == pid)
			return true;
	return false;
}

unsigned int set_stage(void)
{
	populate(1);
	wait_state(0, "populated");
	return claim_new("a");
}

void end_instance(void)
{
	host_request(0);
	/* The host answers in order: the size has changed, and what ends now is not made ready for the next one. */
	host_ask("size");
	cg_end("a");
}

uint64_t node_kb(int nid, const char *name)
{
	char path[64], text[8192], *at;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", nid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_MSG(fd >= 0, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	CHECK(n > 0);
	text[n] = '\0';
	at = strstr(text, name);
	CHECK_MSG(at, "%s has no %s", path, name);
	return strtoull(at + strlen(name) + 1, NULL, 10);
}

static bool accounts_are_clear(void *arg)
{
	static const char *const names[] = { "MemTotal", "MemFree", "AnonPages", "Active(anon)", "Inactive(anon)" };
	unsigned int id = *(unsigned int *)arg;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (node_kb(partition_nid(id), names[i]))
			return false;
	return true;
}

static bool is_returned(void *arg)
{
	unsigned int id = *(unsigned int *)arg;

	return has_state(id, "parked") && partition_value(id, "plugged_bytes") == 0 && partition_value(id, "managed_bytes") == 0;
}

void check_recovery(unsigned int id)
{
	static const char *const holders[] = { "hwpoison", "per_cpu", "isolated", "mapped", "references", "pinned" };

	populate(0);
	CHECK(wait_until(is_returned, &id, 20000));
	CHECK(has_reason(id, "none"));
	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++)
		CHECK_MSG(held(id, holders[i]) == 0, "%s", holders[i]);
	/* The node's counters are summed up by each CPU once a second. */
	CHECK_MSG(wait_until(accounts_are_clear, &id, 20000), "MemFree of the parked node: %lu kB",
		  node_kb(partition_nid(id), "MemFree"));
}

static void look_for_old_bytes(void *arg)
{
	/* The rest is for the program itself. */
	size_t bytes = partition_bytes - 4 * MIB;
	char *mem = map_anon(bytes);

	for (size_t i = 0; i < bytes; i += PAGE) {
		mem[i] = 0;
		for (size_t j = 0; j < PAGE; j += sizeof(long))
			CHECK(*(long *)(mem + i + j) == 0);
	}
	CHECK(pages_elsewhere(mem, bytes, *(int *)arg) == 0);
}

void check_next_owner(void)
{
	unsigned int id = set_stage();
	int nid = partition_nid(id);

	CHECK(run_in("a", look_for_old_bytes, &nid) == 0);
	end_instance();
	check_recovery(id);
}

void use_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}
