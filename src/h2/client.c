// SPDX-License-Identifier: Apache-2.0
#include "h2/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/bytes.h"
#include "base/err.h"
#include "h2/conn.h"

/* One request. It lives until its stream is closed and its callback was called; the list holds all. */
struct flight {
	TAILQ_ENTRY(flight) entry;
	struct h2_client *client;
	uint64_t id;
	int32_t stream_id;
	bool closed;		/* nghttp2 is through with the stream */
	bool done;		/* outcome known; the callback is due */
	bool delivered;
	int error;
	const char *text;
	unsigned int status;
	size_t headers_size;
	struct bytes answer;
	size_t answer_max;
	char *body;
	size_t body_len;
	size_t body_sent;
	struct event *deadline;
	h2_response_fn *fn;
	void *userdata;
};

TAILQ_HEAD(flights, flight);

struct h2_client {
	struct h2_conn conn;
	struct flights flights;
	size_t n_flights;	/* not yet delivered */
	uint64_t last_id;
	h2_client_closed_fn *closed;
	void *userdata;
	bool told_closed;
	bool delivering;	/* callbacks are running: h2_client_free() only sets doomed */
	bool doomed;
};

static void flight_finish(struct flight *flight, int error, const char *text)
{
	if (flight->done)
		return;
	flight->done = true;
	flight->error = error;
	flight->text = text;
	if (flight->deadline)
		event_del(flight->deadline);
	h2_conn_wake(&flight->client->conn);
}

/* Ends a request whose stream is still open. */
static void flight_abort(struct flight *flight, int error, const char *text)
{
	if (flight->done)
		return;
	if (!flight->closed && !flight->client->conn.dead)
		nghttp2_submit_rst_stream(flight->client->conn.session, NGHTTP2_FLAG_NONE, flight->stream_id, NGHTTP2_CANCEL);
	flight_finish(flight, error, text);
}

static void flight_free(struct flight *flight)
{
	TAILQ_REMOVE(&flight->client->flights, flight, entry);
	if (flight->deadline)
		event_free(flight->deadline);
	bytes_clear(&flight->answer);
	free(flight->body);
	free(flight);
}

static void flight_deliver(struct flight *flight)
{
	struct h2_response response = {
		.error = flight->error, .text = flight->text,
		.status = flight->error ? 0 : flight->status,
		.body = flight->error || !flight->answer.data ? "" : flight->answer.data,
		.body_len = flight->error ? 0 : flight->answer.len,
	};
	struct bytes answer = flight->answer;
	h2_response_fn *fn = flight->fn;
	void *userdata = flight->userdata;

	flight->answer = (struct bytes){ 0 };
	flight->delivered = true;
	flight->client->n_flights--;
	if (flight->closed || flight->client->conn.dead)
		flight_free(flight);
	fn(&response, userdata);
	bytes_clear(&answer);
}

static struct flight *next_due(struct h2_client *client)
{
	struct flight *flight;

	TAILQ_FOREACH(flight, &client->flights, entry) {
		if (flight->done && !flight->delivered)
			return flight;
	}
	return NULL;
}

static void fail_all(struct h2_client *client)
{
	struct flight *flight;

	TAILQ_FOREACH(flight, &client->flights, entry)
		flight_finish(flight, -ECONNRESET, "the connection ended before the answer");
}

static void client_destroy(struct h2_client *client)
{
	h2_conn_stop(&client->conn);
	free(client);
}

