// SPDX-License-Identifier: Apache-2.0
/* How long until the kernel names what is in the way of a drain. */
#include "bench.h"
#include "hostile.h"

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

const struct test bench_reason_tests[] = {
	{ "reasons", reasons },
	{ NULL, NULL }
};
