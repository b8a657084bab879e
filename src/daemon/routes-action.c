// SPDX-License-Identifier: Apache-2.0
/* /actions: put, get, delete, list; in packages, too. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/action.h"
#include "daemon/document.h"
#include "daemon/identity.h"
#include "daemon/invoke.h"
#include "daemon/package.h"
#include "daemon/routes-entity.h"

/* The package of a path that is to be changed: there, ours, and no binding. */
static int check_package(struct service *service, const struct path *path, struct err *err)
{
	const struct store_key key = { STORE_PACKAGES, path->ns, path->package };
	const char *ns, *name;
	json_t *package;
	int r;

	if (!path->package[0])
		return 0;
	r = store_get(service->store, &key, false, &package, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "The requested resource '%.128s/%.256s' does not exist.", path->ns, path->package);
	if (r < 0)
		return r;
	if (package_binding(package, &ns, &name))
		r = err_set(err, EINVAL, "Operation not permitted on package binding.");
	json_decref(package);
	return r;
}

static int make(struct service *service, const struct path *path, const struct store_key *key, const json_t *body, bool overwrite,
		json_t **ret, struct err *err)
{
	char parent[PATH_TEXT_SIZE];
	json_t *before = NULL, *document;
	int r = entity_before(service, key, overwrite, &before, err);

	if (r < 0)
		return r;
	path_parent(path, parent);
	r = action_put(body, before, parent, path->name, entity_now_ms(), &document, err);
	json_decref(before);
	if (r == 0 && action_is_sequence(document)) {
		r = sequence_check(service->store, path->ns, path, document, err);
		if (r < 0)
			json_decref(document);
	}
	if (r == 0)
		*ret = document;
	return r;
}

static void retire(struct service *service, const struct path *path)
{
	char full[PATH_TEXT_SIZE];

	path_full(path, full);
	pool_retire(service->pool, full);
}

static void put(struct service *service, struct http_request *request, unsigned int names)
{
	char local[PATH_TEXT_SIZE];
	struct store_key key;
	struct path path;
	json_t *body, *document = NULL;
	struct err err;
	bool overwrite;
	int r;

	if (!entity_path(request, names, false, &path) || !entity_put_request(request, &body, &overwrite))
		return;
	key = entity_key(STORE_ACTIONS, &path, local);
	r = check_package(service, &path, &err);
	if (r == 0)
		r = make(service, &path, &key, body, overwrite, &document, &err);
	json_decref(body);
	if (r == 0)
		r = store_put(service->store, &key, document, &err);
	if (r < 0) {
		json_decref(document);
		entity_fail(request, r, &err);
		return;
	}
	retire(service, &path);
	http_reply(request, 200, document);
}

void route_action_put(void *arg, struct http_request *request)
{
	put(arg, request, 1);
}

void route_packaged_put(void *arg, struct http_request *request)
{
	put(arg, request, 2);
}

/* Seen through its package, an action has the package's parameters below its own. */
static json_t *shown(const struct resolved *action, const json_t *document)
{
	json_t *form = json_copy((json_t *)document);

	json_object_set(form, "parameters", action->parameters);
	if (action->binding[0])
		json_object_set_new(form, "binding", json_string(action->binding));
	return form;
}

static void get(struct service *service, struct http_request *request, unsigned int names)
{
	char local[PATH_TEXT_SIZE];
	struct resolved action;
	struct store_key key;
	struct path path;
	json_t *document;
	bool code = true;
	struct err err;
	int r;

	if (!entity_path(request, names, true, &path) || http_query_bool(request, "code", &code) < 0)
		return;
	r = resolve_action(service->store, http_identity(request)->ns, &path, &action, &err);
	if (r < 0) {
		entity_fail(request, r, &err);
		return;
	}
	key = entity_key(STORE_ACTIONS, &action.path, local);
	r = store_get(service->store, &key, code, &document, &err);
	if (r < 0) {
		entity_fail(request, r, &err);
	} else {
		http_reply(request, 200, shown(&action, document));
		json_decref(document);
	}
	resolved_clear(&action);
}

void route_action_get(void *arg, struct http_request *request)
{
	get(arg, request, 1);
}

void route_packaged_get(void *arg, struct http_request *request)
{
	get(arg, request, 2);
}

static void delete(struct service *service, struct http_request *request, unsigned int names)
{
	char local[PATH_TEXT_SIZE];
	json_t *document = NULL;
	struct store_key key;
	struct path path;
	struct err err;
	int r;

	if (!entity_path(request, names, false, &path))
		return;
	key = entity_key(STORE_ACTIONS, &path, local);
	r = check_package(service, &path, &err);
	if (r == 0)
		r = store_get(service->store, &key, true, &document, &err);
	if (r == 0)
		r = store_delete(service->store, &key, &err);
	if (r < 0) {
		json_decref(document);
		entity_fail(request, r, &err);
		return;
	}
	retire(service, &path);
	http_reply(request, 200, document);
}

void route_action_delete(void *arg, struct http_request *request)
{
	delete(arg, request, 1);
}

void route_packaged_delete(void *arg, struct http_request *request)
{
	delete(arg, request, 2);
}

void route_action_list(void *arg, struct http_request *request)
{
	entity_list(arg, request, STORE_ACTIONS, action_summary);
}

/* Through a binding: the provider's actions. */
void route_package_actions(void *arg, struct http_request *request)
{
	const char *own = http_identity(request)->ns, *ns = http_segment(request, 0), *name = http_segment(request, 1);
	struct store_query query = { .collection = STORE_ACTIONS, .ns = strcmp(ns, "_") ? ns : own, .package = name };
	const char *provider_ns, *provider_name;
	struct service *service = arg;
	json_t *package, *provider;
	struct err err;
	int r = resolve_package(service->store, own, query.ns, name, &package, &provider, &err);

	if (r < 0) {
		entity_fail(request, r, &err);
		return;
	}
	if (package_binding(package, &provider_ns, &provider_name)) {
		query.ns = provider_ns;
		query.package = provider_name;
	}
	entity_list_query(service, request, &query, action_summary);
	json_decref(package);
	json_decref(provider);
}
