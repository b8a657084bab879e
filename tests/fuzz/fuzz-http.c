// SPDX-License-Identifier: Apache-2.0
/* Bytes of a client, as a connection of the REST front gets them: no key is ever guessed, and every connection ends. */
#include "fuzz.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/http.h"

#define TURNS 1000

static struct event_base *base;
static struct http_server *server;
static unsigned int handled;

static void on_open(void *arg, struct http_request *request)
{
	size_t len;
	json_t *body;
	bool flag;

	handled++;
	must(!http_identity(request));
	(void)http_body(request, &len);
	json_decref(http_headers(request));
	json_decref(http_query_object(request));
	if (http_query_bool(request, "flag", &flag) == 0 && http_body_object(request, 4096, &body) == 0)
		http_reply(request, 200, body ? body : json_object());
}

static void on_closed(void *arg, struct http_request *request)
{
	abort();	/* needs a key */
}

static const struct http_route routes[] = {
	{ HTTP_GET, "/a/{name}/", HTTP_OPEN, on_open },
	{ HTTP_ANY, "/a/{name}/{*}", HTTP_OPEN, on_open },
	{ HTTP_GET | HTTP_POST, "/", HTTP_OPEN, on_open },
	{ HTTP_ANY, "/key/{name}", HTTP_KEY, on_closed },
	{ HTTP_ANY, "/admin", HTTP_ADMIN, on_closed },
	{ 0 },
};

static struct sockaddr_un name = { .sun_family = AF_UNIX };

static void remove_folder(void)
{
	unlink(name.sun_path);
	*strrchr(name.sun_path, '/') = '\0';
	rmdir(name.sun_path);
}

/* On a unix socket what was sent is there at once: TCP's loopback delivers when the kernel finds the time. */
static void start(void)
{
	const char *above = getenv("TMPDIR");
	char folder[80];
	struct http_config config = { .address = "127.0.0.1", .port = 0, .routes = routes, .socket = name.sun_path };
	struct err err;

	log_init("fuzz-http", LOG_LEVEL_ERROR);
	must(snprintf(folder, sizeof(folder), "%s/fuzz-http-XXXXXX", above ? above : "/tmp") < (int)sizeof(folder) && mkdtemp(folder));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/socket", folder);
	atexit(remove_folder);
	base = event_base_new();
	must(base && http_new(base, &config, &server, &err) == 0);
}

/* True when the server has ended the connection: with an end, or with a reset when it did not read all. */
static bool ended(int fd)
{
	char answer[4096];
	ssize_t n;

	while ((n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd, turns = 0;

	if (!server)
		start();
	if (size > 60000)
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	must(!size || send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(fd, SHUT_WR);
	/* Whatever was sent, an end of the client's side is an end, after the answer to what was whole. */
	do {
		must(turns++ < TURNS);
		event_base_loop(base, EVLOOP_NONBLOCK);
	} while (!ended(fd));
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
