// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that memory_failure() has taken out of use (hwpoison).
 *
 * Such a page never comes back to the free lists, so a partition with some is
 * empty when all others are free. The device replaces the memory, after which
 * the page is as good as any: its struct page is made anew, as hot-add would.
 *
 * The list of a partition is made by straggler.c's worker while the drain is
 * late; zone->lock protects it.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/slab.h>

#include "../internal.h"
#include "internal.h"
#include "pcp.h"

/*
 * Nobody but memory_failure() has a reference, and it is done: in the middle of
 * its work the page is on the LRU lists or locked.
 */
static bool is_lost(struct page *page)
{
	return PageHWPoison(page) && !is_free_buddy_page(page) && !PageCompound(page) &&
	       !PageLRU(page) && !PageLocked(page) && page_ref_count(page) <= 1;
}

struct poison_list {
	unsigned long *pfns;
	unsigned int count, size;
};

static int note_poison(const struct squeezy_used *used, void *arg)
{
	struct poison_list *list = arg;

	if (used->holder != SQUEEZY_HELD_HWPOISON || !is_lost(used->page))
		return 0;
	if (list->count == list->size)
		return -ENOSPC;
	list->pfns[list->count++] = page_to_pfn(used->page);
	return 0;
}

/* The old list, if any, is in list->pfns then. */
static void swap_list(struct squeezy_partition *p, struct poison_list *list)
{
	unsigned long flags;

	spin_lock_irqsave(&p->zone->lock, flags);
	swap(p->poisoned, list->pfns);
	WRITE_ONCE(p->nr_poisoned, list->count);
	spin_unlock_irqrestore(&p->zone->lock, flags);
}

static void publish_list(struct squeezy_partition *p, struct poison_list *list)
{
	__squeezy_drain_pages(p->zone);
	/* It may have been parked meanwhile, and is healed then without our list. */
	spin_lock(&squeezy_lock);
	if (squeezy_state_has_pages(p->state))
		swap_list(p, list);
	spin_unlock(&squeezy_lock);
}

/**
 * squeezy_poison_find - list the pages of a partition that are lost to poison
 * @p: the partition
 * @pages: number of pages with hwpoison that a walk has found
 *
 * A page without references may also be on a per-CPU list, where memory_failure()
 * cannot catch it. Those lists are emptied afterwards, and none takes a
 * poisoned page by itself: who is still off the free lists then is lost for
 * good. One in a larger block may be back there: squeezy_poison_take() looks.
 */
void squeezy_poison_find(struct squeezy_partition *p, unsigned long pages)
{
	struct poison_list list = { .size = pages };
	unsigned long pfn = p->start_pfn;

	list.pfns = kvmalloc_array(pages, sizeof(*list.pfns), GFP_KERNEL);
	if (list.pfns && squeezy_pin_map(p)) {
		if (!squeezy_visit_used(p, &pfn, note_poison, &list))
			publish_list(p, &list);
		squeezy_unpin_map(p);
	}
	kvfree(list.pfns);
}

/**
 * squeezy_poison_take - are all pages that are not free lost to poison?
 * @p: the partition
 * @missing: how many are not free; not 0
 *
 * Takes their last reference if so. Under zone->lock.
 */
bool squeezy_poison_take(struct squeezy_partition *p, unsigned long missing)
{
	struct page *page;
	unsigned int i;

	lockdep_assert_held(&p->zone->lock);
	if (p->nr_poisoned != missing)
		return false;
	for (i = 0; i < p->nr_poisoned; i++)
		if (!is_lost(pfn_to_page(p->poisoned[i])))
			return false;
	/*
	 * A walker that speculates may be in the way: lost pages with and
	 * without reference are the same.
	 */
	for (i = 0; i < p->nr_poisoned; i++) {
		page = pfn_to_page(p->poisoned[i]);
		if (page_ref_count(page) && !page_ref_freeze(page, 1))
			return false;
	}
	return true;
}

/**
 * squeezy_poison_in - is one of the lost pages in this range? Under zone->lock.
 * @p: the partition
 * @pfn: first page of the range
 * @pages: its length
 */
bool squeezy_poison_in(struct squeezy_partition *p, unsigned long pfn, unsigned long pages)
{
	unsigned int i;

	for (i = 0; i < p->nr_poisoned; i++)
		if (p->poisoned[i] - pfn < pages)
			return true;
	return false;
}

/**
 * squeezy_poison_heal_page - a lost page of a parked partition has no memory any more
 * @p: the partition
 * @pfn: of the page; nothing is done unless it has failed
 */
void squeezy_poison_heal_page(struct squeezy_partition *p, unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	if (!PageHWPoison(page))
		return;
	num_poisoned_pages_sub(pfn, 1);
	__init_single_page(page, pfn, zone_idx(p->zone), p->nid);
	set_page_count(page, 0);
}

static void heal_all(struct squeezy_partition *p)
{
	unsigned long i;

	for (i = 0; i < squeezy_layout.pages; i++) {
		squeezy_poison_heal_page(p, p->start_pfn + i);
		if (IS_ALIGNED(i, MAX_ORDER_NR_PAGES))
			cond_resched();
	}
}

static unsigned long failures(struct squeezy_partition *p)
{
#ifdef CONFIG_MEMORY_FAILURE
	return READ_ONCE(NODE_DATA(p->nid)->mf_stats.total);
#else
	return 0;
#endif
}

/**
 * squeezy_poison_any - shall the device replace a partition, as a page may have failed?
 * @p: the partition
 *
 * Our list does not tell all: Linux forgets a failed page of a huge page that
 * could not be split, which goes back to the free lists with the others. Such a
 * partition is of use all the same while there is no device.
 */
bool squeezy_poison_any(struct squeezy_partition *p)
{
	return READ_ONCE(p->nr_poisoned) ||
	       (squeezy_device_alive() && failures(p) != p->failures_healed);
}

/**
 * squeezy_poison_heal - the device has taken the memory of a partition
 * @p: the partition; the mover has it reserved, its map is being removed, or
 *     there is no mover
 *
 * What it plugs the next time is sound. Whoever still has the map pinned may be
 * looking at such a page: it is left then, and healed with the next unplug or
 * the removal of the map. There are no new pins of what is parked.
 *
 * Return: whether it was done, or there was nothing to do.
 */
bool squeezy_poison_heal(struct squeezy_partition *p)
{
	unsigned long healed = failures(p);
	struct poison_list none = { };
	unsigned int pins;
	bool any;

	/* The lock holds the device while map.c looks at it. */
	spin_lock(&squeezy_lock);
	any = squeezy_poison_any(p);
	pins = p->map_pins;
	spin_unlock(&squeezy_lock);
	if (!any)
		return true;
	if (pins)
		return false;
	/* Otherwise there is no map, or one that map.c heals, or not all of one. */
	if (squeezy_get_state(p) == SQUEEZY_PARKED)
		heal_all(p);
	p->failures_healed = healed;
	swap_list(p, &none);
	kvfree(none.pfns);
	return true;
}
