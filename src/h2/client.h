/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 client end of one byte stream: what the host speaks to the agent (proto/SPEC.md).
 *
 * One event loop, no threads, no blocking call. Any number of requests are in flight on one stream; the peer's limits and both
 * flow-control windows are kept by nghttp2. The peer is hostile: header block, body and count of everything it sends are bounded.
 *
 * Callbacks run from the event loop, never from inside a call of this interface except h2_client_free(). From a callback anything
 * here may be called, h2_client_free() of the same client included.
 * The program must ignore SIGPIPE.
 */
#ifndef SQUEEZY_H2_CLIENT_H
#define SQUEEZY_H2_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct event_base;
struct h2_client;

struct h2_header {
	const char *name;	/* lower case */
	const char *value;
};

struct h2_request {
	const char *method;
	const char *path;
	const struct h2_header *headers;	/* beside method, path and content-type, which is always application/json */
	size_t n_headers;			/* at most H2_REQUEST_HEADERS_MAX */
	const char *body;			/* copied; NULL if there is none */
	size_t body_len;
	uint64_t deadline_ms;			/* from now until the whole answer is here; 0 = H2_DEADLINE_DEFAULT_MS */
	size_t body_max;			/* bound of the answer's body in bytes; 0 = H2_BODY_DEFAULT_MAX */
};

#define H2_REQUEST_HEADERS_MAX	8
#define H2_DEADLINE_DEFAULT_MS	30000
#define H2_BODY_DEFAULT_MAX	(64u << 10)
#define H2_IN_FLIGHT_MAX	1024

struct h2_response {
	int error;		/* 0: a whole answer is below. Otherwise a negative errno, and only `text` is set:
				 * -ETIMEDOUT  the deadline passed
				 * -ECANCELED  h2_client_cancel() or h2_client_free()
				 * -ECONNRESET the stream ended before the answer
				 * -EMSGSIZE   body or headers over their bound
				 * -EPROTO     the peer broke the protocol or refused the request */
	const char *text;	/* a sentence for the error, "" if there is none */
	unsigned int status;	/* 200 .. 599 */
	const char *body;	/* NUL-terminated, valid during the callback; may hold NULs itself */
	size_t body_len;
};

/* Called exactly once for each request that h2_client_send() accepted. */
typedef void h2_response_fn(const struct h2_response *response, void *userdata);

/* The stream is dead: end of file (error 0), -EPROTO or the errno of read or write. Every request has been completed before. Called at
 * most once, and not by h2_client_free(). The client still has to be freed. */
typedef void h2_client_closed_fn(int error, void *userdata);

/* Starts the client end on fd, which must be connected and non-blocking; the client preface goes out with the next turn of the loop. Owns fd
 * on success only. 0, -ENOMEM, -EINVAL. */
int h2_client_new(struct event_base *base, int fd, h2_client_closed_fn *closed, void *userdata, struct h2_client **ret, struct err *err);

/* Completes what is outstanding with -ECANCELED, closes fd. NULL is allowed. */
void h2_client_free(struct h2_client *client);

/* Queues a request. *ret_id (may be NULL) names it for h2_client_cancel(); ids are not used twice. On failure the callback is not called:
 * -ECONNRESET the stream is dead, -EAGAIN H2_IN_FLIGHT_MAX requests are outstanding, -EINVAL bad request, -ENOMEM. */
int h2_client_send(struct h2_client *client, const struct h2_request *request, h2_response_fn *done, void *userdata, uint64_t *ret_id,
		   struct err *err);

/* Resets the request's stream; its callback comes with -ECANCELED from the next turn of the loop. Unknown or complete ids are ignored. */
void h2_client_cancel(struct h2_client *client, uint64_t id);

#endif
