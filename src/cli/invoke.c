// SPDX-License-Identifier: Apache-2.0
/* squeezy invoke NAME: calls a function. Exit status 0 when it succeeded (or was accepted), 1 when it failed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/file.h"
#include "cli/verbs.h"

#define BODY_MAX (2u << 20)

/* A value that is JSON is taken as JSON, anything else as a string. */
static int add_param(void *arg, const char *key, const char *value, struct err *err)
{
	json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);

	if (!json)
		json = json_string(value);
	if (json_object_set_new(arg, key, json) < 0)
		return err_set(err, EINVAL, "--param %s: the value is not UTF-8", key);
	return 0;
}

static int read_body(const char *file, json_t *body, struct err *err)
{
	json_error_t why;
	json_t *json;
	char *text;
	int r = file_read(file, BODY_MAX, &text, err);

	if (r < 0)
		return r;
	json = json_loads(text, 0, &why);
	free(text);
	if (!json_is_object(json))
		r = err_set(err, EINVAL, "%s: not a JSON object%s%s", file, json ? "" : ": ", json ? "" : why.text);
	else
		json_object_update_missing(body, json);
	json_decref(json);
	return r;
}

static int print_reply(const struct reply *reply, struct err *err)
{
	const char *said = json_string_value(json_object_get(reply->json, "error"));

	if (json_object_get(reply->json, "code") && said && reply->status != 200)
		return err_set(err, EREMOTEIO, "the daemon says %ld: %s", reply->status, said);
	client_print(json_incref(reply->json));
	return 0;
}

int verb_invoke(int argc, char **argv, struct err *err)
{
	bool no_wait = false, blocking = false, result = false;
	json_t *body = json_object();
	const char *file = NULL;
	const struct arg own[] = {
		{ .name = "--param", .each = add_param, .each_arg = body }, { .name = "--body", .value = &file },
		{ .name = "--no-wait", .flag = &no_wait }, { .name = "--blocking", .flag = &blocking },
		{ .name = "--result", .flag = &result }, { 0 },
	};
	const char *usage = "invoke NAME [--param KEY VALUE]... [--body FILE|-] [--no-wait] [--result]";
	struct reply reply = { 0 };
	struct client client;
	struct words words;
	char path[2048];
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, 1, 1, usage, &words, err);
	if (r == 0 && file)
		r = read_body(file, body, err);
	if (r == 0)
		r = client_action_path(words.word[0], no_wait ? "" : result ? "?blocking=true&result=true" : "?blocking=true", path, err);
	if (r == 0)
		r = client_request(&client, "POST", path, body, &reply, err);
	if (r == 0)
		r = print_reply(&reply, err);
	json_decref(body);
	json_decref(reply.json);
	if (r < 0)
		return verb_status_of(r);
	return reply.status == 200 || reply.status == 202 ? 0 : 1;
}
