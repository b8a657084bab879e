/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 server end of one byte stream: what the agent speaks to the host (proto/SPEC.md).
 *
 * A call is handed over when its whole body is here. The peer is hostile: at most H2_SERVER_STREAMS_MAX calls at once, H2_HEADERS_MAX
 * bytes of headers each, body_max bytes of body each and body_total_max bytes of bodies together.
 * The program must ignore SIGPIPE.
 */
#ifndef SQUEEZY_H2_SERVER_H
#define SQUEEZY_H2_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct event_base;
struct h2_call;
struct h2_server;

#define H2_SERVER_STREAMS_MAX	1280	/* all calls a daemon has in flight, and its own requests */

struct h2_server_ops {
	/* A whole request. The callee owns the call until it answers it, now or later. */
	void (*call)(struct h2_call *call, void *userdata);
	/* The stream is dead, once: end of file (0), -EPROTO or an errno. Unanswered calls live on (their answers go nowhere). The server still
	 * has to be freed; this may be done here. */
	void (*closed)(int error, void *userdata);
	size_t body_max;
	size_t body_total_max;
};

/* Serves fd (connected, non-blocking); SETTINGS go out with the next turn of the loop. Owns fd on success only. ops is kept by reference.
 * 0, -ENOMEM, -EINVAL. */
int h2_server_new(struct event_base *base, int fd, const struct h2_server_ops *ops, void *userdata, struct h2_server **ret, struct err *err);

/* Closes fd. Calls that were handed over stay valid until they are answered. NULL is allowed. */
void h2_server_free(struct h2_server *server);

const char *h2_call_method(const struct h2_call *call);
const char *h2_call_path(const struct h2_call *call);
/* NULL if the request has no such header. name in lower case. */
const char *h2_call_header(const struct h2_call *call, const char *name);
/* NUL-terminated; may hold NULs itself. The callee may change the bytes. */
char *h2_call_body(struct h2_call *call, size_t *ret_len);
/* True once nobody waits for the answer any more. */
bool h2_call_gone(const struct h2_call *call);
/* Drops the request's body early: it may be large and the call may last long. */
void h2_call_drop_body(struct h2_call *call);

/* Answers with JSON and ends the call, which is invalid afterwards. body is malloc()ed and becomes the callee's; NULL: out of memory, which is
 * answered with 500. */
void h2_call_answer(struct h2_call *call, unsigned int status, char *body, size_t len);

#endif
