// SPDX-License-Identifier: Apache-2.0
/* A device that refuses, stalls or lies. */
#include "fake.h"
#include "hostile.h"
#include "maps.h"
#include "suite.h"

#include <errno.h>
#include <stdio.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static const char *const refusals[] = { "nack", "busy", "error" };

/* Would a touch of unplugged memory be found at all? */
static void test_touch_is_found(void)
{
	fake_start();
	fake_populate(1);
	CHECK(fake_value("violations") == 0);
	fake_set("violations", 1);
	CHECK(fake_value("violations") == 1);
	fake_set("violations", 0);
	fake_end();
}

static void test_honest(void)
{
	fake_start();
	fake_populate(partition_count);
	fake_claim_and_use("a");
	fake_populate(1);
	fake_claim_and_use("a");
	fake_end();
}

static bool refused_since(void *arg)
{
	return counter("requests_refused") >= *(uint64_t *)arg;
}

static void wait_refused(uint64_t until)
{
	CHECK_MSG(wait_until(refused_since, &until, 20000), "%lu requests refused, not %lu",
		  (unsigned long)counter("requests_refused"), (unsigned long)until);
}

/* Refused a few times, then not: the claim that waits meanwhile is served. */
static void test_plug_refused(void)
{
	char script[32];

	fake_start();
	for (size_t i = 0; i < LEN(refusals); i++) {
		uint64_t refused = counter("requests_refused");
		pid_t pid;

		snprintf(script, sizeof(script), "%s:3", refusals[i]);
		fake_write("answers", script);
		pid = fake_start_claim("a", 0);
		fake_request(partition_bytes);
		CHECK(wait_for(pid) == 0);
		CHECK(counter("requests_refused") == refused + 3);
		CHECK(run_in("a", fake_use_partition, NULL) == 0);
		cg_end("a");
		fake_populate(0);
	}
	fake_end();
}

static void test_unplug_refused(void)
{
	char script[32];

	fake_start();
	for (size_t i = 0; i < LEN(refusals); i++) {
		uint64_t refused = counter("requests_refused");

		fake_populate(1);
		fake_claim_and_use("a");
		wait_state(0, "populated");
		snprintf(script, sizeof(script), "%s:3", refusals[i]);
		fake_write("answers", script);
		fake_populate(0);
		CHECK(counter("requests_refused") == refused + 3);
		CHECK(has_state(0, "parked"));
	}
	fake_end();
}

/* Wanted again while the device still refuses to take it: it was never away. */
static void test_unplug_refused_and_wanted_again(void)
{
	uint64_t refused;

	fake_start();
	fake_populate(1);
	refused = counter("requests_refused");
	fake_write("answers", "busy:200");
	fake_request(0);
	wait_refused(refused + 2);
	CHECK(has_state(0, "parked"));
	fake_populate(1);
	fake_claim_and_use("a");
	fake_write("answers", " ");
	fake_end();
}

/* Wanted no more while the device still refuses to give it. */
static void test_plug_refused_and_given_up(void)
{
	uint64_t refused;

	fake_start();
	refused = counter("requests_refused");
	fake_write("answers", "nack:200");
	fake_request(partition_count * partition_bytes);
	wait_refused(refused + 2);
	fake_populate(0);
	fake_write("answers", " ");
	fake_end();
}

/* Some requests are served and some are not, in both directions. */
static void test_refused_in_between(void)
{
	fake_start();
	for (int round = 0; round < 3; round++) {
		fake_write("answers", "ack nack ack busy ack ack error ack nack ack busy:2 ack:3 error");
		fake_populate(partition_count);
		fake_claim_and_use("a");
		fake_write("answers", "ack busy ack error ack nack:2 ack ack busy ack");
		fake_populate(0);
	}
	fake_end();
}

/* What is being plugged is nobody's until the device says so. */
static void test_late(void)
{
	fake_start();
	fake_write("answers", "late:3000");
	fake_request(partition_bytes);
	CHECK(fake_value("plugged_bytes") == 0 && !has_state(0, "populated"));
	fake_wait_plugged(1);
	fake_write("answers", "late:300");
	fake_claim_and_use("a");
	fake_populate(0);
	fake_write("answers", "late:20 late:1 late:40 late:5 late:30 late:1 late:1 late:9");
	fake_populate(partition_count);
	fake_populate(0);
	fake_end();
}

/*
 * Answers after which the driver cannot trust the device any more: no further request, whoever waits is told, and a new device is
 * as good as any.
 */
