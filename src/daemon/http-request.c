// SPDX-License-Identifier: Apache-2.0
/* Looking at a request: what it asks for, with what, and who asks. */
#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "daemon/http-internal.h"
#include "daemon/identity.h"

static const struct {
	enum http_method method;
	enum evhttp_cmd_type type;
} methods[] = {
	{ HTTP_GET, EVHTTP_REQ_GET }, { HTTP_PUT, EVHTTP_REQ_PUT }, { HTTP_POST, EVHTTP_REQ_POST }, { HTTP_DELETE, EVHTTP_REQ_DELETE },
	{ HTTP_HEAD, EVHTTP_REQ_HEAD }, { HTTP_PATCH, EVHTTP_REQ_PATCH }, { HTTP_OPTIONS, EVHTTP_REQ_OPTIONS },
};

const char *http_segment(const struct http_request *request, unsigned int index)
{
	return index < request->n_segments ? request->segments[index] : "";
}

const char *http_query(const struct http_request *request, const char *key)
{
	return evhttp_find_header(&request->query, key);
}

const char *http_transaction(const struct http_request *request)
{
	return request->transaction;
}

int http_query_bool(struct http_request *request, const char *key, bool *ret)
{
	static const struct { const char *word; bool value; } words[] = {
		{ "true", true }, { "false", false }, { "yes", true }, { "no", false }, { "on", true }, { "off", false }, { "1", true },
		{ "0", false },
	};
	const char *text = http_query(request, key);

	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(words[i].word, text))
			continue;
		*ret = words[i].value;
		return 0;
	}
	http_reply_error(request, 400, "The query parameter '%s' was malformed:\n'%.40s' is not a valid Boolean value", key, text);
	return -EINVAL;
}

int http_number(const char *text, int64_t *ret)
{
	long long value;
	char *end;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int http_query_int(struct http_request *request, const char *key, int64_t least, int64_t most, int64_t *ret)
{
	const char *text = http_query(request, key);
	int64_t value;

	if (!text)
		return 0;
	if (http_number(text, &value) < 0) {
		http_reply_error(request, 400, "The query parameter '%s' was malformed:\n'%.40s' is not a number", key, text);
		return -EINVAL;
	}
	if (value < least || value > most) {
		http_reply_error(request, 400, "The query parameter '%s' was malformed:\nThe value '%lld' is not in the range of %lld to %lld.",
				 key, (long long)value, (long long)least, (long long)most);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

int http_query_range(struct http_request *request, const char *key, const char *collection, int64_t most, int64_t *ret)
{
	const char *text = http_query(request, key);
	int64_t value;

	if (!text)
		return 0;
	if (http_number(text, &value) < 0)
		http_reply_error(request, 400, "The query parameter '%s' was malformed:\n'%.40s' is not a number", key, text);
	else if (value < 0 || value > most)
		http_reply_error(request, 400, "The query parameter '%s' was malformed:\nThe value '%lld' is not in the range of 0 to %lld for "
				 "%s.", key, (long long)value, (long long)most, collection);
	else {
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

static bool is_json_type(const char *type)
{
	return type && !strncasecmp(type, "application/json", 16) && (!type[16] || type[16] == ';' || type[16] == ' ');
}

int http_body_object(struct http_request *request, size_t most, json_t **ret)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(request->ev);
	const char *type = evhttp_find_header(evhttp_request_get_input_headers(request->ev), "Content-Type");
	size_t len = evbuffer_get_length(input);
	json_error_t why;
	json_t *json;

	*ret = NULL;
	if (!len)
		return 0;
	if (len > most)
		http_reply_error(request, 413, "Request larger than allowed: %zu > %zu bytes.", len, most);
	else if (!is_json_type(type))
		http_reply_error(request, 415, "The request's Content-Type is not supported. Expected: application/json");
	else if (!(json = json_loadb((const char *)evbuffer_pullup(input, -1), len, JSON_ALLOW_NUL, &why)))
		http_reply_error(request, 400, "The request content was malformed:\n%s (line %d, column %d)", why.text, why.line, why.column);
	else if (!json_is_object(json)) {
		json_decref(json);
		http_reply_error(request, 400, "The request content was malformed:\nObject expected in JSON body");
	} else {
		*ret = json;
		return 0;
	}
	return -EINVAL;
}

static const char *credentials_of(const struct http_request *request)
{
	const char *given = http_header(request, "Authorization");

	if (!given || strncasecmp(given, "Basic ", 6))
		return NULL;
	given += 6;
	return given + strspn(given, " ");
}

const struct identity *http_identity(struct http_request *request)
{
	const char *given = credentials_of(request);
	char *credentials;
	size_t len;

	if (request->identity || !given)
		return request->identity;
	credentials = base64_decode(given, &len);
	if (credentials && strlen(credentials) == len)
		request->identity = identities_check(request->server->config.identities, credentials);
	if (credentials)
		explicit_bzero(credentials, len);
	free(credentials);
	return request->identity;
}

const char *http_header(const struct http_request *request, const char *name)
{
	return request->ev ? evhttp_find_header(evhttp_request_get_input_headers(request->ev), name) : NULL;
}

const char *http_raw_query(const struct http_request *request)
{
	const struct evhttp_uri *uri = request->ev ? evhttp_request_get_evhttp_uri(request->ev) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;

	return query ? query : "";
}

const char *http_body(const struct http_request *request, size_t *ret_len)
{
	struct evbuffer *input = request->ev ? evhttp_request_get_input_buffer(request->ev) : NULL;

	*ret_len = input ? evbuffer_get_length(input) : 0;
	return *ret_len ? (const char *)evbuffer_pullup(input, -1) : "";
}

/* A value that is not UTF-8 is not JSON's: it is left out. */
static json_t *object_of(const struct evkeyvalq *list, bool lower)
{
	json_t *object = json_object();
	const struct evkeyval *pair;
	char name[256];

	TAILQ_FOREACH(pair, list, next) {
		size_t i = 0;

		for (; pair->key[i] && i < sizeof(name) - 1; i++)
			name[i] = lower ? (char)tolower((unsigned char)pair->key[i]) : pair->key[i];
		name[i] = '\0';
		json_object_set_new(object, lower ? name : pair->key, json_string(pair->value));
	}
	return object;
}

json_t *http_headers(const struct http_request *request)
{
	return request->ev ? object_of(evhttp_request_get_input_headers(request->ev), true) : json_object();
}

json_t *http_query_object(const struct http_request *request)
{
	return object_of(&request->query, false);
}

json_t *http_parse_form(const char *text)
{
	struct evkeyvalq list = TAILQ_HEAD_INITIALIZER(list);
	json_t *object = NULL;

	if (!*text)
		return json_object();
	if (evhttp_parse_query_str(text, &list) == 0)
		object = object_of(&list, false);
	evhttp_clear_headers(&list);
	return object;
}

enum http_method http_method(const struct http_request *request)
{
	for (size_t i = 0; request->ev && i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].type == evhttp_request_get_command(request->ev))
			return methods[i].method;
	return 0;
}
