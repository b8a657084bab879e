// SPDX-License-Identifier: Apache-2.0
#include "daemon/throttle.h"

#include <errno.h>

#include "base/err.h"

#define MINUTE_MS 60000

/* Counts one more of the minute. What is refused counts, too: a client that goes on asking stays refused until the minute is over. */
static int count(struct throttle *throttle, unsigned int *counter, unsigned int allowed, uint64_t now_ms, struct err *err)
{
	if (throttle->minute != now_ms / MINUTE_MS) {
		throttle->minute = now_ms / MINUTE_MS;
		throttle->calls = throttle->fires = 0;
	}
	(*counter)++;
	if (*counter > allowed)
		return err_set(err, EAGAIN, "Too many requests in the last minute (count: %u, allowed: %u).", *counter, allowed);
	return 0;
}

int throttle_call(struct throttle *throttle, uint64_t now_ms, struct err *err)
{
	int r = count(throttle, &throttle->calls, throttle->limits.calls_per_minute, now_ms, err);

	if (r < 0)
		return r;
	if (throttle->in_flight >= throttle->limits.concurrent)
		return err_set(err, EAGAIN, "Too many concurrent requests in flight (count: %u, allowed: %u).", throttle->in_flight,
			       throttle->limits.concurrent);
	throttle->in_flight++;
	return 0;
}

void throttle_done(struct throttle *throttle)
{
	throttle->in_flight--;
}

int throttle_fire(struct throttle *throttle, uint64_t now_ms, struct err *err)
{
	return count(throttle, &throttle->fires, throttle->limits.fires_per_minute, now_ms, err);
}
