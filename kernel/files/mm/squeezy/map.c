// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory maps: hot-add of a partition into ZONE_MOVABLE of its node, and
 * removal of what is not worth its memory.
 *
 * Both take tens of milliseconds, device_hotplug_lock and mem_hotplug_lock, so
 * they run on a workqueue of their own, one map or one memory block at a time;
 * the mover goes on meanwhile. A new map ends parked: nothing needs to be
 * plugged for it, so it can be made ahead.
 *
 * Nobody but the worker may online or offline blocks of a private node: the
 * memory notifier refuses it to everybody else.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/kcore.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include "internal.h"

#define RETRY_MS 5000
/* A map takes tens of milliseconds, seconds in an emulated debug kernel. */
#define STOP_MS 10000
/* All maps of a VM are removed one by one; so long at most until the next one has gone. */
#define DROP_MS 5000
/* Between two blocks: removing one drains every CPU's LRU batches. */
#define REMOVE_PAUSE_MS 10
/* Whoever looks at free pages (reporting) keeps one no longer. */
#define TAKE_TRIES 1000
/* Of boot memory, for the maps of partitions that are not in use. */
#define DEFAULT_KEEP_SHARE 8

unsigned int squeezy_keep_memmap;
unsigned int squeezy_prepare_memmap;

/* All maps are to go: the next device has other addresses. */
static bool drop_all;
/* None is begun: squeezy_mover_take_back() puts partitions in order. By squeezy_lock. */
static bool stopped;
static struct workqueue_struct *map_wq;
static void map_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(mapper, map_work);
/* How many partitions the mover wants to populate and has not yet. */
static unsigned int demand;

static unsigned long map_pages(void)
{
	return DIV_ROUND_UP(squeezy_layout.pages * sizeof(struct page), PAGE_SIZE);
}

/**
 * squeezy_map_needs_memory - does making a map write to the pages?
 *
 * Onlining frees every page, and these boot options write to what is freed.
 * The partition must be plugged before then, and no map is made ahead.
 */
bool squeezy_map_needs_memory(void)
{
	return want_init_on_free() || page_poisoning_enabled_static();
}

/*
 * A hot-add that runs out of memory takes all there is before it fails, and
 * somebody else would be killed for it. So it does not begin without room.
 */
static bool room_for_map(void)
{
	unsigned long have = 0, need = map_pages();
	struct zone *zone;

	for_each_populated_zone(zone) {
		unsigned long file, free;

		if (zone_idx(zone) == ZONE_MOVABLE)
			continue;
		file = zone_page_state(zone, NR_ZONE_ACTIVE_FILE) +
		       zone_page_state(zone, NR_ZONE_INACTIVE_FILE);
		free = zone_page_state(zone, NR_FREE_PAGES) + file / 2;
		if (free > high_wmark_pages(zone))
			have += free - high_wmark_pages(zone);
	}
	return have > need + need / 8;
}

static int online_block(struct memory_block *mem, void *arg)
{
	int rc;

	mem->online_type = MMOP_ONLINE_MOVABLE;
	rc = device_online(&mem->dev);		/* 1: onlined when it was added */
	if (rc < 0)
		return rc;
	mem->dev.offline_disabled = true;
	return 0;
}

static int add_blocks(struct squeezy_partition *p)
{
	u64 start = PFN_PHYS(p->start_pfn);
	int rc;

	lock_device_hotplug();
	rc = walk_memory_blocks(start, squeezy_layout.bytes, NULL, online_block);
	unlock_device_hotplug();
	return rc;
}

/* All pages are free, but somebody may be looking at one. */
static int take_pages(struct squeezy_partition *p)
{
	unsigned int tries;

	for (tries = 0; squeezy_zone_take_fresh(p); tries++) {
		if (tries == TAKE_TRIES)
			return -EBUSY;
		usleep_range(1000, 2000);
	}
	squeezy_zone_park(p);
	return 0;
}

/*
 * Returns 0 or an error. *@ret_left: memory blocks were left behind, which
 * have to be removed.
 */
static int make_map(struct squeezy_partition *p, bool *ret_left)
{
	int rc = -ENOMEM;

	*ret_left = false;
	/*
	 * Onlining puts all pages on the free lists: nobody may take one who
	 * has read of the last claim. And it makes the zone's lock anew:
	 * nobody may hold it who has found the node online.
	 */
	cond_synchronize_rcu(p->unused_gp);
	if (room_for_map())
		rc = add_memory_driver_managed(p->nid, PFN_PHYS(p->start_pfn), squeezy_layout.bytes,
					       "System RAM (squeezy)", MHP_MERGE_RESOURCE);
	if (rc)
		return rc;
	*ret_left = true;
	rc = add_blocks(p);
	return rc ?: take_pages(p);
}

