// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/bench-options.h"

static const struct {
	const char *name;
	const char *help;
	int (*run)(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err);
} experiments[] = {
	{ "reclaim", "end one instance of a loaded VM and take its memory back", bench_run_reclaim },
	{ "invoke", "the daemon's own cost of a call, with an agent that answers at once", bench_run_invoke },
	{ "kernel", "the guest kernel's costs in instructions and counts, against the stock kernel", bench_run_kernel },
	{ "populate", "give a partition its memory for the first time, and again after it was parked", bench_run_populate },
};

static void usage(FILE *out)
{
	fputs("usage: squeezy bench EXPERIMENT [options]\n", out);
	for (size_t i = 0; i < sizeof(experiments) / sizeof(*experiments); i++)
		fprintf(out, "  %-10s %s\n", experiments[i].name, experiments[i].help);
	fputs("options:\n"
	      "  --size S,S...         memory limit of an instance [256M,512M]\n"
	      "  --instances N         instances in each VM [8]\n"
	      "  --samples N           reclaims (or rounds of populate) for each size [5]\n"
	      "  --writers N           other instances that write during a reclaim [2]\n"
	      "  --against virtio-mem  measure the stock driver too, samples taken in turn\n"
	      "  --guest-thp           instances ask for huge pages in the guest, on both sides\n"
	      "  --accel auto|kvm|tcg  [auto]\n"
	      "  --kernel F --image F  [build/kernel/bzImage, build/image/root.erofs]\n"
	      "  --host-pages thp|4k   reclaim: pages of the host behind guest memory [thp]\n"
	      "  --counted-kernel F    kernel: ours with jump labels [build/kernel/kvm/bzImage]\n"
	      "  --stock-kernel F      kernel: the same without Squeezy [build/kernel/kvm-stock/bzImage]\n"
	      "  --program F           kernel: init of its VMs [build/meson/tests/kernel/guest/kernel-tests]\n"
	      "  --daemon F            invoke: [build/squeezyd]\n"
	      "  --stand-in F          invoke: for QEMU and agent [build/meson/tests/tools/fake-qemu]\n"
	      "  --only NAME,...       kernel: these boots only\n"
	      "  --dir D               keep the VMs' logs here\n"
	      "  --quick               one small size, one sample, no gate on ratios\n"
	      "  --json                one JSON object instead of a table\n"
	      "exit status: 0 all that must hold held, 1 something did not, 2 no measurement\n", out);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int run(size_t experiment, const struct bench_options *o, struct err *err)
{
	struct event_base *base = event_base_new();
	char temporary[] = "/tmp/squeezy-bench-XXXXXX";
	const char *dir = o->dir;
	int r;

	if (!base)
		return err_set(err, ENOMEM, "no event loop: out of memory");
	if (dir ? mkdir(dir, 0755) && errno != EEXIST : !(dir = mkdtemp(temporary)))
		r = err_set(err, errno, "%s: cannot make the folder for the VMs' logs: %s", dir ? dir : temporary, strerror(errno));
	else
		r = experiments[experiment].run(o, base, dir, err);
	if (!o->dir && dir && r >= 0)
		nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	event_base_free(base);
	return r;
}

int bench_main(int argc, char **argv)
{
	struct bench_options options;
	struct err err = { 0 };
	size_t i, n = sizeof(experiments) / sizeof(*experiments);
	int r;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	for (i = 0; i < n && strcmp(argv[1], experiments[i].name); i++)
		;
	if (i == n) {
		fprintf(stderr, "squeezy bench: there is no experiment '%s'; `squeezy bench --help` lists them\n", argv[1]);
		return 2;
	}
	r = bench_options_parse(argc - 1, argv + 1, &options, &err);
	if (!r && options.help) {
		usage(stdout);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!r)
		r = run(i, &options, &err);
	if (r >= 0)
		return r;
	fprintf(stderr, "squeezy bench %s: %s\n", argv[1], err.text);
	return 2;
}
