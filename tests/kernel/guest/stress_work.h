/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes of the stress do inside an instance until they are killed. */
#ifndef SQUEEZY_TESTS_KERNEL_STRESS_WORK_H
#define SQUEEZY_TESTS_KERNEL_STRESS_WORK_H

#include <stdbool.h>
#include <stdint.h>

enum stress_deed {
	STRESS_CLAIMS,
	STRESS_CLAIMS_REFUSED,
	STRESS_MOVES,
	STRESS_DISTURBANCES,
	STRESS_SMALL,
	STRESS_HUGE,
	STRESS_FORKS,
	STRESS_SPLICES,
	STRESS_RINGS,
	STRESS_ADVICE,
	STRESS_FLOODS,
	STRESS_REMOTE,		/* wrote into another process */
	STRESS_NESTED,		/* worked in a child cgroup of the claimant */
	STRESS_PLACED,		/* found all of its pages in the partition, and was not moved meanwhile */
	STRESS_MAPS,		/* memory maps were removed meanwhile */
	STRESS_NR_DEEDS
};

#define STRESS_SLOTS 3

extern const char *const stress_deed_names[STRESS_NR_DEEDS];

/* Shared by all processes of one stress. */
struct stress_shared {
	volatile bool stop;
	bool failed;
	uint64_t deeds[STRESS_NR_DEEDS];
	/* How often somebody of a slot was about to be moved to another cgroup, and had been (or not). */
	uint64_t moves_begun[STRESS_SLOTS], moves_over[STRESS_SLOTS];
};

/* What a process of an instance works with. */
struct stress_worker {
	struct stress_shared *shared;
	unsigned int slot;
	uint64_t rnd;
	int pipe_fd;	/* pages go there now and then */
};

/* Below limit, which is at least 1. */
unsigned int stress_random(uint64_t *state, unsigned int limit);
void stress_did(struct stress_shared *shared, enum stress_deed deed);
/* Never returns: works until killed. */
void stress_work(struct stress_worker *worker);

#endif