static bool client_deliver(struct h2_conn *conn)
{
	struct h2_client *client = (struct h2_client *)conn;
	struct flight *flight;

	client->delivering = true;
	if (conn->dead)
		fail_all(client);
	while ((flight = next_due(client)))
		flight_deliver(flight);
	if (conn->dead && !client->told_closed && !client->doomed) {
		client->told_closed = true;
		if (client->closed)
			client->closed(conn->error, client->userdata);
	}
	client->delivering = false;
	if (!client->doomed)
		return true;
	client_destroy(client);
	return false;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
		     size_t valuelen, uint8_t flags, void *userdata)
{
	struct flight *flight = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (!flight || flight->done)
		return 0;
	flight->headers_size += namelen + valuelen;
	if (flight->headers_size > H2_HEADERS_MAX) {
		flight_finish(flight, -EMSGSIZE, "the answer's headers are over the limit");
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	/* nghttp2 has checked that it is three digits. */
	if (namelen == 7 && !memcmp(name, ":status", 7) && valuelen == 3)
		flight->status = (unsigned int)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len, void *userdata)
{
	struct flight *flight = nghttp2_session_get_stream_user_data(session, stream_id);
	int r;

	if (!flight || flight->done)
		return 0;
	r = bytes_add(&flight->answer, data, len, flight->answer_max);
	if (r < 0) {
		bytes_clear(&flight->answer);
		flight_abort(flight, r, r == -EMSGSIZE ? "the answer's body is over its limit" : "no memory for the answer's body");
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
	struct flight *flight;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	flight = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (flight && flight->status >= 200 && flight->status <= 599)
		flight_finish(flight, 0, "");
	else if (flight)
		flight_finish(flight, -EPROTO, "the answer's status is not one of HTTP");
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *userdata)
{
	struct flight *flight = nghttp2_session_get_stream_user_data(session, stream_id);

	if (!flight)
		return 0;
	flight->closed = true;
	flight_finish(flight, -EPROTO, code == NGHTTP2_REFUSED_STREAM ? "the peer refused the request" : "the peer reset the request");
	if (flight->delivered)
		flight_free(flight);
	return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source,
			 void *userdata)
{
	struct flight *flight = source->ptr;
	size_t n = flight->body_len - flight->body_sent;

	if (n > length)
		n = length;
	memcpy(buf, flight->body + flight->body_sent, n);
	flight->body_sent += n;
	if (flight->body_sent == flight->body_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
	flight_abort(userdata, -ETIMEDOUT, "no answer before the deadline");
}

static nghttp2_session *make_session(void)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&callbacks))
		return NULL;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	if (nghttp2_session_client_new(&session, callbacks, NULL) == 0 && h2_conn_settings(session, 0) < 0) {
		nghttp2_session_del(session);
		session = NULL;
	}
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

int h2_client_new(struct event_base *base, int fd, h2_client_closed_fn *closed, void *userdata, struct h2_client **ret, struct err *err)
{
	struct h2_client *client;

	if (fd < 0)
		return err_set(err, EINVAL, "cannot start HTTP/2: no descriptor");
	client = calloc(1, sizeof(*client));
	if (!client)
		return err_set(err, ENOMEM, "cannot start HTTP/2: out of memory");
	TAILQ_INIT(&client->flights);
	client->closed = closed;
	client->userdata = userdata;
	client->conn.fd = -1;
	client->conn.session = make_session();
	if (!client->conn.session || h2_conn_start(&client->conn, base, fd, client_deliver) < 0) {
		h2_conn_stop(&client->conn);
		free(client);
		return err_set(err, ENOMEM, "cannot start HTTP/2: out of memory");
	}
	*ret = client;
	return 0;
}

void h2_client_free(struct h2_client *client)
{
	struct flight *flight;

	if (!client)
		return;
	client->conn.dead = true;
	client->doomed = true;
	while ((flight = TAILQ_FIRST(&client->flights))) {
		if (!flight->delivered) {
			flight_finish(flight, -ECANCELED, "the connection was given up");
			flight_deliver(flight);
		} else {
			flight_free(flight);
		}
	}
	if (!client->delivering)
		client_destroy(client);
}

static struct flight *flight_new(struct h2_client *client, const struct h2_request *request, h2_response_fn *done, void *userdata)
{
	struct flight *flight = calloc(1, sizeof(*flight));

	if (!flight)
		return NULL;
	TAILQ_INSERT_TAIL(&client->flights, flight, entry);
	flight->client = client;
	flight->id = ++client->last_id;
	flight->fn = done;
	flight->userdata = userdata;
	flight->answer_max = request->body_max ? request->body_max : H2_BODY_DEFAULT_MAX;
	flight->body_len = request->body ? request->body_len : 0;
	flight->body = malloc(flight->body_len + 1);
	flight->deadline = event_new(client->conn.base, -1, 0, on_deadline, flight);
	if (!flight->body || !flight->deadline) {
		flight_free(flight);
		return NULL;
	}
	if (flight->body_len)
		memcpy(flight->body, request->body, flight->body_len);
	return flight;
}

static nghttp2_nv make_header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int flight_submit(struct flight *flight, const struct h2_request *request)
{
	nghttp2_nv headers[H2_REQUEST_HEADERS_MAX + 6];
	nghttp2_data_provider provider = { .source.ptr = flight, .read_callback = read_body };
	char length[24];
	size_t n = 0;

	snprintf(length, sizeof(length), "%zu", flight->body_len);
	headers[n++] = make_header(":method", request->method);
	headers[n++] = make_header(":scheme", "http");
	headers[n++] = make_header(":authority", "agent");
	headers[n++] = make_header(":path", request->path);
	for (size_t i = 0; i < request->n_headers; i++)
		headers[n++] = make_header(request->headers[i].name, request->headers[i].value);
	if (request->body) {
		headers[n++] = make_header("content-type", "application/json");
		headers[n++] = make_header("content-length", length);
	}
	return nghttp2_submit_request(flight->client->conn.session, NULL, headers, n, request->body ? &provider : NULL, flight);
}

int h2_client_send(struct h2_client *client, const struct h2_request *request, h2_response_fn *done, void *userdata, uint64_t *ret_id,
		   struct err *err)
{
	uint64_t ms = request->deadline_ms ? request->deadline_ms : H2_DEADLINE_DEFAULT_MS;
	struct timeval deadline = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
	struct flight *flight;

	if (client->conn.dead)
		return err_set(err, ECONNRESET, "%s %s: the connection has ended", request->method, request->path);
	if (client->n_flights >= H2_IN_FLIGHT_MAX)
		return err_set(err, EAGAIN, "%s %s: %d requests are already waiting for an answer", request->method, request->path, H2_IN_FLIGHT_MAX);
	if (!done || request->path[0] != '/' || request->n_headers > H2_REQUEST_HEADERS_MAX)
		return err_set(err, EINVAL, "%s %s: not a valid request", request->method, request->path);
	flight = flight_new(client, request, done, userdata);
	if (!flight)
		return err_set(err, ENOMEM, "%s %s: out of memory", request->method, request->path);
	flight->stream_id = flight_submit(flight, request);
	if (flight->stream_id < 0 || event_add(flight->deadline, &deadline) < 0) {
		flight_free(flight);
		return err_set(err, ENOMEM, "%s %s: cannot queue the request", request->method, request->path);
	}
	client->n_flights++;
	if (ret_id)
		*ret_id = flight->id;
	h2_conn_wake(&client->conn);
	return 0;
}

void h2_client_cancel(struct h2_client *client, uint64_t id)
{
	struct flight *flight;

	TAILQ_FOREACH(flight, &client->flights, entry) {
		if (flight->id == id) {
			flight_abort(flight, -ECANCELED, "the request was given up");
			return;
		}
	}
}
