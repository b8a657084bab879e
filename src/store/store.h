/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives the daemon: actions and activation records, in one SQLite file (write-ahead log). Documents are JSON objects as the
 * REST API shows them; the columns beside them are only what we look up and sort by.
 *
 * Durable when the function returns: actions (put, delete). Activation records survive a crash of the daemon; a crash of the machine
 * may take those of the last moments before the next action is put. Synchronous; below a millisecond on a disk that keeps up.
 * Returns 0 or -errno and fills err: -ENOENT no such document, -EEXIST, -ENOSPC disk full, -EBADMSG the file is no store of ours,
 * -EPROTONOSUPPORT written by a newer version, -EIO. Documents handed out are owned by the caller.
 */
#ifndef SQUEEZY_STORE_STORE_H
#define SQUEEZY_STORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct store;

/* Opens or makes the file and brings its schema up to date. */
int store_open(const char *path, struct store **ret, struct err *err);
void store_close(struct store *store);	/* NULL is fine */

/* Put replaces what is there. updated_ms (epoch) is what lists are sorted by, newest first. */
int store_action_put(struct store *store, const char *ns, const char *name, uint64_t updated_ms, const json_t *document, struct err *err);
int store_action_get(struct store *store, const char *ns, const char *name, json_t **ret, struct err *err);
int store_action_delete(struct store *store, const char *ns, const char *name, struct err *err);

/* limit: at most that many; *ret is an array. */
int store_action_list(struct store *store, const char *ns, unsigned int limit, unsigned int skip, json_t **ret, struct err *err);
int store_action_count(struct store *store, const char *ns, uint64_t *ret, struct err *err);

/* Which activations: name NULL means every action; since and upto are epoch ms of their start, inclusive. */
struct store_range {
	const char *ns;
	const char *name;
	uint64_t since_ms, upto_ms;
	unsigned int limit, skip;
};

/* Ids are never used twice: -EEXIST. The oldest records go when there are more than STORE_ACTIVATIONS_MAX. */
#define STORE_ACTIVATIONS_MAX 100000
int store_activation_put(struct store *store, const char *id, const char *ns, const char *name, uint64_t start_ms,
			 const json_t *document, struct err *err);
int store_activation_get(struct store *store, const char *ns, const char *id, json_t **ret, struct err *err);
int store_activation_list(struct store *store, const struct store_range *range, json_t **ret, struct err *err);	/* newest first */
int store_activation_count(struct store *store, const struct store_range *range, uint64_t *ret, struct err *err);

#endif
