// SPDX-License-Identifier: Apache-2.0
/* The agent's side of a runtime, against a runtime's ends of the pipes played by the test. */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/runtime.h"
#include "base/err.h"
#include "base/fd.h"

static struct event_base *base;
static struct runtime runtime;
static int far[RUNTIME_FDS];
static int ends;
static enum runtime_end last;
static struct exchange one, two, three;
static struct exchange *ended;

static void on_end(struct runtime *unused, struct exchange *exchange, enum runtime_end end)
{
	ends++;
	last = end;
	ended = exchange;
	event_base_loopbreak(base);
}

static int setup(void **state)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	memset(&runtime, 0, sizeof(runtime));
	one = two = three = (struct exchange){ 0 };
	ends = 0;
	runtime.ended = on_end;
	assert_int_equal(runtime_open(&runtime, base, far, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	while (runtime_take(&runtime))
		;
	runtime_close(&runtime);
	exchange_clear(&one);
	exchange_clear(&two);
	exchange_clear(&three);
	for (int i = 0; i < RUNTIME_FDS; i++)
		fd_close(&far[i]);
	event_base_free(base);
	return 0;
}

static void say(int which, const char *text)
{
	assert_int_equal(write(far[which], text, strlen(text)), strlen(text));
}

static void exchange(const char *input, uint64_t timeout_ms)
{
	exchange_clear(&one);
	one = (struct exchange){ 0 };
	assert_int_equal(runtime_exchange(&runtime, &one, input, input ? strlen(input) : 0, timeout_ms, 100, 1000), 0);
}

/* Runs the loop until the exchange ends. */
static void run_until_end(enum runtime_end wanted)
{
	int before = ends;

	event_base_dispatch(base);
	assert_int_equal(ends, before + 1);
	assert_int_equal(last, wanted);
}

static void test_answer(void **state)
{
	char line[64] = "";

	exchange("question\n", 5000);
	assert_int_equal(runtime_exchange(&runtime, &two, NULL, 0, 1000, 100, 1000), -EBUSY);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read(far[RUNTIME_STDIN], line, sizeof(line)), 9);
	assert_string_equal(line, "question\n");
	say(RUNTIME_STDOUT, "log\n");
	say(RUNTIME_RESULT, "{\"a\":1}\n");
	run_until_end(RUNTIME_LINE);
	assert_string_equal(one.line.text.data, "{\"a\":1}");
	assert_non_null(strstr(logs_finish(&one.logs, 1), "\"log\""));
	/* What is logged between exchanges belongs to none. */
	say(RUNTIME_STDERR, "stray\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{}\n");
	run_until_end(RUNTIME_LINE);
	assert_string_equal(logs_finish(&one.logs, 1), "[]");
}

static void test_timeout(void **state)
{
	exchange("x\n", 20);
	say(RUNTIME_RESULT, "half a line");
	say(RUNTIME_STDERR, "working");
	run_until_end(RUNTIME_TIMEOUT);
	assert_non_null(strstr(logs_finish(&one.logs, 1), "working"));
}

static void test_noise(void **state)
{
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{}\n{}\n");
	run_until_end(RUNTIME_NOISE);
}

static void test_noise_when_idle(void **state)
{
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{}\n");
	run_until_end(RUNTIME_LINE);
	say(RUNTIME_RESULT, "{}\n");
	run_until_end(RUNTIME_NOISE);
}

/* An answer to a question that was not read cannot be an answer. */
static void test_early_answer(void **state)
{
	size_t len = 4u << 20;
	char *input = malloc(len);

	memset(input, 'x', len);
	assert_int_equal(runtime_exchange(&runtime, &one, input, len, 5000, 100, 1000), 0);
	say(RUNTIME_RESULT, "{}\n");
	run_until_end(RUNTIME_NOISE);
	free(input);
}

static void test_closed(void **state)
{
	exchange(NULL, 5000);
	say(RUNTIME_STDERR, "last words");
	fd_close(&far[RUNTIME_STDOUT]);
	fd_close(&far[RUNTIME_RESULT]);
	run_until_end(RUNTIME_CLOSED);
	assert_null(ended);
	assert_ptr_equal(runtime_take(&runtime), &one);
	assert_null(runtime_take(&runtime));
	assert_non_null(strstr(logs_finish(&one.logs, 1), "last words"));
	assert_int_equal(runtime_exchange(&runtime, &two, NULL, 0, 1000, 100, 1000), -EPIPE);
}

static void test_closed_stdin(void **state)
{
	fd_close(&far[RUNTIME_STDIN]);
	exchange("question\n", 5000);
	run_until_end(RUNTIME_CLOSED);
}

