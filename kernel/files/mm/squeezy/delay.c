// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: holds a fault between allocation and charge, so that a release
 * or a move can be put there.
 *
 * /sys/kernel/debug/squeezy/charge_delay_ms: how long, at most; writing 0
 * lets those go that are held. charges_delayed counts those that have come.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/wait.h>

#include "internal.h"

static u64 charge_delay_ms;
static atomic_t charges_delayed;
static DECLARE_WAIT_QUEUE_HEAD(held);

/* Killable: whoever is held may be the last thing that keeps its cgroup. */
void squeezy_delay_charge(void)
{
	u64 delay_ms = READ_ONCE(charge_delay_ms);

	if (likely(!delay_ms))
		return;
	atomic_inc(&charges_delayed);
	wait_event_killable_timeout(held, !READ_ONCE(charge_delay_ms), msecs_to_jiffies(delay_ms));
}

static int delay_get(void *data, u64 *ret_ms)
{
	*ret_ms = READ_ONCE(charge_delay_ms);
	return 0;
}

static int delay_set(void *data, u64 ms)
{
	if (ms > MSEC_PER_SEC * 60)
		return -EINVAL;
	WRITE_ONCE(charge_delay_ms, ms);
	wake_up_all(&held);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(delay_fops, delay_get, delay_set, "%llu\n");

void __init squeezy_delay_init(struct dentry *dir)
{
	debugfs_create_file_unsafe("charge_delay_ms", 0600, dir, NULL, &delay_fops);
	debugfs_create_atomic_t("charges_delayed", 0400, dir, &charges_delayed);
}
