// SPDX-License-Identifier: Apache-2.0
/* The driver and its device: batches, bounds, sizes, other devices, removal, power, reboot. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#define KNOBS "/sys/kernel/mm/squeezy/"
#define SHARED_BYTES (256ul << 20)

static void use_memory(void *nid)
{
	size_t bytes = partition_bytes / 4;
	char *mem = map_anon(bytes);

	touch(mem, bytes, 1);
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

/* Of the lowest so many partitions, from the first to the last. */
static uint64_t ns_between(const char *from, const char *to, unsigned int partitions)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (unsigned int i = 0; i < partitions; i++) {
		uint64_t start = partition_value(i, from), end = partition_value(i, to);

		first = start && start < first ? start : first;
		last = end > last ? end : last;
	}
	return last - first;
}

/* All partitions in one step, and one by one. */
static void test_batch(void)
{
	uint64_t plugs, unplugs, ns = 0;

	CHECK(write_file(KNOBS "request_us", "0", 0) == 0);
	populate(partition_count);
	populate(0);
	plugs = counter("requests_plug");
	unplugs = counter("requests_unplug");
	populate(partition_count);
	CHECK(counter("requests_plug") == plugs + 1);
	populate(0);
	CHECK(counter("requests_unplug") == unplugs + 1);
	printf("# %u partitions at once: 2 requests, populate %lu us, drain and return %lu us\n", partition_count,
	       ns_between("populate_start_ns", "populated_ns", partition_count) / 1000,
	       ns_between("drain_start_ns", "returned_ns", partition_count) / 1000);

	for (unsigned int i = 1; i <= partition_count; i++)
		populate(i);
	CHECK(counter("requests_plug") == plugs + 1 + partition_count);
	for (unsigned int i = partition_count; i-- > 0;) {
		populate(i);
		ns += partition_value(i, "returned_ns") - partition_value(i, "drain_start_ns");
	}
	printf("# %u partitions one by one: drain and return %lu us in all\n", partition_count, ns / 1000);
	CHECK(counter("requests_unplug") == unplugs + 1 + partition_count);
	CHECK(write_file(KNOBS "request_us", "10000", 0) == 0);
}

/* Instances that end together go back in fewer requests than partitions, however many they are. */
static void test_batch_of_ended(void)
{
	static const char *const names[] = { "a", "b", "c" };
	unsigned int n = partition_count < 3 ? partition_count : 3;
	uint64_t unplugs;

	CHECK(write_file(KNOBS "request_us", "0", 0) == 0);
	populate(n);
	for (unsigned int i = 0; i < n; i++)
		claim_new(names[i]);
	for (unsigned int i = 0; i < n; i++)
		cg_end(names[i]);
	for (unsigned int i = 0; i < n; i++)
		wait_state(i, "populated");
	unplugs = counter("requests_unplug");
	populate(0);
	CHECK(counter("requests_unplug") == unplugs + 1);
	CHECK(write_file(KNOBS "request_us", "10000", 0) == 0);
}

/* No request takes less than a microsecond: after those that were too slow they are of one device block. */
static void test_bounded_requests(void)
{
	uint64_t plugs, unplugs, blocks;

	CHECK(getenv("block_mib"));
	blocks = partition_count * (partition_bytes >> 20) / strtoul(getenv("block_mib"), NULL, 10);
	populate(0);
	CHECK(write_file(KNOBS "request_us", "1", 0) == 0);
	populate(partition_count);
	populate(0);
	plugs = counter("requests_plug");
	unplugs = counter("requests_unplug");
	populate(partition_count);
	populate(0);
	printf("# no more than a microsecond: %lu requests to plug and %lu to unplug %u partitions\n", counter("requests_plug") - plugs,
	       counter("requests_unplug") - unplugs, partition_count);
	CHECK(counter("requests_plug") >= plugs + blocks);
	CHECK(counter("requests_unplug") >= unplugs + blocks);
	CHECK(write_file(KNOBS "request_us", "10000", 0) == 0);
	populate(1);
	run_claimed(use_memory);
	populate(0);
}

static void touch_all(void *arg)
{
	size_t bytes = partition_bytes * 7 / 8;

	touch(map_anon(bytes), bytes, 1);
}

