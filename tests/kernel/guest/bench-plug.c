// SPDX-License-Identifier: Apache-2.0
/* Growing a VM for the first time, by partitions or by the stock driver: how long it takes, and how many instructions. */
#include "bench.h"

#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_MIB 128
#define SPIN_INSTRUCTIONS 2

/* The kernel says "online" for each memory block; both drivers make it do so. */
static int open_uevents(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static void await_blocks(int fd, unsigned int blocks)
{
	char text[4096];

	while (blocks) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		CHECK(n > 0);
		text[n] = '\0';
		blocks -= !strncmp(text, "online@/devices/system/memory/", 30);
	}
}

/* "plug=MIBxN" on the kernel command line: N times so much memory. */
static unsigned int read_plan(unsigned int *ret_mib)
{
	unsigned int n;

	CHECK(getenv("plug") && sscanf(getenv("plug"), "%ux%u", ret_mib, &n) == 2 && n <= 64);
	partition_bytes = *ret_mib * MIB;
	return n;
}

/* Until it can be used. */
static void grow(int fd, unsigned int i, unsigned int mib)
{
	request(i + 1);
	await_blocks(fd, mib / BLOCK_MIB);
	if (partition_count)
		wait_state(i, "populated");
}

static void stock_plug(void)
{
	uint64_t took[64];
	unsigned int mib, n = read_plan(&mib);
	int fd = open_uevents();

	for (unsigned int i = 0; i < n; i++) {
		uint64_t start = clock_now();

		grow(fd, i, mib);
		took[i] = clock_now() - start;
	}
	close(fd);
	median_of(took, n);
	result("populate", "\"kind\": \"stock\", \"partition_mib\": %u, \"n\": %u, \"from_request\": %llu, \"from_request_max\": %llu", mib, n,
	       (unsigned long long)took[n / 2], (unsigned long long)took[n - 1]);
}

/*
 * Runs when nobody else wants the only CPU, and counts its rounds. So the CPU is never idle, its clock never jumps to the next timer,
 * and what the spinner has not used is the work of the others, however long the host takes to answer.
 */
static void spin(volatile uint64_t *rounds)
{
	struct sched_param param = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &param))
		_exit(1);
	for (;;)
		asm volatile("1: incq %0\n\tjmp 1b" : "+m"(*rounds));
}

static void count_growing(void)
{
	volatile uint64_t *rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t work[64];
	unsigned int mib, n = read_plan(&mib);
	int fd = open_uevents();
	pid_t spinner;

	CHECK(rounds != MAP_FAILED && sysconf(_SC_NPROCESSORS_ONLN) == 1);
	spinner = fork();
	CHECK(spinner >= 0);
	if (!spinner)
		spin(rounds);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t start = clock_now(), before = *rounds;

		grow(fd, i, mib);
		work[i] = clock_now() - start - (*rounds - before) * SPIN_INSTRUCTIONS;
	}
	kill(spinner, SIGKILL);
	waitpid(spinner, NULL, 0);
	close(fd);
	median_of(work, n);
	result("grow", "\"partition_mib\": %u, \"n\": %u, \"work_min\": %llu, \"work_max\": %llu, \"spun\": %llu", mib, n,
	       (unsigned long long)work[0], (unsigned long long)work[n - 1], (unsigned long long)*rounds);
}

const struct test bench_plug_tests[] = {
	{ "plug by the stock driver", stock_plug },
	{ NULL, NULL },
};

const struct test bench_grow_tests[] = {
	{ "instructions of growing", count_growing },
	{ NULL, NULL },
};
