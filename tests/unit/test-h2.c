// SPDX-License-Identifier: Apache-2.0
/* Both ends of src/h2 over a socket pair, through a relay that passes bytes in pieces of odd sizes. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "h2/client.h"
#include "h2/server.h"

#define BIG (3u << 20)

/* One direction of the relay. */
struct pipe_way {
	struct event *event;
	int to;
	unsigned int step;
};

struct world {
	struct event_base *base;
	struct h2_client *client;
	struct h2_server *server;
	struct pipe_way ways[2];
	int relay[2];
	struct event *limit;
	struct h2_call *held[512];	/* for /hold */
	size_t n_held;
	size_t calls;
	bool client_closed;
	bool server_closed;
	int close_error;
	size_t wanted;		/* answers until the loop stops */
	size_t answers;
	struct { int error; unsigned int status; char *body; size_t len; } last;
};

static void on_relay(evutil_socket_t fd, short what, void *userdata)
{
	static const size_t sizes[] = { 1, 7, 4096, 13, 65536, 2, 977 };
	struct pipe_way *way = userdata;
	char data[65536];
	ssize_t n = read(fd, data, sizes[way->step++ % (sizeof(sizes) / sizeof(sizes[0]))]);

	if (n <= 0) {
		shutdown(way->to, SHUT_WR);
		event_del(way->event);
		return;
	}
	/* The receiving ends never stop reading for long. */
	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(way->to, data + done, (size_t)(n - done));

		if (w < 0)
			return;
		done += w;
	}
}

static void on_limit(evutil_socket_t fd, short what, void *userdata)
{
	fail_msg("the test hangs");
}

static void server_call(struct h2_call *call, void *userdata)
{
	struct world *world = userdata;
	const char *path = h2_call_path(call);
	size_t len;
	char *body = h2_call_body(call, &len), *copy;

	world->calls++;
	if (!strcmp(path, "/hold")) {
		world->held[world->n_held++] = call;
		return;
	}
	if (!strcmp(path, "/null")) {
		h2_call_answer(call, 200, NULL, 0);
		return;
	}
	if (!strcmp(path, "/method")) {
		const char *extra = h2_call_header(call, "x-test");

		assert_null(h2_call_header(call, "x-other"));
		assert_true(asprintf(&copy, "%s %s", h2_call_method(call), extra ? extra : "-") > 0);
		h2_call_answer(call, 418, copy, strlen(copy));
		return;
	}
	copy = malloc(len + 1);
	memcpy(copy, body, len + 1);
	h2_call_answer(call, 200, copy, len);
}

static void server_closed(int error, void *userdata)
{
	struct world *world = userdata;

	world->server_closed = true;
	h2_server_free(world->server);
	world->server = NULL;
}

static const struct h2_server_ops ops = { server_call, server_closed, 8u << 20, 16u << 20 };

static void client_closed(int error, void *userdata)
{
	struct world *world = userdata;

	world->client_closed = true;
	world->close_error = error;
	event_base_loopbreak(world->base);
}

static void on_answer(const struct h2_response *response, void *userdata)
{
	struct world *world = userdata;

	free(world->last.body);
	world->last.error = response->error;
	world->last.status = response->status;
	world->last.len = response->body_len;
	world->last.body = NULL;
	if (!response->error) {
		world->last.body = malloc(response->body_len + 1);
		memcpy(world->last.body, response->body, response->body_len + 1);
	}
	if (++world->answers == world->wanted)
		event_base_loopbreak(world->base);
}

