/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests by subject. harness.c has the table of suites; run.py names those that a boot runs with "suites=NAME,NAME" on the
 * kernel command line, which the kernel hands to init as an environment variable.
 */
#ifndef SQUEEZY_TESTS_KERNEL_SUITE_H
#define SQUEEZY_TESTS_KERNEL_SUITE_H

#include "harness.h"

extern const struct test placement_tests[];
extern const struct test processes_tests[];
extern const struct test huge_tests[];
extern const struct test remote_tests[];
extern const struct test nobodys_tests[];
extern const struct test outside_tests[];
extern const struct test exclusion_tests[];
extern const struct test cpuset_tests[];
extern const struct test secrecy_tests[];
extern const struct test shared_tests[];
extern const struct test reporting_tests[];
extern const struct test walkers_tests[];
extern const struct test hugetlb_tests[];
extern const struct test pins_tests[];
extern const struct test claim_tests[];
extern const struct test drain_tests[];
extern const struct test full_tests[];
extern const struct test full_exits_tests[];
extern const struct test reclaim_tests[];
extern const struct test maps_tests[];
extern const struct test maps_fail_tests[];
extern const struct test maps_lock_tests[];
extern const struct test maps_room_tests[];
extern const struct test driver_tests[];
extern const struct test driver_power_tests[];
extern const struct test driver_reboot_tests[];
extern const struct test driver_none_tests[];
extern const struct test kexec_tests[];
extern const struct test kexec_next_tests[];
extern const struct test crash_tests[];
extern const struct test crash_dump_tests[];
extern const struct test waiting_tests[];
extern const struct test freezing_tests[];
extern const struct test delegation_tests[];
extern const struct test controller_tests[];
extern const struct test controller_hidden_tests[];
extern const struct test moving_tests[];
extern const struct test injected_tests[];
extern const struct test event_tests[];
extern const struct test options_tests[];
extern const struct test holders_tests[];
extern const struct test late_tasks_tests[];
extern const struct test core_dump_tests[];
extern const struct test poison_tests[];
extern const struct test fakeanswers_tests[];
extern const struct test fakelost_tests[];
extern const struct test fakeconfig_tests[];
extern const struct test fakefuzz_tests[];
extern const struct test off_tests[];
extern const struct test base_tests[];
extern const struct test stress_tests[];
extern const struct test faults_tests[];
extern const struct test check_tests[];
extern const struct test leaks_tests[];
extern const struct test plant_warning_tests[];
extern const struct test plant_leak_tests[];

/* A test test_FN() that runs fn(int *nid) inside a claiming cgroup. */
#define INSIDE(fn)                                                                                                             \
	static void test_##fn(void)                                                                                            \
	{                                                                                                                      \
		run_claimed(fn);                                                                                               \
	}

/* What main() does when a test runs this program again, with this name and what to do as arguments. */
#define EXEC_NAME "squeezy-exec"
int exec_main(int argc, char **argv);
/* The argument with which the kernel starts this program to take a core dump. It does not. */
#define CORE_READER "read-core"

/* Measurements: `squeezy bench kernel` boots them (bench.h). */
extern const struct test bench_boot_tests[];
extern const struct test bench_fault_tests[];
extern const struct test bench_others_tests[];
extern const struct test bench_adjacent_tests[];
extern const struct test bench_full_tests[];
extern const struct test bench_size_tests[];
extern const struct test bench_reclaims_tests[];
extern const struct test bench_reason_tests[];
extern const struct test bench_populate_tests[];
extern const struct test bench_beside_tests[];
extern const struct test bench_prepared_tests[];
extern const struct test bench_plug_tests[];
extern const struct test bench_grow_tests[];
extern const struct test bench_memory_tests[];

#endif
