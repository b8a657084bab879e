// SPDX-License-Identifier: Apache-2.0
#include "daemon/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/path.h"

#define MALFORMED DOCUMENT_MALFORMED

/* Kinds we run, by the name a request may give. */
static const struct {
	const char *asked;
	const char *kind;
} kinds[] = {
	{ "python:3", "python:3" },
	{ "python:default", "python:3" },
};

bool action_code_is_binary(const char *code)
{
	size_t start = strspn(code, " \t\r\n"), len, body;

	code += start;
	len = strlen(code);
	while (len && strchr(" \t\r\n", code[len - 1]))
		len--;
	if (!len || len % 4)
		return false;
	body = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	for (; body < len; body++)
		if (code[body] != '=' || body + 2 < len)
			return false;
	return true;
}

static const char *resolve_kind(const char *asked)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].asked, asked))
			return kinds[i].kind;
	return NULL;
}

/* Names are returned with their namespace and a slash before it, however they were given. */
static int put_components(const json_t *exec, json_t *document, struct err *err)
{
	json_t *components = json_object_get(exec, "components"), *component, *made = json_array();
	const char *ns = json_string_value(json_object_get(document, "namespace"));
	char own_ns[PATH_NAME_MAX + 1], text[PATH_TEXT_SIZE];
	struct path path;
	size_t i;

	snprintf(own_ns, sizeof(own_ns), "%.*s", (int)strcspn(ns, "/"), ns);
	if (!json_is_array(components))
		json_decref(made);
	if (!json_is_array(components))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "'components' must be defined for sequence kind");
	json_array_foreach(components, i, component) {
		struct err why;
		int r = json_is_string(component) ? path_parse(json_string_value(component), own_ns, &path, &why) :
						     err_set(&why, EINVAL, "a component must be a string");

		if (r < 0) {
			json_decref(made);
			return err_set(err, EINVAL, DOCUMENT_MALFORMED "components: %s", why.text);
		}
		path_full(&path, text);
		json_array_append_new(made, json_sprintf("/%s", text));
	}
	return json_object_set_new(document, "exec", json_pack("{s:s, s:o}", "kind", "sequence", "components", made)) < 0 ? -ENOMEM : 0;
}

static int put_exec(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *exec = json_object_get(request, "exec");
	const char *asked = json_string_value(json_object_get(exec, "kind"));
	json_t *code = json_object_get(exec, "code"), *main_name = json_object_get(exec, "main");
	const char *kind = asked ? resolve_kind(asked) : NULL;
	json_t *made;

	if (!exec && before)
		return json_object_set(document, "exec", json_object_get(before, "exec")) < 0 ? -ENOMEM : 0;
	if (!exec)
		return err_set(err, EINVAL, MALFORMED "exec undefined");
	if (!asked)
		return err_set(err, EINVAL, MALFORMED "'kind' must be a string defined in 'exec'");
	if (!strcmp(asked, "sequence"))
		return put_components(exec, document, err);
	if (!kind)
		return err_set(err, EINVAL, MALFORMED "The specified runtime '%.64s' is not supported by this platform. Valid values are: "
			       "'python:3', 'python:default'", asked);
	if (!json_is_string(code) || (main_name && !json_is_string(main_name)))
		return err_set(err, EINVAL, MALFORMED "'code' must be a string defined in 'exec' for '%s' actions, and 'main' a string", kind);
	if (json_string_length(code) + json_string_length(main_name) > LIMITS_CODE_MAX)
		return err_set(err, EFBIG, "exec larger than allowed: %zu > %u bytes.",
			       json_string_length(code) + json_string_length(main_name), LIMITS_CODE_MAX);
	made = json_pack("{s:s, s:O, s:b}", "kind", kind, "code", code, "binary", action_code_is_binary(json_string_value(code)));
	if (made && main_name)
		json_object_set(made, "main", main_name);
	return json_object_set_new(document, "exec", made) < 0 ? -ENOMEM : 0;
}

/* The resolved kind is an annotation always; whether functions get the key is one from the beginning. */
static int put_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	const char *kind = json_string_value(json_object_get(json_object_get(document, "exec"), "kind"));
	int r = document_put_annotations(request, before, document, err);

	if (r < 0)
		return r;
	if (!before && !document_annotation(document, "provide-api-key"))
		document_annotate(document, "provide-api-key", json_false());
	document_annotate(document, "exec", json_string(kind ? kind : ""));
	return 0;
}

/* A sequence has no parameters but its components, as OpenWhisk stores them. */
static int put_parameters(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *components = json_object_get(json_object_get(document, "exec"), "components");

	if (!components)
		return document_put_parameters(request, before, document, err);
	return json_object_set_new(document, "parameters", json_pack("[{s:s, s:O}]", "key", "_actions", "value", components));
}

static int put_limits(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	struct limits limits = before ? action_limits(before) : limits_default();
	int r = limits_parse(json_object_get(request, "limits"), &limits, err);

	if (r < 0)
		return r;
	return json_object_set_new(document, "limits", limits_json(&limits)) < 0 ? -ENOMEM : 0;
}

static document_step *const put_steps[] = {
	put_exec, put_parameters, put_annotations, put_limits, document_put_version, document_put_publish, NULL
};

int action_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	       struct err *err)
{
	return document_make(put_steps, request, before, ns, name, now_ms, ret, err);
}

bool action_is_sequence(const json_t *document)
{
	return json_object_get(json_object_get(document, "exec"), "components");
}

json_t *action_without_code(const json_t *document)
{
	json_t *form = json_copy((json_t *)document);
	json_t *exec = json_copy(json_object_get(document, "exec"));

	json_object_del(exec, "code");
	if (form)
		json_object_set_new(form, "exec", exec);
	return form;
}

json_t *action_summary(const json_t *document)
{
	json_t *binary = json_object_get(json_object_get(document, "exec"), "binary");
	json_t *form = json_copy((json_t *)document);

	if (form) {
		json_object_del(form, "parameters");
		json_object_set_new(form, "exec", json_pack("{s:b}", "binary", json_is_true(binary)));
	}
	return form;
}

struct limits action_limits(const json_t *document)
{
	struct limits limits = limits_default();

	(void)limits_parse(json_object_get(document, "limits"), &limits, NULL);	/* was checked by put */
	return limits;
}

json_t *action_runtimes(void)
{
	return json_pack("{s:[{s:s, s:s, s:b, s:b, s:b, s:b}]}", "python", "kind", "python:3", "image", "squeezy/python3", "deprecated", 0,
			 "default", 1, "attached", 0, "requireMain", 0);
}
