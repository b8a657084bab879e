// SPDX-License-Identifier: Apache-2.0
#include "daemon/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/package.h"
#include "store/store.h"

static int refuse(const char *ns, const char *name, struct err *err)
{
	return err_set(err, EACCES, "The supplied authentication is not authorized to access '%.128s/%.256s'.", ns, name);
}

/* One package as it is stored, if caller_ns may see it. */
static int get_package(struct store *store, const char *caller_ns, const char *ns, const char *name, json_t **ret, struct err *err)
{
	const struct store_key key = { STORE_PACKAGES, ns, name };
	int r = store_get(store, &key, false, ret, err);

	if (r == -ENOENT)
		return err_set(err, ENOENT, "The requested resource '%.128s/%.256s' does not exist.", ns, name);
	if (r == 0 && strcmp(ns, caller_ns) && !json_is_true(json_object_get(*ret, "publish"))) {
		json_decref(*ret);
		return refuse(ns, name, err);
	}
	return r;
}

int resolve_package(struct store *store, const char *caller_ns, const char *ns, const char *name, json_t **ret, json_t **ret_provider,
		    struct err *err)
{
	const char *provider_ns, *provider_name;
	json_t *package;
	int r = get_package(store, caller_ns, ns, name, &package, err);

	*ret_provider = NULL;
	/* A binding's owner sees the provider with his own eyes, whoever calls. */
	if (r == 0 && package_binding(package, &provider_ns, &provider_name)) {
		r = get_package(store, ns, provider_ns, provider_name, ret_provider, err);
		if (r < 0)
			json_decref(package);
	}
	if (r == 0)
		*ret = package;
	return r;
}

static int get_action(struct store *store, struct resolved *resolved, struct err *err)
{
	char local[PATH_TEXT_SIZE];
	struct store_key key = { STORE_ACTIONS, resolved->path.ns, local };
	int r;

	path_local(&resolved->path, local);
	r = store_get(store, &key, false, &resolved->document, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "The requested resource does not exist.");
	return r;
}

static void add_parameters(struct resolved *resolved, const json_t *document)
{
	json_t *merged = document_merge_pairs(resolved->parameters, json_object_get(document, "parameters"));

	json_decref(resolved->parameters);
	resolved->parameters = merged;
}

static int enter_package(struct store *store, const char *caller_ns, struct resolved *resolved, struct err *err)
{
	const char *provider_ns, *provider_name;
	struct path *path = &resolved->path;
	json_t *package, *provider;
	int r = resolve_package(store, caller_ns, path->ns, path->package, &package, &provider, err);

	if (r < 0)
		return r;
	if (provider) {
		package_binding(package, &provider_ns, &provider_name);
		snprintf(resolved->binding, sizeof(resolved->binding), "%s/%s", path->ns, path->package);
		snprintf(path->ns, sizeof(path->ns), "%s", provider_ns);
		snprintf(path->package, sizeof(path->package), "%s", provider_name);
		add_parameters(resolved, provider);
	}
	add_parameters(resolved, package);
	json_decref(package);
	json_decref(provider);
	return 0;
}

int resolve_action(struct store *store, const char *caller_ns, const struct path *asked, struct resolved *ret, struct err *err)
{
	struct resolved resolved = { .path = *asked, .parameters = json_array() };
	int r = 0;

	if (asked->package[0])
		r = enter_package(store, caller_ns, &resolved, err);
	else if (strcmp(asked->ns, caller_ns))
		r = refuse(asked->ns, asked->name, err);
	if (r == 0)
		r = get_action(store, &resolved, err);
	if (r < 0) {
		resolved_clear(&resolved);
		return r;
	}
	add_parameters(&resolved, resolved.document);
	*ret = resolved;
	return 0;
}

void resolved_clear(struct resolved *resolved)
{
	json_decref(resolved->document);
	json_decref(resolved->parameters);
	resolved->document = resolved->parameters = NULL;
}
