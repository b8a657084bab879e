// SPDX-License-Identifier: Apache-2.0
/* From a result to an HTTP answer. The result is a hostile function's: any JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "daemon/web-internal.h"

#define NOT_HTTP	"Response is not valid 'message/http'."
#define WRONG_TYPE	"Response type in header did not match generated content type."

/* Framing and connection are the server's: a function that names them would break the answer. */
static const char *const own_headers[] = { "content-length", "transfer-encoding", "connection", "date" };

void web_response_clear(struct web_response *response)
{
	json_decref(response->headers);
	free(response->type);
	free(response->body);
	*response = (struct web_response){ 0 };
}

static int out_of_memory(struct web_fault *fault)
{
	return web_fail(fault, 500, "The server is out of memory.");
}

/* Steals text. */
static int set_body(struct web_response *ret, const char *type, char *text, size_t len, struct web_fault *fault)
{
	ret->body = text;
	ret->len = len;
	ret->type = strdup(type);
	return text && ret->type ? 0 : out_of_memory(fault);
}

static int set_text(struct web_response *ret, const char *type, const json_t *string, struct web_fault *fault)
{
	size_t len = json_string_length(string);
	char *text = malloc(len + 1);

	if (text)
		memcpy(text, json_string_value(string), len + 1);
	return set_body(ret, type, text, len, fault);
}

static int set_json(struct web_response *ret, const char *type, const json_t *value, struct web_fault *fault)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	return set_body(ret, type, text, text ? strlen(text) : 0, fault);
}

static bool is_header_text(const char *text)
{
	return !text[strcspn(text, "\r\n")];
}

/* One header line; what is the server's is dropped. The media type is kept apart. */
static int add_header(struct web_response *ret, const char *name, const json_t *value, struct web_fault *fault)
{
	char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
	bool own = false;
	int r = 0;

	for (size_t i = 0; i < sizeof(own_headers) / sizeof(own_headers[0]); i++)
		own |= !strcasecmp(name, own_headers[i]);
	if (!text)
		return out_of_memory(fault);
	if (!name[0] || !is_header_text(text) || name[strcspn(name, "\r\n :")]) {
		r = web_fail(fault, 400, NOT_HTTP);
	} else if (!strcasecmp(name, "content-type")) {
		free(ret->type);
		ret->type = text;
		return 0;
	} else if (!own) {
		json_array_append_new(ret->headers, json_pack("[s, s]", name, text));
	}
	free(text);
	return r;
}

static bool is_scalar(const json_t *value)
{
	return json_is_string(value) || json_is_number(value) || json_is_boolean(value);
}

static int add_headers(struct web_response *ret, const json_t *headers, struct web_fault *fault)
{
	const char *name;
	json_t *value, *one;
	size_t i;
	int r = 0;

	if (headers && !json_is_object(headers))
		return web_fail(fault, 400, NOT_HTTP);
	json_object_foreach((json_t *)headers, name, value) {
		if (!is_scalar(value) && !json_is_array(value))
			return web_fail(fault, 400, NOT_HTTP);
		if (r == 0 && is_scalar(value))
			r = add_header(ret, name, value, fault);
		json_array_foreach(value, i, one)
			if (r == 0)
				r = is_scalar(one) ? add_header(ret, name, one, fault) : web_fail(fault, 400, NOT_HTTP);
	}
	return r;
}

/* 0: none given. */
static int status_of(const json_t *code, int *ret, struct web_fault *fault)
{
	long value = json_integer_value(code);
	char *end = NULL;

	*ret = 0;
	if (!code)
		return 0;
	if (json_is_string(code))
		value = strtol(json_string_value(code), &end, 10);
	if ((!json_is_string(code) && !json_is_integer(code)) || (end && (*end || end == json_string_value(code))) || value < 100 || value > 599)
		return web_fail(fault, 400, NOT_HTTP);
	*ret = (int)value;
	return 0;
}

