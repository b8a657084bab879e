// SPDX-License-Identifier: Apache-2.0
#include "bench-stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double sorted_median(const double *sorted, size_t n)
{
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

int stats_compute(const double *values, size_t n, struct stats *ret)
{
	double sorted[STATS_MAX_SAMPLES];
	struct stats stats = { .n = n };

	if (n == 0 || n > STATS_MAX_SAMPLES)
		return -EINVAL;
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare_double);
	stats.min = sorted[0];
	stats.max = sorted[n - 1];
	stats.median = sorted_median(sorted, n);
	stats.p99 = sorted[(n * 99 + 99) / 100 - 1];
	for (size_t i = 0; i < n; i++)
		sorted[i] = fabs(values[i] - stats.median);
	qsort(sorted, n, sizeof(*sorted), compare_double);
	stats.mad = sorted_median(sorted, n);
	*ret = stats;
	return 0;
}
