// SPDX-License-Identifier: Apache-2.0
/* Activation records as documents. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/store-internal.h"

#define TRIM_AT_ONCE 2000	/* records: some ten milliseconds of the loop */

static int run_trim(struct store *store, enum statement which, uint64_t number, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .number = number }, { .number = TRIM_AT_ONCE } };

	return store_run(store, which, binds, NULL, err);
}

int store_trim(struct store *store, const struct store_keep *keep, struct err *err)
{
	struct bind none[BINDS_MAX] = { { 0 } };
	uint64_t bytes;
	int r = store_flush(store, err);

	if (r == 0)
		r = run_trim(store, STATEMENT_ACTIVATION_TRIM_COUNT, keep->records, err);
	if (r == 0)
		r = run_trim(store, STATEMENT_ACTIVATION_TRIM_AGE, keep->since_ms, err);
	if (r == 0)
		r = store_number(store, STATEMENT_BYTES, none, &bytes, err);
	if (r == 0 && bytes > keep->bytes)
		r = run_trim(store, STATEMENT_ACTIVATION_TRIM_OLDEST, 0, err);
	return r;
}

int store_activation_put(struct store *store, const char *id, const char *ns, const char *name, uint64_t start_ms,
			 const json_t *document, struct err *err)
{
	char *text;
	int r = store_dump(document, &text, err);

	if (r < 0)
		return r;
	r = store_batch(store, err);
	if (r == 0) {
		struct bind binds[BINDS_MAX] = { { .text = id }, { .text = ns }, { .text = name }, { .number = start_ms }, { .text = text } };

		r = store_run(store, STATEMENT_ACTIVATION_PUT, binds, NULL, err);
	}
	free(text);
	return r;
}

int store_activation_get(struct store *store, const char *ns, const char *id, json_t **ret, struct err *err)
{
	struct bind binds[BINDS_MAX] = { { .text = id }, { .text = ns } };

	return store_only(store, STATEMENT_ACTIVATION_GET, binds, ret, err);
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
