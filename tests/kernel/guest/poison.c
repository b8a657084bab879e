// SPDX-License-Identifier: Apache-2.0
/* Late drains: memory failure in a partition. */
#include "hostile.h"
#include "pages.h"
#include "uring.h"

#include <errno.h>
#include <signal.h>
#include <linux/mman.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HARD_OFFLINE "/sys/devices/system/memory/hard_offline_page"
#define SOFT_OFFLINE "/sys/devices/system/memory/soft_offline_page"

/* Who maps a page that fails gets SIGBUS, and may go on without it. */
static void go_on(int sig)
{
}

void poison_some(void *arg)
{
	char *mem = map_pattern(MIB);

	signal(SIGBUS, go_on);
	for (size_t i = 0; i < 6; i += 2)
		CHECK(madvise(mem + i * PAGE, PAGE, MADV_HWPOISON) == 0);
	CHECK(has_pattern(mem + 6 * PAGE, MIB - 6 * PAGE));
}

/* The rest goes back; what the device gives for it is sound again. */
static void test_in_use(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:"), drains = counter("drains");
	unsigned int id = set_stage();

	CHECK(run_in("a", poison_some, NULL) == 0);
	CHECK(meminfo("HardwareCorrupted:") == corrupted + 3 * PAGE / 1024);
	end_instance();
	check_recovery(id);
	wait_counter("drains", drains + 1);
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	populate(1);
	wait_state(id, "populated");
	CHECK(partition_value(id, "free_bytes") == partition_bytes);
	check_next_owner();
}

/* Nobody wants the memory back, but the next instance shall have a whole partition: it goes through the device. */
static void test_replaced(void)
{
	uint64_t drains = counter("drains");
	unsigned int id = set_stage();

	CHECK(run_in("a", poison_some, NULL) == 0);
	cg_end("a");
	wait_state(id, "populated");
	wait_counter("drains", drains + 1);
	CHECK(partition_value(id, "free_bytes") == partition_bytes);
	CHECK(has_reason(id, "none"));
	check_next_owner();
}

/* A huge page of a process that goes on when a page of it fails. */
static char *make_huge(void)
{
	char *mem = map_anon(4 * MIB);

	mem += -(unsigned long)mem & (2 * MIB - 1);
	CHECK(madvise(mem, 2 * MIB, MADV_HUGEPAGE) == 0);
	touch(mem, 2 * MIB, 1);
	signal(SIGBUS, go_on);
	CHECK(flags_of_pfn(pfn_of(mem)) & 1ull << KPF_THP);
	return mem;
}

static void poison_huge(void *arg)
{
	char *mem = make_huge();

	CHECK(madvise(mem + 5 * PAGE, PAGE, MADV_HWPOISON) == 0);
}

static void test_huge(void)
{
	unsigned int id = set_stage();

	CHECK(run_in("a", poison_huge, NULL) == 0);
	end_instance();
	check_recovery(id);
	check_next_owner();
}

/* Pinned, it cannot be split: Linux frees it whole when the pin goes, failed page and all. */
static void poison_pinned_huge(void *arg)
{
	char *mem = make_huge();

	CHECK(uring_register(uring_make(), mem, 2 * MIB) == 0);
	CHECK(madvise(mem + 5 * PAGE, PAGE, MADV_HWPOISON) != 0 && errno == EHWPOISON);
}

static void test_pinned_huge(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:");
	unsigned int id = set_stage();

	CHECK(run_in("a", poison_pinned_huge, NULL) == 0);
	CHECK(meminfo("HardwareCorrupted:") == corrupted + PAGE / 1024);
	end_instance();
	check_recovery(id);
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	check_next_owner();
}

/* Nobody wants the memory back: it goes through the device all the same, before the next owner. */
static void test_pinned_huge_replaced(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:"), drains = counter("drains");
	unsigned int id = set_stage();

	CHECK(run_in("a", poison_pinned_huge, NULL) == 0);
	cg_end("a");
	wait_counter("drains", drains + 1);
	wait_state(id, "populated");
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	check_next_owner();
}

static int offline_page(const char *file, uint64_t pfn)
{
	char text[32];

	snprintf(text, sizeof(text), "%#llx", (unsigned long long)pfn * PAGE);
	return write_file(file, text, 0);
}

static void test_free_page(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:"), pfn;

	populate(1);
	wait_state(0, "populated");
	pfn = first_pfn(0) + 12345;
	CHECK(flags_of_pfn(first_pfn(0)) & 1ull << KPF_BUDDY);
	CHECK(offline_page(HARD_OFFLINE, pfn) == 0);
	CHECK(partition_value(0, "free_bytes") == partition_bytes - PAGE);
	populate(0);
	check_recovery(0);
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	/* Nothing of a parked partition can fail. */
	CHECK(offline_page(HARD_OFFLINE, pfn) == -ENXIO);
	check_next_owner();
}

/* A page about to fail is not moved: nothing leaves a partition. A free one is put aside. */
static void soft_offline_own(void *arg)
{
	char *mem = map_pattern(MIB);

	CHECK(madvise(mem, PAGE, MADV_SOFT_OFFLINE) != 0 && errno == EBUSY);
	CHECK(has_pattern(mem, MIB));
	CHECK(pages_elsewhere(mem, MIB, *(int *)arg) == 0);
}

static void test_soft_offline(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:");
	unsigned int id = set_stage();
	int nid = partition_nid(id);

	CHECK(offline_page(SOFT_OFFLINE, first_pfn(id) + partition_bytes / PAGE - 1) == 0);
	CHECK(run_in("a", soft_offline_own, &nid) == 0);
	CHECK(meminfo("HardwareCorrupted:") == corrupted + PAGE / 1024);
	end_instance();
	check_recovery(id);
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	check_next_owner();
}

const struct test poison_tests[] = {
	{ "failed pages of an instance do not keep its partition", test_in_use },
	{ "a partition with failed pages goes through the device before its next owner", test_replaced },
	{ "a failed page of a huge page", test_huge },
	{ "a failed page of a huge page that is pinned", test_pinned_huge },
	{ "a failed page of a huge page that is pinned goes through the device before the next owner", test_pinned_huge_replaced },
	{ "a failed free page", test_free_page },
	{ "soft offline", test_soft_offline },
	{ NULL, NULL }
};
