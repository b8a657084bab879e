// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct field {
	const char *key;
	size_t offset;
	int least, usual, most;
	const char *sentence;		/* value, "exceeds" or "below", bound */
	const char *info;		/* name in GET /; NULL: not shown there */
	int info_unit;
} fields[] = {
	{ "timeout", offsetof(struct limits, timeout), 100, 60000, 300000,
	  "duration %d milliseconds %s allowed threshold of %d milliseconds", "action_duration", 1 },
	{ "memory", offsetof(struct limits, memory), 128, 256, 512, "memory size %d MB %s allowed threshold of %d MB", "action_memory",
	  1 << 20 },
	{ "logs", offsetof(struct limits, logs), 0, 10, 10, "log size %d MB %s allowed threshold of %d MB", "action_logs", 1 << 20 },
	{ "concurrency", offsetof(struct limits, concurrency), 1, 1, 500, "concurrency %d %s allowed threshold of %d", NULL, 0 },
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static int *member(struct limits *limits, const struct field *field)
{
	return (int *)((char *)limits + field->offset);
}

struct limits limits_default(void)
{
	struct limits limits;

	for (size_t i = 0; i < N_FIELDS; i++)
		*member(&limits, &fields[i]) = fields[i].usual;
	return limits;
}

static int range_error(const struct field *field, int value, struct err *err)
{
	char text[200];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), field->sentence, value, value > field->most ? "exceeds" : "below",
		 value > field->most ? field->most : field->least);
#pragma GCC diagnostic pop
	return err_set(err, EINVAL, "The request content was malformed:\n%s", text);
}

int limits_parse(const json_t *object, struct limits *limits, struct err *err)
{
	struct limits parsed = *limits;

	if (object && !json_is_null(object) && !json_is_object(object))
		return err_set(err, EINVAL, "The request content was malformed:\nlimits must be an object");
	for (size_t i = 0; i < N_FIELDS; i++) {
		json_t *value = json_object_get(object, fields[i].key);
		json_int_t number = json_integer_value(value);

		if (!value || json_is_null(value))
			continue;
		if (!json_is_integer(value) || number < -2000000000 || number > 2000000000)
			return err_set(err, EINVAL, "The request content was malformed:\nlimit '%s' must be an integer", fields[i].key);
		if (number < fields[i].least || number > fields[i].most)
			return range_error(&fields[i], (int)number, err);
		*member(&parsed, &fields[i]) = (int)number;
	}
	*limits = parsed;
	return 0;
}

json_t *limits_json(const struct limits *limits)
{
	return json_pack("{s:i, s:i, s:i, s:i}", "timeout", limits->timeout, "memory", limits->memory, "logs", limits->logs,
			 "concurrency", limits->concurrency);
}

static int describe(json_t *object, const char *prefix, const char *name, json_int_t value)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	return json_object_set_new(object, key, json_integer(value)) < 0 ? -ENOMEM : 0;
}

int limits_describe(json_t *object)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < N_FIELDS; i++) {
		const struct field *field = &fields[i];

		if (!field->info)
			continue;
		r = describe(object, "min_", field->info, (json_int_t)field->least * field->info_unit);
		if (r == 0)
			r = describe(object, "max_", field->info, (json_int_t)field->most * field->info_unit);
		if (r == 0)
			r = describe(object, "default_min_", field->info, (json_int_t)field->least * field->info_unit);
		if (r == 0)
			r = describe(object, "default_max_", field->info, (json_int_t)field->most * field->info_unit);
	}
	return r;
}

json_t *limits_namespace(const json_t *throttles)
{
	static const struct { const char *field, *least, *most; } names[] = {
		{ "timeout", "minActionTimeout", "maxActionTimeout" }, { "memory", "minActionMemory", "maxActionMemory" },
		{ "logs", "minActionLogs", "maxActionLogs" }, { "concurrency", "minActionConcurrency", "maxActionConcurrency" },
	};
	json_t *object = throttles ? json_copy((json_t *)throttles) : json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (size_t j = 0; j < N_FIELDS; j++) {
			if (strcmp(fields[j].key, names[i].field))
				continue;
			json_object_set_new(object, names[i].least, json_integer(fields[j].least));
			json_object_set_new(object, names[i].most, json_integer(fields[j].most));
		}
	}
	json_object_set_new(object, "maxParameterSize", json_sprintf("%u B", LIMITS_PARAMETERS_MAX));
	return object;
}
