/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for VM calls from straight-line code (tests, `squeezy bench`): start one or several calls, each into a result of its own,
 * then run the loop until they are done.
 *
 *	struct vm_result made = {0};
 *	r = vm_container_create(vm, &spec, vm_result_into(&made), &err);
 *	if (!r)
 *		r = vm_wait(base, &made, &err);		// 0: made.status is a 2xx
 *	vm_result_clear(&made);
 *
 * Never use this from inside a callback of the same loop.
 */
#ifndef SQUEEZY_VM_SYNC_H
#define SQUEEZY_VM_SYNC_H

#include "vm/vm.h"

struct vm_result {
	bool done;
	int status;			/* as in struct vm_reply */
	json_t *body;			/* owned by the result */
	struct err err;
	uint64_t sent_ns, answered_ns;
};

struct vm_resize_result {
	bool done;
	struct vm_resize resize;
};

struct vm_done vm_result_into(struct vm_result *result);
struct vm_resize_done vm_resize_into(struct vm_resize_result *result);

/* Runs the loop until the result is there. 0 for a 2xx, else -errno with the agent's or the host's sentence. Calls have deadlines. */
int vm_wait(struct event_base *base, struct vm_result *result, struct err *err);
int vm_wait_resize(struct event_base *base, struct vm_resize_result *result, struct err *err);

/* Frees the body and makes the result ready for another call. */
void vm_result_clear(struct vm_result *result);

/* A VM with its own state tracking, for straight-line use: makes, starts, waits for VM_READY (boot deadline of the config). */
int vm_boot(struct event_base *base, const struct vm_config *config, struct vm **ret, struct err *err);

/* vm_stop(), waits for VM_DEAD, frees. NULL is fine. */
void vm_shutdown(struct event_base *base, struct vm *vm, unsigned int timeout_ms);

/* Runs the loop for this long (calls under way go on). */
void vm_sleep(struct event_base *base, unsigned int ms);

#endif
