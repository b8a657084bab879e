// SPDX-License-Identifier: Apache-2.0
/* The agent's events: an idle instance whose process has ended gives its memory back now, not at its next call. */
#include <string.h>

#include "base/log.h"
#include "daemon/pool-internal.h"

#define WAIT_MS 25000	/* one question is open all the time; the agent answers an old one at the latest after this */

static void container_exit(struct machine *machine, const char *id)
{
	struct instance *instance;

	TAILQ_FOREACH(instance, &machine->instances, link)
		if (!strcmp(instance->id, id))
			break;
	/* While it serves a call, the call's own answer tells; while it leaves, nothing new. */
	if (!instance || instance->state != INSTANCE_IDLE)
		return;
	log_info("%s: idle instance %s of %s has ended by itself", machine->id, instance->id, instance->action);
	reclaim_start(instance, "exited", true);
}

static void on_events(void *arg, const struct vm_reply *reply)
{
	json_t *seq = json_object_get(reply->body, "seq"), *event;
	struct machine *machine = arg;
	size_t i;

	if (reply->status != 200 || !json_is_integer(seq)) {
		if (vm_state(machine->vm) == VM_READY)
			log_warning("%s: the agent tells no events; it is asked again", machine->id);
		machine->watch_due = true;
		return;
	}
	json_array_foreach(json_object_get(reply->body, "events"), i, event) {
		const char *type = json_string_value(json_object_get(event, "type"));
		const char *id = json_string_value(json_object_get(event, "id"));

		if (type && id && !strcmp(type, "container-exit"))
			container_exit(machine, id);
	}
	/* A guest that answers at once with nothing new would keep us busy: then it is asked by the tick. */
	machine->watch_due = (uint64_t)json_integer_value(seq) <= machine->events_seen;
	machine->events_seen = (uint64_t)json_integer_value(seq);
	if (!machine->watch_due)
		machine_watch(machine);
}

void machine_watch(struct machine *machine)
{
	struct err err;

	machine->watch_due = false;
	if (vm_state(machine->vm) == VM_READY &&
	    vm_events(machine->vm, machine->events_seen, WAIT_MS, (struct vm_done){ on_events, machine }, &err) < 0)
		log_warning("%s: %s", machine->id, err.text);
}
