// SPDX-License-Identifier: Apache-2.0
/* squeezy ps, top, status, evict: what runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/verbs.h"

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

static long long mib(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key)) >> 20;
}

static int get_status(int argc, char **argv, const struct arg *own, const char *usage, json_t **ret, struct err *err)
{
	struct client client;
	struct words words;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, 0, 0, usage, &words, err);
	return r < 0 ? r : client_call(&client, "GET", "/squeezy/v1/status", NULL, ret, err);
}

static void print_instance(const json_t *vm, const json_t *instance)
{
	json_t *partition = json_object_get(instance, "partition"), *idle = json_object_get(instance, "idle_ms");
	char place[16] = "-", since[32] = "-";

	if (json_is_integer(partition))
		snprintf(place, sizeof(place), "%lld", (long long)json_integer_value(partition));
	if (json_is_integer(idle))
		snprintf(since, sizeof(since), "%.1f s", (double)json_integer_value(idle) / 1000);
	printf("%-6s %-8s %-28s %-9s %9s %6lld M %6lld %10s\n", text(vm, "id"), text(instance, "id"), text(instance, "action"),
	       text(instance, "state"), place, mib(instance, "memory_bytes"),
	       (long long)json_integer_value(json_object_get(instance, "calls")), since);
}

int verb_ps(int argc, char **argv, struct err *err)
{
	json_t *status, *vm, *instance;
	size_t i, j;
	int r = get_status(argc, argv, NULL, "ps", &status, err);

	if (r < 0)
		return verb_status_of(r);
	printf("%-6s %-8s %-28s %-9s %9s %8s %6s %10s\n", "VM", "INSTANCE", "ACTION", "STATE", "PARTITION", "MEMORY", "CALLS", "IDLE");
	json_array_foreach(json_object_get(status, "vms"), i, vm)
		json_array_foreach(json_object_get(vm, "instances"), j, instance)
			print_instance(vm, instance);
	json_decref(status);
	return 0;
}

static void print_top(const json_t *status)
{
	const json_t *memory = json_object_get(status, "memory"), *calls = json_object_get(status, "calls");
	json_t *vm;
	size_t i;

	printf("backend %s, memory promised %lld of %lld MiB, calls: %lld in flight, %lld done\n", text(status, "backend"),
	       mib(memory, "promised_bytes"), mib(memory, "budget_bytes"),
	       (long long)json_integer_value(json_object_get(calls, "in_flight")),
	       (long long)json_integer_value(json_object_get(calls, "done")));
	printf("%-6s %-9s %-9s %-5s %10s %10s %10s %10s\n", "VM", "STATE", "INSTANCES", "OF", "ASKED MiB", "PLUGGED", "RESIDENT", "IN THP");
	json_array_foreach(json_object_get(status, "vms"), i, vm)
		printf("%-6s %-9s %-9zu %-5lld %10lld %10lld %10lld %10lld\n", text(vm, "id"), text(vm, "state"),
		       json_array_size(json_object_get(vm, "instances")),
		       (long long)json_integer_value(json_object_get(vm, "partitions")), mib(vm, "requested_bytes"), mib(vm, "plugged_bytes"),
		       mib(vm, "resident_bytes"), mib(vm, "resident_thp_bytes"));
	fflush(stdout);
}

static int parse_number(const char *given, double usual, double most, double *ret, struct err *err)
{
	char *end;

	*ret = given ? strtod(given, &end) : usual;
	if (given && (end == given || *end || *ret < 0 || *ret > most))
		return err_set(err, EINVAL, "'%s' is not a number from 0 to %.0f", given, most);
	return 0;
}

int verb_top(int argc, char **argv, struct err *err)
{
	const char *count_text = NULL, *interval_text = NULL;
	const struct arg own[] = { { .name = "--count", .value = &count_text }, { .name = "--interval", .value = &interval_text }, { 0 } };
	double count = 1, interval = 1;
	json_t *status;
	int r = 0;

	for (double i = 0; r == 0 && i < count; i++) {
		if (i > 0)
			usleep((useconds_t)(interval * 1e6));
		r = get_status(argc, argv, own, "top [--count N] [--interval SEC]", &status, err);
		if (r < 0)
			break;
		print_top(status);
		json_decref(status);
		r = parse_number(count_text, 1, 1e6, &count, err);
		if (r == 0)
			r = parse_number(interval_text, 1, 3600, &interval, err);
	}
	return verb_status_of(r);
}

int verb_status(int argc, char **argv, struct err *err)
{
	bool as_json = false;
	const struct arg own[] = { { .name = "--json", .flag = &as_json }, { 0 } };
	json_t *status;
	int r = get_status(argc, argv, own, "status [--json]", &status, err);

	if (r < 0)
		return verb_status_of(r);
	if (as_json) {
		client_print(status);
		return 0;
	}
	print_top(status);
	json_decref(status);
	return 0;
}

int verb_evict(int argc, char **argv, struct err *err)
{
	struct client client;
	struct words words;
	json_t *body = NULL, *answer;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 0, 1, "evict [INSTANCE]", &words, err);
	if (r == 0)
		body = words.count ? json_pack("{s:s}", "instance", words.word[0]) : json_pack("{s:b}", "idle", 1);
	if (r == 0)
		r = client_call(&client, "POST", "/squeezy/v1/evict", body, &answer, err);
	json_decref(body);
	if (r < 0)
		return verb_status_of(r);
	printf("%lld going\n", (long long)json_integer_value(json_object_get(answer, "evicting")));
	json_decref(answer);
	return 0;
}
