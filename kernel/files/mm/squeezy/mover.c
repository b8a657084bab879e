// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mover: one thread that makes the plugged size follow the device's
 * requested size, a whole partition at a time.
 *
 * It sleeps until it is kicked (config change, claim, release, memory map
 * ready) or a retry is due. Hot-add, which takes tens of milliseconds, is
 * map.c's.
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

/*
 * A VMM may free memory under its main lock, which stalls every other vCPU:
 * requests shrink when one takes longer than this, and grow again below half.
 */
#define REQUEST_TARGET_NS (10 * NSEC_PER_MSEC)
#define REQUEST_MAX_BLOCKS U16_MAX

static struct task_struct *mover;
static DECLARE_WAIT_QUEUE_HEAD(mover_wait);
static bool kicked;
/* The device has refused a request: no other before then, unless it changes. */
static unsigned long device_not_before;
static bool device_changed;
static unsigned int request_blocks = REQUEST_MAX_BLOCKS;

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

static unsigned int partition_blocks(void)
{
	return squeezy_layout.bytes / squeezy_layout.block_size;
}

static bool due(struct squeezy_partition *p)
{
	return time_after_eq(jiffies, p->not_before);
}

static void back_off(struct squeezy_partition *p)
{
	p->backoff_ms = clamp(p->backoff_ms * 2, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	p->not_before = jiffies + msecs_to_jiffies(p->backoff_ms);
}

static void set_state(struct squeezy_partition *p, enum squeezy_state state)
{
	spin_lock(&squeezy_lock);
	squeezy_set_state(p, state);
	spin_unlock(&squeezy_lock);
}

static void make_claimable(struct squeezy_partition *p)
{
	spin_lock(&squeezy_lock);
	squeezy_make_claimable(p);
	spin_unlock(&squeezy_lock);
}

static void adapt_request_size(u64 started_ns, unsigned int blocks)
{
	u64 took_ns = ktime_get_ns() - started_ns;

	if (took_ns > REQUEST_TARGET_NS)
		request_blocks = max(1U, blocks / 2);
	else if (took_ns < REQUEST_TARGET_NS / 2 && blocks == request_blocks)
		request_blocks = min_t(unsigned int, REQUEST_MAX_BLOCKS, request_blocks * 2);
}

/* Plugs the rest of a partition, front to back. Memory is the guest's when all is plugged. */
static int plug(struct squeezy_partition *p)
{
	while (p->plugged_blocks < partition_blocks()) {
		unsigned int nr = min(partition_blocks() - p->plugged_blocks, request_blocks);
		u64 addr = PFN_PHYS(p->start_pfn) + p->plugged_blocks * squeezy_layout.block_size;
		u64 started_ns = ktime_get_ns();
		int rc = squeezy_device_plug(addr, nr);

		if (rc)
			return rc;
		WRITE_ONCE(p->plugged_blocks, p->plugged_blocks + nr);
		adapt_request_size(started_ns, nr);
	}
	return 0;
}

/* Unplugs what is plugged of a partition that nobody can touch, back to front. */
static int unplug(struct squeezy_partition *p)
{
	while (p->plugged_blocks) {
		unsigned int nr = min(p->plugged_blocks, request_blocks);
		u64 addr = PFN_PHYS(p->start_pfn) +
			   (p->plugged_blocks - nr) * squeezy_layout.block_size;
		u64 started_ns = ktime_get_ns();
		int rc = squeezy_device_unplug(addr, nr);

		if (rc)
			return rc;
		WRITE_ONCE(p->plugged_blocks, p->plugged_blocks - nr);
		adapt_request_size(started_ns, nr);
	}
	squeezy_stamp(p, SQUEEZY_TIME_RETURNED);
	squeezy_count(SQUEEZY_DRAINS);
	return 0;
}

static void device_refused(void)
{
	device_not_before = jiffies + msecs_to_jiffies(REFUSED_RETRY_MS);
}

/* Makes one partition claimable. */
static void populate(struct squeezy_partition *p)
{
	if (!p->populating)
		squeezy_stamp(p, SQUEEZY_TIME_POPULATE_START);
	p->populating = true;
	if (plug(p)) {
		device_refused();
		return;
	}
	p->populating = false;
	if (squeezy_get_state(p) == SQUEEZY_ABSENT) {
		squeezy_map_start(p);
		return;
	}
	squeezy_zone_unpark(p);
	squeezy_stamp(p, SQUEEZY_TIME_POPULATED);
	squeezy_count(SQUEEZY_POPULATES_PARKED);
	make_claimable(p);
}

/* Parks an unclaimed partition and returns it, or leaves it as it was. */
static void drain(struct squeezy_partition *p)
{
	if (!p->backoff_ms)
		squeezy_stamp(p, SQUEEZY_TIME_DRAIN_START);
	p->missing = squeezy_zone_take(p);
	if (p->missing) {
		back_off(p);
		if (squeezy_get_state(p) == SQUEEZY_DRAINING)
			make_claimable(p);
		return;
	}
	squeezy_zone_park(p);
	squeezy_stamp(p, SQUEEZY_TIME_DRAINED);
	p->backoff_ms = 0;
	set_state(p, SQUEEZY_PARKED);
	if (unplug(p))
		device_refused();
}

static void undo(struct squeezy_partition *p)
{
	p->populating = false;
	if (unplug(p))
		device_refused();
	else
		p->map_failed = false;
}

/* Out of the allocator's hands: the device may have all, part or none of it. */
static bool is_out(struct squeezy_partition *p)
{
	enum squeezy_state state = squeezy_get_state(p);

	return state == SQUEEZY_ABSENT || state == SQUEEZY_PARKED;
}

/*
 * What a refused request or a failed map has left half way. It is finished or
 * undone before anything else is begun, so there is hardly ever a second one.
 */
static struct squeezy_partition *half_way(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (is_out(p) && p->plugged_blocks)
			return p;
	return NULL;
}

/* Lowest first: the device's usable region grows from the front. */
static struct squeezy_partition *next_to_populate(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (is_out(p) && due(p))
			return p;
	return NULL;
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

/* A free partition that nobody waits for; it may be claimed under our hands. */
static struct squeezy_partition *grab_spare(void)
{
	struct squeezy_partition *p;
	bool grabbed = false;

	while (!grabbed && (p = last_in_state(SQUEEZY_POPULATED))) {
		spin_lock(&squeezy_lock);
		if (p->state == SQUEEZY_POPULATED) {
			squeezy_set_state(p, SQUEEZY_DRAINING);
			grabbed = true;
		}
		spin_unlock(&squeezy_lock);
	}
	return grabbed ? p : NULL;
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
	if (p->missing) {
		back_off(p);
	} else {
		p->backoff_ms = 0;
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
		count += !is_out(p);
	return count;
}

static unsigned int count_wanted(void)
{
	u64 rest, requested = squeezy_device_requested();
	u64 wanted = div64_u64_rem(requested, squeezy_layout.bytes, &rest);

	if (rest)
		pr_info_once("requested size %llu is not a multiple of the partition size %llu: rounding down\n",
			     requested, squeezy_layout.bytes);
	return min_t(u64, wanted, squeezy_layout.count);
}

static bool device_ready(void)
{
	if (xchg(&device_changed, false))
		device_not_before = jiffies;
	return squeezy_device_alive() && time_after_eq(jiffies, device_not_before);
}

/* One partition's worth of work. Returns false if there is none now. */
static bool move_one(void)
{
	unsigned int in = count_in(), wanted;
	struct squeezy_partition *p;

	if (!device_ready())
		return recycle_one();
	wanted = count_wanted();
	p = half_way();
	if (p && (in >= wanted || p->map_failed)) {
		undo(p);
		return true;
	}
	if (in < wanted) {
		p = p ?: next_to_populate();
		if (p)
			populate(p);
	} else if (in > wanted) {
		p = next_to_drain();
		if (p)
			drain(p);
	}
	return p || recycle_one();
}

/* How long until the first retry; for ever if there is nothing to retry. */
static long next_retry(void)
{
	long soonest = MAX_SCHEDULE_TIMEOUT;
	struct squeezy_partition *p;

	if (squeezy_device_alive() && time_before(jiffies, device_not_before))
		soonest = device_not_before - jiffies;
	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		if (!due(p) && state != SQUEEZY_CLAIMED && state != SQUEEZY_MAPPING &&
		    state != SQUEEZY_BROKEN)
			soonest = min(soonest, (long)(p->not_before - jiffies));
	}
	return max(soonest, 1L);
}

static int mover_loop(void *unused)
{
	set_freezable();
	while (!kthread_freezable_should_stop(NULL)) {
		if (move_one())
			continue;
		wait_event_freezable_timeout(mover_wait,
					     xchg(&kicked, false) || kthread_should_stop(),
					     next_retry());
	}
	return 0;
}

/**
 * squeezy_mover_start - start following the device that has been bound
 */
int squeezy_mover_start(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		p->not_before = jiffies;
	device_not_before = jiffies;
	mover = kthread_create(mover_loop, NULL, "squeezy_mover");
	if (IS_ERR(mover))
		return PTR_ERR(mover);
	/* Milliseconds of work that somebody waits for. */
	sched_set_fifo_low(mover);
	wake_up_process(mover);
	return 0;
}

void squeezy_mover_stop(void)
{
	kthread_stop(mover);
}
