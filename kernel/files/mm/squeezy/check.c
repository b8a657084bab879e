// SPDX-License-Identifier: GPL-2.0-only
/*
 * The check: is every page of every partition what it may be, and do the
 * counts add up?
 *
 * All goes on meanwhile: a page may be between two lists, a partition between
 * two states. So what looks wrong is looked at again, after every CPU has
 * scheduled, and counts only if each of many looks has found it. What can
 * never be, not even for a moment, of a page that we hold a reference to (page
 * cache, kernel memory, a charge to somebody else) counts at once.
 *
 * Locks: memory hotplug is held off while one partition is looked at, and the
 * zone lock is held for one block of the largest order at a time.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pageblock-flags.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include "../internal.h"
#include "internal.h"

/* Looks until something counts as wrong, and the longest pause between two. */
#define LOOKS 60
#define PAUSE_MAX_MS 100
/* Findings that are printed; the text must fit a page. */
#define REPORTS_MAX 20
/* Longer free lists are not measured: that needs the zone lock for all of it. */
#define LIST_ENTRIES_MAX 4096

enum fault {
	FAULT_MANAGED,
	FAULT_FREE_COUNT,
	FAULT_FREE_LISTS,
	FAULT_FREE_PAGES,
	FAULT_PCP,
	FAULT_SECTIONS,
	FAULT_NODE,
	FAULT_ZONELIST,
	FAULT_CLAIM,
	NR_FAULTS
};

static const char * const fault_names[NR_FAULTS] = {
	[FAULT_MANAGED]		= "managed pages do not fit its state",
	[FAULT_FREE_COUNT]	= "NR_FREE_PAGES is not the sum of the free lists",
	[FAULT_FREE_LISTS]	= "a free list is not as long as its count",
	[FAULT_FREE_PAGES]	= "a free page is referenced or in a block that is not movable",
	[FAULT_PCP]		= "a per-CPU list is longer or shorter than its count",
	[FAULT_SECTIONS]	= "sections are online or offline against its state",
	[FAULT_NODE]		= "its node counts memory of the kernel or of files",
	[FAULT_ZONELIST]	= "a zonelist has the zone of a partition",
	[FAULT_CLAIM]		= "claimant, state and node ids of cgroups contradict each other",
};

/* One partition through all looks. */
struct suspicion {
	const char *proof;		/* what one look has proved, if anything */
	unsigned long proof_pfn;
	unsigned long faults;		/* bits of enum fault */
	unsigned long *pages;		/* a bit for each page */
	unsigned long *listed;		/* on per-CPU lists at this look */
};

/* One look at one partition. */
struct look {
	struct squeezy_partition *p;
	enum squeezy_state state;
	u64 owner;			/* id of the claimant's cgroup, or of the last one's */
	struct suspicion *s;
	unsigned long faults;
	bool first;
	bool proved;			/* the judgement of a page needs no other look */
	struct seq_file *report;	/* at the last look */
};

static DEFINE_MUTEX(check_mutex);
static unsigned int nr_reports;

static void report_page(struct look *l, struct page *page, const char *why)
{
	if (nr_reports++ < REPORTS_MAX)
		seq_printf(l->report, "partition %u (%s): pfn %#lx: %s (references %d)\n",
			   l->p->id, squeezy_state_name(l->state), page_to_pfn(page), why,
			   page_ref_count(page));
}

static const char *proved(struct look *l, const char *why)
{
	l->proved = true;
	return why;
}

static bool is_owners(struct look *l, struct mem_cgroup *memcg)
{
	while (memcg && squeezy_cgroup_id(memcg) != l->owner)
		memcg = parent_mem_cgroup(memcg);
	return memcg;
}

/*
 * A partition with a page in use cannot be claimed, so it is still the same
 * owner's if it is claimed or released as it was when the look began.
 */
static bool owner_is_known(struct look *l)
{
	return squeezy_get_state(l->p) == l->state && READ_ONCE(l->p->owner_id) == l->owner;
}

