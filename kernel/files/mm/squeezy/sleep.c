// SPDX-License-Identifier: GPL-2.0-only
/*
 * No system sleep: a VMM may unplug all memory of the device when it wakes up
 * the VM, or has to make it anew.
 */
#include <linux/init.h>
#include <linux/suspend.h>

#include "internal.h"

/**
 * squeezy_no_sleep - the driver's callback for all stages of system sleep
 * @vdev: our device
 *
 * Not the first to be asked: a transport that keeps its state in sleep does not
 * ask the drivers.
 */
int squeezy_no_sleep(struct virtio_device *vdev)
{
	return -EPERM;
}

static bool may_sleep(void)
{
	struct squeezy_partition *p;
	bool bound;

	spin_lock(&squeezy_lock);
	bound = squeezy_device_bound();
	spin_unlock(&squeezy_lock);
	for_each_squeezy_partition(p)
		if (READ_ONCE(p->plugged_blocks))
			return false;
	return !bound;
}

/* Before anything is frozen: whoever unplugs a device waits for the mover. */
static int before_sleep(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		return notifier_from_errno(may_sleep() ? 0 : -EPERM);
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block sleep_nb = { .notifier_call = before_sleep };

static int __init squeezy_sleep_init(void)
{
	return squeezy_layout.count ? register_pm_notifier(&sleep_nb) : 0;
}
device_initcall(squeezy_sleep_init);
