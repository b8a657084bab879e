// SPDX-License-Identifier: Apache-2.0
/* The life of a VM, and the contract of vm.h, against the stand-in for QEMU (FAKE_QEMU names it). */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/sync.h"

#define MIB (1ull << 20)
#define TOUCHED (4 * MIB)	/* what the stand-in touches of a populated partition */

struct world {
	struct event_base *base;
	struct vm *vm;
	char dir[64], product[100];
};

static struct vm_config config_of(const struct world *w, const char *append)
{
	return (struct vm_config){
		.id = "unit", .dir = w->dir, .qemu = getenv("FAKE_QEMU"), .kernel = w->product, .image = w->product, .append = append,
		.partitions = 4, .partition_bytes = 256 * MIB, .boot_timeout_ms = 10000,
	};
}

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	FILE *file;

	snprintf(w->dir, sizeof(w->dir), "/tmp/squeezy-vm-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->product, sizeof(w->product), "%s/product", w->dir);
	file = fopen(w->product, "w");
	fclose(file);
	chmod(w->product, 0644);
	w->base = event_base_new();
	*state = w;
	return 0;
}

static int boot_world(void **state)
{
	struct vm_config config;
	struct world *w;
	struct err err;

	make_world(state);
	w = *state;
	config = config_of(w, NULL);
	if (vm_boot(w->base, &config, &w->vm, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

static int end_world(void **state)
{
	static const char *const names[] = { "product", "serial.log", "qemu.log" };
	struct world *w = *state;
	char path[200];
	int r;

	vm_shutdown(w->base, w->vm, 4000);
	event_base_free(w->base);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		unlink(path);
	}
	r = rmdir(w->dir);	/* fails when anything else was left */
	free(w);
	return r;
}

static void resize(struct world *w, unsigned int units)
{
	struct vm_resize_result result;
	struct err err;

	if (vm_set_requested(w->vm, units, 5000, vm_resize_into(&result), &err) < 0 || vm_wait_resize(w->base, &result, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(result.resize.size_bytes, units * 256 * MIB);
	assert_true(result.resize.reached_ns >= result.resize.asked_ns);
}

/* A size that QEMU refuses is told, and the VM goes on. */
static void test_refused_size(void **state)
{
	struct world *w = *state;
	struct vm_config config = config_of(w, "fake=refuse-size");
	struct vm_resize_result result;
	struct vm_result memory;
	struct err err;

	if (vm_boot(w->base, &config, &w->vm, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(vm_set_requested(w->vm, 1, 5000, vm_resize_into(&result), &err), 0);
	assert_true(vm_wait_resize(w->base, &result, &err) < 0);
	assert_non_null(strstr(err.text, "not this size"));
	assert_int_equal(vm_memory(w->vm, 5000, vm_result_into(&memory), &err), 0);
	assert_int_equal(vm_wait(w->base, &memory, &err), 0);
	vm_result_clear(&memory);
}

static void make_container(struct world *w, const char *id, const char *code)
{
	struct vm_container container = { id, "python:3", 256 * MIB, 64 * MIB, 64, 1, 1000 };
	json_t *body = json_pack("{s:{s:s, s:{}}}", "value", "code", code, "env");
	struct vm_result result;

	assert_int_equal(vm_container_create(w->vm, &container, vm_result_into(&result), NULL), 0);
	assert_int_equal(vm_wait(w->base, &result, NULL), 0);
	assert_int_equal(result.status, 201);
	vm_result_clear(&result);
	assert_int_equal(vm_container_init(w->vm, id, body, 1000, vm_result_into(&result), NULL), 0);
	assert_int_equal(vm_wait(w->base, &result, NULL), 0);
	vm_result_clear(&result);
	json_decref(body);
}

static void test_memory_follows(void **state)
{
	struct world *w = *state;
	struct vm_resident resident;

	assert_int_equal(vm_state(w->vm), VM_READY);
	assert_true(vm_ready_ns(w->vm) > vm_spawned_ns(w->vm));
	for (unsigned int units = 4; units-- > 0;) {
		resize(w, units);
		assert_int_equal(vm_resident(w->vm, &resident, NULL), 0);
		assert_int_equal(resident.rss_bytes, units * TOUCHED);
		assert_int_equal(resident.size_bytes, 1024 * MIB);
	}
}

static void test_resize_is_overtaken(void **state)
{
	struct vm_resize_result first, second;
	struct world *w = *state;
	struct err err;

	assert_int_equal(vm_set_requested(w->vm, 3, 5000, vm_resize_into(&first), NULL), 0);
	assert_int_equal(vm_set_requested(w->vm, 1, 5000, vm_resize_into(&second), NULL), 0);
	assert_false(first.done || second.done);	/* never from inside the call */
	assert_int_equal(vm_wait_resize(w->base, &first, &err), -ESTALE);
	assert_int_equal(vm_wait_resize(w->base, &second, &err), 0);
	assert_int_equal(vm_set_requested(w->vm, 5, 5000, vm_resize_into(&first), &err), -ERANGE);
}

static void test_calls_answer(void **state)
{
	json_t *body = json_pack("{s:{s:i}}", "value", "a", 1);
	struct vm_result one, two;
	struct world *w = *state;

	resize(w, 2);
	make_container(w, "c1", "sleep 50");
	make_container(w, "c2", "echo");
	assert_int_equal(vm_container_run(w->vm, "c1", body, 5000, vm_result_into(&one), NULL), 0);
	assert_int_equal(vm_container_run(w->vm, "c2", body, 5000, vm_result_into(&two), NULL), 0);
	assert_int_equal(vm_wait(w->base, &two, NULL), 0);
	assert_false(one.done);		/* a slow call holds no other up */
	assert_int_equal(vm_wait(w->base, &one, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(one.body, "result"), "a")), 1);
	vm_result_clear(&one);
	vm_result_clear(&two);
	assert_int_equal(vm_container_delete(w->vm, "nobody", 1000, vm_result_into(&one), NULL), 0);
	assert_int_equal(vm_wait(w->base, &one, NULL), -EREMOTEIO);
	assert_int_equal(one.status, 404);
	vm_result_clear(&one);
	json_decref(body);
}

static void test_deadline(void **state)
{
	struct vm_result result;
	struct world *w = *state;
	struct err err;
	json_t *body = json_object();

	resize(w, 1);
	make_container(w, "c1", "never");
	assert_int_equal(vm_container_run(w->vm, "c1", body, 50, vm_result_into(&result), NULL), 0);
	assert_int_equal(vm_wait(w->base, &result, &err), -ETIMEDOUT);
	assert_int_equal(vm_memory(w->vm, 5000, vm_result_into(&result), NULL), 0);
	assert_int_equal(vm_wait(w->base, &result, NULL), 0);	/* the connection is as good as before */
	vm_result_clear(&result);
	json_decref(body);
}

/* Everything under way completes when QEMU dies, whoever kills it. */
static void test_death_completes_calls(void **state)
{
	struct vm_container waiting = { "c9", "python:3", 256 * MIB, 64 * MIB, 64, 1, 60000 };
	struct vm_resize_result size;
	struct vm_result call;
	struct world *w = *state;
	struct err err, why;

	err_set(&why, EIO, "because the test says so");
	assert_int_equal(vm_container_create(w->vm, &waiting, vm_result_into(&call), NULL), 0);
	vm_sleep(w->base, 20);
	assert_int_equal(vm_set_requested(w->vm, 0, 60000, vm_resize_into(&size), NULL), 0);
	vm_kill(w->vm, &why);
	assert_int_equal(vm_container_create(w->vm, &waiting, vm_result_into(&call), &err), -ENOTCONN);
	call.done = false;
	while (vm_state(w->vm) != VM_DEAD)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(vm_wait_resize(w->base, &size, &err), -EPIPE);
	assert_string_equal(vm_why(w->vm)->text, "because the test says so");
	assert_int_equal(vm_pid(w->vm), 0);
	assert_int_equal(vm_resident(w->vm, &(struct vm_resident){ 0 }, &err), -ESRCH);
}

static void test_end_completes_calls(void **state)
{
	struct vm_container waiting = { "c9", "python:3", 256 * MIB, 64 * MIB, 64, 1, 60000 };
	struct vm_result call;
	struct world *w = *state;
	struct err err;

	assert_int_equal(vm_container_create(w->vm, &waiting, vm_result_into(&call), NULL), 0);
	vm_end(w->vm);
	assert_true(call.done);
	assert_int_equal(vm_wait(w->base, &call, &err), -EPIPE);
	assert_int_equal(vm_state(w->vm), VM_DEAD);
}

static void test_stop(void **state)
{
	struct world *w = *state;
	struct vm_result call;
	struct err err;

	vm_stop(w->vm, 4000);
	assert_int_equal(vm_state(w->vm), VM_STOPPING);
	assert_int_equal(vm_memory(w->vm, 1000, vm_result_into(&call), &err), -ENOTCONN);
	assert_non_null(strstr(err.text, "stopping"));
	while (vm_state(w->vm) != VM_DEAD)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(vm_why(w->vm)->code, 0);
	vm_stop(w->vm, 4000);
}

static void test_start_failures(void **state)
{
	struct world *w = *state;
	struct vm_config config = config_of(w, NULL);
	struct vm *vm;
	struct err err;

	config.kernel = "/nonexistent/bzImage";
	assert_int_equal(vm_boot(w->base, &config, &vm, &err), -ENOENT);
	assert_non_null(strstr(err.text, "guest kernel /nonexistent/bzImage"));
	config = config_of(w, NULL);
	config.qemu = "/nonexistent/qemu";
	assert_int_equal(vm_boot(w->base, &config, &vm, &err), -ENOENT);
	assert_non_null(strstr(err.text, "install qemu-system-x86"));
	config = config_of(w, "fake=exit");
	assert_int_equal(vm_boot(w->base, &config, &vm, &err), -EPIPE);
	assert_non_null(strstr(err.text, "fake-qemu: as asked"));
	config = config_of(w, "fake=no-hello");
	config.boot_timeout_ms = 100;
	assert_int_equal(vm_boot(w->base, &config, &vm, &err), -EPIPE);
	assert_non_null(strstr(err.text, "the agent did not answer"));
}

static void test_start_once(void **state)
{
	struct world *w = *state;
	struct err err;

	assert_int_equal(vm_start(w->vm, &err), -EALREADY);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, boot_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_memory_follows), CASE(test_resize_is_overtaken), CASE(test_calls_answer), CASE(test_deadline),
		CASE(test_death_completes_calls), CASE(test_end_completes_calls), CASE(test_stop),
		cmocka_unit_test_setup_teardown(test_start_failures, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_refused_size, make_world, end_world), CASE(test_start_once),
	};

	signal(SIGPIPE, SIG_IGN);
	if (!getenv("FAKE_QEMU"))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