static const char *judge_anon(struct look *l, struct folio *folio)
{
	struct mem_cgroup *memcg;
	const char *why = NULL;

	if (folio_test_ksm(folio))
		return proved(l, "merged by KSM");
	if (folio_test_swapcache(folio))
		return proved(l, "in the swap cache");
	if (folio_mapcount(folio) > folio_ref_count(folio))
		return "mapped more often than referenced";
	if (l->state != SQUEEZY_CLAIMED && l->state != SQUEEZY_RELEASED)
		return "in use, but nobody claims the partition";
	rcu_read_lock();
	memcg = folio_memcg(folio);
	if (!memcg)
		why = "charged to nobody";
	else if (!is_owners(l, memcg) && owner_is_known(l))
		why = proved(l, "charged to a cgroup outside of the claimant");
	rcu_read_unlock();
	return why;
}

/* Our reference keeps @folio what it is, so what must never be is proved by one look. */
static const char *judge_folio(struct look *l, struct folio *folio)
{
	if (folio_test_slab(folio) || folio_memcg_kmem(folio))
		return proved(l, "kernel memory");
	if (folio_test_pgtable(folio))
		return proved(l, "a page table");
	if (folio_test_hugetlb(folio))
		return proved(l, "of a hugetlb pool");
	if (folio_test_reserved(folio) || PageOffline(&folio->page))
		return "reserved or offline";
	if (folio_test_anon(folio))
		return judge_anon(l, folio);
	if (folio_mapping(folio))
		return proved(l, "page cache");
	if (folio_mapped(folio))
		return "mapped, but not anonymous";
	/* A fault that has not mapped it yet, unless that lasts. */
	return "in use, but not anonymous";
}

/* *@ret_nr: pages from @page on that the answer holds for. */
static const char *judge_page(struct look *l, struct page *page, unsigned int *ret_nr)
{
	struct folio *folio = page_folio(page);
	const char *why;

	*ret_nr = 1;
	if (PageHWPoison(page))
		return NULL;
	if (!folio_try_get(folio))
		return test_bit(page_to_pfn(page) - l->p->start_pfn, l->s->listed) ?
		       NULL : "not in use, but on no list";
	if (page_folio(page) != folio) {
		why = "not in use, but on no list";
	} else {
		why = judge_folio(l, folio);
		*ret_nr = folio_nr_pages(folio) - folio_page_idx(folio, page);
	}
	folio_put(folio);
	return why;
}

static const char *judge_parked(struct page *page)
{
	if (PageHWPoison(page))
		return NULL;
	if (page_ref_count(page))
		return "referenced, but parked";
	if (PageBuddy(page))
		return "on a free list, but parked";
	if (PageLRU(page) || PageSlab(page) || PageReserved(page))
		return "in use, but parked";
	return NULL;
}

/* The pages of a block that are on no free list. */
static void find_not_free(struct look *l, unsigned long pfn, unsigned long *not_free)
{
	struct zone *zone = l->p->zone;
	unsigned int i, end;

	bitmap_fill(not_free, MAX_ORDER_NR_PAGES);
	spin_lock_irq(&zone->lock);
	for (i = 0; i < MAX_ORDER_NR_PAGES; i = end) {
		struct page *page = pfn_to_page(pfn + i);

		end = i + 1;
		if (!is_migrate_movable(get_pageblock_migratetype(page)))
			l->faults |= BIT(FAULT_FREE_PAGES);
		if (!PageBuddy(page))
			continue;
		end = i + (1U << buddy_order(page));
		bitmap_clear(not_free, i, end - i);
		for (; page < pfn_to_page(pfn) + end; page++)
			if (page_ref_count(page))
				l->faults |= BIT(FAULT_FREE_PAGES);
	}
	spin_unlock_irq(&zone->lock);
}

/* A fault of free pages makes none of them suspect. */
static bool may_be_wrong(struct look *l, const unsigned long *suspects)
{
	return l->first || !bitmap_empty(suspects, MAX_ORDER_NR_PAGES) ||
	       l->s->faults & BIT(FAULT_FREE_PAGES);
}

