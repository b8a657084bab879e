/* SPDX-License-Identifier: Apache-2.0 */
/* What functions/bfs.py must answer, computed here with other means: a queue, and edges made when they are needed. */
#ifndef SQUEEZY_DEMONSTRATION_GRAPH_H
#define SQUEEZY_DEMONSTRATION_GRAPH_H

#include <stdint.h>

struct graph_request {
	uint32_t seed;
	uint32_t nodes;		/* a power of two, at most 2^31 */
	uint32_t degree;	/* nodes * degree must fit 32 bits */
	uint32_t source;
};

#define GRAPH_MAX_LEVELS 64

struct graph_answer {
	uint64_t checksum;			/* sum of node * (distance + 1) over the reached nodes, mod 2^64 */
	uint32_t reached;
	uint32_t n_levels;
	uint32_t levels[GRAPH_MAX_LEVELS];	/* nodes first reached at each distance */
};

/* 0; -EINVAL for a request outside the ranges above; -ENOMEM; -ERANGE when the graph has more than GRAPH_MAX_LEVELS levels. */
int graph_search(const struct graph_request *req, struct graph_answer *ret);

#endif
