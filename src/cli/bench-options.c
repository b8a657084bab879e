// SPDX-License-Identifier: Apache-2.0
#include "bench-options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define BLOCK_BYTES (128ull << 20)	/* the guest's memory block: partitions are multiples of it */

static int parse_count(const char *name, const char *text, unsigned int min, unsigned int max, unsigned int *ret, struct err *err)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < min || value > max)
		return err_set(err, EINVAL, "--%s %s: must be a number from %u to %u", name, text, min, max);
	*ret = (unsigned int)value;
	return 0;
}

static int add_size(struct bench_options *o, const char *text, struct err *err)
{
	uint64_t bytes;

	if (o->n_sizes == BENCH_MAX_SIZES)
		return err_set(err, EINVAL, "--size: at most %d sizes", BENCH_MAX_SIZES);
	if (parse_size(text, &bytes) || bytes == 0 || bytes % BLOCK_BYTES)
		return err_set(err, EINVAL, "--size %s: must be a multiple of the guest's memory block, 128M, e.g. 256M", text);
	o->sizes_bytes[o->n_sizes++] = bytes;
	return 0;
}

static int parse_sizes(struct bench_options *o, const char *list, struct err *err)
{
	char *copy = strdup(list), *rest = copy, *one;
	int r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "--size: out of memory");
	o->n_sizes = 0;
	while (!r && (one = strsep(&rest, ",")))
		r = add_size(o, one, err);
	free(copy);
	return r;
}

static int parse_accel(const char *text, enum vm_accel *ret, struct err *err)
{
	if (!strcmp(text, "auto"))
		*ret = VM_ACCEL_AUTO;
	else if (!strcmp(text, "kvm"))
		*ret = VM_ACCEL_KVM;
	else if (!strcmp(text, "tcg"))
		*ret = VM_ACCEL_TCG;
	else
		return err_set(err, EINVAL, "--accel %s: must be auto, kvm or tcg", text);
	return 0;
}

static int parse_against(const char *text, struct bench_options *o, struct err *err)
{
	if (strcmp(text, "virtio-mem"))
		return err_set(err, EINVAL, "--against %s: the one baseline there is so far is virtio-mem", text);
	o->against = true;
	return 0;
}

static int parse_host_pages(const char *text, struct bench_options *o, struct err *err)
{
	o->host_4k = !strcmp(text, "4k");
	if (!o->host_4k && strcmp(text, "thp"))
		return err_set(err, EINVAL, "--host-pages %s: must be thp or 4k", text);
	return 0;
}

static const struct option long_options[] = {
	{ "size", required_argument, NULL, 's' },
	{ "instances", required_argument, NULL, 'i' },
	{ "samples", required_argument, NULL, 'n' },
	{ "writers", required_argument, NULL, 'w' },
	{ "against", required_argument, NULL, 'a' },
	{ "accel", required_argument, NULL, 'c' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "image", required_argument, NULL, 'm' },
	{ "counted-kernel", required_argument, NULL, 'C' },
	{ "stock-kernel", required_argument, NULL, 'S' },
	{ "program", required_argument, NULL, 'p' },
	{ "daemon", required_argument, NULL, 'D' },
	{ "stand-in", required_argument, NULL, 'Q' },
	{ "only", required_argument, NULL, 'o' },
	{ "host-pages", required_argument, NULL, 'g' },
	{ "dir", required_argument, NULL, 'd' },
	{ "guest-thp", no_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	{ "quick", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int apply(struct bench_options *o, int option, const char *arg, struct err *err)
{
	switch (option) {
	case 's': return parse_sizes(o, arg, err);
	case 'i': return parse_count("instances", arg, 2, BENCH_MAX_INSTANCES, &o->instances, err);
	case 'n': return parse_count("samples", arg, 1, BENCH_MAX_SAMPLES, &o->samples, err);
	case 'w': return parse_count("writers", arg, 0, BENCH_MAX_INSTANCES, &o->writers, err);
	case 'a': return parse_against(arg, o, err);
	case 'c': return parse_accel(arg, &o->accel, err);
	case 'k': o->kernel = arg; return 0;
	case 'm': o->image = arg; return 0;
	case 'C': o->counted_kernel = arg; return 0;
	case 'S': o->stock_kernel = arg; return 0;
	case 'p': o->program = arg; return 0;
	case 'D': o->daemon = arg; return 0;
	case 'Q': o->stand_in = arg; return 0;
	case 'o': o->only = arg; return 0;
	case 'g': return parse_host_pages(arg, o, err);
	case 'd': o->dir = arg; return 0;
	case 't': o->guest_thp = true; return 0;
	case 'j': o->json = true; return 0;
	case 'q': o->quick = true; return 0;
	case 'h': o->help = true; return 0;
	default: return err_set(err, EINVAL, "an option that does not exist, or one without its value (--help lists them)");
	}
}

static void set_defaults(struct bench_options *o)
{
	*o = (struct bench_options){
		.kernel = "build/kernel/bzImage",
		.image = "build/image/root.erofs",
		.counted_kernel = "build/kernel/kvm/bzImage",
		.stock_kernel = "build/kernel/kvm-stock/bzImage",
		.daemon = "build/squeezyd",
		.stand_in = "build/meson/tests/tools/fake-qemu",
		.program = "build/meson/tests/kernel/guest/kernel-tests",
		.sizes_bytes = { 256ull << 20, 512ull << 20 },
		.n_sizes = 2,
		.instances = 8,
		.samples = 5,
		.writers = 2,
	};
}

/* --quick comes first, so that options beside it still have their say. */
static void set_quick(struct bench_options *o)
{
	o->sizes_bytes[0] = BLOCK_BYTES;
	o->n_sizes = 1;
	o->instances = 3;
	o->samples = 1;
}

int bench_options_parse(int argc, char **argv, struct bench_options *ret, struct err *err)
{
	struct bench_options o;
	int option, r;

	set_defaults(&o);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			set_quick(&o);
	}
	optind = 0;	/* glibc: start anew */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		r = apply(&o, option, optarg, err);
		if (r)
			return r;
	}
	if (optind < argc)
		return err_set(err, EINVAL, "%s: an argument that is not an option (--help lists them)", argv[optind]);
	if (o.writers >= o.instances)
		return err_set(err, EINVAL, "--writers %u: must be fewer than the %u instances", o.writers, o.instances);
	*ret = o;
	return 0;
}
