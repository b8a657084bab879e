// SPDX-License-Identifier: Apache-2.0
/*
 * Allocations and notifiers that fail on purpose (FAILSLAB, FAIL_PAGE_ALLOC, MEMORY_NOTIFIER_ERROR_INJECT): on populate, claim, fault
 * and drain. What fails must fail cleanly, and work when tried again.
 *
 * A task's n-th allocation fails by /proc/thread-self/fail-nth. For kernel threads a range of callers is set instead, so that only
 * the function under test fails: parts of Linux' own hot-add stop the machine when an allocation fails (BUG_ON in add_memory_resource).
 */
#include "hostile.h"
#include "ledger.h"
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug/"
#define NOTIFIER DEBUGFS "notifier-error-inject/memory/actions/MEM_GOING_ONLINE/error"
/* More failures than any test meets. */
#define FAILURES 1000000
/* Nobody's path makes more allocations than this. */
#define NTH_MAX 2000
/* A failed memory map is made again after five seconds. */
#define RECOVERY_MS 60000

static void set(const char *injector, const char *knob, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", injector, knob);
	CHECK_MSG(file_write(path, value) == 0, "%s", path);
}

/* Failures by fail-nth alone: nothing else fails, every kind of allocation can. */
static void arm(void)
{
	static const char *const injectors[] = { "failslab", "fail_page_alloc" };

	for (int i = 0; i < 2; i++) {
		set(injectors[i], "probability", "0");
		set(injectors[i], "interval", "1");
		set(injectors[i], "times", "-1");
		set(injectors[i], "verbose", "0");
		set(injectors[i], "ignore-gfp-wait", "N");
		set(injectors[i], "require-start", "0");
		set(injectors[i], "require-end", "0xffffffffffffffff");
	}
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
}

static void disarm(void)
{
	set("failslab", "probability", "0");
	set("fail_page_alloc", "probability", "0");
	CHECK(file_write(NOTIFIER, "0") == 0);
}

static bool fail_nth(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return file_write("/proc/thread-self/fail-nth", text) == 0;
}

/* Did fewer allocations happen than would have been needed? Ends the injection. */
static bool nth_was_not_reached(void)
{
	char text[16] = "0";

	file_read("/proc/thread-self/fail-nth", text, sizeof(text));
	fail_nth(0);
	return atoi(text) != 0;
}

/*
 * A cgroup is made, claims, works and goes, and its n-th allocation fails, for every n until there are no more. Whatever the error
 * was, the partition is free again afterwards.
 */
static void test_claim(void)
{
	unsigned int n, failures = 0;
	bool done = false;

	populate(1);
	arm();
	for (n = 1; !done && n < NTH_MAX; n++) {
		int rc;

		CHECK(fail_nth(n));
		rc = cg_make("a");
		if (!rc)
			rc = cg_write_nonblock("a", "memory.squeezy", "auto");
		done = nth_was_not_reached();
		CHECK_MSG(!done || !rc, "nothing failed but the claim: %d", rc);
		CHECK_MSG(!rc || rc == -ENOMEM || rc == -EAGAIN, "allocation %u: error %d", n, rc);
		CHECK(has_state(0, rc ? "populated" : "claimed"));
		failures += rc != 0;
		rc = cg_remove("a");
		CHECK(rc == 0 || rc == -ENOENT);
		wait_state(0, "populated");
	}
	printf("# a claim makes %u allocations, %u of them can fail it\n", n - 2, failures);
	CHECK(done && failures > 0);
	check_pages();
}

static void touch_while_failing(void *arg)
{
	int nid = *(int *)arg;
	unsigned int failed = 0;

	for (unsigned int n = 1; n < 60; n++) {
		char *mem = map_anon(64 * PAGE);

		CHECK(fail_nth(n));
		touch(mem, 64 * PAGE, 1);
		failed += !nth_was_not_reached();
		CHECK(pages_elsewhere(mem, 64 * PAGE, nid) == 0);
	}
	CHECK(failed > 30);
}

/* A fault whose allocation fails is made again, and its page still comes from the partition. */
static void test_fault(void)
{
	uint64_t full = counter("partition_full"), kills = counter("oom_kills");
	unsigned int id;
	int nid;

	populate(1);
	id = claim_new("a");
	nid = partition_nid(id);
	arm();
	CHECK(run_in("a", touch_while_failing, &nid) == 0);
	disarm();
	/* Our own way into the free lists fails like any other. */
	CHECK(counter("partition_full") > full);
	CHECK(counter("oom_kills") == kills);
	check_pages();
	cg_end("a");
}

