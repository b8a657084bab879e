// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mover: one thread that makes the plugged size follow the device's
 * requested size, a whole partition at a time.
 *
 * It sleeps until it is kicked (config change, claim, release, memory map
 * ready) or a retry is due. Nothing it does takes longer than a request to the
 * device; hot-add is map.c's.
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
static unsigned int request_blocks = REQUEST_MAX_BLOCKS;

void squeezy_mover_kick(void)
{
	WRITE_ONCE(kicked, true);
	wake_up(&mover_wait);
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

static int refused(struct squeezy_partition *p, int rc)
{
	p->not_before = jiffies + msecs_to_jiffies(REFUSED_RETRY_MS);
	return rc;
}

/* Makes one partition claimable. */
static int populate(struct squeezy_partition *p)
{
	int rc;

	squeezy_stamp(p, SQUEEZY_TIME_POPULATE_START);
	rc = plug(p);
	if (rc)
		return refused(p, rc);
	if (squeezy_get_state(p) == SQUEEZY_ABSENT) {
		squeezy_map_start(p);
		return 0;
	}
	squeezy_zone_unpark(p);
	squeezy_stamp(p, SQUEEZY_TIME_POPULATED);
	squeezy_count(SQUEEZY_POPULATES_PARKED);
	make_claimable(p);
	return 0;
}

/* Parks an unclaimed partition, or leaves it as it was. */
static int park(struct squeezy_partition *p)
{
	if (!p->backoff_ms)
		squeezy_stamp(p, SQUEEZY_TIME_DRAIN_START);
	p->missing = squeezy_zone_take(p);
	if (p->missing) {
		back_off(p);
		if (squeezy_get_state(p) == SQUEEZY_DRAINING)
			make_claimable(p);
		return -EAGAIN;
	}
	squeezy_zone_park(p);
	squeezy_stamp(p, SQUEEZY_TIME_DRAINED);
	p->backoff_ms = 0;
	set_state(p, SQUEEZY_PARKED);
	return 0;
}

static int drain(struct squeezy_partition *p)
{
	int rc;

	if (squeezy_get_state(p) != SQUEEZY_PARKED && squeezy_get_state(p) != SQUEEZY_ABSENT) {
		rc = park(p);
		if (rc)
			return rc;
	}
	rc = unplug(p);
	return rc ? refused(p, rc) : 0;
}

/* Lowest first: the device's usable region grows from the front. */
static struct squeezy_partition *next_to_populate(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		if ((state == SQUEEZY_PARKED || state == SQUEEZY_ABSENT) && due(p))
			return p;
	}
	return NULL;
}

static struct squeezy_partition *last_in_state(enum squeezy_state state, bool plugged_only)
{
	struct squeezy_partition *p;

	for (p = squeezy_layout.partitions + squeezy_layout.count - 1;
	     p >= squeezy_layout.partitions; p--)
		if (squeezy_get_state(p) == state && due(p) &&
		    (!plugged_only || p->plugged_blocks))
			return p;
	return NULL;
}

/* A free partition that nobody waits for; it may be claimed under our hands. */
static struct squeezy_partition *grab_spare(void)
{
	struct squeezy_partition *p = last_in_state(SQUEEZY_POPULATED, false);

	spin_lock(&squeezy_lock);
	if (p && p->state == SQUEEZY_POPULATED && !squeezy_waiting())
		squeezy_set_state(p, SQUEEZY_DRAINING);
	else
		p = NULL;
	spin_unlock(&squeezy_lock);
	return p;
}

/* What is out of use already, then the released, then spares; highest first. */
static struct squeezy_partition *next_to_drain(void)
{
	struct squeezy_partition *p = last_in_state(SQUEEZY_PARKED, true);

	p = p ?: last_in_state(SQUEEZY_ABSENT, true);
	p = p ?: last_in_state(SQUEEZY_RELEASED, false);
	return p ?: grab_spare();
}

/* Released partitions that need not shrink serve the next claim. */
static bool recycle_one(void)
{
	struct squeezy_partition *p = last_in_state(SQUEEZY_RELEASED, false);

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

static u64 plugged_bytes(void)
{
	struct squeezy_partition *p;
	u64 blocks = 0;

	for_each_squeezy_partition(p)
		blocks += p->plugged_blocks;
	return blocks * squeezy_layout.block_size;
}

static u64 wanted_bytes(void)
{
	u64 requested = squeezy_device_requested();
	u64 rest;

	div64_u64_rem(requested, squeezy_layout.bytes, &rest);
	if (rest)
		pr_info_once("requested size %llu is not a multiple of the partition size %llu: rounding down\n",
			     requested, squeezy_layout.bytes);
	return min(requested - rest, squeezy_layout.bytes * squeezy_layout.count);
}

/* One partition's worth of work. Returns false if there is none now. */
static bool move_one(void)
{
	u64 plugged = plugged_bytes(), wanted = wanted_bytes();
	struct squeezy_partition *p;

	if (!squeezy_device_alive())
		return recycle_one();
	if (plugged > wanted) {
		p = next_to_drain();
		if (p)
			drain(p);
		return p;
	}
	if (plugged < wanted) {
		p = next_to_populate();
		if (p) {
			populate(p);
			return true;
		}
	} else {
		/* Drained for a request that was taken back before the unplug. */
		p = last_in_state(SQUEEZY_PARKED, true);
		if (p) {
			populate(p);
			return true;
		}
	}
	return recycle_one();
}

/* How long until the first retry; for ever if there is nothing to retry. */
static long next_retry(void)
{
	struct squeezy_partition *p;
	long soonest = MAX_SCHEDULE_TIMEOUT;

	for_each_squeezy_partition(p) {
		enum squeezy_state state = squeezy_get_state(p);

		if (!due(p) && state != SQUEEZY_CLAIMED && state != SQUEEZY_MAPPING)
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
