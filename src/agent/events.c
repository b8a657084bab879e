// SPDX-License-Identifier: Apache-2.0
#include "agent/events.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>

#include "agent/answer.h"

struct events {
	json_t *kept[EVENTS_KEPT];	/* event seq is at seq % EVENTS_KEPT */
	uint64_t seq;			/* of the newest */
	struct h2_call *waiting;
	uint64_t after;
	struct event *timer;
};

static void answer(struct events *events)
{
	struct h2_call *call = events->waiting;
	uint64_t first = events->after + 1;
	json_t *list = json_array();

	events->waiting = NULL;
	event_del(events->timer);
	if (events->seq >= EVENTS_KEPT && first <= events->seq - EVENTS_KEPT)
		first = events->seq - EVENTS_KEPT + 1;
	for (uint64_t i = first; i <= events->seq; i++)
		json_array_append(list, events->kept[i % EVENTS_KEPT]);
	answer_json(call, 200, json_pack("{s:I, s:o}", "seq", (json_int_t)events->seq, "events", list));
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct events *events = userdata;

	if (events->waiting)
		answer(events);
}

int events_new(struct event_base *base, struct events **ret)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->timer = event_new(base, -1, 0, on_timer, events);
	if (!events->timer) {
		free(events);
		return -ENOMEM;
	}
	*ret = events;
	return 0;
}

/* Steals event. */
static void add(struct events *events, json_t *event)
{
	if (!event)
		return;
	events->seq++;
	json_object_set_new(event, "seq", json_integer((json_int_t)events->seq));
	json_decref(events->kept[events->seq % EVENTS_KEPT]);
	events->kept[events->seq % EVENTS_KEPT] = event;
	if (events->waiting)
		answer(events);
}

void events_container_exit(struct events *events, const char *id, const char *reason, int status)
{
	add(events, json_pack("{s:s, s:s, s:s, s:i}", "type", "container-exit", "id", id, "reason", reason, "status", status));
}

void events_partition(struct events *events, unsigned int partition, const char *state)
{
	add(events, json_pack("{s:s, s:i, s:s}", "type", "partition", "partition", (int)partition, "state", state));
}

void events_poll(struct events *events, struct h2_call *call, uint64_t after, uint64_t wait_ms)
{
	struct timeval limit;

	if (wait_ms > EVENTS_WAIT_MAX_MS)
		wait_ms = EVENTS_WAIT_MAX_MS;
	limit.tv_sec = (time_t)(wait_ms / 1000);
	limit.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
	if (events->waiting)
		answer(events);
	events->waiting = call;
	/* A number from before a restart would wait for ever. */
	events->after = after > events->seq ? events->seq : after;
	if (events->seq > events->after || wait_ms == 0 || event_add(events->timer, &limit) < 0)
		answer(events);
}
