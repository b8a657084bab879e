/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking JSON text that a hostile function wrote, and finding fields in the host's requests, without building a tree: memory stays constant
 * whatever the text. Accepts what jansson accepts without flags (so that the host can parse an answer that holds the text), to a depth of
 * JSON_TEXT_DEPTH: UTF-8, no lone surrogates, no \u0000, integers of 64 bits, reals in range.
 */
#ifndef SQUEEZY_AGENT_JSONTEXT_H
#define SQUEEZY_AGENT_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_TEXT_DEPTH 1024

enum json_kind {
	JSON_KIND_INVALID,
	JSON_KIND_OBJECT,
	JSON_KIND_ARRAY,
	JSON_KIND_OTHER,	/* string, number, true, false, null */
};

struct json_span {
	const char *text;	/* into the given text, NULL if there is none */
	size_t len;
};

/* What the text is; white space around one value is fine, anything else is not. */
enum json_kind json_text_kind(const char *text, size_t len);

/* The value of a member of the outermost object of a valid text (the last one of that name; names with escapes are not found). */
struct json_span json_text_member(const char *text, size_t len, const char *name);

/* A member that is a non-negative integer: true and *ret, or false. */
bool json_text_u64(const char *text, size_t len, const char *name, uint64_t *ret);

#endif
