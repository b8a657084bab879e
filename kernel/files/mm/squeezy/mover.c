// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mover: one thread that makes the plugged size follow the device's
 * requested size, a whole partition at a time.
 *
 * It sleeps until it is kicked (config change, answer, claim, release, memory
 * map ready) or a retry is due, and waits for nobody (but a few ms for batches
 * of other CPUs, see straggler.c, and for readers of /proc/kcore): the device
 * works while partitions are drained, and hot-add, which is slow, is map.c's.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "internal.h"

/* Retries of a partition with pages in use, and of a refused request. */
#define BACKOFF_MIN_MS 1
#define BACKOFF_MAX_MS 100
#define REFUSED_RETRY_MS 100

static struct task_struct *mover;
static DECLARE_WAIT_QUEUE_HEAD(mover_wait);
static bool kicked;
/*
 * jiffies of the last look. What was due then has been looked at, and only what
 * was not has the mover woken later: with the time as it is, a retry that
 * becomes due between the two would be forgotten.
 */
static unsigned long looked_at;
/* The device has refused a request: no other before then, unless it changes. */
static unsigned long device_not_before;
static bool device_changed;
/* ... and what it refused was to take memory back; to give it. */
static bool unplug_refused, plug_refused;
/* What the request in flight covers; memory maps are left as they are meanwhile. */
static struct squeezy_partition *run_first;
static unsigned int run_length;
static bool run_plugs;
/* How many more partitions are to be populated, as map.c was told last. */
static unsigned int demand;
/* Partitions we have, and those the device wants us to have; as of the last look. */
static unsigned int last_in, last_wanted;

void squeezy_mover_kick(void)
{
	WRITE_ONCE(kicked, true);
	wake_up(&mover_wait);
}

/* The device's configuration changed: what it refused it may accept now. */
void squeezy_mover_device_changed(void)
{
	WRITE_ONCE(device_changed, true);
	squeezy_mover_kick();
}

static bool due(struct squeezy_partition *p)
{
	return READ_ONCE(p->look_now) || time_after_eq(looked_at, p->not_before);
}

