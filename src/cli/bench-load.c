// SPDX-License-Identifier: Apache-2.0
#include "bench-load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/sync.h"

#define CREATE_MS 60000		/* container calls; an emulated VM with eight busy instances needs seconds */
#define RESIZE_MS 60000
#define FILL_MS 120000
#define VERIFY_MS 300000
#define LOAD_PIDS_MAX 16
#define LOAD_PERCENT 96			/* the rest is for the runtime and for kernel memory, which count to the limit too */

uint64_t load_touch_bytes(uint64_t size_bytes)
{
	return size_bytes / 100 * LOAD_PERCENT / LOAD_STEP_BYTES * LOAD_STEP_BYTES;
}

json_t *load_run_body(json_t *value, unsigned int timeout_ms)
{
	return json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "value", value, "namespace", "bench", "action_name", "/bench/load",
			 "action_version", "0.0.1", "activation_id", "00000000000000000000000000000000", "timeout_ms", (int)timeout_ms,
			 "logs_max_bytes", 4096, "result_max_bytes", 4096);
}

static int run_op(struct load *load, const char *id, json_t *value, unsigned int timeout_ms, struct vm_result *ret, struct err *err)
{
	json_t *body = load_run_body(value, timeout_ms);
	int r;

	if (!body)
		return err_set(err, ENOMEM, "bench: out of memory");
	r = vm_container_run(load->vm, id, body, timeout_ms + 10000, vm_result_into(ret), err);
	if (!r)
		r = vm_wait(load->base, ret, err);
	json_decref(body);
	if (!r && json_object_get(json_object_get(ret->body, "result"), "error"))
		r = err_set(err, EBADMSG, "%s", json_string_value(json_object_get(json_object_get(ret->body, "result"), "error")));
	return r ? err_wrap(err, "instance %s", id) : 0;
}

/* Writes the instance's memory from its present end on, at most one step. */
static int grow_instance(struct load *load, struct load_instance *in, uint64_t goal_bytes, struct err *err)
{
	uint64_t step = goal_bytes - in->touched_bytes;
	struct vm_result result = { 0 };
	json_t *value;
	int r;

	if (step > LOAD_STEP_BYTES)
		step = LOAD_STEP_BYTES;
	value = json_pack("{s:s, s:I, s:b}", "op", "fill", "bytes", (json_int_t)step, "thp", load->guest_thp);
	r = run_op(load, in->id, value, FILL_MS, &result, err);
	vm_result_clear(&result);
	if (!r)
		in->touched_bytes += step;
	return r;
}

/* The bench runtime takes its first line for /init and ignores what is in it. */
static int init_instance(struct load *load, const char *id, const char *code, struct err *err)
{
	json_t *body = json_pack("{s:{s:s, s:s, s:s, s:b}, s:i}", "value", "name", "load", "main", "main", "code", code, "binary", 0,
				 "timeout_ms", CREATE_MS);
	struct vm_result result = { 0 };
	int r;

	if (!body)
		return err_set(err, ENOMEM, "bench: out of memory");
	r = vm_container_init(load->vm, id, body, CREATE_MS + 10000, vm_result_into(&result), err);
	if (!r)
		r = vm_wait(load->base, &result, err);
	vm_result_clear(&result);
	json_decref(body);
	return r;
}

static int make_container(struct load *load, const char *id, const char *kind, const char *code, struct err *err)
{
	struct vm_container spec = {
		.id = id,
		.kind = kind,
		.memory_bytes = load->size_bytes,
		.tmpfs_bytes = 1 << 20,
		.pids_max = LOAD_PIDS_MAX,
		.timeout_ms = CREATE_MS,
	};
	struct vm_result made = { 0 };
	int r;

	r = vm_container_create(load->vm, &spec, vm_result_into(&made), err);
	if (!r)
		r = vm_wait(load->base, &made, err);
	vm_result_clear(&made);
	if (!r)
		r = init_instance(load, id, code, err);
	return r ? err_wrap(err, "instance %s could not be made", id) : 0;
}

static int make_instance(struct load *load, unsigned int i, struct err *err)
{
	struct load_instance *in = &load->instances[i];

	snprintf(in->id, sizeof(in->id), "i%u-%u", i, in->round++);
	in->touched_bytes = 0;
	return make_container(load, in->id, "bench", "", err);
}

