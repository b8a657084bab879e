// SPDX-License-Identifier: Apache-2.0
#include "vm/sync.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

static void on_reply(void *arg, const struct vm_reply *reply)
{
	struct vm_result *result = arg;

	result->done = true;
	result->status = reply->status;
	result->body = json_incref(reply->body);
	result->err = reply->err;
	result->sent_ns = reply->sent_ns;
	result->answered_ns = reply->answered_ns;
}

struct vm_done vm_result_into(struct vm_result *result)
{
	*result = (struct vm_result){ 0 };
	return (struct vm_done){ on_reply, result };
}

static void on_resize(void *arg, const struct vm_resize *resize)
{
	struct vm_resize_result *result = arg;

	result->resize = *resize;
	result->done = true;
}

struct vm_resize_done vm_resize_into(struct vm_resize_result *result)
{
	*result = (struct vm_resize_result){ 0 };
	return (struct vm_resize_done){ on_resize, result };
}

static int run_until(struct event_base *base, const bool *done, struct err *err)
{
	while (!*done)
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			return err_set(err, EIO, "the event loop has nothing left to wait for");
	return 0;
}

int vm_wait(struct event_base *base, struct vm_result *result, struct err *err)
{
	const char *said;
	int r = run_until(base, &result->done, err);

	if (r < 0)
		return r;
	if (!result->status)
		return err_set(err, result->err.code, "%s", result->err.text);
	if (result->status >= 200 && result->status < 300)
		return 0;
	said = json_string_value(json_object_get(result->body, "error"));
	return err_set(err, EREMOTEIO, "the agent answered %d: %.300s", result->status, said ? said : "no reason given");
}

int vm_wait_resize(struct event_base *base, struct vm_resize_result *result, struct err *err)
{
	int r = run_until(base, &result->done, err);

	if (r == 0 && result->resize.err.code)
		r = err_set(err, result->resize.err.code, "%s", result->resize.err.text);
	return r;
}

void vm_result_clear(struct vm_result *result)
{
	json_decref(result->body);
	*result = (struct vm_result){ 0 };
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	bool *done = arg;

	*done = true;
}

void vm_sleep(struct event_base *base, unsigned int ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
	struct event *timer;
	bool done = false;

	timer = evtimer_new(base, on_tick, &done);
	if (!timer)
		return;
	if (!event_add(timer, &after))
		(void)run_until(base, &done, NULL);
	event_free(timer);
}

/* Every state of a starting VM has a deadline, so this ends. */
int vm_boot(struct event_base *base, const struct vm_config *config, struct vm **ret, struct err *err)
{
	struct vm *vm;
	int r = vm_new(base, config, NULL, NULL, &vm, err);

	if (r < 0)
		return r;
	r = vm_start(vm, err);
	while (r == 0 && vm_state(vm) != VM_READY && vm_state(vm) != VM_DEAD)
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			r = err_set(err, EIO, "the event loop has nothing left to wait for");
	if (r == 0 && vm_state(vm) == VM_DEAD)
		r = err_set(err, EPIPE, "%s", vm_why(vm)->text);
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	*ret = vm;
	return 0;
}

void vm_shutdown(struct event_base *base, struct vm *vm, unsigned int timeout_ms)
{
	if (!vm)
		return;
	vm_stop(vm, timeout_ms);
	while (vm_state(vm) != VM_DEAD && vm_state(vm) != VM_NEW)
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			break;
	vm_free(vm);
}
