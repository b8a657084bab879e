// SPDX-License-Identifier: Apache-2.0
#include "bench-actors.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "vm/sync.h"

#define WRITER_CALL_MS 100	/* a writer is called again after this long; the gap between two calls is one round trip */
#define SHORT_CALL_MS 1
#define CALL_TIMEOUT_MS 60000
#define WAIT_STEP_MS 5

static void actor_call(struct actor *actor);

static void on_answer(void *arg, const struct vm_reply *reply)
{
	struct actor *actor = arg;
	double ms = (double)(reply->answered_ns - reply->sent_ns) / 1e6;

	actor->busy = false;
	if (reply->status / 100 == 2) {
		actor->answered++;
		if (!actor->writer && ms > actor->worst_ms)
			actor->worst_ms = ms;
	} else {
		const char *why = reply->body ? json_string_value(json_object_get(reply->body, "error")) : reply->err.text;

		if (!actor->failed++)
			err_set(&actor->err, EIO, "instance %s: %s", actor->id, why ? why : "an answer without a reason");
	}
	if (!actor->actors->stopping && !actor->failed)
		actor_call(actor);
}

static void actor_call(struct actor *actor)
{
	json_t *value = json_pack("{s:s, s:i}", "op", "write", "ms", actor->writer ? WRITER_CALL_MS : SHORT_CALL_MS);
	json_t *body = load_run_body(value, CALL_TIMEOUT_MS);
	struct vm_done done = { .fn = on_answer, .arg = actor };

	if (body && !vm_container_run(actor->actors->load->vm, actor->id, body, CALL_TIMEOUT_MS, done, &actor->err))
		actor->busy = true;
	else
		actor->failed++;
	json_decref(body);
}

void actors_start(struct actors *actors, struct load *load, unsigned int victim, unsigned int writers)
{
	*actors = (struct actors){ .load = load };
	for (unsigned int i = 0; i < load->n; i++) {
		unsigned int slot = (victim + 1 + i) % load->n;

		if (slot == victim)
			continue;
		actors->list[actors->n] = (struct actor){
			.actors = actors,
			.id = load->instances[slot].id,
			.writer = actors->n < writers,
		};
		actor_call(&actors->list[actors->n++]);
	}
}

void actors_mark(struct actors *actors)
{
	for (unsigned int i = 0; i < actors->n; i++) {
		actors->list[i].answered = 0;
		actors->list[i].worst_ms = 0;
	}
}

unsigned int actors_answering(const struct actors *actors)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < actors->n; i++)
		n += actors->list[i].answered > 0;
	return n;
}

unsigned int actors_failed(const struct actors *actors)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < actors->n; i++)
		n += actors->list[i].failed;
	return n;
}

static bool any_busy(const struct actors *actors)
{
	for (unsigned int i = 0; i < actors->n; i++) {
		if (actors->list[i].busy)
			return true;
	}
	return false;
}

static int first_failure(const struct actors *actors, struct err *err)
{
	for (unsigned int i = 0; i < actors->n; i++) {
		if (actors->list[i].failed)
			return err_set(err, EIO, "%s", actors->list[i].err.text);
	}
	return 0;
}

int actors_stop(struct actors *actors, unsigned int timeout_ms, struct err *err)
{
	uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + timeout_ms * 1000000ull;

	while (actors_answering(actors) < actors->n && !actors_failed(actors) && clock_ns(CLOCK_MONOTONIC) < deadline)
		vm_sleep(actors->load->base, WAIT_STEP_MS);
	actors->stopping = true;
	while (any_busy(actors))	/* each call has a deadline of its own */
		vm_sleep(actors->load->base, WAIT_STEP_MS);
	return first_failure(actors, err);
}
