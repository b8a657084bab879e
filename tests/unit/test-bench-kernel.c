// SPDX-License-Identifier: Apache-2.0
/* Rows of `squeezy bench kernel`: numbers are found among the results, and each bar is missed when its number is wrong or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench-kernel-report.h"

#define HELD 32			/* judged rows of the results below, */
#define REPORTED 2		/* and others */

/* A good result of each kind. */
static const char good[] =
	"[{'boot':'fault-on','name':'clock','instructions':20000000,'clock':20060000,'store_page':4100},"
	"{'boot':'fault-off','name':'clock','store_page':4100},"
	"{'boot':'fault-stock','name':'fault','who':'none','pages':'4k','median':6005},"
	"{'boot':'fault-off','name':'fault','who':'none','pages':'4k','median':6030},"
	"{'boot':'fault-on','name':'fault','who':'none','pages':'4k','median':6031},"
	"{'boot':'fault-on','name':'fault','who':'beside','pages':'4k','median':6032},"
	"{'boot':'fault-on','name':'fault','who':'claim','pages':'4k','median':6100},"
	"{'boot':'fault-stock','name':'fault','who':'none','pages':'thp','median':2132000},"
	"{'boot':'fault-off','name':'fault','who':'none','pages':'thp','median':2132001},"
	"{'boot':'fault-on','name':'fault','who':'none','pages':'thp','median':2132002},"
	"{'boot':'fault-on','name':'fault','who':'beside','pages':'thp','median':2132003},"
	"{'boot':'fault-on','name':'fault','who':'claim','pages':'thp','median':2132004},"
	"{'boot':'size-512','name':'drain','drained':4000,'returned':122000},"
	"{'boot':'others-64','name':'drain','others':1,'returned':3000,'from_release':12000},"
	"{'boot':'others-64','name':'drain','others':2,'returned':3001,'from_release':12001},"
	"{'boot':'others-64','name':'drain','others':4,'returned':3002,'from_release':12002},"
	"{'boot':'others-64','name':'drain','others':8,'returned':3500,'from_release':12003},"
	"{'boot':'others-64','name':'drain','others':16,'returned':3004,'from_release':12004},"
	"{'boot':'others-64','name':'drain','others':32,'returned':3005,'from_release':12005},"
	"{'boot':'others-64','name':'drain','others':63,'returned':3900,'from_release':12900},"
	"{'boot':'full','name':'drain','used_mib':1,'returned':7655},"
	"{'boot':'full','name':'drain','used_mib':460,'returned':7656},"
	"{'boot':'reason','name':'reason','claimed':250000000,'held':260000000},"
	"{'boot':'reason','name':'pinned','named':271828182},"
	"{'boot':'reason','name':'left','parked':314159265},"
	"{'boot':'reason','name':'failed','parked':299792458},"
	"{'boot':'adjacent','name':'adjacent','singles':30000,'singles_requests':8,'at_once':9000,'at_once_requests':1},"
	"{'boot':'reclaims-counted','name':'reclaims','requests_min':1,'requests_max':1,'passes_min':1,'passes_max':1,'retries':0,"
	"'from_release_median':1,'from_release_p99':2},"
	"{'boot':'grow','name':'grow','work_min':5940000},"
	"{'boot':'grow-stock','name':'grow','work_min':5960000},"
	"{'boot':'populate-counted','name':'populate','kind':'parked','guest':18005,'guest_max':20629},"
	"{'boot':'prepared-counted','name':'populate','kind':'prepared','guest':18006},"
	"{'boot':'beside-counted','name':'populate','kind':'mapping','guest':18007,'guest_max':19512},"
	"{'boot':'beside-counted','name':'populate','kind':'unmapping','guest':18008,'guest_max':19513},"
	"{'boot':'nodes-1','name':'boot','tsc':260000000,'free_kib':900000},"
	"{'boot':'nodes-1','name':'cgroup','mkdir':124000},"
	"{'boot':'nodes-65','name':'boot','tsc':280000000,'free_kib':894000},"
	"{'boot':'nodes-65','name':'cgroup','mkdir':634000},"
	"{'boot':'memory-1','name':'boot','free_kib':900001},"
	"{'boot':'memory-9','name':'boot','free_kib':899701},"
	"{'boot':'memory-9','name':'map','kib':2060},"
	"{'boot':'memory-9','name':'tables','kib':172},"
	"{'boot':'memory-9','name':'cgroup','kib_each':45}]";

