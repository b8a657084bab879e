// SPDX-License-Identifier: Apache-2.0
#include "bench-report.h"

#include <stdarg.h>
#include <stddef.h>

#include "cli/bench-stats.h"

#define THP_PERCENT 90
#define FALL_PERCENT 95
#define TOUCH_PERCENT 90

static double sample_double(const struct reclaim_sample *s, size_t offset)
{
	return *(const double *)((const char *)s + offset);
}

static struct stats series_stats(const struct reclaim_series *series, size_t offset)
{
	double values[BENCH_MAX_SAMPLES];
	struct stats stats = { 0 };

	for (unsigned int i = 0; i < series->n; i++)
		values[i] = sample_double(&series->samples[i], offset);
	stats_compute(values, series->n, &stats);
	return stats;
}

static uint64_t series_migrated(const struct reclaim_series *series)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < series->n; i++)
		sum += series->samples[i].pages_migrated;
	return sum;
}

static const struct reclaim_series *find(const struct reclaim_report *report, enum vm_backend backend, uint64_t size_bytes)
{
	for (unsigned int i = 0; i < report->n_series; i++) {
		if (report->series[i]->backend == backend && report->series[i]->schedule == RECLAIM_AFTER_END &&
		    report->series[i]->size_bytes == size_bytes)
			return report->series[i];
	}
	return NULL;
}

double report_ratio(const struct reclaim_report *report, uint64_t size_bytes)
{
	const struct reclaim_series *ours = find(report, VM_SQUEEZY, size_bytes);
	const struct reclaim_series *stock = find(report, VM_VIRTIO_MEM, size_bytes);
	size_t offset = offsetof(struct reclaim_sample, reclaim_ms);
	double median;

	if (!ours || !stock || !ours->n || !stock->n)
		return 0;
	median = series_stats(ours, offset).median;
	return median > 0 ? series_stats(stock, offset).median / median : 0;
}

static bool series_host_thp(const struct reclaim_series *series)
{
	for (unsigned int i = 0; i < series->n; i++) {
		const struct reclaim_sample *s = &series->samples[i];

		if (s->thp_before_bytes / 100 * 100 < s->resident_before_bytes / 100 * THP_PERCENT)
			return false;
	}
	return series->n > 0;
}

bool report_host_thp(const struct reclaim_report *report)
{
	for (unsigned int i = 0; i < report->n_series; i++) {
		if (!series_host_thp(report->series[i]))
			return false;
	}
	return report->n_series > 0;
}

bool report_host_4k(const struct reclaim_report *report)
{
	for (unsigned int i = 0; i < report->n_series; i++) {
		for (unsigned int k = 0; k < report->series[i]->n; k++) {
			if (report->series[i]->samples[k].thp_before_bytes || report->series[i]->samples[k].madvise_thp_bytes)
				return false;
		}
	}
	return report->n_series > 0;
}

