// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent/logs.h"

static struct logs logs;

static void feed(enum log_stream stream, const char *text)
{
	logs_feed(&logs, stream, text, strlen(text), 1000);
}

/* The finished log as JSON, which it must be. */
static json_t *finish(void)
{
	json_t *list = json_loads(logs_finish(&logs, 2000), 0, NULL);

	assert_true(json_is_array(list));
	return list;
}

static void is_line(const json_t *list, size_t index, const char *stream, const char *text)
{
	const json_t *line = json_array_get(list, index);

	assert_non_null(line);
	assert_string_equal(json_string_value(json_object_get(line, "stream")), stream);
	assert_string_equal(json_string_value(json_object_get(line, "text")), text);
}

static int teardown(void **state)
{
	logs_clear(&logs);
	return 0;
}

static void test_lines(void **state)
{
	json_t *list;

	logs_start(&logs, 1000);
	feed(LOG_STDOUT, "one\ntw");
	feed(LOG_STDERR, "err\n");
	feed(LOG_STDOUT, "o\n\n" LOGS_SENTINEL "\nlast");
	feed(LOG_STDERR, LOGS_SENTINEL "\n");
	list = finish();
	assert_int_equal(json_array_size(list), 5);
	is_line(list, 0, "stdout", "one");
	is_line(list, 1, "stderr", "err");
	is_line(list, 2, "stdout", "two");
	is_line(list, 3, "stdout", "");
	is_line(list, 4, "stdout", "last");
	assert_false(logs.truncated);
	json_decref(list);
}

static void test_limit(void **state)
{
	json_t *list;

	logs_start(&logs, 10);
	feed(LOG_STDOUT, "12345\n");
	feed(LOG_STDERR, "678901234");
	feed(LOG_STDOUT, "more\n");
	list = finish();
	assert_true(logs.truncated);
	assert_int_equal(json_array_size(list), 3);
	is_line(list, 0, "stdout", "12345");
	is_line(list, 1, "stderr", "6789");
	is_line(list, 2, "stderr", "Logs were truncated because the total bytes size exceeds the limit of 10 bytes.");
	json_decref(list);
	logs_start(&logs, 6);
	feed(LOG_STDOUT, "12345\n");
	list = finish();
	assert_false(logs.truncated);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	logs_start(&logs, 0);
	feed(LOG_STDOUT, "anything\n");
	list = finish();
	assert_false(logs.truncated);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

/* Framing is many times the text here: memory must stay bounded all the same. */
static void test_empty_lines(void **state)
{
	char lines[65536];
	json_t *list;

	memset(lines, '\n', sizeof(lines));
	logs_start(&logs, 10u << 20);
	for (int i = 0; i < 160; i++)
		logs_feed(&logs, LOG_STDOUT, lines, sizeof(lines), 1);
	assert_true(logs.truncated);
	assert_true(logs.json.len <= 32u << 20);
	list = finish();
	json_decref(list);
}

/* Ten functions that print all they may: the bound holds for them together, and is free again afterwards. */
static void test_together(void **state)
{
	struct logs many[10] = { 0 };
	size_t total = 0, len = 1u << 20, cut = 0;
	char *line = malloc(len);

	memset(line, 1, len);	/* six characters each in JSON */
	line[len - 1] = '\n';
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			logs_start(&many[i], 10u << 20);
			for (int n = 0; n < 5; n++)
				logs_feed(&many[i], LOG_STDOUT, line, len, 1);
			total += many[i].json.len;
			cut += many[i].truncated;
		}
		assert_true(total <= LOGS_HELD_MAX);
		assert_true(cut > 0 && !many[0].truncated);
		for (int i = 0; i < 10; i++) {
			json_t *list = json_loads(logs_finish(&many[i], 2), 0, NULL);

			assert_true(json_is_array(list));
			json_decref(list);
			logs_clear(&many[i]);
		}
		total = cut = 0;
	}
	free(line);
}

static void test_bytes(void **state)
{
	static const char raw[] = "a\0b\xff\"\\\t\x01\xc3\xa4\xed\xa0\x80\n";
	json_t *list;

	logs_start(&logs, 1000);
	logs_feed(&logs, LOG_STDOUT, raw, sizeof(raw) - 1, 1);
	logs_note(&logs, "note", 2);
	list = finish();
	is_line(list, 0, "stdout", "a\xef\xbf\xbd" "b\xef\xbf\xbd\"\\\t\x01\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	is_line(list, 1, "stderr", "note");
	json_decref(list);
}

/* Ten megabytes of line ends are no more lines than anybody's, and say that they were cut. */
static void test_many_lines(void **state)
{
	char *text = malloc(2 * LOGS_LINES_MAX);
	json_t *list;

	assert_non_null(text);
	memset(text, '\n', 2 * LOGS_LINES_MAX);
	logs_start(&logs, 10u << 20);
	logs_feed(&logs, LOG_STDOUT, text, 2 * LOGS_LINES_MAX, 1);
	assert_true(logs.truncated);
	list = finish();
	assert_in_range(json_array_size(list), LOGS_LINES_MAX, LOGS_LINES_MAX + 1);
	json_decref(list);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines, teardown), cmocka_unit_test_teardown(test_limit, teardown),
		cmocka_unit_test_teardown(test_empty_lines, teardown), cmocka_unit_test_teardown(test_bytes, teardown),
		cmocka_unit_test_teardown(test_together, teardown), cmocka_unit_test_teardown(test_many_lines, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
