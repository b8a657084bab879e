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
struct throttle;

#define ACTIVATION_ID_SIZE 33	/* 32 hexadecimal digits */

/* A new activation id, from random numbers. */
int pool_make_id(char id[ACTIVATION_ID_SIZE]);

/* Stores a record under the name that lists filter by; it is on the disk RECORD_MS later. Failures are logged: the call itself has been made. */
#define RECORD_MS 20
void pool_keep_record(struct pool *pool, const char *id, const char *ns, const char *name, uint64_t start_ms, const json_t *record);

/* A call to make; everything is borrowed. */
struct call_request {
	const char *ns;			/* the namespace that calls */
	const char *action;		/* "ns/package/name" or "ns/name": where the action is */
	const json_t *document;		/* the action; its code is not needed */
	const json_t *arguments;	/* an object or an array */
	const char *transaction;
	const char *cause;		/* activation id of the sequence this is a part of, or NULL */
	const char *binding;		/* "ns/binding" the action was reached through, or NULL */
	const char *key;		/* of the caller, for functions that ask for it */
	struct throttle *throttle;	/* has let the call in; is told of its end. NULL: none */
};

/* Called once, when the activation record has been stored. record is borrowed. */
struct call_done {
	void (*fn)(void *arg, enum outcome_status status, const json_t *record);
	void *arg;
};

/* options and store are kept by reference. */
int pool_new(struct event_base *base, const struct options *options, struct store *store, struct pool **ret, struct err *err);

/* Ends what is left at once; open calls complete as whisk errors. NULL is fine. */
void pool_free(struct pool *pool);

/* Starts the first VM before a call asks for it. */
int pool_prestart(struct pool *pool, struct err *err);

/*
 * Queues a call. id gets its activation id. -EAGAIN: too many calls are in flight (*ret_count of them). done.fn may be NULL.
 */
#define POOL_CALLS_MAX 1024
int pool_submit(struct pool *pool, const struct call_request *request, struct call_done done, char id[ACTIVATION_ID_SIZE], struct err *err);

/* The action ("ns/package/name") was replaced or deleted: its instances end when they are idle. */
void pool_retire(struct pool *pool, const char *action);

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
bool pool_is_stopping(const struct pool *pool);			/* takes no calls any more */
unsigned int pool_in_flight(const struct pool *pool);		/* calls that wait or run */
json_t *pool_reclaims(const struct pool *pool);		/* the last 256, oldest first */
json_t *pool_samples(const struct pool *pool);		/* the last 8,192, oldest first */
void pool_clear_samples(struct pool *pool);

#endif
