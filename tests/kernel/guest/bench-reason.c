// SPDX-License-Identifier: Apache-2.0
/* How long until the kernel names what is in the way of a drain. */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REASON "/sys/kernel/mm/squeezy/partition0/busy_reason"
#define PAGE 4096ul
#define PATIENCE_MS 30000

static void splice_and_end(void *arg)
{
	struct iovec iov = { map_anon(PAGE), PAGE };

	memset(iov.iov_base, 1, PAGE);
	CHECK(vmsplice(((int *)arg)[1], &iov, 1, 0) == (ssize_t)PAGE);
}

/* Sleeps until the reason is this one. Returns the time. */
static uint64_t wait_named(const char *reason)
{
	int fd = open(REASON, O_RDONLY | O_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	char text[32];
	ssize_t n;

	CHECK(fd >= 0);
	for (;;) {
		n = pread(fd, text, sizeof(text) - 1, 0);
		CHECK(n > 0);
		text[n] = '\0';
		if (!strncmp(text, reason, strlen(reason)))
			break;
		CHECK_MSG(poll(&p, 1, PATIENCE_MS) == 1, "the reason is %s", text);
	}
	close(fd);
	return clock_now();
}

/* An instance that lives while the device shrinks, and one that has ended and left a page in a pipe. */
static void reasons(void)
{
	uint64_t asked, claimed, ended, held;
	int fds[2];

	request(1);
	wait_state(0, "populated");
	claim_new("a");
	CHECK(pipe(fds) == 0);
	CHECK(run_in("a", splice_and_end, fds) == 0);
	asked = clock_now();
	request(0);
	claimed = wait_named("claimed") - asked;
	ended = clock_now();
	CHECK(cg_remove("a") == 0);
	held = wait_named("references") - ended;
	close(fds[0]);
	close(fds[1]);
	wait_state(0, "parked");
	result("reason", "\"claimed\": %lu, \"held\": %lu", claimed, held);
}

const struct test bench_reason_tests[] = {
	{ "reasons", reasons },
	{ NULL, NULL }
};
