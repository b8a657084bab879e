/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Squeezy: private memory nodes ("partitions") for the anonymous memory of
 * one cgroup each, so that a whole partition can be returned to the
 * hypervisor when its cgroup has ended.
 *
 * This header is all that the rest of the kernel sees. Each hook is inline,
 * tests one integer or static key, and is empty without CONFIG_SQUEEZY.
 */
#ifndef _LINUX_SQUEEZY_H
#define _LINUX_SQUEEZY_H

#include <linux/err.h>
#include <linux/jump_label.h>
#include <linux/migrate_mode.h>
#include <linux/types.h>

struct folio;
struct mem_cgroup;
struct mm_struct;
struct vm_area_struct;
struct zone;

#ifdef CONFIG_SQUEEZY

DECLARE_STATIC_KEY_FALSE(squeezy_enabled);
extern int squeezy_first_nid;
extern unsigned int squeezy_nr_nodes;

/**
 * squeezy_is_private_node - is this the node of a partition?
 * @nid: any node id, also NUMA_NO_NODE
 *
 * Compares integers that never change after boot: callable from any context.
 */
static inline bool squeezy_is_private_node(int nid)
{
	return (unsigned int)(nid - squeezy_first_nid) < squeezy_nr_nodes;
}

void squeezy_reserve_nodes(void);

/* mm/page_alloc.c */
struct folio *__squeezy_alloc_folio(gfp_t gfp, unsigned int order, struct zone *zone);

struct folio *__squeezy_vma_alloc(gfp_t gfp, int order, struct vm_area_struct *vma);
bool __squeezy_collapse_alloc(gfp_t gfp, struct mm_struct *mm, const u32 *node_load,
			      struct folio **ret_folio);
struct mem_cgroup *__squeezy_charge_target(struct folio *folio, int nid,
					   struct mem_cgroup *memcg);
unsigned long __squeezy_memcg_reclaim(struct mem_cgroup *memcg, gfp_t gfp,
				      unsigned long nr_wanted);
bool __squeezy_migration_refused(struct folio *src, struct folio *dst,
				 enum migrate_reason reason);
void __squeezy_pcp_limits(struct zone *zone, int *high_min, int *high_max, int *batch);

/**
 * squeezy_vma_alloc - allocate an anonymous folio from the owner's partition
 * @gfp: allocation flags; without __GFP_MOVABLE the request is not for us
 * @order: order of the folio
 * @vma: mapping the folio is for; mmap_lock or its VMA lock is held
 * @ret_folio: the folio, or NULL when the partition could not serve the request
 *
 * Return: false if the mapping's owner has no partition; *@ret_folio is
 * untouched then and the caller allocates as always.
 */
static inline bool squeezy_vma_alloc(gfp_t gfp, int order, struct vm_area_struct *vma,
				     struct folio **ret_folio)
{
	struct folio *folio;

	if (!static_branch_unlikely(&squeezy_enabled))
		return false;
	/* By value, so that the caller's variable stays in a register. */
	folio = __squeezy_vma_alloc(gfp, order, vma);
	if (likely(!folio))
		return false;
	*ret_folio = IS_ERR(folio) ? NULL : folio;
	return true;
}

/**
 * squeezy_collapse_alloc - the same for a huge page that replaces small ones
 * @gfp: allocation flags
 * @mm: address space that the huge page is for
 * @node_load: how many of the pages to be replaced lie on each node
 * @ret_folio: as above, where true is returned
 */
static inline bool squeezy_collapse_alloc(gfp_t gfp, struct mm_struct *mm,
					  const u32 *node_load, struct folio **ret_folio)
{
	return static_branch_unlikely(&squeezy_enabled) &&
	       __squeezy_collapse_alloc(gfp, mm, node_load, ret_folio);
}