static void back_off(struct squeezy_partition *p)
{
	p->backoff_ms = clamp(p->backoff_ms * 2, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	p->not_before = jiffies + msecs_to_jiffies(p->backoff_ms);
}

/* Pages are in use. A look that straggler.c asked for does not make us wait longer. */
static void still_busy(struct squeezy_partition *p)
{
	bool by_retry = !xchg(&p->look_now, false);

	squeezy_straggler_missing(p, by_retry);
	if (by_retry)
		back_off(p);
}

static void no_longer_busy(struct squeezy_partition *p)
{
	p->backoff_ms = 0;
	/* A retry may have been set for later: it must not keep the partition from the next use. */
	p->not_before = jiffies;
	squeezy_straggler_gone(p);
}

static void make_claimable(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	squeezy_make_claimable(p);
	spin_unlock(&squeezy_lock);
}

/* Parks an unclaimed partition, or leaves it as it was. */
static void drain(struct squeezy_partition *p)
{
	if (!p->backoff_ms)
		squeezy_stamp(p, SQUEEZY_TIME_DRAIN_START);
	p->missing = squeezy_zone_take(p);
	if (p->missing) {
		still_busy(p);
		if (squeezy_get_state(p) == SQUEEZY_DRAINING)
			make_claimable(p);
		return;
	}
	squeezy_zone_park(p);
	squeezy_stamp(p, SQUEEZY_TIME_DRAINED);
	no_longer_busy(p);
	p->drained = true;
	squeezy_change_state(p, SQUEEZY_PARKED);
}

static bool is_full(struct squeezy_partition *p)
{
	return p->plugged_blocks == squeezy_partition_blocks();
}

/* The device has (part of) it and the guest does not use it. */
static bool is_half_way(struct squeezy_partition *p)
{
	enum squeezy_state state = squeezy_get_state(p);

	return p->plugged_blocks && (state == SQUEEZY_ABSENT || state == SQUEEZY_PARKED);
}

/* Also without @all: plugged for a map that could not be made, or a page of it has failed. */
static bool may_unplug(struct squeezy_partition *p, bool all)
{
	return is_half_way(p) && (all || p->map_failed || squeezy_poison_any(p));
}

/* With the memory that the device offers at the moment, as far as it lets us plug. */
static bool can_plug(struct squeezy_partition *p)
{
	enum squeezy_state state = squeezy_get_state(p);

	if (state != SQUEEZY_PARKED && !(state == SQUEEZY_ABSENT && squeezy_map_needs_memory()))
		return false;
	return !is_full(p) && !may_unplug(p, false) && due(p) &&
	       squeezy_device_usable(PFN_PHYS(p->start_pfn) + squeezy_layout.bytes);
}

/* The state may be map.c's to change, but not while it is reserved. */
static bool reserve(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	p->reserved = p->state == SQUEEZY_PARKED || p->state == SQUEEZY_ABSENT;
	spin_unlock(&squeezy_lock);
	return p->reserved;
}

static void begin_populate(struct squeezy_partition *p)
{
	if (!p->populating)
		squeezy_stamp(p, SQUEEZY_TIME_POPULATE_START);
	p->populating = true;
}

/* Plugged and mapped: the pages are the guest's. */
static void end_populate(struct squeezy_partition *p)
{
	begin_populate(p);
	squeezy_zone_unpark(p);
	squeezy_stamp(p, SQUEEZY_TIME_POPULATED);
	squeezy_count(p->fresh_map ? SQUEEZY_POPULATES_FIRST : SQUEEZY_POPULATES_PARKED);
	p->fresh_map = false;
	p->populating = false;
	p->drained = false;
	make_claimable(p);
}

/* The lowest, but first of all what was begun before. */
static struct squeezy_partition *lowest_to_plug(void)
{
	struct squeezy_partition *p, *lowest = NULL;

	for_each_squeezy_partition(p) {
		if (!can_plug(p))
			continue;
		if (p->plugged_blocks)
			return p;
		lowest = lowest ?: p;
	}
	return lowest;
}

static bool plug_run(unsigned int most)
{
	struct squeezy_partition *p = lowest_to_plug();

	run_plugs = true;
	run_first = p;
	run_length = 0;
	/* A host that has no memory for many may have some for one. */
	most = plug_refused ? 1 : most;
	while (p && run_length < most && can_plug(p) && (p == run_first || !p->plugged_blocks) &&
	       reserve(p)) {
		begin_populate(p);
		run_length++;
		p = ++p < squeezy_layout.partitions + squeezy_layout.count ? p : NULL;
	}
	return run_length && squeezy_request_plug(run_first, run_length);
}

static bool unplug_run(unsigned int most, bool all)
{
	struct squeezy_partition *last = squeezy_layout.partitions + squeezy_layout.count - 1;
	struct squeezy_partition *p;

	while (last >= squeezy_layout.partitions && !may_unplug(last, all))
		last--;
	run_plugs = false;
	run_length = 0;
	for (p = last; p >= squeezy_layout.partitions && run_length < most; p--) {
		if (!may_unplug(p, all) || (p != last && !is_full(p)) || !reserve(p))
			break;
		p->populating = false;
		run_first = p;
		run_length++;
	}
	return run_length && squeezy_request_unplug(last, run_length);
}

static void settle_one(struct squeezy_partition *p, bool answered)
{
	bool returned = answered && !run_plugs && !p->plugged_blocks;

	/* Before map.c may take the memory map away. */
	if (returned && !squeezy_poison_heal(p))
		back_off(p);
	spin_lock(&squeezy_lock);
	p->reserved = false;
	/* The worker may have passed it by. If its map is wanted, it is told so anew. */
	WRITE_ONCE(p->map_wanted, false);
	if (returned)
		p->map_failed = false;
	spin_unlock(&squeezy_lock);
	if (returned && p->drained) {
		squeezy_stamp(p, SQUEEZY_TIME_RETURNED);
		squeezy_count(SQUEEZY_DRAINS);
		p->drained = false;
	} else if (run_plugs && is_full(p) && squeezy_get_state(p) == SQUEEZY_PARKED &&
		   !may_unplug(p, false)) {
		end_populate(p);
	}
}

static void settle_run(int rc)
{
	struct squeezy_partition *p;

	for (p = run_first; p < run_first + run_length; p++)
		settle_one(p, rc != -EIO);
	if (run_length && run_plugs)
		plug_refused = rc;
	run_length = 0;
	squeezy_map_balance();
}

static struct squeezy_partition *last_in_state(enum squeezy_state state)
{
	struct squeezy_partition *p;

	for (p = squeezy_layout.partitions + squeezy_layout.count - 1;
	     p >= squeezy_layout.partitions; p--)
		if (squeezy_get_state(p) == state && due(p))
			return p;
	return NULL;
}

/* It may be claimed under our hands. */
static bool grab(struct squeezy_partition *p)
{
	bool grabbed;

	spin_lock(&squeezy_lock);
	grabbed = p->state == SQUEEZY_POPULATED;
	if (grabbed)
		squeezy_set_state(p, SQUEEZY_DRAINING);
	spin_unlock(&squeezy_lock);
	return grabbed;
}

/* A free partition that nobody waits for. */
static struct squeezy_partition *grab_spare(void)
{
	struct squeezy_partition *p;

	do {
		p = last_in_state(SQUEEZY_POPULATED);
	} while (p && !grab(p));
	return p;
}

/* The released before spares; highest first. Who waits for a claim is served before. */
static struct squeezy_partition *next_to_drain(void)
{
	if (squeezy_waiting())
		return NULL;
	return last_in_state(SQUEEZY_RELEASED) ?: grab_spare();
}

/* Released partitions that need not shrink serve the next claim. */
static bool recycle_one(void)
{
	struct squeezy_partition *p = last_in_state(SQUEEZY_RELEASED);

	if (!p)
		return false;
	p->missing = squeezy_zone_empty(p);
	if ((!p->missing || p->missing == READ_ONCE(p->nr_poisoned)) && squeezy_poison_any(p) &&
	    squeezy_device_alive()) {
		/* The device replaces what has failed. */
		squeezy_stamp(p, SQUEEZY_TIME_DRAIN_START);
		drain(p);
	} else if (p->missing) {
		still_busy(p);
	} else {
		no_longer_busy(p);
		make_claimable(p);
	}
	return true;
}

/* Partitions that the guest uses or could use. */
static unsigned int count_in(void)
{
	struct squeezy_partition *p;
	unsigned int count = 0;

	for_each_squeezy_partition(p)
		count += squeezy_state_has_pages(squeezy_get_state(p));
	return count;
}

/* Is a memory map all that a partition lacks to be plugged (or, if plugged first, to be used)? */
static bool lacks_map(struct squeezy_partition *p)
{
	enum squeezy_state state = squeezy_get_state(p);

	if (state != SQUEEZY_ABSENT && state != SQUEEZY_MAPPING && state != SQUEEZY_UNMAPPING)
		return false;
	if (squeezy_map_needs_memory())
		return is_full(p) && !p->map_failed;
	return (state == SQUEEZY_MAPPING || due(p)) &&
	       squeezy_device_usable(PFN_PHYS(p->start_pfn) + squeezy_layout.bytes);
}

static unsigned int count_mapped(void)
{
	struct squeezy_partition *p;
	unsigned int count = 0;

	if (squeezy_map_needs_memory())
		return 0;		/* who lacks a map is told by what is plugged */
	for_each_squeezy_partition(p)
		count += squeezy_get_state(p) == SQUEEZY_PARKED && (is_full(p) || can_plug(p));
	return count;
}

/* Tells map.c which maps are missing to populate @more partitions, lowest first. */
static void want_maps(unsigned int more)
{
	unsigned int mapped = count_mapped(), missing = more - min(more, mapped);
	struct squeezy_partition *p;
	bool news = false;

	for_each_squeezy_partition(p) {
		bool want = missing && lacks_map(p);

		if (want && !p->map_wanted) {
			begin_populate(p);
			news = true;
		} else if (!more && !p->plugged_blocks && !p->reserved) {
			p->populating = false;
			p->fresh_map = false;
		}
		WRITE_ONCE(p->map_wanted, want);
		missing -= want;
	}
	squeezy_map_set_demand(more);
	if (news)
		squeezy_map_kick();
	else if (more < demand)
		squeezy_map_balance();
	demand = more;
}

/* Plugs what is missing or unplugs what is too much. Returns false if neither can be done now. */
static bool begin_request(unsigned int more)
{
	unsigned int half_way = 0, in_vain = 0, waiting = 0;
	struct squeezy_partition *p;

	if (squeezy_device_unclean())
		return squeezy_request_clean();
	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		if (!p->plugged_blocks || squeezy_state_has_pages(state))
			continue;
		half_way += is_half_way(p);
		in_vain += may_unplug(p, false);
		waiting += is_full(p) && !may_unplug(p, false);
	}
	/* What the device does not take back must not keep it from giving what it still may. */
	if (xchg(&unplug_refused, false) && more > waiting + in_vain &&
	    (plug_run(more - waiting - in_vain) || run_length))
		return squeezy_device_alive();
	if (in_vain)
		return unplug_run(in_vain, false);
	if (half_way > more)
		return unplug_run(half_way - more, true);
	return more > waiting && plug_run(more - waiting);
}

