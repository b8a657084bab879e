// SPDX-License-Identifier: Apache-2.0
/* Clients that keep the daemon busy: one request at a time on each of their connections. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "cli/bench-invoke.h"

#define WHOLE_S		300	/* bound of one run */
#define PATH_SIZE	512
#define BODY_SIZE	2048

struct run {
	struct event_base *base;
	const struct bench_daemon *daemon;
	const struct bench_ask *ask;
	struct bench_load *load;
	unsigned int sent;
};

struct connection {
	struct run *run;
	struct bufferevent *socket;
	size_t left;			/* of the body being read */
	bool in_body, good;		/* good: its status is 2xx */
};

static struct sockaddr_in address_of(const struct bench_daemon *daemon)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(daemon->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void number(const struct bench_ask *ask, const char *text, unsigned int n, char *ret, size_t size)
{
	if (ask->numbered)
		snprintf(ret, size, text, n);
	else
		snprintf(ret, size, "%s", text);
}
#pragma GCC diagnostic pop

static void format_request(const struct bench_daemon *daemon, const struct bench_ask *ask, unsigned int n, char *ret, size_t size)
{
	char path[PATH_SIZE], body[BODY_SIZE] = "";

	number(ask, ask->path, n, path, sizeof(path));
	if (ask->body)
		number(ask, ask->body, n, body, sizeof(body));
	snprintf(ret, size, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 ask->method, path, daemon->authorization, strlen(body), body);
}

static void send_next(struct connection *connection)
{
	struct run *run = connection->run;
	char text[PATH_SIZE + BODY_SIZE + 512];

	if (run->sent == run->load->requests)
		return;
	format_request(run->daemon, run->ask, run->sent++, text, sizeof(text));
	bufferevent_write(connection->socket, text, strlen(text));
}

static void count(struct connection *connection, bool good)
{
	struct bench_load *load = connection->run->load;

	if (good)
		load->answered++;
	else
		load->refused++;
	if (load->answered + load->refused == load->requests)
		event_base_loopbreak(connection->run->base);
	else
		send_next(connection);
}

/* Status line and headers, whole. False: not yet. */
static bool read_head(struct connection *connection, struct evbuffer *input)
{
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	char head[2048], *length;
	size_t n = end.pos < 0 ? 0 : (size_t)end.pos + 4;

	if (end.pos < 0 || n >= sizeof(head))
		return false;
	evbuffer_remove(input, head, n);
	head[n] = '\0';
	length = strcasestr(head, "\r\nContent-Length:");
	connection->left = length ? strtoul(length + 17, NULL, 10) : 0;
	connection->run->load->bytes += connection->left;
	connection->in_body = true;
	connection->good = !strncmp(head, "HTTP/1.1 2", 10);
	return true;
}

static void on_read(struct bufferevent *socket, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(socket);
	struct connection *connection = arg;

	while (connection->in_body || read_head(connection, input)) {
		size_t have = evbuffer_get_length(input), n = have < connection->left ? have : connection->left;

		evbuffer_drain(input, n);
		connection->left -= n;
		if (connection->left)
			return;
		connection->in_body = false;
		count(connection, connection->good);
	}
}

/* The daemon has closed it: the run cannot come to its count. */
static void on_event(struct bufferevent *socket, short what, void *arg)
{
	struct connection *connection = arg;

	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		event_base_loopbreak(connection->run->base);
}

static void on_bound(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static int open_all(struct run *run, struct connection *connections, struct err *err)
{
	struct sockaddr_in name = address_of(run->daemon);

	for (unsigned int i = 0; i < run->load->clients; i++) {
		struct connection *connection = &connections[i];

		connection->run = run;
		connection->socket = bufferevent_socket_new(run->base, -1, BEV_OPT_CLOSE_ON_FREE);
		if (!connection->socket || bufferevent_socket_connect(connection->socket, (struct sockaddr *)&name, sizeof(name)) < 0)
			return err_set(err, EIO, "client %u cannot connect", i);
		bufferevent_setcb(connection->socket, on_read, NULL, on_event, connection);
		bufferevent_enable(connection->socket, EV_READ | EV_WRITE);
		send_next(connection);
	}
	return 0;
}

int bench_load_run(struct event_base *base, const struct bench_daemon *daemon, const struct bench_ask *ask, struct bench_load *load,
		   struct err *err)
{
	struct run run = { .base = base, .daemon = daemon, .ask = ask, .load = load };
	struct connection *connections = calloc(load->clients, sizeof(*connections));
	struct event *bound = evtimer_new(base, on_bound, base);
	const struct timeval whole = { .tv_sec = WHOLE_S };
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	int r;

	load->answered = load->refused = 0;
	load->bytes = 0;
	if (!connections || !bound || evtimer_add(bound, &whole) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	else
		r = open_all(&run, connections, err);
	if (r == 0) {
		event_base_dispatch(base);
		load->took_ns = clock_ns(CLOCK_MONOTONIC) - start;
		if (load->answered + load->refused < load->requests)
			r = err_set(err, ETIMEDOUT, "%u of %u requests were answered; the daemon ended, closed a connection, or took over %d s",
				    load->answered + load->refused, load->requests, WHOLE_S);
	}
	for (unsigned int i = 0; connections && i < load->clients; i++)
		if (connections[i].socket)
			bufferevent_free(connections[i].socket);
	free(connections);
	if (bound)
		event_free(bound);
	return r;
}

/* Asks once and waits for the first bytes of the answer. */
static int open_idle(const struct bench_daemon *daemon, struct err *err)
{
	static const char request[] = "GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
	struct sockaddr_in name = address_of(daemon);
	const struct timeval bound = { .tv_sec = 10 };
	char answer[512];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || write(fd, request, sizeof(request) - 1) < 0 ||
	    read(fd, answer, sizeof(answer)) <= 0) {
		int code = errno ? errno : EIO;

		close(fd);
		return err_set(err, code, "an idle connection cannot be opened: %s", strerror(code));
	}
	return fd;
}

int bench_idle_open(const struct bench_daemon *daemon, unsigned int count_wanted, int **ret_fds, struct err *err)
{
	int *fds = calloc(count_wanted, sizeof(*fds));

	if (!fds)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < count_wanted; i++) {
		fds[i] = open_idle(daemon, err);
		if (fds[i] >= 0)
			continue;
		while (i--)
			close(fds[i]);
		free(fds);
		return err ? -err->code : -EIO;
	}
	*ret_fds = fds;
	return 0;
}