/* The boots of these, once each. */
static const struct plan_run once = {
	.quick = true,
	.only = "fault-on,fault-off,fault-stock,size-512,others-64,full,reason,adjacent,reclaims-counted,grow,grow-stock,populate-counted,"
		"prepared-counted,beside-counted,nodes-1,nodes-65,memory-1,memory-9",
};

/* What is wrong in the row that must be found: the text in the results, what it is replaced by, and how the row is called. */
static const struct fault {
	const char *text, *planted, *row;
} faults[] = {
	{ "20060000", "24060000", "clock" },
	{ "6030", "6100", "fault, 4k: no squeezy=" },
	{ "6031", "6100", "fault, 4k: nobody claims" },
	{ "6032", "6100", "fault, 4k: another cgroup" },
	{ "6100", "6200", "fault, 4k: claiming" },
	{ "2132004", "2192004", "fault, thp: claiming" },
	{ "2132004", "20480", "fault, thp: claiming" },
	{ "122000", "123000", "drain of an empty partition, 512 MiB" },
	{ "3900", "4900", "drain of 128 MiB beside 1 and 63" },
	{ "3500", "4500", "drain of 128 MiB beside 1 and 63" },
	{ "12900", "13900", "the same from rmdir on" },
	{ "7656", "8756", "drain of 512 MiB beside idle and full" },
	{ "250000000", "2000000000", "a shrink that needs a claimed" },
	{ "271828182", "2000000000", "a ring has pinned" },
	{ "314159265", "2000000000", "a process has taken along" },
	{ "299792458", "2000000000", "some of whose pages have failed" },
	{ "260000000", "2260000000", "a drain whose page a pipe holds" },
	{ "'at_once':9000", "'at_once':31000", "reclaim of 8 adjacent" },
	{ "'at_once_requests':1", "'at_once_requests':8", "reclaim of 8 adjacent" },
	{ "'requests_max':1", "'requests_max':2", "200 reclaims" },
	{ "'passes_max':1", "'passes_max':2", "200 reclaims" },
	{ "'retries':0", "'retries':1", "200 reclaims" },
	{ "5940000", "5970000", "first populate of 512 MiB, and the stock" },
	{ "20629", "1020629", "populate of 512 MiB from parked" },
	{ "18006", "28006", "first populate of 512 MiB with the map made ahead" },
	{ "19512", "1019512", "another's map is made" },
	{ "19513", "1019513", "another's map is removed" },
	{ "280000000", "291000000", "boot: 64 partitions" },
	{ "894000", "891000", "boot: 64 partitions" },
	{ "634000", "934000", "mkdir of a cgroup with 65" },
	{ "899701", "890701", "normal memory, 8 partitions: boot" },
	{ "2060", "2660", "normal memory, 8 partitions: map" },
	{ "172}", "272}", "normal memory, 8 partitions: page tables" },
	{ "'kib_each':45", "'kib_each':75", "normal memory, 8 partitions: a cgroup" },
};

/* Keys, not results: without them a result is another one. */
static const char *const number_keys[] = { "others", "used_mib" };

/* Rows of a run that has found these; keeps the reference. */
static struct kernel_report *report_of(struct plan_run run, json_t *results)
{
	static struct kernel_report report;

	assert_non_null(results);
	json_decref(report.results);
	report = (struct kernel_report){ .run = run, .results = results };
	report_rows(&report);
	return &report;
}

