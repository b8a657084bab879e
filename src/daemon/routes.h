/* SPDX-License-Identifier: Apache-2.0 */
/* The REST surface: OpenWhisk's paths, and ours under /squeezy/v1. */
#ifndef SQUEEZY_DAEMON_ROUTES_H
#define SQUEEZY_DAEMON_ROUTES_H

#include "daemon/http.h"

struct pool;
struct store;

/* What handlers get as their argument. */
struct service {
	struct event_base *base;
	struct store *store;
	struct pool *pool;
	void (*shut_down)(void *arg);	/* POST /squeezy/v1/shutdown */
	void *shut_down_arg;
};

extern const struct http_route routes[];	/* ends with a NULL path */

/* "_" and the caller's own namespace are the same; anything else is answered (403) and false. *ret is static. */
bool routes_namespace(struct http_request *request, const char **ret);

/* For handlers, by file. */
void route_root(void *arg, struct http_request *request);
void route_api(void *arg, struct http_request *request);
void route_ping(void *arg, struct http_request *request);
void route_namespaces(void *arg, struct http_request *request);

void route_action_put(void *arg, struct http_request *request);
void route_action_get(void *arg, struct http_request *request);
void route_action_delete(void *arg, struct http_request *request);
void route_action_list(void *arg, struct http_request *request);
void route_action_invoke(void *arg, struct http_request *request);
void route_packaged(void *arg, struct http_request *request);

void route_activation_list(void *arg, struct http_request *request);
void route_activation_get(void *arg, struct http_request *request);
void route_activation_logs(void *arg, struct http_request *request);
void route_activation_result(void *arg, struct http_request *request);

void route_status(void *arg, struct http_request *request);
void route_inspect(void *arg, struct http_request *request);
void route_reclaims(void *arg, struct http_request *request);
void route_samples(void *arg, struct http_request *request);
void route_samples_clear(void *arg, struct http_request *request);
void route_evict(void *arg, struct http_request *request);
void route_shutdown(void *arg, struct http_request *request);

#endif
