// SPDX-License-Identifier: Apache-2.0
/* POST /actions/{name}: a call, waited for or not. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/pool.h"
#include "daemon/routes.h"
#include "store/store.h"

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

static void refuse(struct http_request *request, int r, const struct err *err)
{
	http_reply_error(request, r == -EAGAIN ? 429 : 503, "%s", err->text);
}

static void invoke_and_wait(struct service *service, struct http_request *request, const struct call_request *call, bool result_only,
			    int64_t wait_ms)
{
	struct timeval after = { .tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000 };
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	struct err err;
	int r = -ENOMEM;

	err_set(&err, ENOMEM, "The server is out of memory.");
	if (waiter)
		waiter->timer = evtimer_new(service->base, on_wait_over, waiter);
	if (waiter && waiter->timer && !event_add(waiter->timer, &after))
		r = pool_submit(service->pool, call, (struct call_done){ on_called, waiter }, waiter->id, &err);
	if (r == 0) {
		waiter->request = request;
		waiter->result_only = result_only;
		return;
	}
	if (waiter && waiter->timer)
		event_free(waiter->timer);
	free(waiter);
	refuse(request, r, &err);
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

static void invoke(struct service *service, struct http_request *request, const struct call_request *call)
{
	bool blocking = false, result_only = false;
	char id[ACTIVATION_ID_SIZE];
	int64_t wait_ms = WAIT_MS_MAX;
	struct err err;
	int r;

	if (http_query_bool(request, "blocking", &blocking) < 0 || http_query_bool(request, "result", &result_only) < 0 ||
	    query_wait(request, &wait_ms) < 0)
		return;
	if (blocking) {
		invoke_and_wait(service, request, call, result_only, wait_ms);
		return;
	}
	r = pool_submit(service->pool, call, (struct call_done){ 0 }, id, &err);
	if (r < 0)
		refuse(request, r, &err);
	else
		accept_call(request, id);
}

/* With the annotation "final", a body must not override parameters of the action. */
static bool overrides_final(const json_t *document, const json_t *body)
{
	json_t *pair;
	size_t i;

	if (!json_is_true(action_annotation(document, "final")))
		return false;
	json_array_foreach(json_object_get(document, "parameters"), i, pair)
		if (json_object_get(body, json_string_value(json_object_get(pair, "key"))))
			return true;
	return false;
}

void route_action_invoke(void *arg, struct http_request *request)
{
	struct call_request call = { .name = http_segment(request, 1), .transaction = http_transaction(request) };
	json_t *body, *document, *arguments;
	struct service *service = arg;
	struct err err;
	int r;

	if (!routes_namespace(request, &call.ns) || http_body_object(request, LIMITS_PAYLOAD_MAX, &body) < 0)
		return;
	r = store_action_get(service->store, call.ns, call.name, &document, &err);
	if (r < 0) {
		if (r != -ENOENT)
			log_error("%s", err.text);
		http_reply_error(request, r == -ENOENT ? 404 : 500, "%s", r == -ENOENT ? "The requested resource does not exist." : err.text);
		json_decref(body);
		return;
	}
	if (overrides_final(document, body)) {
		http_reply_error(request, 400, "Request defines parameters that are not allowed (e.g., reserved properties).");
	} else {
		arguments = action_arguments(document, body);
		call.document = document;
		call.arguments = arguments;
		invoke(service, request, &call);
		json_decref(arguments);
	}
	json_decref(body);
	json_decref(document);
}
