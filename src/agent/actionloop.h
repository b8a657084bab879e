/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading one answer line of the ActionLoop protocol from bytes that may be anything: the line is kept up to its bound, a longer one is
 * counted and thrown away, and bytes after the line end are noticed, because they would be taken for the next answer.
 */
#ifndef SQUEEZY_AGENT_ACTIONLOOP_H
#define SQUEEZY_AGENT_ACTIONLOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct loop_line {
	struct bytes text;	/* without the line end; empty when too long */
	uint64_t max;
	uint64_t size;		/* of the line so far */
	bool whole;		/* the line end was seen */
	bool extra;		/* and something after it */
};

void loop_line_start(struct loop_line *line, uint64_t max);
void loop_line_feed(struct loop_line *line, const char *data, size_t len);
bool loop_line_too_long(const struct loop_line *line);
void loop_line_clear(struct loop_line *line);

/* Makes JSON text one line in place: line ends outside of strings are white space, inside they cannot be. */
void loop_flatten(char *text, size_t len);

#endif
