/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One boot of a guest kernel with the test program of tests/kernel/guest as init, for `squeezy bench kernel`.
 *
 * The program writes to the console, a line each: "@host request BYTES" sets the requested size of the first virtio-mem device and is
 * answered with "done"; "@bench {JSON}" is a result; "ok", "not ok" and "1..N" are TAP.
 */
#ifndef SQUEEZY_CLI_BENCH_KERNEL_VM_H
#define SQUEEZY_CLI_BENCH_KERNEL_VM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct event_base;

struct kernel_vm {
	const char *kernel;		/* bzImage */
	const char *initramfs;
	const char *append;		/* added to the kernel command line */
	const char *log;		/* the console and QEMU's own words go to this file */
	bool counted;			/* -icount: a nanosecond of virtual time is a guest instruction; one thread runs all vCPUs */
	bool kvm;			/* ignored if counted */
	unsigned int vcpus;
	uint64_t base_bytes;		/* boot memory */
	uint64_t region_bytes;		/* of the device that holds partitions */
	uint64_t shared_bytes;		/* of a second device, plugged from the start; 0: none */
	unsigned int timeout_s;		/* of the host's clock, for the whole boot */
};

/*
 * Runs it until it powers off. Appends each result to the array. -EBADMSG: a test of the program failed, -EPROTO: the kernel warned or
 * the program did not come to its end, -ETIMEDOUT.
 */
int kernel_vm_run(const struct kernel_vm *vm, struct event_base *base, json_t *results, struct err *err);

/* An initramfs with a console and the program as /init. Written by us, so that nothing but the program is needed. */
int kernel_vm_initramfs(const char *program, const char *path, struct err *err);

#endif
