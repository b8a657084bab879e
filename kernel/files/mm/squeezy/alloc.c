// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a partition: who gets one, who pays, and what must not move.
 *
 * Placement is decided by the owner's memcg when a page is allocated, and
 * verified when it is charged. A release in between makes the charge fail,
 * and the page goes back unmapped: the drain counts it as missing until then.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/migrate.h>
#include <linux/mm.h>

#include <trace/events/squeezy.h>

#include "../internal.h"
#include "internal.h"

/* 31 pages a refill, as in any zone of useful size; no more than four refills are kept. */
#define PCP_BATCH 31
#define PCP_HIGH (4 * PCP_BATCH)

void __squeezy_pcp_limits(struct zone *zone, int *high_min, int *high_max, int *batch)
{
	if (!squeezy_is_private_node(zone_to_nid(zone)))
		return;
	*batch = PCP_BATCH;
	*high_min = PCP_HIGH;
	*high_max = PCP_HIGH;
}

/**
 * squeezy_take_folio - a folio of a partition that somebody claims
 * @gfp: allocation flags
 * @order: of the folio
 * @p: the partition
 *
 * While a memory map is made its pages are on the free lists, with no memory
 * behind them: whoever read the claim long ago must not get one. map.c waits
 * for a grace period before that.
 *
 * Return: a folio, which may be another claimant's by now: the caller has to
 * look once more. Or NULL.
 */
struct folio *squeezy_take_folio(gfp_t gfp, int order, struct squeezy_partition *p)
{
	struct folio *folio = NULL;

	rcu_read_lock();
	if (likely(squeezy_get_state(p) == SQUEEZY_CLAIMED))
		folio = __squeezy_alloc_folio(gfp, order, p->zone);
	rcu_read_unlock();
	return folio;
}

/* A page in use keeps a partition from being claimed, so this look is the last. */
static struct folio *still_owned(struct folio *folio, struct mm_struct *mm, int nid)
{
	if (!folio || likely(squeezy_mm_nid(mm) == nid))
		return folio;
	folio_put(folio);
	return NULL;
}

static bool may_wait(gfp_t gfp, int order)
{
	return !order && (gfp & __GFP_DIRECT_RECLAIM) &&
	       !(gfp & (__GFP_NORETRY | __GFP_RETRY_MAYFAIL));
}

/*
 * Linux repeats a fault on a droppable mapping that got no page, and in the
 * middle of a system call does so for ever: no signal is looked at. Whoever is
 * to die there gets what it needs.
 */
static bool cannot_end(struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_DROPPABLE) && squeezy_task_is_dying();
}

static struct folio *alloc_from(gfp_t gfp, int order, struct vm_area_struct *vma, int nid)
{
	struct folio *folio;

	squeezy_delay(SQUEEZY_DELAY_LOOK);
	folio = squeezy_take_folio(gfp, order, squeezy_partition_of(nid));
	if (unlikely(!folio) && may_wait(gfp, order))
		folio = squeezy_wait_for_page(gfp, vma, nid);
	folio = still_owned(folio, vma->vm_mm, nid);
	squeezy_delay(SQUEEZY_DELAY_CHARGE);
	if (likely(folio))
		return folio;
	/* Released meanwhile, or on its way out: normal memory it is. */
	return squeezy_mm_nid(vma->vm_mm) != nid || cannot_end(vma) ? NULL : ERR_PTR(-ENOMEM);
}

/* Out of line, so that a fault of a task without a claim saves no registers for it. */
static noinline struct folio *alloc_inside(gfp_t gfp, int order, struct vm_area_struct *vma)
{
	int tried, nid = squeezy_mm_nid(vma->vm_mm);
	struct folio *folio = NULL;

	while (nid) {
		tried = nid;
		folio = alloc_from(gfp, order, vma, nid);
		if (folio)
			break;
		/* Moved to another claim meanwhile? */
		nid = squeezy_mm_nid(vma->vm_mm);
		if (likely(nid == tried))
			break;
	}
	return folio;
}

/* Has its owner no claim, for sure? Without a call: every fault comes here. */
static bool has_no_claim(struct mm_struct *mm)
{
	struct task_struct *owner;
	bool none;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	none = likely(owner && READ_ONCE(owner->__state) != TASK_NEW) && !squeezy_task_nid(owner);
	rcu_read_unlock();
	return none;
}

