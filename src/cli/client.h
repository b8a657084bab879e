/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's API, as the verbs use it. Where and with which key: --url, --key-file, --state; else SQUEEZY_URL, SQUEEZY_KEY_FILE; else
 * http://127.0.0.1:3233 and /var/lib/squeezy/api.key.
 */
#ifndef SQUEEZY_CLI_CLIENT_H
#define SQUEEZY_CLI_CLIENT_H

#include <jansson.h>

#include "base/err.h"
#include "cli/args.h"

#define CLIENT_URL "http://127.0.0.1:3233"
#define CLIENT_STATE "/var/lib/squeezy"
#define CLIENT_KEY_SIZE 160

/* Options every talking verb takes, as given (NULL: not). */
struct client {
	const char *url, *key_file, *state;
	struct arg args[4];	/* table for args_parse() */
};

void client_init(struct client *client);

/* The base URL with its trailing slashes cut, from options and environment. Static. */
const char *client_url(const struct client *client);

struct reply {
	long status;
	json_t *json;	/* NULL: the body was no JSON */
};

/*
 * One request; body may be NULL (borrowed). 0 whenever the server answered, whatever the status. -ECONNREFUSED when nobody listens,
 * -ENOENT without a key file, both with what to do.
 */
int client_request(const struct client *client, const char *method, const char *path, const json_t *body, struct reply *ret,
		   struct err *err);

/* The same for callers that want a 2xx: another status is -EREMOTEIO with the server's sentence. *ret_json (may be NULL) is owned. */
int client_call(const struct client *client, const char *method, const char *path, const json_t *body, json_t **ret_json,
		struct err *err);

/* Percent-encodes one path segment or query value; free() it. NULL: out of memory. */
char *client_escape(const char *text);

/* Path of an action or of a call to it. ret has room for 2048 bytes. */
int client_action_path(const char *name, const char *query, char ret[2048], struct err *err);

/* Prints indented JSON to stdout, and frees it. */
void client_print(json_t *json);

#endif
