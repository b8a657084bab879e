// SPDX-License-Identifier: GPL-2.0-only
/*
 * A full partition: what is taken back first, who is killed, who waits.
 *
 * memory.max should act before. Where it did not, the fault does what a
 * charge does at memory.max: it reclaims, has somebody below the claimant
 * killed, and waits until that has made room. Nothing comes from elsewhere
 * (but what a killed task needs to end), and nobody else is asked to give.
 */
#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/psi.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include <trace/events/squeezy.h>

#include "internal.h"
#include "pcp.h"

/* How long pages may be away before somebody is killed for them. */
#define AWAY_TIMEOUT HZ
/* What counters and per-CPU lists hide, at most, on each CPU. */
#define AWAY_SLACK_PAGES 256
/*
 * Scans before a kill. A page that two have used since it was given up is kept
 * by the first one, deactivated by the second and freed by the third.
 */
#define SCANS 3

/* A fault that waits for room. */
struct page_waiter {
	gfp_t gfp;
	struct squeezy_partition *p;
	struct mm_struct *mm;		/* whose fault it is, maybe not current's */
	bool may_kill;
	bool oom_counted;		/* in memory.events */
	unsigned long no_kill_before;	/* jiffies, while pages are away */
};

bool squeezy_task_is_dying(void)
{
	return tsk_is_oom_victim(current) || fatal_signal_pending(current) ||
	       (current->flags & PF_EXITING);
}

static struct folio *take_page(struct page_waiter *w)
{
	return squeezy_take_folio(w->gfp, 0, w->p);
}

/*
 * Everything short of a kill. Batches of other CPUs are left alone: at most a
 * few hundred KiB each, and waiting for every CPU may take for ever.
 */
static struct folio *take_leftovers(struct page_waiter *w, struct mem_cgroup *claimant)
{
	unsigned int scans = SCANS;
	struct folio *folio;

	lru_add_drain();
	do {
		squeezy_reclaim(claimant, w->gfp);
		__squeezy_drain_pages(w->p->zone);
		folio = take_page(w);
	} while (!folio && --scans && !squeezy_task_is_dying());
	return folio;
}

/* out_of_memory() leaves this behind when an earlier victim is still on its way out. */
static bool has_chosen(struct oom_control *oc)
{
	return oc->chosen && oc->chosen != (void *)-1UL;
}

static void count_oom(struct page_waiter *w, struct mem_cgroup *claimant)
{
	if (!w->oom_counted)
		memcg_memory_event(claimant, MEMCG_OOM);
	w->oom_counted = true;
}

/*
 * Only unkillable tasks (oom_score_adj -1000) are left. A member that faults
 * would come back for ever: it has to go itself. A remote faulter, say
 * process_vm_writev(), gets its error.
 */
static void end_member(struct page_waiter *w)
{
	if (!(current->flags & PF_KTHREAD) && squeezy_mm_nid(current->mm) == w->p->nid)
		force_sig(SIGKILL);
}

/*
 * Kills inside the claimant, or finds a free page after all. Returns false
 * when there is nobody to kill, or when the caller itself must give up.
 */
static bool kill_inside(struct page_waiter *w, struct mem_cgroup *claimant,
			struct folio **ret_folio)
{
	struct oom_control oc = {
		.memcg = claimant,
		.gfp_mask = w->gfp,
	};
	bool progress;

	if (mutex_lock_killable(&oom_lock))
		return false;
	/* Somebody may have been killed while we waited for the lock. */
	*ret_folio = take_page(w);
	if (*ret_folio) {
		mutex_unlock(&oom_lock);
		return true;
	}
	count_oom(w, claimant);
	progress = squeezy_task_is_dying() || out_of_memory(&oc);
	mutex_unlock(&oom_lock);
	if (has_chosen(&oc)) {
		squeezy_count(SQUEEZY_OOM_KILLS);
		trace_squeezy_oom_kill(w->p->id, squeezy_cgroup_id(claimant));
	}
	if (!progress)
		end_member(w);
	return progress;
}

/*
 * Pages that are neither free nor mapped: free page reporting takes a whole
 * partition's off the lists while the host discards them, and an exiting task
 * has unmapped what it has not freed yet. They come back by themselves. Those
 * in a pipe do not, hence the time limit.
 */
static bool pages_are_away(struct page_waiter *w)
{
	struct squeezy_partition *p = w->p;
	unsigned long seen = squeezy_zone_free_pages(p) +
			     node_page_state_pages(NODE_DATA(p->nid), NR_ANON_MAPPED);

	return time_before(jiffies, w->no_kill_before) &&
	       seen + num_online_cpus() * AWAY_SLACK_PAGES < squeezy_layout.pages;
}

static void note_full(struct page_waiter *w)
{
	struct mem_cgroup *claimant;

	squeezy_count(SQUEEZY_PARTITION_FULL);
	if (!trace_squeezy_partition_full_enabled())
		return;
	claimant = squeezy_get_claimant(w->p);
	trace_squeezy_partition_full(w->p->id, claimant ? squeezy_cgroup_id(claimant) : 0);
	if (claimant)
		css_put(&claimant->css);
}

/* One try. Returns false when there is no point in another. */
static bool make_room(struct page_waiter *w, struct folio **ret_folio)
{
	struct mem_cgroup *claimant = squeezy_get_claimant(w->p);
	bool again = false;

	if (!claimant)
		return false;
	*ret_folio = take_leftovers(w, claimant);
	if (!*ret_folio && !squeezy_task_is_dying() && w->may_kill)
		again = pages_are_away(w) || kill_inside(w, claimant, ret_folio);
	css_put(&claimant->css);
	return again && !*ret_folio && !squeezy_task_is_dying();
}

/**
 * squeezy_wait_for_page - a page for a fault that met a full partition
 * @gfp: allocation flags, may sleep
 * @vma: the mapping that the page is for
 * @nid: node of the partition
 *
 * Waits, with mmap_lock or a VMA lock held, for as long as somebody inside is
 * about to die; the OOM reaper bounds that. A droppable mapping is not worth
 * a life: Linux lets such a fault be taken again, so it waits a tick only.
 *
 * Return: a page, or NULL: the claim is gone, or current is going to die, or
 * there is nobody to kill.
 */
struct folio *squeezy_wait_for_page(gfp_t gfp, struct vm_area_struct *vma, int nid)
{
	struct page_waiter w = {
		.gfp = gfp,
		.p = squeezy_partition_of(nid),
		.mm = vma->vm_mm,
		.may_kill = !(vma->vm_flags & VM_DROPPABLE),
		.no_kill_before = jiffies + AWAY_TIMEOUT,
	};
	struct folio *folio = NULL;
	unsigned long psi_flags;

	note_full(&w);
	psi_memstall_enter(&psi_flags);
	while (squeezy_mm_nid(w.mm) == nid && make_room(&w, &folio))
		schedule_timeout_killable(1);
	if (!folio && !w.may_kill)
		schedule_timeout_killable(1);
	psi_memstall_leave(&psi_flags);
	return folio;
}
