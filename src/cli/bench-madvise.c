// SPDX-License-Identifier: Apache-2.0
#include "bench-madvise.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/fd.h"

#define HUGE_BYTES (2ul << 20)
#define PAGE_BYTES 4096ul

static uint64_t own_thp_bytes(void)
{
	FILE *in = fopen("/proc/self/smaps_rollup", "re");
	uint64_t kib = 0;
	char line[128];

	while (in && fgets(line, sizeof(line), in) && sscanf(line, "AnonHugePages: %" SCNu64, &kib) != 1)
		;
	if (in)
		fclose(in);
	return kib << 10;
}

int madvise_measure(uint64_t bytes, bool huge, struct madvise_sample *ret, struct err *err)
{
	char *whole = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *mem;
	uint64_t before = own_thp_bytes(), start;
	struct madvise_sample sample;
	int r = 0;

	if (whole == MAP_FAILED)
		return err_set(err, errno, "madvise: no address space for %" PRIu64 " bytes: %s", bytes, strerror(errno));
	mem = whole + -(uintptr_t)whole % HUGE_BYTES;
	madvise(mem, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
		mem[at] = 1;
	sample.thp_bytes = own_thp_bytes() - before;
	start = clock_ns(CLOCK_MONOTONIC);
	if (madvise(mem, bytes, MADV_DONTNEED))
		r = err_set(err, errno, "madvise of %" PRIu64 " bytes: %s", bytes, strerror(errno));
	sample.ms = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e6;
	munmap(whole, bytes + HUGE_BYTES);
	if (!r)
		*ret = sample;
	return r;
}
