// SPDX-License-Identifier: Apache-2.0
/*
 * Free page reporting (a virtio balloon that offers it) takes free pages of every zone away for as long as the host needs to discard
 * them. Those of a partition must all come back, must not be missed by its owner, and must not stop a drain.
 */
#include "pages.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
/* Reporting starts two seconds after pages were freed. */
#define REPORT_TIMEOUT_MS 60000
#define CHURN_SECONDS 15
/* What the balloon takes of normal memory below the low watermarks: the whole fallback list has been gone through by then. */
#define BELOW_LOW (1ul << 20)
#define LEFT_TO_BALLOON (64ul << 20)

static size_t nearly_all(void)
{
	return partition_bytes / 16 * 15;
}

/* What the host holds for partition 0; looks ten times a second. */
static uint64_t host_bytes(void)
{
	sleep_ms(100);
	return host_ask("allocated 0");
}

static bool host_holds_less(void *bytes)
{
	return host_bytes() < *(uint64_t *)bytes;
}

static void wait_for_report(uint64_t bytes)
{
	CHECK_MSG(wait_until(host_holds_less, &bytes, REPORT_TIMEOUT_MS), "host holds %lu", host_bytes());
}

static unsigned long word_of(size_t page, unsigned int round)
{
	return page * 2654435761ul + round;
}

static void write_pattern(char *mem, unsigned int round)
{
	for (size_t i = 0; i < nearly_all() / PAGE; i++)
		for (size_t j = 0; j < PAGE; j += 512)
			*(unsigned long *)(mem + i * PAGE + j) = word_of(i, round);
}

static void check_pattern(const char *mem, unsigned int round)
{
	for (size_t i = 0; i < nearly_all() / PAGE; i++)
		for (size_t j = 0; j < PAGE; j += 512)
			CHECK(*(const unsigned long *)(mem + i * PAGE + j) == word_of(i, round));
}

static void fill(void *nid)
{
	char *mem = map_anon(nearly_all());

	write_pattern(mem, 0);
	check_pattern(mem, 0);
	CHECK(pages_elsewhere(mem, nearly_all(), *(int *)nid) == 0);
}

/* A free partition's pages are reported like any others, and serve the next owner after that. */
static void test_reported(void)
{
	run_claimed(fill);
	wait_state(0, "populated");
	wait_for_report(partition_bytes / 4);
	CHECK(partition_value(0, "plugged_bytes") == partition_bytes);
	check_nobody_else(0, NULL);
	run_claimed(fill);
	check_nobody_else(0, NULL);
}

/* A drain soon after a report has begun gets all pages. Whether it meets some that are away is chance; it is told. */
static void test_drain_soon(void)
{
	uint64_t busy = counter("drain_busy");

	for (int round = 0; round < 3; round++) {
		run_claimed(fill);
		wait_state(0, "populated");
		wait_for_report(nearly_all() - partition_bytes / 16);
		populate(0);
		CHECK(has_state(0, "parked") && host_bytes() == 0);
		populate(1);
		wait_state(0, "populated");
		CHECK(partition_value(0, "managed_bytes") == partition_bytes);
		check_nobody_else(0, NULL);
	}
	populate(0);
	printf("# %lu looks met pages that were away\n", counter("drain_busy") - busy);
}

/* Takes and gives back nearly everything, across several reports. */
static void churn(void *nid)
{
	char *mem = map_anon(nearly_all());
	time_t end = time(NULL) + CHURN_SECONDS;

	for (unsigned int round = 0; time(NULL) < end; round++) {
		write_pattern(mem, round);
		check_pattern(mem, round);
		CHECK(madvise(mem, nearly_all(), MADV_DONTNEED) == 0);
	}
}

/* Pages that are away are not missing for good: they keep their bytes once they are back in use, and nobody is killed for them. */
static void test_owner_at_work(void)
{
	uint64_t kills = counter("oom_kills");

	run_claimed(churn);
	CHECK(counter("oom_kills") == kills);
	wait_state(0, "populated");
	check_nobody_else(0, NULL);
}

static void set_balloon(size_t bytes)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"value\": %zu}", bytes);
	host_qmp("balloon", text);
}

/* A counter of pages, and where it must come to. */
struct goal {
	const char *name;
	uint64_t value;
};

static bool is_reached(void *arg)
{
	struct goal *goal = arg;

	return vmstat(goal->name) >= goal->value;
}

static bool is_low(void *arg)
{
	return normal_above_low() <= BELOW_LOW;
}

/* The balloon takes pages wherever it finds some, but for partitions: a free one, and one in use, keep all of theirs. */
static void test_balloon(void)
{
	struct goal inflated = { .name = "balloon_inflate" }, deflated = { .name = "balloon_deflate" };
	const char *mib = getenv("ram_mib");
	size_t total = mib ? strtoul(mib, NULL, 10) << 20 : 0, balloon;
	int fd;

	populate(2);
	fd = fill_with_files(LEFT_TO_BALLOON);
	balloon = (normal_above_low() + BELOW_LOW) / PAGE * PAGE;
	CHECK(total > balloon);
	inflated.value = vmstat(inflated.name) + balloon / PAGE;
	deflated.value = vmstat(deflated.name) + balloon / PAGE;
	set_balloon(total - balloon);
	CHECK(wait_until(is_reached, &inflated, REPORT_TIMEOUT_MS));
	CHECK_MSG(wait_until(is_low, NULL, REPORT_TIMEOUT_MS), "%zu bytes above", normal_above_low());
	check_nobody_else(0, NULL);
	check_nobody_else(1, NULL);
	run_claimed(fill);
	set_balloon(total);
	CHECK(wait_until(is_reached, &deflated, REPORT_TIMEOUT_MS));
	close(fd);
	populate(0);
}

const struct test reporting_tests[] = {
	{ "free pages of a partition are reported and come back", test_reported },
	{ "a drain soon after a report gets all pages", test_drain_soon },
	{ "an owner at work while pages are reported", test_owner_at_work },
	{ "a balloon takes nothing of a partition", test_balloon },
	{ NULL, NULL }
};
