// SPDX-License-Identifier: GPL-2.0-only
/*
 * States of a partition, and counters.
 */
#include <linux/bits.h>
#include <linux/timekeeping.h>

#include <trace/events/squeezy.h>

#include "internal.h"

DEFINE_SPINLOCK(squeezy_lock);

static atomic_long_t counters[SQUEEZY_NR_COUNTERS];

static const char * const state_names[SQUEEZY_NR_STATES] = {
	[SQUEEZY_ABSENT]	= "absent",
	[SQUEEZY_MAPPING]	= "mapping",
	[SQUEEZY_PARKED]	= "parked",
	[SQUEEZY_UNMAPPING]	= "unmapping",
	[SQUEEZY_POPULATED]	= "populated",
	[SQUEEZY_CLAIMED]	= "claimed",
	[SQUEEZY_RELEASED]	= "released",
	[SQUEEZY_DRAINING]	= "draining",
};

/* Where each state may come from. */
static const u8 predecessors[SQUEEZY_NR_STATES] = {
	[SQUEEZY_ABSENT]	= BIT(SQUEEZY_MAPPING) | BIT(SQUEEZY_UNMAPPING),
	[SQUEEZY_MAPPING]	= BIT(SQUEEZY_ABSENT),
	[SQUEEZY_PARKED]	= BIT(SQUEEZY_MAPPING) | BIT(SQUEEZY_RELEASED) |
				  BIT(SQUEEZY_DRAINING),
	[SQUEEZY_UNMAPPING]	= BIT(SQUEEZY_MAPPING) | BIT(SQUEEZY_PARKED),
	[SQUEEZY_POPULATED]	= BIT(SQUEEZY_PARKED) | BIT(SQUEEZY_RELEASED) |
				  BIT(SQUEEZY_DRAINING),
	[SQUEEZY_CLAIMED]	= BIT(SQUEEZY_POPULATED),
	[SQUEEZY_RELEASED]	= BIT(SQUEEZY_CLAIMED),
	[SQUEEZY_DRAINING]	= BIT(SQUEEZY_POPULATED),
};

static bool may_follow(enum squeezy_state from, enum squeezy_state to)
{
	return predecessors[to] & BIT(from);
}

const char *squeezy_state_name(enum squeezy_state state)
{
	return state_names[state];
}

static const char * const time_names[SQUEEZY_NR_TIMES] = {
	[SQUEEZY_TIME_RELEASED]		= "released",
	[SQUEEZY_TIME_DRAIN_START]	= "drain_start",
	[SQUEEZY_TIME_DRAINED]		= "drained",
	[SQUEEZY_TIME_RETURNED]		= "returned",
	[SQUEEZY_TIME_POPULATE_START]	= "populate_start",
	[SQUEEZY_TIME_POPULATED]	= "populated",
};

void squeezy_stamp(struct squeezy_partition *p, enum squeezy_time time)
{
	trace_squeezy_moment(p->id, time_names[time]);
	WRITE_ONCE(p->times_ns[time], ktime_get_boottime_ns());
}

void squeezy_set_state(struct squeezy_partition *p, enum squeezy_state state)
{
	lockdep_assert_held(&squeezy_lock);
	WARN_ONCE(!may_follow(p->state, state), "squeezy: partition %u: %s to %s\n",
		  p->id, state_names[p->state], state_names[state]);
	WARN_ON_ONCE((state == SQUEEZY_CLAIMED) != !!p->claimant);

	trace_squeezy_state(p->id, state_names[p->state], state_names[state]);
	WRITE_ONCE(p->state, state);
	if (state == SQUEEZY_RELEASED)
		squeezy_stamp(p, SQUEEZY_TIME_RELEASED);
	squeezy_sysfs_state_changed(p);
}

void squeezy_change_state(struct squeezy_partition *p, enum squeezy_state state)
{
	spin_lock(&squeezy_lock);
	squeezy_set_state(p, state);
	spin_unlock(&squeezy_lock);
}

/**
 * squeezy_pin_map - keep the memory map of a partition that has pages
 * @p: the partition
 *
 * Whoever reads its struct pages and is not the mover needs that: once parked,
 * a partition may lose them. A pin does not keep it from being parked, so what
 * is read may be of a parked partition.
 * Nests; may be held across sleep.
 *
 * Return: false if the partition has no pages, and nothing is pinned.
 */
bool squeezy_pin_map(struct squeezy_partition *p)
{
	bool pinned;

	spin_lock(&squeezy_lock);
	pinned = squeezy_state_has_pages(p->state);
	p->map_pins += pinned;
	spin_unlock(&squeezy_lock);
	return pinned;
}

void squeezy_unpin_map(struct squeezy_partition *p)
{
	bool was_last;

	spin_lock(&squeezy_lock);
	p->map_pins--;
	was_last = !p->map_pins && p->state == SQUEEZY_PARKED;
	spin_unlock(&squeezy_lock);
	/* Its removal may have been put off. */
	if (was_last)
		squeezy_map_balance();
}

void squeezy_count_many(enum squeezy_counter counter, unsigned long n)
{
	atomic_long_add(n, &counters[counter]);
}

void squeezy_count(enum squeezy_counter counter)
{
	squeezy_count_many(counter, 1);
}

unsigned long squeezy_counter_read(enum squeezy_counter counter)
{
	return atomic_long_read(&counters[counter]);
}

#ifdef CONFIG_SQUEEZY_KUNIT_TEST
#include "tests/partition_kunit.c"
#endif
