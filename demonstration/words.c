// SPDX-License-Identifier: Apache-2.0
#include "demonstration/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word: a span of the text, which is lower-cased first. */
struct span {
	const char *start;
	size_t length;
	size_t count;
};

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static char *lower_copy(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	if (!copy)
		return NULL;
	for (size_t i = 0; i < length; i++)
		copy[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
	copy[length] = 0;
	return copy;
}

static int compare_text(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t shorter = x->length < y->length ? x->length : y->length;
	int r = memcmp(x->start, y->start, shorter);

	return r ? r : (x->length > y->length) - (x->length < y->length);
}

static int compare_rank(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return compare_text(a, b);
}

static size_t find_spans(const char *text, struct span *spans)
{
	size_t n = 0;

	while (*text) {
		const char *start;

		if (!is_letter(*text)) {
			text++;
			continue;
		}
		for (start = text; is_letter(*text); text++)
			;
		spans[n++] = (struct span){ .start = start, .length = (size_t)(text - start), .count = 1 };
	}
	return n;
}

/* Folds equal neighbours of a sorted list into one with their count; returns how many are left. */
static size_t fold(struct span *spans, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		if (out && !compare_text(&spans[out - 1], &spans[i]))
			spans[out - 1].count++;
		else
			spans[out++] = spans[i];
	}
	return out;
}

int words_count(const char *text, size_t length, struct words_answer *ret)
{
	char *copy = lower_copy(text, length);
	struct span *spans = calloc(length / 2 + 1, sizeof(*spans));
	struct words_answer ans = { 0 };

	if (!copy || !spans) {
		free(copy);
		free(spans);
		return -ENOMEM;
	}
	ans.words = find_spans(copy, spans);
	qsort(spans, ans.words, sizeof(*spans), compare_text);
	ans.distinct = fold(spans, ans.words);
	qsort(spans, ans.distinct, sizeof(*spans), compare_rank);
	ans.n_top = ans.distinct < WORDS_TOP ? ans.distinct : WORDS_TOP;
	for (size_t i = 0; i < ans.n_top; i++) {
		snprintf(ans.top[i].word, sizeof(ans.top[i].word), "%.*s", (int)spans[i].length, spans[i].start);
		ans.top[i].count = spans[i].count;
	}
	free(copy);
	free(spans);
	*ret = ans;
	return 0;
}
