/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the daemon's REST interface: one at a time, or a burst at once. */
#ifndef SQUEEZY_DEMONSTRATION_HTTP_H
#define SQUEEZY_DEMONSTRATION_HTTP_H

#include <jansson.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

struct http {
	char url[128];		/* "http://127.0.0.1:3233", no slash at the end */
	char key[256];		/* "user:password" */
};

struct http_call {
	const char *method;	/* "GET", "PUT", "POST", "DELETE" */
	char path[256];		/* from "/" on */
	json_t *body;		/* borrowed; NULL: none */
	int timeout_ms;
	/* Filled in: */
	int status;		/* 0: no answer, see err */
	json_t *answer;		/* owned; NULL when there is none or it is not JSON */
	double seconds;
	struct err err;
	char *text;		/* private to http.c from here on */
	struct bytes in;
};

#define HTTP_MAX_BURST 32

/* Makes all n calls (at most HTTP_MAX_BURST) at once and waits for the last. 0, or -errno when the burst itself could not be made. */
int http_burst(const struct http *http, struct http_call *calls, size_t n, struct err *err);

/* One call that must be answered with a 2xx. *ret (may be NULL) gets the answer's reference. */
int http_once(const struct http *http, const char *method, const char *path, json_t *body, json_t **ret, struct err *err);

/* Frees what a call owns. */
void http_call_clear(struct http_call *call);

#endif
