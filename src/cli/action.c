// SPDX-License-Identifier: Apache-2.0
/* squeezy action create|update|get|delete|list. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/verbs.h"

#define CODE_MAX (48u << 20)

struct change {
	const char *kind, *memory, *timeout, *concurrency, *main_name;
};

static int set_limit(json_t *limits, const char *key, const char *text, struct err *err)
{
	char *end;
	long value;

	if (!text)
		return 0;
	value = strtol(text, &end, 10);
	if (end == text || *end)
		return err_set(err, EINVAL, "--%s %s: not a whole number (memory is in MB, timeout in ms)", key, text);
	json_object_set_new(limits, key, json_integer(value));
	return 0;
}

static int make_body(const struct change *change, const char *file, json_t **ret, struct err *err)
{
	json_t *body = json_object(), *exec, *limits = json_object();
	char *code = NULL;
	int r = set_limit(limits, "memory", change->memory, err);

	if (r == 0)
		r = set_limit(limits, "timeout", change->timeout, err);
	if (r == 0)
		r = set_limit(limits, "concurrency", change->concurrency, err);
	if (r == 0 && file)
		r = file_read(file, CODE_MAX, &code, err);
	if (r == 0 && file) {
		exec = json_pack("{s:s, s:s, s:s*}", "kind", change->kind ? change->kind : "python:default", "code", code, "main",
				 change->main_name);
		if (!exec)
			r = err_set(err, EINVAL, "%s: not UTF-8 text", file);
		else
			json_object_set_new(body, "exec", exec);
	}
	free(code);
	if (json_object_size(limits))
		json_object_set_new(body, "limits", limits);
	else
		json_decref(limits);
	if (r < 0)
		json_decref(body);
	else
		*ret = body;
	return r;
}

static int put(int argc, char **argv, bool update, struct err *err)
{
	struct change change = { 0 };
	const struct arg own[] = {
		{ .name = "--kind", .value = &change.kind }, { .name = "--memory", .value = &change.memory },
		{ .name = "--timeout", .value = &change.timeout }, { .name = "--concurrency", .value = &change.concurrency },
		{ .name = "--main", .value = &change.main_name }, { 0 },
	};
	const char *usage = "action create|update NAME FILE [--memory MB] [--timeout MS] [--concurrency CALLS] [--kind KIND]\n"
			    "         [--main FUNCTION]";
	json_t *body = NULL, *answer;
	struct client client;
	struct words words;
	char path[2048];
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, update ? 1 : 2, 2, usage, &words, err);
	if (r == 0)
		r = make_body(&change, words.count > 1 ? words.word[1] : NULL, &body, err);
	if (r == 0)
		r = client_action_path(words.word[0], update ? "?overwrite=true" : "", path, err);
	if (r == 0)
		r = client_call(&client, "PUT", path, body, &answer, err);
	json_decref(body);
	if (r < 0)
		return r;
	printf("%s %s, version %s\n", update ? "updated" : "created", words.word[0],
	       json_string_value(json_object_get(answer, "version")));
	json_decref(answer);
	return 0;
}

static int create(int argc, char **argv, struct err *err)
{
	return put(argc, argv, false, err);
}

static int update(int argc, char **argv, struct err *err)
{
	return put(argc, argv, true, err);
}

static int one(int argc, char **argv, const char *method, const char *usage, json_t **ret, struct err *err)
{
	struct client client;
	struct words words;
	char path[2048];
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 1, 1, usage, &words, err);
	if (r == 0)
		r = client_action_path(words.word[0], "", path, err);
	return r < 0 ? r : client_call(&client, method, path, NULL, ret, err);
}

static int get(int argc, char **argv, struct err *err)
{
	json_t *answer;
	int r = one(argc, argv, "GET", "action get NAME", &answer, err);

	if (r == 0)
		client_print(answer);
	return r;
}

static int delete(int argc, char **argv, struct err *err)
{
	json_t *answer;
	int r = one(argc, argv, "DELETE", "action delete NAME", &answer, err);

	if (r == 0) {
		printf("deleted %s\n", json_string_value(json_object_get(answer, "name")));
		json_decref(answer);
	}
	return r;
}

static int list(int argc, char **argv, struct err *err)
{
	json_t *answer, *action;
	struct client client;
	struct words words;
	size_t i;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 0, 0, "action list", &words, err);
	if (r == 0)
		r = client_call(&client, "GET", "/api/v1/namespaces/_/actions?limit=200", NULL, &answer, err);
	if (r < 0)
		return r;
	json_array_foreach(answer, i, action)
		printf("%-32s %-10s %5lld M\n", json_string_value(json_object_get(action, "name")),
		       json_string_value(json_object_get(action, "version")),
		       (long long)json_integer_value(json_object_get(json_object_get(action, "limits"), "memory")));
	json_decref(answer);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
} nouns[] = { { "create", create }, { "update", update }, { "get", get }, { "delete", delete }, { "list", list } };

int verb_action(int argc, char **argv, struct err *err)
{
	for (size_t i = 0; argc > 1 && i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (!strcmp(nouns[i].name, argv[1]))
			return verb_status_of(nouns[i].run(argc - 1, argv + 1, err));
	return verb_status_of(err_set(err, EINVAL, "usage: squeezy action create|update|get|delete|list ..."));
}