static void map_failed(struct squeezy_partition *p, int rc, bool left)
{
	squeezy_count(SQUEEZY_MAP_FAILURES);
	pr_warn_ratelimited("partition %u: no memory map (error %d); trying again later\n",
			    p->id, rc);
	spin_lock(&squeezy_lock);
	p->map_failed = true;
	p->fresh_map = false;
	p->not_before = jiffies + (left ? 0 : msecs_to_jiffies(RETRY_MS));
	squeezy_set_state(p, left ? SQUEEZY_UNMAPPING : SQUEEZY_ABSENT);
	spin_unlock(&squeezy_lock);
}

static void map_one(struct squeezy_partition *p)
{
	bool left;
	int rc = make_map(p, &left);

	if (rc) {
		map_failed(p, rc, left);
	} else {
		squeezy_count(SQUEEZY_MAPS_MADE);
		squeezy_change_state(p, SQUEEZY_PARKED);
	}
	squeezy_mover_kick();
}

/*
 * What offlining expects of pages that a driver keeps to itself. The sections
 * come online last, so that no pfn walker takes the pages for memory.
 */
static void mark_pages_offline(struct squeezy_partition *p)
{
	unsigned long pfn, end = p->start_pfn + squeezy_layout.pages;

	squeezy_poison_heal(p);
	for (pfn = p->start_pfn; pfn < end; pfn++) {
		/* One that failed as it was being parked; offlining would count it twice. */
		squeezy_poison_heal_page(p, pfn);
		__SetPageOffline(pfn_to_page(pfn));
		if (IS_ALIGNED(pfn, MAX_ORDER_NR_PAGES))
			cond_resched();
	}
	online_mem_sections(p->start_pfn, end);
}

static int offline_block(struct memory_block *mem, void *arg)
{
	bool *found = arg;
	int rc;

	*found = true;
	mem->dev.offline_disabled = false;
	rc = device_offline(&mem->dev);		/* 1: is offline already */
	if (rc >= 0)
		return 0;
	mem->dev.offline_disabled = true;
	return rc;
}

/* Removes the last block that is left. Returns 1 when there was none, or an error. */
static int remove_block(struct squeezy_partition *p)
{
	u64 bytes = memory_block_size_bytes(), start = PFN_PHYS(p->start_pfn);
	u64 at = start + squeezy_layout.bytes;
	bool found = false;
	int rc = 0;

	while (!found && at > start) {
		at -= bytes;
		lock_device_hotplug();
		rc = walk_memory_blocks(at, bytes, &found, offline_block);
		unlock_device_hotplug();
	}
	if (!found)
		return 1;
	return rc ?: remove_memory(at, bytes);
}

/* One block of a map. Nobody waits for it. */
static void unmap_some(struct squeezy_partition *p)
{
	int rc = remove_block(p);

	if (!rc)
		return;
	if (rc < 0)
		pr_warn_ratelimited("partition %u: its memory map cannot be removed (error %d); trying again later\n",
				    p->id, rc);
	else
		squeezy_count(SQUEEZY_MAPS_REMOVED);
	spin_lock(&squeezy_lock);
	if (rc < 0 || p->map_failed)
		p->not_before = jiffies + msecs_to_jiffies(RETRY_MS);
	if (rc > 0) {
		squeezy_set_state(p, SQUEEZY_ABSENT);
		p->unused_gp = get_state_synchronize_rcu();
	}
	spin_unlock(&squeezy_lock);
	squeezy_mover_kick();
}

/* jiffies of the last look, as in mover.c. */
static unsigned long looked_at;

static bool due(struct squeezy_partition *p)
{
	return time_after_eq(looked_at, p->not_before);
}

/* Its map is of no use at the moment, and nobody is about to use it. */
static bool is_spare(struct squeezy_partition *p)
{
	return p->state == SQUEEZY_PARKED && !p->reserved && !p->map_pins &&
	       !READ_ONCE(p->plugged_blocks);
}

static unsigned int count_spares(void)
{
	struct squeezy_partition *p;
	unsigned int spares = 0;

	for_each_squeezy_partition(p)
		spares += is_spare(p);
	return spares;
}

