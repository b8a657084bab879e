// SPDX-License-Identifier: GPL-2.0-only
/* Included by partition.c: every step from a state to a state, and the counters. */
#include <kunit/test.h>
#include <linux/string.h>

/* Written down a second time, from the life of a partition; what is not here is forbidden. */
static const struct {
	const char *from, *to;
} life[] = {
	{ "absent", "mapping" },
	{ "mapping", "absent" },
	{ "mapping", "parked" },
	{ "mapping", "unmapping" },
	{ "parked", "unmapping" },
	{ "unmapping", "absent" },
	{ "populated", "claimed" },
	{ "populated", "draining" },
	{ "claimed", "released" },
	{ "released", "populated" },
	{ "released", "parked" },
	{ "draining", "populated" },
	{ "draining", "parked" },
	{ "parked", "populated" },
};

static bool is_life(const char *from, const char *to)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(life); i++)
		if (!strcmp(life[i].from, from) && !strcmp(life[i].to, to))
			return true;
	return false;
}

static void states_follow(struct kunit *test)
{
	unsigned int from, to, allowed = 0;

	for (from = 0; from < SQUEEZY_NR_STATES; from++) {
		for (to = 0; to < SQUEEZY_NR_STATES; to++) {
			KUNIT_EXPECT_EQ_MSG(test, may_follow(from, to),
					    is_life(state_names[from], state_names[to]),
					    "%s to %s", state_names[from], state_names[to]);
			allowed += may_follow(from, to);
		}
	}
	KUNIT_EXPECT_EQ(test, allowed, ARRAY_SIZE(life));
}

static void states_have_names(struct kunit *test)
{
	unsigned int i, j;

	for (i = 0; i < SQUEEZY_NR_STATES; i++) {
		KUNIT_ASSERT_NOT_NULL(test, squeezy_state_name(i));
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_STRNEQ(test, squeezy_state_name(i), squeezy_state_name(j));
	}
}

/* A whole life without a splat: the state is what was set, a release is stamped. */
static void states_are_set(struct kunit *test)
{
	static const enum squeezy_state steps[] = {
		SQUEEZY_POPULATED, SQUEEZY_DRAINING, SQUEEZY_POPULATED, SQUEEZY_CLAIMED,
		SQUEEZY_RELEASED, SQUEEZY_POPULATED, SQUEEZY_CLAIMED, SQUEEZY_RELEASED,
		SQUEEZY_PARKED, SQUEEZY_POPULATED, SQUEEZY_DRAINING, SQUEEZY_PARKED,
	};
	struct squeezy_partition *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	u64 released_ns = 0;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->state = SQUEEZY_PARKED;
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		/* Never looked into, only compared with NULL. */
		p->claimant = steps[i] == SQUEEZY_CLAIMED ? (struct mem_cgroup *)p : NULL;
		spin_lock(&squeezy_lock);
		squeezy_set_state(p, steps[i]);
		spin_unlock(&squeezy_lock);
		KUNIT_EXPECT_EQ(test, squeezy_get_state(p), steps[i]);
		if (steps[i] == SQUEEZY_RELEASED)
			KUNIT_EXPECT_GT(test, p->times_ns[SQUEEZY_TIME_RELEASED], released_ns);
		else
			KUNIT_EXPECT_EQ(test, p->times_ns[SQUEEZY_TIME_RELEASED], released_ns);
		released_ns = p->times_ns[SQUEEZY_TIME_RELEASED];
	}
}

/* Each counter counts by one, and no other one with it. */
static void counters_count(struct kunit *test)
{
	unsigned long before[SQUEEZY_NR_COUNTERS];
	unsigned int i, j;

	for (i = 0; i < SQUEEZY_NR_COUNTERS; i++) {
		for (j = 0; j < SQUEEZY_NR_COUNTERS; j++)
			before[j] = squeezy_counter_read(j);
		squeezy_count(i);
		for (j = 0; j < SQUEEZY_NR_COUNTERS; j++)
			KUNIT_EXPECT_EQ(test, squeezy_counter_read(j), before[j] + (i == j));
		/* Nothing has happened. */
		atomic_long_dec(&counters[i]);
	}
}

static struct kunit_case partition_tests[] = {
	KUNIT_CASE(states_follow),
	KUNIT_CASE(states_have_names),
	KUNIT_CASE(states_are_set),
	KUNIT_CASE(counters_count),
	{ }
};

static struct kunit_suite partition_suite = {
	.name = "squeezy-partition",
	.test_cases = partition_tests,
};

kunit_test_suite(partition_suite);
