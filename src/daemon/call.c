// SPDX-License-Identifier: Apache-2.0
/* One invocation: made, and ended with its activation record. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/pool-internal.h"
#include "store/store.h"

static int make_id(char id[ACTIVATION_ID_SIZE])
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static void call_free(struct call *call)
{
	json_decref(call->document);
	json_decref(call->arguments);
	json_decref(call->init_logs);
	free(call->ns);
	free(call->name);
	free(call->transaction);
	free(call);
}

static void fill_keys(struct call *call)
{
	const struct options *options = call->pool->options;
	const char *version = json_string_value(json_object_get(call->document, "version"));
	long long updated = json_integer_value(json_object_get(call->document, "updated"));
	char text[1024];

	call->limits = action_limits(call->document);
	call->partition_bytes = policy_partition_bytes((uint64_t)call->limits.memory << 20, options->partition_bytes);
	snprintf(text, sizeof(text), "action %s/%s %s %lld", call->ns, call->name, version, updated);
	call->revision = pool_key(call->pool, text);
	snprintf(text, sizeof(text), "class %s %llu", call->ns, (unsigned long long)call->partition_bytes);
	call->class = pool_key(call->pool, text);
}

struct call *call_new(struct pool *pool, const struct call_request *request, struct call_done done)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->pool = pool;
	call->done = done;
	call->ns = strdup(request->ns);
	call->name = strdup(request->name);
	call->transaction = strdup(request->transaction);
	call->document = json_incref((json_t *)request->document);
	call->arguments = json_incref((json_t *)request->arguments);
	call->arrived_ns = clock_ns(CLOCK_MONOTONIC);
	call->times.start_ms = epoch_ms();
	if (!call->ns || !call->name || !call->transaction || make_id(call->id) < 0) {
		call_free(call);
		return NULL;
	}
	fill_keys(call);
	pool->n_calls++;
	return call;
}

static void store_record(const struct call *call, const json_t *record)
{
	struct err err;

	if (store_activation_put(call->pool->store, call->id, call->ns, call->name, call->times.start_ms, record, &err) < 0)
		log_error("activation %s is not recorded: %s", call->id, err.text);
}

void call_finish(struct call *call, struct outcome *outcome)
{
	const char *kind = json_string_value(json_object_get(json_object_get(call->document, "exec"), "kind"));
	struct record_call about = {
		.activation_id = call->id, .ns = call->ns, .name = call->name, .kind = kind ? kind : "unknown",
		.version = json_string_value(json_object_get(call->document, "version")),
		.limits = json_object_get(call->document, "limits"),
	};
	json_t *record;

	if (call->init_logs) {
		json_array_extend(call->init_logs, outcome->logs);
		json_decref(outcome->logs);
		outcome->logs = json_incref(call->init_logs);
	}
	call->times.end_ms = epoch_ms();
	record = record_make(&about, outcome, &call->times);
	if (record)
		store_record(call, record);
	call->pool->n_calls--;
	call->pool->calls_done++;
	if (call->done.fn)
		call->done.fn(call->done.arg, outcome->status, record);
	json_decref(record);
	outcome_clear(outcome);
	call_free(call);
}

void call_fail(struct call *call, const char *text)
{
	struct outcome outcome;

	call->times.wait_ms = (clock_ns(CLOCK_MONOTONIC) - call->arrived_ns) / NS_PER_MS;
	outcome_whisk_error(text, &outcome);
	call_finish(call, &outcome);
}

/* "provide-api-key" decides; absent means yes, but PUT adds a false. */
static bool wants_key(const struct call *call)
{
	json_t *value = action_annotation(call->document, "provide-api-key");

	return !value || json_is_true(value);
}

static void set_string(json_t *object, const char *key, bool as_variable, json_t *value)
{
	char name[64];
	size_t i;

	if (!as_variable) {
		json_object_set_new(object, key, value);
		return;
	}
	snprintf(name, sizeof(name), "__OW_%s", key);
	for (i = 0; name[i]; i++)
		name[i] = (char)toupper((unsigned char)name[i]);
	json_object_set_new(object, name, value);
}

/* The fields of /run beside value; with for_init the same as __OW_ variables of /init. */
json_t *call_environment(const struct call *call, bool for_init)
{
	uint64_t deadline = epoch_ms() + (uint64_t)call->limits.timeout;
	json_t *fields = json_object();

	set_string(fields, "namespace", for_init, json_string(call->ns));
	set_string(fields, "action_name", for_init, json_sprintf("/%s/%s", call->ns, call->name));
	set_string(fields, "action_version", for_init, json_incref(json_object_get(call->document, "version")));
	set_string(fields, "activation_id", for_init, json_string(call->id));
	set_string(fields, "transaction_id", for_init, json_string(call->transaction));
	set_string(fields, "deadline", for_init, json_sprintf("%llu", (unsigned long long)deadline));
	if (wants_key(call))
		set_string(fields, "api_key", for_init, json_string(call->pool->key));
	return fields;
}
