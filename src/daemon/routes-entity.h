/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes of all entities share: whose they are, how failures are answered, how lists are made. */
#ifndef SQUEEZY_DAEMON_ROUTES_ENTITY_H
#define SQUEEZY_DAEMON_ROUTES_ENTITY_H

#include "daemon/path.h"
#include "daemon/routes.h"
#include "store/store.h"

#define ENTITY_LIST_MAX		200
#define ENTITY_NOT_FOUND	"The requested resource does not exist."

/* Answers with the status for -errno and err's sentence; what is our fault is logged. */
void entity_fail(struct http_request *request, int r, const struct err *err);

/*
 * The path in the request's segments: namespace, package when there are three, name. "_" is the caller's namespace. False: it is not
 * a name, and the request has been answered. foreign: another namespace's may be named (who may see it is for later); else 403.
 */
bool entity_path(struct http_request *request, unsigned int names, bool foreign, struct path *ret);

/* GET of a collection of the namespace in the request: limit, skip, count. form makes a line of a document. */
void entity_list(struct service *service, struct http_request *request, enum store_collection collection,
		 json_t *(*form)(const json_t *document));

/* The same for a query whose namespace and package are settled; its limit and skip are filled in. */
void entity_list_query(struct service *service, struct http_request *request, struct store_query *query,
		       json_t *(*form)(const json_t *document));

/* What form makes of each document of a list, which is taken. New array. */
json_t *entity_lines(json_t *documents, json_t *(*form)(const json_t *document));

/* The store's key for a path. local must live as long as the key and have room for PATH_TEXT_SIZE. */
struct store_key entity_key(enum store_collection collection, const struct path *path, char *local);

/* What was there before a PUT: *ret NULL if nothing. -EEXIST: something, and overwrite was not asked for. */
int entity_before(struct service *service, const struct store_key *key, bool overwrite, json_t **ret, struct err *err);

/* The body of a PUT and its overwrite; false: answered. */
bool entity_put_request(struct http_request *request, json_t **ret_body, bool *ret_overwrite);

uint64_t entity_now_ms(void);

#endif
