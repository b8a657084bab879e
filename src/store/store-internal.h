/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_STORE_INTERNAL_H
#define SQUEEZY_STORE_INTERNAL_H

#include "store/store.h"

/* One per line of the table in store.c. */
enum statement {
	STATEMENT_ENTITY_PUT,
	STATEMENT_ENTITY_GET,
	STATEMENT_ENTITY_COLLECTION,
	STATEMENT_ENTITY_CODE,
	STATEMENT_ENTITY_DELETE,
	STATEMENT_ENTITY_LIST,
	STATEMENT_ENTITY_COUNT,
	STATEMENT_IDENTITY_PUT,
	STATEMENT_IDENTITY_DELETE,
	STATEMENT_IDENTITY_LIST,
	STATEMENT_ACTIVATION_PUT,
	STATEMENT_ACTIVATION_GET,
	STATEMENT_ACTIVATION_LIST,
	STATEMENT_ACTIVATION_COUNT,
	STATEMENT_ACTIVATION_TRIM_COUNT,
	STATEMENT_ACTIVATION_TRIM_AGE,
	STATEMENT_ACTIVATION_TRIM_OLDEST,
	STATEMENT_BYTES,
	STATEMENT_MAX,
};

/* A parameter of a statement: text when not NULL, nothing when asked for, else number. */
struct bind {
	const char *text;
	uint64_t number;
	bool is_null;
};

#define BINDS_MAX 7

/* Runs a statement that returns nothing. *ret_changed (may be NULL): rows it touched. */
int store_run(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], unsigned int *ret_changed, struct err *err);

/* Compact text of a document; the caller's. */
int store_dump(const json_t *document, char **ret, struct err *err);

/* Runs one that returns one document; -ENOENT when it returns none. */
int store_only(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], json_t **ret, struct err *err);

/* Runs one that returns documents: *ret is an array of them. */
int store_documents(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], json_t **ret, struct err *err);

/* Runs one that returns one text or none; *ret is the caller's, NULL if there is no row or no value. */
int store_text(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], char **ret, struct err *err);

/* Runs one that returns one number; -ENOENT when it returns none. */
int store_number(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], uint64_t *ret, struct err *err);

struct sqlite3;
struct sqlite3 *store_db(struct store *store);

/* What follows waits for store_flush() to become durable. */
int store_batch(struct store *store, struct err *err);

#endif