/* One that has map and memory needs nothing of the device, whatever that is doing. */
static bool unpark_one(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p) {
		if (squeezy_get_state(p) != SQUEEZY_PARKED || !is_full(p) || p->reserved ||
		    may_unplug(p, false))
			continue;
		end_populate(p);
		return true;
	}
	return false;
}

/* Asks the device what it wants, or if it has failed, after it has said that something changed. */
static bool look_at_device(void)
{
	if (!squeezy_device_alive() || !xchg(&device_changed, false))
		return false;
	squeezy_device_refresh();
	return true;
}

/* Can the device take a request now? */
static bool device_ready(void)
{
	static bool changed;		/* while the request was under way */
	int rc = squeezy_request_result();

	if (rc == -EINPROGRESS) {
		changed |= look_at_device();
		return false;
	}
	if (rc) {
		device_not_before = jiffies + msecs_to_jiffies(REFUSED_RETRY_MS);
		unplug_refused = run_length && !run_plugs;
	}
	if (run_length)
		settle_run(rc);
	if (look_at_device() || changed)
		device_not_before = looked_at;
	changed = false;
	return squeezy_device_alive() && time_after_eq(looked_at, device_not_before);
}

/* One partition's worth of work. Returns false if there is none now. */
static bool move_one(void)
{
	struct squeezy_partition *p = NULL;
	unsigned int in, wanted, more;
	bool ready, alive;

	looked_at = jiffies;
	ready = device_ready();
	alive = squeezy_device_alive();
	in = count_in();
	wanted = alive ? squeezy_device_wanted() : in;
	more = wanted - min(wanted, in);
	last_in = in;
	last_wanted = wanted;
	if (more || demand)
		want_maps(more);
	if (in > wanted)
		p = next_to_drain();
	if (p)
		drain(p);
	return p || (more && unpark_one()) || (ready && begin_request(more)) || recycle_one();
}

