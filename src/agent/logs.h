/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of one activation: what a function wrote to stdout and stderr, cut into lines, bounded, as the text of a JSON array. Follows
 * OpenWhisk's collector: sentinel lines are dropped; over the limit one line says so and the rest is read and thrown away.
 */
#ifndef SQUEEZY_AGENT_LOGS_H
#define SQUEEZY_AGENT_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum log_stream {
	LOG_STDOUT,
	LOG_STDERR,
	LOG_STREAMS,
};

struct logs {
	struct bytes json;	/* the lines so far, without the closing bracket */
	struct bytes partial[LOG_STREAMS];
	uint64_t max;		/* bytes of text; 0 = keep nothing */
	uint64_t used;
	unsigned int lines;
	bool truncated;
};

#define LOGS_HELD_MAX	(96u << 20)	/* of all logs together, framing included; what comes over it is cut, too */

#define LOGS_LINES_MAX	131072		/* of one activation: a line costs its reader more than its text */

#define LOGS_SENTINEL "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

/* Starts empty with the given limit in bytes of text, line ends included. */
void logs_start(struct logs *logs, uint64_t max);

/* Adds what was read from one stream at epoch time now_ms. Never fails: what does not fit is dropped. */
void logs_feed(struct logs *logs, enum log_stream stream, const char *data, size_t len, uint64_t now_ms);

/* Adds a line of our own, beyond the limit. */
void logs_note(struct logs *logs, const char *text, uint64_t now_ms);

/* Ends partial lines and returns the JSON text, which stays owned by logs: always a valid array. */
const char *logs_finish(struct logs *logs, uint64_t now_ms);

void logs_clear(struct logs *logs);

/* Appends text as a JSON string, quotes included; bytes that are not UTF-8, and NUL, become U+FFFD. 0 or as bytes_add(). */
int logs_quote(struct bytes *out, const char *text, size_t len, size_t max);

#endif
