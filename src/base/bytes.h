/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes with a bound. Zero-initialised is empty and owns nothing. */
#ifndef SQUEEZY_BASE_BYTES_H
#define SQUEEZY_BASE_BYTES_H

#include <stddef.h>

struct bytes {
	char *data;	/* malloc()ed; NUL-terminated when not NULL */
	size_t len;
	size_t room;	/* allocated, the NUL included */
};

/* Appends. -EMSGSIZE when len would pass max (unchanged then), -ENOMEM. */
int bytes_add(struct bytes *bytes, const void *data, size_t len, size_t max);

/* Removes the first len bytes (at most all). */
void bytes_drop(struct bytes *bytes, size_t len);

/* Frees and empties. */
void bytes_clear(struct bytes *bytes);

/* Gives the data away (the caller frees it; NULL if nothing was ever added) and empties. *ret_len may be NULL. */
char *bytes_take(struct bytes *bytes, size_t *ret_len);

#endif
