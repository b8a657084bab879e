// SPDX-License-Identifier: Apache-2.0
/*
 * Growing and shrinking the memory device, and watching it get there. QEMU tells of a size change by itself, but at most once a second; a change
 * soon after another is told late, so we also ask: one question at a time per VM, often in the first 50 ms, then less and less. Questions are not
 * free: QEMU reads them a byte at a time, with five system calls for each, and answers under the lock that the work we wait for needs. A question
 * costs 0.5 to 2 ms of CPU, so where QEMU will tell at once we ask rarely.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/fd.h"
#include "qmp/qmp.h"
#include "vm/vm-internal.h"

#define QMP_TIMEOUT_MS 10000
#define NS_PER_MS 1000000ull
#define TELLS_AGAIN_MS 1100	/* so long after it told a size QEMU tells the next at once */

struct resize {
	TAILQ_ENTRY(resize) link;
	struct vm *vm;
	struct vm_resize progress;
	struct vm_resize_done done;
	uint64_t deadline_ns;
	bool grow;
	bool set;		/* QEMU has taken the new requested-size */
};

static void poll_soon(struct vm *vm);

static void finish(struct resize *resize)
{
	struct vm_resize progress = resize->progress;
	struct vm_resize_done done = resize->done;

	TAILQ_REMOVE(&resize->vm->resizes, resize, link);
	free(resize);
	if (done.fn)
		done.fn(done.arg, &progress);
}

void resize_abort(struct vm *vm, const struct err *why)
{
	struct resize *resize;

	while ((resize = TAILQ_FIRST(&vm->resizes))) {
		resize->progress.err = *why;
		resize->progress.err.code = EPIPE;
		finish(resize);
	}
}

static bool reached(const struct resize *resize, uint64_t size)
{
	return resize->grow ? size >= resize->progress.requested_bytes : size <= resize->progress.requested_bytes;
}

/* True when nothing more can come of it; its result is filled in. */
static bool settle(struct resize *resize, uint64_t now)
{
	struct vm_resize *progress = &resize->progress;

	if (!resize->set)
		return false;	/* QEMU's answer (or its deadline) still refers to us */
	if (progress->err.code)
		return true;
	if (reached(resize, progress->size_bytes)) {
		progress->reached_ns = now;
		return true;
	}
	if (now < resize->deadline_ns)
		return false;
	err_set(&progress->err, ETIMEDOUT, "VM %s: the memory device has %llu MiB, asked for %llu, and time is up", resize->vm->config.id,
		(unsigned long long)progress->size_bytes >> 20, (unsigned long long)progress->requested_bytes >> 20);
	return true;
}

/* A callback may abort or add resizes, so start over after each. */
static void settle_all(struct vm *vm, uint64_t now)
{
	struct resize *resize;

	do {
		TAILQ_FOREACH(resize, &vm->resizes, link)
			if (settle(resize, now))
				break;
		if (resize)
			finish(resize);
	} while (resize);
}

static void see_size(struct vm *vm, uint64_t size_bytes)
{
	struct resize *resize;

	vm->size_bytes = size_bytes;
	TAILQ_FOREACH(resize, &vm->resizes, link)
		resize->progress.size_bytes = size_bytes;
}

void resize_event(struct vm *vm, uint64_t size_bytes)
{
	vm->told_ns = clock_ns(CLOCK_MONOTONIC);
	see_size(vm, size_bytes);
	settle_all(vm, vm->told_ns);
}

static void on_size(void *arg, const struct qmp_reply *reply)
{
	struct vm *vm = arg;
	struct resize *resize;

	vm->poll_busy = false;
	if (vm->state >= VM_KILLED)
		return;
	if (!reply->err.code && reply->bytes <= vm_device_bytes(vm)) {
		see_size(vm, reply->bytes);
		TAILQ_FOREACH(resize, &vm->resizes, link)
			resize->progress.polls++;
	}
	settle_all(vm, clock_ns(CLOCK_MONOTONIC));
	poll_soon(vm);
}