/* NULL: the owner has no partition; an error: that cannot serve the request. */
struct folio *__squeezy_vma_alloc(gfp_t gfp, int order, struct vm_area_struct *vma)
{
	/* Drivers that map pages of their own ask without __GFP_MOVABLE. */
	if (likely(has_no_claim(vma->vm_mm)) || !(gfp & __GFP_MOVABLE))
		return NULL;
	return alloc_inside(gfp, order, vma);
}

/* The same as squeezy_mm_nid(), but NUMA_NO_NODE for what is nobody's. */
static int owners_nid(struct mm_struct *mm)
{
	struct task_struct *owner;
	int nid;

	rcu_read_lock();
	owner = squeezy_mm_owner(mm);
	nid = owner ? squeezy_task_nid(owner) : NUMA_NO_NODE;
	rcu_read_unlock();
	return nid;
}

/*
 * khugepaged and MADV_COLLAPSE, anonymous and file memory alike. Pages of a
 * partition are anonymous, so one among the sources settles what this is.
 * Without one it may be a file or shmem: those must not enter a partition,
 * and an anonymous range that predates the claim must not be copied to normal
 * memory either. Both are refused for a claiming owner; and anything in memory
 * that is nobody's, as khugepaged has no claim and nobody would pay.
 */
bool __squeezy_collapse_alloc(gfp_t gfp, struct mm_struct *mm, const u32 *node_load,
			      struct folio **ret_folio)
{
	int nid, own = owners_nid(mm);
	bool foreign = own == NUMA_NO_NODE;

	for (nid = squeezy_first_nid; nid < squeezy_first_nid + (int)squeezy_nr_nodes; nid++)
		foreign |= nid != own && node_load[nid];
	if (!own && !foreign)
		return false;
	*ret_folio = NULL;
	squeezy_delay(SQUEEZY_DELAY_LOOK);
	if (own && !foreign && node_load[own])
		*ret_folio = still_owned(squeezy_take_folio(gfp, HPAGE_PMD_ORDER,
							    squeezy_partition_of(own)),
					 mm, own);
	return true;
}

/*
 * UFFDIO_COPY sleeps with a folio for anonymous memory in its hand, and may
 * find shmem mapped at the same address then. shmem locks its folios before
 * they are charged, anonymous memory never does (but for drivers' migration,
 * see Kconfig). Other files charge what they have allocated themselves, or
 * what __squeezy_collapse_alloc() has given them.
 */
static bool becomes_shmem(struct folio *folio)
{
	return folio_test_locked(folio);
}

/* Who causes this charge to the root, for memory that is nobody's, if the partition is its own. */
static struct mem_cgroup *get_writer(int nid)
{
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = mem_cgroup_from_task(current);
	if (READ_ONCE(memcg->squeezy.nid) != nid || !css_tryget(&memcg->css))
		memcg = NULL;
	rcu_read_unlock();
	return memcg;
}

static struct mem_cgroup *get_payer(struct mem_cgroup *memcg, int nid)
{
	struct mem_cgroup *payer = mem_cgroup_is_root(memcg) ? get_writer(nid) : NULL;

	return payer ?: squeezy_get_claimant(squeezy_partition_of(nid));
}

/* The reference that comes with memcg goes to what is returned, unless that is NULL. */
struct mem_cgroup *__squeezy_charge_target(struct folio *folio, int nid,
					   struct mem_cgroup *memcg)
{
	struct mem_cgroup *payer = NULL;
	bool anon = !becomes_shmem(folio);

	if (likely(anon && READ_ONCE(memcg->squeezy.nid) == nid))
		return memcg;
	/* Released, moved, or without an owner. The page keeps the claim from being another's. */
	if (anon)
		payer = get_payer(memcg, nid);
	squeezy_count(payer ? SQUEEZY_CHARGES_REDIRECTED : SQUEEZY_CHARGES_REFUSED);
	trace_squeezy_charge(squeezy_partition_of(nid)->id, squeezy_cgroup_id(memcg),
			     payer ? squeezy_cgroup_id(payer) : 0);
	if (payer)
		css_put(&memcg->css);
	return payer;
}

bool __squeezy_migration_refused(struct folio *src, struct folio *dst,
				 enum migrate_reason reason)
{
	int from = folio_nid(src), to = folio_nid(dst);

	if (from == to || (!squeezy_is_private_node(from) && !squeezy_is_private_node(to)))
		return false;
	if (squeezy_may_evict(from, to))
		return false;
	squeezy_count(SQUEEZY_MIGRATIONS_REFUSED);
	trace_squeezy_migration_refused(folio_pfn(src), from, to, reason);
	return true;
}