static void fatal_at_plug(const char *answer)
{
	int log = kernel_log();
	uint64_t requests;
	pid_t pid;

	fake_start();
	pid = fake_start_claim("a", -ENODEV);
	fake_write("answers", answer);
	fake_set("answer_timeout_ms", 300);
	fake_request(partition_count * partition_bytes);
	CHECK_MSG(wait_for(pid) == 0, "%s", answer);
	CHECK_MSG(fake_is_given_up(), "%s", answer);
	requests = counter("requests_plug");
	fake_set("interrupts", 10);
	sleep_ms(50);
	CHECK_MSG(counter("requests_plug") == requests, "%s", answer);
	for (unsigned int i = 0; i < partition_count; i++)
		CHECK_MSG(has_state(i, "absent") || has_state(i, "parked"), "%s", answer);
	CHECK_MSG(kernel_log_lines(log, "no more memory is plugged") == 1, "%s", answer);
	cg_end("a");
	fake_end_lost();
}

static void test_fatal_at_plug(void)
{
	static const char *const fatal[] = { "garbage", "short", "empty", "unwritten", "bad-id", "free-id", "never", "lost" };

	for (size_t i = 0; i < LEN(fatal); i++) {
		fatal_at_plug(fatal[i]);
		/* The next device is trusted again. */
		fake_start();
		fake_populate(1);
		fake_claim_and_use("a");
		fake_end();
	}
}

/* An answer that was given twice is not the answer to the next request. */
static void test_twice(void)
{
	static const char *const twice[] = { "twice", "jump" };

	for (size_t i = 0; i < LEN(twice); i++) {
		char script[32];

		fake_start_coarse();
		snprintf(script, sizeof(script), "%s late:200", twice[i]);
		fake_write("answers", script);
		fake_set("answer_timeout_ms", 5000);
		CHECK(cg_make("a") == 0);
		fake_request(partition_bytes);
		CHECK(cg_write("a", "memory.squeezy", "auto") == 0);
		fake_request(2 * partition_bytes);
		fake_wait_given_up();
		CHECK_MSG(has_state(1, "absent") || has_state(1, "parked"), "%s", twice[i]);
		cg_end("a");
		fake_end_lost();
	}
}

static void test_long(void)
{
	fake_start();
	fake_write("answers", "long:100");
	fake_populate(2);
	fake_populate(0);
	fake_end();
}

/* The device does what it was asked after we have given it up. */
static void test_after_timeout(void)
{
	fake_start_coarse();
	fake_set("answer_timeout_ms", 100);
	fake_write("answers", "late:6000");
	fake_request(partition_bytes);
	fake_wait_given_up();
	fake_wait_has(partition_bytes);
	CHECK(has_state(0, "absent") || has_state(0, "parked"));
	CHECK(fake_is_given_up());
	fake_end_lost();
}

/* It is slower than we have patience for, but had no more than one chance to answer yet: as if the VM had been stopped meanwhile. */
static void test_second_chance(void)
{
	fake_start_coarse();
	fake_set("answer_timeout_ms", 6000);
	fake_write("answers", "late:6500");
	fake_populate(1);
	fake_claim_and_use("a");
	fake_populate(0);
	fake_end();
}

/* A host that has room for one partition at a time; requests could be of any size. */
static void test_plug_too_large(void)
{
	uint64_t refused = counter("requests_refused");

	CHECK(write_file("/sys/kernel/mm/squeezy/request_us", "0", 0) == 0);
	fake_start();
	fake_set("plug_most", partition_bytes >> 21);
	fake_populate(partition_count);
	CHECK(counter("requests_refused") > refused);
	fake_populate(0);
	CHECK(write_file("/sys/kernel/mm/squeezy/request_us", "10000", 0) == 0);
	fake_end();
}

/* The same with a partition that is being returned: nobody may get it any more. */
static void test_unplug_after_timeout(void)
{
	fake_start_coarse();
	fake_populate(1);
	fake_set("answer_timeout_ms", 100);
	fake_write("answers", "late:6000");
	fake_request(0);
	wait_state(0, "parked");
	fake_wait_given_up();
	fake_request(partition_bytes);
	fake_wait_has(0);
	CHECK(has_state(0, "parked"));
	CHECK(fake_is_given_up());
	fake_end_lost();
}