static bool is_wanted(struct squeezy_partition *p)
{
	return READ_ONCE(p->map_wanted) && !p->reserved;
}

/* Lowest first: the device's usable region grows from the front. */
static struct squeezy_partition *lowest_absent(bool (*fits)(struct squeezy_partition *))
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (p->state == SQUEEZY_ABSENT && due(p) && (!fits || fits(p)))
			return p;
	return NULL;
}

static struct squeezy_partition *next_to_map(void)
{
	unsigned int prepare = min(READ_ONCE(squeezy_prepare_memmap),
				   READ_ONCE(squeezy_keep_memmap));
	struct squeezy_partition *p;

	if (READ_ONCE(drop_all))
		return NULL;
	p = lowest_absent(is_wanted);
	if (!p && !squeezy_map_needs_memory() && squeezy_device_alive() && count_spares() < prepare)
		p = lowest_absent(NULL);
	return p;
}

static struct squeezy_partition *next_to_unmap(void)
{
	struct squeezy_partition *p, *last = NULL;

	for_each_squeezy_partition(p) {
		if (p->state == SQUEEZY_UNMAPPING && due(p))
			return p;
		if (is_spare(p))
			last = p;
	}
	if (READ_ONCE(drop_all))
		return last;
	return count_spares() > READ_ONCE(squeezy_keep_memmap) + READ_ONCE(demand) ? last : NULL;
}

/* Takes a partition for the worker alone. Removal may have begun before. */
static struct squeezy_partition *grab(enum squeezy_state *ret_state)
{
	struct squeezy_partition *p;

	spin_lock(&squeezy_lock);
	p = stopped ? NULL : next_to_map();
	if (p) {
		p->fresh_map = is_wanted(p);
		p->map_failed = false;
		squeezy_set_state(p, SQUEEZY_MAPPING);
		*ret_state = SQUEEZY_ABSENT;
	} else {
		p = stopped ? NULL : next_to_unmap();
		*ret_state = p ? p->state : SQUEEZY_ABSENT;
		if (*ret_state == SQUEEZY_PARKED)
			squeezy_set_state(p, SQUEEZY_UNMAPPING);
	}
	spin_unlock(&squeezy_lock);
	return p;
}

/* What waits for its time: a failed removal, or a failed map that was to be made ahead. */
static unsigned long next_retry(void)
{
	long soonest = MAX_JIFFY_OFFSET;
	struct squeezy_partition *p;

	spin_lock(&squeezy_lock);
	for_each_squeezy_partition(p)
		if ((p->state == SQUEEZY_UNMAPPING || p->state == SQUEEZY_ABSENT) && !due(p))
			soonest = min(soonest, (long)(p->not_before - jiffies));
	spin_unlock(&squeezy_lock);
	return max(soonest, 1L);
}

static void map_work(struct work_struct *work)
{
	struct squeezy_partition *p;
	enum squeezy_state state;
	unsigned long delay = 0;

	looked_at = jiffies;
	p = grab(&state);
	if (!p) {
		delay = next_retry();
		if (delay == MAX_JIFFY_OFFSET)
			return;
	} else if (state == SQUEEZY_ABSENT) {
		map_one(p);
	} else {
		if (state == SQUEEZY_PARKED)
			mark_pages_offline(p);
		unmap_some(p);
		if (!READ_ONCE(demand))
			delay = msecs_to_jiffies(REMOVE_PAUSE_MS);
	}
	queue_delayed_work(map_wq, &mapper, delay);
}

/**
 * squeezy_map_kick - look again which maps to make and which to remove
 */
void squeezy_map_kick(void)
{
	mod_delayed_work(map_wq, &mapper, 0);
}

static void set_stopped(bool value)
{
	spin_lock(&squeezy_lock);
	stopped = value;
	spin_unlock(&squeezy_lock);
}

/**
 * squeezy_map_stop - wait until no map is being made or removed; none is until
 * squeezy_map_resume() or squeezy_map_drop_all()
 *
 * Not for ever: hot-plug of a device through ACPI holds device_hotplug_lock
 * while it probes, and the worker may want that.
 *
 * Return: 0, or -EBUSY.
 */
int squeezy_map_stop(void)
{
	unsigned long give_up = jiffies + msecs_to_jiffies(STOP_MS);

	set_stopped(true);
	for (;;) {
		cancel_delayed_work(&mapper);
		if (!work_busy(&mapper.work))
			return 0;
		if (time_after(jiffies, give_up))
			return -EBUSY;
		usleep_range(1000, 2000);
	}
}

