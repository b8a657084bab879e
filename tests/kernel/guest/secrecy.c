// SPDX-License-Identifier: Apache-2.0
/*
 * Old bytes: the next owner never sees any, the host keeps none after an unplug, and nobody spends time on wiping them on the way
 * out. The partitions are a memfd of QEMU's, which the host looks into and paints (run.py: hostmem.py).
 */
#include "pages.h"
#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define CANARY 0x5a

static size_t nearly_all(void)
{
	return partition_bytes / 16 * 15;
}

static uint64_t ask(const char *verb, unsigned int id, int byte)
{
	char question[64];

	if (byte < 0)
		snprintf(question, sizeof(question), "%s %u", verb, id);
	else
		snprintf(question, sizeof(question), "%s %u %d", verb, id, byte);
	return host_ask(question);
}

static uint64_t host_bytes(unsigned int id)
{
	return ask("allocated", id, -1);
}

static uint64_t painted_pages(unsigned int id)
{
	return ask("painted", id, CANARY);
}

static bool booted_with(const char *word)
{
	char text[2048] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strstr(text, word);
}

static void fill(void *huge)
{
	char *mem = map_anon(nearly_all());

	CHECK(madvise(mem, nearly_all(), *(bool *)huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0);
	memset(mem, CANARY, nearly_all());
}

static void look_for_old_bytes(void *huge)
{
	unsigned long *mem = (unsigned long *)map_anon(nearly_all());
	size_t i;

	CHECK(madvise(mem, nearly_all(), *(bool *)huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0);
	for (i = 0; i < nearly_all() / sizeof(*mem); i += PAGE / sizeof(*mem))
		mem[i] = 1;
	for (i = 0; i < nearly_all() / sizeof(*mem); i++)
		CHECK_MSG(mem[i] == (i % (PAGE / sizeof(*mem)) == 0), "%#lx at %zu", mem[i], i * sizeof(*mem));
}

/* Both owners with small and with huge pages, since each is cleared by a path of its own. */
static void hand_over(bool unplug_between)
{
	for (int round = 0; round < 4; round++) {
		bool before = round & 1, after = round & 2;

		populate(1);
		claim_new("a");
		CHECK(run_in("a", fill, &before) == 0);
		cg_end("a");
		wait_state(0, "populated");
		if (unplug_between) {
			populate(0);
			CHECK(host_bytes(0) == 0);
			populate(1);
			wait_state(0, "populated");
		}
		claim_new("a");
		CHECK(run_in("a", look_for_old_bytes, &after) == 0);
		cg_end("a");
		wait_state(0, "populated");
	}
}

static void test_next_owner(void)
{
	hand_over(false);
}

static void test_next_owner_after_unplug(void)
{
	hand_over(true);
}

/* A device may give memory that holds anything. id: a partition that is unplugged. */
static void garbage_from_device(unsigned int id)
{
	bool huge = false;
	char text[16];

	CHECK(partition_value(id, "plugged_bytes") == 0);
	CHECK(ask("paint", id, CANARY) == partition_bytes);
	populate(id + 1);
	wait_state(id, "populated");
	CHECK(cg_make("b") == 0);
	snprintf(text, sizeof(text), "%u", id);
	CHECK(cg_write("b", "memory.squeezy", text) == 0);
	CHECK(run_in("b", look_for_old_bytes, &huge) == 0);
	cg_end("b");
	wait_state(id, "populated");
}

static void test_garbage_when_mapped(void)
{
	CHECK(has_state(2, "absent"));
	garbage_from_device(2);
	populate(0);
}

static void test_garbage_when_unparked(void)
{
	populate(1);
	populate(0);
	CHECK(has_state(0, "parked"));
	garbage_from_device(0);
	populate(0);
}

/* From now on the device answers BUSY: it does not plug or unplug while its memory is being migrated. */
static void make_device_busy(void)
{
	host_qmp("migrate-set-parameters", "{\"max-bandwidth\": 4096}");
	host_qmp("migrate", "{\"uri\": \"exec:cat >/dev/null\"}");
}

static bool was_refused(void *arg)
{
	return counter("requests_refused") > *(uint64_t *)arg;
}

static bool nothing_plugged(void *arg)
{
	return partition_value(0, "plugged_bytes") == 0;
}

/* Drains partition 0 up to the unplug, which a busy device refuses: what is in its memory now is what the drain has left there. */
static void drain_halfway(void)
{
	uint64_t refused = counter("requests_refused");

	host_request(0);
	CHECK(wait_until(was_refused, &refused, 20000));
	CHECK(has_state(0, "parked") && partition_value(0, "plugged_bytes") == partition_bytes);
}

static void finish_drain(void)
{
	host_qmp("migrate_cancel", "{}");
	CHECK(wait_until(nothing_plugged, NULL, 20000));
	CHECK(host_bytes(0) == 0);
}

/* The host paints free pages; a drain that wrote to one would leave another colour, with whatever option the kernel was booted. */
static void test_drain_writes_nothing(void)
{
	for (int round = 0; round < 2; round++) {
		populate(1);
		wait_state(0, "populated");
		CHECK(ask("paint", 0, CANARY) == partition_bytes);
		CHECK(painted_pages(0) == partition_bytes / PAGE);
		make_device_busy();
		drain_halfway();
		CHECK_MSG(painted_pages(0) == partition_bytes / PAGE, "%lu of %zu pages", painted_pages(0),
			  partition_bytes / PAGE);
		finish_drain();
	}
}

/* A dead instance's bytes are still there when its partition is unplugged, unless the kernel was told to wipe what is freed. */
static void test_bytes_until_unplug(void)
{
	bool huge = true;
	uint64_t pages;

	populate(1);
	claim_new("a");
	CHECK(run_in("a", fill, &huge) == 0);
	make_device_busy();
	cg_end("a");
	drain_halfway();
	pages = painted_pages(0);
	if (booted_with("init_on_free=1") || booted_with("page_poison=1"))
		CHECK_MSG(pages == 0, "%lu pages", pages);
	else
		CHECK_MSG(pages >= nearly_all() / PAGE, "%lu pages", pages);
	finish_drain();
}

/* Whoever reads every page frame's description reads no byte of memory that is not plugged. */
static void test_unplugged_is_not_read(void)
{
	populate(2);
	populate(0);
	CHECK(has_state(0, "parked") && has_state(1, "parked"));
	describe_all_pages();
	CHECK(write_file("/proc/sys/vm/compact_memory", "1", 0) == 0);
	CHECK(write_file("/proc/sys/vm/drop_caches", "3", 0) == 0);
	CHECK(write_file("/sys/kernel/debug/split_huge_pages", "1", 0) == 0);
	CHECK(host_bytes(0) == 0 && host_bytes(1) == 0);
}

const struct test secrecy_tests[] = {
	{ "the next owner sees no old bytes", test_next_owner },
	{ "nor after an unplug in between", test_next_owner_after_unplug },
	{ "a device's garbage is not shown: new memory map", test_garbage_when_mapped },
	{ "a device's garbage is not shown: parked before", test_garbage_when_unparked },
	{ "a drain writes to no page", test_drain_writes_nothing },
	{ "bytes of a dead instance are not wiped before the unplug", test_bytes_until_unplug },
	{ "unplugged memory is not read", test_unplugged_is_not_read },
	{ NULL, NULL }
};
