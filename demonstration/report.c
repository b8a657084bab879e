// SPDX-License-Identifier: Apache-2.0
#include "demonstration/report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1 << 20)

static double real_of(const json_t *record, const char *key)
{
	return json_number_value(json_object_get(record, key));
}

static long long mib_of(const json_t *record, const char *key)
{
	return (long long)json_integer_value(json_object_get(record, key)) >> 20;
}

static double mib_fallen(const json_t *record)
{
	return (real_of(record, "resident_before_bytes") - real_of(record, "resident_after_bytes")) / MIB;
}

/* All of these count from the kill, in ms. Guest clock with partitions; the stock driver keeps no times, so what the host saw stands for it. */
static double ended_ms(const json_t *record)
{
	return real_of(record, "kill_ms");
}

static double guest_ms(const json_t *record)
{
	const json_t *returned = json_object_get(record, "returned_ms");

	return json_is_number(returned) ? json_number_value(returned) : real_of(record, "host_size_ms");
}

static double resident_ms(const json_t *record)
{
	return real_of(record, "host_resident_ms");
}

/* From the end of the last process on: what giving the memory back costs. */
static double guest_after_ms(const json_t *record)
{
	return guest_ms(record) - ended_ms(record);
}

static double migrated(const json_t *record)
{
	return real_of(record, "pages_migrated");
}

void report_evictions(const struct side *side)
{
	const json_t *one;
	size_t i;

	printf("   %-9s %-15s %-9s | %-45s | %9s %9s %9s\n", "", "", "", "ms from the kill until", "unplugged", "resident", "pages");
	printf("   %-9s %-15s %-9s | %13s %15s %15s | %9s %9s %9s\n", "instance", "action", "partition", "processes end", "guest gave up",
	       "host has it", "MiB", "fell, MiB", "migrated");
	json_array_foreach(side->reclaims, i, one) {
		const json_t *partition = json_object_get(one, "partition");
		char number[24] = "-";

		if (json_is_integer(partition))
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(partition));
		printf("   %-9s %-15s %-9s | %13.1f %15.1f %15.1f | %9lld %9.0f %9.0f\n", json_string_value(json_object_get(one, "instance")),
		       json_string_value(json_object_get(one, "action")), number, ended_ms(one), guest_ms(one), resident_ms(one),
		       mib_of(one, "bytes_returned"), mib_fallen(one), migrated(one));
	}
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(const struct side *side, double (*value)(const json_t *))
{
	double values[64];
	const json_t *one;
	size_t i, n = 0;

	json_array_foreach(side->reclaims, i, one) {
		if (n < 64)
			values[n++] = value(one);
	}
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), compare_double);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double total_of(const struct side *side, double (*value)(const json_t *))
{
	const json_t *one;
	double sum = 0;
	size_t i;

	json_array_foreach(side->reclaims, i, one)
		sum += value(one);
	return sum;
}

static void line(const struct side *side)
{
	printf("   %-11s %13.1f %14.1f %14.1f %16.1f %14.0f %10.0f\n", side->backend, median_of(side, ended_ms), median_of(side, guest_ms),
	       median_of(side, resident_ms), median_of(side, guest_after_ms), total_of(side, mib_fallen), total_of(side, migrated));
}

static double ratio_of(const struct side *stock, const struct side *ours, double (*value)(const json_t *))
{
	double a = median_of(ours, value), b = median_of(stock, value);

	return a > 0 ? b / a : 0;
}

static int check_side(const struct side *side, struct err *err)
{
	const json_t *one;
	size_t i;

	json_array_foreach(side->reclaims, i, one) {
		if (!json_is_true(json_object_get(one, "complete")))
			return err_set(err, EBADMSG, "%s: the memory of %s was not returned: %s", side->backend,
				       json_string_value(json_object_get(one, "instance")),
				       json_string_value(json_object_get(one, "error")) ?: "no reason given");
	}
	return 0;
}

int report_compare(const struct side *ours, const struct side *stock, struct err *err)
{
	const json_t *vm = json_array_get(json_object_get(ours->status, "vms"), 0);
	int r;

	printf("   %-11s %13s %14s %14s %16s %14s %10s\n", "medians, ms", "processes end", "guest gave up", "host has it", "gave up after end",
	       "resident fell", "migrated");
	line(ours);
	line(stock);
	printf("   ratio: %.1f times from the end of the processes, %.1f times from the kill. ", ratio_of(stock, ours, guest_after_ms),
	       ratio_of(stock, ours, guest_ms));
	printf("Resident memory that came back: %.0f and %.0f MiB.\n", total_of(ours, mib_fallen), total_of(stock, mib_fallen));
	printf("   %s, guest kernel %s on both sides.\n", json_is_true(json_object_get(vm, "kvm")) ? "KVM" :
	       "TCG, software emulation: the ratio means something, the milliseconds little",
	       json_string_value(json_object_get(json_object_get(vm, "hello"), "kernel")));
	printf("   This VM is half empty, the easiest case for the stock driver. A full one: build/squeezy bench reclaim --against virtio-mem\n");
	r = check_side(ours, err);
	if (!r)
		r = check_side(stock, err);
	if (!r && total_of(ours, migrated) > 0)
		r = err_set(err, EBADMSG, "pages were migrated with partitions");
	return r;
}

/* Memory of the base and of the shared part is on both sides alike; "used" is what the guest uses above its first sample. */
static void write_samples(const struct side *side, FILE *out)
{
	const json_t *one, *first = json_array_get(side->samples, 0);
	bool partitions = json_is_integer(json_object_get(first, "partitions_used_bytes"));
	double base = real_of(first, "guest_used_bytes");
	size_t i;

	fprintf(out, "# seconds after the evictions began\tplugged\tused in guest\tresident on host\n");
	json_array_foreach(side->samples, i, one) {
		double used = partitions ? real_of(one, "partitions_used_bytes") : real_of(one, "guest_used_bytes") - base;

		fprintf(out, "%.3f\t%.1f\t%.1f\t%.1f\n", (real_of(one, "t_ms") - (double)side->evicted_ms) / 1000,
			real_of(one, "plugged_bytes") / MIB, (used > 0 ? used : 0) / MIB, real_of(one, "resident_bytes") / MIB);
	}
}

int report_save(const struct side *side, const char *dir, struct err *err)
{
	json_t *all = json_pack("{s:O, s:O, s:O}", "status", side->status, "reclaims", side->reclaims, "samples", side->samples);
	char path[300];
	FILE *out;
	int r;

	snprintf(path, sizeof(path), "%s/%s.json", dir, side->backend);
	r = all ? json_dump_file(all, path, JSON_INDENT(1)) : -1;
	json_decref(all);
	if (r)
		return err_set(err, EIO, "%s cannot be written; is the disk full?", path);
	snprintf(path, sizeof(path), "%s/%s.tsv", dir, side->backend);
	out = fopen(path, "we");
	if (!out)
		return err_set(err, errno, "%s cannot be written: %s", path, strerror(errno));
	write_samples(side, out);
	if (fclose(out))
		return err_set(err, EIO, "%s cannot be written; is the disk full?", path);
	return 0;
}
