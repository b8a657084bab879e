// SPDX-License-Identifier: GPL-2.0-only
/* Included by request.c: how large the next request may be. */
#include <kunit/test.h>

#define TARGET_NS 10000ULL

struct bound_case {
	const char *what;
	unsigned int bound, nr;
	u64 took_ns;
	bool slow;
	unsigned int bound_after;
	bool slow_after;
};

static const struct bound_case bound_cases[] = {
	{ "fast: as much as fits", 100, 100, 5000, false, 200, false },
	{ "fast after a slow one", 100, 100, 5000, true, 200, false },
	{ "very fast: not more than four times as much", 100, 100, 1, false, 400, false },
	{ "no time at all", 100, 100, 0, false, 400, false },
	{ "exactly what it may take", 100, 100, 10000, false, 100, false },
	{ "a small one, fast", 100, 1, 1, false, 100, false },
	{ "a small one says nothing of the slow one before", 100, 1, 9999, true, 100, true },
	{ "slow once: not believed", 100, 100, 40000, false, 100, true },
	{ "a small one, slow once", 100, 1, 10001, false, 100, true },
	{ "slow once, but beyond chance", 100, 100, 40001, false, 24, true },
	{ "slow twice", 100, 100, 40000, true, 25, true },
	{ "slow twice, beyond measure", 100, 100, 1ULL << 60, true, 1, true },
	{ "a small one, slow twice", 100, 10, 20000, true, 5, true },
	{ "the device's limit", 40000, 40000, 1, false, MAX_BLOCKS, false },
	{ "at the device's limit", MAX_BLOCKS, MAX_BLOCKS, 1, false, MAX_BLOCKS, false },
};

static void bound_follows_time(struct kunit *test)
{
	const struct bound_case *c;

	for (c = bound_cases; c < bound_cases + ARRAY_SIZE(bound_cases); c++) {
		bool slow = c->slow;

		KUNIT_EXPECT_EQ_MSG(test, next_bound(c->bound, c->nr, c->took_ns, TARGET_NS, &slow),
				    c->bound_after, "%s", c->what);
		KUNIT_EXPECT_EQ_MSG(test, slow, c->slow_after, "%s", c->what);
	}
}

/* The largest time that can be written: nothing overflows. */
static void bound_of_the_largest_time(struct kunit *test)
{
	u64 target_ns = (u64)U32_MAX * NSEC_PER_USEC;
	bool slow = true;

	KUNIT_EXPECT_EQ(test, next_bound(MAX_BLOCKS, MAX_BLOCKS, U64_MAX, target_ns, &slow), 1);
	slow = true;
	KUNIT_EXPECT_EQ(test, next_bound(MAX_BLOCKS, MAX_BLOCKS, target_ns, target_ns, &slow),
			MAX_BLOCKS);
}

static struct kunit_case request_tests[] = {
	KUNIT_CASE(bound_follows_time),
	KUNIT_CASE(bound_of_the_largest_time),
	{ }
};

static struct kunit_suite request_suite = {
	.name = "squeezy-request",
	.test_cases = request_tests,
};

kunit_test_suite(request_suite);
