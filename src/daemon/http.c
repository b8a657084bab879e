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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/http-internal.h"
#include "daemon/identity.h"

#define HEADERS_MAX	(32 << 10)
#define URI_MAX		8192
#define BODY_MAX	(50 << 20)
#define IDLE_S		70		/* OpenWhisk's: longer than the longest blocking call */
#define ACCEPT_PAUSE_MS	200

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 202, "Accepted" }, { 204, "No Content" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 409, "Conflict" }, { 413, "Payload Too Large" }, { 414, "URI Too Long" },
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

void http_no_cors(struct http_request *request)
{
	request->no_cors = true;
}

void http_reply_bytes(struct http_request *request, int status, const char *type, const char *bytes, size_t len)
{
	struct evhttp_request *ev = request->ev;
	struct evbuffer *body = ev ? evbuffer_new() : NULL;

	if (type)
		http_set_header(request, "Content-Type", type);
	http_set_header(request, "X-Request-ID", request->transaction);
	if (!request->no_cors)
		http_set_header(request, "Access-Control-Allow-Origin", "*");
	free_request(request);
	if (!ev)
		return;
	if (body && len)
		evbuffer_add(body, bytes, len);
	evhttp_send_reply(ev, status, reason_of(status), body);
	if (body)
		evbuffer_free(body);
}

static void send_text(struct http_request *request, int status, const char *type, const char *text)
{
	http_reply_bytes(request, status, type, text, strlen(text));
}

void http_reply_empty(struct http_request *request, int status)
{
	http_reply_bytes(request, status, NULL, NULL, 0);
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

/* One segment of both paths: takes it into the request when the pattern's is "{NAME}". False when they differ. */
static bool match_segment(struct http_request *request, const char *pattern, size_t pattern_len, const char *path, size_t len)
{
	char *raw, *decoded;
	size_t decoded_len;

	if (*pattern != '{')
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

static bool take_rest(struct http_request *request, const char *rest)
{
	char *copy = request->n_segments < SEGMENTS_MAX ? strdup(rest) : NULL;

	if (copy)
		request->segments[request->n_segments++] = copy;
	return copy;
}

static bool match_path(struct http_request *request, const char *pattern, const char *path)
{
	while (request->n_segments)
		free(request->segments[--request->n_segments]);
	for (;;) {
		size_t pattern_len, len, slashes = strspn(path, "/"), wanted = strspn(pattern, "/");

		pattern += wanted;
		if (!strcmp(pattern, "{*}"))
			return take_rest(request, path);
		path += slashes;
		if (!*pattern || !*path)
			return !*pattern && !*path && (!wanted || slashes);
		pattern_len = strcspn(pattern, "/");
		len = strcspn(path, "/");
		if (!match_segment(request, pattern, pattern_len, path, len))
			return false;
		pattern += pattern_len;
		path += len;
	}
}

static void answer_options(struct http_request *request)
{
	http_set_header(request, "Access-Control-Allow-Headers", "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent");
	http_set_header(request, "Access-Control-Allow-Methods", "GET, DELETE, POST, PUT, HEAD");
	http_reply_text(request, 200, "");
}

void http_refuse_key(struct http_request *request)
{
	http_set_header(request, "WWW-Authenticate", "Basic realm=\"OpenWhisk secure realm\"");
	http_reply_error(request, 401, "The supplied authentication is invalid");
}

static unsigned int right_of(const struct http_route *route, enum http_method method)
{
	if (route->access == HTTP_ADMIN)
		return RIGHT_ADMIN;
	switch (method) {
	case HTTP_PUT:
		return RIGHT_PUT;
	case HTTP_DELETE:
		return RIGHT_DELETE;
	case HTTP_POST:
		return RIGHT_ACTIVATE;
	default:
		return RIGHT_READ;
	}
}

/* False: the request has been answered. */
static bool admit(struct http_request *request, const struct http_route *route, enum http_method method)
{
	const struct identity *identity;

	if (route->access == HTTP_OPEN)
		return true;
	identity = http_identity(request);
	if (!identity)
		http_refuse_key(request);
	else if (!(identity->rights & right_of(route, method)))
		http_reply_error(request, 403, "The supplied authentication is not authorized to access '%.256s%s%.256s'.",
				 request->n_segments ? request->segments[0] : "this", request->n_segments > 1 ? "/" : "",
				 request->n_segments > 1 ? request->segments[1] : "");
	else
		return true;
	return false;
}

static void route(struct http_request *request, const char *path)
{
	const struct http_config *config = &request->server->config;
	enum http_method method = http_method(request);
	bool known = false;

	for (const struct http_route *r = config->routes; r->path; r++) {
		if (!match_path(request, r->path, path))
			continue;
		known = true;
		if (method == HTTP_OPTIONS && !(r->methods & HTTP_OPTIONS)) {
			answer_options(request);
			return;
		}
		if (!(r->methods & method))
			continue;
		if (admit(request, r, method))
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

/* A daemon that was killed leaves its socket; nothing else is removed. */
static int clear_path(const struct sockaddr_un *name, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (lstat(name->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "socket %s: %s", name->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EEXIST, "socket %s: what is there is no socket; remove it or give --socket another path", name->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno == EAGAIN))
		return err_set(err, EADDRINUSE, "socket %s: another program listens there; end it or give --socket another path", name->sun_path);
	if (unlink(name->sun_path) < 0 && errno != ENOENT)
		return err_set(err, errno, "socket %s: %s", name->sun_path, strerror(errno));
	return 0;
}

/* For clients of this machine that must not depend on a port; evhttp closes it. */
static int listen_on_path(struct http_server *server, struct err *err)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd, r;

	if (!server->config.socket)
		return 0;
	if (strlen(server->config.socket) >= sizeof(name.sun_path))
		return err_set(err, ENAMETOOLONG, "socket %s: the path is longer than %zu bytes", server->config.socket,
			       sizeof(name.sun_path) - 1);
	strcpy(name.sun_path, server->config.socket);
	r = clear_path(&name, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || chmod(name.sun_path, 0600) < 0 ||
	    listen(fd, 128) < 0 || evhttp_accept_socket(server->http, fd) < 0) {
		int code = errno ? errno : EIO;

		if (fd >= 0)
			close(fd);
		return err_set(err, code, "socket %s: %s", server->config.socket, strerror(code));
	}
	server->has_path = true;
	return 0;
}

int http_new(struct event_base *base, const struct http_config *config, struct http_server **ret, struct err *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return err_set(err, ENOMEM, "out of memory");
	server->config = *config;
	server->http = evhttp_new(base);
	if (!server->http) {
		http_free(server);
		return err_set(err, ENOMEM, "out of memory");
	}
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, BODY_MAX);
	evhttp_set_default_content_type(server->http, NULL);
	evhttp_set_timeout(server->http, IDLE_S);
	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
				   EVHTTP_REQ_HEAD | EVHTTP_REQ_PATCH);
	evhttp_set_gencb(server->http, on_request, server);
	r = listen_on(server, err);
	if (r == 0)
		r = listen_on_path(server, err);
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
	if (server->has_path)
		(void)unlink(server->config.socket);
	free(server);
}

uint16_t http_port(const struct http_server *server)
{
	return server->port;
}