/* One block of the largest order; free blocks do not reach across its border. */
static void look_at_block(struct look *l, unsigned long pfn)
{
	DECLARE_BITMAP(not_free, MAX_ORDER_NR_PAGES);
	DECLARE_BITMAP(bad, MAX_ORDER_NR_PAGES);
	unsigned long *suspects = l->s->pages + BIT_WORD(pfn - l->p->start_pfn);
	unsigned int i, nr;

	if (!may_be_wrong(l, suspects))
		return;
	bitmap_zero(bad, MAX_ORDER_NR_PAGES);
	if (l->state == SQUEEZY_PARKED)
		bitmap_fill(not_free, MAX_ORDER_NR_PAGES);
	else
		find_not_free(l, pfn, not_free);
	for (i = 0; i < MAX_ORDER_NR_PAGES; i += nr) {
		struct page *page = pfn_to_page(pfn + i);
		const char *why;

		nr = 1;
		if (!test_bit(i, not_free))
			continue;
		l->proved = false;
		why = l->state == SQUEEZY_PARKED ? judge_parked(page) : judge_page(l, page, &nr);
		nr = min(nr, MAX_ORDER_NR_PAGES - i);
		if (!why)
			continue;
		bitmap_set(bad, i, nr);
		if (l->proved && !l->s->proof) {
			l->s->proof = why;
			l->s->proof_pfn = pfn + i;
		}
		if (l->report && test_bit(i, suspects))
			report_page(l, page, why);
	}
	if (l->first)
		bitmap_copy(suspects, bad, MAX_ORDER_NR_PAGES);
	else
		bitmap_and(suspects, suspects, bad, MAX_ORDER_NR_PAGES);
}

static void look_at_pages(struct look *l)
{
	unsigned long pfn;

	for (pfn = l->p->start_pfn; pfn < l->p->start_pfn + squeezy_layout.pages;
	     pfn += MAX_ORDER_NR_PAGES) {
		look_at_block(l, pfn);
		cond_resched();
	}
}

static unsigned int pcp_order(unsigned int list)
{
	return list < NR_LOWORDER_PCP_LISTS ? list / MIGRATE_PCPTYPES : HPAGE_PMD_ORDER;
}

static void look_at_pcp(struct look *l, struct per_cpu_pages *pcp)
{
	unsigned long start = l->p->start_pfn;
	struct page *page;
	unsigned int i;
	int count = 0;

	spin_lock(&pcp->lock);
	for (i = 0; i < NR_PCP_LISTS; i++) {
		list_for_each_entry(page, &pcp->lists[i], pcp_list) {
			unsigned long pfn = page_to_pfn(page);

			count += 1 << pcp_order(i);
			if (pfn < start || pfn >= start + squeezy_layout.pages) {
				l->faults |= BIT(FAULT_PCP);
				break;
			}
			bitmap_set(l->s->listed, pfn - start, 1 << pcp_order(i));
		}
	}
	if (count != pcp->count || (count && l->state == SQUEEZY_PARKED))
		l->faults |= BIT(FAULT_PCP);
	spin_unlock(&pcp->lock);
}

static void look_at_pcps(struct look *l)
{
	int cpu;

	bitmap_zero(l->s->listed, squeezy_layout.pages);
	for_each_possible_cpu(cpu)
		look_at_pcp(l, per_cpu_ptr(l->p->zone->per_cpu_pageset, cpu));
}

static bool list_length_is(struct free_area *area)
{
	struct list_head *at;
	unsigned long length = 0;
	int type;

	for (type = 0; type < MIGRATE_TYPES; type++)
		list_for_each(at, &area->free_list[type])
			length++;
	return length == area->nr_free;
}

