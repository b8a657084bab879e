// SPDX-License-Identifier: Apache-2.0
/* The experiment `reclaim`: for each size two loaded VMs, sampled in turn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/bench-madvise.h"
#include "cli/bench-report.h"

/* Two VMs that live at the same time, and what is measured on them: ours in both schedules, the stock driver's in one. */
struct pair {
	struct load loads[2];
	struct reclaim_series *series[3];
	unsigned int n, n_series;
};

static void say(const struct bench_options *o, const char *text, uint64_t size_bytes)
{
	if (isatty(STDERR_FILENO) || !o->json)
		fprintf(stderr, "# %llu MiB: %s\n", (unsigned long long)size_bytes >> 20, text);
}

static int add_series(struct pair *pair, enum vm_backend backend, enum reclaim_schedule schedule, uint64_t size_bytes, struct err *err)
{
	struct reclaim_series *series = calloc(1, sizeof(*series));

	if (!series)
		return err_set(err, ENOMEM, "out of memory");
	series->backend = backend;
	series->schedule = schedule;
	series->size_bytes = size_bytes;
	pair->series[pair->n_series++] = series;
	return 0;
}

static int start_side(struct pair *pair, unsigned int side, const struct bench_options *o, struct event_base *base, uint64_t size_bytes,
		      const char *dir, struct err *err)
{
	enum vm_backend backend = side ? VM_VIRTIO_MEM : VM_SQUEEZY;
	char sub[256];
	int r = add_series(pair, backend, RECLAIM_AFTER_END, size_bytes, err);

	if (!r && backend == VM_SQUEEZY)
		r = add_series(pair, backend, RECLAIM_WITH_KILL, size_bytes, err);
	if (r)
		return r;
	snprintf(sub, sizeof(sub), "%s/%s-%llu", dir, reclaim_method(backend), (unsigned long long)size_bytes >> 20);
	say(o, reclaim_method(backend), size_bytes);
	r = load_start(&pair->loads[side], base, o, backend, size_bytes, sub, err);
	if (!r)
		pair->n = side + 1;
	return r;
}

/* Sample k of a series, and right before it what the host needs for as much of its own memory. */
static int sample_series(struct pair *pair, unsigned int i, const struct bench_options *o, unsigned int k, struct err *err)
{
	struct reclaim_series *series = pair->series[i];
	struct load *load = &pair->loads[series->backend == VM_SQUEEZY ? 0 : 1];
	struct madvise_sample host;
	int r = madvise_measure(series->size_bytes, !o->host_4k, &host, err);

	if (!r)
		r = reclaim_once(load, series->schedule, k % o->instances, o->writers, &series->samples[k], err);
	if (r)
		return r;
	series->samples[k].host_madvise_ms = host.ms;
	series->samples[k].madvise_thp_bytes += host.thp_bytes;
	series->n = k + 1;
	return 0;
}

/* Sample k of each series, never two at once. Victims change, so that in the baseline no instance's memory stays together. */
static int sample_pair(struct pair *pair, const struct bench_options *o, unsigned int k, struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < pair->n_series; i++)
		r = sample_series(pair, i, o, k, err);
	return r;
}

static int note_kernel(const struct pair *pair, struct reclaim_report *report, struct err *err)
{
	for (unsigned int side = 0; side < pair->n; side++) {
		const char *kernel = json_string_value(json_object_get(vm_hello(pair->loads[side].vm), "kernel"));

		if (report->kernel[0] && (!kernel || strcmp(kernel, report->kernel)))
			return err_set(err, EPROTO, "the two sides run different kernels: %s and %s", report->kernel, kernel ? kernel : "?");
		snprintf(report->kernel, sizeof(report->kernel), "%s", kernel ? kernel : "unknown");
		report->kvm = vm_is_kvm(pair->loads[side].vm);
	}
	return 0;
}

static int run_size(struct reclaim_report *report, const struct bench_options *o, struct event_base *base, uint64_t size_bytes,
		    const char *dir, struct err *err)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	int r = pair ? 0 : err_set(err, ENOMEM, "out of memory");

	for (unsigned int side = 0; !r && side < (o->against ? 2u : 1u); side++)
		r = start_side(pair, side, o, base, size_bytes, dir, err);
	if (!r)
		r = note_kernel(pair, report, err);
	for (unsigned int k = 0; !r && k < o->samples; k++)
		r = sample_pair(pair, o, k, err);
	for (unsigned int side = 0; !r && side < pair->n; side++)
		r = load_verify(&pair->loads[side], err);
	for (unsigned int side = 0; pair && side < 2; side++)
		load_stop(&pair->loads[side]);
	for (unsigned int k = 0; pair && k < pair->n_series; k++)
		report->series[report->n_series++] = pair->series[k];
	free(pair);
	return r;
}

static int print(const struct reclaim_report *report, const struct bench_options *o, struct err *err)
{
	struct verdict verdict;
	json_t *json;

	report_judge(report, &verdict);
	if (!o->json) {
		report_table(report, &verdict, stdout);
		return !verdict_held(&verdict);
	}
	json = report_json(report, &verdict);
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)))
		return err_set(err, ENOMEM, "the report could not be written");
	putchar('\n');
	json_decref(json);
	return !verdict_held(&verdict);
}

int bench_run_reclaim(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err)
{
	struct reclaim_report report = {
		.against = o->against,
		.gate_ratio = !o->quick,
		.guest_thp = o->guest_thp,
		.host_4k = o->host_4k,
		.instances = o->instances,
		.writers = o->writers,
	};
	int r = 0;

	/* Inherited by QEMU. */
	if (o->host_4k && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return err_set(err, errno, "huge pages cannot be turned off: %s", strerror(errno));
	for (unsigned int i = 0; !r && i < o->n_sizes; i++)
		r = run_size(&report, o, base, o->sizes_bytes[i], dir, err);
	if (!r)
		r = print(&report, o, err);
	for (unsigned int i = 0; i < report.n_series; i++)
		free(report.series[i]);
	return r;
}
