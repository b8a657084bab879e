// SPDX-License-Identifier: Apache-2.0
/* POST of an action: a call, waited for or not. POST of a trigger. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/fire.h"
#include "daemon/identity.h"
#include "daemon/invoke.h"
#include "daemon/pool-internal.h"
#include "daemon/routes-entity.h"
#include "daemon/throttle.h"

#define WAIT_MS_MAX 60000

/* A client that waits. Freed when the call is done; request is NULL once it has been answered. */
struct waiter {
	struct http_request *request;
	struct event *timer;
	bool result_only;
	char id[ACTIVATION_ID_SIZE];
};

static void accept_call(struct http_request *request, const char *id)
{
	http_set_header(request, "x-openwhisk-activation-id", id);
	http_reply(request, 202, json_pack("{s:s}", "activationId", id));
}

static void on_wait_over(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *waiter = arg;

	accept_call(waiter->request, waiter->id);
	waiter->request = NULL;
}

/* The record as a blocking call shows it: without logs; the bare result on demand, and always when it is an array. */
static json_t *answer_of(const json_t *record, bool result_only)
{
	json_t *result = json_object_get(json_object_get(record, "response"), "result"), *shown;

	if (result_only || json_is_array(result))
		return json_incref(result);
	shown = json_copy((json_t *)record);
	if (shown)
		json_object_set_new(shown, "logs", json_array());
	return shown;
}

static void on_called(void *arg, enum outcome_status status, const json_t *record)
{
	struct waiter *waiter = arg;

	if (waiter->request) {
		http_set_header(waiter->request, "x-openwhisk-activation-id", waiter->id);
		http_reply(waiter->request, outcome_http_status(status), answer_of(record, waiter->result_only));
	}
	event_free(waiter->timer);
	free(waiter);
}

static void call_and_wait(struct service *service, struct http_request *request, const struct invocation *invocation, bool result_only,
			  int64_t wait_ms)
{
	struct timeval after = { .tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000 };
	struct invoker invoker = { service->pool, service->store };
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	struct err err;
	int r = -ENOMEM;

	err_set(&err, ENOMEM, "The server is out of memory.");
	if (waiter)
		waiter->timer = evtimer_new(service->base, on_wait_over, waiter);
	if (waiter && waiter->timer && !event_add(waiter->timer, &after))
		r = invoke(&invoker, invocation, (struct call_done){ on_called, waiter }, waiter->id, &err);
	if (r == 0) {
		waiter->request = request;
		waiter->result_only = result_only;
		return;
	}
	if (waiter && waiter->timer)
		event_free(waiter->timer);
	free(waiter);
	entity_fail(request, r, &err);
}

static int query_wait(struct http_request *request, int64_t *ret)
{
	const char *text = http_query(request, "timeout");
	int64_t value;

	if (!text)
		return 0;
	if (http_number(text, &value) < 0 || value < 1 || value > WAIT_MS_MAX) {
		http_reply_error(request, 400, "The query parameter 'timeout' was malformed:\n"
				 "Timeout must be number of milliseconds up to %d.", WAIT_MS_MAX);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

static void call(struct service *service, struct http_request *request, const struct invocation *invocation)
{
	struct invoker invoker = { service->pool, service->store };
	bool blocking = false, result_only = false;
	char id[ACTIVATION_ID_SIZE];
	int64_t wait_ms = WAIT_MS_MAX;
	struct err err;
	int r;

	if (http_query_bool(request, "blocking", &blocking) < 0 || http_query_bool(request, "result", &result_only) < 0 ||
	    query_wait(request, &wait_ms) < 0)
		return;
	if (blocking) {
		call_and_wait(service, request, invocation, result_only, wait_ms);
		return;
	}
	r = invoke(&invoker, invocation, (struct call_done){ 0 }, id, &err);
	if (r < 0)
		entity_fail(request, r, &err);
	else
		accept_call(request, id);
}

/* With the annotation "final", a body must not override parameters. */
static bool overrides_final(const struct resolved *action, const json_t *body)
{
	json_t *pair;
	size_t i;

	if (!json_is_true(document_annotation(action->document, "final")))
		return false;
	json_array_foreach(action->parameters, i, pair)
		if (json_object_get(body, json_string_value(json_object_get(pair, "key"))))
			return true;
	return false;
}

static void invoke_route(struct service *service, struct http_request *request, unsigned int names)
{
	const struct identity *caller = http_identity(request);
	struct resolved action;
	json_t *body, *arguments;
	struct path path;
	struct err err;
	int r;

	if (!entity_path(request, names, true, &path) || http_body_object(request, LIMITS_PAYLOAD_MAX, &body) < 0)
		return;
	r = resolve_action(service->store, caller->ns, &path, &action, &err);
	if (r < 0) {
		entity_fail(request, r, &err);
		json_decref(body);
		return;
	}
	if (overrides_final(&action, body)) {
		http_reply_error(request, 400, "Request defines parameters that are not allowed (e.g., reserved properties).");
	} else {
		arguments = document_arguments(action.parameters, body);
		call(service, request, &(struct invocation){
			.ns = caller->ns, .key = caller->key, .transaction = http_transaction(request), .action = &action,
			.arguments = arguments, .throttle = caller->throttle,
		});
		json_decref(arguments);
	}
	json_decref(body);
	resolved_clear(&action);
}

void route_action_invoke(void *arg, struct http_request *request)
{
	invoke_route(arg, request, 1);
}

void route_packaged_invoke(void *arg, struct http_request *request)
{
	invoke_route(arg, request, 2);
}

static void fire_and_answer(struct service *service, struct http_request *request, const struct path *path, const json_t *trigger,
			    json_t *payload)
{
	const struct identity *caller = http_identity(request);
	struct invoker invoker = { service->pool, service->store };
	json_t *headers = http_headers(request);
	char id[ACTIVATION_ID_SIZE];
	bool fired;

	/* The caller's key is for us, not for whatever a rule calls. */
	json_object_del(headers, "authorization");

	fired = fire(&invoker, &(struct firing){
		.ns = path->ns, .name = path->name, .key = caller->key, .transaction = http_transaction(request), .trigger = trigger,
		.payload = payload, .headers = headers, .throttle = caller->throttle,
	}, id);
	json_decref(headers);
	if (fired)
		accept_call(request, id);
	else
		http_reply_empty(request, 204);
}

void route_trigger_fire(void *arg, struct http_request *request)
{
	struct service *service = arg;
	char local[PATH_TEXT_SIZE];
	json_t *body, *trigger;
	struct store_key key;
	struct path path;
	struct err err;
	int r;

	if (!entity_path(request, 1, false, &path) || http_body_object(request, LIMITS_PAYLOAD_MAX, &body) < 0)
		return;
	if (!body)
		body = json_object();
	key = entity_key(STORE_TRIGGERS, &path, local);
	r = throttle_fire(http_identity(request)->throttle, epoch_ms(), &err);
	if (r == 0)
		r = store_get(service->store, &key, false, &trigger, &err);
	if (r == 0) {
		fire_and_answer(service, request, &path, trigger, body);
		json_decref(trigger);
	} else {
		entity_fail(request, r, &err);
	}
	json_decref(body);
}
