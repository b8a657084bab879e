/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a namespace may ask for: calls and trigger fires in a wall-clock minute, and calls in flight (OpenWhisk's
 * LocalEntitlementProvider). Pure: the time is an argument.
 */
#ifndef SQUEEZY_DAEMON_THROTTLE_H
#define SQUEEZY_DAEMON_THROTTLE_H

#include <stdint.h>

struct err;

struct throttle_limits {
	unsigned int calls_per_minute, fires_per_minute, concurrent;
};

struct throttle {
	struct throttle_limits limits;
	unsigned int calls, fires;	/* of the minute */
	uint64_t minute;		/* since the epoch */
	unsigned int in_flight;
};

/* Counts one call, and one more in flight. -EAGAIN with OpenWhisk's sentence for a 429; nothing is in flight then. */
int throttle_call(struct throttle *throttle, uint64_t now_ms, struct err *err);

/* A call that was let in has ended. */
void throttle_done(struct throttle *throttle);

/* Counts one fire of a trigger. -EAGAIN as above. */
int throttle_fire(struct throttle *throttle, uint64_t now_ms, struct err *err);

#endif
