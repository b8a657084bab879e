/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of repeated measurements. Pure: no I/O, no allocation kept. */
#ifndef SQUEEZY_CLI_BENCH_STATS_H
#define SQUEEZY_CLI_BENCH_STATS_H

#include <stddef.h>

#define STATS_MAX_SAMPLES 1024

struct stats {
	size_t n;
	double median;		/* mean of the middle two when n is even */
	double p99;		/* nearest rank: with fewer than 100 values the largest */
	double min, max;
	double mad;		/* median of the distances from the median: the spread that one outlier does not move */
};

/* 0; -EINVAL when n is 0 or above STATS_MAX_SAMPLES. values is not changed. */
int stats_compute(const double *values, size_t n, struct stats *ret);

#endif