/* Three partitions whose pages the host has given out go back together. Returns how long it took, in ns. */
static uint64_t reclaim_three(void)
{
	static const char *const names[] = { "a", "b", "c" };

	populate(3);
	/* All at once: one after the other they would have the same partition, and the others' pages would not be there. */
	for (unsigned int i = 0; i < 3; i++)
		claim_new(names[i]);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(run_in(names[i], touch_all, NULL) == 0);
	for (unsigned int i = 0; i < 3; i++)
		cg_end(names[i]);
	for (unsigned int i = 0; i < 3; i++)
		wait_state(i, "populated");
	populate(0);
	return ns_between("drain_start_ns", "returned_ns", 3);
}

/* The trade-off: how long requests may be against how many they are, on this host. Prints what docs/kernel.md quotes. */
static void test_trade_off(void)
{
	static const char *const bounds[] = { "300", "1000", "3000", "10000", "0" };

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		uint64_t unplugs, ns = 0;

		CHECK(write_file(KNOBS "request_us", bounds[i], 0) == 0);
		reclaim_three();
		unplugs = counter("requests_unplug");
		for (int round = 0; round < 3; round++)
			ns += reclaim_three();
		CHECK(counter("requests_unplug") >= unplugs + 3);
		printf("# request_us %s: 3 x 3 touched partitions of %zu MiB in %lu requests, %lu us each time\n", bounds[i],
		       partition_bytes >> 20, counter("requests_unplug") - unplugs, ns / 3000);
	}
	CHECK(write_file(KNOBS "request_us", "10000", 0) == 0);
}

/* One and a half partitions are one, and less than one is none. */
static void test_not_a_multiple(void)
{
	populate(0);
	host_request_bytes(partition_bytes * 3 / 2);
	wait_state(0, "populated");
	populate(1);
	host_request_bytes(partition_bytes / 2);
	wait_state(0, "parked");
	populate(0);
}

static uint64_t node0_kib(void)
{
	char text[8192], *at;

	CHECK(read_file("/sys/devices/system/node/node0/meminfo", text, sizeof(text)) == 0);
	at = strstr(text, "MemTotal:");
	CHECK(at);
	return strtoull(at + strlen("MemTotal:"), NULL, 10);
}

static bool node0_is(void *kib)
{
	return node0_kib() == *(uint64_t *)kib;
}

static void request_shared(unsigned long bytes)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"path\": \"/machine/peripheral/vm1\", \"property\": \"requested-size\", \"value\": %lu}", bytes);
	host_qmp("qom-set", text);
}

/* The stock driver's device grows and shrinks beside ours. */
static void test_two_devices(void)
{
	uint64_t full = node0_kib(), less = full - (SHARED_BYTES >> 11);

	request_shared(SHARED_BYTES / 2);
	populate(partition_count);
	CHECK(wait_until(node0_is, &less, 60000));
	run_claimed(use_memory);
	request_shared(SHARED_BYTES);
	populate(0);
	CHECK(wait_until(node0_is, &full, 60000));
}