static void poll_now(struct vm *vm)
{
	struct qmp_done done = { on_size, vm };

	struct timeval later = { .tv_usec = 20000 };

	if (vm->poll_busy || TAILQ_EMPTY(&vm->resizes))
		return;
	if (!qmp_memdev_size(vm->qmp, VM_MEMDEV, QMP_TIMEOUT_MS, done, NULL))
		vm->poll_busy = true;
	else
		event_add(vm->poll_timer, &later);
}

static void on_poll_timer(evutil_socket_t fd, short what, void *arg)
{
	poll_now(arg);
}

static unsigned int poll_interval_ms(const struct vm *vm, uint64_t now)
{
	uint64_t age = (now - TAILQ_LAST(&vm->resizes, resize_list)->progress.asked_ns) / NS_PER_MS;

	if (now - vm->told_ns > TELLS_AGAIN_MS * NS_PER_MS)
		return 20;
	if (age < 50)
		return 1;
	return age < 1000 ? 2 : 20;
}

static void poll_soon(struct vm *vm)
{
	struct timeval after = { 0 };

	if (TAILQ_EMPTY(&vm->resizes))
		return;
	after.tv_usec = (suseconds_t)poll_interval_ms(vm, clock_ns(CLOCK_MONOTONIC)) * 1000;
	event_add(vm->poll_timer, &after);
}

static void on_set(void *arg, const struct qmp_reply *reply)
{
	struct resize *resize = arg;
	struct vm *vm = resize->vm;

	resize->set = true;
	if (reply->err.code) {
		resize->progress.err = reply->err;
		finish(resize);
	}
	if (vm->state < VM_KILLED)
		poll_soon(vm);
}

/* Older ones that want the other direction may never see their size. They are told from the loop, by the next poll. */
static void overtake(struct vm *vm, const struct resize *by)
{
	struct resize *old;

	TAILQ_FOREACH(old, &vm->resizes, link) {
		bool against = old->grow ? by->progress.requested_bytes < old->progress.requested_bytes :
					   by->progress.requested_bytes > old->progress.requested_bytes;

		if (old != by && against && !old->progress.err.code)
			err_set(&old->progress.err, ESTALE, "VM %s: a later resize went the other way", vm->config.id);
	}
}

static struct resize *new_resize(struct vm *vm, unsigned int units, unsigned int timeout_ms, struct vm_resize_done done)
{
	uint64_t floor = vm->config.backend == VM_SQUEEZY ? 0 : vm->config.shared_bytes;
	struct resize *resize = calloc(1, sizeof(*resize));

	if (!resize)
		return NULL;
	resize->vm = vm;
	resize->done = done;
	resize->grow = units >= vm->units;
	resize->progress.units = units;
	resize->progress.requested_bytes = floor + units * vm->config.partition_bytes;
	resize->progress.size_bytes = vm->size_bytes;
	resize->progress.asked_ns = clock_ns(CLOCK_MONOTONIC);
	resize->deadline_ns = resize->progress.asked_ns + timeout_ms * NS_PER_MS;
	return resize;
}

int vm_set_requested(struct vm *vm, unsigned int units, unsigned int timeout_ms, struct vm_resize_done done, struct err *err)
{
	struct qmp_done set = { .fn = on_set };
	struct resize *resize;
	int r;

	if (vm->state != VM_READY)
		return err_set(err, ENOTCONN, "VM %s cannot be resized: it is %s", vm->config.id, vm_state_name(vm->state));
	if (units > vm->config.partitions)
		return err_set(err, ERANGE, "VM %s has %u partitions, not %u", vm->config.id, vm->config.partitions, units);
	if (!vm->poll_timer)
		vm->poll_timer = evtimer_new(vm->base, on_poll_timer, vm);
	resize = new_resize(vm, units, timeout_ms, done);
	if (!resize || !vm->poll_timer) {
		free(resize);
		return err_set(err, ENOMEM, "out of memory");
	}
	set.arg = resize;
	r = qmp_memdev_request(vm->qmp, VM_MEMDEV, resize->progress.requested_bytes, QMP_TIMEOUT_MS, set, err);
	if (r < 0) {
		free(resize);
		return r;
	}
	vm->units = units;
	TAILQ_INSERT_TAIL(&vm->resizes, resize, link);
	overtake(vm, resize);
	return 0;
}
