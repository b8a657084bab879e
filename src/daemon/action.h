/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An action's document: what PUT makes of a request and of what was there before, and what GET shows of it. Pure: JSON in, JSON out.
 * Errors carry OpenWhisk's sentences; -EINVAL is a 400, -EFBIG a 413.
 */
#ifndef SQUEEZY_DAEMON_ACTION_H
#define SQUEEZY_DAEMON_ACTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/limits.h"

struct err;

/*
 * The document after PUT. request: the body (an object). before: the document so far, or NULL for a new action. Both borrowed. The new
 * document is the caller's.
 */
int action_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	       struct err *err);

/* The line of a list. New object. */
json_t *action_summary(const json_t *document);

/* Does it run other actions instead of code of its own? */
bool action_is_sequence(const json_t *document);

/* Limits of a stored document. */
struct limits action_limits(const json_t *document);

/* True when code is a whole, non-empty base64 text, which is how OpenWhisk tells archives from source. */
bool action_code_is_binary(const char *code);

/* The agent's name for the runtime of an action with code. Borrowed. */
const char *action_agent_kind(const json_t *document);

/* Can its runtime do several calls at once, if limits.concurrency says so? Others take them one by one, whatever it says. */
bool action_overlaps(const json_t *document);

/* Kinds and default, for GET /: {"python":[{...}]}. New object. */
json_t *action_runtimes(void);

#endif
