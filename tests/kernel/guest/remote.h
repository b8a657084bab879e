/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_TESTS_KERNEL_REMOTE_H
#define SQUEEZY_TESTS_KERNEL_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* /proc/PID/mem. */
int open_mem(pid_t pid);
/* A userfaultfd that is told of missing pages of this memory; features: of UFFDIO_API. */
int userfaultfd_for(void *mem, size_t bytes);
int userfaultfd_with(void *mem, size_t bytes, uint64_t features);
/* Returns when a fault has been told. */
void wait_fault(int fd);
/* UFFDIO_COPY. */
void copy_pages(int fd, void *to, const void *from, size_t bytes);

/*
 * The body of a process in a claiming cgroup. A copy by userfaultfd whose source is missing sleeps with a page of the partition in its
 * hand. When a file is mapped in the target's place meanwhile, that page must not become the file's: one charge is refused.
 */
void copy_into_file(void *unused);

#endif