static void __attribute__((format(printf, 3, 4))) judge(struct verdict *verdict, bool held, const char *fmt, ...)
{
	va_list args;

	if (verdict->n == VERDICT_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(verdict->list[verdict->n].what, sizeof(verdict->list[0].what), fmt, args);
	va_end(args);
	verdict->list[verdict->n++].held = held;
}

static bool sample_touched(const struct reclaim_sample *s, uint64_t size_bytes)
{
	return s->touched_bytes >= size_bytes / 100 * TOUCH_PERCENT;
}

static bool sample_fell(const struct reclaim_sample *s)
{
	return s->resident_after_bytes + s->touched_bytes / 100 * FALL_PERCENT <= s->resident_before_bytes;
}

static const char *series_name(const struct reclaim_series *series)
{
	return series->schedule == RECLAIM_AFTER_END ? reclaim_method(series->backend) : "squeezy (with the kill)";
}

/* Those that are compared with a baseline. */
static bool is_ours(const struct reclaim_series *series)
{
	return series->backend == VM_SQUEEZY && series->schedule == RECLAIM_AFTER_END;
}

static void judge_series(const struct reclaim_series *series, struct verdict *v)
{
	const char *name = series_name(series);
	unsigned int mib = (unsigned int)(series->size_bytes >> 20);
	bool touched = true, fell = true, answered = true, asked = true;
	uint64_t migrated = series_migrated(series);

	for (unsigned int i = 0; i < series->n; i++) {
		touched = touched && sample_touched(&series->samples[i], series->size_bytes);
		fell = fell && sample_fell(&series->samples[i]);
		answered = answered && series->samples[i].answering == series->samples[i].others;
		asked = asked && series->samples[i].requests > 0;
	}
	judge(v, touched, "%s %u MiB: each instance had written at least %d %% of its limit", name, mib, TOUCH_PERCENT);
	judge(v, answered, "%s %u MiB: every other instance answered during each reclaim", name, mib);
	if (series->backend == VM_VIRTIO_MEM) {
		judge(v, migrated > 0, "%s %u MiB: the counter of migrated pages moved (%llu)", name, mib, (unsigned long long)migrated);
		return;
	}
	judge(v, migrated == 0, "%s %u MiB: no page was migrated (%llu)", name, mib, (unsigned long long)migrated);
	judge(v, asked, "%s %u MiB: the guest counted a request to the device in each reclaim", name, mib);
	judge(v, fell, "%s %u MiB: the host's resident size fell by at least %d %% of what was written", name, mib, FALL_PERCENT);
}

void report_judge(const struct reclaim_report *report, struct verdict *ret)
{
	struct verdict v = { 0 };

	if (report->host_4k)
		judge(&v, report_host_4k(report), "the host backs guest memory with 4 KiB pages, on both sides");
	else
		judge(&v, report_host_thp(report), "the host backs guest memory with huge pages, on both sides");
	for (unsigned int i = 0; i < report->n_series; i++)
		judge_series(report->series[i], &v);
	for (unsigned int i = 0; report->gate_ratio && i < report->n_series; i++) {
		const struct reclaim_series *s = report->series[i];
		double ratio = report_ratio(report, s->size_bytes);

		judge(&v, s->n >= REPORT_MIN_SAMPLES, "%s %u MiB: at least %d samples (%u)", series_name(s),
		      (unsigned int)(s->size_bytes >> 20), REPORT_MIN_SAMPLES, s->n);
		if (report->against && !report->host_4k && is_ours(s))
			judge(&v, ratio >= REPORT_MIN_RATIO, "%u MiB: at least %.0f times faster than virtio-mem (%.0f)",
			      (unsigned int)(s->size_bytes >> 20), REPORT_MIN_RATIO, ratio);
	}
	if (report->gate_ratio)
		judge(&v, report->writers >= REPORT_MIN_WRITERS, "at least %d others wrote during each reclaim (%u)", REPORT_MIN_WRITERS,
		      report->writers);
	*ret = v;
}

bool verdict_held(const struct verdict *verdict)
{
	for (unsigned int i = 0; i < verdict->n; i++) {
		if (!verdict->list[i].held)
			return false;
	}
	return verdict->n > 0;
}

static json_t *double_array(const struct reclaim_series *series, size_t offset)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < series->n; i++)
		json_array_append_new(array, json_real(sample_double(&series->samples[i], offset)));
	return array;
}

static json_t *numbers_array(const struct reclaim_series *series, size_t offset)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < series->n; i++) {
		const char *at = (const char *)&series->samples[i] + offset;

		json_array_append_new(array, json_integer((json_int_t)*(const uint64_t *)at));
	}
	return array;
}

#define MS(field) offsetof(struct reclaim_sample, field)

