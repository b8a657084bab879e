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

static void on_end(struct runtime *unused, enum runtime_end end)
{
	ends++;
	last = end;
	event_base_loopbreak(base);
}

static int setup(void **state)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	memset(&runtime, 0, sizeof(runtime));
	ends = 0;
	runtime.ended = on_end;
	assert_int_equal(runtime_open(&runtime, base, far, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	runtime_close(&runtime);
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
	assert_int_equal(runtime_exchange(&runtime, input, input ? strlen(input) : 0, timeout_ms, 100, 1000), 0);
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
	assert_int_equal(runtime_exchange(&runtime, NULL, 0, 1000, 100, 1000), -EBUSY);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read(far[RUNTIME_STDIN], line, sizeof(line)), 9);
	assert_string_equal(line, "question\n");
	say(RUNTIME_STDOUT, "log\n");
	say(RUNTIME_RESULT, "{\"a\":1}\n");
	run_until_end(RUNTIME_LINE);
	assert_string_equal(runtime.line.text.data, "{\"a\":1}");
	assert_non_null(strstr(logs_finish(&runtime.logs, 1), "\"log\""));
	/* What is logged between exchanges belongs to none. */
	say(RUNTIME_STDERR, "stray\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	exchange(NULL, 5000);
	say(RUNTIME_RESULT, "{}\n");
	run_until_end(RUNTIME_LINE);
	assert_string_equal(logs_finish(&runtime.logs, 1), "[]");
}

static void test_timeout(void **state)
{
	exchange("x\n", 20);
	say(RUNTIME_RESULT, "half a line");
	say(RUNTIME_STDERR, "working");
	run_until_end(RUNTIME_TIMEOUT);
	assert_non_null(strstr(logs_finish(&runtime.logs, 1), "working"));
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
	assert_int_equal(runtime_exchange(&runtime, input, len, 5000, 100, 1000), 0);
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
	assert_non_null(strstr(logs_finish(&runtime.logs, 1), "last words"));
	assert_int_equal(runtime_exchange(&runtime, NULL, 0, 1000, 100, 1000), -EPIPE);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown), cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown), cmocka_unit_test_setup_teardown(test_noise_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early_answer, setup, teardown), cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_stdin, setup, teardown), cmocka_unit_test_setup_teardown(test_exited, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