/* Good results with one text replaced. */
static json_t *good_with(const char *text, const char *planted)
{
	char copy[sizeof(good) + 32];
	const char *at = text ? strstr(good, text) : NULL;

	assert_true(!text || at);
	if (at)
		snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - good), good, planted, at + strlen(text));
	else
		snprintf(copy, sizeof(copy), "%s", good);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return json_loads(copy, 0, NULL);
}

static unsigned int count_rows(const struct kernel_report *report, enum row_verdict verdict)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < report->n_rows; i++)
		n += report->rows[i].verdict == verdict;
	return n;
}

static unsigned int count_empty(const struct kernel_report *report)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < report->n_rows; i++)
		n += !strncmp(report->rows[i].measured, "no result", 9);
	return n;
}

static void test_value(void **state)
{
	static const char text[] = "[{\"boot\":\"others-64\",\"name\":\"drain\",\"others\":63,\"returned\":6000},"
				   "{\"boot\":\"others-64\",\"name\":\"drain\",\"others\":63,\"returned\":6010}]";
	struct kernel_report *report = report_of((struct plan_run){ 0 }, json_loads(text, 0, NULL));
	struct value value = report_value(report, "others-64", "name=drain others=63", "returned");

	assert_int_equal(value.n, 2);
	assert_int_equal(value.wanted, 2);
	assert_float_equal(value.mean, 6005, 1e-9);
	assert_float_equal(value.spread, 10, 1e-9);
	assert_int_equal(report_value(report, "others-64", "name=drain others=6", "returned").n, 0);
	assert_int_equal(report_value(report, "others-6", "name=drain", "returned").n, 0);
	assert_int_equal(report_value(report, "others-6", "name=drain", "returned").wanted, 0);
}

/* How often a run makes a boot. */
static void test_plan(void **state)
{
	const struct plan_boot *fault = plan_find("fault-on"), *stock = plan_find("fault-stock"), *timed = plan_find("plug");
	struct plan_run full = { 0 }, quick = { .quick = true }, only = { .only = "fault-stock,plug" };

	assert_true(fault && stock && timed && !plan_find("fault") && !plan_find(""));
	assert_int_equal(plan_times(&full, fault), 2);
	assert_int_equal(plan_times(&full, timed), 1);
	assert_int_equal(plan_times(&quick, fault), 1);
	assert_int_equal(plan_times(&quick, stock), 0);
	assert_int_equal(plan_times(&only, fault), 0);
	assert_int_equal(plan_times(&only, stock), 2);
	assert_int_equal(plan_times(&only, timed), 1);
}

static void test_good(void **state)
{
	struct kernel_report *report = report_of(once, good_with(NULL, NULL));

	assert_int_equal(count_rows(report, ROW_MISSED), 0);
	assert_int_equal(count_rows(report, ROW_HELD), HELD);
	assert_int_equal(count_rows(report, ROW_REPORTED), REPORTED);
}

static void test_each_fault_is_found(void **state)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct kernel_report *report = report_of(once, good_with(faults[i].text, faults[i].planted));

		for (unsigned int k = 0; k < report->n_rows; k++) {
			if (report->rows[k].verdict == ROW_MISSED)
				assert_non_null(strstr(report->rows[k].what, faults[i].row));
		}
		assert_int_equal(count_rows(report, ROW_MISSED), 1);
	}
}

/* The i-th result has lost a member: its rows are there and missed, and no other. */
static void lose(size_t i, const char *key)
{
	json_t *results = good_with(NULL, NULL);
	struct kernel_report *report;

	json_object_del(json_array_get(results, i), key);
	report = report_of(once, results);
	assert_int_equal(report->n_rows, HELD + REPORTED);
	assert_true(count_rows(report, ROW_MISSED) > 0);
	for (unsigned int k = 0; k < report->n_rows; k++) {
		if (report->rows[k].verdict == ROW_MISSED)
			assert_non_null(strstr(report->rows[k].measured, "no result"));
	}
}

