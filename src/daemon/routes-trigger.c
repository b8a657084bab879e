// SPDX-License-Identifier: Apache-2.0
/* /triggers: put, get, delete, list. fire.c fires them. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/routes-entity.h"
#include "daemon/trigger.h"

void route_trigger_put(void *arg, struct http_request *request)
{
	json_t *body, *before = NULL, *document = NULL;
	struct service *service = arg;
	char local[PATH_TEXT_SIZE];
	struct store_key key;
	struct path path;
	struct err err;
	bool overwrite;
	int r;

	if (!entity_path(request, 1, false, &path) || !entity_put_request(request, &body, &overwrite))
		return;
	key = entity_key(STORE_TRIGGERS, &path, local);
	r = entity_before(service, &key, overwrite, &before, &err);
	if (r == 0)
		r = trigger_put(body, before, path.ns, path.name, entity_now_ms(), &document, &err);
	if (r == 0)
		r = store_put(service->store, &key, document, &err);
	if (r == 0)
		http_reply(request, 200, json_incref(document));
	else
		entity_fail(request, r, &err);
	json_decref(document);
	json_decref(before);
	json_decref(body);
}

/* Gets it, and takes it away with delete. */
static void get(struct service *service, struct http_request *request, bool delete)
{
	char local[PATH_TEXT_SIZE];
	struct store_key key;
	json_t *document;
	struct path path;
	struct err err;
	int r;

	if (!entity_path(request, 1, false, &path))
		return;
	key = entity_key(STORE_TRIGGERS, &path, local);
	r = store_get(service->store, &key, false, &document, &err);
	if (r == 0 && delete) {
		r = store_delete(service->store, &key, &err);
		if (r < 0)
			json_decref(document);
	}
	if (r == 0)
		http_reply(request, 200, document);
	else
		entity_fail(request, r, &err);
}

void route_trigger_get(void *arg, struct http_request *request)
{
	get(arg, request, false);
}

void route_trigger_delete(void *arg, struct http_request *request)
{
	get(arg, request, true);
}

void route_trigger_list(void *arg, struct http_request *request)
{
	entity_list(arg, request, STORE_TRIGGERS, trigger_summary);
}
