/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST front: evhttp on one address and a unix socket, a route table, keys and rights, transaction ids, OpenWhisk's error bodies. The network is hostile:
 * headers, bodies and times are bounded before a route sees a request.
 *
 * A route handler owns the request until it answers it, now or later, with exactly one http_reply... call. A client that went away
 * before makes no difference to the handler: the answer is dropped.
 */
#ifndef SQUEEZY_DAEMON_HTTP_H
#define SQUEEZY_DAEMON_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct event_base;
struct http_request;
struct http_server;
struct identities;
struct identity;

enum http_method {
	HTTP_GET = 1,
	HTTP_PUT = 2,
	HTTP_POST = 4,
	HTTP_DELETE = 8,
	HTTP_HEAD = 16,
	HTTP_PATCH = 32,
	HTTP_OPTIONS = 64,	/* a route without it: answered for it, with CORS headers */
	HTTP_ANY = 127,
};

enum http_access {
	HTTP_KEY,		/* a key with the right that the method needs (READ, PUT, DELETE; POST: ACTIVATE) */
	HTTP_ADMIN,		/* the daemon's own key */
	HTTP_OPEN,		/* everybody; the handler may look at the key */
};

struct http_route {
	unsigned int methods;		/* enum http_method */
	const char *path;		/* segments; "{NAME}" takes one, decoded; "{*}" at the end takes the rest, as it was sent; a "/" at the end must be there */
	enum http_access access;
	void (*handle)(void *arg, struct http_request *request);
};

/* routes ends with a NULL path and is kept by reference, as identities are. */
struct http_config {
	const char *address;
	uint16_t port;			/* 0: any free one */
	const char *socket;		/* path of a unix socket besides, 0600; NULL: none */
	const struct http_route *routes;
	void *arg;
	const struct identities *identities;
};

int http_new(struct event_base *base, const struct http_config *config, struct http_server **ret, struct err *err);

/* Closes every connection; requests still owned by handlers stay valid until answered, which must happen before the loop is freed. */
void http_free(struct http_server *server);

uint16_t http_port(const struct http_server *server);

/* Looking at a request. Strings live as long as it does. */
const char *http_segment(const struct http_request *request, unsigned int index);	/* what the index-th "{...}" took */
const char *http_query(const struct http_request *request, const char *key);		/* NULL if absent */
const char *http_transaction(const struct http_request *request);
enum http_method http_method(const struct http_request *request);
const char *http_header(const struct http_request *request, const char *name);	/* NULL if absent */
const char *http_raw_query(const struct http_request *request);			/* as it was sent, "" if none */
const char *http_body(const struct http_request *request, size_t *ret_len);
json_t *http_headers(const struct http_request *request);	/* {"lower-case name": "value"}; new object */
json_t *http_query_object(const struct http_request *request);	/* {"name": "value"}; new object */

/* Who asks; NULL: nobody we know. Valid only until the handler returns. */
const struct identity *http_identity(struct http_request *request);

/* A whole decimal number and nothing else; -EINVAL otherwise. */
int http_number(const char *text, int64_t *ret);

/* Query values. 0, -EINVAL (the request has then been answered with a 400). absent keys leave *ret alone. */
int http_query_bool(struct http_request *request, const char *key, bool *ret);
int http_query_int(struct http_request *request, const char *key, int64_t least, int64_t most, int64_t *ret);

/* A limit or skip of a list: 0 to most, with OpenWhisk's sentence ("... for actions."). */
int http_query_range(struct http_request *request, const char *key, const char *collection, int64_t most, int64_t *ret);

/*
 * The body as a JSON object: *ret is owned by the caller, NULL for an empty body. Bodies above most bytes answer 413, other types 415,
 * what is no object 400: then -EINVAL is returned and the request is gone.
 */
int http_body_object(struct http_request *request, size_t most, json_t **ret);

/* Answers. They end the request. json is stolen (NULL: out of memory, 500). */
void http_reply(struct http_request *request, int status, json_t *json);
void http_reply_text(struct http_request *request, int status, const char *text);
void http_reply_empty(struct http_request *request, int status);
void http_reply_bytes(struct http_request *request, int status, const char *type, const char *bytes, size_t len);
void http_reply_error(struct http_request *request, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A header of the answer to come. */
void http_set_header(struct http_request *request, const char *name, const char *value);

/* The answer to come says nothing about other origins: the handler does, or wants it so. */
void http_no_cors(struct http_request *request);

/* Status and sentence of a 401. */
void http_refuse_key(struct http_request *request);

/* Decodes a query string or form into {"name": "value"}; NULL: it is none. New object. */
json_t *http_parse_form(const char *text);

#endif
