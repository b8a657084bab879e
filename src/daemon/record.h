/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call ended, as OpenWhisk tells it: status, result, log lines, activation record. Pure: the agent's answer in, JSON out.
 * The agent's answer is a hostile guest's: every field may be missing or of another type.
 */
#ifndef SQUEEZY_DAEMON_RECORD_H
#define SQUEEZY_DAEMON_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/limits.h"

enum outcome_status {
	OUTCOME_SUCCESS,
	OUTCOME_APPLICATION_ERROR,	/* the function returned {"error": ...} */
	OUTCOME_DEVELOPER_ERROR,	/* it crashed, took too long, used too much, answered nonsense */
	OUTCOME_WHISK_ERROR,		/* we could not run it */
};

enum outcome_phase {
	OUTCOME_INIT,
	OUTCOME_RUN,
};

struct outcome {
	enum outcome_status status;
	json_t *result;			/* owned */
	json_t *logs;			/* array of lines, owned */
	bool timed_out;
	int64_t size;			/* of the response text, -1: there was none */
};

struct call_times {
	uint64_t start_ms;		/* epoch: init start when cold, else run start */
	uint64_t end_ms;
	uint64_t wait_ms, init_ms, run_ms;
	bool cold;
};

/* What a record says of the call itself; strings are borrowed. */
struct record_call {
	const char *activation_id, *ns, *name, *version, *kind;
	const char *path;		/* "ns/package/name": where the action is */
	const char *cause;		/* the sequence it is a part of; NULL: none */
	const char *binding;		/* NULL: none */
	const json_t *limits;
};

/* Fills *ret from the agent's answer to init or run (status 200 or an error object). */
void outcome_from_answer(enum outcome_phase phase, const struct limits *limits, int status, const json_t *body, struct outcome *ret);

/* There was no answer: the VM died, or the call ran into the host's own deadline (timed_out). */
void outcome_from_silence(enum outcome_phase phase, const struct limits *limits, bool timed_out, struct outcome *ret);

/* We could not run it. text is for the caller. */
void outcome_whisk_error(const char *text, struct outcome *ret);

void outcome_clear(struct outcome *outcome);

/* The activation record of section 1.7, logs included. New object, NULL: out of memory. */
json_t *record_make(const struct record_call *call, const struct outcome *outcome, const struct call_times *times);

/* Forms of a record: line of a list; {"status","success","result","size"?}. New objects. */
json_t *record_summary(const json_t *record);

/* HTTP status of a blocking call that ended like this. */
int outcome_http_status(enum outcome_status status);

#endif
