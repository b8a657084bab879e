// SPDX-License-Identifier: Apache-2.0
/* The verdict: a good report holds, and each single fault in it is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench-report.h"

#define MIB (1ull << 20)
#define SIZE (256 * MIB)

static struct reclaim_series ours, early, stock;
static struct reclaim_report report;

static void fill(struct reclaim_series *series, enum vm_backend backend, double ms, uint64_t migrated)
{
	*series = (struct reclaim_series){ .backend = backend, .size_bytes = SIZE, .n = REPORT_MIN_SAMPLES };
	for (unsigned int i = 0; i < series->n; i++) {
		series->samples[i] = (struct reclaim_sample){
			.reclaim_ms = ms + i,
			.pages_migrated = migrated,
			.requests = backend == VM_SQUEEZY,
			.resident_before_bytes = 2048 * MIB,
			.resident_after_bytes = 1808 * MIB,
			.thp_before_bytes = 2000 * MIB,
			.touched_bytes = 240 * MIB,
			.others = 7,
			.answering = 7,
		};
	}
}

static int setup(void **state)
{
	fill(&ours, VM_SQUEEZY, 8, 0);
	fill(&early, VM_SQUEEZY, 1, 0);
	early.schedule = RECLAIM_WITH_KILL;
	fill(&stock, VM_VIRTIO_MEM, 1998, 50000);
	report = (struct reclaim_report){
		.against = true, .gate_ratio = true, .kernel = "6.12.0", .instances = 8, .writers = 2, .n_series = 3,
		.series = { &early, &ours, &stock },
	};
	return 0;
}

static bool judged(void)
{
	struct verdict verdict;

	report_judge(&report, &verdict);
	return verdict_held(&verdict);
}

static void test_good(void **state)
{
	assert_true(judged());
	assert_float_equal(report_ratio(&report, SIZE), 200, 1e-9);	/* medians 10 and 2000 */
	assert_float_equal(report_ratio(&report, 2 * SIZE), 0, 1e-9);
}

static void test_each_fault_is_found(void **state)
{
	struct reclaim_sample *s = &ours.samples[3];
	struct reclaim_sample good = *s;

	s->pages_migrated = 1;
	assert_false(judged());
	*s = good;
	s->resident_after_bytes = 1900 * MIB;
	assert_false(judged());
	*s = good;
	s->touched_bytes = 200 * MIB;
	assert_false(judged());
	*s = good;
	s->answering = 6;
	assert_false(judged());
	*s = good;
	s->requests = 0;
	assert_false(judged());
	*s = good;
	s->thp_before_bytes = 1000 * MIB;
	assert_false(judged());
	*s = good;
	assert_true(judged());
}

static void test_counter_must_move(void **state)
{
	for (unsigned int i = 0; i < stock.n; i++)
		stock.samples[i].pages_migrated = 0;
	assert_false(judged());
}

static void test_ratio_and_samples(void **state)
{
	for (unsigned int i = 0; i < stock.n; i++)
		stock.samples[i].reclaim_ms = 999;
	assert_false(judged());
	report.gate_ratio = false;
	assert_true(judged());
	setup(state);
	ours.n = 4;
	assert_false(judged());
	setup(state);
	report.writers = 1;
	assert_false(judged());
}

/* The other schedule is judged by itself, and takes no part in the ratio. */
static void test_other_schedule(void **state)
{
	struct reclaim_sample good = early.samples[2];

	early.samples[2].pages_migrated = 1;
	assert_false(judged());
	early.samples[2] = good;
	early.samples[2].resident_after_bytes = early.samples[2].resident_before_bytes;
	assert_false(judged());
	early.samples[2] = good;
	early.samples[2].reclaim_ms = 5000;
	assert_true(judged());
	early.n = REPORT_MIN_SAMPLES - 1;
	assert_false(judged());
}

static void test_small_host_pages(void **state)
{
	report.host_4k = true;
	assert_false(judged());			/* huge pages all the same */
	for (unsigned int i = 0; i < ours.n; i++)
		ours.samples[i].thp_before_bytes = early.samples[i].thp_before_bytes = stock.samples[i].thp_before_bytes = 0;
	assert_true(judged());
	ours.samples[0].reclaim_ms = ours.samples[1].reclaim_ms = ours.samples[2].reclaim_ms = 40;
	assert_true(judged());			/* the ratio is not judged then */
	ours.samples[1].madvise_thp_bytes = 2 * MIB;
	assert_false(judged());
}

static void test_json(void **state)
{
	struct verdict verdict;
	json_t *json, *first;

	report_judge(&report, &verdict);
	json = report_json(&report, &verdict);
	assert_string_equal(json_string_value(json_object_get(json, "accel")), "tcg");
	assert_int_equal(json_integer_value(json_object_get(json, "instances")), 8);
	assert_true(json_is_true(json_object_get(json, "host_thp")));
	first = json_array_get(json_object_get(json, "results"), 1);
	assert_string_equal(json_string_value(json_object_get(first, "method")), "squeezy");
	assert_int_equal(json_array_size(json_object_get(first, "samples_ms")), 5);
	assert_int_equal(json_array_size(json_object_get(first, "host_resident_after_bytes")), 5);
	assert_float_equal(json_real_value(json_object_get(first, "median_ms")), 10, 1e-9);
	assert_string_equal(json_string_value(json_object_get(first, "schedule")), "after the end");
	assert_int_equal(json_array_size(json_object_get(json, "ratios")), 1);
	first = json_array_get(json_object_get(json, "ratios"), 0);
	assert_float_equal(json_real_value(json_object_get(first, "median_ratio")), 200, 1e-9);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, setup), cmocka_unit_test_setup(test_each_fault_is_found, setup),
		cmocka_unit_test_setup(test_counter_must_move, setup), cmocka_unit_test_setup(test_ratio_and_samples, setup),
		cmocka_unit_test_setup(test_other_schedule, setup), cmocka_unit_test_setup(test_small_host_pages, setup), cmocka_unit_test_setup(test_json, setup),
	};

	return cmocka_run_group_tests_name("bench-report", tests, NULL, NULL);
}
