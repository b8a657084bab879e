/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a partition: GET /v1/partitions/{id} of proto/SPEC.md. */
#ifndef SQUEEZY_AGENT_INSPECT_H
#define SQUEEZY_AGENT_INSPECT_H

#include <stdbool.h>

struct agent;
struct h2_call;

/* The number in "/v1/partitions/{id}"; false if the path is something else. */
bool inspect_path(const char *path, unsigned int *ret_id);

/* Answers the call; takes at most a quarter of a second of the loop. */
void inspect_partition(const struct agent *agent, unsigned int id, struct h2_call *call);

#endif
