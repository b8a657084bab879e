// SPDX-License-Identifier: Apache-2.0
/* One invocation: made, and ended with its activation record. */
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/action.h"
#include "daemon/document.h"
#include "daemon/pool-internal.h"
#include "daemon/throttle.h"
#include "store/store.h"

int pool_make_id(char id[ACTIVATION_ID_SIZE])
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
	if (call->key)
		explicit_bzero(call->key, strlen(call->key));
	free(call->ns);
	free(call->action);
	free(call->transaction);
	free(call->cause);
	free(call->binding);
	free(call->key);
	free(call);
}

static void fill_keys(struct call *call)
{
	const struct options *options = call->pool->options;
	const char *version = json_string_value(json_object_get(call->document, "version"));
	long long updated = json_integer_value(json_object_get(call->document, "updated"));
	char text[2048];

	call->limits = action_limits(call->document);
	call->partition_bytes = policy_partition_bytes((uint64_t)call->limits.memory << 20, options->partition_bytes);
	/* An instance serves one namespace, whoever owns the action. */
	snprintf(text, sizeof(text), "action %s in %s %s %lld", call->action, call->ns, version, updated);
	call->revision = pool_key(call->pool, text);
	snprintf(text, sizeof(text), "class %s %llu", call->ns, (unsigned long long)call->partition_bytes);
	call->class = pool_key(call->pool, text);
}

const char *call_action_name(const struct call *call)
{
	return strrchr(call->action, '/') + 1;
}

int call_load_code(const struct call *call, json_t **ret_exec, struct err *err)
{
	size_t ns_len = strcspn(call->action, "/");
	char *ns = strndup(call->action, ns_len);
	struct store_key key = { STORE_ACTIONS, ns, call->action + ns_len + 1 };
	json_t *document;
	int r = ns ? store_get(call->pool->store, &key, true, &document, err) : -ENOMEM;

	free(ns);
	if (r < 0)
		return r;
	*ret_exec = json_incref(json_object_get(document, "exec"));
	json_decref(document);
	return 0;
}

/* NULL stays NULL. False: out of memory. */
static bool copy(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return *ret || !text;
}

struct call *call_new(struct pool *pool, const struct call_request *request, struct call_done done)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->pool = pool;
	call->done = done;
	call->throttle = request->throttle;
	call->document = json_incref((json_t *)request->document);
	call->arguments = json_incref((json_t *)request->arguments);
	call->arrived_ns = clock_ns(CLOCK_MONOTONIC);
	call->times.start_ms = epoch_ms();
	if (!copy(request->ns, &call->ns) || !copy(request->action, &call->action) || !copy(request->transaction, &call->transaction) ||
	    !copy(request->cause, &call->cause) || !copy(request->binding, &call->binding) || !copy(request->key, &call->key) ||
	    pool_make_id(call->id) < 0) {
		call_free(call);
		return NULL;
	}
	fill_keys(call);
	pool->n_calls++;
	return call;
}

void pool_keep_record(struct pool *pool, const char *id, const char *ns, const char *name, uint64_t start_ms, const json_t *record)
{
	const struct timeval after = { .tv_usec = RECORD_MS * 1000 };
	struct err err;

	if (store_activation_put(pool->store, id, ns, name, start_ms, record, &err) < 0) {
		log_error("activation %s is not recorded: %s", id, err.text);
		return;
	}
	/* Without a timer (at the very end) they go at once. */
	if (!pool->flush || (!pool->flush_due && event_add(pool->flush, &after) < 0))
		(void)store_flush(pool->store, NULL);
	else
		pool->flush_due = true;
}

/* Lists are filtered by "package/action"; one that was reached through a binding goes by the binding's name. */
static void store_record(const struct call *call, const json_t *record)
{
	char bound[1024];

	if (call->binding)
		snprintf(bound, sizeof(bound), "%s/%s", strchr(call->binding, '/') + 1, call_action_name(call));
	pool_keep_record(call->pool, call->id, call->ns, call->binding ? bound : strchr(call->action, '/') + 1, call->times.start_ms, record);
}

void call_finish(struct call *call, struct outcome *outcome)
{
	const char *kind = json_string_value(json_object_get(json_object_get(call->document, "exec"), "kind"));
	struct record_call about = {
		.activation_id = call->id, .ns = call->ns, .name = call_action_name(call), .path = call->action, .cause = call->cause,
		.binding = call->binding, .kind = kind ? kind : "unknown",
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
	if (call->throttle)
		throttle_done(call->throttle);
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
	json_t *value = document_annotation(call->document, "provide-api-key");

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

/* What OpenWhisk gives a container when it starts. */
static void set_container_environment(const struct call *call, json_t *fields)
{
	if (call->pool->options->api_host)
		json_object_set_new(fields, "__OW_API_HOST", json_string(call->pool->options->api_host));
	json_object_set_new(fields, "__OW_ALLOW_CONCURRENT",
			    json_string(action_overlaps(call->document) && call->limits.concurrency > 1 ? "true" : "false"));
}

/* The fields of /run beside value; with for_init the same as __OW_ variables of /init. */
json_t *call_environment(const struct call *call, bool for_init)
{
	uint64_t deadline = epoch_ms() + (uint64_t)call->limits.timeout;
	json_t *fields = json_object();

	set_string(fields, "namespace", for_init, json_string(call->ns));
	set_string(fields, "action_name", for_init, json_sprintf("/%s", call->action));
	set_string(fields, "action_version", for_init, json_incref(json_object_get(call->document, "version")));
	set_string(fields, "activation_id", for_init, json_string(call->id));
	set_string(fields, "transaction_id", for_init, json_string(call->transaction));
	set_string(fields, "deadline", for_init, json_sprintf("%llu", (unsigned long long)deadline));
	if (call->key && wants_key(call))
		set_string(fields, "api_key", for_init, json_string(call->key));
	if (for_init)
		set_container_environment(call, fields);
	return fields;
}
