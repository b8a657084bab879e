// SPDX-License-Identifier: Apache-2.0
#include "daemon/http.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/base64.h"

#define HEADERS_MAX	(32 << 10)
#define URI_MAX		8192
#define BODY_MAX	(50 << 20)
#define IDLE_S		70		/* OpenWhisk's: longer than the longest blocking call */
#define ACCEPT_PAUSE_MS	200
#define SEGMENTS_MAX	4
#define TRANSACTION_MAX	128

struct http_server {
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	struct http_config config;
	char *credentials;	/* base64 of the key */
	uint16_t port;
};

struct http_request {
	struct http_server *server;
	struct evhttp_request *ev;	/* NULL once the client is gone */
	struct evkeyvalq query;
	char *segments[SEGMENTS_MAX];
	unsigned int n_segments;
	char transaction[TRANSACTION_MAX + 1];
};

static const struct {
	enum http_method method;
	enum evhttp_cmd_type type;
} methods[] = {
	{ HTTP_GET, EVHTTP_REQ_GET }, { HTTP_PUT, EVHTTP_REQ_PUT }, { HTTP_POST, EVHTTP_REQ_POST }, { HTTP_DELETE, EVHTTP_REQ_DELETE },
};

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 202, "Accepted" }, { 204, "No Content" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 409, "Conflict" }, { 413, "Payload Too Large" }, { 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" }, { 429, "Too Many Requests" }, { 500, "Internal Server Error" }, { 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

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

void http_set_header(struct http_request *request, const char *name, const char *value)
{
	if (request->ev)
		evhttp_add_header(evhttp_request_get_output_headers(request->ev), name, value);
}

static void on_client_gone(struct evhttp_connection *connection, void *arg)
{
	struct http_request *request = arg;

	request->ev = NULL;
}

static void free_request(struct http_request *request)
{
	if (request->ev)
		evhttp_connection_set_closecb(evhttp_request_get_connection(request->ev), NULL, NULL);
	evhttp_clear_headers(&request->query);
	for (unsigned int i = 0; i < request->n_segments; i++)
		free(request->segments[i]);
	free(request);
}

/* Sends text (may be NULL) and ends the request. */
static void send_text(struct http_request *request, int status, const char *type, const char *text)
{
	struct evhttp_request *ev = request->ev;
	struct evbuffer *body = ev ? evbuffer_new() : NULL;

	http_set_header(request, "Content-Type", type);
	http_set_header(request, "X-Request-ID", request->transaction);
	http_set_header(request, "Access-Control-Allow-Origin", "*");
	free_request(request);
	if (!ev)
		return;
	if (body && text)
		evbuffer_add(body, text, strlen(text));
	evhttp_send_reply(ev, status, reason_of(status), body);
	if (body)
		evbuffer_free(body);
}

void http_reply(struct http_request *request, int status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(json);
	if (text)
		send_text(request, status, "application/json", text);
	else
		send_text(request, 500, "application/json", "{\"error\":\"The server is out of memory.\",\"code\":\"none\"}");
	free(text);
}

void http_reply_text(struct http_request *request, int status, const char *text)
{
	send_text(request, status, "text/plain; charset=UTF-8", text);
}

void http_reply_error(struct http_request *request, int status, const char *fmt, ...)
{
	char text[1024];
	json_t *said;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	said = json_string(text);
	http_reply(request, status, json_pack("{s:o, s:s}", "error", said ? said : json_string("(not UTF-8)"), "code", request->transaction));
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

/* Compares all of it always, so that time tells nothing about how much was right. */
static bool equal_constant_time(const char *given, const char *secret)
{
	size_t given_len = strlen(given), len = strlen(secret);
	unsigned char differs = given_len != len;

	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)((i < given_len ? given[i] : 0) ^ secret[i]);
	return !differs;
}

static bool is_authorized(struct http_request *request)
{
	const char *given = evhttp_find_header(evhttp_request_get_input_headers(request->ev), "Authorization");

	if (!given || strncasecmp(given, "Basic ", 6))
		return false;
	given += 6;
	given += strspn(given, " ");
	return equal_constant_time(given, request->server->credentials);
}

static void take_transaction(struct http_request *request)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789aB";
	const char *given = evhttp_find_header(evhttp_request_get_input_headers(request->ev), "X-Request-ID");
	size_t len = given ? strlen(given) : 0, i;
	unsigned char bytes[32] = { 0 };

	for (i = 0; i < len && isgraph((unsigned char)given[i]); i++)
		;
	if (len && len <= TRANSACTION_MAX && i == len && strncmp(given, "sid_", 4)) {
		memcpy(request->transaction, given, len + 1);
		return;
	}
	(void)!getrandom(bytes, sizeof(bytes), 0);
	for (i = 0; i < sizeof(bytes); i++)
		request->transaction[i] = alphabet[bytes[i] % 64];
}

/* One segment of both paths: takes it into the request when the pattern's is "{}". False when they differ. */
static bool match_segment(struct http_request *request, const char *pattern, size_t pattern_len, const char *path, size_t len)
{
	char *raw, *decoded;
	size_t decoded_len;

	if (pattern_len != 2 || strncmp(pattern, "{}", 2))
		return pattern_len == len && !strncmp(pattern, path, len);
	if (!len || request->n_segments == SEGMENTS_MAX)
		return false;
	raw = strndup(path, len);
	decoded = raw ? evhttp_uridecode(raw, 0, &decoded_len) : NULL;
	free(raw);
	if (!decoded || strlen(decoded) != decoded_len) {	/* %00 */
		free(decoded);
		return false;
	}
	request->segments[request->n_segments++] = decoded;
	return true;
}

