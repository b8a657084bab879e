/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the demonstration: what is sent, and whether the answer is what an independent computation here gives. */
#ifndef SQUEEZY_DEMONSTRATION_PLAN_H
#define SQUEEZY_DEMONSTRATION_PLAN_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "demonstration/graph.h"

enum plan_kind {
	PLAN_BFS,
	PLAN_WORDS,
};

struct plan {
	enum plan_kind kind;
	struct graph_request graph;	/* PLAN_BFS */
	const char *file;		/* PLAN_WORDS: the text that is sent */
};

/* Name of the action that a call goes to. */
const char *plan_action(enum plan_kind kind);

/* The arguments of the call, a new reference. */
int plan_arguments(const struct plan *plan, json_t **ret, struct err *err);

/*
 * Compares the function's result with our own. 0 and a line for people in said; -EBADMSG when they differ, with a sentence that
 * names the field.
 */
int plan_check(const struct plan *plan, const json_t *result, char *said, size_t size, struct err *err);

#endif
