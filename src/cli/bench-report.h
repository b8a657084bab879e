/* SPDX-License-Identifier: Apache-2.0 */
/* What `squeezy bench reclaim` says: verdicts over the samples, one JSON object or a table. No I/O but to the given stream. */
#ifndef SQUEEZY_CLI_BENCH_REPORT_H
#define SQUEEZY_CLI_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "cli/bench-reclaim.h"

#define REPORT_MAX_SERIES (3 * BENCH_MAX_SIZES)
#define REPORT_MIN_RATIO 100.0
/* Times are compared, never judged: these two are printed beside what was measured. */
#define REPORT_RATIO_GOAL 300.0
#define REPORT_MADVISE_GOAL_MS 2.0
#define REPORT_MIN_SAMPLES 5
#define REPORT_MIN_WRITERS 2

struct reclaim_report {
	bool kvm;
	bool against;
	bool gate_ratio;		/* ratios and the number of samples are part of the verdict (not with --quick) */
	bool guest_thp;
	bool host_4k;			/* huge pages were turned off on the host, on both sides */
	char kernel[80];		/* release of the guest kernel, the same on both sides */
	unsigned int instances, writers;
	unsigned int n_series;
	struct reclaim_series *series[REPORT_MAX_SERIES];	/* per size: squeezy, its other schedule, virtio-mem if there is one */
};

#define VERDICT_MAX 160

/* Everything that must hold, and whether it did. */
struct verdict {
	unsigned int n;
	struct {
		char what[160];
		bool held;
	} list[VERDICT_MAX];
};

/* Median of the baseline over the median of ours; 0 when there is no such pair. */
double report_ratio(const struct reclaim_report *report, uint64_t size_bytes);

/* Huge pages back at least 90 % of the resident guest memory in every sample of every series. */
bool report_host_thp(const struct reclaim_report *report);

/* The opposite: none at all. */
bool report_host_4k(const struct reclaim_report *report);

void report_judge(const struct reclaim_report *report, struct verdict *ret);
bool verdict_held(const struct verdict *verdict);

/* A new reference, NULL when out of memory. */
json_t *report_json(const struct reclaim_report *report, const struct verdict *verdict);

void report_table(const struct reclaim_report *report, const struct verdict *verdict, FILE *out);

#endif
