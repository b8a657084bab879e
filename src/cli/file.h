/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_CLI_FILE_H
#define SQUEEZY_CLI_FILE_H

#include <stddef.h>

struct err;

/* The whole of a file ("-": standard input) as text, at most `most` bytes; free() it. -EFBIG, -EILSEQ when it holds NUL bytes. */
int file_read(const char *path, size_t most, char **ret, struct err *err);

#endif
