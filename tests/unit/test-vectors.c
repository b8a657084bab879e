// SPDX-License-Identifier: Apache-2.0
/*
 * The recorded conversation of proto/vectors against both ends: the server must understand client.bin, the client server.bin.
 * `test-vectors FOLDER --record` makes both files anew from conversation.json.
 */
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
#include <jansson.h>

#include "agent/api.h"
#include "agent/container.h"
#include "agent/jsontext.h"
#include "base/bytes.h"
#include "base/err.h"
#include "h2/client.h"
#include "h2/server.h"

#define FILE_MAX (1u << 20)

static const char *folder;
static json_t *conversation;
static struct event_base *base;
static size_t calls;
static size_t answers;

static char *path_of(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *text_of(size_t index, const char *member)
{
	return json_string_value(json_object_get(json_array_get(conversation, index), member));
}

/* The compact text of a JSON member, NULL for null; the caller frees it. */
static char *body_of(size_t index, const char *member)
{
	const json_t *body = json_object_get(json_array_get(conversation, index), member);

	return json_is_null(body) ? NULL : json_dumps(body, JSON_COMPACT);
}

static void check_body(size_t index, const char *text, size_t len, const char *member)
{
	char *wanted = body_of(index, member);

	assert_int_equal(len, wanted ? strlen(wanted) : 0);
	if (wanted)
		assert_memory_equal(text, wanted, len);
	free(wanted);
}

static void on_call(struct h2_call *call, void *userdata)
{
	size_t len, index = calls++;
	char *body = h2_call_body(call, &len), *answer;

	assert_string_equal(h2_call_method(call), text_of(index, "method"));
	assert_string_equal(h2_call_path(call), text_of(index, "path"));
	check_body(index, body, len, "body");
	if (index == 0)
		assert_string_equal(h2_call_header(call, "squeezy-protocol"), "1");
	answer = body_of(index, "answer");
	h2_call_answer(call, (unsigned int)json_integer_value(json_object_get(json_array_get(conversation, index), "status")), answer,
		       strlen(answer));
}

static void on_server_closed(int error, void *userdata)
{
}

static const struct h2_server_ops ops = { on_call, on_server_closed, FILE_MAX, FILE_MAX };

static void ask(struct h2_client *client, size_t index);

static void on_answer(const struct h2_response *response, void *userdata)
{
	size_t index = answers++;

	assert_int_equal(response->error, 0);
	assert_int_equal(response->status, json_integer_value(json_object_get(json_array_get(conversation, index), "status")));
	check_body(index, response->body, response->body_len, "answer");
	/* When recording: one after the other. */
	if (userdata && answers < json_array_size(conversation))
		ask(userdata, answers);
}

static void send_request(struct h2_client *client, size_t index, void *userdata)
{
	const struct h2_header hello = { "squeezy-protocol", "1" };
	char *body = body_of(index, "body");
	const struct h2_request request = { .method = text_of(index, "method"), .path = text_of(index, "path"), .headers = &hello,
					    .n_headers = index == 0, .body = body, .body_len = body ? strlen(body) : 0 };

	assert_int_equal(h2_client_send(client, &request, on_answer, userdata, NULL, NULL), 0);
	free(body);
}

static void ask(struct h2_client *client, size_t index)
{
	send_request(client, index, client);
}

static void ask_all(struct h2_client *client)
{
	for (size_t i = 0; i < json_array_size(conversation); i++)
		send_request(client, i, NULL);
}

static void turn(void)
{
	for (int i = 0; i < 50; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void load(const char *name, struct bytes *ret)
{
	FILE *file = fopen(path_of(name), "rb");
	char data[4096];
	size_t n;

	assert_non_null(file);
	while ((n = fread(data, 1, sizeof(data), file)) > 0)
		assert_int_equal(bytes_add(ret, data, n, FILE_MAX), 0);
	fclose(file);
}

/* Feeds recorded bytes to an end in pieces of 1 to 61. */
static void feed(int fd, const struct bytes *bytes)
{
	size_t done = 0;

	for (size_t piece = 1; done < bytes->len; piece = piece * 7 % 62 + 1) {
		size_t n = bytes->len - done < piece ? bytes->len - done : piece;

		assert_int_equal(write(fd, bytes->data + done, n), n);
		done += n;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	turn();
}

static void make_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	calls = answers = 0;
}

static void test_server(void **state)
{
	struct bytes bytes = { 0 };
	struct h2_server *server;
	int fds[2];

	make_pair(fds);
	assert_int_equal(h2_server_new(base, fds[0], &ops, NULL, &server, NULL), 0);
	load("client.bin", &bytes);
	feed(fds[1], &bytes);
	assert_int_equal(calls, json_array_size(conversation));
	h2_server_free(server);
	close(fds[1]);
	bytes_clear(&bytes);
}

static void test_client(void **state)
{
	struct bytes bytes = { 0 };
	struct h2_client *client;
	int fds[2];

	make_pair(fds);
	assert_int_equal(h2_client_new(base, fds[0], NULL, NULL, &client, NULL), 0);
	ask_all(client);
	turn();
	load("server.bin", &bytes);
	feed(fds[1], &bytes);
	assert_int_equal(answers, json_array_size(conversation));
	h2_client_free(client);
	close(fds[1]);
	bytes_clear(&bytes);
}

/* The bodies mean to the agent what the specification says. */
static void test_bodies(void **state)
{
	for (size_t i = 0; i < json_array_size(conversation); i++) {
		const char *path = text_of(i, "path");
		struct container_request request;
		char *body = body_of(i, "body");

		if (!strcmp(path, "/v1/containers") && body)
			assert_int_equal(api_parse_create(body, strlen(body), &request, NULL), 0);
		else if (body)
			assert_non_null(json_text_member(body, strlen(body), "value").text);
		free(body);
	}
}

/* Moves what an end has written to the other end and into a file. */
static bool carry(int from, int to, FILE *file)
{
	char data[4096];
	ssize_t n = read(from, data, sizeof(data));

	if (n <= 0)
		return false;
	return fwrite(data, 1, (size_t)n, file) == (size_t)n && write(to, data, (size_t)n) == n;
}

static int record(void)
{
	FILE *client_file = fopen(path_of("client.bin"), "wb"), *server_file = fopen(path_of("server.bin"), "wb");
	struct h2_client *client;
	struct h2_server *server;
	int left[2], right[2];

	make_pair(left);
	make_pair(right);
	if (!client_file || !server_file || h2_client_new(base, left[0], NULL, NULL, &client, NULL) < 0 ||
	    h2_server_new(base, right[0], &ops, NULL, &server, NULL) < 0)
		return 1;
	ask(client, 0);
	for (int i = 0; i < 1000; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		carry(left[1], right[1], client_file);
		carry(right[1], left[1], server_file);
	}
	fclose(client_file);
	fclose(server_file);
	h2_client_free(client);
	h2_server_free(server);
	return answers == json_array_size(conversation) ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_server), cmocka_unit_test(test_client), cmocka_unit_test(test_bodies) };
	int r;

	folder = argc > 1 ? argv[1] : VECTORS;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	conversation = json_load_file(path_of("conversation.json"), 0, NULL);
	if (!base || !json_is_array(conversation)) {
		fprintf(stderr, "test-vectors: cannot read %s\n", path_of("conversation.json"));
		return 1;
	}
	r = argc > 2 && !strcmp(argv[2], "--record") ? record() : cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(conversation);
	event_base_free(base);
	return r;
}
