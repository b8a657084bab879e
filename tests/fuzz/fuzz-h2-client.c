// SPDX-License-Identifier: Apache-2.0
/* Bytes of a hostile agent: each request completes exactly once, with an answer or an error. */
#include "fuzz.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2/client.h"

#define REQUESTS 3
#define TURNS 8

static void on_response(const struct h2_response *response, void *userdata)
{
	must(response->error <= 0);
	must(response->error || (response->status >= 100 && response->status <= 599));
	(*(int *)userdata)++;
}

static void on_closed(int error, void *userdata)
{
	*(bool *)userdata = true;
}

static void converse(struct event_base *base, int fd, const uint8_t *data, size_t size, const bool *closed)
{
	char buf[4096];

	for (int turn = 0; turn < TURNS && !*closed; turn++) {
		size_t piece = turn == TURNS - 1 ? size : size / 2;

		event_base_loop(base, EVLOOP_NONBLOCK);
		while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		if (piece && send(fd, data, piece, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)piece) {
			data += piece;
			size -= piece;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	const struct h2_request request = { .method = "GET", .path = "/v1/hello", .body_max = 1024 };
	int fds[2], completed[REQUESTS] = { 0 };
	bool sent[REQUESTS] = { false }, closed = false;
	struct h2_client *client;

	if (!base)
		base = event_base_new();
	must(base && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	must(!h2_client_new(base, fds[0], on_closed, &closed, &client, NULL));
	for (int i = 0; i < REQUESTS; i++)
		sent[i] = !h2_client_send(client, &request, on_response, &completed[i], NULL, NULL);
	converse(base, fds[1], data, size, &closed);
	h2_client_free(client);
	close(fds[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (int i = 0; i < REQUESTS; i++)
		must(completed[i] == sent[i]);
	return 0;
}
