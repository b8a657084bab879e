// SPDX-License-Identifier: Apache-2.0
/* squeezy reclaims: how fast memory came back. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/verbs.h"

static void print_ms(const json_t *record, const char *key)
{
	json_t *value = json_object_get(record, key);

	if (json_is_number(value))
		printf(" %10.3f", json_number_value(value));
	else
		printf(" %10s", "-");
}

static void print_number(const json_t *record, const char *key, unsigned int shift)
{
	json_t *value = json_object_get(record, key);

	if (json_is_integer(value))
		printf(" %9lld", (long long)json_integer_value(value) >> shift);
	else
		printf(" %9s", "-");
}

static void print_record(const json_t *record)
{
	static const char *const times[] = { "kill_ms", "guest_ms", "host_size_ms", "host_resident_ms" };
	const char *action = json_string_value(json_object_get(record, "action"));
	const char *instance = json_string_value(json_object_get(record, "instance"));
	const char *error = json_string_value(json_object_get(record, "error"));

	printf("%-8s %-24s", instance ? instance : "-", action ? action : "-");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		print_ms(record, times[i]);
	print_number(record, "bytes_returned", 20);
	print_number(record, "resident_before_bytes", 20);
	print_number(record, "resident_after_bytes", 20);
	print_number(record, "pages_migrated", 0);
	printf("  %s\n", error ? error : "");
}

int verb_reclaims(int argc, char **argv, struct err *err)
{
	bool as_json = false;
	const struct arg own[] = { { .name = "--json", .flag = &as_json }, { 0 } };
	json_t *records, *record;
	struct client client;
	struct words words;
	size_t i;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, 0, 0, "reclaims [--json]", &words, err);
	if (r == 0)
		r = client_call(&client, "GET", "/squeezy/v1/reclaims", NULL, &records, err);
	if (r < 0)
		return verb_status_of(r);
	if (as_json) {
		client_print(records);
		return 0;
	}
	printf("%-8s %-24s %10s %10s %10s %10s %9s %9s %9s %9s\n", "INSTANCE", "ACTION", "KILL ms", "GUEST ms", "SIZE ms", "HOST ms",
	       "BACK MiB", "RES MiB", "THEN MiB", "MIGRATED");
	json_array_foreach(records, i, record)
		print_record(record);
	json_decref(records);
	return 0;
}
