// SPDX-License-Identifier: Apache-2.0
/*
 * The memory controller is turned off above a claim: that ends the claim as it ends all limits. Processes live on in normal memory,
 * and what they have in the partition is moved there, so that the partition is free again.
 */
#include "hostile.h"
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define SMALL (8 * MIB)

/* Holds memory of the partition, stops; goes on when the claim has ended. */
static void outlive_claim(void *nid)
{
	char *mem = map_pattern(SMALL), *more;

	CHECK(pages_elsewhere(mem, SMALL, *(int *)nid) == 0);
	raise(SIGSTOP);
	CHECK(has_pattern(mem, SMALL));
	CHECK(pages_elsewhere(mem, SMALL, 0) == 0);
	more = map_pattern(MIB);
	CHECK(pages_elsewhere(more, MIB, 0) == 0);
}

/* "a" hands its controllers down to "a/b", which claims. @with: what else is handed down. */
static void turn_off(const char *with)
{
	uint64_t releases = counter("releases");
	int nid;
	unsigned int id;
	pid_t pid;

	populate(1);
	CHECK(cg_make("a") == 0 && cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	if (with)
		CHECK(cg_write("a", "cgroup.subtree_control", with) == 0);
	id = claim_new("a/b");
	nid = partition_nid(id);
	pid = start_stopped("a/b", outlive_claim, &nid);
	host_request(0);
	CHECK(cg_write("a/b", "memory.squeezy", "none") == -EBUSY);
	CHECK(cg_write("a", "cgroup.subtree_control", "-memory") == 0);
	CHECK(counter("releases") == releases + 1);
	check_recovery(id);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	/* And on again: as any cgroup without a claim. */
	CHECK(cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	populate(1);
	CHECK(cg_write("a/b", "memory.squeezy", "auto") == 0);
	cg_end("a/b");
	cg_end("a");
	check_next_owner();
}

static void test_off(void)
{
	turn_off(NULL);
}

/* The io controller needs the memory controller, which therefore stays, hidden: css_reset in place of css_killed. */
static void test_hidden(void)
{
	CHECK(cg_write(".", "cgroup.subtree_control", "+io") == 0);
	turn_off("+io");
	CHECK(cg_write(".", "cgroup.subtree_control", "-io") == 0);
}

const struct test controller_tests[] = {
	{ "the memory controller is turned off above living processes", test_off },
	{ NULL, NULL }
};

/* Needs CONFIG_BLK_CGROUP. */
const struct test controller_hidden_tests[] = {
	{ "the memory controller is hidden, and the io controller goes on", test_hidden },
	{ NULL, NULL }
};