/*
 * Memory that no instance has is full of file pages in any VM that runs for a while: an instance that comes and goes reads the image's
 * files. Without it the stock driver would be given blocks that were never touched.
 */
static int fill_file_cache(struct load *load, struct err *err)
{
	static const char code[] =
		"import os\n"
		"def main(args):\n"
		"    total = 0\n"
		"    for folder, _, names in os.walk('/usr'):\n"
		"        for name in names:\n"
		"            path = os.path.join(folder, name)\n"
		"            if os.path.isfile(path) and not os.path.islink(path):\n"
		"                with open(path, 'rb', 0) as file:\n"
		"                    while piece := file.read(1 << 20):\n"
		"                        total += len(piece)\n"
		"    return {'bytes': total}\n";
	struct vm_result result = { 0 };
	int r = make_container(load, "reader", "python:3", code, err);

	if (!r)
		r = run_op(load, "reader", json_object(), FILL_MS, &result, err);
	vm_result_clear(&result);
	if (!r)
		r = vm_container_delete(load->vm, "reader", CREATE_MS, vm_result_into(&result), err);
	if (!r)
		r = vm_wait(load->base, &result, err);
	vm_result_clear(&result);
	return r;
}

static int set_units(struct load *load, unsigned int units, struct err *err)
{
	struct vm_resize_result resized = { 0 };
	int r = vm_set_requested(load->vm, units, RESIZE_MS, vm_resize_into(&resized), err);

	if (!r)
		r = vm_wait_resize(load->base, &resized, err);
	return r ? err_wrap(err, "the VM did not grow to %u partitions", units) : 0;
}

/* Instances [from, to) grow in turn until each has written its share. */
static int fill(struct load *load, unsigned int from, unsigned int to, struct err *err)
{
	uint64_t goal = load_touch_bytes(load->size_bytes);
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = from; i < to; i++) {
			int r = grow_instance(load, &load->instances[i], goal, err);

			if (r)
				return r;
			more = more || load->instances[i].touched_bytes < goal;
		}
	}
	return 0;
}

int load_start(struct load *load, struct event_base *base, const struct bench_options *o, enum vm_backend backend,
	       uint64_t size_bytes, const char *dir, struct err *err)
{
	const char *id = backend == VM_SQUEEZY ? "bench-squeezy" : "bench-virtio-mem";
	struct vm_config config = {
		.id = id,
		.dir = dir,
		.kernel = o->kernel,
		.image = o->image,
		.backend = backend,
		.accel = o->accel,
		.partitions = o->instances,
		.partition_bytes = size_bytes,
		.shared_bytes = LOAD_SHARED_BYTES,
	};
	int r;

	*load = (struct load){
		.base = base,
		.backend = backend,
		.size_bytes = size_bytes,
		.n = o->instances,
		.guest_thp = o->guest_thp,
		.host_4k = o->host_4k,
	};
	r = vm_boot(base, &config, &load->vm, err);
	if (!r)
		r = set_units(load, load->n, err);
	if (!r)
		r = fill_file_cache(load, err);
	for (unsigned int i = 0; !r && i < load->n; i++)
		r = make_instance(load, i, err);
	if (!r)
		r = fill(load, 0, load->n, err);
	if (r)
		load_stop(load);
	return r ? err_wrap(err, "%s (log: %s/serial.log)", id, dir) : 0;
}

int load_restore(struct load *load, unsigned int i, struct err *err)
{
	int r = set_units(load, load->n, err);

	if (!r)
		r = make_instance(load, i, err);
	return r ? r : fill(load, i, i + 1, err);
}

int load_verify(struct load *load, struct err *err)
{
	for (unsigned int i = 0; i < load->n; i++) {
		struct vm_result result = { 0 };
		int r = run_op(load, load->instances[i].id, json_pack("{s:s}", "op", "check"), VERIFY_MS, &result, err);
		const json_t *bad = json_object_get(json_object_get(result.body, "result"), "bad_bytes");

		if (!r && !(json_is_integer(bad) && json_integer_value(bad) == 0))
			r = err_set(err, EBADMSG, "instance %s: its memory does not hold what it wrote (%lld bytes)", load->instances[i].id,
				    (long long)json_integer_value(bad));
		vm_result_clear(&result);
		if (r)
			return r;
	}
	return 0;
}

void load_stop(struct load *load)
{
	if (!load->vm)
		return;
	vm_shutdown(load->base, load->vm, 10000);
	load->vm = NULL;
}