/* Makes only what @function calls fail. */
static void require_caller(const char *injector, const char *function)
{
	char line[256], name[128], type, text[32];
	unsigned long long addr, start = 0, end = ~0ull;
	FILE *f = fopen("/proc/kallsyms", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %c %127s", &addr, &type, name) == 3 && !strcmp(name, function))
			start = addr;
	rewind(f);
	while (start && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx", &addr) == 1 && addr > start && addr < end)
			end = addr;
	fclose(f);
	CHECK_MSG(start, "there is no %s", function);
	snprintf(text, sizeof(text), "%#llx", start);
	set(injector, "require-start", text);
	snprintf(text, sizeof(text), "%#llx", end);
	set(injector, "require-end", text);
}

static void touch_for_ever(void *unused)
{
	CHECK(file_write("/proc/self/make-it-fail", "1") == 0);
	for (;;) {
		char *mem = map_anon(MIB);

		touch(mem, MIB, 1);
	}
}

static void wait_for_end(void *unused)
{
	for (;;)
		pause();
}

/*
 * When no page of the partition can be had it looks full: the member ends, and nobody else does. Its page tables are not to fail:
 * then Linux itself makes the fault again for ever.
 */
static void test_fault_always(void)
{
	pid_t other, pid;
	int status;

	populate(2);
	claim_new("a");
	claim_new("b");
	other = start_in("b", wait_for_end, NULL);
	wait_asleep(other);
	arm();
	require_caller("fail_page_alloc", "__squeezy_alloc_folio");
	set("fail_page_alloc", "task-filter", "Y");
	set("fail_page_alloc", "probability", "100");
	pid = start_in("a", touch_for_ever, NULL);
	status = wait_for(pid);
	disarm();
	set("fail_page_alloc", "task-filter", "N");
	CHECK(WIFSIGNALED(status));
	CHECK(waitpid(other, NULL, WNOHANG) == 0);
	cg_end("a");
	cg_end("b");
	waitpid(other, NULL, 0);
	check_pages();
}

static bool map_failed(void *arg)
{
	return counter("map_failures") > *(uint64_t *)arg;
}

/* A memory map cannot be made; when it can again, it is, without a word from the host. */
static void fail_map_and_recover(unsigned int partitions)
{
	uint64_t failures = counter("map_failures");

	host_request(partitions);
	CHECK(wait_until(map_failed, &failures, RECOVERY_MS));
	disarm();
	populate(partitions);
	check_pages();
}

/* This suite comes first in its boot: two partitions have no map yet when the next test begins. */
static void test_map_slab(void)
{
	arm();
	require_caller("failslab", "create_memory_block_devices");
	set("failslab", "times", "1");
	set("failslab", "probability", "100");
	fail_map_and_recover(partition_count - 2);
}

static void test_map_notifier(void)
{
	arm();
	CHECK(file_write(NOTIFIER, "-12") == 0);
	fail_map_and_recover(partition_count);
}

/* Lets everything fail that is asked for, and counts. */
static void fail_all(const char *injector)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", FAILURES);
	set(injector, "times", text);
	set(injector, "probability", "100");
}

static int failures_met(const char *injector)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), DEBUGFS "%s/times", injector);
	CHECK(file_read(path, text, sizeof(text)) == 0);
	return FAILURES - atoi(text);
}

/* Nothing that the mover allocates is needed to give memory back or to take it again. */
static void test_mover(void)
{
	populate(2);
	arm();
	require_caller("failslab", "mover_loop");
	require_caller("fail_page_alloc", "mover_loop");
	fail_all("failslab");
	fail_all("fail_page_alloc");
	populate(0);
	populate(2);
	disarm();
	printf("# the mover met %d and %d failures\n", failures_met("failslab"), failures_met("fail_page_alloc"));
	/* Requests to the device, which are then sent without. Pages it asks for none. */
	CHECK(failures_met("failslab") > 0);
	check_pages();
}

static bool failures_are_used(void *arg)
{
	return failures_met("fail_page_alloc") > 8;
}

/* Pages of an ended instance that are mapped elsewhere cannot be moved for want of memory; when there is some again they are. */
static void test_stragglers(void)
{
	uint64_t migrated = counter("stragglers_migrated");
	unsigned int id = set_stage();
	int nid = partition_nid(id);
	pid_t pid = start_stopped("a", leave_and_stay, &nid);
	arm();
	require_caller("fail_page_alloc", "alloc_migration_target");
	fail_all("fail_page_alloc");
	end_instance();
	CHECK(wait_until(failures_are_used, NULL, RECOVERY_MS));
	CHECK(has_state(id, "released") && counter("stragglers_migrated") == migrated);
	/* Who looks finds out what is in the way, and whose it is. */
	wait_reason(id, "mapped");
	CHECK_MSG(held(id, "mapped") == mapped_pages(id, pid) * PAGE, "%lu bytes held, %zu pages mapped", (unsigned long)held(id, "mapped"),
		  mapped_pages(id, pid));
	CHECK(is_mapped_by(id, pid));
	disarm();
	check_recovery(id);
	CHECK(counter("stragglers_migrated") - migrated >= MIB / PAGE);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	check_pages();
}

static void test_nothing_lost(void)
{
	struct ledger before;
	unsigned int id;
	int nid;

	disarm();
	populate(1);
	ledger_open(&before);
	test_claim();
	populate(1);
	id = claim_new("a");
	arm();
	nid = partition_nid(id);
	CHECK(run_in("a", touch_while_failing, &nid) == 0);
	disarm();
	cg_end("a");
	ledger_close(&before);
	check_pages();
}

const struct test faults_tests[] = {
	{ "a memory map fails for want of memory, and is made later", test_map_slab },
	{ "a notifier refuses a memory map, and it is made later", test_map_notifier },
	{ "a claim whose n-th allocation fails leaves the partition free", test_claim },
	{ "a fault whose n-th allocation fails gets its page after all", test_fault },
	{ "a member that gets no page at all ends, and it alone", test_fault_always },
	{ "the mover drains and populates without memory", test_mover },
	{ "stragglers cannot be moved for want of memory, and are later", test_stragglers },
	{ "after all these failures nothing is lost", test_nothing_lost },
	{ NULL, NULL }
};
