/* SPDX-License-Identifier: Apache-2.0 */
/* What http.c (server, routes, answers) and http-request.c (looking at a request) share. */
#ifndef SQUEEZY_DAEMON_HTTP_INTERNAL_H
#define SQUEEZY_DAEMON_HTTP_INTERNAL_H

#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "daemon/http.h"

#define SEGMENTS_MAX	4
#define TRANSACTION_MAX	128

struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;

struct http_server {
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	struct http_config config;
	uint16_t port;
	bool has_path;		/* config.socket is ours to remove */
};

struct http_request {
	struct http_server *server;
	struct evhttp_request *ev;	/* NULL once the client is gone */
	struct evkeyvalq query;
	const struct identity *identity;
	bool no_cors;
	char *segments[SEGMENTS_MAX];
	unsigned int n_segments;
	char transaction[TRANSACTION_MAX + 1];
};

#endif
