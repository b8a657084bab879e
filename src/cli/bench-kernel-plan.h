/* SPDX-License-Identifier: Apache-2.0 */
/* The boots of `squeezy bench kernel`: which kernel, which machine, which measurements. */
#ifndef SQUEEZY_CLI_BENCH_KERNEL_PLAN_H
#define SQUEEZY_CLI_BENCH_KERNEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>

enum plan_kernel {
	PLAN_PRODUCT,		/* the kernel that is shipped for this machine */
	PLAN_COUNTED,		/* ours with jump labels, as on a host with KVM; only ever run with one thread, so text patching is safe */
	PLAN_STOCK,		/* the same sources and configuration without Squeezy */
	PLAN_KERNELS
};

struct plan_boot {
	const char *name;
	const char *suites;		/* of tests/kernel/guest */
	enum plan_kernel kernel;
	bool counted;			/* -icount */
	bool quick;			/* part of --quick */
	unsigned int vcpus;
	unsigned int partitions;	/* on the kernel command line; 0: no squeezy= */
	unsigned int region_partitions;	/* size of the device in partitions */
	unsigned int partition_mib;
	unsigned int base_mib;
};

/* Which of the boots one run of the command makes. */
struct plan_run {
	bool quick;
	const char *only;		/* a comma-separated list, whether quick or not; NULL: all, or the quick ones */
};

extern const struct plan_boot plan_boots[];
extern const size_t plan_n_boots;

/* NULL: there is no such boot. */
const struct plan_boot *plan_find(const char *name);

/* How often the run makes this boot, 0: not at all. Counted ones are repeated unless quick: the spread of two is the error. */
unsigned int plan_times(const struct plan_run *run, const struct plan_boot *boot);

#endif
