/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_TESTS_KERNEL_REMOTE_H
#define SQUEEZY_TESTS_KERNEL_REMOTE_H

/*
 * The body of a process in a claiming cgroup. A copy by userfaultfd whose source is missing sleeps with a page of the partition in its
 * hand. When a file is mapped in the target's place meanwhile, that page must not become the file's: one charge is refused.
 */
void copy_into_file(void *unused);

#endif
