// SPDX-License-Identifier: Apache-2.0
#include "h2/server.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/bytes.h"
#include "base/err.h"
#include "h2/conn.h"

#define HEADERS_MAX 32

struct header {
	char *name;
	char *value;
};

/* One request. nghttp2's stream and the callee each hold it until they are through; queued = whole, not handed over yet. */
struct h2_call {
	TAILQ_ENTRY(h2_call) entry;
	struct h2_server *server;	/* NULL once the stream is gone */
	int32_t stream_id;
	bool queued;
	bool handed;
	bool answered;
	char *method;
	char *path;
	struct header headers[HEADERS_MAX];
	size_t n_headers;
	size_t headers_size;
	struct bytes body;
	char *answer;
	size_t answer_len;
	size_t answer_sent;
};

TAILQ_HEAD(calls, h2_call);

struct h2_server {
	struct h2_conn conn;
	struct calls calls;
	const struct h2_server_ops *ops;
	void *userdata;
	size_t body_total;
	bool told_closed;
	bool delivering;	/* callbacks are running: h2_server_free() only sets doomed */
	bool doomed;
};

static void call_free(struct h2_call *call)
{
	for (size_t i = 0; i < call->n_headers; i++) {
		free(call->headers[i].name);
		free(call->headers[i].value);
	}
	free(call->method);
	free(call->path);
	bytes_clear(&call->body);
	free(call->answer);
	free(call);
}

/* The stream is gone. Frees the call unless the callee holds it. */
static void call_detach(struct h2_call *call)
{
	call->server->body_total -= call->body.len;
	TAILQ_REMOVE(&call->server->calls, call, entry);
	call->server = NULL;
	if (!call->handed || call->answered)
		call_free(call);
}

static void server_destroy(struct h2_server *server)
{
	h2_conn_stop(&server->conn);
	free(server);
}

static void detach_all(struct h2_server *server)
{
	struct h2_call *call;

	while ((call = TAILQ_FIRST(&server->calls)))
		call_detach(call);
}

static struct h2_call *next_queued(struct h2_server *server)
{
	struct h2_call *call;

	TAILQ_FOREACH(call, &server->calls, entry) {
		if (call->queued)
			return call;
	}
	return NULL;
}

static bool server_deliver(struct h2_conn *conn)
{
	struct h2_server *server = (struct h2_server *)conn;
	struct h2_call *call;

	server->delivering = true;
	while (!conn->dead && (call = next_queued(server))) {
		call->queued = false;
		call->handed = true;
		server->ops->call(call, server->userdata);
	}
	if (conn->dead && !server->told_closed && !server->doomed) {
		server->told_closed = true;
		detach_all(server);
		server->ops->closed(conn->error, server->userdata);
	}
	server->delivering = false;
	if (!server->doomed)
		return true;
	server_destroy(server);
	return false;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
	struct h2_server *server = userdata;
	struct h2_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = calloc(1, sizeof(*call));
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	call->server = server;
	call->stream_id = frame->hd.stream_id;
	TAILQ_INSERT_TAIL(&server->calls, call, entry);
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
	return 0;
}

