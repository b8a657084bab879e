// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory maps: hot-add of a plugged partition into ZONE_MOVABLE of its node.
 *
 * Takes tens of milliseconds and device_hotplug_lock, so it runs on a
 * workqueue of its own; the mover goes on meanwhile. Nobody but us may online
 * or offline blocks of a private node: a memory notifier refuses the one, the
 * blocks' offline_disabled the other.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/device.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/workqueue.h>

#include "internal.h"

#define RETRY_MS 5000

static struct workqueue_struct *map_wq;
/* The partition being mapped; written by the only worker. */
static struct squeezy_partition *mapping;

static int online_block(struct memory_block *mem, void *arg)
{
	int rc;

	mem->online_type = MMOP_ONLINE_MOVABLE;
	rc = device_online(&mem->dev);		/* 1: onlined when it was added */
	if (rc >= 0)
		mem->dev.offline_disabled = true;
	return rc < 0 ? rc : 0;
}

static int map_partition(struct squeezy_partition *p)
{
	u64 start = PFN_PHYS(p->start_pfn);
	int rc;

	WRITE_ONCE(mapping, p);
	rc = add_memory_driver_managed(p->nid, start, squeezy_layout.bytes,
				       "System RAM (squeezy)", MHP_MERGE_RESOURCE);
	if (rc)
		goto out;
	lock_device_hotplug();
	rc = walk_memory_blocks(start, squeezy_layout.bytes, NULL, online_block);
	unlock_device_hotplug();
	/* Leaves the memory alone if a block is online and in use. */
	if (rc && offline_and_remove_memory(start, squeezy_layout.bytes))
		pr_err("partition %u: half mapped, cannot be undone\n", p->id);
out:
	WRITE_ONCE(mapping, NULL);
	return rc;
}

static bool begin(struct squeezy_partition *p)
{
	return squeezy_get_state(p) == SQUEEZY_MAPPING;
}

static void end(struct squeezy_partition *p, int rc)
{
	spin_lock(&squeezy_lock);
	if (!rc) {
		squeezy_stamp(p, SQUEEZY_TIME_POPULATED);
		squeezy_make_claimable(p);
	} else {
		p->not_before = jiffies + msecs_to_jiffies(RETRY_MS);
		squeezy_set_state(p, SQUEEZY_ABSENT);
	}
	spin_unlock(&squeezy_lock);
	if (!rc) {
		squeezy_count(SQUEEZY_POPULATES_FIRST);
	} else {
		squeezy_count(SQUEEZY_MAP_FAILURES);
		pr_warn_ratelimited("partition %u: no memory map (error %d): normal memory is short?\n",
				    p->id, rc);
	}
	squeezy_mover_kick();
}

static void map_work(struct work_struct *work)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (begin(p))
			end(p, map_partition(p));
}

static DECLARE_WORK(map_worker, map_work);

/**
 * squeezy_map_start - make the memory map of a partition in the background
 *
 * The partition is plugged. It becomes populated, or absent again.
 */
void squeezy_map_start(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	squeezy_set_state(p, SQUEEZY_MAPPING);
	spin_unlock(&squeezy_lock);
	queue_work(map_wq, &map_worker);
}

static int memory_event(struct notifier_block *nb, unsigned long action, void *data)
{
	struct memory_notify *arg = data;
	struct page *page = pfn_to_page(arg->start_pfn);
	struct squeezy_partition *p = READ_ONCE(mapping);

	if (action != MEM_GOING_ONLINE || !squeezy_is_private_node(page_to_nid(page)))
		return NOTIFY_OK;
	if (p && p->nid == page_to_nid(page) && is_zone_movable_page(page) &&
	    arg->start_pfn >= p->start_pfn &&
	    arg->start_pfn + arg->nr_pages <= p->start_pfn + squeezy_layout.pages)
		return NOTIFY_OK;
	return notifier_from_errno(-EPERM);
}

static struct notifier_block memory_nb = { .notifier_call = memory_event };

int __init squeezy_map_init(void)
{
	map_wq = alloc_ordered_workqueue("squeezy_map", WQ_FREEZABLE);
	if (!map_wq)
		return -ENOMEM;
	return register_memory_notifier(&memory_nb);
}
