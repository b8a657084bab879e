/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentence that goes with a failure.
 *
 * A function that can fail for a reason a person must read takes `struct err *err` last and returns 0 or -errno. On failure, and
 * only then, it fills err: what failed, where, and what to do. Callers that do not care pass NULL.
 */
#ifndef SQUEEZY_BASE_ERR_H
#define SQUEEZY_BASE_ERR_H

#include <stddef.h>

struct err {
	int code;		/* positive errno, 0 = no error */
	char text[480];		/* one sentence, no newline */
};

/* Fills err (may be NULL) and returns -code. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the sentence err already holds; returns -err->code. A no-op returning -EIO when err is NULL. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
