// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drains that do not go through at once: batches of other CPUs, the reason that
 * user space can read, and the migration of what can be migrated.
 *
 * What may wait for others runs on a workqueue; the mover only looks at a
 * partition again when a work is done, or when a retry is due. At its first
 * look it has the CPUs' batches emptied, and waits for that a few ms at most.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/stop_machine.h>
#include <linux/swap.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../internal.h"
#include "internal.h"

/*
 * The most pages that per-CPU LRU batches can hold back: a handful of batches
 * of 31 on each CPU (mm/swap.c). If more are missing somebody still uses them,
 * and waking every CPU would be for nothing.
 */
#define LRU_BATCHES 8
#define LRU_BATCH_PAGES 31
/* Emptying them takes microseconds on a CPU that runs. */
#define BATCHES_MS 4
/* Whoever outlived retries up to this back-off is no batch; other CPUs are left in peace. */
#define LRU_BACKOFF_MS 64

/* From here on a drain is late: somebody wants to know why. */
#define LATE_MS 250
/* Between two walks over a partition that stays late. */
#define LOOK_MAX_MS 2000U

#define EVICT_BATCH_PAGES 512UL

static struct workqueue_struct *straggler_wq;

static bool is_late(struct squeezy_partition *p)
{
	return READ_ONCE(p->late);
}

/* Lets the mover look at once, unless it has found out meanwhile. */
static void look_now(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	if (p->late)
		WRITE_ONCE(p->look_now, true);
	spin_unlock(&squeezy_lock);
	squeezy_mover_kick();
}

/* Could it all be in batches? */
static bool may_be_batches(unsigned long missing)
{
	return missing <= num_online_cpus() * LRU_BATCHES * LRU_BATCH_PAGES;
}

static DEFINE_PER_CPU(struct cpu_stop_work, batch_works);
static DECLARE_WAIT_QUEUE_HEAD(batches_wait);
static atomic_t batches_left;

static int empty_own_batches(void *unused)
{
	lru_add_drain();
	if (atomic_dec_and_test(&batches_left))
		wake_up(&batches_wait);
	return 0;
}

/**
 * squeezy_straggler_batches - empty the LRU batches of all CPUs at once
 * @p: the partition that is drained
 * @missing: pages of @p that are not free
 *
 * On the stopper threads, which run before any task: an instance that has just
 * ended has left pages there, and its host waits. lru_add_drain_all() would
 * wait for a worker's turn beside whatever keeps the CPUs busy. Only at the
 * first look of a round: who outlives that is no batch.
 *
 * The mover's alone. It waits BATCHES_MS at most, as a CPU may be one that the
 * host does not let run; what is done after that, the next retry finds done,
 * and until then no CPU is asked again.
 *
 * Return: true if all of them are empty.
 */
bool squeezy_straggler_batches(struct squeezy_partition *p, unsigned long missing)
{
	int cpu;

	/* On PREEMPT_RT the locks of batches sleep, and a stopper must not. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || p->backoff_ms || !may_be_batches(missing) ||
	    atomic_read(&batches_left))
		return false;
	atomic_set(&batches_left, 1);
	for_each_online_cpu(cpu) {
		atomic_inc(&batches_left);
		/* One that is going offline empties its batches by itself. */
		if (!stop_one_cpu_nowait(cpu, empty_own_batches, NULL,
					 per_cpu_ptr(&batch_works, cpu)))
			atomic_dec(&batches_left);
	}
	atomic_dec(&batches_left);
	return wait_event_timeout(batches_wait, !atomic_read(&batches_left),
				  msecs_to_jiffies(BATCHES_MS)) > 0;
}

/* Waits for a turn of each CPU that has a batch. */
static void empty_batches(void)
{
	squeezy_count(SQUEEZY_LRU_SWEEPS);
	lru_add_drain_all();
}

static void sweep(struct work_struct *work)
{
	struct squeezy_partition *p;

	empty_batches();
	for_each_squeezy_partition(p)
		if (is_late(p))
			look_now(p);
}

static DECLARE_WORK(sweep_work, sweep);

static void set_reason_locked(struct squeezy_partition *p, enum squeezy_holder reason)
{
	lockdep_assert_held(&squeezy_lock);
	if (p->busy_reason == reason)
		return;
	WRITE_ONCE(p->busy_reason, reason);
	squeezy_sysfs_reason_changed(p);
}

