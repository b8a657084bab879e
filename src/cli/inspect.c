// SPDX-License-Identifier: Apache-2.0
/* squeezy inspect: who holds the partitions of a VM. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/verbs.h"

static const char usage[] = "inspect [VM [PARTITION]] [--json]";

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

/* What a guest says goes to a terminal: nothing but plain characters, and no more than a line's worth. */
static void print_word(const char *word, int width)
{
	char plain[48];
	size_t n = 0;

	for (; word[n] && n < sizeof(plain) - 1; n++)
		plain[n] = word[n] >= ' ' && word[n] <= '~' ? word[n] : '?';
	plain[n] = '\0';
	printf("%-*s", width, plain);
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_holders(const json_t *answer)
{
	const char *class;
	json_t *bytes;

	json_object_foreach(json_object_get(answer, "holders"), class, bytes)
		if (json_integer_value(bytes)) {
			printf("    ");
			print_word(class, 16);
			printf(" %lld KiB\n", (long long)json_integer_value(bytes) >> 10);
		}
}

static void print_task(const json_t *task)
{
	json_t *container = json_object_get(task, "container");

	printf("    pid %-6lld ", number(task, "pid"));
	print_word(text(task, "command"), 16);
	print_word(json_is_string(container) ? json_string_value(container) : "(no container)", 15);
}

static void print_partition(const char *vm, const json_t *answer)
{
	json_t *entry;
	size_t i;

	printf("%-6s %9lld ", vm, number(answer, "partition"));
	print_word(text(answer, "state"), 10);
	printf(" %10lld ", number(answer, "missing_bytes") >> 10);
	print_word(text(answer, "busy_reason"), 0);
	printf("\n");
	print_holders(answer);
	json_array_foreach(json_object_get(answer, "tasks"), i, entry) {
		print_task(entry);
		printf("  maps its pages\n");
	}
	json_array_foreach(json_object_get(answer, "descriptors"), i, entry) {
		const char *unit = json_object_get(entry, "buffers") ? "buffers" : "bytes";

		print_task(entry);
		printf("  fd %lld, ", number(entry, "fd"));
		print_word(text(entry, "kind"), 0);
		printf(" with %lld %s: may hold some\n", number(entry, unit), unit);
	}
	if (json_is_true(json_object_get(answer, "truncated")))
		printf("    there may be more: the search ended at its bound\n");
}

/* Adds one partition's answer, with its VM, to the list. */
static int ask(const struct client *client, const char *vm, long long partition, json_t *list, struct err *err)
{
	char path[128], *escaped = client_escape(vm);
	json_t *answer;
	int r;

	if (!escaped)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "/squeezy/v1/vms/%.64s/partitions/%lld", escaped, partition);
	free(escaped);
	r = client_call(client, "GET", path, NULL, &answer, err);
	if (r < 0)
		return r;
	json_object_set_new(answer, "vm", json_string(vm));
	return json_array_append_new(list, answer) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int ask_all_of(const struct client *client, const json_t *vm, json_t *list, struct err *err)
{
	int r = 0;

	for (long long i = 0; r == 0 && i < number(vm, "partitions"); i++)
		r = ask(client, text(vm, "id"), i, list, err);
	return r;
}

/* All partitions of the VM named, or of every VM that is ready. */
static int ask_vms(const struct client *client, const char *wanted, json_t *list, struct err *err)
{
	bool found = false;
	json_t *status, *vm;
	size_t i;
	int r = client_call(client, "GET", "/squeezy/v1/status", NULL, &status, err);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(status, "vms"), i, vm) {
		bool named = wanted && !strcmp(text(vm, "id"), wanted);

		if (r < 0 || (wanted && !named) || (!wanted && strcmp(text(vm, "state"), "ready")))
			continue;
		found = true;
		r = ask_all_of(client, vm, list, err);
	}
	json_decref(status);
	if (r == 0 && wanted && !found)
		r = err_set(err, ENOENT, "there is no VM '%s'; `squeezy ps` lists them", wanted);
	return r;
}

static void print_all(const json_t *list)
{
	json_t *answer;
	size_t i;

	printf("%-6s %9s %-10s %10s %s\n", "VM", "PARTITION", "STATE", "IN USE KiB", "IN THE WAY");
	json_array_foreach(list, i, answer)
		print_partition(text(answer, "vm"), answer);
}

static int parse_partition(const char *word, long long *ret, struct err *err)
{
	char *end;

	*ret = strtoll(word, &end, 10);
	if (end == word || *end || *ret < 0 || *ret > 9999)
		return err_set(err, EINVAL, "'%s' is not the number of a partition", word);
	return 0;
}

int verb_inspect(int argc, char **argv, struct err *err)
{
	bool as_json = false;
	const struct arg own[] = { { .name = "--json", .flag = &as_json }, { 0 } };
	json_t *list = json_array();
	long long partition = 0;
	struct client client;
	struct words words;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, own, client.args, 0, 2, usage, &words, err);
	if (r == 0 && words.count == 2)
		r = parse_partition(words.word[1], &partition, err);
	if (r == 0 && words.count == 2)
		r = ask(&client, words.word[0], partition, list, err);
	else if (r == 0)
		r = ask_vms(&client, words.count ? words.word[0] : NULL, list, err);
	if (r == 0 && as_json)
		client_print(json_incref(list));
	else if (r == 0)
		print_all(list);
	json_decref(list);
	return r == 0 ? 0 : verb_status_of(r);
}
