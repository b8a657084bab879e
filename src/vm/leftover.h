/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu.pid in a VM's directory: the process id, start time and cgroup of its QEMU, so that a later daemon can end a QEMU that outlived
 * a crash of ours, and only that one: a reused process id has another start time.
 */
#ifndef SQUEEZY_VM_LEFTOVER_H
#define SQUEEZY_VM_LEFTOVER_H

#include <sys/types.h>

struct err;

int leftover_remember(const char *dir, pid_t pid, const char *cgroup, struct err *err);
void leftover_forget(const char *dir);

/* Ends (SIGKILL) and awaits, at most 5 s, the QEMU that dir remembers, and removes its cgroup. 1: there was one, 0: none, -ETIMEDOUT: it does not end. */
int leftover_end(const char *dir, struct err *err);

/* Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), 0 if there is no such process. */
unsigned long long leftover_start_time(pid_t pid);

#endif
