/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine's life: the QEMU process, its QMP session, the agent connection, and the memory device of the partitions.
 *
 * Everything is asynchronous on one struct event_base and runs in its thread. A call that was accepted (returned 0) completes exactly
 * once, through its callback, at the latest at its deadline; when QEMU dies every outstanding call completes with an error. No
 * callback runs before the function that was given it has returned. Times are nanoseconds of the host's CLOCK_MONOTONIC unless the
 * name says otherwise, sizes are bytes. Functions return 0 or -errno and fill err (which may be NULL) with a sentence.
 * The program must ignore SIGPIPE: QEMU may die at any moment.
 * The guest is hostile: every body is bounded (64 MiB for a run, 64 KiB otherwise) and every number is only a claim.
 */
#ifndef SQUEEZY_VM_VM_H
#define SQUEEZY_VM_VM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct event_base;
struct vm;

enum vm_backend {
	VM_SQUEEZY,		/* kernel with squeezy=NxS: partitions, containers claim */
	VM_VIRTIO_MEM,		/* the baseline: same kernel, stock virtio-mem driver, ZONE_MOVABLE, no claim */
};

enum vm_accel {
	VM_ACCEL_AUTO,		/* kvm when /dev/kvm opens and the CPU has vmx or svm, else tcg */
	VM_ACCEL_KVM,
	VM_ACCEL_TCG,
};

enum vm_state {
	VM_NEW,			/* made; no process, no files */
	VM_SPAWNED,		/* QEMU runs; the QMP greeting and capabilities are under way */
	VM_BOOTING,		/* QMP is open; waiting for the agent's answer to hello */
	VM_READY,		/* the agent speaks our protocol; container calls are accepted */
	VM_STOPPING,		/* orderly end asked for; new calls are refused; SIGKILL follows at the deadline */
	VM_KILLED,		/* SIGKILL sent, or QEMU's sockets broke; waiting for the process to be reaped */
	VM_DEAD,		/* QEMU is reaped, every call is completed, its files but the serial log are gone */
	VM_STATE_MAX,
};

/* All strings are copied. Zero or NULL means the default in brackets. */
struct vm_config {
	const char *id;			/* [a-z0-9-]{1,32}; names the cgroup and the process */
	const char *dir;		/* directory of this VM, made if missing: serial.log, qemu.pid */
	const char *qemu;		/* program [qemu-system-x86_64] */
	const char *kernel;		/* bzImage; needed */
	const char *image;		/* root.erofs; needed */
	const char *append;		/* added to the kernel command line [nothing] */
	const char *user;		/* QEMU runs as this user when we are root ["squeezy" or else "nobody"]; "root" keeps root */
	enum vm_backend backend;
	enum vm_accel accel;
	unsigned int partitions;	/* N, 1..126; needed */
	unsigned int vcpus;		/* [2] */
	unsigned int boot_timeout_ms;	/* from spawn to hello [60,000] */
	uint64_t partition_bytes;	/* S, multiple of 128 MiB; needed */
	uint64_t shared_bytes;		/* multiple of 128 MiB; must differ from N x S [512 MiB] */
	uint64_t base_bytes;		/* boot memory [vm_base_bytes()] */
};

struct vm_callbacks {
	/*
	 * Each change of state that the loop brings (not those the caller makes by vm_start, vm_stop, vm_kill); why is NULL, or what
	 * went wrong (borrowed). After VM_DEAD nothing more is called, and vm_free() is allowed, even from inside this callback.
	 */
	void (*state)(void *arg, struct vm *vm, enum vm_state state, const struct err *why);
};

/* The agent's answer, or why there is none. Borrowed: valid during the callback only (json_incref() what you keep). */
struct vm_reply {
	int status;			/* HTTP status of the agent; 0: no answer, see err */
	json_t *body;			/* JSON object of the answer (2xx or error object); NULL when status is 0 */
	struct err err;			/* status 0: ETIMEDOUT, EPIPE (the VM died), EPROTO (broken agent), ECANCELED (stopping) */
	uint64_t sent_ns;		/* when the request was handed to the connection */
	uint64_t answered_ns;		/* when the answer was complete */
};

struct vm_done {
	void (*fn)(void *arg, const struct vm_reply *reply);
	void *arg;
};

struct vm_resize {
	struct err err;			/* code 0: size reached. ETIMEDOUT, EPIPE (VM died), ESTALE (a later resize went the other way) */
	unsigned int units;		/* what was asked for */
	uint64_t requested_bytes;	/* as set on the device */
	uint64_t size_bytes;		/* the device's size when last seen */
	uint64_t asked_ns;		/* when requested-size was sent */
	uint64_t reached_ns;		/* when size was first seen at (grow: or above, shrink: or below) requested_bytes; 0 if never */
	unsigned int polls;
};

struct vm_resize_done {
	void (*fn)(void *arg, const struct vm_resize *resize);
	void *arg;
};

