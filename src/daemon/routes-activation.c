// SPDX-License-Identifier: Apache-2.0
/* /activations: records of past calls. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/pool.h"
#include "daemon/record.h"
#include "daemon/routes.h"
#include "store/store.h"

#define LIST_MAX 200

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

static void reply_failure(struct http_request *request, int r, const struct err *err)
{
	if (r != -ENOENT)
		log_error("%s", err->text);
	http_reply_error(request, r == -ENOENT ? 404 : 500, "%s", r == -ENOENT ? "The requested resource does not exist." : err->text);
}

/* The record, or NULL and the request has been answered. */
static json_t *find(struct service *service, struct http_request *request)
{
	json_t *record;
	struct err err;
	const char *ns;
	int r;

	if (!routes_namespace(request, &ns) || !good_id(request, http_segment(request, 1)))
		return NULL;
	r = store_activation_get(service->store, ns, http_segment(request, 1), &record, &err);
	if (r == 0)
		return record;
	reply_failure(request, r, &err);
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

static json_t *summaries(json_t *records)
{
	json_t *list = json_array(), *record;
	size_t i;

	json_array_foreach(records, i, record)
		json_array_append_new(list, record_summary(record));
	json_decref(records);
	return list;
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
			http_reply(request, 200, docs ? records : summaries(records));
	}
	if (r < 0)
		reply_failure(request, r, &err);
}

void route_activation_list(void *arg, struct http_request *request)
{
	int64_t limit = 30, skip = 0, since = 0, upto = INT64_MAX;
	struct store_range range = { .name = http_query(request, "name") };
	bool count = false, docs = false;

	if (!routes_namespace(request, &range.ns) || http_query_int(request, "limit", 0, LIST_MAX, &limit) < 0 ||
	    http_query_int(request, "skip", 0, INT32_MAX, &skip) < 0 || http_query_int(request, "since", 0, INT64_MAX, &since) < 0 ||
	    http_query_int(request, "upto", 0, INT64_MAX, &upto) < 0 || http_query_bool(request, "count", &count) < 0 ||
	    http_query_bool(request, "docs", &docs) < 0)
		return;
	if (count && docs) {
		http_reply_error(request, 400, "The query parameter 'count' was malformed:\ncount and docs exclude each other.");
		return;
	}
	range.limit = limit ? (unsigned int)limit : LIST_MAX;
	range.skip = (unsigned int)skip;
	range.since_ms = (uint64_t)since;
	range.upto_ms = (uint64_t)upto;
	reply_list(arg, request, &range, count, docs);
}