static bool is_number_key(const char *key)
{
	for (size_t i = 0; i < sizeof(number_keys) / sizeof(*number_keys); i++)
		if (!strcmp(key, number_keys[i]))
			return true;
	return false;
}

static void test_a_missing_result_is_not_held(void **state)
{
	json_t *results = good_with(NULL, NULL), *one, *member;
	unsigned int lost = 0;
	const char *key;
	size_t i;

	json_array_foreach(results, i, one) {
		json_object_foreach(one, key, member) {
			if (!json_is_number(member) || is_number_key(key))
				continue;
			lose(i, key);
			lost++;
		}
	}
	json_decref(results);
	assert_true(lost > HELD);
}

/* Nothing was found: the rows are those of the plan, none of them held. */
static void test_no_results(void **state)
{
	static const struct {
		struct plan_run run;
		unsigned int judged, reported;
	} runs[] = {
		{ { 0 }, 47, 9 },
		{ { .quick = true }, 20, 2 },
		{ { .only = "fault-on" }, 1, 0 },
		{ { .only = "fault-on,fault-off" }, 7, 2 },
		{ { .only = "fault-stock,fault-off" }, 2, 2 },
		{ { .only = "plug" }, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		struct kernel_report *report = report_of(runs[i].run, json_array());

		assert_int_equal(count_rows(report, ROW_HELD), 0);
		assert_int_equal(count_rows(report, ROW_MISSED), runs[i].judged);
		assert_int_equal(count_rows(report, ROW_REPORTED), runs[i].reported);
		assert_int_equal(count_empty(report), report->n_rows);
	}
}

/* A whole run makes counted boots twice: one of two results is not enough, wherever it is. */
static void test_one_of_two(void **state)
{
	struct kernel_report *report = report_of((struct plan_run){ 0 }, good_with(NULL, NULL));

	assert_int_equal(count_rows(report, ROW_HELD), 0);
	assert_int_equal(count_rows(report, ROW_MISSED), 47);
	assert_int_equal(count_empty(report), report->n_rows);
}

/* The stock kernel is in the plan and has no result, but ours without squeezy= has: nothing takes its place. */
static void test_no_stock_result(void **state)
{
	static const char lost[] = "'fault-stock','name':'fault','who':'none','pages':'4k'";
	struct kernel_report *report = report_of(once, good_with(lost, "'fault-stock'"));
	unsigned int missed = 0;

	for (unsigned int i = 0; i < report->n_rows; i++) {
		assert_null(strstr(report->rows[i].what, "in place of"));
		missed += report->rows[i].verdict == ROW_MISSED && !strncmp(report->rows[i].what, "fault, 4k", 9);
	}
	assert_int_equal(missed, 4);
	assert_int_equal(count_rows(report, ROW_HELD), HELD - 4);
}

/* The stock kernel is not in the plan: ours without squeezy= takes its place, and is not compared with itself. */
static void test_without_stock(void **state)
{
	struct kernel_report *report = report_of((struct plan_run){ .quick = true, .only = "fault-on,fault-off" }, good_with(NULL, NULL));

	for (unsigned int i = 0; i < report->n_rows; i++)
		assert_null(strstr(report->rows[i].what, "no squeezy="));
	assert_int_equal(count_rows(report, ROW_HELD), 7);
	assert_int_equal(count_rows(report, ROW_REPORTED), 2);
	assert_int_equal(count_rows(report, ROW_MISSED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_each_fault_is_found),
		cmocka_unit_test(test_a_missing_result_is_not_held),
		cmocka_unit_test(test_no_results),
		cmocka_unit_test(test_one_of_two),
		cmocka_unit_test(test_no_stock_result),
		cmocka_unit_test(test_without_stock),
	};

	return cmocka_run_group_tests_name("bench-kernel", tests, NULL, NULL);
}
