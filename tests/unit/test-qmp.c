// SPDX-License-Identifier: Apache-2.0
/* The QMP session against a scripted peer on a socket pair. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmp/message.h"
#include "qmp/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

struct session {
	struct event_base *base;
	struct qmp *qmp;
	int peer;
	int ready, closed, events, done;
	char text[600];
	struct qmp_reply reply;
};

static void on_ready(void *arg)
{
	((struct session *)arg)->ready++;
}

static void on_event(void *arg, enum qmp_event event, const char *id, uint64_t size_bytes)
{
	struct session *s = arg;

	s->events++;
	snprintf(s->text, sizeof(s->text), "%d %s %llu", (int)event, id, (unsigned long long)size_bytes);
}

static void on_closed(void *arg, const struct err *why)
{
	struct session *s = arg;

	s->closed++;
	snprintf(s->text, sizeof(s->text), "%s", why->text);
}

static void on_done(void *arg, const struct qmp_reply *reply)
{
	struct session *s = arg;

	s->done++;
	s->reply = *reply;
}

static const struct qmp_ops ops = { on_ready, on_event, on_closed };

static void turn(struct session *s)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(s->base, EVLOOP_NONBLOCK);
}

static void peer_says(struct session *s, const char *text)
{
	assert_int_equal(write(s->peer, text, strlen(text)), (ssize_t)strlen(text));
	turn(s);
}

/* Everything the session has sent since the last look. */
static const char *peer_hears(struct session *s)
{
	static char text[65536];
	ssize_t n = read(s->peer, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int open_session(void **state)
{
	struct session *s = calloc(1, sizeof(*s));
	int pair[2];

	s->base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	s->peer = pair[1];
	assert_int_equal(qmp_new(s->base, pair[0], &ops, s, 50, &s->qmp, NULL), 0);
	*state = s;
	return 0;
}

static int close_session(void **state)
{
	struct session *s = *state;

	qmp_free(s->qmp);
	close(s->peer);
	event_base_free(s->base);
	free(s);
	return 0;
}

static void agree(struct session *s)
{
	peer_says(s, GREETING);
	assert_non_null(strstr(peer_hears(s), "\"qmp_capabilities\""));
	peer_says(s, "{\"return\": {}, \"id\": 1}\r\n");
	assert_int_equal(s->ready, 1);
}

static void test_opening(void **state)
{
	struct session *s = *state;
	struct err err;

	assert_int_equal(qmp_memdev_size(s->qmp, "vm0", 1000, (struct qmp_done){ on_done, s }, &err), -ENOTCONN);
	agree(s);
	assert_int_equal(s->closed, 0);
}

static void test_size(void **state)
{
	struct session *s = *state;

	agree(s);
	assert_int_equal(qmp_memdev_size(s->qmp, "vm0", 1000, (struct qmp_done){ on_done, s }, NULL), 0);
	turn(s);
	assert_string_equal(peer_hears(s), "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine/peripheral/vm0\",\"property\":\"size\"},\"id\":2}\n");
	peer_says(s, "{\"return\": 268435456, \"id\": 2}\r\n");
	assert_int_equal(s->done, 1);
	assert_int_equal(s->reply.err.code, 0);
	assert_int_equal(s->reply.bytes, 268435456);
}

static void test_request(void **state)
{
	struct session *s = *state;

	agree(s);
	assert_int_equal(qmp_memdev_request(s->qmp, "vm0", 4096, 1000, (struct qmp_done){ on_done, s }, NULL), 0);
	turn(s);
	assert_non_null(strstr(peer_hears(s), "\"property\":\"requested-size\",\"value\":4096"));
	peer_says(s, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}\r\n");
	assert_int_equal(s->reply.err.code, EREMOTEIO);
	assert_non_null(strstr(s->reply.err.text, "no such thing"));
}

static void test_answers_out_of_order(void **state)
{
	struct session *s = *state;

	agree(s);
	assert_int_equal(qmp_check_running(s->qmp, 1000, (struct qmp_done){ 0 }, NULL), 0);
	assert_int_equal(qmp_memdev_size(s->qmp, "vm0", 1000, (struct qmp_done){ on_done, s }, NULL), 0);
	peer_says(s, "{\"return\": 7, \"id\": 3}\r\n{\"return\": 8, \"id\": 99}\r\n{\"return\": {\"running\": true}, \"id\": 2}\r\n");
	assert_int_equal(s->done, 1);
	assert_int_equal(s->reply.bytes, 7);
	assert_int_equal(s->closed, 0);
}

static void test_bad_values(void **state)
{
	static const char *const values[] = { "\"4\"", "-1", "null", "{}", "1.5" };
	struct session *s = *state;
	char line[100];

	agree(s);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(qmp_memdev_size(s->qmp, "vm0", 1000, (struct qmp_done){ on_done, s }, NULL), 0);
		snprintf(line, sizeof(line), "{\"return\": %s, \"id\": %d}\n", values[i], i + 2);
		peer_says(s, line);
		assert_int_equal(s->done, i + 1);
		assert_int_equal(s->reply.err.code, EPROTO);
	}
}

static void test_deadline(void **state)
{
	struct session *s = *state;

	agree(s);
	assert_int_equal(qmp_memdev_size(s->qmp, "vm0", 1, (struct qmp_done){ on_done, s }, NULL), 0);
	while (!s->done)
		event_base_loop(s->base, EVLOOP_ONCE);
	assert_int_equal(s->reply.err.code, ETIMEDOUT);
	peer_says(s, "{\"return\": 5, \"id\": 2}\r\n");	/* too late: ignored */
	assert_int_equal(s->done, 1);
	assert_int_equal(s->closed, 0);
}

static void test_greeting_deadline(void **state)
{
	struct session *s = *state;

	while (!s->closed)
		event_base_loop(s->base, EVLOOP_ONCE);
	assert_non_null(strstr(s->text, "in time"));
}

static void test_event(void **state)
{
	struct session *s = *state;

	agree(s);
	peer_says(s, "{\"event\": \"RTC_CHANGE\"}\r\n{\"event\": \"MEMORY_DEVICE_SIZE_CHANGE\", \"data\": {\"id\": \"vm0\", \"size\": 42}}\r\n");
	assert_int_equal(s->events, 1);
	assert_string_equal(s->text, "1 vm0 42");
}

static void test_peer_goes(void **state)
{
	struct session *s = *state;

	agree(s);
	assert_int_equal(qmp_quit(s->qmp, 1000, (struct qmp_done){ on_done, s }, NULL), 0);
	turn(s);
	shutdown(s->peer, SHUT_RDWR);
	turn(s);
	assert_int_equal(s->closed, 1);
	assert_int_equal(s->done, 1);
	assert_int_equal(s->reply.err.code, EPIPE);
	assert_int_equal(qmp_quit(s->qmp, 1000, (struct qmp_done){ on_done, s }, NULL), -ENOTCONN);
}

static void test_broken_peers(void **state)
{
	static const char *const lines[] = {
		"{]\n", "[]\n", "7\n", "{\"what\": 1}\n", "{\"return\": 1, \"id\": \"x\"}\n", "{\"return\": 1, \"id\": -5}\n",
		"{\"error\": \"flat\"}\n", "{\"event\": 5}\n", "{\"QMP\": 3}\n", GREETING GREETING,
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct session *s;
		void *one;

		open_session(&one);
		s = one;
		peer_says(s, lines[i]);
		if (s->closed != 1)
			fail_msg("not closed by: %s", lines[i]);
		close_session(&one);
	}
}

static void test_endless_line(void **state)
{
	struct session *s = *state;
	static char text[QMP_LINE_MAX + 10];

	agree(s);
	memset(text, ' ', sizeof(text) - 1);
	for (size_t sent = 0; sent < sizeof(text) - 1 && !s->closed;) {
		ssize_t n = write(s->peer, text + sent, sizeof(text) - 1 - sent);

		if (n > 0)
			sent += (size_t)n;
		turn(s);
	}
	assert_int_equal(s->closed, 1);
	assert_non_null(strstr(s->text, "longer than"));
}

static void test_too_many_commands(void **state)
{
	struct session *s = *state;
	int i;

	agree(s);
	for (i = 0; !qmp_check_running(s->qmp, 60000, (struct qmp_done){ on_done, s }, NULL); i++)
		assert_true(i < 1000);
	assert_int_equal(i, 256);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_session, close_session)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_opening), CASE(test_size), CASE(test_request), CASE(test_answers_out_of_order), CASE(test_bad_values),
		CASE(test_deadline), CASE(test_greeting_deadline), CASE(test_event), CASE(test_peer_goes), cmocka_unit_test(test_broken_peers),
		CASE(test_endless_line), CASE(test_too_many_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
