/* SPDX-License-Identifier: Apache-2.0 */
/* The tests by subject; main.c strings them together. */
#ifndef SQUEEZY_TESTS_KERNEL_SUITE_H
#define SQUEEZY_TESTS_KERNEL_SUITE_H

#include "harness.h"

extern const struct test placement_tests[];
extern const struct test claim_tests[];
extern const struct test drain_tests[];
extern const struct test off_tests[];

#endif
