// SPDX-License-Identifier: Apache-2.0
/* /activations: records of past calls. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/identity.h"
#include "daemon/pool.h"
#include "daemon/record.h"
#include "daemon/routes-entity.h"
#include "store/store.h"

static bool good_id(struct http_request *request, const char *id)
{
	size_t len = strlen(id);

	if (len != ACTIVATION_ID_SIZE - 1)
		http_reply_error(request, 400, "Activation id length is %zu but must be %d.", len, ACTIVATION_ID_SIZE - 1);
	else if (strspn(id, "0123456789abcdef") != len)
		http_reply_error(request, 400, "The activation id is not valid.");
	else
		return true;
	return false;
}

/* The namespace of the request, if it is the caller's own; NULL: answered. */
static const char *own_namespace(struct http_request *request)
{
	const char *asked = http_segment(request, 0), *own = http_identity(request)->ns;

	if (!strcmp(asked, "_") || !strcmp(asked, own))
		return own;
	http_reply_error(request, 403, "The supplied authentication is not authorized to access '%.256s'.", asked);
	return NULL;
}

/* The record, or NULL and the request has been answered. */
static json_t *find(struct service *service, struct http_request *request)
{
	json_t *record;
	struct err err;
	const char *ns = own_namespace(request);
	int r;

	if (!ns || !good_id(request, http_segment(request, 1)))
		return NULL;
	r = store_activation_get(service->store, ns, http_segment(request, 1), &record, &err);
	if (r == 0)
		return record;
	entity_fail(request, r, &err);
	return NULL;
}

void route_activation_get(void *arg, struct http_request *request)
{
	json_t *record = find(arg, request);

	if (record)
		http_reply(request, 200, record);
}

void route_activation_logs(void *arg, struct http_request *request)
{
	json_t *record = find(arg, request);

	if (!record)
		return;
	http_reply(request, 200, json_pack("{s:O}", "logs", json_object_get(record, "logs")));
	json_decref(record);
}

void route_activation_result(void *arg, struct http_request *request)
{
	json_t *record = find(arg, request);

	if (!record)
		return;
	http_reply(request, 200, json_incref(json_object_get(record, "response")));
	json_decref(record);
}

/* "action" or "package/action"; absent: all. */
static bool good_name(struct http_request *request, const char *name)
{
	const char *slash = name ? strchr(name, '/') : NULL;

	if (!slash || (slash != name && slash[1] && !strchr(slash + 1, '/')))
		return true;
	http_reply_error(request, 400, "The query parameter 'name' was malformed:\nthe name must be an action's, or package/action");
	return false;
}

static void reply_list(struct service *service, struct http_request *request, const struct store_range *range, bool count, bool docs)
{
	json_t *records;
	uint64_t number;
	struct err err;
	int r;

	if (count) {
		r = store_activation_count(service->store, range, &number, &err);
		if (r == 0)
			http_reply(request, 200, json_pack("{s:I}", "activations", (json_int_t)number));
	} else {
		r = store_activation_list(service->store, range, &records, &err);
		if (r == 0)
			http_reply(request, 200, docs ? records : entity_lines(records, record_summary));
	}
	if (r < 0)
		entity_fail(request, r, &err);
}

void route_activation_list(void *arg, struct http_request *request)
{
	int64_t limit = 30, skip = 0, since = 0, upto = INT64_MAX;
	struct store_range range = { .name = http_query(request, "name") };
	bool count = false, docs = false;

	range.ns = own_namespace(request);
	if (!range.ns || http_query_range(request, "limit", "activations", ENTITY_LIST_MAX, &limit) < 0 ||
	    http_query_range(request, "skip", "activations", INT32_MAX, &skip) < 0 || !good_name(request, range.name) ||
	    http_query_int(request, "since", 0, INT64_MAX, &since) < 0 || http_query_int(request, "upto", 0, INT64_MAX, &upto) < 0 || http_query_bool(request, "count", &count) < 0 ||
	    http_query_bool(request, "docs", &docs) < 0)
		return;
	if (count && docs) {
		http_reply_error(request, 400, "The query parameter 'count' was malformed:\ncount and docs exclude each other.");
		return;
	}
	range.limit = limit ? (unsigned int)limit : ENTITY_LIST_MAX;
	range.skip = (unsigned int)skip;
	range.since_ms = (uint64_t)since;
	range.upto_ms = (uint64_t)upto;
	reply_list(arg, request, &range, count, docs);
}