/* A string: as it is, or decoded when the type is a binary one (or, as ever, JSON that looks like base64). */
static int string_body(struct web_response *ret, const json_t *body, struct web_fault *fault)
{
	const char *text = json_string_value(body);
	char *type = ret->type, *decoded = NULL;
	size_t len = 0;
	int r;

	ret->type = NULL;
	if (web_type_is_binary(type) || (web_type_is_json(type) && !strpbrk(text, "{[\"")))
		decoded = base64_decode(text, &len);
	if (decoded)
		r = set_body(ret, type, decoded, len, fault);
	else if (web_type_is_binary(type))
		r = web_fail(fault, 400, WRONG_TYPE);
	else
		r = set_text(ret, type ? type : "text/html; charset=UTF-8", body, fault);
	free(type);
	return r;
}

static int http_body(struct web_response *ret, const json_t *body, struct web_fault *fault)
{
	char *type;
	int r;

	if (!body || json_is_null(body) || (json_is_string(body) && !json_string_length(body))) {
		free(ret->type);
		ret->type = NULL;
		ret->status = ret->status ? ret->status : 204;
		return 0;
	}
	ret->status = ret->status ? ret->status : 200;
	if (json_is_string(body))
		return string_body(ret, body, fault);
	if (ret->type && !web_type_is_json(ret->type))
		return web_fail(fault, 400, WRONG_TYPE);
	type = ret->type;
	ret->type = NULL;
	r = set_json(ret, type ? type : "application/json", body, fault);
	free(type);
	return r;
}

static int render_http(const json_t *result, struct web_response *ret, struct web_fault *fault)
{
	int r;

	if (!json_is_object(result))
		return web_fail(fault, 400, NOT_HTTP);
	r = status_of(json_object_get(result, "statusCode"), &ret->status, fault);
	if (r == 0)
		r = add_headers(ret, json_object_get(result, "headers"), fault);
	return r < 0 ? r : http_body(ret, json_object_get(result, "body"), fault);
}

static int render_json(const json_t *result, struct web_response *ret, struct web_fault *fault)
{
	ret->status = 200;
	if (!json_is_object(result) && !json_is_array(result))
		return web_fail(fault, 400, "Response is not valid 'application/json'.");
	return set_json(ret, "application/json", result, fault);
}

/* The string of one of two fields. */
static int render_field(const json_t *result, const char *field, const char *type, struct web_response *ret, struct web_fault *fault)
{
	json_t *value = json_object_get(result, "body");

	if (!value)
		value = json_object_get(result, field);
	ret->status = 200;
	if (!json_is_string(value))
		return web_fail(fault, 400, "Response is not valid '%s'.", type);
	return set_text(ret, type, value, fault);
}

static int render_text(const json_t *result, struct web_response *ret, struct web_fault *fault)
{
	json_t *value = json_object_get(result, "body");

	if (!value)
		value = json_object_get(result, "text");
	ret->status = 200;
	if (!value)
		return web_fail(fault, 404, "The requested resource does not exist.");
	return json_is_string(value) ? set_text(ret, "text/plain; charset=UTF-8", value, fault) :
				       set_json(ret, "text/plain; charset=UTF-8", value, fault);
}

int web_render(enum web_extension extension, const json_t *result, struct web_response *ret, struct web_fault *fault)
{
	int r = -EINVAL;

	*ret = (struct web_response){ .headers = json_array() };
	switch (extension) {
	case WEB_HTTP:
		r = render_http(result, ret, fault);
		break;
	case WEB_JSON:
		r = render_json(result, ret, fault);
		break;
	case WEB_HTML:
		r = render_field(result, "html", "text/html; charset=UTF-8", ret, fault);
		break;
	case WEB_SVG:
		r = render_field(result, "svg", "image/svg+xml", ret, fault);
		break;
	case WEB_TEXT:
		r = render_text(result, ret, fault);
		break;
	}
	if (r < 0)
		web_response_clear(ret);
	return r;
}
