/* SPDX-License-Identifier: Apache-2.0 */
/* One side of the demonstration: the same calls and evictions on a daemon with partitions, or with the stock virtio-mem driver. */
#ifndef SQUEEZY_DEMONSTRATION_SIDE_H
#define SQUEEZY_DEMONSTRATION_SIDE_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

#define SIDE_PARTITIONS 8
#define SIDE_PARTITION_MIB 256
#define SIDE_BFS 4
#define SIDE_WORDS 2
#define SIDE_CALLS (SIDE_BFS + SIDE_WORDS)

struct side {
	const char *backend;		/* "squeezy" or "virtio-mem" */
	double ready_s;			/* daemon started -> agent answered */
	double cold_s, warm_s;		/* the burst that makes the instances; two more calls of a warm function */
	uint64_t evicted_ms;		/* epoch: when the evictions were asked for */
	json_t *status;			/* of the daemon, after the bursts */
	json_t *reclaims;		/* one record per evicted instance */
	json_t *samples;		/* memory over time */
};

/* Runs everything, telling what happens on stdout. dir: state directory of the daemon. */
int side_run(struct side *side, const char *backend, const char *dir, struct err *err);

void side_clear(struct side *side);

#endif
