// SPDX-License-Identifier: Apache-2.0
/*
 * Sequences: the result of a component is the arguments of the next; a result with "error" ends it. The sequence has an activation
 * record of its own, whose logs are the ids of its components' activations.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/document.h"
#include "daemon/invoke.h"
#include "daemon/pool-internal.h"
#include "daemon/throttle.h"
#include "store/store.h"

#define NO_COMPONENT	"Sequence component does not exist."

struct sequence {
	struct invoker invoker;
	char id[ACTIVATION_ID_SIZE];
	char *ns, *key, *transaction, *cause, *local, *full;
	json_t *document;		/* of the sequence */
	size_t next;			/* component */
	json_t *payload;		/* its arguments; at the end the result */
	json_t *logs;			/* ids of the components' activations */
	enum outcome_status status;
	uint64_t start_ms, duration_ms;
	json_int_t memory;		/* the most of any component, MB */
	struct call_done done;
	struct throttle *throttle;
};

static void sequence_free(struct sequence *sequence)
{
	if (sequence->key)
		explicit_bzero(sequence->key, strlen(sequence->key));
	free(sequence->ns);
	free(sequence->key);
	free(sequence->transaction);
	free(sequence->cause);
	free(sequence->local);
	free(sequence->full);
	json_decref(sequence->document);
	json_decref(sequence->payload);
	json_decref(sequence->logs);
	free(sequence);
}

static json_t *components_of(const json_t *document)
{
	return json_object_get(json_object_get(document, "exec"), "components");
}

static json_t *make_record(const struct sequence *sequence)
{
	json_t *limits = json_copy(json_object_get(sequence->document, "limits")), *record;
	struct outcome outcome = { .status = sequence->status, .result = sequence->payload, .logs = sequence->logs, .size = -1 };
	struct record_call about = {
		.activation_id = sequence->id, .ns = sequence->ns, .name = strrchr(sequence->full, '/') + 1, .path = sequence->full,
		.cause = sequence->cause, .kind = "sequence", .limits = limits,
		.version = json_string_value(json_object_get(sequence->document, "version")),
	};
	struct call_times times = { .start_ms = sequence->start_ms, .end_ms = epoch_ms(), .run_ms = sequence->duration_ms };

	if (sequence->memory)
		json_object_set_new(limits, "memory", json_integer(sequence->memory));
	record = record_make(&about, &outcome, &times);
	json_decref(limits);
	if (record && !sequence->cause)
		json_array_append_new(json_object_get(record, "annotations"), json_pack("{s:s, s:b}", "key", "topmost", "value", 1));
	return record;
}

static void finish(struct sequence *sequence)
{
	json_t *record = make_record(sequence);

	if (record)
		pool_keep_record(sequence->invoker.pool, sequence->id, sequence->ns, sequence->local, sequence->start_ms, record);
	if (sequence->throttle)
		throttle_done(sequence->throttle);
	if (sequence->done.fn)
		sequence->done.fn(sequence->done.arg, sequence->status, record);
	json_decref(record);
	sequence_free(sequence);
}

static void fail(struct sequence *sequence, enum outcome_status status, const char *text)
{
	json_decref(sequence->payload);
	sequence->payload = json_pack("{s:s}", "error", text);
	sequence->status = status;
	finish(sequence);
}

static void step(struct sequence *sequence);

static json_int_t memory_of(const json_t *record)
{
	json_t *annotation;
	size_t i;

	json_array_foreach(json_object_get(record, "annotations"), i, annotation) {
		const char *key = json_string_value(json_object_get(annotation, "key"));

		if (key && !strcmp(key, "limits"))
			return json_integer_value(json_object_get(json_object_get(annotation, "value"), "memory"));
	}
	return 0;
}

static void on_component(void *arg, enum outcome_status status, const json_t *record)
{
	json_t *result = json_object_get(json_object_get(record, "response"), "result");
	struct sequence *sequence = arg;

	if (!record) {
		fail(sequence, OUTCOME_WHISK_ERROR, "The server is out of memory.");
		return;
	}
	json_array_append(sequence->logs, json_object_get(record, "activationId"));
	sequence->duration_ms += (uint64_t)json_integer_value(json_object_get(record, "duration"));
	if (memory_of(record) > sequence->memory)
		sequence->memory = memory_of(record);
	json_decref(sequence->payload);
	sequence->payload = json_incref(result);
	sequence->status = status;
	if (status != OUTCOME_SUCCESS || sequence->next == json_array_size(components_of(sequence->document)))
		finish(sequence);
	else
		step(sequence);
}

static int start_component(struct sequence *sequence, const struct resolved *action, struct err *err)
{
	json_t *arguments = json_is_object(sequence->payload) ? document_arguments(action->parameters, sequence->payload) :
								json_incref(sequence->payload);
	struct invocation invocation = {
		.ns = sequence->ns, .key = sequence->key, .transaction = sequence->transaction, .cause = sequence->id,
		.action = action, .arguments = arguments,
	};
	char id[ACTIVATION_ID_SIZE];
	int r = invoke(&sequence->invoker, &invocation, (struct call_done){ on_component, sequence }, id, err);

	json_decref(arguments);
	return r;
}