static void look_at_counts(struct look *l)
{
	struct zone *zone = l->p->zone;
	unsigned long managed = l->state == SQUEEZY_PARKED ? 0 : squeezy_layout.pages;
	unsigned long pages = 0, entries = 0;
	int order;

	if (zone_managed_pages(zone) != managed)
		l->faults |= BIT(FAULT_MANAGED);
	spin_lock_irq(&zone->lock);
	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		pages += zone->free_area[order].nr_free << order;
		entries += zone->free_area[order].nr_free;
	}
	if (zone_page_state_snapshot(zone, NR_FREE_PAGES) != pages ||
	    (l->state == SQUEEZY_PARKED && pages))
		l->faults |= BIT(FAULT_FREE_COUNT);
	for (order = 0; order < NR_PAGE_ORDERS && entries < LIST_ENTRIES_MAX; order++)
		if (!list_length_is(&zone->free_area[order]))
			l->faults |= BIT(FAULT_FREE_LISTS);
	spin_unlock_irq(&zone->lock);
}

static void look_at_sections(struct look *l)
{
	bool online = l->state != SQUEEZY_PARKED;
	unsigned long pfn;

	for (pfn = l->p->start_pfn; pfn < l->p->start_pfn + squeezy_layout.pages;
	     pfn += PAGES_PER_SECTION)
		if (!!online_section_nr(pfn_to_section_nr(pfn)) != online)
			l->faults |= BIT(FAULT_SECTIONS);
}

static void look_at_node(struct look *l)
{
	static const enum node_stat_item items[] = {
		NR_SLAB_RECLAIMABLE_B, NR_SLAB_UNRECLAIMABLE_B, NR_FILE_PAGES, NR_FILE_MAPPED,
		NR_FILE_DIRTY, NR_SHMEM, NR_KERNEL_STACK_KB, NR_PAGETABLE,
		NR_KERNEL_MISC_RECLAIMABLE,
	};
	struct pglist_data *pgdat = NODE_DATA(l->p->nid);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (node_page_state_pages(pgdat, items[i]))
			l->faults |= BIT(FAULT_NODE);
}

static bool list_has_partition(int nid)
{
	struct zoneref *z;
	int i;

	for (i = 0; i < MAX_ZONELISTS; i++)
		for (z = NODE_DATA(nid)->node_zonelists[i]._zonerefs; z->zone; z++)
			if (squeezy_is_private_node(zonelist_node_idx(z)))
				return true;
	return false;
}

/* Lists are built anew at hot-add only, which is held off. */
static void look_at_zonelists(struct look *l)
{
	int nid;

	for_each_online_node(nid)
		if ((nid == l->p->nid || !squeezy_is_private_node(nid)) && list_has_partition(nid))
			l->faults |= BIT(FAULT_ZONELIST);
}

static void look_at_claim(struct look *l)
{
	struct squeezy_partition *p = l->p;
	bool claimed;

	spin_lock(&squeezy_lock);
	l->state = p->state;
	l->owner = p->owner_id;
	claimed = l->state == SQUEEZY_CLAIMED;
	if (claimed != !!p->claimant || (claimed && p->claimant->squeezy.nid != p->nid))
		l->faults |= BIT(FAULT_CLAIM);
	spin_unlock(&squeezy_lock);
}

static void look_at(struct look *l)
{
	get_online_mems();
	look_at_claim(l);
	if (squeezy_state_has_pages(l->state) || l->state == SQUEEZY_PARKED) {
		look_at_counts(l);
		look_at_sections(l);
		look_at_node(l);
		look_at_zonelists(l);
		look_at_pcps(l);
		look_at_pages(l);
	} else {
		bitmap_zero(l->s->pages, squeezy_layout.pages);
	}
	put_online_mems();
	l->s->faults = l->first ? l->faults : l->s->faults & l->faults;
}

/* A child has its parent's node; without one it has its own claim's or none. */
static bool nid_is_right(struct mem_cgroup *memcg)
{
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);
	int nid = memcg->squeezy.nid;

	if (parent && parent->squeezy.nid)
		return nid == parent->squeezy.nid;
	return !nid || (squeezy_is_private_node(nid) &&
			squeezy_partition_of(nid)->claimant == memcg);
}

/* Holds squeezy_lock for all cgroups: what changes a claim cannot run meanwhile. */
static bool cgroups_are_right(void)
{
	struct cgroup_subsys_state *css;
	bool right = true;

	spin_lock(&squeezy_lock);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &root_mem_cgroup->css)
		if (css->flags & CSS_ONLINE)
			right &= nid_is_right(mem_cgroup_from_css(css));
	rcu_read_unlock();
	spin_unlock(&squeezy_lock);
	return right;
}

