/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `squeezy bench`. */
#ifndef SQUEEZY_CLI_BENCH_OPTIONS_H
#define SQUEEZY_CLI_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/vm.h"

#define BENCH_MAX_SIZES 8
#define BENCH_MAX_INSTANCES 64
#define BENCH_MAX_SAMPLES 200

struct bench_options {
	const char *kernel;
	const char *image;
	const char *counted_kernel;	/* kernel: ours and the stock one, with jump labels; for boots that count instructions */
	const char *stock_kernel;
	const char *program;		/* kernel: init of its VMs */
	const char *daemon, *stand_in;	/* invoke: the program measured, and what it takes for QEMU and agent */
	const char *only;		/* kernel: a comma-separated list of boots; NULL: all */
	const char *dir;		/* where VMs keep their logs; NULL: a folder in /tmp, removed at the end */
	uint64_t sizes_bytes[BENCH_MAX_SIZES];
	unsigned int n_sizes;
	unsigned int instances;
	unsigned int samples;
	unsigned int writers;		/* instances that write all the time during a reclaim */
	enum vm_accel accel;
	bool against;			/* measure the stock virtio-mem driver beside it */
	bool host_4k;			/* reclaim: the host backs guest memory with 4 KiB pages */
	bool guest_thp;			/* instances ask their kernel for huge pages, in both backends */
	bool json;
	bool quick;			/* smallest sizes, one sample, no gate on ratios */
	bool help;
};

/* Fills options with defaults and then from argv (argv[0] is skipped). 0, or -EINVAL with a sentence in err. */
int bench_options_parse(int argc, char **argv, struct bench_options *ret, struct err *err);

#endif
