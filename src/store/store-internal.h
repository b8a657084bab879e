/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_STORE_INTERNAL_H
#define SQUEEZY_STORE_INTERNAL_H

#include "store/store.h"

/* One per line of the table in store.c. */
enum statement {
	STATEMENT_ACTION_PUT,
	STATEMENT_ACTION_GET,
	STATEMENT_ACTION_DELETE,
	STATEMENT_ACTION_LIST,
	STATEMENT_ACTION_COUNT,
	STATEMENT_ACTIVATION_PUT,
	STATEMENT_ACTIVATION_GET,
	STATEMENT_ACTIVATION_LIST,
	STATEMENT_ACTIVATION_COUNT,
	STATEMENT_ACTIVATION_TRIM,
	STATEMENT_MAX,
};

/* A parameter of a statement: text when not NULL, else number. */
struct bind {
	const char *text;
	uint64_t number;
};

#define BINDS_MAX 6

/* Runs a statement that returns nothing. *ret_changed (may be NULL): rows it touched. */
int store_run(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], unsigned int *ret_changed, struct err *err);

/* Runs one that returns documents: *ret is an array of them. */
int store_documents(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], json_t **ret, struct err *err);

/* Runs one that returns one number. */
int store_number(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], uint64_t *ret, struct err *err);

/* Whether the following writes are on the disk when they return, or only in the write-ahead log. */
int store_set_durable(struct store *store, bool durable, struct err *err);

#endif
