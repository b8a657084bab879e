/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests by subject. harness.c has the table of suites; run.py names those that a boot runs with "suites=NAME,NAME" on the
 * kernel command line, which the kernel hands to init as an environment variable.
 */
#ifndef SQUEEZY_TESTS_KERNEL_SUITE_H
#define SQUEEZY_TESTS_KERNEL_SUITE_H

#include "harness.h"

extern const struct test placement_tests[];
extern const struct test claim_tests[];
extern const struct test drain_tests[];
extern const struct test off_tests[];

#endif