struct vm_container {
	const char *id;			/* [a-z0-9-]{1,32} */
	const char *kind;		/* "python:3", "bench" */
	uint64_t memory_bytes, tmpfs_bytes;
	unsigned int pids_max;
	unsigned int concurrency;	/* runs at a time; 0: 1. More is for "nodejs:20" */
	unsigned int timeout_ms;	/* for the claim; the host waits 30 s longer for the runtime to be ready */
};

struct vm_resident {
	uint64_t size_bytes;		/* of the mapping: the memory of the partitions' device */
	uint64_t rss_bytes;		/* resident on the host */
	uint64_t thp_bytes;		/* of which in huge pages */
};

/* Checks the configuration and the files it names. On success *ret is in VM_NEW. cb is copied, arg is handed to it. */
int vm_new(struct event_base *base, const struct vm_config *config, const struct vm_callbacks *cb, void *arg, struct vm **ret,
	   struct err *err);

/* Ends what is left at once (SIGKILL and reap) and frees; calls under way complete with EPIPE from inside. NULL is fine. Of this VM's
 * callbacks, only VM_DEAD may call it. */
void vm_free(struct vm *vm);

/* SIGKILL, reaped and torn down on return: calls under way complete with EPIPE from inside; no state callback. Idempotent. */
void vm_end(struct vm *vm);

/* Starts QEMU. Progress and failure come through the state callback. */
int vm_start(struct vm *vm, struct err *err);

/* Asks for an orderly end (agent's poweroff, then QMP quit); SIGKILL after timeout_ms. Idempotent; fine in any state. */
void vm_stop(struct vm *vm, unsigned int timeout_ms);

/* SIGKILL now; the state callback tells VM_DEAD when it is reaped. why (may be NULL) goes to the outstanding calls. */
void vm_kill(struct vm *vm, const struct err *why);

/*
 * Requests to the agent (proto/SPEC.md). -ENOTCONN unless VM_READY. Bodies are borrowed; a timeout_ms field must already be in them
 * where the protocol wants one. timeout_ms here is the host's own deadline for the whole call.
 */
int vm_container_create(struct vm *vm, const struct vm_container *container, struct vm_done done, struct err *err);
int vm_container_init(struct vm *vm, const char *id, json_t *body, unsigned int timeout_ms, struct vm_done done, struct err *err);
int vm_container_run(struct vm *vm, const char *id, json_t *body, unsigned int timeout_ms, struct vm_done done, struct err *err);
int vm_container_delete(struct vm *vm, const char *id, unsigned int timeout_ms, struct vm_done done, struct err *err);
int vm_memory(struct vm *vm, unsigned int timeout_ms, struct vm_done done, struct err *err);
int vm_inspect(struct vm *vm, unsigned int partition, unsigned int timeout_ms, struct vm_done done, struct err *err);
int vm_events(struct vm *vm, uint64_t after, unsigned int wait_ms, struct vm_done done, struct err *err);

/*
 * Sets the memory device to units (0..N) partitions' worth and polls until the device has that size, at most timeout_ms. Several may
 * be under way; one that goes the other way completes the older ones with ESTALE. In the baseline a unit is partition_bytes too, on
 * top of shared_bytes that stay plugged (so both backends own the same memory).
 */
int vm_set_requested(struct vm *vm, unsigned int units, unsigned int timeout_ms, struct vm_resize_done done, struct err *err);

/* What the host holds of the partitions' memory, from /proc/PID/smaps. Synchronous, some milliseconds. -ESRCH when QEMU is gone. */
int vm_resident(const struct vm *vm, struct vm_resident *ret, struct err *err);

/* Looking. hello is the agent's answer to hello (borrowed, NULL before VM_READY). */
enum vm_state vm_state(const struct vm *vm);
const char *vm_state_name(enum vm_state state);
const char *vm_id(const struct vm *vm);
pid_t vm_pid(const struct vm *vm);
const struct err *vm_why(const struct vm *vm);		/* the first thing that went wrong; code 0: nothing */
bool vm_is_kvm(const struct vm *vm);
bool vm_in_cgroup(const struct vm *vm);			/* QEMU has a memory cgroup of its own; known once it is started */
json_t *vm_hello(const struct vm *vm);
const struct vm_config *vm_get_config(const struct vm *vm);
unsigned int vm_requested_units(const struct vm *vm);
uint64_t vm_size_bytes(const struct vm *vm);		/* device size when last seen */
uint64_t vm_device_bytes(const struct vm *vm);		/* size of the device's region = of the mapping vm_resident() finds */
uint64_t vm_spawned_ns(const struct vm *vm);
uint64_t vm_ready_ns(const struct vm *vm);		/* 0 before VM_READY */

/* Which accelerator VMs get. ENODEV-like errors when KVM is asked for and cannot be used. */
int vm_choose_accel(enum vm_accel wanted, bool *ret_kvm, struct err *err);

#endif
