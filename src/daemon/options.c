// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

struct option_row;
typedef int parse_fn(const struct option_row *row, const char *text, struct options *options, struct err *err);

struct option_row {
	const char *name;
	const char *value;	/* placeholder in the help; NULL: a flag */
	parse_fn *parse;
	size_t offset;
	const char *help;
};

static void *target(const struct option_row *row, struct options *options)
{
	return (char *)options + row->offset;
}

static int parse_string(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	*(const char **)target(row, options) = text;
	return 0;
}

static int parse_flag(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	*(bool *)target(row, options) = true;
	return 0;
}

static int parse_bytes(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	if (parse_size(text, target(row, options)) < 0)
		return err_set(err, EINVAL, "%s %s: not a size like 256M or 2G", row->name, text);
	return 0;
}

static int parse_count(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	uint64_t *value = target(row, options);
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || *value > 1000000000)
		return err_set(err, EINVAL, "%s %s: not a whole number", row->name, text);
	return 0;
}

static int parse_limit(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	struct options scratch;
	struct option_row number = *row;
	int r;

	number.offset = offsetof(struct options, partitions);
	r = parse_count(&number, text, &scratch, err);
	if (r == 0)
		*(unsigned int *)target(row, options) = (unsigned int)scratch.partitions;
	return r;
}

static int parse_seconds(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	uint64_t *value = target(row, options);
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || !isfinite(seconds) || seconds < 0 || seconds > 1e7)
		return err_set(err, EINVAL, "%s %s: not a number of seconds", row->name, text);
	*value = (uint64_t)(seconds * 1000);
	return 0;
}

static int parse_listen(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	unsigned long port;
	char *end;

	if (!colon || !len || len >= sizeof(options->address))
		return err_set(err, EINVAL, "--listen %s: must be ADDRESS:PORT, for instance 127.0.0.1:3233", text);
	port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port > 65535)
		return err_set(err, EINVAL, "--listen %s: the port must be 0 to 65535", text);
	memcpy(options->address, text, len);
	options->address[len] = '\0';
	options->port = (uint16_t)port;
	return 0;
}

static int parse_backend(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	if (!strcmp(text, "squeezy"))
		options->backend = VM_SQUEEZY;
	else if (!strcmp(text, "virtio-mem"))
		options->backend = VM_VIRTIO_MEM;
	else
		return err_set(err, EINVAL, "--backend %s: must be squeezy or virtio-mem", text);
	return 0;
}