static void make_pair(int fds[2])
{
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

static int setup(void **state)
{
	const struct timeval limit = { .tv_sec = 120 };
	struct world *world = calloc(1, sizeof(*world));
	int left[2], right[2];
	struct err err;

	make_pair(left);
	make_pair(right);
	world->base = event_base_new();
	fcntl(left[0], F_SETFL, O_NONBLOCK);
	fcntl(right[0], F_SETFL, O_NONBLOCK);
	world->relay[0] = left[1];
	world->relay[1] = right[1];
	for (int i = 0; i < 2; i++) {
		world->ways[i].to = world->relay[!i];
		world->ways[i].event = event_new(world->base, world->relay[i], EV_READ | EV_PERSIST, on_relay, &world->ways[i]);
		event_add(world->ways[i].event, NULL);
	}
	world->limit = event_new(world->base, -1, 0, on_limit, NULL);
	event_add(world->limit, &limit);
	assert_int_equal(h2_client_new(world->base, left[0], client_closed, world, &world->client, &err), 0);
	assert_int_equal(h2_server_new(world->base, right[0], &ops, world, &world->server, &err), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	h2_client_free(world->client);
	h2_server_free(world->server);
	for (int i = 0; i < 2; i++) {
		event_free(world->ways[i].event);
		close(world->relay[i]);
	}
	event_free(world->limit);
	event_base_free(world->base);
	free(world->last.body);
	free(world);
	return 0;
}

static uint64_t ask(struct world *world, const char *path, const char *body, size_t len, uint64_t deadline_ms)
{
	const struct h2_request request = { .method = "POST", .path = path, .body = body, .body_len = len, .deadline_ms = deadline_ms,
					    .body_max = 4u << 20 };
	struct err err;
	uint64_t id;

	assert_int_equal(h2_client_send(world->client, &request, on_answer, world, &id, &err), 0);
	return id;
}

static void wait_for(struct world *world, size_t answers)
{
	world->wanted = world->answers + answers;
	event_base_dispatch(world->base);
}

static void test_echo(void **state)
{
	struct world *world = *state;
	char *big = malloc(BIG);

	ask(world, "/echo", "hello", 5, 0);
	wait_for(world, 1);
	assert_int_equal(world->last.error, 0);
	assert_int_equal(world->last.status, 200);
	assert_string_equal(world->last.body, "hello");
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 31 >> 3);
	ask(world, "/echo", big, BIG, 0);
	wait_for(world, 1);
	assert_int_equal(world->last.len, BIG);
	assert_memory_equal(world->last.body, big, BIG);
	ask(world, "/echo", "", 0, 0);
	wait_for(world, 1);
	assert_int_equal(world->last.status, 200);
	assert_int_equal(world->last.len, 0);
	free(big);
}

static void test_headers(void **state)
{
	const struct h2_header header = { "x-test", "value" };
	const struct h2_request request = { .method = "DELETE", .path = "/method", .headers = &header, .n_headers = 1 };
	struct world *world = *state;

	assert_int_equal(h2_client_send(world->client, &request, on_answer, world, NULL, NULL), 0);
	wait_for(world, 1);
	assert_int_equal(world->last.status, 418);
	assert_string_equal(world->last.body, "DELETE value");
	ask(world, "/null", NULL, 0, 0);
	wait_for(world, 1);
	assert_int_equal(world->last.status, 500);
}

static void test_many(void **state)
{
	struct world *world = *state;

	/* More than the server's streams: the rest waits its turn. */
	for (int i = 0; i < 600; i++)
		ask(world, "/echo", "x", 1, 0);
	wait_for(world, 600);
	assert_int_equal(world->answers, 600);
	assert_int_equal(world->calls, 600);
}

static void test_in_flight_bound(void **state)
{
	const struct h2_request request = { .method = "GET", .path = "/echo" };
	struct world *world = *state;
	struct err err;

	for (int i = 0; i < H2_IN_FLIGHT_MAX; i++)
		ask(world, "/echo", "x", 1, 0);
	assert_int_equal(h2_client_send(world->client, &request, on_answer, world, NULL, &err), -EAGAIN);
	wait_for(world, H2_IN_FLIGHT_MAX);
}

static void test_deadline_and_cancel(void **state)
{
	struct world *world = *state;
	uint64_t id;

	ask(world, "/hold", NULL, 0, 200);
	wait_for(world, 1);
	assert_int_equal(world->last.error, -ETIMEDOUT);
	id = ask(world, "/hold", NULL, 0, 0);
	ask(world, "/echo", "a", 1, 0);
	wait_for(world, 1);
	h2_client_cancel(world->client, id);
	h2_client_cancel(world->client, id);
	wait_for(world, 1);
	assert_int_equal(world->last.error, -ECANCELED);
	/* The server learns of it, and late answers go nowhere. */
	ask(world, "/echo", "b", 1, 0);
	wait_for(world, 1);
	assert_int_equal(world->n_held, 2);
	for (size_t i = 0; i < world->n_held; i++) {
		assert_true(h2_call_gone(world->held[i]));
		h2_call_answer(world->held[i], 200, strdup("late"), 4);
	}
	ask(world, "/echo", "c", 1, 0);
	wait_for(world, 1);
	assert_string_equal(world->last.body, "c");
}

static void test_body_bound(void **state)
{
	const struct h2_request request = { .method = "POST", .path = "/echo", .body = "0123456789", .body_len = 10, .body_max = 9 };
	struct world *world = *state;
	char *big = calloc(1, 9u << 20);

	assert_int_equal(h2_client_send(world->client, &request, on_answer, world, NULL, NULL), 0);
	wait_for(world, 1);
	assert_int_equal(world->last.error, -EMSGSIZE);
	/* The server's bound resets the stream, not the connection. */
	ask(world, "/echo", big, 9u << 20, 0);
	wait_for(world, 1);
	assert_int_equal(world->last.error, -EPROTO);
	ask(world, "/echo", "after", 5, 0);
	wait_for(world, 1);
	assert_string_equal(world->last.body, "after");
	free(big);
}

static void test_lost_connection(void **state)
{
	struct world *world = *state;
	struct err err;
	const struct h2_request request = { .method = "GET", .path = "/echo" };

	for (int i = 0; i < 5; i++)
		ask(world, "/hold", NULL, 0, 0);
	ask(world, "/echo", "x", 1, 0);
	wait_for(world, 1);
	shutdown(world->relay[0], SHUT_RDWR);
	world->wanted = 0;
	event_base_dispatch(world->base);
	assert_true(world->client_closed);
	assert_int_equal(world->answers, 6);
	assert_int_equal(world->last.error, -ECONNRESET);
	assert_int_equal(h2_client_send(world->client, &request, on_answer, world, NULL, &err), -ECONNRESET);
	while (!world->server_closed)
		event_base_loop(world->base, EVLOOP_ONCE);
	for (size_t i = 0; i < world->n_held; i++)
		h2_call_answer(world->held[i], 200, strdup("{}"), 2);
}

static void free_client(const struct h2_response *response, void *userdata)
{
	struct world *world = userdata;

	world->answers++;
	h2_client_free(world->client);
	world->client = NULL;
	event_base_loopbreak(world->base);
}

static void test_free_in_callback(void **state)
{
	const struct h2_request request = { .method = "GET", .path = "/echo" };
	struct world *world = *state;

	ask(world, "/hold", NULL, 0, 0);
	assert_int_equal(h2_client_send(world->client, &request, free_client, world, NULL, NULL), 0);
	event_base_dispatch(world->base);
	assert_null(world->client);
	assert_int_equal(world->answers, 2);
	assert_int_equal(world->last.error, -ECANCELED);
	while (!world->server_closed)
		event_base_loop(world->base, EVLOOP_ONCE);
	for (size_t i = 0; i < world->n_held; i++)
		h2_call_answer(world->held[i], 200, strdup("{}"), 2);
}

static void test_garbage(void **state)
{
	struct world *world = *state;

	ask(world, "/hold", NULL, 0, 0);
	assert_true(write(world->relay[0], "this is not HTTP/2 at all, not even nearly", 42) == 42);
	world->wanted = 0;
	event_base_dispatch(world->base);
	assert_true(world->client_closed);
	assert_int_equal(world->last.error, -ECONNRESET);
	h2_client_free(world->client);
	world->client = NULL;
	while (!world->server_closed)
		event_base_loop(world->base, EVLOOP_ONCE);
	for (size_t i = 0; i < world->n_held; i++)
		h2_call_answer(world->held[i], 200, strdup("{}"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_flight_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline_and_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_in_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
