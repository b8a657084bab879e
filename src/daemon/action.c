// SPDX-License-Identifier: Apache-2.0
#include "daemon/action.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define MALFORMED "The request content was malformed:\n"

/* Kinds we run, by the name a request may give. */
static const struct {
	const char *asked;
	const char *kind;
} kinds[] = {
	{ "python:3", "python:3" },
	{ "python:default", "python:3" },
};

bool action_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > 256)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool word = isalnum(c) || c == '_';

		if (word || (i > 0 && c && strchr("@.&-", c)) || (i > 0 && i + 1 < len && c == ' '))
			continue;
		return false;
	}
	return true;
}

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

static int check_pairs(const json_t *pairs, const char *field, struct err *err)
{
	json_t *pair;
	size_t i;
	char *text;
	size_t len;

	if (!json_is_array(pairs))
		return err_set(err, EINVAL, MALFORMED "%s must be an array of {\"key\", \"value\"}", field);
	json_array_foreach(pairs, i, pair)
		if (!json_is_string(json_object_get(pair, "key")) || !json_object_get(pair, "value"))
			return err_set(err, EINVAL, MALFORMED "%s must be an array of {\"key\", \"value\"}", field);
	text = json_dumps(pairs, JSON_COMPACT);
	len = text ? strlen(text) : 0;
	free(text);
	if (len > LIMITS_PARAMETERS_MAX)
		return err_set(err, EFBIG, "%s larger than allowed: %zu > %u bytes.", field, len, LIMITS_PARAMETERS_MAX);
	return 0;
}

static int put_parameters(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "parameters");
	json_t *kept = json_object_get(before, "parameters");
	int r;

	if (given) {
		r = check_pairs(given, "parameters", err);
		return r < 0 ? r : json_object_set(document, "parameters", given);
	}
	return kept ? json_object_set(document, "parameters", kept) : json_object_set_new(document, "parameters", json_array());
}

static void remove_pair(json_t *pairs, const char *key)
{
	for (size_t i = json_array_size(pairs); i-- > 0;) {
		const char *have = json_string_value(json_object_get(json_array_get(pairs, i), "key"));

		if (have && !strcmp(have, key))
			json_array_remove(pairs, i);
	}
}

static json_t *find_pair(const json_t *pairs, const char *key)
{
	json_t *pair;
	size_t i;

	json_array_foreach(pairs, i, pair) {
		const char *have = json_string_value(json_object_get(pair, "key"));

		if (have && !strcmp(have, key))
			return json_object_get(pair, "value");
	}
	return NULL;
}

json_t *action_annotation(const json_t *document, const char *key)
{
	return find_pair(json_object_get(document, "annotations"), key);
}

static int put_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "annotations"), *dropped = json_object_get(request, "delAnnotations");
	json_t *merged = before ? json_copy(json_object_get(before, "annotations")) : json_array(), *pair;
	const char *kind = json_string_value(json_object_get(json_object_get(document, "exec"), "kind"));
	size_t i;
	int r;

	json_object_set_new(document, "annotations", merged);
	if (given) {
		r = check_pairs(given, "annotations", err);
		if (r < 0)
			return r;
	}
	json_array_foreach(dropped, i, pair)
		if (json_is_string(pair))
			remove_pair(merged, json_string_value(pair));
	json_array_foreach(given, i, pair) {
		remove_pair(merged, json_string_value(json_object_get(pair, "key")));
		json_array_append(merged, pair);
	}
	if (!before && !find_pair(merged, "provide-api-key"))
		json_array_append_new(merged, json_pack("{s:s, s:b}", "key", "provide-api-key", "value", 0));
	remove_pair(merged, "exec");
	return json_array_append_new(merged, json_pack("{s:s, s:s}", "key", "exec", "value", kind ? kind : "")) < 0 ? -ENOMEM : 0;
}

static int put_version(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "version");
	unsigned int major, minor, patch;
	char text[48], rest;

	if (given) {
		if (!json_is_string(given) || sscanf(json_string_value(given), "%9u.%9u.%9u%c", &major, &minor, &patch, &rest) != 3)
			return err_set(err, EINVAL, MALFORMED "version must be three numbers: major.minor.patch");
	} else if (before && sscanf(json_string_value(json_object_get(before, "version")), "%u.%u.%u", &major, &minor, &patch) == 3) {
		patch++;
	} else {
		major = minor = 0;
		patch = 1;
	}
	snprintf(text, sizeof(text), "%u.%u.%u", major, minor, patch);
	return json_object_set_new(document, "version", json_string(text)) < 0 ? -ENOMEM : 0;
}

static int put_limits(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	struct limits limits = before ? action_limits(before) : limits_default();
	int r = limits_parse(json_object_get(request, "limits"), &limits, err);

	if (r < 0)
		return r;
	return json_object_set_new(document, "limits", limits_json(&limits)) < 0 ? -ENOMEM : 0;
}

static int put_publish(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "publish");
	bool publish = given ? json_is_true(given) : json_is_true(json_object_get(before, "publish"));

	return json_object_set_new(document, "publish", json_boolean(publish)) < 0 ? -ENOMEM : 0;
}

typedef int put_fn(const json_t *request, const json_t *before, json_t *document, struct err *err);
static put_fn *const put_steps[] = { put_exec, put_parameters, put_annotations, put_limits, put_version, put_publish };

int action_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	       struct err *err)
{
	json_t *document = json_pack("{s:s, s:s, s:I}", "namespace", ns, "name", name, "updated", (json_int_t)now_ms);
	int r = document ? 0 : -ENOMEM;

	if (err)
		err->code = 0;
	for (size_t i = 0; r == 0 && i < sizeof(put_steps) / sizeof(put_steps[0]); i++)
		r = put_steps[i](request, before, document, err);
	if (r < 0) {
		json_decref(document);
		return err && err->code ? r : err_set(err, ENOMEM, "out of memory");
	}
	*ret = document;
	return 0;
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

json_t *action_arguments(const json_t *document, const json_t *body)
{
	json_t *arguments = json_object(), *pair;
	size_t i;

	json_array_foreach(json_object_get(document, "parameters"), i, pair)
		json_object_set(arguments, json_string_value(json_object_get(pair, "key")), json_object_get(pair, "value"));
	if (body)
		json_object_update(arguments, (json_t *)body);
	return arguments;
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
