/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measurements of `squeezy bench kernel` share. Each is a suite that the command boots by name; what it finds goes to the
 * console as lines "@bench {JSON}". The clock counts guest instructions when QEMU runs with -icount shift=0, one a nanosecond.
 */
#ifndef SQUEEZY_TESTS_KERNEL_BENCH_H
#define SQUEEZY_TESTS_KERNEL_BENCH_H

#include "suite.h"

#define MIB (1ul << 20)

/* CLOCK_BOOTTIME, the clock of the time stamps in sysfs. */
uint64_t clock_now(void);

/* Like host_request(), but returns when the host has done it: virtual time may run far ahead of the host's otherwise. */
void request(unsigned int partitions);

/* Prints one line of results; the format makes the members of a JSON object. */
void result(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sorts. */
uint64_t median_of(uint64_t *values, unsigned int n);
/* The p-th percentile of sorted values, nearest rank. */
uint64_t percentile_of(const uint64_t *sorted, unsigned int n, unsigned int p);

/* Memory counters lag behind per CPU until then. */
void settle_counters(void);

/* Free memory of node 0, that is of no partition. */
uint64_t free_normal_kib(void);

/* Cgroups named PREFIX0, PREFIX1 ...: */
const char *numbered(const char *prefix, unsigned int i);

/* A process in the cgroup that has written so much anonymous memory, and waits. */
pid_t start_user(const char *cgroup, size_t bytes);

/* Time stamps and counters of one drain. */
struct drain {
	uint64_t drain_ns;		/* mover's first look -> no page left that the guest could use */
	uint64_t return_ns;		/* mover's first look -> device has acknowledged */
	uint64_t release_ns;		/* claim given up -> device has acknowledged; 0 if there was no claim */
	uint64_t requests, passes, busy, refused;
};

/* Counters are differences from "before", which drain_begin() fills. */
void drain_begin(struct drain *before);
void drain_read(unsigned int partition, bool claimed, const struct drain *before, struct drain *ret);

#endif
