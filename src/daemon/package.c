// SPDX-License-Identifier: Apache-2.0
#include "daemon/package.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"

bool package_binding(const json_t *document, const char **ret_ns, const char **ret_name)
{
	json_t *binding = json_object_get(document, "binding");

	*ret_ns = json_string_value(json_object_get(binding, "namespace"));
	*ret_name = json_string_value(json_object_get(binding, "name"));
	return *ret_ns && *ret_name;
}

static int put_binding(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "binding"), *kept = json_object_get(before, "binding");
	const char *own = json_string_value(json_object_get(document, "namespace")), *ns, *name;

	if (!json_object_size(given))
		return kept ? json_object_set(document, "binding", kept) : json_object_set_new(document, "binding", json_object());
	if (!package_binding(request, &ns, &name) || !document_name_ok(name) || (strcmp(ns, "_") && !document_name_ok(ns)))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "binding must be {\"namespace\", \"name\"}");
	if (before && !json_object_size(kept))
		return err_set(err, EEXIST, "Resource is not a binding.");
	return json_object_set_new(document, "binding", json_pack("{s:s, s:s}", "namespace", strcmp(ns, "_") ? ns : own, "name", name));
}

static int put_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	int r = document_put_annotations(request, before, document, err);
	json_t *binding = json_object_get(document, "binding");

	if (r == 0 && json_object_size(binding))
		document_annotate(document, "binding", json_copy(binding));
	return r;
}

static document_step *const put_steps[] = {
	put_binding, document_put_parameters, put_annotations, document_put_version, document_put_publish, NULL
};

int package_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
		struct err *err)
{
	return document_make(put_steps, request, before, ns, name, now_ms, ret, err);
}

static json_t *line_of(const json_t *action)
{
	return json_pack("{s:O, s:O, s:O}", "name", json_object_get(action, "name"), "version", json_object_get(action, "version"),
			 "annotations", json_object_get(action, "annotations"));
}

json_t *package_shown(const json_t *document, const json_t *provider, const json_t *actions)
{
	json_t *shown = json_copy((json_t *)document), *lines = json_array(), *feeds = json_array(), *action;
	size_t i;

	json_array_foreach(actions, i, action)
		json_array_append_new(document_annotation(action, "feed") ? feeds : lines, line_of(action));
	json_object_set_new(shown, "actions", lines);
	json_object_set_new(shown, "feeds", feeds);
	if (provider)
		json_object_set_new(shown, "parameters", document_merge_pairs(json_object_get(provider, "parameters"),
									      json_object_get(document, "parameters")));
	return shown;
}

json_t *package_summary(const json_t *document)
{
	json_t *line = json_copy((json_t *)document);

	json_object_del(line, "parameters");
	if (!json_object_size(json_object_get(document, "binding")))
		json_object_set_new(line, "binding", json_false());
	return line;
}