static json_t *series_json(const struct reclaim_series *s)
{
	struct stats stats = series_stats(s, MS(reclaim_ms));
	json_t *one = json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f}", "method", reclaim_method(s->backend), "schedule",
				reclaim_schedule_name(s->schedule), "size_bytes", (json_int_t)s->size_bytes, "median_ms", stats.median,
				"p99_ms", stats.p99, "min_ms", stats.min, "max_ms", stats.max, "mad_ms", stats.mad);

	json_object_set_new(one, "samples_ms", double_array(s, MS(reclaim_ms)));
	json_object_set_new(one, "from_kill_ms", double_array(s, MS(from_kill_ms)));
	json_object_set_new(one, "end_ms", double_array(s, MS(end_ms)));
	json_object_set_new(one, "guest_ms", double_array(s, MS(guest_ms)));
	json_object_set_new(one, "host_free_ms", double_array(s, MS(host_free_ms)));
	json_object_set_new(one, "host_madvise_ms", double_array(s, MS(host_madvise_ms)));
	json_object_set_new(one, "busy_madvise_ms", double_array(s, MS(busy_madvise_ms)));
	json_object_set_new(one, "worst_call_ms", double_array(s, MS(worst_call_ms)));
	if (s->backend == VM_SQUEEZY)
		json_object_set_new(one, "requests", numbers_array(s, offsetof(struct reclaim_sample, requests)));
	json_object_set_new(one, "pages_migrated", json_integer((json_int_t)series_migrated(s)));
	json_object_set_new(one, "host_resident_before_bytes", numbers_array(s, MS(resident_before_bytes)));
	json_object_set_new(one, "host_resident_after_bytes", numbers_array(s, MS(resident_after_bytes)));
	json_object_set_new(one, "host_thp_before_bytes", numbers_array(s, MS(thp_before_bytes)));
	json_object_set_new(one, "touched_bytes", json_integer((json_int_t)s->samples[0].touched_bytes));
	return one;
}

static json_t *ratios_json(const struct reclaim_report *report)
{
	json_t *ratios = json_array();

	for (unsigned int i = 0; report->against && i < report->n_series; i++) {
		uint64_t size = report->series[i]->size_bytes;

		if (is_ours(report->series[i]))
			json_array_append_new(ratios, json_pack("{s:I, s:s, s:f}", "size_bytes", (json_int_t)size, "against", "virtio-mem",
								"median_ratio", report_ratio(report, size)));
	}
	return ratios;
}

/* Reclaim minus the host's own madvise, medians. */
static double beyond_madvise_ms(const struct reclaim_series *s)
{
	return series_stats(s, MS(reclaim_ms)).median - series_stats(s, MS(host_madvise_ms)).median;
}

static json_t *goals_json(const struct reclaim_report *report)
{
	json_t *goals = json_array();

	for (unsigned int i = 0; i < report->n_series; i++) {
		const struct reclaim_series *s = report->series[i];
		json_t *one;

		if (s->backend != VM_SQUEEZY)
			continue;
		one = json_pack("{s:I, s:s, s:f, s:f}", "size_bytes", (json_int_t)s->size_bytes, "schedule",
				reclaim_schedule_name(s->schedule), "beyond_madvise_ms", beyond_madvise_ms(s), "beyond_madvise_goal_ms",
				REPORT_MADVISE_GOAL_MS);
		if (report->against && is_ours(s)) {
			json_object_set_new(one, "ratio", json_real(report_ratio(report, s->size_bytes)));
			json_object_set_new(one, "ratio_goal", json_real(REPORT_RATIO_GOAL));
		}
		json_array_append_new(goals, one);
	}
	return goals;
}

static json_t *verdict_json(const struct verdict *verdict)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < verdict->n; i++)
		json_array_append_new(array, json_pack("{s:s, s:b}", "what", verdict->list[i].what, "held", verdict->list[i].held));
	return array;
}

