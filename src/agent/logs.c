// SPDX-License-Identifier: Apache-2.0
#include "agent/logs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JSON_MAX	(32u << 20)	/* text of a whole log, framing included */
#define NOTE_ROOM	4096		/* of it for lines of our own */

/* Text of all logs together: many functions may print a lot at once, and the agent's memory is the VM's. */
static size_t held;

/* Length of the valid UTF-8 sequence at s, 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t room)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (n == 1)
		return s[0] != 0;
	if (s[0] < 0xc2 || s[0] > 0xf4 || room < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* The JSON form of one byte that cannot stand as it is; returns its length. */
static size_t escape(char out[8], unsigned char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *found = c ? strchr(plain, c) : NULL;

	if (found)
		return (size_t)snprintf(out, 8, "\\%c", letter[found - plain]);
	return (size_t)snprintf(out, 8, "\\u%04x", c);
}

int logs_quote(struct bytes *out, const char *text, size_t len, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t start = 0, i = 0;
	int r = bytes_add(out, "\"", 1, max);

	while (i < len && r == 0) {
		size_t n = utf8_len(s + i, len - i);
		char repl[8] = "\xef\xbf\xbd";
		size_t repl_len = 3;

		if (n && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\') {
			i += n;
			continue;
		}
		if (n)
			repl_len = escape(repl, s[i]);
		r = bytes_add(out, text + start, i - start, max);
		if (r == 0)
			r = bytes_add(out, repl, repl_len, max);
		start = ++i;
	}
	if (r == 0)
		r = bytes_add(out, text + start, len - start, max);
	return r == 0 ? bytes_add(out, "\"", 1, max) : r;
}

/* Appends one line object, whole or not at all. */
static bool put_line(struct logs *logs, enum log_stream stream, const char *text, size_t len, uint64_t now_ms, size_t max)
{
	size_t before = logs->json.len;
	char head[96];
	int n = snprintf(head, sizeof(head), "%s{\"t_ms\":%" PRIu64 ",\"stream\":\"%s\",\"text\":", before ? "," : "[", now_ms,
			 stream == LOG_STDOUT ? "stdout" : "stderr");

	if (bytes_add(&logs->json, head, (size_t)n, max) == 0 && logs_quote(&logs->json, text, len, max) == 0 &&
	    bytes_add(&logs->json, "}", 1, max) == 0) {
		held += logs->json.len - before;
		return true;
	}
	logs->json.len = before;
	return false;
}

void logs_start(struct logs *logs, uint64_t max)
{
	logs_clear(logs);
	logs->lines = 0;
	logs->max = max;
}

static void truncate_logs(struct logs *logs)
{
	logs->truncated = true;
	for (int i = 0; i < LOG_STREAMS; i++)
		bytes_clear(&logs->partial[i]);
}

/* A whole line without its line end. */
static void add_line(struct logs *logs, enum log_stream stream, const char *text, size_t len, uint64_t now_ms)
{
	size_t room = logs->json.len + (held < LOGS_HELD_MAX ? LOGS_HELD_MAX - held : 0);

	if (len == sizeof(LOGS_SENTINEL) - 1 && !memcmp(text, LOGS_SENTINEL, len))
		return;
	if (++logs->lines > LOGS_LINES_MAX)
		truncate_logs(logs);
	else if (!put_line(logs, stream, text, len, now_ms, room < JSON_MAX - NOTE_ROOM ? room : JSON_MAX - NOTE_ROOM))
		truncate_logs(logs);
}

/* Takes a piece that ends a line (whole) or not. */
static void feed_piece(struct logs *logs, enum log_stream stream, const char *data, size_t len, bool whole, uint64_t now_ms)
{
	struct bytes *partial = &logs->partial[stream];
	uint64_t cost = len + whole, room = logs->max - logs->used;
	bool over = cost > room;

	if (over && len > room)
		len = (size_t)room;
	logs->used += over ? room : cost;
	if (bytes_add(partial, data, len, JSON_MAX) < 0)
		over = true;
	if ((whole || over) && (partial->len || !over))
		add_line(logs, stream, partial->data ? partial->data : "", partial->len, now_ms);
	if (whole || over)
		partial->len = 0;
	if (over)
		truncate_logs(logs);
}

void logs_feed(struct logs *logs, enum log_stream stream, const char *data, size_t len, uint64_t now_ms)
{
	while (len && logs->max && !logs->truncated) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		feed_piece(logs, stream, data, n, end != NULL, now_ms);
		n += end != NULL;
		data += n;
		len -= n;
	}
}

void logs_note(struct logs *logs, const char *text, uint64_t now_ms)
{
	put_line(logs, LOG_STDERR, text, strlen(text), now_ms, JSON_MAX - 64);
}

const char *logs_finish(struct logs *logs, uint64_t now_ms)
{
	char note[128];

	for (int i = 0; i < LOG_STREAMS; i++) {
		if (logs->partial[i].len && !logs->truncated)
			add_line(logs, (enum log_stream)i, logs->partial[i].data, logs->partial[i].len, now_ms);
		bytes_clear(&logs->partial[i]);
	}
	if (logs->truncated) {
		snprintf(note, sizeof(note), "Logs were truncated because the total bytes size exceeds the limit of %" PRIu64 " bytes.", logs->max);
		logs_note(logs, note, now_ms);
	}
	held -= logs->json.len;
	if (bytes_add(&logs->json, logs->json.len ? "]" : "[]", logs->json.len ? 1 : 2, JSON_MAX) < 0)
		logs->json.len = 0;
	held += logs->json.len;
	return logs->json.len ? logs->json.data : "[]";
}

void logs_clear(struct logs *logs)
{
	held -= logs->json.len;
	bytes_clear(&logs->json);
	for (int i = 0; i < LOG_STREAMS; i++)
		bytes_clear(&logs->partial[i]);
	logs->max = logs->used = 0;
	logs->truncated = false;
}
