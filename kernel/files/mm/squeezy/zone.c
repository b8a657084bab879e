// SPDX-License-Identifier: GPL-2.0-only
/*
 * The zone of a partition: exact counts, taking every page off its free lists
 * ("park") and putting them back.
 *
 * A parked page keeps its struct page (count 0, on no list, not buddy), its
 * section is offline, and the zone has no managed page: pfn walkers do not see
 * it and the allocator has nothing to give.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pageblock-flags.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include <trace/events/squeezy.h>

#include "../internal.h"
#include "internal.h"
#include "pcp.h"

/* NR_FREE_PAGES lags behind by per-CPU deltas, the lists do not. */
static unsigned long free_pages_locked(struct zone *zone)
{
	unsigned long pages = 0;
	int order;

	lockdep_assert_held(&zone->lock);
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += zone->free_area[order].nr_free << order;
	return pages;
}

/**
 * squeezy_zone_free_pages - pages on the free lists, exactly
 * @p: the partition
 */
unsigned long squeezy_zone_free_pages(struct squeezy_partition *p)
{
	unsigned long flags, pages = 0;

	/* Hot-add initialises the zone and its lock, also when it is not the first. */
	spin_lock(&squeezy_lock);
	if (squeezy_state_has_pages(p->state)) {
		spin_lock_irqsave(&p->zone->lock, flags);
		pages = free_pages_locked(p->zone);
		spin_unlock_irqrestore(&p->zone->lock, flags);
	}
	spin_unlock(&squeezy_lock);
	return pages;
}

/**
 * squeezy_zone_cached_pages - free pages on per-CPU lists, at a glance
 * @p: the partition
 */
unsigned long squeezy_zone_cached_pages(struct squeezy_partition *p)
{
	unsigned long pages = 0;
	int cpu;

	for_each_online_cpu(cpu)
		pages += READ_ONCE(per_cpu_ptr(p->zone->per_cpu_pageset, cpu)->count);
	return pages;
}

#define for_each_max_order_page(page, p)					\
	for (page = pfn_to_page((p)->start_pfn);				\
	     page < pfn_to_page((p)->start_pfn) + squeezy_layout.pages;		\
	     page += MAX_ORDER_NR_PAGES)

/* All free pages have merged, unless a page is lost or a page block changed its type. */
static bool all_merged(struct squeezy_partition *p)
{
	struct page *page;

	for_each_max_order_page(page, p)
		if ((!PageBuddy(page) || buddy_order(page) != MAX_PAGE_ORDER) &&
		    !squeezy_poison_in(p, page_to_pfn(page), MAX_ORDER_NR_PAGES))
			return false;
	return true;
}

static void take_page(struct zone *zone, struct page *page, unsigned int order)
{
	list_del(&page->buddy_list);
	__ClearPageReported(page);
	__ClearPageBuddy(page);
	set_page_private(page, 0);
	zone->free_area[order].nr_free--;
}

static void take_pages(struct squeezy_partition *p)
{
	struct page *page = pfn_to_page(p->start_pfn);
	struct page *end = page + squeezy_layout.pages;

	while (page < end) {
		unsigned int order = PageBuddy(page) ? buddy_order(page) : 0;

		if (PageBuddy(page))
			take_page(p->zone, page, order);
		page += 1UL << order;
	}
}

/* Takes the whole partition or nothing. Returns the pages missing. */
static unsigned long take_if_empty(struct squeezy_partition *p)
{
	unsigned long flags, missing, free;
	struct zone *zone = p->zone;

	spin_lock_irqsave(&zone->lock, flags);
	free = free_pages_locked(zone);
	missing = squeezy_layout.pages - free;
	if (missing && squeezy_poison_take(p, missing))
		missing = 0;
	if (!missing && !all_merged(p))
		missing = MAX_ORDER_NR_PAGES;
	if (!missing) {
		take_pages(p);
		__mod_zone_page_state(zone, NR_FREE_PAGES, -(long)free);
		WARN_ON_ONCE(free_pages_locked(zone));
	}
	spin_unlock_irqrestore(&zone->lock, flags);
	return missing;
}