/**
 * squeezy_charge_target - the memcg that a folio must be charged to
 * @folio: any new folio
 * @nid: its node
 * @memcg: memcg of the address space it was allocated for, with a reference of
 *	the caller's; exchanged where another has to pay
 *
 * The second look, for the race of a fault with a release: folios of a partition
 * go to a memcg that (still) claims it. Where @memcg does not, the claimant pays
 * for a task that was moved meanwhile, the writer for memory that is nobody's.
 *
 * Return: 0, or -ENOMEM if it has been released or @folio goes to page cache.
 */
static inline int squeezy_charge_target(struct folio *folio, int nid,
					struct mem_cgroup **memcg)
{
	struct mem_cgroup *target;

	if (!static_branch_unlikely(&squeezy_enabled) || likely(!squeezy_is_private_node(nid)))
		return 0;
	target = __squeezy_charge_target(folio, nid, *memcg);
	if (!target)
		return -ENOMEM;
	*memcg = target;
	return 0;
}

/**
 * squeezy_memcg_reclaim - reclaim from partitions claimed at or below a memcg
 * @memcg: target of the reclaim; NULL is the root
 * @gfp: flags of the reclaim
 * @nr_wanted: pages to be reclaimed in all
 * @nr_reclaimed: pages that the pass over ordinary memory has reclaimed
 *
 * Return: pages reclaimed from partitions.
 */
static inline unsigned long squeezy_memcg_reclaim(struct mem_cgroup *memcg, gfp_t gfp,
						  unsigned long nr_wanted,
						  unsigned long nr_reclaimed)
{
	if (static_branch_unlikely(&squeezy_enabled) && nr_reclaimed < nr_wanted)
		return __squeezy_memcg_reclaim(memcg, gfp, nr_wanted - nr_reclaimed);
	return 0;
}

/**
 * squeezy_migration_refused - would this migration cross a partition's border?
 * @src: folio to be moved
 * @dst: where it would be moved to
 * @reason: who asks
 */
static inline bool squeezy_migration_refused(struct folio *src, struct folio *dst,
					     enum migrate_reason reason)
{
	return static_branch_unlikely(&squeezy_enabled) &&
	       __squeezy_migration_refused(src, dst, reason);
}

/**
 * squeezy_pcp_limits - small per-CPU page lists for the zone of a partition
 * @zone: any zone
 * @high_min: limit, replaced for a partition
 * @high_max: limit, replaced for a partition
 * @batch: pages a refill, replaced for a partition
 *
 * Every page they hold must be taken back before the partition can go.
 */
static inline void squeezy_pcp_limits(struct zone *zone, int *high_min, int *high_max,
				      int *batch)
{
	if (static_branch_unlikely(&squeezy_enabled))
		__squeezy_pcp_limits(zone, high_min, high_max, batch);
}

#else /* !CONFIG_SQUEEZY */

static inline bool squeezy_is_private_node(int nid) { return false; }
static inline void squeezy_reserve_nodes(void) { }
static inline bool squeezy_vma_alloc(gfp_t gfp, int order, struct vm_area_struct *vma,
				     struct folio **ret_folio) { return false; }
static inline bool squeezy_collapse_alloc(gfp_t gfp, struct mm_struct *mm,
					  const u32 *node_load,
					  struct folio **ret_folio) { return false; }
static inline int squeezy_charge_target(struct folio *folio, int nid,
					struct mem_cgroup **memcg) { return 0; }
static inline unsigned long squeezy_memcg_reclaim(struct mem_cgroup *memcg, gfp_t gfp,
						  unsigned long nr_wanted,
						  unsigned long nr_reclaimed) { return 0; }
static inline bool squeezy_migration_refused(struct folio *src, struct folio *dst,
					     enum migrate_reason reason) { return false; }
static inline void squeezy_pcp_limits(struct zone *zone, int *high_min, int *high_max,
				      int *batch) { }

#endif /* CONFIG_SQUEEZY */
#endif /* _LINUX_SQUEEZY_H */
