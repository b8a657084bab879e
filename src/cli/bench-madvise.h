/* SPDX-License-Identifier: Apache-2.0 */
/* The floor of any reclaim: the host's own madvise(MADV_DONTNEED) of as much memory, of a mapping like a VM's. */
#ifndef SQUEEZY_CLI_BENCH_MADVISE_H
#define SQUEEZY_CLI_BENCH_MADVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct madvise_sample {
	double ms;		/* of the one call */
	uint64_t thp_bytes;	/* of the mapping, in huge pages when it began */
};

/* Maps, writes to every page, gives all back. huge: asks for huge pages, as QEMU does for its memory. */
int madvise_measure(uint64_t bytes, bool huge, struct madvise_sample *ret, struct err *err);

#endif
