// SPDX-License-Identifier: GPL-2.0-only
/* Included by zone.c: the exact count of free pages, on a zone that is nobody's. */
#include <kunit/test.h>

static void zone_counts_lists(struct kunit *test)
{
	struct zone *zone = kunit_kzalloc(test, sizeof(*zone), GFP_KERNEL);
	unsigned long expected = 0;
	int order;

	KUNIT_ASSERT_NOT_NULL(test, zone);
	spin_lock_init(&zone->lock);
	spin_lock(&zone->lock);
	KUNIT_EXPECT_EQ(test, free_pages_locked(zone), 0);
	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		zone->free_area[order].nr_free = order + 1;
		expected += (order + 1UL) << order;
		KUNIT_EXPECT_EQ(test, free_pages_locked(zone), expected);
	}
	/* The counter that lags is not looked at. */
	atomic_long_set(&zone->vm_stat[NR_FREE_PAGES], 4711);
	KUNIT_EXPECT_EQ(test, free_pages_locked(zone), expected);
	spin_unlock(&zone->lock);
}

/* Lists of a fake zone hold no page: that is the count to trust, in the state that has a zone. */
static void zone_counts_by_state(struct kunit *test)
{
	struct squeezy_partition *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	struct zone *zone = kunit_kzalloc(test, sizeof(*zone), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_NOT_NULL(test, zone);
	spin_lock_init(&zone->lock);
	zone->free_area[3].nr_free = 5;
	p->zone = zone;
	p->state = SQUEEZY_CLAIMED;
	KUNIT_EXPECT_EQ(test, squeezy_zone_free_pages(p), 40);
	p->state = SQUEEZY_ABSENT;
	KUNIT_EXPECT_EQ(test, squeezy_zone_free_pages(p), 0);
	p->state = SQUEEZY_MAPPING;
	KUNIT_EXPECT_EQ(test, squeezy_zone_free_pages(p), 0);
}

static struct kunit_case zone_tests[] = {
	KUNIT_CASE(zone_counts_lists),
	KUNIT_CASE(zone_counts_by_state),
	{ }
};

static struct kunit_suite zone_suite = {
	.name = "squeezy-zone",
	.test_cases = zone_tests,
};

kunit_test_suite(zone_suite);
