/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of late drains share. Each lets something hold pages of an instance that has ended, and checks the reason that the
 * kernel names; then that the drain comes to its end by itself when the holder lets go, with every page accounted for.
 */
#ifndef SQUEEZY_TESTS_KERNEL_HOSTILE_H
#define SQUEEZY_TESTS_KERNEL_HOSTILE_H

#include "harness.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define PATTERN 0x5a

/* Anonymous memory full of PATTERN. */
char *map_pattern(size_t bytes);
bool has_pattern(const char *mem, size_t bytes);
void pause_for_ever(void);

/* A pipe that takes a MiB, and as many pages of the caller's for it, which nothing else holds then. */
void make_wide_pipe(int pipe_ends[2]);
void fill_pipe(int pipe_end);

/* Bodies of processes that end, or leave their cgroup, and leave pages of the partition behind. */
#define PIPE_PAGES 4ul
/* Puts PIPE_PAGES into a pipe (its two ends) and ends. */
void splice_and_die(void *pipe_ends);
/* Writes a MiB in the partition (*nid), leaves its cgroup and stops; when it goes on, its memory must be the same, on node 0. */
void leave_and_stay(void *nid);
/* The same with memory that is filled already. */
void leave_with(const char *mem, size_t bytes, int nid);
/* Has every other page of a few fail, so that the free memory around them cannot merge, and ends. */
void poison_some(void *arg);

/* kB of a node, e.g. "MemFree". */
uint64_t node_kb(int nid, const char *name);

/* The first line of a file of a partition's folder in sysfs. */
void partition_text(unsigned int id, const char *file, char *buf, size_t size);
bool has_reason(unsigned int id, const char *reason);
void wait_reason(unsigned int id, const char *reason);
/* Bytes of a partition that are held in this way, as of the last time that the kernel counted. */
uint64_t held(unsigned int id, const char *holder);
bool is_mapped_by(unsigned int id, pid_t pid);

/* Populates one partition and claims it for cgroup "a". Returns its id. */
unsigned int set_stage(void);
/* Kills and removes "a" at the moment when the host asks for its memory. */
void end_instance(void);
/* The partition is parked and returned, nothing is in the way, and all counters agree. */
void check_recovery(unsigned int id);
/* The next instance has the whole partition and finds nothing but zeroes in it. */
void check_next_owner(void);

void use_cpu(int cpu);

#endif
