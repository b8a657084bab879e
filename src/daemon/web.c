// SPDX-License-Identifier: Apache-2.0
#include "daemon/web.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "daemon/document.h"
#include "daemon/http.h"
#include "daemon/resolve.h"
#include "daemon/web-internal.h"

#define NOT_ALLOWED "Request defines parameters that are not allowed (e.g., reserved properties)."

static const char *const reserved[] = { "__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body" };

static const struct {
	const char *suffix;
	enum web_extension extension;
} extensions[] = {
	{ ".http", WEB_HTTP }, { ".json", WEB_JSON }, { ".html", WEB_HTML }, { ".svg", WEB_SVG }, { ".text", WEB_TEXT },
};

int web_fail(struct web_fault *fault, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	fault->status = status;
	return -EINVAL;
}

bool web_type_is(const char *type, const char *wanted)
{
	size_t len = strlen(wanted);

	return type && !strncasecmp(type, wanted, len) && (!type[len] || strchr("; \t", type[len]));
}

bool web_type_is_json(const char *type)
{
	size_t len = type ? strcspn(type, "; \t") : 0;

	return web_type_is(type, "application/json") || (len > 5 && !strncasecmp(type + len - 5, "+json", 5));
}

bool web_type_is_binary(const char *type)
{
	static const char *const text[] = { "application/javascript", "application/xml", "application/x-www-form-urlencoded", "image/svg+xml" };
	size_t len = type ? strcspn(type, "; \t") : 0;

	if (!type || !strncasecmp(type, "text/", 5) || web_type_is_json(type) || (len > 4 && !strncasecmp(type + len - 4, "+xml", 4)))
		return false;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		if (web_type_is(type, text[i]))
			return false;
	return true;
}

enum web_extension web_cut_extension(char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		size_t suffix = strlen(extensions[i].suffix);

		if (len <= suffix || strcmp(name + len - suffix, extensions[i].suffix))
			continue;
		name[len - suffix] = '\0';
		return extensions[i].extension;
	}
	return WEB_HTTP;
}

static bool is_set(const struct resolved *action, const char *annotation)
{
	return json_is_true(document_annotation(action->document, annotation));
}

bool web_custom_options(const struct resolved *action)
{
	return is_set(action, "web-custom-options");
}

/* A secret of the action's own: text, or a number compared as text. */
static bool has_secret(const json_t *wanted, const char *given)
{
	char *text = json_is_string(wanted) ? strdup(json_string_value(wanted)) : json_dumps(wanted, JSON_ENCODE_ANY);
	size_t len = text ? strlen(text) : 0;
	unsigned char differs = !given || strlen(given) != len;

	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)((given && i < strlen(given) ? given[i] : 0) ^ text[i]);
	free(text);
	return !differs;
}

int web_check(const struct resolved *action, const struct web_request *request, struct web_fault *fault)
{
	json_t *wanted = document_annotation(action->document, "require-whisk-auth");
	bool open = !wanted || json_is_false(wanted) || json_is_null(wanted);

	if (!is_set(action, "web-export"))
		return web_fail(fault, 404, "The requested resource does not exist.");
	if (open || (json_is_true(wanted) ? request->user != NULL : has_secret(wanted, request->secret)))
		return 0;
	return web_fail(fault, 401, "The supplied authentication is invalid");
}

/* Fields of a JSON object or of a form; *ret NULL: the body is something else. */
static int body_fields(const struct web_request *request, json_t **ret, struct web_fault *fault)
{
	json_error_t why;
	char *text;

	*ret = NULL;
	if (!request->body_len)
		return 0;
	if (web_type_is_json(request->type)) {
		*ret = json_loadb(request->body, request->body_len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
		if (!*ret)
			return web_fail(fault, 400, DOCUMENT_MALFORMED "%s", why.text);
		if (!json_is_object(*ret)) {
			json_decref(*ret);
			*ret = NULL;
		}
	} else if (web_type_is(request->type, "application/x-www-form-urlencoded")) {
		text = strndup(request->body, request->body_len);
		*ret = text ? http_parse_form(text) : NULL;
		free(text);
		if (!*ret)
			return web_fail(fault, 400, DOCUMENT_MALFORMED "the body is not a form");
	}
	return 0;
}

/* Text as it is where it can be: JSON strings are UTF-8. */
static json_t *body_text(const struct web_request *request, bool encode)
{
	json_t *text = encode ? NULL : json_stringn(request->body, request->body_len);
	char *encoded;

	if (text)
		return text;
	encoded = base64_encode(request->body, request->body_len);
	text = json_string(encoded ? encoded : "");
	free(encoded);
	return text;
}

static int check_names(const struct resolved *action, const json_t *fields, struct web_fault *fault)
{
	json_t *pair;
	size_t i;

	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (json_object_get(fields, reserved[i]))
			return web_fail(fault, 400, NOT_ALLOWED);
	if (!is_set(action, "final"))
		return 0;
	json_array_foreach(action->parameters, i, pair)
		if (json_object_get(fields, json_string_value(json_object_get(pair, "key"))))
			return web_fail(fault, 400, NOT_ALLOWED);
	return 0;
}

static void add_context(json_t *arguments, const struct web_request *request)
{
	json_object_set_new(arguments, "__ow_method", json_string(request->method));
	json_object_set(arguments, "__ow_headers", (json_t *)request->headers);
	json_object_set_new(arguments, "__ow_path", json_string(request->path));
	if (request->user)
		json_object_set_new(arguments, "__ow_user", json_string(request->user));
}

static int raw_arguments(json_t *arguments, const struct web_request *request)
{
	bool encode = web_type_is_binary(request->type) || web_type_is_json(request->type);

	json_object_set_new(arguments, "__ow_query", json_string(request->raw_query));
	json_object_set_new(arguments, "__ow_body", request->body_len ? body_text(request, encode) : json_string(""));
	return 0;
}

static int cooked_arguments(const struct resolved *action, json_t *arguments, const struct web_request *request, struct web_fault *fault)
{
	json_t *fields;
	int r = body_fields(request, &fields, fault);

	if (r == 0)
		r = check_names(action, request->query, fault);
	if (r == 0)
		r = check_names(action, fields, fault);
	if (r == 0) {
		json_object_update(arguments, (json_t *)request->query);
		if (fields)
			json_object_update(arguments, fields);
		else if (request->body_len)
			json_object_set_new(arguments, "__ow_body", body_text(request, web_type_is_binary(request->type)));
	}
	json_decref(fields);
	return r;
}

int web_arguments(const struct resolved *action, const struct web_request *request, json_t **ret, struct web_fault *fault)
{
	json_t *arguments = document_arguments(action->parameters, NULL);
	int r;

	if (is_set(action, "raw-http"))
		r = raw_arguments(arguments, request);
	else
		r = cooked_arguments(action, arguments, request, fault);
	if (r < 0) {
		json_decref(arguments);
		return r;
	}
	add_context(arguments, request);
	*ret = arguments;
	return 0;
}
