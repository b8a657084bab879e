// SPDX-License-Identifier: Apache-2.0
/*
 * QEMU's command line. Everything QEMU needs comes as an open descriptor (enum spawn_fd), so it can run as a user that may read
 * nothing of ours, and no socket file exists that another local user could open.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "vm/vm-internal.h"

static void add(struct argv *argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct argv *argv, const char *fmt, ...)
{
	char **items = realloc(argv->items, (argv->count + 2) * sizeof(*items));
	va_list ap;

	if (!items) {
		argv->failed = true;
		return;
	}
	argv->items = items;
	items[argv->count] = items[argv->count + 1] = NULL;
	va_start(ap, fmt);
	if (vasprintf(&items[argv->count], fmt, ap) < 0) {
		items[argv->count] = NULL;
		argv->failed = true;
	} else {
		argv->count++;
	}
	va_end(ap);
}

void argv_clear(struct argv *argv)
{
	for (size_t i = 0; i < argv->count; i++)
		free(argv->items[i]);
	free(argv->items);
	*argv = (struct argv){ 0 };
}

static void add_option(struct argv *argv, const char *option, const char *value)
{
	add(argv, "%s", option);
	add(argv, "%s", value);
}

static void add_machine(const struct vm *vm, struct argv *argv)
{
	static const char *const fixed[][2] = {
		{ "-nodefaults", NULL }, { "-no-user-config", NULL }, { "-no-reboot", NULL }, { "-display", "none" },
		{ "-machine", "q35,mem-merge=off,dump-guest-core=off" },
		{ "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" },
	};

	add(argv, "%s", vm->config.qemu);
	add(argv, "-name");
	add(argv, "squeezy-%s", vm->config.id);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		add(argv, "%s", fixed[i][0]);
		if (fixed[i][1])
			add(argv, "%s", fixed[i][1]);
	}
	add_option(argv, "-accel", vm->kvm ? "kvm" : "tcg,thread=multi,tb-size=64");
	add_option(argv, "-cpu", vm->kvm ? "host" : "max");
	add(argv, "-smp");
	add(argv, "%u", vm->config.vcpus);
}

/* Size of the partitions' device: in the baseline it holds the shared memory too, which stays plugged. */
uint64_t vm_device_bytes(const struct vm *vm)
{
	uint64_t bytes = vm->config.partitions * vm->config.partition_bytes;

	return vm->config.backend == VM_SQUEEZY ? bytes : bytes + vm->config.shared_bytes;
}

static void add_memdev(struct argv *argv, const char *id, uint64_t bytes, uint64_t requested)
{
	add(argv, "-object");
	add(argv, "memory-backend-ram,id=mem-%s,size=%llu,merge=off,dump=off,reserve=off", id, (unsigned long long)bytes);
	add(argv, "-device");
	add(argv, "virtio-mem-pci,id=%s,memdev=mem-%s,block-size=2M,requested-size=%llu", id, id, (unsigned long long)requested);
}

static void add_memory(const struct vm *vm, struct argv *argv)
{
	const struct vm_config *config = &vm->config;
	uint64_t shared = config->backend == VM_SQUEEZY ? config->shared_bytes : 0;
	uint64_t most = config->base_bytes + vm_device_bytes(vm) + shared;

	add(argv, "-m");
	add(argv, "size=%lluK,maxmem=%lluK", (unsigned long long)config->base_bytes >> 10, (unsigned long long)most >> 10);
	add_memdev(argv, VM_MEMDEV, vm_device_bytes(vm), config->backend == VM_SQUEEZY ? 0 : config->shared_bytes);
	if (shared)
		add_memdev(argv, "vm1", shared, shared);
}

static void add_kernel(const struct vm *vm, struct argv *argv)
{
	const struct vm_config *config = &vm->config;
	char squeezy[64] = "";

	if (config->backend == VM_SQUEEZY)
		snprintf(squeezy, sizeof(squeezy), " squeezy=%ux%lluM", config->partitions,
			 (unsigned long long)config->partition_bytes >> 20);
	add(argv, "-kernel");
	add(argv, "/proc/self/fd/%d", SPAWN_FD_KERNEL);
	add(argv, "-append");
	add(argv, "console=ttyS0 quiet root=/dev/vda rootfstype=erofs ro init=/usr/lib/squeezy/agent panic=-1 "
	    "memhp_default_state=online_movable rcupdate.rcu_expedited=1%s%s%s", squeezy, config->append[0] ? " " : "",
	    config->append);
	add(argv, "-add-fd");
	add(argv, "fd=%d,set=1", SPAWN_FD_IMAGE);
	add_option(argv, "-blockdev", "driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=/dev/fdset/1,file.locking=off");
	add_option(argv, "-device", "virtio-blk-pci,drive=root");
}

static void add_channels(struct argv *argv)
{
	add(argv, "-add-fd");
	add(argv, "fd=%d,set=2", SPAWN_FD_SERIAL);
	add_option(argv, "-chardev", "file,id=serial,path=/dev/fdset/2,append=on");
	add_option(argv, "-serial", "chardev:serial");
	add(argv, "-chardev");
	add(argv, "socket,id=qmp,fd=%d", SPAWN_FD_QMP);
	add_option(argv, "-mon", "chardev=qmp,mode=control");
	add(argv, "-chardev");
	add(argv, "socket,id=agent,fd=%d", SPAWN_FD_AGENT);
	add_option(argv, "-device", "virtio-serial-pci");
	add_option(argv, "-device", "virtserialport,chardev=agent,name=org.squeezy.agent.0");
	add_option(argv, "-netdev", "user,id=net0");
	add_option(argv, "-device", "virtio-net-pci,netdev=net0,romfile=");
	add_option(argv, "-device", "virtio-rng-pci");
}

int vm_argv(const struct vm *vm, struct argv *argv, struct err *err)
{
	*argv = (struct argv){ 0 };
	add_machine(vm, argv);
	add_memory(vm, argv);
	add_kernel(vm, argv);
	add_channels(argv);
	if (!argv->failed)
		return 0;
	argv_clear(argv);
	return err_set(err, ENOMEM, "out of memory");
}