/* How long until the first retry; for ever if there is nothing to retry. */
static long next_retry(void)
{
	long soonest = squeezy_device_patience();
	struct squeezy_partition *p;

	if (squeezy_device_alive() && time_before(looked_at, device_not_before))
		soonest = min(soonest, (long)(device_not_before - jiffies));
	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		if (!due(p) && state != SQUEEZY_CLAIMED && state != SQUEEZY_MAPPING &&
		    state != SQUEEZY_UNMAPPING)
			soonest = min(soonest, (long)(p->not_before - jiffies));
	}
	return max(soonest, 1L);
}

static int mover_loop(void *unused)
{
	long review;

	set_freezable();
	while (!kthread_freezable_should_stop(NULL)) {
		if (move_one())
			continue;
		review = squeezy_straggler_review(last_in, last_wanted);
		wait_event_freezable_timeout(mover_wait,
					     xchg(&kicked, false) || kthread_should_stop(),
					     min(review, next_retry()));
	}
	return 0;
}

/**
 * squeezy_mover_start - start following the device that has been bound
 *
 * Without one (it has been removed) released partitions serve the next claim.
 */
int squeezy_mover_start(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		p->not_before = jiffies;
	WRITE_ONCE(device_changed, true);
	squeezy_map_resume();
	mover = squeezy_create_thread(mover_loop, "squeezy_mover");
	if (IS_ERR(mover)) {
		pr_err("no mover (error %ld): nothing is drained\n", PTR_ERR(mover));
		return PTR_ERR(mover);
	}
	/* Milliseconds of work that somebody waits for. */
	sched_set_fifo_low(mover);
	wake_up_process(mover);
	return 0;
}

void squeezy_mover_stop(void)
{
	if (!IS_ERR_OR_NULL(mover))
		kthread_stop(mover);
	mover = NULL;
}

/**
 * squeezy_mover_take_back - park what nobody uses of a device that is gone
 *
 * There is no mover. The next device has nothing plugged.
 *
 * Return: 0, or -EBUSY if somebody uses a partition or a map is being made:
 * then what is free still serves claims.
 */
int squeezy_mover_take_back(void)
{
	struct squeezy_partition *p;
	int rc = 0;

	squeezy_request_forget();
	settle_run(-EIO);
	if (squeezy_map_stop() || squeezy_any_claim())
		return -EBUSY;
	for_each_squeezy_partition(p) {
		if (squeezy_get_state(p) == SQUEEZY_RELEASED || grab(p))
			drain(p);
		if (squeezy_state_has_pages(squeezy_get_state(p)))
			rc = -EBUSY;
	}
	if (rc) {
		while (unpark_one())
			;
		return rc;
	}
	for_each_squeezy_partition(p) {
		/* The memory that has failed went with the device. */
		squeezy_poison_heal(p);
		WRITE_ONCE(p->plugged_blocks, 0);
		WRITE_ONCE(p->map_wanted, false);
		p->populating = false;
		p->drained = false;
	}
	demand = 0;
	squeezy_map_set_demand(0);
	squeezy_map_resume();
	return 0;
}

#ifdef CONFIG_SQUEEZY_KUNIT_TEST
#include "tests/mover_kunit.c"
#endif