static bool match_path(struct http_request *request, const char *pattern, const char *path)
{
	while (request->n_segments)
		free(request->segments[--request->n_segments]);
	for (;;) {
		size_t pattern_len, len;

		pattern += strspn(pattern, "/");
		path += strspn(path, "/");
		if (!*pattern || !*path)
			return !*pattern && !*path;
		pattern_len = strcspn(pattern, "/");
		len = strcspn(path, "/");
		if (!match_segment(request, pattern, pattern_len, path, len))
			return false;
		pattern += pattern_len;
		path += len;
	}
}

static enum http_method method_of(struct evhttp_request *ev)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].type == evhttp_request_get_command(ev))
			return methods[i].method;
	return 0;
}

static void answer_options(struct http_request *request)
{
	http_set_header(request, "Access-Control-Allow-Headers", "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent");
	http_set_header(request, "Access-Control-Allow-Methods", "GET, DELETE, POST, PUT, HEAD");
	http_reply_text(request, 200, "");
}

static void refuse_key(struct http_request *request)
{
	http_set_header(request, "WWW-Authenticate", "Basic realm=\"OpenWhisk secure realm\"");
	http_reply_error(request, 401, "The supplied authentication is invalid");
}

static void route(struct http_request *request, const char *path)
{
	const struct http_config *config = &request->server->config;
	enum http_method method = method_of(request->ev);
	bool known = false;

	for (const struct http_route *r = config->routes; r->path; r++) {
		if (!match_path(request, r->path, path))
			continue;
		known = true;
		if (evhttp_request_get_command(request->ev) == EVHTTP_REQ_OPTIONS) {
			answer_options(request);
			return;
		}
		if (r->method != method)
			continue;
		if (!r->open && !is_authorized(request))
			refuse_key(request);
		else
			r->handle(config->arg, request);
		return;
	}
	if (known)
		http_reply_error(request, 405, "HTTP method not allowed for this path.");
	else
		http_reply_error(request, 404, "The requested resource does not exist.");
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
	struct http_request *request = calloc(1, sizeof(*request));
	const char *path, *query;

	if (!request) {
		evhttp_send_reply(ev, 500, reason_of(500), NULL);
		return;
	}
	request->server = arg;
	request->ev = ev;
	TAILQ_INIT(&request->query);
	evhttp_connection_set_closecb(evhttp_request_get_connection(ev), on_client_gone, request);
	take_transaction(request);
	path = uri ? evhttp_uri_get_path(uri) : NULL;
	query = uri ? evhttp_uri_get_query(uri) : NULL;
	if (strlen(evhttp_request_get_uri(ev)) > URI_MAX)
		http_reply_error(request, 414, "The request's URI is longer than %d bytes.", URI_MAX);
	else if (!path || (query && evhttp_parse_query_str(query, &request->query) < 0))
		http_reply_error(request, 400, "The request's URI is malformed.");
	else
		route(request, path);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	evconnlistener_enable(arg);
}

/*
 * No descriptor for another client: the next try would fail at once, and again, so listening pauses; clients wait in the backlog. arg is
 * evhttp's, therefore the timer holds the listener, which lives as long as the loop runs.
 */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct timeval after = { .tv_usec = ACCEPT_PAUSE_MS * 1000 };
	int code = EVUTIL_SOCKET_ERROR();
	static bool told;

	if (!told)
		log_warning("cannot take more clients: %s (said once)", strerror(code));
	told = true;
	evconnlistener_disable(listener);
	event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_resume, listener, &after);
}

static int listen_on(struct http_server *server, struct err *err)
{
	const struct http_config *config = &server->config;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	errno = 0;
	server->socket = evhttp_bind_socket_with_handle(server->http, config->address, config->port);
	if (!server->socket)
		return err_set(err, errno ? errno : EADDRNOTAVAIL, "cannot listen on %s port %u: %s%s", config->address, config->port,
			       errno ? strerror(errno) : "no such address here",
			       errno == EADDRINUSE ? "; another program listens there, end it or give --listen another port" : "");
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(server->socket), on_accept_error);
	if (getsockname(evhttp_bound_socket_get_fd(server->socket), (struct sockaddr *)&name, &len) < 0)
		return err_set(err, errno, "getsockname: %s", strerror(errno));
	server->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port : ((struct sockaddr_in *)&name)->sin_port);
	return 0;
}

int http_new(struct event_base *base, const struct http_config *config, struct http_server **ret, struct err *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return err_set(err, ENOMEM, "out of memory");
	server->config = *config;
	server->credentials = base64_encode(config->key, strlen(config->key));
	server->http = evhttp_new(base);
	if (!server->http || !server->credentials) {
		http_free(server);
		return err_set(err, ENOMEM, "out of memory");
	}
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, BODY_MAX);
	evhttp_set_timeout(server->http, IDLE_S);
	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
				   EVHTTP_REQ_HEAD | EVHTTP_REQ_PATCH);
	evhttp_set_gencb(server->http, on_request, server);
	r = listen_on(server, err);
	if (r < 0) {
		http_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

void http_free(struct http_server *server)
{
	if (!server)
		return;
	if (server->http)
		evhttp_free(server->http);
	free(server->credentials);
	free(server);
}

uint16_t http_port(const struct http_server *server)
{
	return server->port;
}
