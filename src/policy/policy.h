/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions about calls, instances and memory. Pure: numbers in, a decision out; no clock, no system call, no allocation.
 *
 * A VM serves one class: calls of one namespace with one partition size. An instance runs one revision of one action, a call or, where the
 * action allows it, several at a time, and holds one partition of its VM from the moment it is asked for until its partition is given back.
 */
#ifndef SQUEEZY_POLICY_POLICY_H
#define SQUEEZY_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_instance_state {
	POLICY_BUSY,		/* being made, or running what it can: never touched */
	POLICY_SPARE,		/* the same, but takes another call beside */
	POLICY_IDLE,		/* ready for a call, may be evicted */
	POLICY_LEAVING,		/* being deleted: its partition is not free yet */
};

struct policy_instance {
	uint64_t action;	/* revision of an action; equal means reusable */
	uint64_t idle_since_ns;	/* POLICY_IDLE only */
	unsigned int vm;	/* index into vms */
	enum policy_instance_state state;
};

struct policy_vm {
	uint64_t class;
	uint64_t fixed_bytes;	/* boot memory and shared partition */
	uint64_t partition_bytes;
	unsigned int partitions;	/* N */
	unsigned int populated;	/* as asked for or as seen, whichever is more: what the host has promised */
	bool ready;		/* takes calls */
};

struct policy_view {
	const struct policy_instance *instances;
	size_t n_instances;
	const struct policy_vm *vms;
	size_t n_vms;
	uint64_t budget_bytes;
};

struct policy_call {
	uint64_t action;
	uint64_t class;
	uint64_t vm_fixed_bytes;	/* of a VM that would have to be started for the class */
	uint64_t partition_bytes;
};

enum policy_verb {
	POLICY_REUSE,		/* run it in instances[index] */
	POLICY_CREATE,		/* make an instance in vms[index] */
	POLICY_START_VM,	/* there is no VM of this class, and the budget allows one with one partition */
	POLICY_SWAP,		/* delete the idle instances[index] of the same VM; a new one takes its partition */
	POLICY_EVICT,		/* delete the idle instances[index] of another VM; decide again once its memory is back */
	POLICY_QUEUE,		/* wait: decide again when something changes */
	POLICY_REFUSE,		/* can never run: the class does not fit the budget */
};

struct policy_decision {
	enum policy_verb verb;
	size_t index;
};

/* What to do with the call at the head of its queue. */
struct policy_decision policy_place(const struct policy_view *view, const struct policy_call *call);

/* Bytes the host has promised: fixed memory of every VM and its populated partitions. */
uint64_t policy_promised_bytes(const struct policy_view *view);

/* The idle instance that has been idle the longest, among those of vm (or of every VM when vm is n_vms); n_instances if none. */
size_t policy_oldest_idle(const struct policy_view *view, size_t vm);

/* True when an idle instance's keep-alive is over. keep_alive_ns 0: at once. */
bool policy_expired(const struct policy_instance *instance, uint64_t keep_alive_ns, uint64_t now_ns);

/* Partition size for a memory limit: at least least_bytes, rounded up to whole 128 MiB memory blocks. 0 for a limit of 0. */
uint64_t policy_partition_bytes(uint64_t limit_bytes, uint64_t least_bytes);

#endif
