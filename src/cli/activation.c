// SPDX-License-Identifier: Apache-2.0
/* squeezy activation list|get|logs|result. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/verbs.h"

#define PATH "/api/v1/namespaces/_/activations"

static int one(int argc, char **argv, const char *what, const char *usage, json_t **ret, struct err *err)
{
	struct client client;
	struct words words;
	char path[2048], *id;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 1, 1, usage, &words, err);
	if (r < 0)
		return r;
	id = client_escape(words.word[0]);
	snprintf(path, sizeof(path), PATH "/%s%s", id ? id : "", what);
	free(id);
	return client_call(&client, "GET", path, NULL, ret, err);
}

static int get(int argc, char **argv, struct err *err)
{
	json_t *answer;
	int r = one(argc, argv, "", "activation get ID", &answer, err);

	if (r == 0)
		client_print(answer);
	return r;
}

static int result(int argc, char **argv, struct err *err)
{
	json_t *answer;
	int r = one(argc, argv, "/result", "activation result ID", &answer, err);

	if (r == 0)
		client_print(answer);
	return r;
}

static int logs(int argc, char **argv, struct err *err)
{
	json_t *answer, *line;
	size_t i;
	int r = one(argc, argv, "/logs", "activation logs ID", &answer, err);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(answer, "logs"), i, line)
		puts(json_string_value(line));
	json_decref(answer);
	return 0;
}

static void print_summary(const json_t *record)
{
	static const char *const statuses[] = { "success", "application error", "developer error", "internal error" };
	json_int_t code = json_integer_value(json_object_get(record, "statusCode"));
	time_t start = (time_t)(json_integer_value(json_object_get(record, "start")) / 1000);
	char date[32] = "-";
	struct tm local;

	if (localtime_r(&start, &local))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
	printf("%-20s %-33s %7lld ms  %-18s %s\n", date, json_string_value(json_object_get(record, "activationId")),
	       (long long)json_integer_value(json_object_get(record, "duration")), code >= 0 && code < 4 ? statuses[code] : "-",
	       json_string_value(json_object_get(record, "name")));
}

static int list(int argc, char **argv, struct err *err)
{
	const char *limit = "30";
	const struct arg own[] = { { .name = "--limit", .value = &limit }, { 0 } };
	json_t *answer, *record;
	struct client client;
	struct words words;
	char path[2048], *escaped;
	size_t i;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, 0, 0, "activation list [--limit N]", &words, err);
	if (r < 0)
		return r;
	escaped = client_escape(limit);
	snprintf(path, sizeof(path), PATH "?limit=%s", escaped ? escaped : "30");
	free(escaped);
	r = client_call(&client, "GET", path, NULL, &answer, err);
	if (r < 0)
		return r;
	json_array_foreach(answer, i, record)
		print_summary(record);
	json_decref(answer);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
} nouns[] = { { "list", list }, { "get", get }, { "logs", logs }, { "result", result } };

int verb_activation(int argc, char **argv, struct err *err)
{
	for (size_t i = 0; argc > 1 && i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (!strcmp(nouns[i].name, argv[1]))
			return verb_status_of(nouns[i].run(argc - 1, argv + 1, err));
	return verb_status_of(err_set(err, EINVAL, "usage: squeezy activation list|get|logs|result ..."));
}