json_t *report_json(const struct reclaim_report *report, const struct verdict *verdict)
{
	json_t *results = json_array();
	json_t *root;

	for (unsigned int i = 0; i < report->n_series; i++)
		json_array_append_new(results, series_json(report->series[i]));
	root = json_pack("{s:s, s:s, s:i, s:i, s:b, s:b}", "accel", report->kvm ? "kvm" : "tcg", "kernel", report->kernel, "instances",
			 (int)report->instances, "writers", (int)report->writers, "guest_thp", report->guest_thp, "host_thp",
			 report_host_thp(report));
	json_object_set_new(root, "results", results);
	json_object_set_new(root, "ratios", ratios_json(report));
	json_object_set_new(root, "goals", goals_json(report));
	json_object_set_new(root, "must_hold", verdict_json(verdict));
	return root;
}

/* A mean for a table; the stock driver's are not counted. */
static void print_requests(const struct reclaim_series *s, FILE *out)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < s->n; i++)
		sum += s->samples[i].requests;
	if (s->backend == VM_SQUEEZY && s->n)
		fprintf(out, " %9.1f", (double)sum / s->n);
	else
		fprintf(out, " %9s", "-");
}

static void table_row(const struct reclaim_series *s, FILE *out)
{
	struct stats reclaim = series_stats(s, MS(reclaim_ms));
	double mib = 1 << 20;

	fprintf(out, "%-24s %5llu MiB %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f %10llu %9.0f", series_name(s),
		(unsigned long long)s->size_bytes >> 20, reclaim.median, reclaim.min, reclaim.p99, series_stats(s, MS(end_ms)).median,
		series_stats(s, MS(from_kill_ms)).median,
		series_stats(s, MS(guest_ms)).median, series_stats(s, MS(host_free_ms)).median, (unsigned long long)series_migrated(s),
		((double)s->samples[0].resident_before_bytes - (double)s->samples[0].resident_after_bytes) / mib);
	print_requests(s, out);
	fputc('\n', out);
}

void report_table(const struct reclaim_report *report, const struct verdict *verdict, FILE *out)
{
	fprintf(out, "Reclaim of one of %u loaded instances, %u others writing. %s, guest kernel %s, host huge pages %s.\n",
		report->instances, report->writers, report->kvm ? "KVM" : "TCG (software emulation: ratios mean something, milliseconds little)",
		report->kernel, report_host_thp(report) ? "on" : report->host_4k ? "off, as asked" : "off");
	fprintf(out, "%-24s %9s %9s %9s %9s %9s %9s %9s %9s %10s %9s %9s\n", "method", "size", "median ms", "min ms", "p99 ms", "end ms",
		"from kill", "guest ms", "host free", "migrated", "MiB back", "requests");
	for (unsigned int i = 0; i < report->n_series; i++)
		table_row(report->series[i], out);
	for (unsigned int i = 0; report->against && i < report->n_series; i++) {
		if (is_ours(report->series[i]))
			fprintf(out, "%llu MiB: %.0f times faster than virtio-mem (medians)\n",
				(unsigned long long)report->series[i]->size_bytes >> 20, report_ratio(report, report->series[i]->size_bytes));
	}
	for (unsigned int i = 0; i < report->n_series; i++) {
		const struct reclaim_series *s = report->series[i];

		if (s->backend == VM_SQUEEZY)
			fprintf(out, "%llu MiB: the host's own madvise of as much takes %.1f ms (%.1f while the others work): reclaim asked for "
				"%s is %.1f ms longer (goal: at most %.0f)\n",
				(unsigned long long)s->size_bytes >> 20, series_stats(s, MS(host_madvise_ms)).median,
				series_stats(s, MS(busy_madvise_ms)).median, reclaim_schedule_name(s->schedule), beyond_madvise_ms(s),
				REPORT_MADVISE_GOAL_MS);
	}
	for (unsigned int i = 0; i < verdict->n; i++)
		fprintf(out, "%s  %s\n", verdict->list[i].held ? "held  " : "FAILED", verdict->list[i].what);
}