static void stop_and_look(void *nid)
{
	size_t bytes = partition_bytes / 4;
	char *mem = map_anon(bytes);

	memset(mem, 0x5a, bytes);
	raise(SIGSTOP);
	for (size_t i = 0; i < bytes; i++)
		CHECK(mem[i] == 0x5a);
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

/* QEMU has its memory devices stay. That it was asked changes nothing: not for who uses memory, nor for what the device wants next. */
static void test_device_del(void)
{
	uint64_t sent;
	pid_t pid;
	int nid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_stopped("a", stop_and_look, &nid);
	sent = counter("requests_plug") + counter("requests_unplug");
	CHECK(!host_try_qmp("device_del", "{\"id\": \"vm0\"}"));
	CHECK(has_state(0, "claimed"));
	CHECK(counter("requests_plug") + counter("requests_unplug") == sent);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(wait_for(pid) == 0);
	populate(2);
	cg_end("a");
	populate(0);
}

static void claim_and_wait(void *arg)
{
	CHECK(cg_write("b", "memory.squeezy", "auto") == -ENODEV);
}

static void unplug_pci(void)
{
	char link[512], path[600];
	ssize_t n = -1;

	/* virtio device names count up; ours is the only one below this driver. */
	for (int i = 0; i < 16 && n < 0; i++) {
		snprintf(path, sizeof(path), "/sys/bus/virtio/drivers/squeezy/virtio%d", i);
		n = readlink(path, link, sizeof(link) - 1);
	}
	CHECK(n > 0);
	strcat(path, "/../remove");
	CHECK_MSG(write_file(path, "1", 0) == 0, "%s", path);
}

/* The device goes while everything is in use. Last, because there is none afterwards. */
static void test_removal(void)
{
	pid_t pid;

	populate(1);
	claim_new("a");
	CHECK(cg_make("b") == 0);
	pid = start_in(NULL, claim_and_wait, NULL);
	wait_blocked(pid);
	unplug_pci();
	CHECK(wait_for(pid) == 0);
	CHECK(has_state(0, "claimed"));
	CHECK(cg_write("b", "memory.squeezy", "auto") == -ENODEV);
	/* What is there can be used, and used again. */
	for (int round = 0; round < 3; round++) {
		int nid = partition_nid(0);

		CHECK(run_in("a", use_memory, &nid) == 0);
		cg_end("a");
		wait_state(0, "populated");
		claim_new("a");
	}
	cg_end("a");
	cg_end("b");
	CHECK(partition_value(0, "plugged_bytes") == partition_bytes);
}

const struct test driver_tests[] = {
	{ "driver: one request for adjacent partitions", test_batch },
	{ "driver: and for those of instances that have ended", test_batch_of_ended },
	{ "driver: requests are bounded by time", test_bounded_requests },
	{ "driver: long requests or many", test_trade_off },
	{ "driver: sizes that are not multiples", test_not_a_multiple },
	{ "driver: the stock driver's device beside ours", test_two_devices },
	{ "driver: QEMU refuses to remove the device, and nothing changes", test_device_del },
	{ "driver: the device is unplugged", test_removal },
	{ NULL, NULL },
};

/* Suspend is refused, and everything goes on. There is no hibernation: it needs SWAP, which SQUEEZY excludes. */
static void test_suspend(void)
{
	char states[32];

	populate(2);
	claim_new("a");
	CHECK(write_file("/sys/power/state", "freeze", 0) == -EPERM);
	CHECK(read_file("/sys/power/state", states, sizeof(states)) == 0 && !strstr(states, "disk"));
	cg_end("a");
	populate(1);
	run_claimed(use_memory);
	populate(0);
}

const struct test driver_power_tests[] = {
	{ "driver: suspend is refused, and there is no hibernation", test_suspend },
	{ NULL, NULL },
};

/* The VM is reset with memory plugged and in use; the same request is served by the next kernel. */
static void test_reboot(void)
{
	if (host_ask("boots") == 1) {
		populate(2);
		claim_new("a");
		fflush(stdout);
		reboot(RB_AUTOBOOT);
	}
	wait_state(0, "populated");
	wait_state(1, "populated");
	CHECK(counter("populates_first") == 2);
	run_claimed(use_memory);
	populate(0);
}

const struct test driver_reboot_tests[] = {
	{ "driver: reboot with memory plugged", test_reboot },
	{ NULL, NULL },
};

/* There are partitions and no device for them: a crash kernel, or a device that does not fit. */
static void test_no_device(void)
{
	CHECK(cg_make("a") == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -ENODEV);
	CHECK(cg_write_nonblock("a", "memory.squeezy", "auto") == -ENODEV);
	CHECK(cg_write("a", "memory.squeezy", "0") == -EBUSY);
	CHECK(write_file(KNOBS "prepare_memmap", "1", 0) == 0);
	cg_end("a");
	/* Time for the worker to do what it must not. */
	sleep_ms(500);
	for (unsigned int i = 0; i < partition_count; i++)
		CHECK(has_state(i, "absent"));
	CHECK(counter("requests_plug") == 0);
}

const struct test driver_none_tests[] = {
	{ "driver: no device for the partitions", test_no_device },
	{ NULL, NULL },
};
