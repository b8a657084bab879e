/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded VM: N instances of kind `bench`, each having written all but a rest of its limit. They grow in turn, LOAD_STEP_BYTES at a time, so
 * that without partitions the memory of all of them is interleaved in every memory block.
 */
#ifndef SQUEEZY_CLI_BENCH_LOAD_H
#define SQUEEZY_CLI_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/bench-options.h"
#include "vm/vm.h"

#define LOAD_STEP_BYTES (4ull << 20)
/* For file pages, in both backends. No more than the runtime needs: a VM with memory to spare is not loaded. */
#define LOAD_SHARED_BYTES (128ull << 20)

struct event_base;

struct load_instance {
	char id[16];
	uint64_t touched_bytes;		/* written since it was made */
	unsigned int round;		/* how many instances of this slot there were before; in the id */
};

struct load {
	struct event_base *base;
	struct vm *vm;
	enum vm_backend backend;
	uint64_t size_bytes;		/* limit of an instance = partition */
	unsigned int n;
	bool guest_thp;
	bool host_4k;
	struct load_instance instances[BENCH_MAX_INSTANCES];
};

/* Boots a VM and loads it. On failure nothing is left running. The load must not move in memory while it is in use. */
int load_start(struct load *load, struct event_base *base, const struct bench_options *o, enum vm_backend backend,
	       uint64_t size_bytes, const char *dir, struct err *err);

/* How much an instance of this size writes: at least 92 % of its limit (for 128 MiB and more). */
uint64_t load_touch_bytes(uint64_t size_bytes);

/* Grows the VM by the missing partition, makes instance i anew and fills it. */
int load_restore(struct load *load, unsigned int i, struct err *err);

/* Every instance reads all its memory back and compares. -EBADMSG when one finds a byte it did not write. */
int load_verify(struct load *load, struct err *err);

/* Body of a run of kind `bench` for the given operation (a new reference to "value" is taken over). NULL: out of memory. */
json_t *load_run_body(json_t *value, unsigned int timeout_ms);

/* Ends the VM. A load that was never started is fine. */
void load_stop(struct load *load);

#endif
