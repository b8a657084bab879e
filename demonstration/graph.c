// SPDX-License-Identifier: Apache-2.0
#include "demonstration/graph.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint32_t mix(uint32_t value, uint32_t seed)
{
	value ^= seed * 0x9e3779b9u;
	value ^= value >> 16;
	value *= 0x21f0aaadu;
	value ^= value >> 15;
	value *= 0x735a2d97u;
	value ^= value >> 15;
	return value;
}

static bool request_is_valid(const struct graph_request *req)
{
	bool power = req->nodes && !(req->nodes & (req->nodes - 1));

	return power && req->nodes <= 1u << 31 && req->degree && (uint64_t)req->nodes * req->degree <= UINT32_MAX &&
	       req->source < req->nodes;
}

/* distance[] holds distance + 1, 0 = not reached; queue has room for every node. */
static int walk(const struct graph_request *req, uint8_t *distance, uint32_t *queue, struct graph_answer *ans)
{
	uint32_t head = 0, tail = 0;

	queue[tail++] = req->source;
	distance[req->source] = 1;
	while (head < tail) {
		uint32_t node = queue[head++];
		uint32_t level = distance[node] - 1u;

		if (level >= GRAPH_MAX_LEVELS)
			return -ERANGE;
		ans->levels[level]++;
		ans->n_levels = level + 1;
		ans->checksum += (uint64_t)node * (level + 1);
		for (uint32_t j = 0; j < req->degree; j++) {
			uint32_t next = mix(node * req->degree + j, req->seed) & (req->nodes - 1);

			if (distance[next])
				continue;
			distance[next] = (uint8_t)(level + 2);
			queue[tail++] = next;
		}
	}
	ans->reached = tail;
	return 0;
}

int graph_search(const struct graph_request *req, struct graph_answer *ret)
{
	struct graph_answer ans = { 0 };
	uint8_t *distance;
	uint32_t *queue;
	int r = -ENOMEM;

	if (!request_is_valid(req))
		return -EINVAL;
	distance = calloc(req->nodes, sizeof(*distance));
	queue = calloc(req->nodes, sizeof(*queue));
	if (distance && queue)
		r = walk(req, distance, queue, &ans);
	free(distance);
	free(queue);
	if (!r)
		*ret = ans;
	return r;
}
