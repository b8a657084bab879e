/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other instances during a reclaim: each is called again and again, some writing to all their memory without a pause, the rest
 * answering short calls.
 */
#ifndef SQUEEZY_CLI_BENCH_ACTORS_H
#define SQUEEZY_CLI_BENCH_ACTORS_H

#include "cli/bench-load.h"

struct actor {
	struct actors *actors;
	const char *id;
	bool writer;
	bool busy;			/* a call is under way */
	unsigned int answered;		/* good answers since actors_mark() */
	unsigned int failed;		/* bad ones since actors_start() */
	double worst_ms;		/* longest call of a non-writer since actors_mark() */
	struct err err;			/* of the first bad one */
};

struct actors {
	struct load *load;
	unsigned int n;
	bool stopping;
	struct actor list[BENCH_MAX_INSTANCES];
};

/* Starts a stream of calls to every instance but the victim; the first `writers` of them write all the time. */
void actors_start(struct actors *actors, struct load *load, unsigned int victim, unsigned int writers);

/* Answers count from here. */
void actors_mark(struct actors *actors);

/* How many of the instances have answered at least once since the mark, and how many calls failed. */
unsigned int actors_answering(const struct actors *actors);
unsigned int actors_failed(const struct actors *actors);

/* Waits until each has answered since the mark, at most timeout_ms; then ends the streams and waits for the last answers. */
int actors_stop(struct actors *actors, unsigned int timeout_ms, struct err *err);

#endif
