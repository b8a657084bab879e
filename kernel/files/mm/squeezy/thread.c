// SPDX-License-Identifier: GPL-2.0-only
/* Kernel threads, made on behalf of somebody who may be killed meanwhile. */
#include <linux/kthread.h>
#include <linux/workqueue.h>

#include "internal.h"

struct thread_order {
	struct work_struct work;
	int (*fn)(void *unused);
	const char *name;
	struct task_struct *task;
};

static void create(struct work_struct *work)
{
	struct thread_order *order = container_of(work, struct thread_order, work);

	order->task = kthread_create(order->fn, NULL, "%s", order->name);
}

/**
 * squeezy_create_thread - kthread_create() that no signal ends
 * @fn: what the thread runs
 * @name: of the thread
 *
 * A device is removed by a write to sysfs. If the writer is killed, its own
 * kthread_create() fails with -EINTR; a worker gets no signals.
 *
 * Return: the thread, which does not run yet, or an error pointer.
 */
struct task_struct *squeezy_create_thread(int (*fn)(void *unused), const char *name)
{
	struct thread_order order = { .fn = fn, .name = name };

	INIT_WORK_ONSTACK(&order.work, create);
	queue_work(system_unbound_wq, &order.work);
	flush_work(&order.work);
	destroy_work_on_stack(&order.work);
	return order.task;
}
