/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_AGENT_SECCOMP_H
#define SQUEEZY_AGENT_SECCOMP_H

#include <jansson.h>

/*
 * The system calls a function may make, as the linux.seccomp object of an OCI config; NULL: out of memory. Everything not named fails with
 * EPERM: no namespaces, mounts, modules, keys, BPF, io_uring, ptrace, userfaultfd, memory policy, other machine, clock or reboot calls, and no
 * socket families but unix, inet, inet6 and netlink (AF_VSOCK would reach the agent and the host).
 */
json_t *seccomp_profile(void);

#endif
