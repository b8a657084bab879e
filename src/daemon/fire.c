// SPDX-License-Identifier: Apache-2.0
#include "daemon/fire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/pool-internal.h"

/* Arguments: the trigger's parameters, the request's headers, the payload; each over the one before. */
static json_t *arguments_of(const struct firing *firing)
{
	json_t *arguments = document_arguments(json_object_get(firing->trigger, "parameters"), NULL);

	json_object_set(arguments, "__ow_headers", (json_t *)firing->headers);
	json_object_update(arguments, (json_t *)firing->payload);
	return arguments;
}

static int invoke_rule(const struct invoker *invoker, const struct firing *firing, const struct path *path, const json_t *arguments,
		       char id[ACTIVATION_ID_SIZE], struct err *err)
{
	struct resolved action;
	json_t *merged;
	int r = resolve_action(invoker->store, firing->ns, path, &action, err);

	if (r < 0)
		return r;
	merged = document_arguments(action.parameters, arguments);
	r = invoke(invoker, &(struct invocation){
		.ns = firing->ns, .key = firing->key, .transaction = firing->transaction, .action = &action, .arguments = merged,
		.throttle = firing->throttle,
	}, (struct call_done){ 0 }, id, err);
	json_decref(merged);
	resolved_clear(&action);
	return r;
}

/* Where the action of a rule in the trigger's map is; "ns/package" and "name" as one text. */
static int path_of(const json_t *rule, const char *ns, struct path *ret, struct err *err)
{
	json_t *action = json_object_get(rule, "action");
	json_t *text = json_sprintf("/%s/%s", json_string_value(json_object_get(action, "path")),
				    json_string_value(json_object_get(action, "name")));
	int r = text ? path_parse(json_string_value(text), ns, ret, err) : -1;

	json_decref(text);
	return r;
}

/* One line of the activation's logs: a JSON text. */
static json_t *fire_rule(const struct invoker *invoker, const struct firing *firing, const char *name, const json_t *rule,
			 const json_t *arguments)
{
	const char *status = json_string_value(json_object_get(rule, "status"));
	char full[PATH_TEXT_SIZE] = "", id[ACTIVATION_ID_SIZE], *text;
	struct err err = { 0 };
	struct path path;
	json_t *said, *line;
	int r = path_of(rule, firing->ns, &path, &err);

	if (r == 0)
		path_full(&path, full);
	said = json_pack("{s:s, s:s, s:i, s:b}", "rule", name, "action", full, "statusCode", 0, "success", 1);
	if (r == 0 && status && !strcmp(status, "active"))
		r = invoke_rule(invoker, firing, &path, arguments, id, &err);
	else if (r == 0)
		r = err_set(&err, ECANCELED, "Rule '%s' is inactive, action '%s' was not activated.", name, full);
	if (r == 0)
		json_object_set_new(said, "activationId", json_string(id));
	else
		json_object_update_new(said, json_pack("{s:i, s:b, s:s}", "statusCode", 1, "success", 0, "error", err.text));
	text = json_dumps(said, JSON_COMPACT);
	line = json_string(text ? text : "{}");
	free(text);
	json_decref(said);
	return line;
}

static void record(const struct invoker *invoker, const struct firing *firing, const char *id, uint64_t start_ms, json_t *logs)
{
	json_t *made = json_pack("{s:s, s:s, s:s, s:s, s:I, s:O, s:b, s:o, s:{s:s, s:b, s:O}, s:[{s:s, s:o}, {s:s, s:s}]}",
		"namespace", firing->ns, "name", firing->name, "subject", firing->ns, "activationId", id, "start", (json_int_t)start_ms,
		"version", json_object_get(firing->trigger, "version"), "publish", 0, "logs", logs,
		"response", "status", "success", "success", 1, "result", firing->payload,
		"annotations", "key", "path", "value", json_sprintf("%s/%s", firing->ns, firing->name), "key", "kind", "value", "trigger");

	if (made)
		pool_keep_record(invoker->pool, id, firing->ns, firing->name, start_ms, made);
	json_decref(made);
}

static bool is_any_active(const json_t *rules)
{
	const char *name, *status;
	json_t *rule;

	json_object_foreach((json_t *)rules, name, rule) {
		status = json_string_value(json_object_get(rule, "status"));
		if (status && !strcmp(status, "active"))
			return true;
	}
	return false;
}

bool fire(const struct invoker *invoker, const struct firing *firing, char id[ACTIVATION_ID_SIZE])
{
	json_t *rules = json_object_get(firing->trigger, "rules"), *rule, *logs, *arguments;
	uint64_t start_ms = epoch_ms();
	const char *name;

	if (!is_any_active(rules) || pool_make_id(id) < 0)
		return false;
	logs = json_array();
	arguments = arguments_of(firing);
	json_object_foreach(rules, name, rule)
		json_array_append_new(logs, fire_rule(invoker, firing, name, rule, arguments));
	json_decref(arguments);
	record(invoker, firing, id, start_ms, logs);
	return true;
}
