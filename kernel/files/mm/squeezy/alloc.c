// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a partition: who gets one, and what happens when it is full.
 *
 * Placement is decided by the owner's memcg when a page is allocated, and
 * verified when it is charged. A release in between makes the charge fail,
 * and the page goes back unmapped: the drain counts it as missing until then.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/migrate.h>
#include <linux/oom.h>
#include <linux/psi.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "../internal.h"
#include "internal.h"

/* 31 pages a refill, as in any zone of useful size; no more than four refills are kept. */
#define PCP_BATCH 31
#define PCP_HIGH (4 * PCP_BATCH)

/* Rounds of one tick between two sweeps of all CPUs while a fault waits for room. */
#define LEFTOVERS_EVERY 50

void __squeezy_pcp_limits(struct zone *zone, int *high_min, int *high_max, int *batch)
{
	if (!squeezy_is_private_node(zone_to_nid(zone)))
		return;
	*batch = PCP_BATCH;
	*high_min = PCP_HIGH;
	*high_max = PCP_HIGH;
}

static struct folio *take_folio(gfp_t gfp, int order, int nid)
{
	return __squeezy_alloc_folio(gfp, order, squeezy_partition_of(nid)->zone);
}

static bool task_is_dying(void)
{
	return tsk_is_oom_victim(current) || fatal_signal_pending(current) ||
	       (current->flags & PF_EXITING);
}

static struct mem_cgroup *get_claimant(int nid)
{
	struct squeezy_partition *p = squeezy_partition_of(nid);
	struct mem_cgroup *memcg;

	spin_lock(&squeezy_lock);
	memcg = p->claimant;
	if (memcg)
		css_get(&memcg->css);
	spin_unlock(&squeezy_lock);
	return memcg;
}

/* out_of_memory() leaves this behind when an earlier victim is still on its way out. */
static bool has_chosen(struct oom_control *oc)
{
	return oc->chosen && oc->chosen != (void *)-1UL;
}

/*
 * Kills inside the claimant, or finds a free page after all. Returns false
 * when there is nobody to kill, or when the caller itself must give up.
 */
static bool kill_inside(struct mem_cgroup *claimant, gfp_t gfp, int nid,
			struct folio **ret_folio)
{
	struct oom_control oc = {
		.memcg = claimant,
		.gfp_mask = gfp,
	};
	bool progress;

	if (mutex_lock_killable(&oom_lock))
		return false;
	/* Somebody may have been killed while we waited for the lock. */
	*ret_folio = take_folio(gfp, 0, nid);
	if (*ret_folio) {
		mutex_unlock(&oom_lock);
		return true;
	}
	progress = task_is_dying() || out_of_memory(&oc);
	mutex_unlock(&oom_lock);
	if (has_chosen(&oc)) {
		memcg_memory_event(claimant, MEMCG_OOM);
		squeezy_count(SQUEEZY_OOM_KILLS);
	}
	if (progress)
		return true;
	/*
	 * Only unkillable tasks (oom_score_adj -1000) are left. A member that
	 * faults would come back for ever: it has to go itself. A remote
	 * faulter gets its error.
	 */
	if (!(current->flags & PF_KTHREAD) && squeezy_mm_nid(current->mm) == nid)
		force_sig(SIGKILL);
	return false;
}

/*
 * Everything short of a kill: pages that other CPUs and batches keep. Costly
 * for everybody, so only at the first round and now and then after that.
 */
static struct folio *take_leftovers(gfp_t gfp, int nid, unsigned int round)
{
	if (round % LEFTOVERS_EVERY)
		return take_folio(gfp, 0, nid);
	lru_add_drain_all();
	drain_all_pages(squeezy_partition_of(nid)->zone);
	return take_folio(gfp, 0, nid);
}

/*
 * The partition is full, which memory.max should have prevented. The fault
 * waits until somebody inside has died and made room, or dies itself.
 */
static struct folio *take_under_pressure(gfp_t gfp, struct mm_struct *mm, int nid)
{
	struct folio *folio = NULL;
	struct mem_cgroup *claimant;
	unsigned int round;

	squeezy_count(SQUEEZY_PARTITION_FULL);
	for (round = 0; squeezy_mm_nid(mm) == nid; round++) {
		folio = take_leftovers(gfp, nid, round);
		if (folio || task_is_dying())
			break;
		claimant = get_claimant(nid);
		if (!claimant)
			break;
		if (!kill_inside(claimant, gfp, nid, &folio)) {
			css_put(&claimant->css);
			break;
		}
		css_put(&claimant->css);
		if (folio || task_is_dying())
			break;
		schedule_timeout_killable(1);
	}
	return folio;
}

