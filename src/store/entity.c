// SPDX-License-Identifier: Apache-2.0
/* Actions and activations as documents. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/store-internal.h"

#define TRIM_EVERY 256	/* activations between two looks at the number of records */

static int dump(const json_t *document, char **ret, struct err *err)
{
	*ret = json_dumps(document, JSON_COMPACT);
	return *ret ? 0 : err_set(err, ENOMEM, "store: out of memory");
}

/* The one document of a list that can have at most one. */
static int take_only(json_t *list, const char *what, const char *name, json_t **ret, struct err *err)
{
	json_t *document = json_incref(json_array_get(list, 0));

	json_decref(list);
	if (!document)
		return err_set(err, ENOENT, "store: there is no %s '%s'", what, name);
	*ret = document;
	return 0;
}

int store_action_put(struct store *store, const char *ns, const char *name, uint64_t updated_ms, const json_t *document, struct err *err)
{
	char *text;
	int r = dump(document, &text, err);

	if (r < 0)
		return r;
	r = store_set_durable(store, true, err);
	if (r == 0) {
		struct bind binds[BINDS_MAX] = { { .text = ns }, { .text = name }, { .number = updated_ms }, { .text = text } };

		r = store_run(store, STATEMENT_ACTION_PUT, binds, NULL, err);
	}
	free(text);
	return r;
}

int store_action_get(struct store *store, const char *ns, const char *name, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = ns }, { .text = name } };
	json_t *list;
	int r = store_documents(store, STATEMENT_ACTION_GET, binds, &list, err);

	return r < 0 ? r : take_only(list, "action", name, ret, err);
}

int store_action_delete(struct store *store, const char *ns, const char *name, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = ns }, { .text = name } };
	unsigned int changed;
	int r = store_set_durable(store, true, err);

	if (r == 0)
		r = store_run(store, STATEMENT_ACTION_DELETE, binds, &changed, err);
	if (r == 0 && !changed)
		r = err_set(err, ENOENT, "store: there is no action '%s'", name);
	return r;
}

int store_action_list(struct store *store, const char *ns, unsigned int limit, unsigned int skip, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = ns }, { .number = limit }, { .number = skip } };

	return store_documents(store, STATEMENT_ACTION_LIST, binds, ret, err);
}

int store_action_count(struct store *store, const char *ns, uint64_t *ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = ns } };

	return store_number(store, STATEMENT_ACTION_COUNT, binds, ret, err);
}

static int trim(struct store *store, uint64_t start_ms, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .number = STORE_ACTIVATIONS_MAX } };

	if (start_ms % TRIM_EVERY)
		return 0;
	return store_run(store, STATEMENT_ACTIVATION_TRIM, binds, NULL, err);
}

int store_activation_put(struct store *store, const char *id, const char *ns, const char *name, uint64_t start_ms,
			 const json_t *document, struct err *err)
{
	char *text;
	int r = dump(document, &text, err);

	if (r < 0)
		return r;
	r = store_set_durable(store, false, err);
	if (r == 0) {
		struct bind binds[BINDS_MAX] = { { .text = id }, { .text = ns }, { .text = name }, { .number = start_ms }, { .text = text } };

		r = store_run(store, STATEMENT_ACTIVATION_PUT, binds, NULL, err);
	}
	free(text);
	return r < 0 ? r : trim(store, start_ms, err);
}

int store_activation_get(struct store *store, const char *ns, const char *id, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = id }, { .text = ns } };
	json_t *list;
	int r = store_documents(store, STATEMENT_ACTIVATION_GET, binds, &list, err);

	return r < 0 ? r : take_only(list, "activation", id, ret, err);
}

static void fill_range(const struct store_range *range, struct bind binds[BINDS_MAX])
{
	binds[0] = (struct bind){ .text = range->ns };
	binds[1] = (struct bind){ .text = range->name ? range->name : "" };
	binds[2] = (struct bind){ .number = range->since_ms };
	binds[3] = (struct bind){ .number = range->upto_ms };
	binds[4] = (struct bind){ .number = range->limit };
	binds[5] = (struct bind){ .number = range->skip };
}

int store_activation_list(struct store *store, const struct store_range *range, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX];

	fill_range(range, binds);
	return store_documents(store, STATEMENT_ACTIVATION_LIST, binds, ret, err);
}

int store_activation_count(struct store *store, const struct store_range *range, uint64_t *ret, struct err *err)
{
	struct bind binds[BINDS_MAX];

	fill_range(range, binds);
	return store_number(store, STATEMENT_ACTIVATION_COUNT, binds, ret, err);
}