/* Wrong answers to an unplug: the partition is nobody's from then on. */
static void test_fatal_at_unplug(void)
{
	static const char *const fatal[] = { "garbage", "short", "empty", "unwritten", "bad-id", "free-id", "never", "lost" };

	for (size_t i = 0; i < LEN(fatal); i++) {
		fake_start();
		fake_populate(1);
		fake_write("answers", fatal[i]);
		fake_set("answer_timeout_ms", 300);
		fake_request(0);
		wait_state(0, "parked");
		fake_wait_given_up();
		CHECK_MSG(has_state(0, "parked"), "%s", fatal[i]);
		fake_request(partition_bytes);
		sleep_ms(50);
		CHECK_MSG(has_state(0, "parked"), "%s", fatal[i]);
		fake_end_lost();
	}
}

static bool none_is_used(void *arg)
{
	return count_state("parked") + count_state("absent") == partition_count;
}

/* What the device does not take back serves the next claim. */
static void test_refused_serves_claims(void)
{
	fake_start_coarse();
	fake_populate(2);
	fake_write("answers", "busy:0");
	fake_request(0);
	CHECK(wait_until(none_is_used, NULL, 20000));
	wait_refused(counter("requests_refused") + 1);
	fake_request(partition_bytes);
	fake_claim_and_use("a");
	fake_request(0);
	CHECK(wait_until(none_is_used, NULL, 20000));
	wait_refused(counter("requests_refused") + 1);
	fake_write("answers", "ack");
	fake_end();
}

static bool is_whole(void *id)
{
	return has_state(*(unsigned int *)id, "populated") && partition_value(*(unsigned int *)id, "free_bytes") == partition_bytes;
}

/* A page fails, its device goes before it has taken the memory back, and another comes: its memory is sound. */
static void test_poison_and_replacement(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:");

	fake_start();
	fake_populate(1);
	fake_write("answers", "busy:0");
	claim_new("a");
	CHECK(run_in("a", poison_some, NULL) == 0);
	CHECK(meminfo("HardwareCorrupted:") > corrupted);
	fake_request(0);
	cg_end("a");
	CHECK(wait_until(none_is_used, NULL, 20000));
	fake_pull_out();
	fake_start();
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	fake_populate(1);
	for (int round = 0; round < 2; round++) {
		unsigned int id = 0;

		CHECK(wait_until(is_whole, &id, 20000));
		fake_claim_and_use("a");
	}
	fake_end();
}

/* A partition with a failed page is half unplugged when the device refuses once. It is not plugged again before all its memory went. */
static void test_poison_half_unplugged(void)
{
	uint64_t corrupted = meminfo("HardwareCorrupted:"), refused = counter("requests_refused");
	unsigned int id;

	fake_start();
	/* After the first request of each kind they are short. */
	CHECK(write_file("/sys/kernel/mm/squeezy/request_us", "1", 0) == 0);
	fake_populate(2);
	fake_populate(0);
	fake_populate(2);
	id = claim_new("a");
	CHECK(run_in("a", poison_some, NULL) == 0);
	fake_write("answers", "ack busy");
	cg_end("a");
	wait_refused(refused + 1);
	CHECK(wait_until(is_whole, &id, 60000));
	CHECK(meminfo("HardwareCorrupted:") == corrupted);
	CHECK(write_file("/sys/kernel/mm/squeezy/request_us", "10000", 0) == 0);
	fake_end();
}

const struct test fakeanswers_tests[] = {
	{ "a touch of unplugged memory is found", test_touch_is_found },
	{ "an honest device", test_honest },
	{ "plug refused, then not", test_plug_refused },
	{ "unplug refused, then not", test_unplug_refused },
	{ "unplug refused, then wanted again", test_unplug_refused_and_wanted_again },
	{ "unplug refused all the time: claims are served", test_refused_serves_claims },
	{ "memory failure, then another device", test_poison_and_replacement },
	{ "memory failure, and the device takes back only a part", test_poison_half_unplugged },
	{ "plug refused, then not wanted", test_plug_refused_and_given_up },
	{ "requests refused in between", test_refused_in_between },
	{ "a plug of many refused: one by one", test_plug_too_large },
	{ "late answers", test_late },
	{ "an answer with a long length", test_long },
	{ "a plug answered as no device may ends the requests", test_fatal_at_plug },
	{ "an answer given twice", test_twice },
	{ "an answer after the time-out, at the second look", test_second_chance },
	{ "a plug that is done after the time-out", test_after_timeout },
	{ "an unplug that is done after the time-out", test_unplug_after_timeout },
	{ "an unplug answered as no device may ends the requests", test_fatal_at_unplug },
	{ NULL, NULL },
};
