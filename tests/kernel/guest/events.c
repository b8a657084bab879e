// SPDX-License-Identifier: Apache-2.0
/* Tracepoints, read back from tracefs. On one CPU: the emulator does not survive a kernel that patches its text on several. */
#include "remote.h"
#include "suite.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define TEXT_BYTES (1u << 20)

static void gulp(void *arg)
{
	touch(map_anon(2 * partition_bytes), 2 * partition_bytes, 1);
}

static void start_trace(void)
{
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	CHECK(write_file(TRACING "trace", "\n", O_TRUNC) == 0);
	CHECK(write_file(TRACING "events/squeezy/enable", "1", 0) == 0);
}

/* The trace since then. */
static char *end_trace(void)
{
	char *text = malloc(TEXT_BYTES);
	int fd = open(TRACING "trace", O_RDONLY);
	size_t len = 0;
	ssize_t n;

	CHECK(write_file(TRACING "events/squeezy/enable", "0", 0) == 0);
	CHECK(text && fd >= 0);
	while (len < TEXT_BYTES - 1 && (n = read(fd, text + len, TEXT_BYTES - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	return text;
}

/* The part of the trace behind an event's name, which must come after @from. */
static const char *find(const char *from, const char *event)
{
	const char *at = strstr(from, event);

	CHECK_MSG(at, "no '%s'", event);
	return at + strlen(event);
}

static uint64_t inode_of(const char *cgroup)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", cgroup);
	CHECK(stat(path, &st) == 0);
	return st.st_ino;
}

/* The life of a partition that is filled, in the order in which it happens. */
static void test_life(void)
{
	const char *at;
	uint64_t inode;
	char claim[96], full[96], killed[96], *text;

	populate(0);
	start_trace();
	populate(1);
	claim_new("a");
	inode = inode_of("a");
	CHECK(WTERMSIG(run_in("a", gulp, NULL)) == SIGKILL);
	cg_end("a");
	populate(0);
	wait_state(0, "parked");
	text = end_trace();
	snprintf(claim, sizeof(claim), "squeezy_claim: partition=0 cgroup=%lu", inode);
	snprintf(full, sizeof(full), "squeezy_partition_full: partition=0 cgroup=%lu", inode);
	snprintf(killed, sizeof(killed), "squeezy_oom_kill: partition=0 cgroup=%lu", inode);
	at = find(text, "squeezy_moment: partition=0 moment=populate_start");
	at = find(at, "squeezy_request: type=0 ");
	at = find(at, "squeezy_moment: partition=0 moment=populated");
	find(at, "squeezy_state: partition=0 from=populated to=claimed");
	at = find(at, claim);
	at = find(at, full);
	at = find(at, killed);
	find(at, "squeezy_release: partition=0");
	at = find(at, "squeezy_state: partition=0 from=claimed to=released");
	at = find(at, "squeezy_drain_pass: partition=0 missing_pages=0");
	at = find(at, "squeezy_moment: partition=0 moment=drained");
	at = find(at, "squeezy_request: type=1 ");
	find(at, "squeezy_moment: partition=0 moment=returned");
	free(text);
}

static void claim_writer(void *cgroup)
{
	CHECK(cg_write(cgroup, "memory.squeezy", "auto") == 0);
}

/* To node 0: refused. */
static void move_out(void *arg)
{
	char *mem = map_anon(4096);
	void *page = mem;
	int zero = 0, status;

	touch(mem, 4096, 1);
	syscall(SYS_move_pages, 0, 1, &page, &zero, &status, MPOL_MF_MOVE);
	CHECK(node_of(mem) == partition_nid(0));
}

/* A claim that has to wait, and a page that may not leave. */
static void test_waits_and_refusals(void)
{
	char waits[64], claim[96], *text;
	const char *at;
	uint64_t inode;
	pid_t pid;

	populate(0);
	CHECK(cg_make("a") == 0);
	inode = inode_of("a");
	start_trace();
	pid = start_in(NULL, claim_writer, "a");
	wait_blocked(pid);
	populate(1);
	CHECK(wait_for(pid) == 0);
	CHECK(run_in("a", move_out, NULL) == 0);
	text = end_trace();
	cg_end("a");
	snprintf(waits, sizeof(waits), "squeezy_wait: cgroup=%lu", inode);
	snprintf(claim, sizeof(claim), "squeezy_claim: partition=0 cgroup=%lu", inode);
	at = find(text, waits);
	at = find(at, claim);
	at = find(at, "squeezy_migration_refused: pfn=0x");
	find(at, "to_nid=0 ");
	free(text);
}

/* A page that nobody pays for. */
static void test_charges(void)
{
	char refused[96], *text;

	populate(1);
	claim_new("a");
	start_trace();
	CHECK(run_in("a", copy_into_file, NULL) == 0);
	text = end_trace();
	snprintf(refused, sizeof(refused), "squeezy_charge: partition=0 cgroup=%lu charged=0\n", inode_of("a"));
	find(text, refused);
	free(text);
	cg_end("a");
}

const struct test event_tests[] = {
	{ "tracepoints tell a partition's life", test_life },
	{ "tracepoints tell of waits and refused migrations", test_waits_and_refusals },
	{ "a tracepoint tells of a refused charge", test_charges },
	{ NULL, NULL }
};
