/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of any kind of action: code goes to the pool, a sequence calls its components one after the other. */
#ifndef SQUEEZY_DAEMON_INVOKE_H
#define SQUEEZY_DAEMON_INVOKE_H

#include <jansson.h>

#include "daemon/pool.h"
#include "daemon/resolve.h"

struct err;
struct identity;
struct store;

struct invoker {
	struct pool *pool;
	struct store *store;
};

/* Everything is borrowed for the time of the call to invoke(). */
struct invocation {
	const char *ns;			/* that calls */
	const char *key;		/* "uuid:secret", for functions that ask for it */
	const char *transaction;
	const char *cause;		/* activation id of the sequence this is a part of, or NULL */
	const struct resolved *action;
	const json_t *arguments;	/* object or array */
	struct throttle *throttle;	/* NULL: does not count (components of a sequence) */
};

/*
 * Starts it; id gets its activation id, done.fn (may be NULL) is called once, later, with the record. -EAGAIN: throttled, or too many
 * calls are in flight; -ESHUTDOWN, -ENOMEM.
 */
int invoke(const struct invoker *invoker, const struct invocation *invocation, struct call_done done, char id[ACTIVATION_ID_SIZE],
	   struct err *err);

/* sequence.c */
int sequence_start(const struct invoker *invoker, const struct invocation *invocation, struct call_done done, char id[ACTIVATION_ID_SIZE],
		   struct err *err);

/*
 * Is a sequence's document good to be stored: 1 to SEQUENCE_MAX components, with those of the sequences in it, each of which
 * exists, and no circle through path. -EINVAL with OpenWhisk's sentence.
 */
#define SEQUENCE_MAX 50
int sequence_check(struct store *store, const char *ns, const struct path *path, const json_t *document, struct err *err);

#endif
