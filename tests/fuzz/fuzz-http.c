// SPDX-License-Identifier: Apache-2.0
/* Bytes of a client, as a connection of the REST front gets them: no key is ever guessed, and every connection ends. */
#include "fuzz.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/http.h"

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
	{ HTTP_GET, "/a/{}/", HTTP_OPEN, on_open },
	{ HTTP_ANY, "/a/{}/{*}", HTTP_OPEN, on_open },
	{ HTTP_GET | HTTP_POST, "/", HTTP_OPEN, on_open },
	{ HTTP_ANY, "/key/{}", HTTP_KEY, on_closed },
	{ HTTP_ANY, "/admin", HTTP_ADMIN, on_closed },
	{ 0 },
};

static void start(void)
{
	const struct http_config config = { .address = "127.0.0.1", .port = 0, .routes = routes };
	struct err err;

	log_init("fuzz-http", LOG_LEVEL_ERROR);
	base = event_base_new();
	must(base && http_new(base, &config, &server, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger at_once = { .l_onoff = 1 };
	char answer[4096];
	int fd;

	if (!server)
		start();
	if (size > 60000)
		return 0;
	name.sin_port = htons(http_port(server));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));	/* no port is left in TIME_WAIT */
	must(!size || send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(fd, SHUT_WR);
	/* Whatever was sent, an end of the client's side is an end, after the answer to what was whole. */
	for (int turns = 0; turns < 1000; turns++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		if (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) == 0)
			break;
		must(turns < 999);
	}
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
