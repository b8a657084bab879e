/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring without its library: the way for a process to pin its pages for long (FOLL_LONGTERM). */
#ifndef SQUEEZY_TESTS_KERNEL_URING_H
#define SQUEEZY_TESTS_KERNEL_URING_H

#include <stddef.h>

/* A ring, which holds what is registered until it is closed and a while longer. */
int uring_make(void);
/* Registers one fixed buffer. 0 or -errno. */
int uring_register(int ring, void *mem, size_t bytes);
/* Begins to read from the start of a file into mem. Its end is never looked at. */
void uring_read(int ring, int fd, void *mem, size_t bytes);

#endif
