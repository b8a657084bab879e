// SPDX-License-Identifier: Apache-2.0
/* The device is lost while its memory is in use: given up, or pulled out, and another one takes its place or cannot yet. */
#include "fake.h"
#include "hostile.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of poison_some(). */
#define FAILED_BYTES (3 * PAGE)

/* A process in "a" with memory of the partition, and more of it when it is told to go on. */
struct user {
	pid_t pid;
	int ready[2], go[2];
};

static void touch_before_and_after(void *arg)
{
	struct user *u = arg;
	size_t bytes = partition_bytes / 4;
	char *mem = map_anon(2 * bytes), byte = 0;

	touch(mem, bytes, 1);
	CHECK(write(u->ready[1], &byte, 1) == 1);
	CHECK(read(u->go[0], &byte, 1) == 1);
	touch(mem + bytes, bytes, 2);
	for (size_t i = 0; i < 2 * bytes; i += PAGE)
		CHECK(mem[i] == (i < bytes ? 1 : 2));
}

static void start_user(struct user *u)
{
	char byte;

	claim_new("a");
	CHECK(pipe2(u->ready, O_CLOEXEC) == 0 && pipe2(u->go, O_CLOEXEC) == 0);
	u->pid = start_in("a", touch_before_and_after, u);
	CHECK(read(u->ready[0], &byte, 1) == 1);
}

/* It finds its memory as it was. */
static void end_user(struct user *u)
{
	char byte = 0;

	CHECK(write(u->go[1], &byte, 1) == 1);
	CHECK(wait_for(u->pid) == 0);
	cg_end("a");
	for (int i = 0; i < 2; i++) {
		close(u->ready[i]);
		close(u->go[i]);
	}
}

/* Runs @fatal while a cgroup uses its partition; that goes on, and the partition serves the next one. */
static void memory_stays(void (*fatal)(void))
{
	struct user u;

	fake_start();
	fake_populate(1);
	start_user(&u);
	fatal();
	fake_wait_given_up();
	CHECK(has_state(0, "claimed"));
	end_user(&u);
	wait_state(0, "populated");
	fake_claim_and_use("b");
	fake_end_lost();
}

static void lose_by_garbage(void)
{
	fake_write("answers", "garbage");
	fake_request(2 * partition_bytes);
}

static void lose_by_silence(void)
{
	fake_set("answer_timeout_ms", 200);
	fake_write("answers", "never");
	fake_request(2 * partition_bytes);
}

static void lose_by_break(void)
{
	fake_set("broken", 1);
	fake_request(2 * partition_bytes);
}

static void lose_by_reset_bit(void)
{
	fake_set("status", 64);
	fake_set("interrupts", 1);
}

static void lose_by_removal(void)
{
	fake_pull_out();
}

static bool plug_was_sent(void *arg)
{
	return counter("requests_plug") > *(uint64_t *)arg;
}

/* Asks for one more partition and gets no answer, for as long as a test takes. */
static void begin_plug(unsigned int partitions)
{
	uint64_t sent = counter("requests_plug");

	fake_set("answer_timeout_ms", 3600000);
	fake_write("answers", "never");
	fake_request(partitions * partition_bytes);
	CHECK(wait_until(plug_was_sent, &sent, 20000));
}

static void lose_by_removal_in_flight(void)
{
	begin_plug(2);
	fake_pull_out();
}

/* That it has failed is seen at once, not when patience for the answer is at its end. */
static void lose_by_reset_bit_in_flight(void)
{
	begin_plug(2);
	lose_by_reset_bit();
}

static void test_memory_stays(void)
{
	memory_stays(lose_by_garbage);
	memory_stays(lose_by_silence);
	memory_stays(lose_by_break);
	memory_stays(lose_by_reset_bit);
	memory_stays(lose_by_reset_bit_in_flight);
}

static void test_memory_stays_without_device(void)
{
	memory_stays(lose_by_removal);
	memory_stays(lose_by_removal_in_flight);
}