static unsigned int count_maps(void)
{
	struct squeezy_partition *p;
	unsigned int maps = 0;

	for_each_squeezy_partition(p)
		maps += squeezy_get_state(p) != SQUEEZY_ABSENT;
	return maps;
}

/**
 * squeezy_map_drop_all - remove all maps, of partitions that are all parked
 *
 * For a device that takes another's place elsewhere. There is no mover.
 *
 * Return: 0, or -EAGAIN if it takes too long; during a hot-plug through ACPI,
 * which holds device_hotplug_lock, it always does. It goes on then, and no map
 * is made, until squeezy_map_resume().
 */
int squeezy_map_drop_all(void)
{
	unsigned long give_up = jiffies + msecs_to_jiffies(DROP_MS);
	unsigned int left, before = count_maps();

	WRITE_ONCE(drop_all, true);
	set_stopped(false);
	squeezy_map_kick();
	for (left = before; left; left = count_maps()) {
		if (left < before)
			give_up = jiffies + msecs_to_jiffies(DROP_MS);
		else if (time_after(jiffies, give_up))
			return -EAGAIN;
		before = left;
		usleep_range(1000, 2000);
	}
	return squeezy_map_stop() ? -EAGAIN : 0;
}

/**
 * squeezy_map_resume - maps are made and kept as the knobs say
 */
void squeezy_map_resume(void)
{
	WRITE_ONCE(drop_all, false);
	set_stopped(false);
	squeezy_map_kick();
}

/**
 * squeezy_map_balance - a partition has got its memory or has returned it
 */
void squeezy_map_balance(void)
{
	if (READ_ONCE(squeezy_keep_memmap) < squeezy_layout.count ||
	    READ_ONCE(squeezy_prepare_memmap) || READ_ONCE(drop_all))
		squeezy_map_kick();
}

/**
 * squeezy_map_set_demand - how many more partitions are to be populated
 * @nr: partitions
 *
 * So many parked ones keep their map, whatever keep_memmap says.
 */
void squeezy_map_set_demand(unsigned int nr)
{
	WRITE_ONCE(demand, nr);
}

/* Notifiers run in the context of whoever onlines or offlines. */
static bool is_worker(void)
{
	return current_work() == &mapper.work;
}

static int memory_event(struct notifier_block *nb, unsigned long action, void *data)
{
	struct memory_notify *arg = data;
	struct page *page = pfn_to_page(arg->start_pfn);

	switch (action) {
	case MEM_GOING_ONLINE:
	case MEM_GOING_OFFLINE:
		if (squeezy_is_private_node(page_to_nid(page)) &&
		    !(is_worker() && is_zone_movable_page(page)))
			return notifier_from_errno(-EPERM);
		break;
	case MEM_OFFLINE:
		/*
		 * The sections are offline and not counted any more, the span of
		 * the zone and its pages are still there. Whoever has seen
		 * otherwise a moment ago, and walks on without sleeping, comes to
		 * his end first.
		 */
		if (squeezy_is_private_node(page_to_nid(page)))
			synchronize_rcu();
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block memory_nb = { .notifier_call = memory_event };

#ifdef CONFIG_PROC_KCORE
/* The sections of a partition are online while its map is made, and nothing is plugged. */
static int pfn_is_ram(unsigned long pfn)
{
	struct squeezy_partition *p;

	if (!pfn_valid(pfn) || !squeezy_is_private_node(pfn_to_nid(pfn)))
		return 1;
	p = squeezy_partition_of(pfn_to_nid(pfn));
	return squeezy_state_has_pages(squeezy_get_state(p));
}

static int __init register_ram(void)
{
	return register_mem_pfn_is_ram(pfn_is_ram);
}
#else
static int __init register_ram(void)
{
	return 0;
}
#endif

int __init squeezy_map_init(void)
{
	int rc;

	squeezy_keep_memmap = clamp_t(unsigned long,
				      totalram_pages() / DEFAULT_KEEP_SHARE / map_pages(),
				      1, squeezy_layout.count);
	map_wq = alloc_ordered_workqueue("squeezy_map", WQ_FREEZABLE);
	if (!map_wq)
		return -ENOMEM;
	rc = register_memory_notifier(&memory_nb);
	return rc ?: register_ram();
}
