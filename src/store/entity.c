// SPDX-License-Identifier: Apache-2.0
/* Entities and identities as documents. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/store-internal.h"

int store_dump(const json_t *document, char **ret, struct err *err)
{
	*ret = json_dumps(document, JSON_COMPACT);
	return *ret ? 0 : err_set(err, ENOMEM, "store: out of memory");
}

int store_only(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], json_t **ret, struct err *err)
{
	json_t *list, *document;
	int r = store_documents(store, which, binds, &list, err);

	if (r < 0)
		return r;
	document = json_incref(json_array_get(list, 0));
	json_decref(list);
	if (!document)
		return err_set(err, ENOENT, "store: there is no such document");
	*ret = document;
	return 0;
}

/* -EISNAM when the name is one of another collection, 0 when it is free or one of this. */
static int check_collection(struct store *store, const struct store_key *key, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = key->ns }, { .text = key->name } };
	uint64_t collection;
	int r = store_number(store, STATEMENT_ENTITY_COLLECTION, binds, &collection, err);

	if (r == -ENOENT || (r == 0 && collection == key->collection))
		return 0;
	return r < 0 ? r : err_set(err, EISNAM, "Resource by this name exists but is not in this collection.");
}

/* The document without exec.code, sharing the rest; *ret_code is borrowed from document, NULL if it has none. */
static json_t *part_code(const json_t *document, const char **ret_code)
{
	json_t *exec = json_object_get(document, "exec"), *parted, *rest;

	*ret_code = json_string_value(json_object_get(exec, "code"));
	if (!*ret_code)
		return json_incref((json_t *)document);
	parted = json_copy((json_t *)document);
	rest = json_copy(exec);
	json_object_del(rest, "code");
	if (json_object_set_new(parted, "exec", rest) < 0) {
		json_decref(parted);
		return NULL;
	}
	return parted;
}

static int put_text(struct store *store, const struct store_key *key, const json_t *document, const char *text, const char *code,
		    struct err *err)
{
	struct bind binds[BINDS_MAX] = {
		{ .text = key->ns }, { .text = key->name }, { .number = key->collection },
		{ .number = (uint64_t)json_integer_value(json_object_get(document, "updated")) },
		{ .number = json_is_true(json_object_get(document, "publish")) }, { .text = text }, { .text = code, .is_null = !code },
	};
	int r = check_collection(store, key, err);

	if (r == 0)
		r = store_flush(store, err);
	return r < 0 ? r : store_run(store, STATEMENT_ENTITY_PUT, binds, NULL, err);
}

int store_put(struct store *store, const struct store_key *key, const json_t *document, struct err *err)
{
	const char *code;
	json_t *parted = part_code(document, &code);
	char *text = NULL;
	int r = store_dump(parted, &text, err);

	if (r == 0)
		r = put_text(store, key, document, text, code, err);
	free(text);
	json_decref(parted);
	return r;
}

static int bring_code(struct store *store, const struct store_key *key, json_t *document, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = key->ns }, { .text = key->name } };
	char *code;
	int r = store_text(store, STATEMENT_ENTITY_CODE, binds, &code, err);

	if (r == 0 && code && json_object_set_new(json_object_get(document, "exec"), "code", json_string(code)) < 0)
		r = err_set(err, ENOMEM, "store: out of memory");
	free(code);
	return r;
}

int store_get(struct store *store, const struct store_key *key, bool with_code, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = key->ns }, { .text = key->name }, { .number = key->collection } };
	json_t *document;
	int r = store_only(store, STATEMENT_ENTITY_GET, binds, &document, err), other;

	if (r == -ENOENT) {
		other = check_collection(store, key, err);
		return other < 0 ? other : r;
	}
	if (r == 0 && with_code) {
		r = bring_code(store, key, document, err);
		if (r < 0)
			json_decref(document);
	}
	if (r == 0)
		*ret = document;
	return r;
}

int store_delete(struct store *store, const struct store_key *key, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = key->ns }, { .text = key->name }, { .number = key->collection } };
	unsigned int changed;
	int r = store_flush(store, err);

	if (r == 0)
		r = store_run(store, STATEMENT_ENTITY_DELETE, binds, &changed, err);
	if (r == 0 && !changed)
		r = err_set(err, ENOENT, "store: there is no '%s'", key->name);
	return r;
}

static void fill_query(const struct store_query *query, struct bind binds[BINDS_MAX])
{
	binds[0] = (struct bind){ .text = query->ns };
	binds[1] = (struct bind){ .number = query->collection };
	binds[2] = (struct bind){ .text = query->package, .is_null = !query->package };
	binds[3] = (struct bind){ .number = query->public_only };
	binds[4] = (struct bind){ .number = query->limit };
	binds[5] = (struct bind){ .number = query->skip };
}

int store_list(struct store *store, const struct store_query *query, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX];

	fill_query(query, binds);
	return store_documents(store, STATEMENT_ENTITY_LIST, binds, ret, err);
}

int store_count(struct store *store, const struct store_query *query, uint64_t *ret, struct err *err)
{
	struct bind binds[BINDS_MAX];

	fill_query(query, binds);
	return store_number(store, STATEMENT_ENTITY_COUNT, binds, ret, err);
}

int store_identity_put(struct store *store, const char *uuid, const json_t *document, struct err *err)
{
	char *text;
	int r = store_dump(document, &text, err);

	if (r < 0)
		return r;
	r = store_flush(store, err);
	if (r == 0) {
		struct bind binds[BINDS_MAX] = { { .text = uuid }, { .text = text } };

		r = store_run(store, STATEMENT_IDENTITY_PUT, binds, NULL, err);
	}
	free(text);
	return r;
}

int store_identity_delete(struct store *store, const char *uuid, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = uuid } };
	unsigned int changed;
	int r = store_flush(store, err);

	if (r == 0)
		r = store_run(store, STATEMENT_IDENTITY_DELETE, binds, &changed, err);
	if (r == 0 && !changed)
		r = err_set(err, ENOENT, "store: there is no key %s", uuid);
	return r;
}

int store_identity_list(struct store *store, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { 0 } };

	return store_documents(store, STATEMENT_IDENTITY_LIST, binds, ret, err);
}
