// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim from partitions. What can be reclaimed there is what its owner has
 * given up (MADV_FREE, or parts of a huge page) or said that it can do without
 * (MAP_DROPPABLE): there is no swap and no file page.
 *
 * Reclaim on behalf of normal memory never comes here, it would free nothing
 * there.
 */
#include <linux/memcontrol.h>
#include <linux/mmzone.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "../internal.h"
#include "internal.h"

/* The pages of @memcg itself. memory.low is for pages that are still of use to somebody. */
static unsigned long reclaim_one(struct mem_cgroup *root, struct mem_cgroup *memcg, gfp_t gfp,
				 unsigned long nr_wanted)
{
	int nid = READ_ONCE(memcg->squeezy.nid);
	unsigned long nr, scanned, nr_reclaimed = 0;
	struct squeezy_partition *p;

	/* Also without a claim: what children are granted is computed from it. */
	mem_cgroup_calculate_protection(root, memcg);
	if (!nid || mem_cgroup_below_min(root, memcg))
		return 0;
	p = squeezy_partition_of(nid);
	/* Reclaim may sleep on wait queues of the node, which a new map makes anew. */
	if (!squeezy_pin_map(p))
		return 0;
	/*
	 * Huge pages of which only parts are mapped any more are split by a
	 * shrinker, and shrinkers are called by node. What that frees is not
	 * counted, here as in shrink_node(): the charge looks at its margin.
	 */
	shrink_slab(gfp, nid, memcg, 0);
	do {
		nr = mem_cgroup_shrink_node(memcg, gfp, true, NODE_DATA(nid), &scanned);
		nr_reclaimed += nr;
	} while (nr && nr_reclaimed < nr_wanted && !mem_cgroup_below_min(root, memcg) &&
		 !fatal_signal_pending(current));
	squeezy_unpin_map(p);
	return nr_reclaimed;
}

/* In current's reclaim_state, and not to be entered again (PF_MEMALLOC). */
static unsigned long reclaim_below(struct mem_cgroup *root, gfp_t gfp, unsigned long nr_wanted)
{
	unsigned long nr_reclaimed = 0;
	struct mem_cgroup *memcg;

	for (memcg = mem_cgroup_iter(root, NULL, NULL); memcg;
	     memcg = mem_cgroup_iter(root, memcg, NULL)) {
		nr_reclaimed += reclaim_one(root, memcg, gfp, nr_wanted - nr_reclaimed);
		if (nr_reclaimed >= nr_wanted || fatal_signal_pending(current)) {
			mem_cgroup_iter_break(root, memcg);
			break;
		}
		cond_resched();
	}
	return nr_reclaimed;
}

/*
 * The hook. The pass over normal memory has walked the same subtree up to
 * twelve times, so one more walk is nothing; without any claim there is none.
 */
unsigned long __squeezy_memcg_reclaim(struct mem_cgroup *memcg, gfp_t gfp,
				      unsigned long nr_wanted)
{
	return squeezy_any_claim() ? reclaim_below(memcg, gfp, nr_wanted) : 0;
}

/**
 * squeezy_reclaim - free some pages of the partition of a claimant
 * @claimant: the cgroup
 * @gfp: flags of the fault
 *
 * For a fault, so a batch will do. Does nothing in a fault that reclaim
 * itself has taken.
 */
void squeezy_reclaim(struct mem_cgroup *claimant, gfp_t gfp)
{
	struct reclaim_state state = { };
	unsigned int flags;

	if (current->reclaim_state || current->flags & PF_MEMALLOC)
		return;
	gfp = current_gfp_context(gfp);
	fs_reclaim_acquire(gfp);
	flags = memalloc_noreclaim_save();
	current->reclaim_state = &state;
	reclaim_below(claimant, gfp, SWAP_CLUSTER_MAX);
	current->reclaim_state = NULL;
	memalloc_noreclaim_restore(flags);
	fs_reclaim_release(gfp);
}