/* What the device wants back is drained at once, whatever it is asked for meanwhile. */
static void test_shrink_in_flight(void)
{
	fake_start_coarse();
	fake_populate(2);
	begin_plug(3);
	fake_request(partition_bytes);
	wait_state(1, "parked");
	CHECK(has_state(0, "populated") && partition_value(2, "plugged_bytes") == 0);
	CHECK(claim_new("a") == 0);
	fake_pull_out();
	CHECK(fake_is_given_up());
	cg_end("a");
	fake_end_lost();
}

/* Whoever waits, asleep or by poll, hears of it. */
static void waiters_hear(void (*fatal)(void))
{
	struct pollfd poller = { .events = POLLPRI };
	char text[16];
	pid_t pid;

	fake_start();
	CHECK(cg_make("b") == 0);
	CHECK(cg_write_nonblock("b", "memory.squeezy", "auto") == -EAGAIN);
	poller.fd = open("/sys/fs/cgroup/b/memory.squeezy", O_RDONLY | O_CLOEXEC);
	CHECK(poller.fd >= 0 && read(poller.fd, text, sizeof(text)) > 0);
	pid = fake_start_claim("a", -ENODEV);
	fatal();
	CHECK(wait_for(pid) == 0);
	CHECK(poll(&poller, 1, 20000) == 1);
	close(poller.fd);
	CHECK(cg_write_nonblock("b", "memory.squeezy", "auto") == -ENODEV);
	cg_end("a");
	cg_end("b");
	fake_end_lost();
}

static void test_waiters_hear(void)
{
	waiters_hear(lose_by_garbage);
	waiters_hear(lose_by_silence);
	waiters_hear(lose_by_break);
	waiters_hear(lose_by_reset_bit);
	waiters_hear(lose_by_removal);
	waiters_hear(lose_by_removal_in_flight);
}

/*
 * A new device is not taken while memory of the one before it is in use. One line of the log says so, and what can be done; nothing is
 * asked of it.
 */
static void plug_in_too_early(void)
{
	uint64_t sent = counter("requests_plug") + counter("requests_unplug");
	int refused = kernel_log(), taken = kernel_log();

	fake_make_honest();
	fake_plug_in();
	fake_request(partition_count * partition_bytes);
	fake_set("interrupts", 10);
	/* The stock driver would make its memory everybody's. */
	CHECK(fake_has_driver("squeezy"));
	CHECK(kernel_log_lines(refused, "memory of the device before it is in use, plug it in again later") == 1);
	CHECK(kernel_log_lines(taken, "partitions at") == 0);
	CHECK(counter("requests_plug") + counter("requests_unplug") == sent);
}

/* Pulled out and plugged in again the new device is as good as any: two partitions at once, and nothing is missing in them. */
static void plug_in_again(void)
{
	static const char *const names[] = { "a", "b" };

	fake_start();
	fake_populate(2);
	for (unsigned int i = 0; i < 2; i++) {
		CHECK(partition_value(i, "free_bytes") == partition_bytes);
		CHECK(has_reason(i, "none"));
	}
	for (unsigned int i = 0; i < 2; i++)
		claim_new(names[i]);
	for (unsigned int i = 0; i < 2; i++)
		CHECK(run_in(names[i], fake_use_partition, NULL) == 0);
	for (unsigned int i = 0; i < 2; i++)
		cg_end(names[i]);
	fake_end();
}

static void test_claimed_at_next_device(void)
{
	struct user u;

	fake_start();
	fake_populate(1);
	start_user(&u);
	fake_pull_out();
	plug_in_too_early();
	CHECK(fake_is_given_up());
	CHECK(has_state(0, "claimed"));
	end_user(&u);
	/* It does not get another chance by itself. What is there serves the next claim. */
	wait_state(0, "populated");
	fake_claim_and_use("b");
	wait_state(0, "populated");
	plug_in_again();
}

/* Without a device, while one of two partitions cannot be had: the other one serves. */
static void use_other(unsigned int id)
{
	unsigned int other = claim_new("b");

	CHECK(other != id);
	CHECK(fake_is_given_up());
	CHECK(run_in("b", fake_use_partition, NULL) == 0);
	cg_end("b");
	wait_state(other, "populated");
}

