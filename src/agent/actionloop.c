// SPDX-License-Identifier: Apache-2.0
#include "agent/actionloop.h"

#include <string.h>

void loop_line_start(struct loop_line *line, uint64_t max)
{
	loop_line_clear(line);
	line->max = max;
}

bool loop_line_too_long(const struct loop_line *line)
{
	return line->size > line->max;
}

void loop_line_feed(struct loop_line *line, const char *data, size_t len)
{
	const char *end = line->whole ? data : memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len;

	if (line->whole) {
		line->extra |= len > 0;
		return;
	}
	line->size += n;
	if (loop_line_too_long(line) || bytes_add(&line->text, data, n, line->max) < 0) {
		line->size = line->size > line->max ? line->size : line->max + 1;
		bytes_clear(&line->text);
	}
	line->whole = end != NULL;
	line->extra = end && n + 1 < len;
}

void loop_line_clear(struct loop_line *line)
{
	bytes_clear(&line->text);
	*line = (struct loop_line){ 0 };
}

void loop_flatten(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ' ';
	}
}
