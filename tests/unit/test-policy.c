// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/policy.h"

#define MIB (1ull << 20)
#define CLASS 1
#define ACTION 7

/* One VM of four 256 MiB partitions and 1,000 MiB fixed, unless a case says otherwise; budget for all of it. */
struct placement {
	const char *what;
	struct policy_instance instances[5];
	size_t n_instances;
	unsigned int populated;
	uint64_t budget_mib;
	bool no_vm, not_ready;
	struct policy_decision expect;
};

static const struct placement placements[] = {
	{ "no VM, budget for one", .no_vm = true, .budget_mib = 1256, .expect = { POLICY_START_VM, 0 } },
	{ "no VM, budget never enough", .no_vm = true, .budget_mib = 1255, .expect = { POLICY_REFUSE, 0 } },
	{ "VM boots", .not_ready = true, .budget_mib = 4000, .expect = { POLICY_QUEUE, 0 } },
	{ "empty VM", .budget_mib = 4000, .expect = { POLICY_CREATE, 0 } },
	{ "idle instance of the action", { { ACTION, 5, 0, POLICY_IDLE } }, 1, 1, 4000, .expect = { POLICY_REUSE, 0 } },
	{ "of two idle ones, the one used last", { { ACTION, 5, 0, POLICY_IDLE }, { ACTION, 9, 0, POLICY_IDLE } }, 2, 2, 4000,
	  .expect = { POLICY_REUSE, 1 } },
	{ "one that works and takes another call, before an idle one",
	  { { ACTION, 5, 0, POLICY_IDLE }, { 8, 0, 0, POLICY_SPARE }, { ACTION, 0, 0, POLICY_BUSY }, { ACTION, 0, 0, POLICY_SPARE } }, 4, 4, 4000,
	  .expect = { POLICY_REUSE, 3 } },
	{ "idle instance of another action", { { 8, 5, 0, POLICY_IDLE } }, 1, 1, 4000, .expect = { POLICY_CREATE, 0 } },
	{ "busy instance of the action", { { ACTION, 0, 0, POLICY_BUSY } }, 1, 1, 4000, .expect = { POLICY_CREATE, 0 } },
	{ "full VM, an idle one of another action: the oldest goes",
	  { { 8, 0, 0, POLICY_BUSY }, { 8, 9, 0, POLICY_IDLE }, { 9, 3, 0, POLICY_IDLE }, { 8, 0, 0, POLICY_BUSY } }, 4, 4, 4000,
	  .expect = { POLICY_SWAP, 2 } },
	{ "full VM, all busy", { { 8, 0, 0, POLICY_BUSY }, { 8, 0, 0, POLICY_BUSY }, { 9, 0, 0, POLICY_BUSY }, { 8, 0, 0, POLICY_BUSY } },
	  4, 4, 4000, .expect = { POLICY_QUEUE, 0 } },
	{ "room in the VM, none in the budget, nobody idle", { { 8, 0, 0, POLICY_BUSY } }, 1, 1, 1256, .expect = { POLICY_QUEUE, 0 } },
	{ "room in the VM, none in the budget, one idle", { { 8, 4, 0, POLICY_IDLE } }, 1, 1, 1256, .expect = { POLICY_SWAP, 0 } },
	{ "somebody is leaving: wait for that memory", { { 8, 4, 0, POLICY_IDLE }, { 8, 0, 0, POLICY_LEAVING } }, 2, 2, 1512,
	  .expect = { POLICY_QUEUE, 0 } },
	{ "a populated spare needs no budget", { { 8, 0, 0, POLICY_BUSY } }, 1, 2, 1000, .expect = { POLICY_CREATE, 0 } },
	{ "one leaving still counts as a place", { { 8, 0, 0, POLICY_LEAVING }, { 8, 0, 0, POLICY_BUSY }, { 8, 0, 0, POLICY_BUSY },
	  { 8, 0, 0, POLICY_BUSY } }, 4, 4, 4000, .expect = { POLICY_QUEUE, 0 } },
};

static void test_place(void **state)
{
	for (size_t i = 0; i < sizeof(placements) / sizeof(placements[0]); i++) {
		const struct placement *p = &placements[i];
		struct policy_vm vm = { CLASS, 1000 * MIB, 256 * MIB, 4, p->populated, !p->not_ready };
		struct policy_view view = { p->instances, p->n_instances, &vm, p->no_vm ? 0 : 1, p->budget_mib * MIB };
		struct policy_call call = { ACTION, CLASS, 1000 * MIB, 256 * MIB };
		struct policy_decision decision = policy_place(&view, &call);

		if (decision.verb != p->expect.verb || decision.index != p->expect.index)
			fail_msg("%s: verb %d index %zu", p->what, (int)decision.verb, decision.index);
	}
}

static void test_place_evicts_from_another_vm(void **state)
{
	struct policy_instance idle = { 9, 3, 0, POLICY_IDLE };
	struct policy_vm vms[] = { { 2, 1000 * MIB, 256 * MIB, 4, 1, true }, { CLASS, 1000 * MIB, 256 * MIB, 4, 0, true } };
	struct policy_view view = { &idle, 1, vms, 2, 2256 * MIB };
	struct policy_call call = { ACTION, CLASS, 1000 * MIB, 256 * MIB };
	struct policy_decision decision = policy_place(&view, &call);

	assert_int_equal(decision.verb, POLICY_EVICT);
	assert_int_equal(decision.index, 0);
}

static void test_promised(void **state)
{
	struct policy_vm vms[] = { { 1, 100, 10, 4, 3, true }, { 2, 50, 20, 4, 0, false } };
	struct policy_view view = { NULL, 0, vms, 2, 0 };

	assert_int_equal(policy_promised_bytes(&view), 180);
}

static void test_expired(void **state)
{
	struct policy_instance idle = { 1, 100, 0, POLICY_IDLE }, busy = { 1, 100, 0, POLICY_BUSY };

	assert_false(policy_expired(&idle, 50, 149));
	assert_true(policy_expired(&idle, 50, 150));
	assert_true(policy_expired(&idle, 0, 100));
	assert_false(policy_expired(&idle, 0, 99));	/* a clock that stands still or was read earlier */
	assert_false(policy_expired(&busy, 0, 1000));
}

static void test_partition_size(void **state)
{
	static const struct { uint64_t limit, least, expect; } cases[] = {
		{ 0, 256 * MIB, 0 }, { 128 * MIB, 128 * MIB, 128 * MIB }, { 129 * MIB, 128 * MIB, 256 * MIB },
		{ 100 * MIB, 256 * MIB, 256 * MIB }, { 300 * MIB, 256 * MIB, 384 * MIB }, { 512 * MIB, 0, 512 * MIB },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(policy_partition_bytes(cases[i].limit, cases[i].least), cases[i].expect);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place), cmocka_unit_test(test_place_evicts_from_another_vm), cmocka_unit_test(test_promised),
		cmocka_unit_test(test_expired), cmocka_unit_test(test_partition_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
