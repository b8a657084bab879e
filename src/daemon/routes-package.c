// SPDX-License-Identifier: Apache-2.0
/* /packages and bindings. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/identity.h"
#include "daemon/package.h"
#include "daemon/pool.h"
#include "daemon/resolve.h"
#include "daemon/routes-entity.h"

/* What a binding names must be there, visible, and no binding itself. */
static int check_provider(struct service *service, const char *own, const json_t *document, struct err *err)
{
	const char *ns, *name, *next_ns, *next_name;
	json_t *provider, *further;
	int r;

	if (!package_binding(document, &ns, &name))
		return 0;
	r = resolve_package(service->store, own, ns, name, &provider, &further, err);
	if (r == -ENOENT)
		return err_set(err, EINVAL, "Binding references a package that does not exist.");
	if (r < 0)
		return r;
	if (package_binding(provider, &next_ns, &next_name))
		r = err_set(err, EINVAL, "Cannot bind to another package binding.");
	json_decref(provider);
	json_decref(further);
	return r;
}

static int make(struct service *service, const struct path *path, const struct store_key *key, const json_t *body, bool overwrite,
		json_t **ret, struct err *err)
{
	json_t *before = NULL, *document;
	int r;

	if (!strcmp(path->name, "default"))
		return err_set(err, EINVAL, "Package 'default' is reserved.");
	r = entity_before(service, key, overwrite, &before, err);
	if (r == 0) {
		r = package_put(body, before, path->ns, path->name, entity_now_ms(), &document, err);
		json_decref(before);
	}
	if (r < 0)
		return r;
	r = check_provider(service, path->ns, document, err);
	if (r < 0)
		json_decref(document);
	else
		*ret = document;
	return r;
}

void route_package_put(void *arg, struct http_request *request)
{
	struct service *service = arg;
	json_t *body, *document = NULL;
	char local[PATH_TEXT_SIZE];
	struct store_key key;
	struct path path;
	struct err err;
	bool overwrite;
	int r;

	if (!entity_path(request, 1, false, &path) || !entity_put_request(request, &body, &overwrite))
		return;
	key = entity_key(STORE_PACKAGES, &path, local);
	r = make(service, &path, &key, body, overwrite, &document, &err);
	json_decref(body);
	if (r == 0)
		r = store_put(service->store, &key, document, &err);
	if (r == 0) {
		http_reply(request, 200, document);
		return;
	}
	json_decref(document);
	entity_fail(request, r, &err);
}

/* All actions of a package: what GET names. */
static int actions_of(struct service *service, const char *ns, const char *name, json_t **ret, struct err *err)
{
	const struct store_query query = { .collection = STORE_ACTIONS, .ns = ns, .package = name, .limit = UINT32_MAX };

	return store_list(service->store, &query, ret, err);
}

void route_package_get(void *arg, struct http_request *request)
{
	json_t *package, *provider, *actions = NULL;
	const char *ns, *name;
	struct service *service = arg;
	struct path path;
	struct err err;
	int r;

	if (!entity_path(request, 1, true, &path))
		return;
	r = resolve_package(service->store, http_identity(request)->ns, path.ns, path.name, &package, &provider, &err);
	if (r < 0) {
		if (r == -ENOENT)
			err_set(&err, ENOENT, ENTITY_NOT_FOUND);
		entity_fail(request, r, &err);
		return;
	}
	if (!package_binding(package, &ns, &name)) {
		ns = path.ns;
		name = path.name;
	}
	r = actions_of(service, ns, name, &actions, &err);
	if (r == 0)
		http_reply(request, 200, package_shown(package, provider, actions));
	else
		entity_fail(request, r, &err);
	json_decref(actions);
	json_decref(package);
	json_decref(provider);
}

/* With force, its actions go with it: all or nothing. */
static int delete_all(struct service *service, const struct path *path, const struct store_key *key, const json_t *actions, struct err *err)
{
	json_t *action;
	size_t i;
	int r = store_begin(service->store, err), end;

	if (r < 0)
		return r;
	json_array_foreach(actions, i, action) {
		struct path inside = *path;
		char local[PATH_TEXT_SIZE];
		struct store_key one;

		if (r < 0)
			break;
		memcpy(inside.package, path->name, sizeof(inside.package));
		r = path_make(path->ns, path->name, json_string_value(json_object_get(action, "name")), &inside, err);
		one = entity_key(STORE_ACTIONS, &inside, local);
		if (r == 0)
			r = store_delete(service->store, &one, err);
	}
	if (r == 0)
		r = store_delete(service->store, key, err);
	end = store_end(service->store, r == 0, r == 0 ? err : NULL);
	return r < 0 ? r : end;
}

static void retire_all(struct service *service, const struct path *path, const json_t *actions)
{
	char full[PATH_TEXT_SIZE];
	struct path inside;
	json_t *action;
	size_t i;

	json_array_foreach(actions, i, action) {
		if (path_make(path->ns, path->name, json_string_value(json_object_get(action, "name")), &inside, NULL) < 0)
			continue;
		path_full(&inside, full);
		pool_retire(service->pool, full);
	}
}

void route_package_delete(void *arg, struct http_request *request)
{
	json_t *document = NULL, *actions = NULL;
	struct service *service = arg;
	char local[PATH_TEXT_SIZE];
	struct store_key key;
	struct path path;
	bool force = false;
	struct err err;
	int r;

	if (!entity_path(request, 1, false, &path) || http_query_bool(request, "force", &force) < 0)
		return;
	key = entity_key(STORE_PACKAGES, &path, local);
	r = store_get(service->store, &key, false, &document, &err);
	if (r == 0)
		r = actions_of(service, path.ns, path.name, &actions, &err);
	if (r == 0 && json_array_size(actions) && !force)
		r = err_set(&err, ENOTEMPTY, "Package not empty (contains %zu entities). Set force param or delete package contents.",
			    json_array_size(actions));
	if (r == 0)
		r = delete_all(service, &path, &key, actions, &err);
	if (r == 0) {
		retire_all(service, &path, actions);
		http_reply(request, 200, json_incref(document));
	} else {
		entity_fail(request, r, &err);
	}
	json_decref(actions);
	json_decref(document);
}

void route_package_list(void *arg, struct http_request *request)
{
	entity_list(arg, request, STORE_PACKAGES, package_summary);
}
