// SPDX-License-Identifier: Apache-2.0
#include "h2/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

static void conn_die(struct h2_conn *conn, int error)
{
	if (conn->dead)
		return;
	conn->dead = true;
	conn->error = error;
	event_del(conn->readable);
	event_del(conn->writable);
	h2_conn_wake(conn);
}

/* Fills out from nghttp2. 0 or -EPROTO. */
static int conn_fill(struct h2_conn *conn)
{
	if (conn->out_done == conn->out_len)
		conn->out_done = conn->out_len = 0;
	while (conn->out_len < sizeof(conn->out)) {
		size_t n = sizeof(conn->out) - conn->out_len;

		if (!conn->chunk_len) {
			ssize_t got = nghttp2_session_mem_send(conn->session, &conn->chunk);

			if (got < 0)
				return -EPROTO;
			if (got == 0)
				return 0;
			conn->chunk_len = (size_t)got;
		}
		if (n > conn->chunk_len)
			n = conn->chunk_len;
		memcpy(conn->out + conn->out_len, conn->chunk, n);
		conn->out_len += n;
		conn->chunk += n;
		conn->chunk_len -= n;
	}
	return 0;
}

/* Writes until the descriptor is full (-EAGAIN), everything is out (0) or it fails. */
static int conn_drain(struct h2_conn *conn)
{
	for (;;) {
		ssize_t n;
		int r = conn_fill(conn);

		if (r < 0)
			return r;
		if (conn->out_done == conn->out_len)
			return 0;
		n = write(conn->fd, conn->out + conn->out_done, conn->out_len - conn->out_done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		conn->out_done += (size_t)n;
	}
}

static void conn_flush(struct h2_conn *conn)
{
	bool choked;
	int r;

	if (conn->dead)
		return;
	r = conn_drain(conn);
	if (r < 0 && r != -EAGAIN) {
		conn_die(conn, r);
		return;
	}
	if (r == 0 && !nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session)) {
		conn_die(conn, -EPROTO);
		return;
	}
	choked = r == -EAGAIN && nghttp2_session_get_outbound_queue_size(conn->session) > H2_OUTBOUND_QUEUE_MAX;
	if (r == -EAGAIN)
		event_add(conn->writable, NULL);
	if (choked)
		event_del(conn->readable);
	else
		event_add(conn->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct h2_conn *conn = userdata;
	uint8_t in[32768];
	ssize_t n = read(conn->fd, in, sizeof(in));

	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) {
		conn_die(conn, n < 0 ? -errno : 0);
		return;
	}
	if (nghttp2_session_mem_recv(conn->session, in, (size_t)n) < 0) {
		conn_die(conn, -EPROTO);
		return;
	}
	h2_conn_wake(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	conn_flush(userdata);
}

static void on_wake(evutil_socket_t fd, short what, void *userdata)
{
	struct h2_conn *conn = userdata;

	if (conn->deliver(conn))
		conn_flush(conn);
}

void h2_conn_wake(struct h2_conn *conn)
{
	event_active(conn->wake, EV_TIMEOUT, 0);
}

int h2_conn_settings(nghttp2_session *session, uint32_t streams_max)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADERS_MAX },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};

	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(settings[0])) ||
	    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW))
		return -ENOMEM;
	return 0;
}

int h2_conn_start(struct h2_conn *conn, struct event_base *base, int fd, bool (*deliver)(struct h2_conn *))
{
	conn->base = base;
	conn->deliver = deliver;
	conn->fd = -1;
	conn->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	conn->writable = event_new(base, fd, EV_WRITE, on_writable, conn);
	conn->wake = event_new(base, -1, 0, on_wake, conn);
	if (!conn->readable || !conn->writable || !conn->wake || event_add(conn->readable, NULL) < 0)
		return -ENOMEM;
	conn->fd = fd;
	h2_conn_wake(conn);
	return 0;
}

void h2_conn_stop(struct h2_conn *conn)
{
	if (conn->readable)
		event_free(conn->readable);
	if (conn->writable)
		event_free(conn->writable);
	if (conn->wake)
		event_free(conn->wake);
	nghttp2_session_del(conn->session);
	fd_close(&conn->fd);
}