static void set_reason(struct squeezy_partition *p, enum squeezy_holder reason)
{
	spin_lock(&squeezy_lock);
	set_reason_locked(p, reason);
	spin_unlock(&squeezy_lock);
}

/* Whoever holds on longest gives the name. Pages that have no holder are on their way. */
static enum squeezy_holder worst_of(const unsigned long *pages)
{
	enum squeezy_holder holder;

	for (holder = SQUEEZY_HELD_PINNED; holder > SQUEEZY_HELD_NOT; holder--)
		if (pages[holder])
			return holder;
	return SQUEEZY_HELD_ISOLATED;
}

/* The drain may have come to its end meanwhile: then there is nothing to say. */
static void publish(struct squeezy_partition *p, const unsigned long *pages)
{
	enum squeezy_holder holder;

	spin_lock(&squeezy_lock);
	if (p->late) {
		for (holder = 0; holder < SQUEEZY_NR_HOLDERS; holder++)
			WRITE_ONCE(p->holders[holder], pages[holder]);
		set_reason_locked(p, worst_of(pages));
	}
	spin_unlock(&squeezy_lock);
}

struct evictees {
	struct squeezy_partition *p;
	struct list_head folios;
	unsigned long pages;
};

static int isolate(const struct squeezy_used *used, void *arg)
{
	struct evictees *e = arg;

	/* Claimed again: these pages are the next instance's. */
	if (squeezy_get_state(e->p) != SQUEEZY_RELEASED)
		return -ESTALE;
	if (used->holder == SQUEEZY_HELD_MAPPED && folio_test_anon(used->folio) &&
	    isolate_folio_to_list(used->folio, &e->folios))
		e->pages += used->pages;
	return e->pages >= EVICT_BATCH_PAGES;
}

static bool evict_batch(struct squeezy_partition *p, unsigned long *pfn)
{
	struct migration_target_control target = {
		.nid = first_memory_node,
		.gfp_mask = GFP_USER | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN,
		.reason = MR_MEMORY_HOTPLUG,
	};
	struct evictees e = { .p = p, .folios = LIST_HEAD_INIT(e.folios) };
	int more = squeezy_visit_used(p, pfn, isolate, &e);
	unsigned int moved = 0;

	if (!e.pages)
		return false;
	migrate_pages(&e.folios, alloc_migration_target, NULL, (unsigned long)&target,
		      MIGRATE_SYNC, target.reason, &moved);
	putback_movable_pages(&e.folios);
	squeezy_count_many(SQUEEZY_STRAGGLERS_MIGRATED, moved);
	return more > 0;
}

/*
 * Moves what processes outside the ended cgroup still map to normal memory. The
 * charge goes along. The choke (alloc.c) lets this task through, and only as
 * long as the partition is released: one that holds a page cannot be claimed.
 */
static void evict(struct squeezy_partition *p)
{
	unsigned long pfn = p->start_pfn;

	empty_batches();
	WRITE_ONCE(p->evictor, current);
	while (evict_batch(p, &pfn))
		cond_resched();
	WRITE_ONCE(p->evictor, NULL);
}

/**
 * squeezy_may_evict - is this migration our own, out of a released partition?
 * @from: node of the page
 * @to: node that it would move to
 */
bool squeezy_may_evict(int from, int to)
{
	struct squeezy_partition *p;

	if (!squeezy_is_private_node(from) || squeezy_is_private_node(to))
		return false;
	p = squeezy_partition_of(from);
	return READ_ONCE(p->evictor) == current && squeezy_get_state(p) == SQUEEZY_RELEASED;
}

/*
 * A page on its way to the LRU lists has been taken off them; one on its way
 * between two of them is still on the first and looks as if somebody had a
 * reference. Batches fill up all the time, e.g. with what could not be migrated.
 */
static bool may_be_in_batches(const unsigned long *pages)
{
	unsigned long references = pages[SQUEEZY_HELD_REFERENCES];

	return pages[SQUEEZY_HELD_ISOLATED] || (references && may_be_batches(references));
}

/* False when the partition has been parked meanwhile. */
static bool count_and_tell(struct squeezy_partition *p, unsigned long *pages)
{
	memset(pages, 0, SQUEEZY_NR_HOLDERS * sizeof(*pages));
	if (squeezy_holders_count(p, pages))
		return false;
	publish(p, pages);
	return true;
}