static bool is_suspect(struct suspicion *s)
{
	return s->proof || s->faults || !bitmap_empty(s->pages, squeezy_layout.pages);
}

/* Returns whether anything still looks wrong. */
static bool look_once(struct suspicion *all, unsigned int round, struct seq_file *m)
{
	struct squeezy_partition *p;
	bool wrong = false;

	for_each_squeezy_partition(p) {
		struct look l = {
			.p = p,
			.s = all + p->id,
			.first = !round,
			.report = round == LOOKS - 1 ? m : NULL,
		};

		if (round && !is_suspect(l.s))
			continue;
		look_at(&l);
		wrong |= is_suspect(l.s);
	}
	return wrong;
}

static void report_faults(struct suspicion *all, bool cgroups_wrong, struct seq_file *m)
{
	struct squeezy_partition *p;
	unsigned long fault;

	for_each_squeezy_partition(p)
		if (all[p->id].proof && nr_reports++ < REPORTS_MAX)
			seq_printf(m, "partition %u: pfn %#lx was %s\n", p->id,
				   all[p->id].proof_pfn, all[p->id].proof);
	for_each_squeezy_partition(p)
		for_each_set_bit(fault, &all[p->id].faults, NR_FAULTS)
			if (nr_reports++ < REPORTS_MAX)
				seq_printf(m, "partition %u: %s\n", p->id, fault_names[fault]);
	if (cgroups_wrong)
		seq_puts(m, "a cgroup's node is not that of its claim\n");
	if (nr_reports > REPORTS_MAX)
		seq_printf(m, "and %u more\n", nr_reports - REPORTS_MAX);
}

static void run(struct suspicion *all, struct seq_file *m)
{
	bool wrong = true, cgroups_wrong = true;
	unsigned int round;

	nr_reports = 0;
	for (round = 0; round < LOOKS && (wrong || cgroups_wrong); round++) {
		if (round) {
			synchronize_rcu();
			schedule_timeout_idle(msecs_to_jiffies(min(1U << min(round, 10U),
								   PAUSE_MAX_MS)));
		}
		wrong = wrong && look_once(all, round, m);
		cgroups_wrong = cgroups_wrong && !cgroups_are_right();
	}
	if (wrong || cgroups_wrong)
		report_faults(all, cgroups_wrong, m);
	else
		seq_puts(m, "ok\n");
}

static void free_suspicions(struct suspicion *all)
{
	unsigned int i;

	for (i = 0; i < squeezy_layout.count; i++) {
		kvfree(all[i].pages);
		kvfree(all[i].listed);
	}
	kfree(all);
}

static struct suspicion *alloc_suspicions(void)
{
	size_t longs = BITS_TO_LONGS(squeezy_layout.pages);
	struct suspicion *all;
	unsigned int i;

	all = kcalloc(squeezy_layout.count, sizeof(*all), GFP_KERNEL);
	if (!all)
		return NULL;
	for (i = 0; i < squeezy_layout.count; i++) {
		all[i].pages = kvcalloc(longs, sizeof(long), GFP_KERNEL);
		all[i].listed = kvcalloc(longs, sizeof(long), GFP_KERNEL);
		if (!all[i].pages || !all[i].listed) {
			free_suspicions(all);
			return NULL;
		}
	}
	return all;
}

/**
 * squeezy_check - look at every page and count; one line per mistake, or "ok"
 * @m: where to write; at most a page is written
 *
 * May sleep for seconds if something is wrong.
 *
 * Return: 0 or an error.
 */
int squeezy_check(struct seq_file *m)
{
	struct suspicion *all;
	int rc;

	rc = mutex_lock_killable(&check_mutex);
	if (rc)
		return rc;
	all = alloc_suspicions();
	if (all) {
		run(all, m);
		free_suspicions(all);
	} else {
		rc = -ENOMEM;
	}
	mutex_unlock(&check_mutex);
	return rc;
}
