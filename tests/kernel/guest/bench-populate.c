// SPDX-License-Identifier: Apache-2.0
/* Populates: the first, from parked, beside a memory map that is being made; and the stock driver's plug of the same size. */
#include "bench.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 20
#define TRIES 20

/* Time stamps of the newest populate, as long as the mover worked on it. */
static uint64_t populate_ns(unsigned int id)
{
	return partition_value(id, "populated_ns") - partition_value(id, "populate_start_ns");
}

/* One more partition each time. From before the request to claimable, as the stock driver is measured. */
static void first_populates(uint64_t *from_request, uint64_t *in_guest)
{
	for (unsigned int i = 0; i < partition_count; i++) {
		uint64_t start = clock_now();

		request(i + 1);
		wait_state(i, "populated");
		from_request[i] = partition_value(i, "populated_ns") - start;
		in_guest[i] = populate_ns(i);
	}
}

static void report(const char *kind, uint64_t *from_request, uint64_t *in_guest, unsigned int n)
{
	median_of(from_request, n);
	median_of(in_guest, n);
	result("populate", "\"kind\": \"%s\", \"partition_mib\": %zu, \"n\": %u, \"from_request\": %llu, \"from_request_max\": %llu, "
	       "\"guest\": %llu, \"guest_max\": %llu", kind, partition_bytes / MIB, n, (unsigned long long)from_request[n / 2],
	       (unsigned long long)from_request[n - 1], (unsigned long long)in_guest[n / 2], (unsigned long long)in_guest[n - 1]);
}

static bool is_out(void *arg)
{
	unsigned int *id = arg;

	return !partition_value(*id, "plugged_bytes");
}

static void populate_first(void)
{
	uint64_t from_request[64], in_guest[64];

	CHECK(partition_count <= 64);
	first_populates(from_request, in_guest);
	report("first", from_request, in_guest, partition_count);
}

static void populate_parked(void)
{
	uint64_t from_request[ROUNDS], in_guest[ROUNDS];
	unsigned int id = 0;

	request(0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t start;

		CHECK(wait_until(is_out, &id, 20000));
		start = clock_now();
		request(1);
		wait_state(0, "populated");
		from_request[i] = partition_value(0, "populated_ns") - start;
		in_guest[i] = populate_ns(0);
		request(0);
	}
	report("parked", from_request, in_guest, ROUNDS);
}

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

/* "plug=SIZExN" on the kernel command line: N times that many MiB. */
static void stock_plug(void)
{
	unsigned int mib, n;
	uint64_t took[64];
	int fd;

	CHECK(getenv("plug") && sscanf(getenv("plug"), "%ux%u", &mib, &n) == 2 && n <= 64);
	partition_bytes = mib * MIB;
	fd = open_uevents();
	for (unsigned int i = 0; i < n; i++) {
		uint64_t start = clock_now();

		request(i + 1);
		await_blocks(fd, mib / 128);
		took[i] = clock_now() - start;
	}
	close(fd);
	median_of(took, n);
	result("populate", "\"kind\": \"stock\", \"partition_mib\": %u, \"n\": %u, \"from_request\": %llu, \"from_request_max\": %llu", mib, n,
	       (unsigned long long)took[n / 2], (unsigned long long)took[n - 1]);
}

const struct test bench_populate_tests[] = {
	{ "first populate", populate_first },
	{ "populate from parked", populate_parked },
	{ NULL, NULL },
};

const struct test bench_plug_tests[] = {
	{ "plug by the stock driver", stock_plug },
	{ NULL, NULL },
};
