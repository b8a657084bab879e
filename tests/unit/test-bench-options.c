// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench-options.h"

#define PARSE(...) parse((char *[]){ "reclaim", __VA_ARGS__, NULL }, &o, &err)

static int parse(char **argv, struct bench_options *o, struct err *err)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return bench_options_parse(argc, argv, o, err);
}

static void test_issue(void **state)
{
	struct bench_options o;
	struct err err;

	assert_int_equal(PARSE("--size", "256M,512M", "--instances", "8", "--against", "virtio-mem", "--json"), 0);
	assert_int_equal(o.n_sizes, 2);
	assert_int_equal(o.sizes_bytes[0], 256 << 20);
	assert_int_equal(o.sizes_bytes[1], 512 << 20);
	assert_int_equal(o.instances, 8);
	assert_int_equal(o.samples, 5);
	assert_int_equal(o.writers, 2);
	assert_true(o.against && o.json && !o.quick && !o.guest_thp && !o.host_4k);
	assert_int_equal(PARSE("--host-pages", "4k"), 0);
	assert_true(o.host_4k);
}

static void test_quick_is_only_a_default(void **state)
{
	struct bench_options o;
	struct err err;

	assert_int_equal(PARSE("--samples", "3", "--quick"), 0);
	assert_int_equal(o.samples, 3);
	assert_int_equal(o.n_sizes, 1);
	assert_int_equal(o.sizes_bytes[0], 128 << 20);
	assert_true(o.quick);
}

static void expect_refused(char **argv, const char *word)
{
	struct bench_options o;
	struct err err = { 0 };

	assert_int_equal(parse(argv, &o, &err), -EINVAL);
	assert_non_null(strstr(err.text, word));
}

static void test_refused(void **state)
{
	expect_refused((char *[]){ "r", "--size", "100M", NULL }, "128M");
	expect_refused((char *[]){ "r", "--size", "256M,", NULL }, "--size");
	expect_refused((char *[]){ "r", "--size", "0", NULL }, "--size");
	expect_refused((char *[]){ "r", "--size", "1G,1G,1G,1G,1G,1G,1G,1G,1G", NULL }, "at most 8");
	expect_refused((char *[]){ "r", "--instances", "1", NULL }, "--instances");
	expect_refused((char *[]){ "r", "--instances", "-3", NULL }, "--instances");
	expect_refused((char *[]){ "r", "--samples", "5x", NULL }, "--samples");
	expect_refused((char *[]){ "r", "--instances", "3", "--writers", "3", NULL }, "--writers");
	expect_refused((char *[]){ "r", "--against", "balloon", NULL }, "virtio-mem");
	expect_refused((char *[]){ "r", "--accel", "hvf", NULL }, "kvm");
	expect_refused((char *[]){ "r", "--host-pages", "1g", NULL }, "4k");
	expect_refused((char *[]){ "r", "--no-such-option", NULL }, "--help");
	expect_refused((char *[]){ "r", "extra", NULL }, "extra");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issue), cmocka_unit_test(test_quick_is_only_a_default), cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("bench-options", tests, NULL, NULL);
}
