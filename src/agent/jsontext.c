// SPDX-License-Identifier: Apache-2.0
#include "agent/jsontext.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	const char *at;
	const char *end;
};

#define NUMBER_MAX 512	/* characters of a number; longer ones are refused */

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && memchr(" \t\n\r", *scan->at, 4))
		scan->at++;
}

static bool take(struct scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static bool take_word(struct scan *scan, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len))
		return false;
	scan->at += len;
	return true;
}

static bool hex4(struct scan *scan, unsigned int *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++, scan->at++) {
		char c = scan->at < scan->end ? *scan->at : 0;

		if (c >= '0' && c <= '9')
			*ret = *ret << 4 | (unsigned int)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			*ret = *ret << 4 | (unsigned int)((c | 32) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* After the backslash. */
static bool skip_escape(struct scan *scan)
{
	unsigned int unit;

	if (scan->at == scan->end)
		return false;
	if (*scan->at != 'u')
		return memchr("\"\\/bfnrt", *scan->at++, 8) != NULL;
	scan->at++;
	if (!hex4(scan, &unit) || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	if (unit < 0xd800 || unit > 0xdbff)
		return true;
	return take_word(scan, "\\u") && hex4(scan, &unit) && unit >= 0xdc00 && unit <= 0xdfff;
}

/* One UTF-8 sequence of two bytes or more. */
static bool skip_utf8(struct scan *scan)
{
	const unsigned char *s = (const unsigned char *)scan->at;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] < 0xc2 || s[0] > 0xf4 || (size_t)(scan->end - scan->at) < n)
		return false;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return false;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return false;
	scan->at += n;
	return true;
}

/* After the opening quote. */
static bool skip_string(struct scan *scan)
{
	while (scan->at < scan->end) {
		unsigned char c = (unsigned char)*scan->at;

		if (c == '"') {
			scan->at++;
			return true;
		}
		if (c < 0x20)
			return false;
		if (c >= 0x80) {
			if (!skip_utf8(scan))
				return false;
			continue;
		}
		scan->at++;
		if (c == '\\' && !skip_escape(scan))
			return false;
	}
	return false;
}

static bool skip_digits(struct scan *scan)
{
	const char *start = scan->at;

	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
		scan->at++;
	return scan->at > start;
}

static bool in_range(const char *text, size_t len, bool real)
{
	char copy[NUMBER_MAX + 1];

	if (len > NUMBER_MAX)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	if (real)
		return fabs(strtod(copy, NULL)) <= 1.7976931348623157e308;
	strtoll(copy, NULL, 10);
	return errno == 0;
}

static bool skip_number(struct scan *scan)
{
	const char *start = scan->at;
	bool real = false;

	take(scan, '-');
	if (!take(scan, '0') && !skip_digits(scan))
		return false;
	if (take(scan, '.')) {
		real = true;
		if (!skip_digits(scan))
			return false;
	}
	if (take(scan, 'e') || take(scan, 'E')) {
		real = true;
		if (!take(scan, '+'))
			take(scan, '-');
		if (!skip_digits(scan))
			return false;
	}
	return in_range(start, (size_t)(scan->at - start), real);
}

static bool skip_scalar(struct scan *scan)
{
	if (take(scan, '"'))
		return skip_string(scan);
	if (scan->at < scan->end && (*scan->at == '-' || (*scan->at >= '0' && *scan->at <= '9')))
		return skip_number(scan);
	return take_word(scan, "true") || take_word(scan, "false") || take_word(scan, "null");
}

/* A member's name and colon. */
static bool skip_name(struct scan *scan)
{
	skip_space(scan);
	if (!take(scan, '"') || !skip_string(scan))
		return false;
	skip_space(scan);
	return take(scan, ':');
}

/* After a value, at depth > 0: closes what ends here and reads the comma of what goes on. */
static bool skip_close(struct scan *scan, const char *stack, size_t *depth)
{
	while (*depth) {
		skip_space(scan);
		if (take(scan, ','))
			return stack[*depth - 1] == '}' ? skip_name(scan) : true;
		if (!take(scan, stack[*depth - 1]))
			return false;
		(*depth)--;
	}
	return true;
}

/* One value of any depth. */
static bool skip_value(struct scan *scan)
{
	char stack[JSON_TEXT_DEPTH];
	size_t depth = 0;

	do {
		bool object;

		skip_space(scan);
		object = take(scan, '{');
		if (!object && !take(scan, '[')) {
			if (!skip_scalar(scan) || !skip_close(scan, stack, &depth))
				return false;
			continue;
		}
		if (depth == JSON_TEXT_DEPTH)
			return false;
		stack[depth++] = object ? '}' : ']';
		skip_space(scan);
		if (take(scan, stack[depth - 1])) {
			depth--;
			if (!skip_close(scan, stack, &depth))
				return false;
		} else if (object && !skip_name(scan)) {
			return false;
		}
	} while (depth);
	return true;
}

enum json_kind json_text_kind(const char *text, size_t len)
{
	struct scan scan = { text, text + len };
	enum json_kind kind;

	skip_space(&scan);
	if (scan.at == scan.end)
		return JSON_KIND_INVALID;
	kind = *scan.at == '{' ? JSON_KIND_OBJECT : *scan.at == '[' ? JSON_KIND_ARRAY : JSON_KIND_OTHER;
	if (!skip_value(&scan))
		return JSON_KIND_INVALID;
	skip_space(&scan);
	return scan.at == scan.end ? kind : JSON_KIND_INVALID;
}

struct json_span json_text_member(const char *text, size_t len, const char *name)
{
	struct scan scan = { text, text + len };
	struct json_span found = { 0 };
	size_t name_len = strlen(name);

	skip_space(&scan);
	if (!take(&scan, '{'))
		return found;
	do {
		const char *start;
		bool same;

		skip_space(&scan);
		start = scan.at + 1;
		if (!skip_name(&scan))
			return found;
		same = (size_t)(scan.end - start) > name_len && !memcmp(start, name, name_len) && start[name_len] == '"';
		skip_space(&scan);
		start = scan.at;
		if (!skip_value(&scan))
			return found;
		if (same)
			found = (struct json_span){ start, (size_t)(scan.at - start) };
		skip_space(&scan);
	} while (take(&scan, ','));
	return found;
}

bool json_text_u64(const char *text, size_t len, const char *name, uint64_t *ret)
{
	struct json_span span = json_text_member(text, len, name);
	uint64_t value = 0;

	if (!span.text || span.len > 18)
		return false;
	for (size_t i = 0; i < span.len; i++) {
		if (span.text[i] < '0' || span.text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(span.text[i] - '0');
	}
	*ret = value;
	return true;
}