static bool may_wait(gfp_t gfp, int order)
{
	return !order && (gfp & __GFP_DIRECT_RECLAIM) &&
	       !(gfp & (__GFP_NORETRY | __GFP_RETRY_MAYFAIL));
}

bool __squeezy_vma_alloc(gfp_t gfp, int order, struct vm_area_struct *vma,
			 struct folio **ret_folio)
{
	unsigned long psi_flags;
	int nid;

	/* Drivers that map pages of their own ask without it. */
	if (!(gfp & __GFP_MOVABLE))
		return false;
	nid = squeezy_mm_nid(vma->vm_mm);
	if (!nid)
		return false;

	*ret_folio = take_folio(gfp, order, nid);
	if (likely(*ret_folio) || !may_wait(gfp, order))
		return true;

	psi_memstall_enter(&psi_flags);
	*ret_folio = take_under_pressure(gfp, vma->vm_mm, nid);
	psi_memstall_leave(&psi_flags);
	/* Released meanwhile: normal memory it is. */
	return *ret_folio || squeezy_mm_nid(vma->vm_mm) == nid;
}

/*
 * khugepaged and MADV_COLLAPSE, anonymous and file memory alike. Pages of a
 * partition are anonymous, so one among the sources settles what this is.
 * Without one it may be a file or shmem: those must not enter a partition,
 * and an anonymous range that predates the claim must not be copied to normal
 * memory either. Both are refused for a claiming owner.
 */
bool __squeezy_collapse_alloc(gfp_t gfp, struct mm_struct *mm, const u32 *node_load,
			      struct folio **ret_folio)
{
	int own = squeezy_mm_nid(mm);
	bool foreign = false;
	int nid;

	for (nid = squeezy_first_nid; nid < squeezy_first_nid + (int)squeezy_nr_nodes; nid++)
		foreign |= nid != own && node_load[nid];
	if (!own && !foreign)
		return false;
	*ret_folio = NULL;
	if (own && !foreign && node_load[own])
		*ret_folio = take_folio(gfp, HPAGE_PMD_ORDER, own);
	return true;
}

struct mem_cgroup *__squeezy_charge_target(struct folio *folio, struct mem_cgroup *memcg)
{
	struct mem_cgroup *claimant;
	int nid = folio_nid(folio);

	if (!squeezy_is_private_node(nid) || likely(READ_ONCE(memcg->squeezy.nid) == nid))
		return memcg;
	/* Released, or the task was moved. The page keeps the claim from being another's. */
	claimant = get_claimant(nid);
	squeezy_count(claimant ? SQUEEZY_CHARGES_REDIRECTED : SQUEEZY_CHARGES_REFUSED);
	return claimant;
}

void __squeezy_charge_put(struct mem_cgroup *target)
{
	css_put(&target->css);
}

/* One pass over the pages of @memcg itself in the partition it claims. */
static unsigned long shrink_partition(struct mem_cgroup *memcg, gfp_t gfp)
{
	unsigned long scanned;
	int nid = READ_ONCE(memcg->squeezy.nid);

	return nid ? mem_cgroup_shrink_node(memcg, gfp, true, NODE_DATA(nid), &scanned) : 0;
}

unsigned long __squeezy_memcg_reclaim(struct mem_cgroup *memcg, gfp_t gfp,
				      unsigned long nr_wanted)
{
	unsigned long reclaimed = 0;
	struct mem_cgroup *iter;

	for (iter = mem_cgroup_iter(memcg, NULL, NULL); iter;
	     iter = mem_cgroup_iter(memcg, iter, NULL)) {
		reclaimed += shrink_partition(iter, gfp);
		if (reclaimed >= nr_wanted || fatal_signal_pending(current)) {
			mem_cgroup_iter_break(memcg, iter);
			break;
		}
		cond_resched();
	}
	return reclaimed;
}

bool __squeezy_migration_refused(struct folio *src, struct folio *dst,
				 enum migrate_reason reason)
{
	int from = folio_nid(src), to = folio_nid(dst);

	if (from == to || (!squeezy_is_private_node(from) && !squeezy_is_private_node(to)))
		return false;
	squeezy_count(SQUEEZY_MIGRATIONS_REFUSED);
	return true;
}
