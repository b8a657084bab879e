/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of the VM's processes that can hold pages without mapping them: pipes with something in them, io_uring instances with
 * registered buffers, sockets with bytes in flight. Which page a descriptor holds cannot be seen from outside: these are candidates.
 */
#ifndef SQUEEZY_AGENT_DESCRIPTORS_H
#define SQUEEZY_AGENT_DESCRIPTORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Looks through /proc until CLOCK_MONOTONIC is deadline_ns or `most` candidates are found; *ret_truncated tells that it ended early.
 * New array of {"pid","command","container","fd","kind","bytes"}: bytes is what is queued, buffers what is registered (io_uring).
 * NULL: out of memory.
 */
json_t *descriptors_find(unsigned int most, uint64_t deadline_ns, bool *ret_truncated);

/* {"pid","command","container"} of a process; container is null outside of one. NULL: the process has gone, or out of memory. */
json_t *descriptors_task(pid_t pid);

#endif
