// SPDX-License-Identifier: Apache-2.0
/* /actions: put, get, delete, list. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/pool.h"
#include "daemon/routes.h"
#include "store/store.h"

#define LIST_MAX 200
#define NOT_FOUND "The requested resource does not exist."

static const struct {
	int code;
	int status;
} statuses[] = {
	{ EINVAL, 400 }, { ENOENT, 404 }, { EEXIST, 409 }, { EFBIG, 413 }, { ENOSPC, 503 },
};

static int status_of(int r)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == -r)
			return statuses[i].status;
	return 500;
}

/* A failing store is ours to log; the caller learns that it is not his fault. */
static void reply_failure(struct http_request *request, int r, const struct err *err)
{
	int status = status_of(r);

	if (status >= 500)
		log_error("%s", err->text);
	http_reply_error(request, status, "%s", r == -ENOENT ? NOT_FOUND : err->text);
}

static bool entity(struct http_request *request, const char **ns, const char **name)
{
	if (!routes_namespace(request, ns))
		return false;
	*name = http_segment(request, 1);
	if (strlen(*name) > 256)
		http_reply_error(request, 400, "Name segement longer than allowed: %zu > 256.", strlen(*name));
	else if (!action_name_ok(*name))
		http_reply_error(request, 400, "The name of the entity contains illegal characters.");
	else
		return true;
	return false;
}

static int put(struct service *service, const char *ns, const char *name, const json_t *body, bool overwrite, json_t **ret,
	       struct err *err)
{
	uint64_t now = clock_ns(CLOCK_REALTIME) / 1000000;
	json_t *before = NULL, *document;
	int r = store_action_get(service->store, ns, name, &before, err);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && !overwrite) {
		json_decref(before);
		return err_set(err, EEXIST, "resource already exists");
	}
	/* Two puts in one millisecond are two revisions. */
	if (before && (uint64_t)json_integer_value(json_object_get(before, "updated")) >= now)
		now = (uint64_t)json_integer_value(json_object_get(before, "updated")) + 1;
	r = action_put(body, before, ns, name, now, &document, err);
	json_decref(before);
	if (r < 0)
		return r;
	r = store_action_put(service->store, ns, name, now, document, err);
	if (r < 0)
		json_decref(document);
	else
		*ret = document;
	return r;
}

void route_action_put(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *ns, *name;
	json_t *body, *document = NULL;
	bool overwrite = false;
	struct err err;
	int r;

	if (!entity(request, &ns, &name) || http_query_bool(request, "overwrite", &overwrite) < 0 ||
	    http_body_object(request, 50 << 20, &body) < 0)
		return;
	if (!body) {
		http_reply_error(request, 400, "The request content was malformed:\nObject expected in JSON body");
		return;
	}
	r = put(service, ns, name, body, overwrite, &document, &err);
	json_decref(body);
	if (r < 0) {
		reply_failure(request, r, &err);
		return;
	}
	pool_retire(service->pool, ns, name);
	http_reply(request, 200, document);
}

void route_action_get(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *ns, *name;
	json_t *document;
	bool code = true;
	struct err err;
	int r;

	if (!entity(request, &ns, &name) || http_query_bool(request, "code", &code) < 0)
		return;
	r = store_action_get(service->store, ns, name, &document, &err);
	if (r < 0) {
		reply_failure(request, r, &err);
		return;
	}
	if (code) {
		http_reply(request, 200, document);
		return;
	}
	http_reply(request, 200, action_without_code(document));
	json_decref(document);
}

void route_action_delete(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *ns, *name;
	json_t *document;
	struct err err;
	int r;

	if (!entity(request, &ns, &name))
		return;
	r = store_action_get(service->store, ns, name, &document, &err);
	if (r == 0) {
		r = store_action_delete(service->store, ns, name, &err);
		if (r < 0)
			json_decref(document);
	}
	if (r < 0) {
		reply_failure(request, r, &err);
		return;
	}
	pool_retire(service->pool, ns, name);
	http_reply(request, 200, document);
}

static json_t *summaries(json_t *documents)
{
	json_t *list = json_array(), *document;
	size_t i;

	json_array_foreach(documents, i, document)
		json_array_append_new(list, action_summary(document));
	json_decref(documents);
	return list;
}

void route_action_list(void *arg, struct http_request *request)
{
	int64_t limit = 30, skip = 0;
	struct service *service = arg;
	bool count = false;
	json_t *documents;
	struct err err;
	uint64_t number;
	const char *ns;
	int r;

	if (!routes_namespace(request, &ns) || http_query_int(request, "limit", 0, LIST_MAX, &limit) < 0 ||
	    http_query_int(request, "skip", 0, INT32_MAX, &skip) < 0 || http_query_bool(request, "count", &count) < 0)
		return;
	if (count) {
		r = store_action_count(service->store, ns, &number, &err);
		if (r == 0)
			http_reply(request, 200, json_pack("{s:I}", "actions", (json_int_t)number));
	} else {
		r = store_action_list(service->store, ns, limit ? (unsigned int)limit : LIST_MAX, (unsigned int)skip, &documents, &err);
		if (r == 0)
			http_reply(request, 200, summaries(documents));
	}
	if (r < 0)
		reply_failure(request, r, &err);
}

/* There are no packages yet: what is asked of one does not exist. */
void route_packaged(void *arg, struct http_request *request)
{
	const char *ns;

	if (routes_namespace(request, &ns))
		http_reply_error(request, 404, "The requested resource '%s/%.256s' does not exist.", ns, http_segment(request, 1));
}
