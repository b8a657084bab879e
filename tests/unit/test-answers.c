// SPDX-License-Identifier: Apache-2.0
/* The demonstration's own computation of what its functions must answer, on inputs small enough to check by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "demonstration/graph.h"
#include "demonstration/words.h"

static void test_words(void **state)
{
	const char *text = "The cat, the CAT; a dog-the\nend2end";
	struct words_answer got;

	assert_int_equal(words_count(text, strlen(text), &got), 0);
	assert_int_equal(got.words, 9);
	assert_int_equal(got.distinct, 5);
	assert_int_equal(got.n_top, 5);
	assert_string_equal(got.top[0].word, "the");
	assert_int_equal(got.top[0].count, 3);
	assert_string_equal(got.top[1].word, "cat");
	assert_string_equal(got.top[2].word, "end");
	assert_int_equal(got.top[2].count, 2);
	assert_string_equal(got.top[3].word, "a");
	assert_string_equal(got.top[4].word, "dog");
}

static void test_no_words(void **state)
{
	struct words_answer got;

	assert_int_equal(words_count("", 0, &got), 0);
	assert_int_equal(got.words, 0);
	assert_int_equal(got.n_top, 0);
}

/* Whatever the graph: levels add up to the reached nodes, and the first is the source alone. */
static void test_graph(void **state)
{
	const struct graph_request req = { .seed = 7, .nodes = 1 << 12, .degree = 3, .source = 5 };
	struct graph_answer got;
	uint32_t sum = 0;

	assert_int_equal(graph_search(&req, &got), 0);
	for (uint32_t i = 0; i < got.n_levels; i++)
		sum += got.levels[i];
	assert_int_equal(sum, got.reached);
	assert_int_equal(got.levels[0], 1);
	assert_in_range(got.levels[1], 1, 3);
	assert_in_range(got.reached, 2, req.nodes);
}

/* One node: every edge leads back to it. */
static void test_loop(void **state)
{
	const struct graph_request req = { .seed = 1, .nodes = 1, .degree = 2 };
	struct graph_answer got;

	assert_int_equal(graph_search(&req, &got), 0);
	assert_int_equal(got.reached, 1);
	assert_int_equal(got.n_levels, 1);
	assert_int_equal(got.checksum, 0);
}

static void test_refused(void **state)
{
	struct graph_answer got;

	assert_int_equal(graph_search(&(struct graph_request){ .nodes = 3, .degree = 1 }, &got), -EINVAL);
	assert_int_equal(graph_search(&(struct graph_request){ .nodes = 0, .degree = 1 }, &got), -EINVAL);
	assert_int_equal(graph_search(&(struct graph_request){ .nodes = 4, .degree = 0 }, &got), -EINVAL);
	assert_int_equal(graph_search(&(struct graph_request){ .nodes = 4, .degree = 1, .source = 4 }, &got), -EINVAL);
	assert_int_equal(graph_search(&(struct graph_request){ .nodes = 1u << 31, .degree = 4 }, &got), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_no_words), cmocka_unit_test(test_graph),
		cmocka_unit_test(test_loop), cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