/* Tells why a drain is late, then does about it what can be done. */
static void look(struct work_struct *work)
{
	struct squeezy_partition *p = container_of(work, struct squeezy_partition, look_work);
	unsigned long pages[SQUEEZY_NR_HOLDERS];

	if (!is_late(p) || !count_and_tell(p, pages))
		return;
	if (may_be_in_batches(pages)) {
		empty_batches();
		if (!count_and_tell(p, pages))
			return;
	}
	if (pages[SQUEEZY_HELD_HWPOISON])
		squeezy_poison_find(p, pages[SQUEEZY_HELD_HWPOISON]);
	if (pages[SQUEEZY_HELD_MAPPED] && squeezy_get_state(p) == SQUEEZY_RELEASED) {
		evict(p);
		count_and_tell(p, pages);
	}
	if (is_late(p))
		look_now(p);
}

static void begin_late(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	p->late = true;
	set_reason_locked(p, SQUEEZY_HELD_NOT);
	spin_unlock(&squeezy_lock);
	p->look_at = jiffies + msecs_to_jiffies(LATE_MS);
	p->look_every_ms = LATE_MS;
}

/**
 * squeezy_straggler_missing - the mover found pages of a partition in use
 * @p: the partition
 * @by_retry: because a retry was due, not because we asked for a look
 */
void squeezy_straggler_missing(struct squeezy_partition *p, bool by_retry)
{
	/* The first look of this round, also if the round before was cut short by a claim. */
	if (!is_late(p) || !p->backoff_ms)
		begin_late(p);
	if (by_retry && p->backoff_ms < LRU_BACKOFF_MS && may_be_batches(p->missing))
		queue_work(straggler_wq, &sweep_work);
	if (time_after_eq(jiffies, p->look_at)) {
		p->look_every_ms = min(p->look_every_ms * 2, LOOK_MAX_MS);
		p->look_at = jiffies + msecs_to_jiffies(p->look_every_ms);
		queue_work(straggler_wq, &p->look_work);
	}
}

/**
 * squeezy_straggler_gone - nothing is in the way of a drain any more
 * @p: the partition
 *
 * The mover's, like the function above. A look that is under way finds out.
 */
void squeezy_straggler_gone(struct squeezy_partition *p)
{
	if (!p->late && !p->busy_reason)
		return;
	spin_lock(&squeezy_lock);
	p->late = false;
	memset(p->holders, 0, sizeof(p->holders));
	set_reason_locked(p, SQUEEZY_HELD_NOT);
	WRITE_ONCE(p->look_now, false);
	spin_unlock(&squeezy_lock);
}

/* More partitions are claimed than the device wants to leave us, and for a while. */
static bool claims_in_the_way(unsigned int claimed, unsigned int wanted)
{
	static unsigned long since;
	static bool too_many;

	if (claimed > wanted && !too_many)
		since = jiffies;
	too_many = claimed > wanted;
	return too_many && time_after_eq(jiffies, since + msecs_to_jiffies(LATE_MS));
}

/* What was late before it was claimed, or need not go after all. */
static bool is_moot(struct squeezy_partition *p, enum squeezy_state state, bool shrinking)
{
	return p->late && (state == SQUEEZY_CLAIMED || (state == SQUEEZY_POPULATED && !shrinking));
}

/**
 * squeezy_straggler_review - the mover has nothing to do for now
 * @in: partitions that the guest has
 * @wanted: partitions that the device wants it to have
 *
 * Return: jiffies after which it should come again, at most.
 */
long squeezy_straggler_review(unsigned int in, unsigned int wanted)
{
	struct squeezy_partition *p;
	unsigned int claimed = 0;
	bool in_the_way;

	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		claimed += state == SQUEEZY_CLAIMED;
		if (is_moot(p, state, in > wanted))
			squeezy_straggler_gone(p);
	}
	in_the_way = claims_in_the_way(claimed, wanted);
	for_each_squeezy_partition(p)
		if (squeezy_get_state(p) == SQUEEZY_CLAIMED && in_the_way != !!p->busy_reason)
			set_reason(p, in_the_way ? SQUEEZY_HELD_CLAIMED : SQUEEZY_HELD_NOT);
	return claimed > wanted && !in_the_way ? msecs_to_jiffies(LATE_MS) : MAX_SCHEDULE_TIMEOUT;
}

int __init squeezy_straggler_init(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		INIT_WORK(&p->look_work, look);
	straggler_wq = alloc_workqueue("squeezy_straggler", WQ_UNBOUND | WQ_FREEZABLE, 0);
	return straggler_wq ? 0 : -ENOMEM;
}
