// SPDX-License-Identifier: Apache-2.0
/* A VM's configuration: defaults, checks with sentences, and the choice of accelerator. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vm/normal-memory.h"
#include "vm/vm-internal.h"

#define MIB (1ull << 20)

static const char *default_user(void)
{
	if (geteuid() != 0)
		return NULL;
	return getpwnam("squeezy") ? "squeezy" : "nobody";
}

static bool copy_string(const char *from, const char *fallback, const char **to)
{
	if (!from)
		from = fallback;
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

static int copy_strings(const struct vm_config *from, struct vm_config *to, struct err *err)
{
	if (copy_string(from->id, NULL, &to->id) && copy_string(from->dir, NULL, &to->dir) &&
	    copy_string(from->qemu, "qemu-system-x86_64", &to->qemu) && copy_string(from->kernel, NULL, &to->kernel) &&
	    copy_string(from->image, NULL, &to->image) && copy_string(from->append, "", &to->append) &&
	    copy_string(from->user, default_user(), &to->user))
		return 0;
	return err_set(err, ENOMEM, "out of memory");
}

void vm_config_clear(struct vm_config *config)
{
	const char *strings[] = { config->id, config->dir, config->qemu, config->kernel, config->image, config->append, config->user };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free((char *)strings[i]);
	*config = (struct vm_config){ 0 };
}

static void fill_defaults(struct vm_config *config)
{
	if (!config->vcpus)
		config->vcpus = 2;
	if (!config->boot_timeout_ms)
		config->boot_timeout_ms = 60000;
	if (!config->shared_bytes)
		config->shared_bytes = 512 * MIB;
	if (!config->base_bytes)
		config->base_bytes = vm_base_bytes(config->partitions, config->partition_bytes, config->shared_bytes);
}

static bool good_id(const char *id)
{
	size_t len = id ? strlen(id) : 0;

	return len >= 1 && len <= 32 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static int check_sizes(const struct vm_config *config, struct err *err)
{
	uint64_t region = config->partitions * config->partition_bytes;

	if (config->partitions < 1 || config->partitions > 126)
		return err_set(err, EINVAL, "VM %s: %u partitions; the guest kernel can have 1 to 126", config->id, config->partitions);
	if (!config->partition_bytes || config->partition_bytes % VM_BLOCK_BYTES || config->partition_bytes > 64ull << 30)
		return err_set(err, EINVAL, "VM %s: a partition of %llu bytes is not a multiple of 128 MiB up to 64 GiB", config->id,
			       (unsigned long long)config->partition_bytes);
	if (config->shared_bytes % VM_BLOCK_BYTES)
		return err_set(err, EINVAL, "VM %s: shared size %llu is not a multiple of 128 MiB", config->id,
			       (unsigned long long)config->shared_bytes);
	if (config->shared_bytes == region || config->base_bytes == region || config->base_bytes == region + config->shared_bytes)
		return err_set(err, EINVAL, "VM %s: the partitions together, the shared partition and the boot memory must differ in "
			       "size (the guest and we tell them apart by it); change one by 128 MiB", config->id);
	if (config->base_bytes < 128 * MIB || config->vcpus > 64)
		return err_set(err, EINVAL, "VM %s: needs at least 128 MiB of boot memory and at most 64 vCPUs", config->id);
	return 0;
}

int vm_config_copy(const struct vm_config *from, struct vm_config *to, struct err *err)
{
	int r;

	if (!good_id(from->id) || !from->dir || !from->kernel || !from->image)
		return err_set(err, EINVAL, "a VM needs an id of [a-z0-9-]{1,32}, a directory, a kernel and an image");
	*to = *from;
	to->id = to->dir = to->qemu = to->kernel = to->image = to->append = to->user = NULL;
	r = copy_strings(from, to, err);
	if (r < 0) {
		vm_config_clear(to);
		return r;
	}
	fill_defaults(to);
	r = check_sizes(to, err);
	if (r < 0)
		vm_config_clear(to);
	return r;
}

bool vm_cpu_has_virt(const char *cpuinfo_path)
{
	FILE *file = fopen(cpuinfo_path, "re");
	char line[8192];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		char *save, *word;

		if (strncmp(line, "flags", 5))
			continue;
		for (word = strtok_r(line, " \t\n", &save); word && !found; word = strtok_r(NULL, " \t\n", &save))
			found = !strcmp(word, "vmx") || !strcmp(word, "svm");
	}
	fclose(file);
	return found;
}

int vm_choose_accel(enum vm_accel wanted, bool *ret_kvm, struct err *err)
{
	cleanup_fd int kvm = -1;
	bool usable;

	if (wanted == VM_ACCEL_TCG) {
		*ret_kvm = false;
		return 0;
	}
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	usable = kvm >= 0 && vm_cpu_has_virt("/proc/cpuinfo");
	if (!usable && wanted == VM_ACCEL_KVM)
		return err_set(err, ENODEV, "KVM was asked for, but %s; use the default to run emulated",
			       kvm < 0 ? "/dev/kvm does not open for reading and writing" : "this CPU shows neither vmx nor svm");
	*ret_kvm = usable;
	return 0;
}
