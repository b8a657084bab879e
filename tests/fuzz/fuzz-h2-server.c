// SPDX-License-Identifier: Apache-2.0
/* Bytes of a hostile client: each call that comes out of them is answered, and nothing is left when the stream ends. */
#include "fuzz.h"

#include <event2/event.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2/server.h"

#define TURNS 8

static void on_call(struct h2_call *call, void *userdata)
{
	size_t len;

	h2_call_body(call, &len);
	must(len <= 4096);
	must(h2_call_method(call) && h2_call_path(call));
	h2_call_answer(call, 200, strdup("{}"), 2);
}

static void on_closed(int error, void *userdata)
{
	*(bool *)userdata = true;
}

static const struct h2_server_ops ops = { .call = on_call, .closed = on_closed, .body_max = 4096, .body_total_max = 8192 };

static void drain(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	struct h2_server *server;
	bool closed = false;
	int fds[2];

	if (!base)
		base = event_base_new();
	must(base && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	must(!h2_server_new(base, fds[0], &ops, &closed, &server, NULL));
	for (int turn = 0; turn < TURNS && !closed; turn++) {
		size_t piece = turn == TURNS - 1 ? size : size / 2;

		if (piece && send(fds[1], data, piece, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)piece) {
			data += piece;
			size -= piece;
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
		drain(fds[1]);
	}
	close(fds[1]);
	for (int turn = 0; turn < TURNS && !closed; turn++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	h2_server_free(server);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
