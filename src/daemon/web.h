/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Web actions: what a function gets of an HTTP request, and what HTTP answer its result is (OpenWhisk's WebActions). Pure: no socket, no store.
 * A failure is -errno with the status and the sentence to answer in struct web_fault.
 */
#ifndef SQUEEZY_DAEMON_WEB_H
#define SQUEEZY_DAEMON_WEB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct resolved;

enum web_extension {
	WEB_HTTP,
	WEB_JSON,
	WEB_HTML,
	WEB_SVG,
	WEB_TEXT,
};

struct web_fault {
	int status;
	char text[256];
};

/* Everything is borrowed. */
struct web_request {
	const char *method;		/* lower case */
	const char *path;		/* behind the action's name; "" or with its slash */
	const char *raw_query;
	const char *type;		/* Content-Type, or NULL */
	const char *user;		/* namespace of the caller, NULL: unknown */
	const char *secret;		/* X-Require-Whisk-Auth, or NULL */
	const json_t *headers, *query;	/* {"name": "value"}, header names in lower case */
	const char *body;
	size_t body_len;
};

/* Cuts an extension we know off name; none of them: WEB_HTTP. */
enum web_extension web_cut_extension(char *name);

/* May it be called from the web, by this caller? 404 when it is not exported, 401 when its require-whisk-auth is not met. */
int web_check(const struct resolved *action, const struct web_request *request, struct web_fault *fault);

/* Does the action answer OPTIONS itself? */
bool web_custom_options(const struct resolved *action);

/* The function's arguments; new object. 400 for reserved names, for what is final, and for a body that is not what its type says. */
int web_arguments(const struct resolved *action, const struct web_request *request, json_t **ret, struct web_fault *fault);

struct web_response {
	int status;
	char *type;		/* NULL: no body, no type */
	char *body;
	size_t len;
	json_t *headers;	/* [["name", "value"], ...] */
};

/* The answer for a result (of a success, or the "error" of an application error). web_response_clear() it. */
int web_render(enum web_extension extension, const json_t *result, struct web_response *ret, struct web_fault *fault);
void web_response_clear(struct web_response *response);

#endif