static int set_text(char **text, const uint8_t *value, size_t len)
{
	free(*text);
	*text = strndup((const char *)value, len);
	return *text ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
		     size_t valuelen, uint8_t flags, void *userdata)
{
	struct h2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct header *header;

	if (!call)
		return 0;
	call->headers_size += namelen + valuelen;
	if (call->headers_size > H2_HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (namelen == 7 && !memcmp(name, ":method", 7))
		return set_text(&call->method, value, valuelen);
	if (namelen == 5 && !memcmp(name, ":path", 5))
		return set_text(&call->path, value, valuelen);
	if (name[0] == ':')
		return 0;
	if (call->n_headers == HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	header = &call->headers[call->n_headers++];
	if (set_text(&header->name, name, namelen) || set_text(&header->value, value, valuelen))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len, void *userdata)
{
	struct h2_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
	struct h2_server *server = userdata;

	if (!call || call->handed)
		return 0;
	if (server->body_total + len > server->ops->body_total_max || bytes_add(&call->body, data, len, server->ops->body_max) < 0) {
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
		nghttp2_session_set_stream_user_data(session, stream_id, NULL);
		call_detach(call);
		return 0;
	}
	server->body_total += len;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
	struct h2_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!call || call->handed || !call->method || !call->path)
		return 0;
	call->queued = true;
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *userdata)
{
	struct h2_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	if (call) {
		nghttp2_session_set_stream_user_data(session, stream_id, NULL);
		call_detach(call);
	}
	return 0;
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source,
			   void *userdata)
{
	struct h2_call *call = source->ptr;
	size_t n = call->answer_len - call->answer_sent;

	if (n > length)
		n = length;
	memcpy(buf, call->answer + call->answer_sent, n);
	call->answer_sent += n;
	if (call->answer_sent == call->answer_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_session *make_session(struct h2_server *server)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&callbacks))
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	if (nghttp2_session_server_new(&session, callbacks, server) == 0 && h2_conn_settings(session, H2_SERVER_STREAMS_MAX) < 0) {
		nghttp2_session_del(session);
		session = NULL;
	}
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

int h2_server_new(struct event_base *base, int fd, const struct h2_server_ops *ops, void *userdata, struct h2_server **ret, struct err *err)
{
	struct h2_server *server;

	if (fd < 0)
		return err_set(err, EINVAL, "cannot serve HTTP/2: no descriptor");
	server = calloc(1, sizeof(*server));
	if (!server)
		return err_set(err, ENOMEM, "cannot serve HTTP/2: out of memory");
	TAILQ_INIT(&server->calls);
	server->ops = ops;
	server->userdata = userdata;
	server->conn.fd = -1;
	server->conn.session = make_session(server);
	if (!server->conn.session || h2_conn_start(&server->conn, base, fd, server_deliver) < 0) {
		h2_conn_stop(&server->conn);
		free(server);
		return err_set(err, ENOMEM, "cannot serve HTTP/2: out of memory");
	}
	*ret = server;
	return 0;
}

void h2_server_free(struct h2_server *server)
{
	if (!server)
		return;
	server->conn.dead = true;
	server->doomed = true;
	detach_all(server);
	if (!server->delivering)
		server_destroy(server);
}

const char *h2_call_method(const struct h2_call *call)
{
	return call->method;
}

const char *h2_call_path(const struct h2_call *call)
{
	return call->path;
}

const char *h2_call_header(const struct h2_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_headers; i++) {
		if (!strcmp(call->headers[i].name, name))
			return call->headers[i].value;
	}
	return NULL;
}

char *h2_call_body(struct h2_call *call, size_t *ret_len)
{
	static char none[1];

	*ret_len = call->body.len;
	return call->body.data ? call->body.data : none;
}

bool h2_call_gone(const struct h2_call *call)
{
	return !call->server;
}

void h2_call_drop_body(struct h2_call *call)
{
	if (call->server)
		call->server->body_total -= call->body.len;
	bytes_clear(&call->body);
}

static int submit_answer(struct h2_call *call, unsigned int status)
{
	nghttp2_data_provider provider = { .source.ptr = call, .read_callback = read_answer };
	char status_text[12], length[24];
	nghttp2_nv headers[] = {
		{ (uint8_t *)":status", (uint8_t *)status_text, 7, 0, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)"content-type", (uint8_t *)"application/json", 12, 16, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)"content-length", (uint8_t *)length, 14, 0, NGHTTP2_NV_FLAG_NONE },
	};

	headers[0].valuelen = (size_t)snprintf(status_text, sizeof(status_text), "%u", status);
	headers[2].valuelen = (size_t)snprintf(length, sizeof(length), "%zu", call->answer_len);
	return nghttp2_submit_response(call->server->conn.session, call->stream_id, headers, 3, &provider);
}

void h2_call_answer(struct h2_call *call, unsigned int status, char *body, size_t len)
{
	static const char out_of_memory[] = "{\"error\":\"out of memory\",\"reason\":\"failed\"}";

	call->answered = true;
	if (!call->server) {
		free(body);
		call_free(call);
		return;
	}
	if (!body) {
		body = strdup(out_of_memory);
		len = body ? sizeof(out_of_memory) - 1 : 0;
		status = 500;
	}
	h2_call_drop_body(call);
	call->answer = body;
	call->answer_len = len;
	if (submit_answer(call, status))
		nghttp2_submit_rst_stream(call->server->conn.session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_INTERNAL_ERROR);
	h2_conn_wake(&call->server->conn);
}
