// SPDX-License-Identifier: Apache-2.0
/* Rows of `squeezy bench kernel`: numbers are found among the results, and each bar is missed when its number is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench-kernel-report.h"

static const char good[] =
	"[{'boot':'fault-on','name':'clock','instructions':20000000,'clock':20060000,'store_page':4100},"
	"{'boot':'fault-stock','name':'fault','who':'none','pages':'4k','median':6000},"
	"{'boot':'fault-stock','name':'fault','who':'none','pages':'4k','median':6010},"
	"{'boot':'fault-off','name':'fault','who':'none','pages':'4k','median':6030},"
	"{'boot':'fault-on','name':'fault','who':'claim','pages':'4k','median':6100},"
	"{'boot':'size-512','name':'drain','drained':4000,'returned':122000},"
	"{'boot':'others-64','name':'drain','others':1,'returned':3000},"
	"{'boot':'others-64','name':'drain','others':8,'returned':3500},"
	"{'boot':'others-64','name':'drain','others':63,'returned':3900},"
	"{'boot':'reason','name':'reason','claimed':250000000,'held':260000000},"
	"{'boot':'adjacent','name':'adjacent','singles':30000,'singles_requests':8,'at_once':9000,'at_once_requests':1},"
	"{'boot':'reclaims-counted','name':'reclaims','requests_min':1,'requests_max':1,'passes_min':1,'passes_max':1,'retries':0,"
	"'from_release_median':1,'from_release_p99':2},"
	"{'boot':'nodes-1','name':'boot','tsc':260000000,'free_kib':900000},"
	"{'boot':'nodes-65','name':'boot','tsc':280000000,'free_kib':894000}]";

/* What is wrong in the row that must be found: the text in the results, what it is replaced by, and how the row is called. */
static const struct fault {
	const char *text, *planted, *row;
} faults[] = {
	{ "20060000", "24060000", "clock" },
	{ "6030", "6100", "fault, 4k: no squeezy=" },
	{ "6100", "6200", "fault, 4k: claiming" },
	{ "122000", "123000", "drain of an empty partition, 512 MiB" },
	{ "3900", "4900", "drain of 128 MiB beside 1 and 63" },
	{ "3500", "4500", "drain of 128 MiB beside 1 and 63" },
	{ "250000000", "2000000000", "a shrink that needs a claimed" },
	{ "260000000", "2260000000", "a drain whose page a pipe holds" },
	{ "'at_once':9000", "'at_once':31000", "reclaim of 8 adjacent" },
	{ "'at_once_requests':1", "'at_once_requests':8", "reclaim of 8 adjacent" },
	{ "'requests_max':1", "'requests_max':2", "200 reclaims" },
	{ "'passes_max':1", "'passes_max':2", "200 reclaims" },
	{ "'retries':0", "'retries':1", "200 reclaims" },
	{ "280000000", "291000000", "boot: 64 partitions" },
	{ "894000", "891000", "boot: 64 partitions" },
};

/* Results with one text replaced, rows filled. */
static struct kernel_report *report_with(const char *text, const char *planted)
{
	static struct kernel_report report;
	char copy[sizeof(good) + 32];
	const char *at = text ? strstr(good, text) : NULL;

	assert_true(!text || at);
	if (at)
		snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - good), good, planted, at + strlen(text));
	else
		snprintf(copy, sizeof(copy), "%s", good);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_decref(report.results);
	report = (struct kernel_report){ .results = json_loads(copy, 0, NULL) };
	assert_non_null(report.results);
	report_rows(&report);
	return &report;
}

static void test_value(void **state)
{
	struct kernel_report *report = report_with(NULL, NULL);
	struct value value = report_value(report, "fault-stock", "name=fault who=none pages=4k", "median");

	assert_int_equal(value.n, 2);
	assert_float_equal(value.mean, 6005, 1e-9);
	assert_float_equal(value.spread, 10, 1e-9);
	assert_int_equal(report_value(report, "others-64", "name=drain others=63", "returned").n, 1);
	assert_int_equal(report_value(report, "others-64", "name=drain others=6", "returned").n, 0);
	assert_int_equal(report_value(report, "others-6", "name=drain", "returned").n, 0);
}

static void test_good(void **state)
{
	struct kernel_report *report = report_with(NULL, NULL);
	unsigned int held = 0;

	for (unsigned int i = 0; i < report->n_rows; i++) {
		assert_int_not_equal(report->rows[i].verdict, ROW_MISSED);
		held += report->rows[i].verdict == ROW_HELD;
	}
	assert_int_equal(held, 10);
}

static void test_each_fault_is_found(void **state)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct kernel_report *report = report_with(faults[i].text, faults[i].planted);
		unsigned int missed = 0;

		for (unsigned int k = 0; k < report->n_rows; k++) {
			if (report->rows[k].verdict != ROW_MISSED)
				continue;
			missed++;
			assert_non_null(strstr(report->rows[k].what, faults[i].row));
		}
		assert_int_equal(missed, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value), cmocka_unit_test(test_good), cmocka_unit_test(test_each_fault_is_found),
	};

	return cmocka_run_group_tests_name("bench-kernel", tests, NULL, NULL);
}