static void test_exited(void **state)
{
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{\"last\":true}\n");
	runtime_exited(&runtime);
	assert_int_equal(last, RUNTIME_LINE);
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{\"half\":");
	runtime_exited(&runtime);
	assert_int_equal(last, RUNTIME_CLOSED);
	assert_int_equal(ends, 2);
}

static void start(struct exchange *exchange, const char *input, uint64_t timeout_ms)
{
	assert_int_equal(runtime_exchange(&runtime, exchange, input, strlen(input), timeout_ms, 100, 1000), 0);
}

static void answered(struct exchange *exchange, const char *text)
{
	run_until_end(RUNTIME_LINE);
	assert_ptr_equal(ended, exchange);
	assert_string_equal(exchange->line.text.data, text);
}

/* Answers come in any order and in any pieces. */
static void test_overlap(void **state)
{
	char line[64] = "";

	runtime_number(&runtime);
	start(&one, "a\n", 5000);
	start(&two, "b\n", 5000);
	start(&three, "c\n", 5000);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read(far[RUNTIME_STDIN], line, sizeof(line)), 12);
	assert_string_equal(line, "1 a\n2 b\n3 c\n");
	say(RUNTIME_STDOUT, "log\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	say(RUNTIME_RESULT, "3");
	event_base_loop(base, EVLOOP_NONBLOCK);
	say(RUNTIME_RESULT, " {\"c\"");
	event_base_loop(base, EVLOOP_NONBLOCK);
	say(RUNTIME_RESULT, ":1}\n");
	answered(&three, "{\"c\":1}");
	assert_string_equal(logs_finish(&three.logs, 1), "[]");
	say(RUNTIME_RESULT, "1 {}\n");
	answered(&one, "{}");
	assert_non_null(strstr(logs_finish(&one.logs, 1), "\"log\""));
	say(RUNTIME_RESULT, "2 []\n");
	answered(&two, "[]");
	assert_false(runtime_busy(&runtime));
}

static void start_two(uint64_t first_ms)
{
	runtime_number(&runtime);
	start(&one, "a\n", first_ms);
	start(&two, "b\n", 5000);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Two in one write: both end. */
static void test_overlap_at_once(void **state)
{
	start_two(5000);
	say(RUNTIME_RESULT, "2 {\"b\":1}\n1 {\"a\":1}\n");
	event_base_dispatch(base);
	assert_int_equal(ends, 2);
	assert_string_equal(one.line.text.data, "{\"a\":1}");
	assert_string_equal(two.line.text.data, "{\"b\":1}");
}

/* What comes after its time is thrown away, also when it had begun; the others go on. */
static void test_late_answer(void **state)
{
	start_two(30);
	say(RUNTIME_RESULT, "1 {\"ha");
	run_until_end(RUNTIME_TIMEOUT);
	assert_ptr_equal(ended, &one);
	say(RUNTIME_RESULT, "lf\":2}\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ends, 1);
	say(RUNTIME_RESULT, "1 again\n");
	run_until_end(RUNTIME_NOISE);
	assert_ptr_equal(ended, &two);
}

/* One that comes whole after its time is thrown away once; a second one was never owed. */
static void test_late_whole_answer(void **state)
{
	start_two(30);
	run_until_end(RUNTIME_TIMEOUT);
	say(RUNTIME_RESULT, "1 {}\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ends, 1);
	say(RUNTIME_RESULT, "2 {}\n");
	answered(&two, "{}");
	say(RUNTIME_RESULT, "1 {}\n");
	run_until_end(RUNTIME_NOISE);
	assert_null(ended);
}

/* A number that was never given, or none: nothing can be trusted after it. */
static void test_overlap_noise(void **state)
{
	static const char *const texts[] = { "7 {}\n", "{}\n", " {}\n", "1x", "0 {}\n", "99999999999999999999 {}\n" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		start_two(5000);
		ends = 0;
		say(RUNTIME_RESULT, texts[i]);
		event_base_dispatch(base);
		assert_int_equal(ends, 2);
		assert_int_equal(last, RUNTIME_NOISE);
		teardown(state);
		setup(state);
	}
}

static void test_overlap_closed(void **state)
{
	start_two(5000);
	say(RUNTIME_RESULT, "2 {}\n");
	fd_close(&far[RUNTIME_RESULT]);
	answered(&two, "{}");
	run_until_end(RUNTIME_CLOSED);
	assert_ptr_equal(runtime_take(&runtime), &one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown), cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown), cmocka_unit_test_setup_teardown(test_noise_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early_answer, setup, teardown), cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_stdin, setup, teardown), cmocka_unit_test_setup_teardown(test_exited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlap_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_whole_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlap_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlap_closed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
