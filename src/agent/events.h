/* SPDX-License-Identifier: Apache-2.0 */
/* What happened by itself, numbered, for the host's long poll (GET /v1/events). The newest EVENTS_KEPT are kept. */
#ifndef SQUEEZY_AGENT_EVENTS_H
#define SQUEEZY_AGENT_EVENTS_H

#include <stdint.h>

struct event_base;
struct events;
struct h2_call;

#define EVENTS_KEPT		256
#define EVENTS_WAIT_MAX_MS	30000

int events_new(struct event_base *base, struct events **ret);

void events_container_exit(struct events *events, const char *id, const char *reason, int status);
void events_partition(struct events *events, unsigned int partition, const char *state);

/* Answers now if there is something newer than after, else when there is or wait_ms has passed. A second poll ends the first with none. */
void events_poll(struct events *events, struct h2_call *call, uint64_t after, uint64_t wait_ms);

#endif
