// SPDX-License-Identifier: Apache-2.0
/* The experiment `kernel`: boots the plan's VMs, each counted one twice, and reports. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench-kernel-plan.h"
#include "cli/bench-kernel-report.h"
#include "cli/bench-kernel-vm.h"
#include "cli/bench-options.h"
#include "cli/bench.h"

#define BOOT_TIMEOUT_S 1800
#define SHARED_MIB 512		/* for everything that no partition serves, on both sides */
#define MIB (1ull << 20)

static const char *kernel_path(const struct bench_options *o, enum plan_kernel kernel)
{
	const char *const paths[PLAN_KERNELS] = {
		[PLAN_PRODUCT] = o->kernel,
		[PLAN_COUNTED] = o->counted_kernel,
		[PLAN_STOCK] = o->stock_kernel,
	};

	return paths[kernel];
}

static int check_kernel(const struct bench_options *o, enum plan_kernel kernel, struct err *err)
{
	static const char *const builds[PLAN_KERNELS] = {
		[PLAN_PRODUCT] = "tools/build kernel",
		[PLAN_COUNTED] = "kernel/scripts/build.sh --variant kvm --tree build/kernel/kvm-tree --out build/kernel/kvm",
		[PLAN_STOCK] = "kernel/scripts/build.sh --variant kvm --stock --tree build/kernel/kvm-stock-tree --out build/kernel/kvm-stock",
	};
	const char *path = kernel_path(o, kernel);

	if (!access(path, R_OK))
		return 0;
	return err_set(err, errno, "%s: %s; make it with: %s", path, strerror(errno), builds[kernel]);
}

static int run_boot(const struct bench_options *o, struct event_base *base, const struct plan_boot *boot, bool kvm, const char *dir,
		    json_t *results, struct err *err)
{
	char append[256], layout[64] = "", log[256], initramfs[256];
	struct kernel_vm vm = {
		.kernel = kernel_path(o, boot->kernel),
		.initramfs = initramfs,
		.append = append,
		.log = log,
		.counted = boot->counted,
		.kvm = kvm,
		.vcpus = boot->vcpus,
		.base_bytes = boot->base_mib * MIB,
		.region_bytes = boot->region_partitions * boot->partition_mib * MIB,
		.shared_bytes = SHARED_MIB * MIB,
		.timeout_s = BOOT_TIMEOUT_S,
	};
	int r;

	if (boot->partitions)
		snprintf(layout, sizeof(layout), "squeezy=%ux%uM ", boot->partitions, boot->partition_mib);
	snprintf(append, sizeof(append), "%splug=%ux%u suites=%s", layout, boot->partition_mib, boot->region_partitions, boot->suites);
	snprintf(log, sizeof(log), "%s/%s.log", dir, boot->name);
	snprintf(initramfs, sizeof(initramfs), "%s/initramfs", dir);
	r = kernel_vm_run(&vm, base, results, err);
	return r ? err_wrap(err, "%s", boot->name) : 0;
}

/* Each name of the list is a boot's. */
static int check_list(const char *list, struct err *err)
{
	char names[512] = "", copy[512], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", list);
	for (size_t i = 0; i < plan_n_boots; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? "," : "", plan_boots[i].name);
	while ((name = strsep(&rest, ","))) {
		if (!plan_find(name))
			return err_set(err, EINVAL, "--only %s: there is no such boot; the boots are %s", name, names);
	}
	return 0;
}

/* Results of one boot, made as often as the plan says, each marked with the boot's name. */
static int run_boots(const struct bench_options *o, struct event_base *base, const struct plan_boot *boot, bool kvm, const char *dir,
		     struct kernel_report *report, struct err *err)
{
	unsigned int runs = plan_times(&report->run, boot);
	int r = check_kernel(o, boot->kernel, err);

	for (unsigned int run = 0; !r && run < runs; run++) {
		json_t *results = json_array(), *one;
		size_t i;

		if (isatty(STDERR_FILENO) || !o->json)
			fprintf(stderr, "# %s\n", boot->name);
		r = run_boot(o, base, boot, kvm, dir, results, err);
		json_array_foreach(results, i, one) {
			json_object_set_new(one, "boot", json_string(boot->name));
			json_object_set_new(one, "run", json_integer(run));
		}
		json_array_extend(report->results, results);
		json_decref(results);
	}
	return r;
}

int bench_run_kernel(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err)
{
	struct kernel_report report = {
		.run = { .quick = o->quick, .only = o->only },
		.counted = o->counted_kernel,
		.stock = o->stock_kernel,
		.timed = o->kernel,
	};
	char initramfs[256];
	int r;

	r = vm_choose_accel(o->accel, &report.kvm, err);
	snprintf(initramfs, sizeof(initramfs), "%s/initramfs", dir);
	if (!r && o->only)
		r = check_list(o->only, err);
	if (!r)
		r = kernel_vm_initramfs(o->program, initramfs, err);
	report.results = json_array();
	if (!r && !report.results)
		r = err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; !r && i < plan_n_boots; i++) {
		if (plan_times(&report.run, &plan_boots[i]))
			r = run_boots(o, base, &plan_boots[i], report.kvm, dir, &report, err);
	}
	if (!r)
		r = kernel_report_print(&report, o->json, err);
	json_decref(report.results);
	return r;
}
