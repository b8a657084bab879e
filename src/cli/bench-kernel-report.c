// SPDX-License-Identifier: Apache-2.0
#include "bench-kernel-report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool member_is(const json_t *result, const char *key, const char *wanted)
{
	const json_t *member = json_object_get(result, key);
	char number[32];

	if (json_is_string(member))
		return !strcmp(json_string_value(member), wanted);
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(member));
	return json_is_integer(member) && !strcmp(number, wanted);
}

static bool matches(const json_t *result, const char *keys)
{
	char copy[128], *rest = copy, *pair;

	snprintf(copy, sizeof(copy), "%s", keys);
	while ((pair = strsep(&rest, " "))) {
		char *wanted = strchr(pair, '=');

		if (!wanted)
			return false;
		*wanted++ = '\0';
		if (!member_is(result, pair, wanted))
			return false;
	}
	return true;
}

struct value report_value(const struct kernel_report *report, const char *boot, const char *keys, const char *member)
{
	const struct plan_boot *planned = plan_find(boot);
	struct value value = { .wanted = planned ? plan_times(&report->run, planned) : 0 };
	double low = 0, high = 0, sum = 0;
	json_t *one;
	size_t i;

	json_array_foreach(report->results, i, one) {
		const json_t *number = json_object_get(one, member);
		double x = json_number_value(number);

		if (!member_is(one, "boot", boot) || !matches(one, keys) || !json_is_number(number))
			continue;
		low = !value.n || x < low ? x : low;
		high = !value.n || x > high ? x : high;
		sum += x;
		value.n++;
	}
	if (value.n)
		value.mean = sum / value.n;
	value.spread = high - low;
	return value;
}

static const char *verdict_name(enum row_verdict verdict)
{
	switch (verdict) {
	case ROW_HELD: return "held";
	case ROW_MISSED: return "MISSED";
	default: return "reported";
	}
}

static void print_table(const struct kernel_report *report)
{
	printf("Instructions: TCG, -icount shift=0,sleep=off, kernel %s; stock: %s. Times: %s, kernel %s.\n\n", report->counted, report->stock,
	       report->kvm ? "KVM" : "TCG", report->timed);
	printf("| what | measured | bar | |\n|---|---|---|---|\n");
	for (unsigned int i = 0; i < report->n_rows; i++) {
		const struct row *row = &report->rows[i];

		printf("| %s | %s | %s | %s |\n", row->what, row->measured, row->bar, verdict_name(row->verdict));
	}
}

static json_t *report_json(const struct kernel_report *report)
{
	json_t *rows = json_array();

	for (unsigned int i = 0; i < report->n_rows; i++) {
		const struct row *row = &report->rows[i];

		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s}", "what", row->what, "measured", row->measured, "bar", row->bar,
						      "verdict", verdict_name(row->verdict)));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:O}", "counted_kernel", report->counted, "stock_kernel", report->stock,
			 "timed_kernel", report->timed, "counted", "tcg -icount shift=0,sleep=off", "timed", report->kvm ? "kvm" : "tcg", "rows",
			 rows, "results", report->results);
}

int kernel_report_print(struct kernel_report *report, bool json, struct err *err)
{
	json_t *object;
	int missed = 0;

	report_rows(report);
	for (unsigned int i = 0; i < report->n_rows; i++)
		missed |= report->rows[i].verdict == ROW_MISSED;
	if (!json) {
		print_table(report);
		return missed;
	}
	object = report_json(report);
	if (!object || json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)))
		return err_set(err, ENOMEM, "the report could not be written");
	putchar('\n');
	json_decref(object);
	return missed;
}
