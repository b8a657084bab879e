// SPDX-License-Identifier: Apache-2.0
/* How long until the kernel names what is in the way of a drain, or has moved it out of the way. */
#include "bench.h"
#include "hostile.h"
#include "uring.h"

#include <signal.h>
#include <unistd.h>

/* An instance that lives while the device shrinks, and one that has ended and left a page in a pipe. */
static void reasons(void)
{
	uint64_t asked, claimed, ended, held;
	int fds[2];

	request(1);
	wait_state(0, "populated");
	claim_new("a");
	CHECK(pipe(fds) == 0);
	CHECK(run_in("a", splice_and_die, fds) == 0);
	asked = clock_now();
	request(0);
	wait_reason(0, "claimed");
	claimed = clock_now() - asked;
	ended = clock_now();
	CHECK(cg_remove("a") == 0);
	wait_reason(0, "references");
	held = clock_now() - ended;
	close(fds[0]);
	close(fds[1]);
	wait_state(0, "parked");
	result("reason", "\"claimed\": %lu, \"held\": %lu", claimed, held);
}

static void claim_one(void)
{
	request(1);
	wait_state(0, "populated");
	claim_new("a");
}

/* What follows the end of the instance. The host has asked before: how long it takes to say so is not the kernel's time. */
static uint64_t end_now(void)
{
	uint64_t ended;

	request(0);
	ended = clock_now();
	CHECK(cg_remove("a") == 0);
	return ended;
}

static void pin_and_die(void *ring)
{
	CHECK(uring_register(*(int *)ring, map_pattern(MIB), MIB) == 0);
}

/* A buffer that a ring outside of the instance has pinned. */
static void pinned(void)
{
	int ring = uring_make();
	uint64_t ended;

	claim_one();
	CHECK(run_in("a", pin_and_die, &ring) == 0);
	ended = end_now();
	wait_reason(0, "pinned");
	result("pinned", "\"named\": %lu", clock_now() - ended);
	close(ring);
	wait_state(0, "parked");
}

/* A process that left with its pages: they are moved, and the drain completes. */
static void left(void)
{
	int nid = partition_nid(0);
	uint64_t ended;
	pid_t pid;

	claim_one();
	pid = start_stopped("a", leave_and_stay, &nid);
	ended = end_now();
	wait_state(0, "parked");
	result("left", "\"parked\": %lu", clock_now() - ended);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
}

/* Pages that have failed are found by the first look at a late drain, and go back to the device with the rest. */
static void failed(void)
{
	uint64_t ended;

	claim_one();
	CHECK(run_in("a", poison_some, NULL) == 0);
	ended = end_now();
	wait_state(0, "parked");
	result("failed", "\"parked\": %lu", clock_now() - ended);
}

const struct test bench_reason_tests[] = {
	{ "reasons", reasons },
	{ "a pinned buffer", pinned },
	{ "a process that has left", left },
	{ "pages that have failed", failed },
	{ NULL, NULL }
};
