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
	struct identities *identities;
	struct copying *copying;	/* the backup being made, or NULL */
	void (*shut_down)(void *arg);	/* POST /squeezy/v1/shutdown */
	void *shut_down_arg;
};

/* Ends a backup that is being made; its client is told. */
void backup_abort(struct service *service);

extern const struct http_route routes[];	/* ends with a NULL path */

/* For handlers, by file. */
#define ROUTE(name) void route_##name(void *arg, struct http_request *request)

ROUTE(root);
ROUTE(api);
ROUTE(ping);
ROUTE(api_docs);
ROUTE(invokers);
ROUTE(invokers_healthy);
ROUTE(invokers_ready);
ROUTE(activation_count);
ROUTE(apis);

ROUTE(namespaces);
ROUTE(limits);
ROUTE(key_list);
ROUTE(key_add);
ROUTE(key_remove);

ROUTE(action_put);
ROUTE(action_get);
ROUTE(action_delete);
ROUTE(action_list);
ROUTE(action_invoke);
ROUTE(packaged_put);
ROUTE(packaged_get);
ROUTE(packaged_delete);
ROUTE(packaged_invoke);
ROUTE(package_actions);

ROUTE(package_put);
ROUTE(package_get);
ROUTE(package_delete);
ROUTE(package_list);

ROUTE(trigger_put);
ROUTE(trigger_get);
ROUTE(trigger_delete);
ROUTE(trigger_list);
ROUTE(trigger_fire);

ROUTE(rule_put);
ROUTE(rule_get);
ROUTE(rule_delete);
ROUTE(rule_list);
ROUTE(rule_set);

ROUTE(activation_list);
ROUTE(activation_get);
ROUTE(activation_logs);
ROUTE(activation_result);

ROUTE(web);

ROUTE(status);
ROUTE(inspect);
ROUTE(reclaims);
ROUTE(samples);
ROUTE(samples_clear);
ROUTE(backup);
ROUTE(evict);
ROUTE(shutdown);

#undef ROUTE

#endif
