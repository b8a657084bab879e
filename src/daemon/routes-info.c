// SPDX-License-Identifier: Apache-2.0
/* What the server is, and what goes on in it. */
#include <errno.h>

#include "base/err.h"
#include "daemon/action.h"
#include "daemon/identity.h"
#include "daemon/invoke.h"
#include "daemon/limits.h"
#include "daemon/pool.h"
#include "daemon/routes.h"

void route_root(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const struct throttle_limits *throttle = identities_limits(service->identities);
	json_t *limits = json_pack("{s:i, s:i, s:i, s:i}", "actions_per_minute",
				   (int)throttle->calls_per_minute, "triggers_per_minute", (int)throttle->fires_per_minute,
				   "concurrent_actions", (int)throttle->concurrent, "sequence_length", SEQUENCE_MAX);

	limits_describe(limits);
	http_reply(request, 200, json_pack("{s:s, s:{s:s, s:s}, s:[s], s:o, s:o}", "description", "OpenWhisk", "support", "github", "",
					   "slack", "", "api_paths", "/api/v1", "limits", limits, "runtimes", action_runtimes()));
}

void route_api(void *arg, struct http_request *request)
{
	http_reply(request, 200, json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "description", "OpenWhisk API",
					   "api_version", "1.0.0", "api_version_path", "v1", "build", "squeezy-" SQUEEZY_VERSION, "buildno",
					   SQUEEZY_VERSION, "swagger_paths", "ui", "/docs", "api-docs", "/api-docs"));
}

void route_ping(void *arg, struct http_request *request)
{
	http_reply_text(request, 200, "pong");
}

/* One host, one invoker: this daemon, which makes VMs as calls need them. It is up until it is told to stop. */
void route_invokers(void *arg, struct http_request *request)
{
	const struct service *service = arg;

	http_reply(request, 200, json_pack("{s:s}", "invoker0/squeezyd", pool_is_stopping(service->pool) ? "down" : "up"));
}

void route_invokers_healthy(void *arg, struct http_request *request)
{
	const struct service *service = arg;

	http_reply(request, 200, json_integer(!pool_is_stopping(service->pool)));
}

void route_invokers_ready(void *arg, struct http_request *request)
{
	const struct service *service = arg;
	bool up = !pool_is_stopping(service->pool);

	http_reply(request, up ? 200 : 500, json_pack("{s:s}", "healthy", up ? "1/1" : "0/1"));
}

void route_activation_count(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 200, json_integer(pool_in_flight(service->pool)));
}

void route_apis(void *arg, struct http_request *request)
{
	http_reply(request, 200, json_pack("{s:[]}", "apis"));
}

void route_status(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 200, pool_status(service->pool));
}

static void on_inspected(void *arg, int status, const json_t *answer, const char *why)
{
	struct http_request *request = arg;

	if (answer)
		http_reply(request, status, json_deep_copy(answer));
	else
		http_reply_error(request, status, "%s", why);
}

void route_inspect(void *arg, struct http_request *request)
{
	struct service *service = arg;
	int64_t partition;
	struct err err;
	int r;

	if (http_number(http_segment(request, 1), &partition) < 0 || partition < 0 || partition > 9999) {
		http_reply_error(request, 400, "The request content was malformed:\na partition is a number from 0 on");
		return;
	}
	r = pool_inspect(service->pool, http_segment(request, 0), (unsigned int)partition,
			 (struct inspect_done){ on_inspected, request }, &err);
	if (r < 0)
		http_reply_error(request, r == -ENOENT ? 404 : r == -ENOTCONN ? 409 : 500, "%s", err.text);
}

void route_reclaims(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 200, pool_reclaims(service->pool));
}

void route_samples(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 200, pool_samples(service->pool));
}

void route_samples_clear(void *arg, struct http_request *request)
{
	struct service *service = arg;

	pool_clear_samples(service->pool);
	http_reply(request, 200, json_object());
}

/* {"idle": true} or {"instance": "i7"} */
void route_evict(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *id;
	unsigned int count;
	struct err err;
	json_t *body;
	int r;

	if (http_body_object(request, 4096, &body) < 0)
		return;
	id = json_string_value(json_object_get(body, "instance"));
	if (!id && !json_is_true(json_object_get(body, "idle"))) {
		http_reply_error(request, 400, "The request content was malformed:\nsay {\"idle\": true}, or {\"instance\": \"<id>\"}");
	} else {
		r = pool_evict(service->pool, id, &count, &err);
		if (r < 0)
			http_reply_error(request, r == -ENOENT ? 404 : 409, "%s", err.text);
		else
			http_reply(request, 202, json_pack("{s:i}", "evicting", (int)count));
	}
	json_decref(body);
}

void route_shutdown(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 202, json_object());
	service->shut_down(service->shut_down_arg);
}
