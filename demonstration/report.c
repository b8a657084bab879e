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

/* Guest clock with partitions; the stock driver keeps no times, so what the host saw stands for it. */
static double guest_ms(const json_t *record)
{
	const json_t *returned = json_object_get(record, "returned_ms");

	return json_is_number(returned) ? json_number_value(returned) : real_of(record, "host_size_ms");
}

void report_evictions(const struct side *side)
{
	const json_t *one;
	size_t i;

	printf("   %-9s %-14s %-9s %12s %13s %12s %13s %9s\n", "instance", "action", "partition", "guest gave", "host resident", "unplugged",
	       "resident fell", "pages");
	printf("   %-9s %-14s %-9s %12s %13s %12s %13s %9s\n", "", "", "", "it up, ms", "fallen, ms", "MiB", "MiB", "migrated");
	json_array_foreach(side->reclaims, i, one) {
		const json_t *partition = json_object_get(one, "partition");
		char number[24] = "-";

		if (json_is_integer(partition))
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(partition));
		printf("   %-9s %-14s %-9s %12.1f %13.1f %12lld %13.0f %9lld\n", json_string_value(json_object_get(one, "instance")),
		       json_string_value(json_object_get(one, "action")), number, guest_ms(one), real_of(one, "host_resident_ms"),
		       mib_of(one, "bytes_returned"), mib_fallen(one),
		       (long long)json_integer_value(json_object_get(one, "pages_migrated")));
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

static double host_size_ms(const json_t *record)
{
	return real_of(record, "host_size_ms");
}

static double host_resident_ms(const json_t *record)
{
	return real_of(record, "host_resident_ms");
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

static double migrated(const json_t *record)
{
	return real_of(record, "pages_migrated");
}

static void line(const struct side *side)
{
	printf("   %-12s %16.1f %16.1f %15.0f %15.0f %12.0f\n", side->backend, median_of(side, host_size_ms),
	       median_of(side, host_resident_ms), total_of(side, host_resident_ms), total_of(side, mib_fallen), total_of(side, migrated));
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
	double a = median_of(ours, host_size_ms), b = median_of(stock, host_size_ms);
	int r;

	printf("   %-12s %16s %16s %15s %15s %12s\n", "", "kill -> unplugged", "kill -> resident", "sum of six, ms", "resident fell", "pages");
	printf("   %-12s %16s %16s %15s %15s %12s\n", "", "median ms", "median ms", "", "MiB", "migrated");
	line(ours);
	line(stock);
	printf("   ratio of the medians: %.0f times (kill -> unplugged), %.0f times (kill -> resident)\n", a > 0 ? b / a : 0,
	       median_of(ours, host_resident_ms) > 0 ? median_of(stock, host_resident_ms) / median_of(ours, host_resident_ms) : 0);
	printf("   %s, guest kernel %s on both sides\n", json_is_true(json_object_get(vm, "kvm")) ? "KVM" :
	       "TCG, software emulation: the ratio means something, the milliseconds little",
	       json_string_value(json_object_get(json_object_get(vm, "hello"), "kernel")));
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

	fprintf(out, "# seconds\tplugged\tused in guest\tresident on host\n");
	json_array_foreach(side->samples, i, one) {
		double used = partitions ? real_of(one, "partitions_used_bytes") : real_of(one, "guest_used_bytes") - base;

		fprintf(out, "%.3f\t%.1f\t%.1f\t%.1f\n", (real_of(one, "t_ms") - real_of(first, "t_ms")) / 1000,
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
