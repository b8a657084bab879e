/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_BASE_BASE64_H
#define SQUEEZY_BASE_BASE64_H

#include <stddef.h>

/* Base64 text (RFC 4648, padded, no line ends) of len bytes; malloc()ed, NULL: out of memory. */
char *base64_encode(const char *bytes, size_t len);

/*
 * The bytes of a padded base64 text, blanks around it ignored; malloc()ed and NUL-terminated, *ret_len without the NUL. NULL: it is none
 * (other characters, wrong padding), or out of memory.
 */
char *base64_decode(const char *text, size_t *ret_len);

#endif
