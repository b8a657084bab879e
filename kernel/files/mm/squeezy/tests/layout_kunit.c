// SPDX-License-Identifier: GPL-2.0-only
/* Included by layout.c: what squeezy=<count>x<size> may say. */
#include <kunit/test.h>

struct layout_case {
	const char *text;
	int rc;
	unsigned int count;
	u64 bytes;
};

static const struct layout_case layout_cases[] __initconst = {
	{ "1x128M", 0, 1, 128ULL << 20 },
	{ "16x512M", 0, 16, 512ULL << 20 },
	{ "16x512m", 0, 16, 512ULL << 20 },
	{ "4x1G", 0, 4, 1ULL << 30 },
	{ "2x1T", 0, 2, 1ULL << 40 },
	{ "8x131072K", 0, 8, 128ULL << 20 },
	{ "1x2097152", 0, 1, 2ULL << 20 },
	{ "007x128M", 0, 7, 128ULL << 20 },
	/* The size is a multiple of nothing yet: the memory block is not known. */
	{ "3x3M", 0, 3, 3ULL << 20 },

	{ "", -EINVAL }, { "x", -EINVAL }, { "4", -EINVAL }, { "4x", -EINVAL },
	{ "x512M", -EINVAL }, { " 4x512M", -EINVAL }, { "4 x512M", -EINVAL },
	{ "4x 512M", -EINVAL }, { "4x512M ", -EINVAL }, { "4X512M", -EINVAL },
	{ "-4x512M", -EINVAL }, { "4x-512M", -EINVAL }, { "+4x512M", -EINVAL },
	{ "4x512MiB", -EINVAL }, { "4x512MM", -EINVAL }, { "4x512P", -EINVAL },
	{ "4x0x10M", -EINVAL }, { "4.0x512M", -EINVAL }, { "nonsense", -EINVAL },

	{ "0x512M", -ERANGE }, { "4x0M", -ERANGE }, { "4x1M", -ERANGE }, { "1x2097151", -ERANGE },
	{ "100000x128M", -ERANGE }, { "99999x128M", -ERANGE },
	{ "4x99999999G", -ERANGE }, { "1x16777217T", -ERANGE },
	{ "1x99999999999999999999", -ERANGE }, { "18446744073709551617x128M", -ERANGE },
	{ "2x4096T", -ERANGE },
};

static void __init layout_parses(struct kunit *test)
{
	const struct layout_case *c;
	unsigned int count;
	u64 bytes;

	for (c = layout_cases; c < layout_cases + ARRAY_SIZE(layout_cases); c++) {
		count = 4711;
		bytes = 4711;
		KUNIT_EXPECT_EQ_MSG(test, parse_layout(c->text, &count, &bytes), c->rc,
				    "'%s'", c->text);
		KUNIT_EXPECT_EQ_MSG(test, count, c->rc ? 4711 : c->count, "'%s'", c->text);
		KUNIT_EXPECT_EQ_MSG(test, bytes, c->rc ? 4711 : c->bytes, "'%s'", c->text);
	}
	KUNIT_EXPECT_EQ(test, parse_layout(NULL, &count, &bytes), -EINVAL);
}

/* The largest count is one less than there are node ids, whatever NODES_SHIFT is. */
static void __init layout_counts(struct kunit *test)
{
	unsigned int count;
	char text[24];
	u64 bytes;

	snprintf(text, sizeof(text), "%dx128M", MAX_NUMNODES - 1);
	KUNIT_EXPECT_EQ(test, parse_layout(text, &count, &bytes), 0);
	KUNIT_EXPECT_EQ(test, count, MAX_NUMNODES - 1);
	snprintf(text, sizeof(text), "%dx128M", MAX_NUMNODES);
	KUNIT_EXPECT_EQ(test, parse_layout(text, &count, &bytes), -ERANGE);
}

static struct kunit_case layout_tests[] __refdata = {
	KUNIT_CASE(layout_parses),
	KUNIT_CASE(layout_counts),
	{ }
};

static struct kunit_suite layout_suite = {
	.name = "squeezy-layout",
	.test_cases = layout_tests,
};

/* parse_layout() is gone after boot. */
kunit_test_init_section_suites(&layout_suite);