static int parse_accel(const struct option_row *row, const char *text, struct options *options, struct err *err)
{
	static const char *const names[] = { [VM_ACCEL_AUTO] = "auto", [VM_ACCEL_KVM] = "kvm", [VM_ACCEL_TCG] = "tcg" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text))
			continue;
		options->accel = (enum vm_accel)i;
		return 0;
	}
	return err_set(err, EINVAL, "--accel %s: must be auto, kvm or tcg", text);
}

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
	{ "--state", "DIR", parse_string, AT(state), "where actions, records, the API key and VM logs live [/var/lib/squeezy]" },
	{ "--listen", "ADDR:PORT", parse_listen, 0, "where the REST API listens [127.0.0.1:3233]" },
	{ "--socket", "PATH", parse_string, AT(socket), "a unix socket where it listens, too [none]" },
	{ "--api-host", "URL", parse_string, AT(api_host), "told to functions as __OW_API_HOST; VMs must reach it [not told]" },
	{ "--calls-per-minute", "N", parse_limit, AT(throttle.calls_per_minute), "calls that a namespace may make in a minute [600000]" },
	{ "--calls-at-once", "N", parse_limit, AT(throttle.concurrent), "calls of a namespace in flight [1024]" },
	{ "--fires-per-minute", "N", parse_limit, AT(throttle.fires_per_minute), "triggers that a namespace may fire in a minute [60000]" },
	{ "--backend", "NAME", parse_backend, 0, "squeezy (partitions), or virtio-mem (the stock driver, to compare) [squeezy]" },
	{ "--partitions", "N", parse_count, AT(partitions), "instances per VM [8]" },
	{ "--partition-size", "SIZE", parse_bytes, AT(partition_bytes), "least memory of an instance; larger limits get VMs of their own [256M]" },
	{ "--shared-size", "SIZE", parse_bytes, AT(shared_bytes), "memory for file pages of all instances of a VM [512M]" },
	{ "--base-memory", "SIZE", parse_bytes, AT(base_bytes), "boot memory of a VM [by formula from the partitions]" },
	{ "--vcpus", "N", parse_count, AT(vcpus), "virtual CPUs of a VM [2]" },
	{ "--kernel", "FILE", parse_string, AT(kernel), "guest kernel [build/kernel/bzImage]" },
	{ "--image", "FILE", parse_string, AT(image), "guest root image [build/image/root.erofs]" },
	{ "--append", "TEXT", parse_string, AT(append), "added to the guest's kernel command line" },
	{ "--qemu", "FILE", parse_string, AT(qemu), "QEMU program [qemu-system-x86_64]" },
	{ "--qemu-user", "NAME", parse_string, AT(qemu_user), "user QEMU runs as when we are root [squeezy, or else nobody]" },
	{ "--accel", "NAME", parse_accel, 0, "auto, kvm or tcg [auto]" },
	{ "--budget", "SIZE", parse_bytes, AT(budget_bytes), "host memory for all VMs together [three quarters of this machine's]" },
	{ "--keep-alive", "SEC", parse_seconds, AT(keep_alive_ms), "an idle instance is kept this long [600]" },
	{ "--keep-records", "N", parse_count, AT(keep_records), "the newest activation records that are kept [100000]" },
	{ "--keep-days", "N", parse_count, AT(keep_days), "and none older [30]" },
	{ "--keep-size", "SIZE", parse_bytes, AT(keep_bytes), "the oldest records go while the database holds more [4G]" },
	{ "--restore", "FILE", parse_string, AT(restore), "put a backup (`squeezy backup`) in the place of the database, and end" },
	{ "--sample-ms", "MS", parse_count, AT(sample_ms), "take a memory sample of each VM this often, 0 for never [0]" },
	{ "--boot-timeout", "SEC", parse_seconds, AT(boot_ms), "a VM's agent must answer within this time [60]" },
	{ "--prestart", NULL, parse_flag, AT(prestart), "start the first VM at once, not with the first call" },
	{ "--verbose", NULL, parse_flag, AT(verbose), "debug lines" },
	{ "--version", NULL, parse_flag, AT(version), "print the version and end" },
	{ "--help", NULL, parse_flag, AT(help), "print this and end" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void set_defaults(struct options *options)
{
	*options = (struct options){
		.state = "/var/lib/squeezy", .kernel = "build/kernel/bzImage", .image = "build/image/root.erofs", .address = "127.0.0.1",
		.port = 3233, .partitions = 8, .partition_bytes = 256ull << 20, .shared_bytes = 512ull << 20, .vcpus = 2,
		.keep_alive_ms = 600000, .boot_ms = 60000,
		.keep_records = 100000, .keep_days = 30, .keep_bytes = 4ull << 30,
		.throttle = { .calls_per_minute = 600000, .fires_per_minute = 60000, .concurrent = 1024 },
	};
	options->budget_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4 * 3;
}

static const struct option_row *find_row(const char *word, size_t len)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, word, len))
			return &rows[i];
	return NULL;
}

/* One option at argv[*i], with its value behind "=" or in the next word. */
static int parse_one(int argc, char **argv, int *i, struct options *options, struct err *err)
{
	const char *word = argv[*i], *equals = strchr(word, '=');
	const struct option_row *row = find_row(word, equals ? (size_t)(equals - word) : strlen(word));
	const char *value = equals ? equals + 1 : NULL;

	if (!row)
		return err_set(err, EINVAL, "unknown option '%s'; --help lists them", word);
	if (!row->value && value)
		return err_set(err, EINVAL, "%s takes no value", row->name);
	if (row->value && !value) {
		if (*i + 1 >= argc)
			return err_set(err, EINVAL, "%s needs a value: %s", row->name, row->value);
		value = argv[++*i];
	}
	return row->parse(row, value, options, err);
}

int options_parse(int argc, char **argv, struct options *options, struct err *err)
{
	set_defaults(options);
	for (int i = 1; i < argc; i++) {
		int r = parse_one(argc, argv, &i, options, err);

		if (r < 0)
			return r;
	}
	if (options->partitions < 1 || options->partitions > 126)
		return err_set(err, EINVAL, "--partitions %llu: a VM can have 1 to 126", (unsigned long long)options->partitions);
	if (!options->partition_bytes || options->partition_bytes % (128ull << 20))
		return err_set(err, EINVAL, "--partition-size must be a multiple of 128M (the guest's memory block)");
	if (options->vcpus < 1 || options->vcpus > 64)
		return err_set(err, EINVAL, "--vcpus %llu: must be 1 to 64", (unsigned long long)options->vcpus);
	if (options->boot_ms < 100)
		return err_set(err, EINVAL, "--boot-timeout: must be at least 0.1");
	return 0;
}

void options_help(FILE *out)
{
	fprintf(out, "usage: squeezyd [option...]\n\nRuns functions in partitioned VMs behind the OpenWhisk REST API.\n\n");
	for (size_t i = 0; i < N_ROWS; i++)
		fprintf(out, "  %-16s %-10s %s\n", rows[i].name, rows[i].value ? rows[i].value : "", rows[i].help);
}
