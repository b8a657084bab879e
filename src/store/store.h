/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives the daemon: entities (actions, packages, triggers, rules), identities and activation records, in one SQLite file
 * (write-ahead log). Documents are JSON objects as the REST API shows them; the columns beside them are only what we look up and sort by.
 *
 * Durable, that is on the disk, when the function returns: entities and identities (put, delete), with all activation records put before.
 * Activation records alone: when store_flush() returns. Synchronous; below a millisecond on a disk that keeps up.
 * Returns 0 or -errno and fills err: -ENOENT no such document, -EISNAM the name is one of another collection, -EEXIST, -ENOSPC disk
 * full, -EBADMSG the file is no store of ours, -EPROTONOSUPPORT written by a newer version, -EIO. Documents handed out are owned by the
 * caller.
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

/* A name belongs to one collection of its namespace. Actions of a package are named "package/action". */
enum store_collection {
	STORE_ACTIONS,
	STORE_PACKAGES,
	STORE_TRIGGERS,
	STORE_RULES,
	STORE_COLLECTIONS
};

struct store_key {
	enum store_collection collection;
	const char *ns, *name;
};

/*
 * Put replaces what is there. The document's "updated" (epoch ms) is what lists are sorted by, newest first; its "publish" makes it
 * public. exec.code is kept apart, so that neither lists nor warm calls read it: get brings it back on demand.
 */
int store_put(struct store *store, const struct store_key *key, const json_t *document, struct err *err);
int store_get(struct store *store, const struct store_key *key, bool with_code, json_t **ret, struct err *err);
int store_delete(struct store *store, const struct store_key *key, struct err *err);

/* All writes between begin and end(commit true) become durable together, or none does. Not nested. */
int store_begin(struct store *store, struct err *err);
int store_end(struct store *store, bool commit, struct err *err);

/* Makes the activation records durable that wait for it: many share one write to the disk. Cheap when none does. */
int store_flush(struct store *store, struct err *err);

struct store_query {
	enum store_collection collection;
	const char *ns;
	const char *package;		/* its actions only; NULL: no such bound */
	bool public_only;
	unsigned int limit, skip;
};

int store_list(struct store *store, const struct store_query *query, json_t **ret, struct err *err);	/* *ret is an array */
int store_count(struct store *store, const struct store_query *query, uint64_t *ret, struct err *err);

/* Identities: documents {"namespace","uuid",...}, by uuid. The list holds all. */
int store_identity_put(struct store *store, const char *uuid, const json_t *document, struct err *err);
int store_identity_delete(struct store *store, const char *uuid, struct err *err);
int store_identity_list(struct store *store, json_t **ret, struct err *err);

/*
 * A copy of the running store, in steps of so many pages (4 KiB each) between which everything else goes on. path must not exist. end()
 * frees it; 0 only when the copy is complete, else nothing is left of it.
 */
struct store_backup;
int store_backup_start(struct store *store, const char *path, struct store_backup **ret, struct err *err);
int store_backup_step(struct store_backup *backup, unsigned int pages, bool *ret_done, struct err *err);
int store_backup_end(struct store_backup *backup);

/* Puts a backup in the place of a store that nobody has open. -EBADMSG: it is none, or damaged; the store is as it was then. */
int store_restore(const char *from, const char *to, struct err *err);

/* Which activations: name NULL means every action; since and upto are epoch ms of their start, inclusive. */
struct store_range {
	const char *ns;
	const char *name;
	uint64_t since_ms, upto_ms;
	unsigned int limit, skip;
};

/* Which activation records stay: at most so many, none that began before since_ms, and none while the file holds more than bytes. */
struct store_keep {
	uint64_t records, since_ms, bytes;
};

/* Removes what need not stay, at most some thousand records a call. */
int store_trim(struct store *store, const struct store_keep *keep, struct err *err);

/* Ids are never used twice: -EEXIST. */
int store_activation_put(struct store *store, const char *id, const char *ns, const char *name, uint64_t start_ms,
			 const json_t *document, struct err *err);
int store_activation_get(struct store *store, const char *ns, const char *id, json_t **ret, struct err *err);
int store_activation_list(struct store *store, const struct store_range *range, json_t **ret, struct err *err);	/* newest first */
int store_activation_count(struct store *store, const struct store_range *range, uint64_t *ret, struct err *err);

#endif