static unsigned long look_if_empty(struct squeezy_partition *p)
{
	return squeezy_layout.pages - squeezy_zone_free_pages(p);
}

/*
 * What CPUs keep to themselves is taken back here, so that the first look is
 * the last as long as nobody uses a page; straggler.c's work is whatever takes
 * longer.
 */
static unsigned long until_empty(struct squeezy_partition *p,
				 unsigned long (*look)(struct squeezy_partition *))
{
	unsigned long missing = look(p);

	squeezy_count(SQUEEZY_DRAIN_PASSES);
	if (missing) {
		lru_add_drain();
		__squeezy_drain_pages(p->zone);
		missing = look(p);
	}
	if (missing && squeezy_straggler_batches(p, missing)) {
		__squeezy_drain_pages(p->zone);
		missing = look(p);
	}
	if (missing)
		squeezy_count(SQUEEZY_DRAIN_BUSY);
	trace_squeezy_drain_pass(p->id, missing);
	return missing;
}

/**
 * squeezy_zone_empty - has the last page of a released partition come back?
 * @p: the partition
 *
 * Return: the number of pages that are still in use.
 */
unsigned long squeezy_zone_empty(struct squeezy_partition *p)
{
	return until_empty(p, look_if_empty);
}

/**
 * squeezy_zone_take - take every page of a partition off the free lists
 * @p: the partition
 *
 * May sleep. The partition must not be claimed nor claimable.
 *
 * Return: 0, or the number of pages in use; nothing has been taken then.
 */
unsigned long squeezy_zone_take(struct squeezy_partition *p)
{
	return until_empty(p, take_if_empty);
}

/**
 * squeezy_zone_take_fresh - as squeezy_zone_take(), right after hot-add
 * @p: the partition
 *
 * Nobody has had a page yet, so there is nowhere to look for missing ones.
 */
unsigned long squeezy_zone_take_fresh(struct squeezy_partition *p)
{
	return take_if_empty(p);
}

/**
 * squeezy_zone_park - make the pages that were taken invisible
 * @p: the partition
 *
 * On return nobody reads or writes them: neither the allocator nor a pfn
 * walker, nor a /proc/kcore reader that was in the middle of one.
 */
void squeezy_zone_park(struct squeezy_partition *p)
{
	adjust_managed_page_count(pfn_to_page(p->start_pfn), -(long)squeezy_layout.pages);
	page_offline_begin();
	offline_mem_sections(p->start_pfn, p->start_pfn + squeezy_layout.pages);
	page_offline_end();
}

/* What free_pages_prepare() would have done to a page that is being freed. */
static void prepare_contents(struct page *page)
{
	unsigned int i;

	for (i = 0; i < MAX_ORDER_NR_PAGES; i++) {
		if (want_init_on_free())
			clear_highpage_kasan_tagged(page + i);
		if (i % 512 == 0)
			cond_resched();
	}
	kernel_poison_pages(page, MAX_ORDER_NR_PAGES);
}

/**
 * squeezy_zone_unpark - give the pages of a plugged partition to the allocator
 * @p: the partition
 */
void squeezy_zone_unpark(struct squeezy_partition *p)
{
	struct zone *zone = p->zone;
	unsigned long flags;
	struct page *page;

	if (want_init_on_free() || page_poisoning_enabled_static()) {
		for_each_max_order_page(page, p) {
			debug_pagealloc_map_pages(page, MAX_ORDER_NR_PAGES);
			prepare_contents(page);
			debug_pagealloc_unmap_pages(page, MAX_ORDER_NR_PAGES);
		}
	}
	online_mem_sections(p->start_pfn, p->start_pfn + squeezy_layout.pages);
	adjust_managed_page_count(pfn_to_page(p->start_pfn), squeezy_layout.pages);
	spin_lock_irqsave(&zone->lock, flags);
	for_each_max_order_page(page, p)
		__putback_isolated_page(page, MAX_PAGE_ORDER, MIGRATE_MOVABLE);
	spin_unlock_irqrestore(&zone->lock, flags);
}

#ifdef CONFIG_SQUEEZY_KUNIT_TEST
#include "tests/zone_kunit.c"
#endif