/* The pipe lets go of pages of a released partition, which serves the next claim then. */
static void empty_pipe(int fds[2], unsigned int id)
{
	char text[PIPE_PAGES * PAGE];

	CHECK(read(fds[0], text, sizeof(text)) == (ssize_t)sizeof(text));
	CHECK(has_pattern(text, sizeof(text)));
	wait_state(id, "populated");
	close(fds[0]);
	close(fds[1]);
}

/* Nobody claims anything, but a pipe still holds pages. What was free was drained for the new device, and can be claimed again. */
static void test_held_at_next_device(void)
{
	unsigned int id;
	int fds[2];

	fake_start();
	fake_populate(2);
	id = claim_new("a");
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(run_in("a", splice_and_die, fds) == 0);
	fake_pull_out();
	cg_end("a");
	wait_reason(id, "references");
	plug_in_too_early();
	CHECK(has_state(id, "released"));
	use_other(id);
	empty_pipe(fds, id);
	plug_in_again();
}

/*
 * The device has taken a partition back and does not say so. With pages still held the next device is refused, and what is free serves
 * claims: that one is not free.
 */
static void test_unplug_without_answer(void)
{
	unsigned int id;
	int fds[2];

	fake_start_coarse();
	fake_populate(2);
	id = claim_new("a");
	CHECK(id == 0 && pipe2(fds, O_CLOEXEC) == 0);
	CHECK(run_in("a", splice_and_die, fds) == 0);
	fake_set("answer_timeout_ms", 3600000);
	fake_write("answers", "lost");
	fake_request(partition_bytes);
	fake_wait_has(partition_bytes);
	CHECK(has_state(1, "parked"));
	fake_pull_out();
	cg_end("a");
	wait_reason(id, "references");
	plug_in_too_early();
	CHECK(has_state(1, "parked") && partition_value(1, "plugged_bytes") == 0);
	CHECK(cg_make("b") == 0);
	CHECK(cg_write_nonblock("b", "memory.squeezy", "auto") == -ENODEV);
	cg_end("b");
	empty_pipe(fds, id);
	plug_in_again();
}

/*
 * Only a device can replace what has failed. While there is none the partition waits for it and says why. Others serve claims; the
 * kernel looks at this one again and again meanwhile.
 */
static void test_failed_page_without_device(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:"), drains = counter("drains");
	unsigned int id;

	fake_start();
	fake_populate(2);
	id = claim_new("a");
	CHECK(run_in("a", poison_some, NULL) == 0);
	fake_pull_out();
	cg_end("a");
	wait_reason(id, "hwpoison");
	CHECK(held(id, "hwpoison") == FAILED_BYTES);
	for (int round = 0; round < 3; round++)
		use_other(id);
	CHECK(has_state(id, "released"));
	CHECK(has_reason(id, "hwpoison"));
	CHECK(held(id, "hwpoison") == FAILED_BYTES);
	CHECK(partition_value(id, "missing_bytes") == FAILED_BYTES);
	CHECK(partition_value(id, "free_bytes") == partition_bytes - FAILED_BYTES);
	CHECK(meminfo("HardwareCorrupted:") == corrupted + FAILED_BYTES / 1024);
	CHECK(counter("drains") == drains);
	fake_start();
	CHECK(has_state(id, "parked"));
	CHECK(held(id, "hwpoison") == 0);
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	plug_in_again();
}

const struct test fakelost_tests[] = {
	{ "waiting claims hear that the device is gone", test_waiters_hear },
	{ "a partition is drained while a request is in flight", test_shrink_in_flight },
	{ "memory in use outlives the device's last answer", test_memory_stays },
	{ "memory in use outlives the device", test_memory_stays_without_device },
	{ "the next device is refused while memory of the last is claimed, and taken later", test_claimed_at_next_device },
	{ "the next device is refused while pages of the last are held, and taken later", test_held_at_next_device },
	{ "what a lost device was asked to unplug serves no claim", test_unplug_without_answer },
	{ "a partition with failed pages waits for the next device", test_failed_page_without_device },
	{ NULL, NULL },
};
