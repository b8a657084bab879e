// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/bench-stats.h"

static void check(const double *values, size_t n, const struct stats *want)
{
	struct stats got;

	assert_int_equal(stats_compute(values, n, &got), 0);
	assert_float_equal(got.median, want->median, 1e-9);
	assert_float_equal(got.p99, want->p99, 1e-9);
	assert_float_equal(got.min, want->min, 1e-9);
	assert_float_equal(got.max, want->max, 1e-9);
	assert_float_equal(got.mad, want->mad, 1e-9);
}

static void test_odd(void **state)
{
	const double values[] = { 9, 1, 5, 7, 3 };

	check(values, 5, &(struct stats){ .median = 5, .p99 = 9, .min = 1, .max = 9, .mad = 2 });
	assert_float_equal(values[0], 9, 0);	/* not sorted in place */
}

static void test_even(void **state)
{
	const double values[] = { 4, 1, 2, 100 };

	check(values, 4, &(struct stats){ .median = 3, .p99 = 100, .min = 1, .max = 100, .mad = 1.5 });
}

static void test_one(void **state)
{
	const double values[] = { 2.5 };

	check(values, 1, &(struct stats){ .median = 2.5, .p99 = 2.5, .min = 2.5, .max = 2.5, .mad = 0 });
}

/* 200 values: the nearest rank of 99 % is the 198th. */
static void test_p99(void **state)
{
	double values[200];
	struct stats got;

	for (int i = 0; i < 200; i++)
		values[i] = 200 - i;
	assert_int_equal(stats_compute(values, 200, &got), 0);
	assert_float_equal(got.p99, 198, 1e-9);
}

static void test_bounds(void **state)
{
	double values[STATS_MAX_SAMPLES + 1] = { 0 };
	struct stats got = { .median = 42 };

	assert_int_equal(stats_compute(values, 0, &got), -EINVAL);
	assert_int_equal(stats_compute(values, STATS_MAX_SAMPLES + 1, &got), -EINVAL);
	assert_float_equal(got.median, 42, 0);	/* untouched on failure */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_odd), cmocka_unit_test(test_even), cmocka_unit_test(test_one),
		cmocka_unit_test(test_p99), cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("bench-stats", tests, NULL, NULL);
}
