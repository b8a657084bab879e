// SPDX-License-Identifier: Apache-2.0
/* /api/v1/web: functions as web pages. The function runs in its owner's namespace, for whoever calls. */
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/identity.h"
#include "daemon/invoke.h"
#include "daemon/limits.h"
#include "daemon/routes-entity.h"
#include "daemon/throttle.h"
#include "daemon/web.h"

#define WAIT_S		60
#define METHODS		"OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"
#define HEADERS		"Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"

/* A visitor that waits; request is NULL once it has been answered. */
struct visit {
	struct http_request *request;
	struct event *timer;
	enum web_extension extension;
	char id[ACTIVATION_ID_SIZE];
};

static void add_cors(struct http_request *request, bool custom)
{
	const char *asked = http_header(request, "Access-Control-Request-Headers");

	http_no_cors(request);
	if (custom)
		return;
	http_set_header(request, "Access-Control-Allow-Origin", "*");
	http_set_header(request, "Access-Control-Allow-Methods", METHODS);
	http_set_header(request, "Access-Control-Allow-Headers", asked ? asked : HEADERS);
}

static void fail(struct http_request *request, const struct web_fault *fault)
{
	if (fault->status == 401)
		http_refuse_key(request);
	else
		http_reply_error(request, fault->status, "%s", fault->text);
}

static void answer(struct http_request *request, enum web_extension extension, const json_t *result)
{
	struct web_response response;
	struct web_fault fault;
	json_t *header;
	size_t i;

	if (web_render(extension, result, &response, &fault) < 0) {
		fail(request, &fault);
		return;
	}
	json_array_foreach(response.headers, i, header)
		http_set_header(request, json_string_value(json_array_get(header, 0)), json_string_value(json_array_get(header, 1)));
	http_reply_bytes(request, response.status, response.type, response.body, response.len);
	web_response_clear(&response);
}

static void on_called(void *arg, enum outcome_status status, const json_t *record)
{
	json_t *result = json_object_get(json_object_get(record, "response"), "result"), *error = json_object_get(result, "error");
	struct visit *visit = arg;
	struct http_request *request = visit->request;
	enum web_extension extension = visit->extension;

	if (request)
		http_set_header(request, "x-openwhisk-activation-id", visit->id);
	event_free(visit->timer);
	free(visit);
	if (!request)
		return;
	if (status == OUTCOME_SUCCESS && json_is_array(result))
		http_reply_error(request, 500, "There was an internal server error.");
	else if (status == OUTCOME_SUCCESS)
		answer(request, extension, result);
	else if (status == OUTCOME_APPLICATION_ERROR && json_is_object(error))
		answer(request, extension, error);
	else if (status == OUTCOME_APPLICATION_ERROR)
		http_reply_error(request, 400, "Response is not valid 'message/http'.");
	else
		http_reply_error(request, 400, "There was an error processing your request.");
}

static void on_wait_over(evutil_socket_t fd, short what, void *arg)
{
	struct visit *visit = arg;

	http_set_header(visit->request, "x-openwhisk-activation-id", visit->id);
	http_reply_error(visit->request, 202, "Response not yet ready.");
	visit->request = NULL;
}

static void call(struct service *service, struct http_request *request, enum web_extension extension, const struct invocation *invocation)
{
	struct invoker invoker = { service->pool, service->store };
	struct timeval after = { .tv_sec = WAIT_S };
	struct visit *visit = calloc(1, sizeof(*visit));
	struct err err;
	int r = -ENOMEM;

	err_set(&err, ENOMEM, "The server is out of memory.");
	if (visit)
		visit->timer = evtimer_new(service->base, on_wait_over, visit);
	if (visit && visit->timer && !event_add(visit->timer, &after))
		r = invoke(&invoker, invocation, (struct call_done){ on_called, visit }, visit->id, &err);
	if (r == 0) {
		visit->request = request;
		visit->extension = extension;
		return;
	}
	if (visit && visit->timer)
		event_free(visit->timer);
	free(visit);
	entity_fail(request, r, &err);
}

static const char *method_name(struct http_request *request)
{
	switch (http_method(request)) {
	case HTTP_GET: return "get";
	case HTTP_PUT: return "put";
	case HTTP_POST: return "post";
	case HTTP_DELETE: return "delete";
	case HTTP_HEAD: return "head";
	case HTTP_PATCH: return "patch";
	default: return "options";
	}
}

static void visit_action(struct service *service, struct http_request *request, enum web_extension extension,
			 const struct resolved *action, const struct identity *owner)
{
	const struct identity *caller = http_identity(request);
	json_t *headers = http_headers(request), *query = http_query_object(request), *arguments = NULL;
	struct web_request web = {
		.method = method_name(request), .path = http_segment(request, 3), .raw_query = http_raw_query(request),
		.type = http_header(request, "Content-Type"), .user = caller ? caller->ns : NULL,
		.secret = http_header(request, "X-Require-Whisk-Auth"), .headers = headers, .query = query,
	};
	struct web_fault fault;
	int r;

	web.body = http_body(request, &web.body_len);
	r = web_check(action, &web, &fault);
	if (r == 0)
		r = web_arguments(action, &web, &arguments, &fault);
	if (r < 0)
		fail(request, &fault);
	else
		call(service, request, extension, &(struct invocation){
			.ns = owner->ns, .key = owner->key, .transaction = http_transaction(request), .action = action,
			.arguments = arguments, .throttle = owner->throttle,
		});
	json_decref(arguments);
	json_decref(headers);
	json_decref(query);
}

/* The action of the path; its owner is the namespace in it. False: answered. */
static bool find(struct service *service, struct http_request *request, struct resolved *ret, const struct identity **ret_owner,
		 enum web_extension *ret_extension)
{
	const char *package = http_segment(request, 1);
	char name[PATH_NAME_MAX + 8];
	struct path path;
	struct err err;

	snprintf(name, sizeof(name), "%s", http_segment(request, 2));
	*ret_extension = web_cut_extension(name);
	*ret_owner = identities_of(service->identities, http_segment(request, 0));
	if (*ret_owner && path_make((*ret_owner)->ns, strcmp(package, "default") ? package : NULL, name, &path, &err) == 0 &&
	    resolve_action(service->store, (*ret_owner)->ns, &path, ret, &err) == 0)
		return true;
	http_reply_error(request, 404, ENTITY_NOT_FOUND);
	return false;
}

void route_web(void *arg, struct http_request *request)
{
	const struct identity *owner;
	enum web_extension extension;
	struct service *service = arg;
	struct resolved action;
	size_t len;

	(void)http_body(request, &len);
	if (len > LIMITS_PAYLOAD_MAX) {
		http_reply_error(request, 413, "Request larger than allowed: %zu > %u bytes.", len, LIMITS_PAYLOAD_MAX);
		return;
	}
	if (!find(service, request, &action, &owner, &extension))
		return;
	add_cors(request, web_custom_options(&action));
	if (http_method(request) == HTTP_OPTIONS && !web_custom_options(&action))
		http_reply_empty(request, 200);
	else
		visit_action(service, request, extension, &action, owner);
	resolved_clear(&action);
}
