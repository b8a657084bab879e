/* SPDX-License-Identifier: Apache-2.0 */
/* The part both ends share: a descriptor, a nghttp2 session and the pump between them. Internal to src/h2. */
#ifndef SQUEEZY_H2_CONN_H
#define SQUEEZY_H2_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

struct event;
struct event_base;

#define H2_HEADERS_MAX		(16u << 10)	/* names and values of one message */
#define H2_STREAM_WINDOW	(1 << 20)
#define H2_CONN_WINDOW		(4 << 20)
#define H2_OUTBOUND_QUEUE_MAX	2048		/* frames waiting for a peer that does not read: stop reading from it, too */

struct h2_conn {
	struct event_base *base;
	nghttp2_session *session;
	int fd;
	struct event *readable;
	struct event *writable;
	struct event *wake;
	/* From the event loop, after anything may have changed: hand finished things to the user. May free the owner; returns false then. */
	bool (*deliver)(struct h2_conn *conn);
	bool dead;
	int error;		/* why: 0 = end of file, or -errno */
	const uint8_t *chunk;	/* what nghttp2 gave and `out` did not hold */
	size_t chunk_len;
	size_t out_len;
	size_t out_done;
	uint8_t out[32768];
};

/* Sets up all but session, which the caller has made; owns fd and session from then on. 0 or -ENOMEM. */
int h2_conn_start(struct h2_conn *conn, struct event_base *base, int fd, bool (*deliver)(struct h2_conn *));

/* Closes everything; not to be called from a nghttp2 callback. */
void h2_conn_stop(struct h2_conn *conn);

/* Schedules deliver() and a flush for the next turn of the loop. */
void h2_conn_wake(struct h2_conn *conn);

/* Our SETTINGS and windows. 0 or -ENOMEM. */
int h2_conn_settings(nghttp2_session *session, uint32_t streams_max);

#endif
