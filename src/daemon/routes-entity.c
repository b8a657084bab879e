// SPDX-License-Identifier: Apache-2.0
#include "daemon/routes-entity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/document.h"
#include "daemon/identity.h"

static const struct {
	int code;
	int status;
} statuses[] = {
	{ EINVAL, 400 }, { EACCES, 403 }, { EPERM, 403 }, { ENOENT, 404 }, { EEXIST, 409 }, { EISNAM, 409 }, { ENOTEMPTY, 409 },
	{ EFBIG, 413 }, { EAGAIN, 429 }, { ENOSPC, 503 }, { ESHUTDOWN, 503 },
};

static int status_of(int r)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == -r)
			return statuses[i].status;
	return 500;
}

void entity_fail(struct http_request *request, int r, const struct err *err)
{
	int status = status_of(r);

	if (status >= 500)
		log_error("%s", err->text);
	/* The store's sentence names the store; the caller wants OpenWhisk's. */
	http_reply_error(request, status, "%s", r == -ENOENT && !strncmp(err->text, "store:", 6) ? ENTITY_NOT_FOUND : err->text);
}

bool entity_path(struct http_request *request, unsigned int names, bool foreign, struct path *ret)
{
	const char *ns = http_segment(request, 0), *own = http_identity(request)->ns;
	const char *name = http_segment(request, names);
	struct err err;

	if (!strcmp(ns, "_"))
		ns = own;
	if (path_make(ns, names > 1 ? http_segment(request, 1) : NULL, name, ret, &err) < 0)
		http_reply_error(request, 400, "%s", err.text);
	else if (!foreign && strcmp(ret->ns, own))
		http_reply_error(request, 403, "The supplied authentication is not authorized to access '%s/%s'.", ret->ns, ret->name);
	else
		return true;
	return false;
}

struct store_key entity_key(enum store_collection collection, const struct path *path, char *local)
{
	path_local(path, local);
	return (struct store_key){ collection, path->ns, local };
}

uint64_t entity_now_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000;
}

int entity_before(struct service *service, const struct store_key *key, bool overwrite, json_t **ret, struct err *err)
{
	int r = store_get(service->store, key, true, ret, err);

	if (r == -ENOENT)
		*ret = NULL;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (overwrite)
		return 0;
	json_decref(*ret);
	return err_set(err, EEXIST, "resource already exists");
}

bool entity_put_request(struct http_request *request, json_t **ret_body, bool *ret_overwrite)
{
	*ret_overwrite = false;
	if (http_query_bool(request, "overwrite", ret_overwrite) < 0 || http_body_object(request, 50 << 20, ret_body) < 0)
		return false;
	if (*ret_body)
		return true;
	http_reply_error(request, 400, DOCUMENT_MALFORMED "Object expected in JSON body");
	return false;
}

json_t *entity_lines(json_t *documents, json_t *(*form)(const json_t *document))
{
	json_t *list = json_array(), *document;
	size_t i;

	json_array_foreach(documents, i, document)
		json_array_append_new(list, form(document));
	json_decref(documents);
	return list;
}

void entity_list_query(struct service *service, struct http_request *request, struct store_query *query,
		       json_t *(*form)(const json_t *document))
{
	static const char *const names[STORE_COLLECTIONS] = { "actions", "packages", "triggers", "rules" };
	const char *name = names[query->collection];
	int64_t limit = 30, skip = 0;
	bool count = false;
	json_t *documents;
	uint64_t number;
	struct err err;
	int r;

	if (http_query_range(request, "limit", name, ENTITY_LIST_MAX, &limit) < 0 ||
	    http_query_range(request, "skip", name, INT32_MAX, &skip) < 0 || http_query_bool(request, "count", &count) < 0)
		return;
	query->limit = limit ? (unsigned int)limit : ENTITY_LIST_MAX;
	query->skip = (unsigned int)skip;
	if (count) {
		r = store_count(service->store, query, &number, &err);
		if (r == 0)
			http_reply(request, 200, json_pack("{s:I}", name, (json_int_t)number));
	} else {
		r = store_list(service->store, query, &documents, &err);
		if (r == 0)
			http_reply(request, 200, entity_lines(documents, form));
	}
	if (r < 0)
		entity_fail(request, r, &err);
}

void entity_list(struct service *service, struct http_request *request, enum store_collection collection,
		 json_t *(*form)(const json_t *document))
{
	const char *own = http_identity(request)->ns, *ns = http_segment(request, 0);
	struct store_query query = { .collection = collection, .ns = strcmp(ns, "_") ? ns : own };
	bool foreign = strcmp(query.ns, own);

	/* Of another namespace only public packages are seen. */
	query.public_only = foreign;
	if (foreign && collection != STORE_PACKAGES)
		http_reply_error(request, 403, "The supplied authentication is not authorized to access '%.256s'.", query.ns);
	else
		entity_list_query(service, request, &query, form);
}
