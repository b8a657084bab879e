/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls, instances and VMs: takes calls, asks src/policy what to do with each, does it, and keeps the memory account. Owns every VM.
 * One loop, no blocking call. Logs what an operator should know.
 */
#ifndef SQUEEZY_DAEMON_POOL_H
#define SQUEEZY_DAEMON_POOL_H

#include <jansson.h>
#include <stdbool.h>

#include "daemon/options.h"
#include "daemon/record.h"

struct event_base;
struct pool;
struct store;

#define ACTIVATION_ID_SIZE 33	/* 32 hexadecimal digits */

/* A call to make; everything is borrowed. */
struct call_request {
	const char *ns;
	const char *name;
	const json_t *document;		/* the action */
	const json_t *arguments;
	const char *transaction;
};

/* Called once, when the activation record has been stored. record is borrowed. */
struct call_done {
	void (*fn)(void *arg, enum outcome_status status, const json_t *record);
	void *arg;
};

/* options and store are kept by reference; key is what functions get that ask for one. */
int pool_new(struct event_base *base, const struct options *options, struct store *store, const char *key, struct pool **ret,
	     struct err *err);

/* Ends what is left at once; open calls complete as whisk errors. NULL is fine. */
void pool_free(struct pool *pool);

/* Starts the first VM before a call asks for it. */
int pool_prestart(struct pool *pool, struct err *err);

/*
 * Queues a call. id gets its activation id. -EAGAIN: too many calls are in flight (*ret_count of them). done.fn may be NULL.
 */
#define POOL_CALLS_MAX 1024
int pool_submit(struct pool *pool, const struct call_request *request, struct call_done done, char id[ACTIVATION_ID_SIZE], struct err *err);

/* The action was replaced or deleted: its instances end when they are idle. */
void pool_retire(struct pool *pool, const char *ns, const char *name);

/* Evicts the idle instance with that id, or all idle ones (NULL). *ret_count of them. -ENOENT: no such instance, -EBUSY: not idle. */
int pool_evict(struct pool *pool, const char *id, unsigned int *ret_count, struct err *err);

/* Called once: 200 with the agent's answer (borrowed), or another status with a sentence. */
struct inspect_done {
	void (*fn)(void *arg, int status, const json_t *answer, const char *why);
	void *arg;
};

/* Asks the agent of a VM what holds a partition. -ENOENT: no such VM; -ENOTCONN: it is not ready. done is not called then. */
int pool_inspect(struct pool *pool, const char *vm, unsigned int partition, struct inspect_done done, struct err *err);

/* Refuses new calls, ends VMs in an orderly way; done (once) when the last is gone, at the latest after timeout_ms and a SIGKILL. */
void pool_stop(struct pool *pool, unsigned int timeout_ms, void (*done)(void *arg), void *arg);

/* What is there: new objects. */
json_t *pool_status(const struct pool *pool);
json_t *pool_reclaims(const struct pool *pool);		/* the last 256, oldest first */
json_t *pool_samples(const struct pool *pool);		/* the last 8,192, oldest first */
void pool_clear_samples(struct pool *pool);

#endif
