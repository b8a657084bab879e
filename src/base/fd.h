/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, clocks and small files. Everything here is non-logging and returns 0 or -errno. */
#ifndef SQUEEZY_BASE_FD_H
#define SQUEEZY_BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Closes *fd if it is >= 0 and sets it to -1. */
void fd_close(int *fd);
#define cleanup_fd __attribute__((cleanup(fd_close)))

/* Whole text of a small file into buf, NUL-terminated, trailing newlines cut. -E2BIG if it does not fit. dirfd as in openat(2). */
int file_read_text(int dirfd, const char *path, char *buf, size_t size);

/* An unsigned decimal number from a small file. -EINVAL if it holds anything else. */
int file_read_u64(int dirfd, const char *path, uint64_t *ret);

/* Writes text with one write(2) to an existing file. */
int file_write_text(int dirfd, const char *path, const char *text);

/* Nanoseconds of the given clock (CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME). */
uint64_t clock_ns(clockid_t clock);

/* "512M", "2G", "128K", "4096" -> bytes. -EINVAL for anything else, -ERANGE past 2^63. */
int parse_size(const char *text, uint64_t *ret_bytes);

#endif