static void step(struct sequence *sequence)
{
	const char *name = json_string_value(json_array_get(components_of(sequence->document), sequence->next));
	struct resolved action;
	struct path path;
	struct err err;
	int r = name ? path_parse(name, sequence->ns, &path, &err) : -EINVAL;

	if (r == 0)
		r = resolve_action(sequence->invoker.store, sequence->ns, &path, &action, &err);
	if (r < 0) {
		fail(sequence, OUTCOME_APPLICATION_ERROR, NO_COMPONENT);
		return;
	}
	sequence->next++;
	r = start_component(sequence, &action, &err);
	resolved_clear(&action);
	if (r < 0)
		fail(sequence, OUTCOME_WHISK_ERROR, err.text);
}

/* The parameters of the sequence itself are its components, which are nobody's arguments. */
static json_t *first_payload(const struct invocation *invocation)
{
	json_t *payload = json_copy((json_t *)invocation->arguments);

	if (json_is_object(payload))
		json_object_del(payload, "_actions");
	return payload;
}

static struct sequence *sequence_new(const struct invoker *invoker, const struct invocation *invocation, struct call_done done)
{
	struct sequence *sequence = calloc(1, sizeof(*sequence));
	char local[PATH_TEXT_SIZE], full[PATH_TEXT_SIZE];

	if (!sequence)
		return NULL;
	path_local(&invocation->action->path, local);
	path_full(&invocation->action->path, full);
	sequence->invoker = *invoker;
	sequence->done = done;
	sequence->throttle = invocation->throttle;
	sequence->ns = strdup(invocation->ns);
	sequence->key = invocation->key ? strdup(invocation->key) : NULL;
	sequence->transaction = strdup(invocation->transaction);
	sequence->cause = invocation->cause ? strdup(invocation->cause) : NULL;
	sequence->local = strdup(local);
	sequence->full = strdup(full);
	sequence->document = json_incref(invocation->action->document);
	sequence->payload = first_payload(invocation);
	sequence->logs = json_array();
	sequence->start_ms = epoch_ms();
	if (!sequence->ns || !sequence->transaction || !sequence->local || !sequence->full || !sequence->payload || !sequence->logs ||
	    pool_make_id(sequence->id) < 0) {
		sequence_free(sequence);
		return NULL;
	}
	return sequence;
}

static void on_started(void *arg)
{
	step(arg);
}

/* The first component starts from the loop's next turn: done must not be called before we return. */
int sequence_start(const struct invoker *invoker, const struct invocation *invocation, struct call_done done, char id[ACTIVATION_ID_SIZE],
		   struct err *err)
{
	struct sequence *sequence = sequence_new(invoker, invocation, done);

	if (!sequence)
		return err_set(err, ENOMEM, "The server is out of memory.");
	memcpy(id, sequence->id, ACTIVATION_ID_SIZE);
	if (pool_defer(invoker->pool, on_started, sequence) < 0) {
		sequence_free(sequence);
		return err_set(err, ENOMEM, "The server is out of memory.");
	}
	return 0;
}

/* What a call of a sequence at path would run, if ns made it. */
struct census {
	struct store *store;
	const char *ns;
	const struct path *path;
	unsigned int actions, depth;
};

static int check_components(struct census *census, const json_t *document, struct err *err);

static int check_resolved(struct census *census, const struct resolved *action, struct err *err)
{
	if (path_equal(&action->path, census->path))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "Sequence may not refer to itself.");
	if (action_is_sequence(action->document))
		return check_components(census, action->document, err);
	census->actions++;
	return census->actions > SEQUENCE_MAX ? err_set(err, EINVAL, "Too many actions in the sequence.") : 0;
}

static int check_component(struct census *census, const json_t *component, struct err *err)
{
	struct resolved action;
	struct path asked;
	int r = json_is_string(component) ? path_parse(json_string_value(component), census->ns, &asked, err) : -EINVAL;

	/* The sequence being put may not be there yet: naming itself is the circle all the same. */
	if (r == 0 && path_equal(&asked, census->path))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "Sequence may not refer to itself.");
	if (r == 0)
		r = resolve_action(census->store, census->ns, &asked, &action, err);
	if (r < 0)
		return err_set(err, EINVAL, NO_COMPONENT);
	r = check_resolved(census, &action, err);
	resolved_clear(&action);
	return r;
}

static int check_components(struct census *census, const json_t *document, struct err *err)
{
	json_t *component;
	size_t i;
	int r = 0;

	if (census->depth++ >= SEQUENCE_MAX)
		r = err_set(err, EINVAL, "Too many actions in the sequence.");
	json_array_foreach(components_of(document), i, component)
		if (r == 0)
			r = check_component(census, component, err);
	census->depth--;
	return r;
}

int sequence_check(struct store *store, const char *ns, const struct path *path, const json_t *document, struct err *err)
{
	struct census census = { .store = store, .ns = ns, .path = path };

	if (!json_array_size(components_of(document)))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "No component specified for the sequence.");
	return check_components(&census, document, err);
}
