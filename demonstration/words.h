/* SPDX-License-Identifier: Apache-2.0 */
/* What functions/wordfreq.py must answer, computed here. A word is a run of ASCII letters, compared in lower case. */
#ifndef SQUEEZY_DEMONSTRATION_WORDS_H
#define SQUEEZY_DEMONSTRATION_WORDS_H

#include <stddef.h>

#define WORDS_TOP 10

struct words_answer {
	size_t words;
	size_t distinct;
	size_t n_top;
	struct {
		char word[64];		/* cut to 63 letters */
		size_t count;
	} top[WORDS_TOP];		/* most frequent first, then alphabetical */
};

/* 0 or -ENOMEM. */
int words_count(const char *text, size_t length, struct words_answer *ret);

#endif
