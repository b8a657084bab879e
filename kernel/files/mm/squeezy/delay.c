// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: holds a fault between the look at its claim and the allocation,
 * or between allocation and charge, so that a release or a move can be put
 * there.
 *
 * /sys/kernel/debug/squeezy/{look,charge}_delay_ms: how long, at most; writing
 * 0 lets those go that are held. looks_delayed and charges_delayed count those
 * that have come.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/wait.h>

#include "internal.h"

static u64 delays_ms[SQUEEZY_DELAYS];
static atomic_t delayed[SQUEEZY_DELAYS];
static DECLARE_WAIT_QUEUE_HEAD(held);

/* Killable: whoever is held may be the last thing that keeps its cgroup. */
void squeezy_delay(enum squeezy_delay where)
{
	u64 ms = READ_ONCE(delays_ms[where]);

	if (likely(!ms))
		return;
	atomic_inc(&delayed[where]);
	wait_event_killable_timeout(held, !READ_ONCE(delays_ms[where]), msecs_to_jiffies(ms));
}

static int delay_get(void *data, u64 *ret_ms)
{
	*ret_ms = READ_ONCE(*(u64 *)data);
	return 0;
}

static int delay_set(void *data, u64 ms)
{
	if (ms > MSEC_PER_SEC * 60)
		return -EINVAL;
	WRITE_ONCE(*(u64 *)data, ms);
	wake_up_all(&held);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(delay_fops, delay_get, delay_set, "%llu\n");

void __init squeezy_delay_init(struct dentry *dir)
{
	debugfs_create_file_unsafe("look_delay_ms", 0600, dir, &delays_ms[SQUEEZY_DELAY_LOOK],
				   &delay_fops);
	debugfs_create_atomic_t("looks_delayed", 0400, dir, &delayed[SQUEEZY_DELAY_LOOK]);
	debugfs_create_file_unsafe("charge_delay_ms", 0600, dir, &delays_ms[SQUEEZY_DELAY_CHARGE],
				   &delay_fops);
	debugfs_create_atomic_t("charges_delayed", 0400, dir, &delayed[SQUEEZY_DELAY_CHARGE]);
}
