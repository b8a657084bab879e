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
	return rc < 0 ? rc : 0;
}

static int keep_online(struct memory_block *mem, void *arg)
{
	mem->dev.offline_disabled = true;
	return 0;
}

/*
 * Returns 0 or an error. *@ret_broken: blocks were left online, so that the
 * memory must stay plugged for ever.
 */
static int map_partition(struct squeezy_partition *p, bool *ret_broken)
{
	u64 start = PFN_PHYS(p->start_pfn);
	int rc;

	*ret_broken = false;
	WRITE_ONCE(mapping, p);
	rc = add_memory_driver_managed(p->nid, start, squeezy_layout.bytes,
				       "System RAM (squeezy)", MHP_MERGE_RESOURCE);
	if (rc)
		goto out;
	lock_device_hotplug();
	rc = walk_memory_blocks(start, squeezy_layout.bytes, NULL, online_block);
	if (!rc)
		walk_memory_blocks(start, squeezy_layout.bytes, NULL, keep_online);
	unlock_device_hotplug();
	if (rc)
		*ret_broken = offline_and_remove_memory(start, squeezy_layout.bytes);
out:
	WRITE_ONCE(mapping, NULL);
	return rc;
}

static void map_succeeded(struct squeezy_partition *p)
{
	squeezy_count(SQUEEZY_POPULATES_FIRST);
	spin_lock(&squeezy_lock);
	squeezy_stamp(p, SQUEEZY_TIME_POPULATED);
	squeezy_make_claimable(p);
	spin_unlock(&squeezy_lock);
}

static void map_failed(struct squeezy_partition *p, int rc, bool broken)
{
	squeezy_count(SQUEEZY_MAP_FAILURES);
	pr_warn_ratelimited("partition %u: no memory map (error %d): %s\n", p->id, rc,
			    broken ? "half made, lost until the next boot" :
				     "is normal memory short? Trying again later");
	spin_lock(&squeezy_lock);
	p->map_failed = true;
	p->not_before = jiffies + msecs_to_jiffies(RETRY_MS);
	squeezy_set_state(p, broken ? SQUEEZY_BROKEN : SQUEEZY_ABSENT);
	spin_unlock(&squeezy_lock);
}

static void map_one(struct squeezy_partition *p)
{
	bool broken;
	int rc;

	if (squeezy_get_state(p) != SQUEEZY_MAPPING)
		return;
	rc = map_partition(p, &broken);
	if (rc)
		map_failed(p, rc, broken);
	else
		map_succeeded(p);
	squeezy_mover_kick();
}

static void map_work(struct work_struct *work)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		map_one(p);
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
