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
	STRESS_NR_DEEDS
};

extern const char *const stress_deed_names[STRESS_NR_DEEDS];

/* Shared by all processes of one stress. */
struct stress_shared {
	volatile bool stop;
	bool failed;
	uint64_t deeds[STRESS_NR_DEEDS];
};

/* Below limit, which is at least 1. */
unsigned int stress_random(uint64_t *state, unsigned int limit);
void stress_did(struct stress_shared *shared, enum stress_deed deed);
/* Never returns: works until killed. Pages go to pipe_fd now and then. */
void stress_work(struct stress_shared *shared, uint64_t *rnd, int pipe_fd);

#endif
