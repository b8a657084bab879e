// SPDX-License-Identifier: Apache-2.0
/*
 * Speaks to an agent by hand: connects to the unix socket of its virtio-serial port (or to a vsock), says hello, and then sends one
 * request for each line of standard input:
 *
 *     TAG METHOD PATH DEADLINE_MS [BODY]
 *
 * Requests go out at once, many in flight; each answer is one line `TAG STATUS BODY` (`TAG error SENTENCE` if there is none). A line
 * `cancel TAG` gives a request up. With --raw it says no hello by itself; --protocol N is the version it says. Ends when standard input has ended and all answers are there. Exit status 0, or 1 if the connection was lost.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "h2/client.h"

#define LINE_ROOM	(80u << 20)
#define ANSWER_MAX	(64u << 20)

struct call {
	struct call *next;
	char *tag;
	uint64_t id;
};

static struct event_base *base;
static struct h2_client *client;
static struct event *input;
static struct call *calls;
static char *pending;
static size_t pending_len;
static bool input_ended;
static int exit_status;
static const char *protocol = "1";

static void stop_if_done(void)
{
	if (input_ended && !calls)
		event_base_loopbreak(base);
}

static void on_answer(const struct h2_response *response, void *userdata)
{
	struct call *call = userdata, **at;

	if (response->error)
		printf("%s error %s\n", call->tag, response->text);
	else
		printf("%s %u %s\n", call->tag, response->status, response->body);
	fflush(stdout);
	for (at = &calls; *at; at = &(*at)->next) {
		if (*at != call)
			continue;
		*at = call->next;
		break;
	}
	free(call->tag);
	free(call);
	stop_if_done();
}

static void send_request(const char *tag, const char *method, const char *path, uint64_t deadline_ms, const char *body)
{
	const struct h2_header hello = { "squeezy-protocol", protocol };
	struct h2_request request = {
		.method = method, .path = path, .headers = &hello, .n_headers = !strcmp(path, "/v1/hello"), .body = body,
		.body_len = body ? strlen(body) : 0, .deadline_ms = deadline_ms, .body_max = ANSWER_MAX,
	};
	struct call *call = calloc(1, sizeof(*call));
	struct err err;

	call->tag = strdup(tag);
	if (h2_client_send(client, &request, on_answer, call, &call->id, &err) < 0) {
		printf("%s error %s\n", tag, err.text);
		free(call->tag);
		free(call);
		return;
	}
	call->next = calls;
	calls = call;
}

static void cancel(const char *tag)
{
	for (struct call *call = calls; call; call = call->next) {
		if (!strcmp(call->tag, tag))
			h2_client_cancel(client, call->id);
	}
}

static void handle_line(char *line)
{
	char *word[4];

	for (int i = 0; i < 4; i++) {
		word[i] = strsep(&line, " ");
		if (!word[i])
			break;
		if (i == 1 && !strcmp(word[0], "cancel")) {
			cancel(word[1]);
			return;
		}
	}
	if (word[0] && word[1] && word[2] && word[3])
		send_request(word[0], word[1], word[2], strtoull(word[3], NULL, 10), line);
	else
		fprintf(stderr, "agentctl: a line must be: TAG METHOD PATH DEADLINE_MS [BODY]\n");
}

static void on_input(evutil_socket_t fd, short what, void *userdata)
{
	ssize_t n = read(fd, pending + pending_len, LINE_ROOM - pending_len);
	char *end, *start = pending;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		input_ended = true;
		event_del(input);
		stop_if_done();
		return;
	}
	pending_len += (size_t)n;
	while ((end = memchr(start, '\n', pending_len - (size_t)(start - pending)))) {
		*end = '\0';
		handle_line(start);
		start = end + 1;
	}
	pending_len -= (size_t)(start - pending);
	memmove(pending, start, pending_len);
}

static void on_closed(int error, void *userdata)
{
	fprintf(stderr, "agentctl: the agent has closed the connection%s%s\n", error ? ": " : "", error ? strerror(-error) : "");
	exit_status = 1;
	event_base_loopbreak(base);
}

/* QEMU makes the socket when it starts. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (int tries = 0; tries < 100; tries++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			return fd;
		}
		close(fd);
		usleep(100000);
	}
	return -1;
}

int main(int argc, char **argv)
{
	bool raw = false;
	struct err err;
	int fd, i;

	for (i = 1; i < argc - 1; i++) {
		if (!strcmp(argv[i], "--raw"))
			raw = true;
		else if (!strcmp(argv[i], "--protocol") && i + 1 < argc - 1)
			protocol = argv[++i];
		else
			break;
	}
	if (i != argc - 1) {
		fprintf(stderr, "usage: agentctl [--raw] [--protocol N] SOCKET\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	fd = connect_to(argv[i]);
	base = event_base_new();
	pending = malloc(LINE_ROOM);
	if (fd < 0 || !base || !pending || h2_client_new(base, fd, on_closed, NULL, &client, &err) < 0) {
		fprintf(stderr, "agentctl: cannot connect to %s: %s\n", argv[i], strerror(errno));
		return 1;
	}
	if (!raw)
		send_request("hello", "GET", "/v1/hello", 60000, NULL);
	input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, NULL);
	event_add(input, NULL);
	event_base_dispatch(base);
	h2_client_free(client);
	return exit_status;
}
