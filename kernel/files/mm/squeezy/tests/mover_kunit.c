// SPDX-License-Identifier: GPL-2.0-only
/*
 * Included by mover.c: which partition comes next. The functions look at the
 * one table of partitions, so the test lends them its own: only in a boot
 * without squeezy=, where nobody else looks at it.
 */
#include <kunit/test.h>

#define TEST_PARTITIONS 6

static int mover_test_init(struct kunit *test)
{
	struct squeezy_partition *p;

	if (squeezy_layout.count)
		kunit_skip(test, "this boot has partitions of its own");
	p = kunit_kcalloc(test, TEST_PARTITIONS, sizeof(*p), GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	squeezy_layout.partitions = p;
	squeezy_layout.count = TEST_PARTITIONS;
	looked_at = jiffies;
	for_each_squeezy_partition(p) {
		p->id = p - squeezy_layout.partitions;
		p->not_before = looked_at;
		p->state = SQUEEZY_PARKED;
	}
	return 0;
}

static void mover_test_exit(struct kunit *test)
{
	if (squeezy_layout.count != TEST_PARTITIONS)
		return;
	squeezy_layout.partitions = NULL;
	squeezy_layout.count = 0;
}

static void set_test_states(const enum squeezy_state *states)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		p->state = states[p->id];
}

/* The released before spares, highest first; a back-off takes one out of the choice. */
static void drains_in_order(struct kunit *test)
{
	static const enum squeezy_state states[TEST_PARTITIONS] = {
		SQUEEZY_RELEASED, SQUEEZY_POPULATED, SQUEEZY_CLAIMED,
		SQUEEZY_RELEASED, SQUEEZY_POPULATED, SQUEEZY_PARKED,
	};
	struct squeezy_partition *all = squeezy_layout.partitions;

	set_test_states(states);
	KUNIT_EXPECT_EQ(test, count_in(), 5);
	KUNIT_EXPECT_PTR_EQ(test, next_to_drain(), all + 3);
	all[3].not_before = jiffies + 1000 * HZ;
	KUNIT_EXPECT_PTR_EQ(test, next_to_drain(), all + 0);
	all[0].not_before = jiffies + 1000 * HZ;
	KUNIT_EXPECT_PTR_EQ(test, next_to_drain(), all + 4);
	KUNIT_EXPECT_EQ(test, all[4].state, SQUEEZY_DRAINING);
	KUNIT_EXPECT_PTR_EQ(test, next_to_drain(), all + 1);
	KUNIT_EXPECT_NULL(test, next_to_drain());
	/* Neither the claimed nor the parked one was touched. */
	KUNIT_EXPECT_EQ(test, all[2].state, SQUEEZY_CLAIMED);
	KUNIT_EXPECT_EQ(test, all[5].state, SQUEEZY_PARKED);
}

static void nothing_to_drain(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, count_in(), 0);
	KUNIT_EXPECT_NULL(test, next_to_drain());
	KUNIT_EXPECT_NULL(test, last_in_state(SQUEEZY_RELEASED));
	KUNIT_EXPECT_PTR_EQ(test, last_in_state(SQUEEZY_PARKED),
			    squeezy_layout.partitions + TEST_PARTITIONS - 1);
}

/* From the shortest pause to the longest by doubling, and never due before. */
static void backs_off(struct kunit *test)
{
	struct squeezy_partition *p = squeezy_layout.partitions;
	unsigned int last = 0, steps = 0;

	KUNIT_EXPECT_TRUE(test, due(p));
	while (p->backoff_ms != BACKOFF_MAX_MS && steps++ < 20) {
		back_off(p);
		KUNIT_EXPECT_EQ(test, p->backoff_ms,
				clamp(last * 2, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
		KUNIT_EXPECT_TRUE(test, time_after(p->not_before, jiffies - 1));
		last = p->backoff_ms;
	}
	KUNIT_EXPECT_EQ(test, last, BACKOFF_MAX_MS);
	back_off(p);
	KUNIT_EXPECT_EQ(test, p->backoff_ms, BACKOFF_MAX_MS);
	p->not_before = jiffies + 1000 * HZ;
	KUNIT_EXPECT_FALSE(test, due(p));
}

/* What becomes due after the look is not forgotten, and what the look saw due is not waited for. */
static void retries_what_becomes_due(struct kunit *test)
{
	static const enum squeezy_state states[TEST_PARTITIONS] = {
		SQUEEZY_RELEASED, SQUEEZY_CLAIMED, SQUEEZY_CLAIMED,
		SQUEEZY_CLAIMED, SQUEEZY_CLAIMED, SQUEEZY_CLAIMED,
	};
	struct squeezy_partition *p = squeezy_layout.partitions;

	set_test_states(states);
	KUNIT_EXPECT_EQ(test, next_retry(), MAX_SCHEDULE_TIMEOUT);
	looked_at = jiffies - 2;
	p->not_before = looked_at + 1;
	KUNIT_EXPECT_FALSE(test, due(p));
	KUNIT_EXPECT_EQ(test, next_retry(), 1);
}

/*
 * Plugged before its map was made, and nearly unplugged: while the request was
 * in flight map.c passed it by, and is not told again of a wish that it knows.
 */
static void asks_for_map_anew(struct kunit *test)
{
	struct squeezy_partition *p = squeezy_layout.partitions;
	const u64 bytes = squeezy_layout.bytes, block_size = squeezy_layout.block_size;

	squeezy_layout.bytes = SZ_128M;
	squeezy_layout.block_size = SZ_2M;
	p->state = SQUEEZY_ABSENT;
	p->plugged_blocks = squeezy_partition_blocks();
	p->map_wanted = true;
	p->reserved = true;
	run_plugs = false;
	settle_one(p, true);
	squeezy_layout.bytes = bytes;
	squeezy_layout.block_size = block_size;
	KUNIT_EXPECT_EQ(test, p->state, SQUEEZY_ABSENT);
	KUNIT_EXPECT_FALSE(test, p->reserved);
	KUNIT_EXPECT_FALSE(test, p->map_wanted);
}

static struct kunit_case mover_tests[] = {
	KUNIT_CASE(drains_in_order),
	KUNIT_CASE(nothing_to_drain),
	KUNIT_CASE(backs_off),
	KUNIT_CASE(retries_what_becomes_due),
	KUNIT_CASE(asks_for_map_anew),
	{ }
};

static struct kunit_suite mover_suite = {
	.name = "squeezy-mover",
	.init = mover_test_init,
	.exit = mover_test_exit,
	.test_cases = mover_tests,
};

kunit_test_suite(mover_suite);
