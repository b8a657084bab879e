// SPDX-License-Identifier: Apache-2.0
#include "demonstration/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demonstration/words.h"

#define TEXT_MAX (512 << 10)	/* OpenWhisk takes bodies of 1 MiB at most */

const char *plan_action(enum plan_kind kind)
{
	return kind == PLAN_BFS ? "bfs" : "wordfreq";
}

/* The file's text, cut at TEXT_MAX; bytes that are not ASCII become spaces, so that JSON carries every text. */
static int read_text(const char *path, char **ret, size_t *ret_length, struct err *err)
{
	FILE *in = fopen(path, "re");
	char *text = in ? malloc(TEXT_MAX + 1) : NULL;
	size_t length;

	if (!text) {
		if (in)
			fclose(in);
		return err_set(err, ENOENT, "%s cannot be read: %s", path, strerror(errno));
	}
	length = fread(text, 1, TEXT_MAX, in);
	fclose(in);
	for (size_t i = 0; i < length; i++) {
		if ((signed char)text[i] <= 0)
			text[i] = ' ';
	}
	text[length] = 0;
	*ret = text;
	*ret_length = length;
	return 0;
}

int plan_arguments(const struct plan *plan, json_t **ret, struct err *err)
{
	const struct graph_request *g = &plan->graph;
	json_t *args;
	size_t length;
	char *text;
	int r;

	if (plan->kind == PLAN_BFS) {
		args = json_pack("{s:I, s:I, s:I, s:I}", "seed", (json_int_t)g->seed, "nodes", (json_int_t)g->nodes, "degree",
				 (json_int_t)g->degree, "source", (json_int_t)g->source);
	} else {
		r = read_text(plan->file, &text, &length, err);
		if (r)
			return r;
		args = json_pack("{s:s%, s:i}", "text", text, length, "top", WORDS_TOP);
		free(text);
	}
	if (!args)
		return err_set(err, ENOMEM, "no memory for the arguments of %s", plan_action(plan->kind));
	*ret = args;
	return 0;
}

static int differs(const char *field, struct err *err)
{
	return err_set(err, EBADMSG, "the function's \"%s\" is not what the host computed", field);
}

static int is_number(const json_t *object, const char *key, uint64_t want)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) && (uint64_t)json_integer_value(value) == want;
}

static int check_graph(const struct plan *plan, const json_t *result, char *said, size_t size, struct err *err)
{
	const json_t *levels = json_object_get(result, "levels");
	const char *checksum = json_string_value(json_object_get(result, "checksum"));
	struct graph_answer want;
	char hex[17];
	int r = graph_search(&plan->graph, &want);

	if (r)
		return err_set(err, -r, "seed %u: the host's own search failed", plan->graph.seed);
	snprintf(hex, sizeof(hex), "%016" PRIx64, want.checksum);
	if (!is_number(result, "reached", want.reached))
		return differs("reached", err);
	if (!checksum || strcmp(checksum, hex))
		return differs("checksum", err);
	if (json_array_size(levels) != want.n_levels)
		return differs("levels", err);
	for (uint32_t i = 0; i < want.n_levels; i++) {
		if (json_integer_value(json_array_get(levels, i)) != want.levels[i])
			return differs("levels", err);
	}
	snprintf(said, size, "bfs seed %-3u %u nodes, %u edges in %llu MiB: %u reached in %u levels, checksum %s%s", plan->graph.seed,
		 plan->graph.nodes, plan->graph.nodes * plan->graph.degree,
		 (unsigned long long)json_integer_value(json_object_get(result, "bytes")) >> 20, want.reached, want.n_levels, hex,
		 json_is_true(json_object_get(result, "warm")) ? " (graph still in memory)" : "");
	return 0;
}

static int check_top(const struct words_answer *want, const json_t *top, struct err *err)
{
	if (json_array_size(top) != want->n_top)
		return differs("top", err);
	for (size_t i = 0; i < want->n_top; i++) {
		const json_t *pair = json_array_get(top, i);
		const char *word = json_string_value(json_array_get(pair, 0));

		if (!word || strcmp(word, want->top[i].word) ||
		    json_integer_value(json_array_get(pair, 1)) != (json_int_t)want->top[i].count)
			return differs("top", err);
	}
	return 0;
}

static int check_words(const struct plan *plan, const json_t *result, char *said, size_t size, struct err *err)
{
	const char *name = strrchr(plan->file, '/');
	struct words_answer want;
	size_t length;
	char *text;
	int r = read_text(plan->file, &text, &length, err);

	if (r)
		return r;
	r = words_count(text, length, &want);
	free(text);
	if (r)
		return err_set(err, -r, "%s: no memory for the host's own count", plan->file);
	if (!is_number(result, "words", want.words))
		return differs("words", err);
	if (!is_number(result, "distinct", want.distinct))
		return differs("distinct", err);
	r = check_top(&want, json_object_get(result, "top"), err);
	if (!r)
		snprintf(said, size, "wordfreq %-12s %zu words, %zu distinct, most often \"%s\" (%zu), \"%s\" (%zu)", name ? name + 1 : plan->file,
			 want.words, want.distinct, want.top[0].word, want.top[0].count, want.top[1].word, want.top[1].count);
	return r;
}

int plan_check(const struct plan *plan, const json_t *result, char *said, size_t size, struct err *err)
{
	return plan->kind == PLAN_BFS ? check_graph(plan, result, said, size, err) : check_words(plan, result, said, size, err);
}
