/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to calls. Each ends its call. */
#ifndef SQUEEZY_AGENT_ANSWER_H
#define SQUEEZY_AGENT_ANSWER_H

#include <jansson.h>

struct h2_call;

/* Steals body; NULL: out of memory. */
void answer_json(struct h2_call *call, unsigned int status, json_t *body);

/* {"error": <sentence>, "reason": <keyword>} */
void answer_error(struct h2_call *call, unsigned int status, const char *reason, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
