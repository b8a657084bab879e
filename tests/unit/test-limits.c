// SPDX-License-Identifier: Apache-2.0
/* Limits, names and documents of actions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "daemon/action.h"
#include "daemon/document.h"
#include "daemon/limits.h"

static const struct {
	const char *json;
	const char *sentence;	/* NULL: accepted */
} cases[] = {
	{ "{}", NULL },
	{ "{\"timeout\": 100, \"memory\": 128, \"logs\": 0, \"concurrency\": 1}", NULL },
	{ "{\"timeout\": 300000, \"memory\": 512, \"logs\": 10}", NULL },
	{ "{\"memory\": 300}", NULL },
	{ "{\"timeout\": 99}", "duration 99 milliseconds below allowed threshold of 100 milliseconds" },
	{ "{\"timeout\": 300001}", "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds" },
	{ "{\"memory\": 127}", "memory size 127 MB below allowed threshold of 128 MB" },
	{ "{\"memory\": 513}", "memory size 513 MB exceeds allowed threshold of 512 MB" },
	{ "{\"logs\": 11}", "log size 11 MB exceeds allowed threshold of 10 MB" },
	{ "{\"concurrency\": 501}", "concurrency 501 exceeds allowed threshold of 500" },
	{ "{\"memory\": \"256\"}", "limit 'memory' must be an integer" },
	{ "{\"memory\": 1e300}", "limit 'memory' must be an integer" },
	{ "{\"timeout\": 99999999999999}", "limit 'timeout' must be an integer" },
	{ "[]", "limits must be an object" },
};

static void test_ranges(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct limits limits = limits_default();
		json_t *object = json_loads(cases[i].json, 0, NULL);
		struct err err = { 0 };
		int r = limits_parse(object, &limits, &err);

		if (r != (cases[i].sentence ? -EINVAL : 0) || (r < 0 && !strstr(err.text, cases[i].sentence)))
			fail_msg("%s: %d %s", cases[i].json, r, err.text);
		json_decref(object);
	}
}

static void test_failure_changes_nothing(void **state)
{
	struct limits limits = limits_default();
	json_t *object = json_loads("{\"timeout\": 5000, \"memory\": 1}", 0, NULL);

	assert_int_equal(limits_parse(object, &limits, NULL), -EINVAL);
	assert_int_equal(limits.timeout, 60000);
	json_decref(object);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "_", "hello", "a b", "a.b-c@d&e", "9", "a." };
	static const char *const bad[] = { "", " a", "a ", ".a", "-a", "a/b", "a\tb", "\xc3\xa4", "a?" };
	char name[300];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(document_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(document_name_ok(bad[i]));
	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	assert_true(document_name_ok(name));
	name[256] = 'a';
	name[257] = '\0';
	assert_false(document_name_ok(name));
}

static void test_binary(void **state)
{
	static const struct { const char *code; bool binary; } codes[] = {
		{ "", false }, { "  ", false }, { "UEsDBA==", true }, { " UEsDBA==\n", true }, { "def main(args): pass", false },
		{ "abc", false }, { "ab=c", false }, { "====", false }, { "abc=", true }, { "ab==", true }, { "a===", false },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (action_code_is_binary(codes[i].code) != codes[i].binary)
			fail_msg("'%s'", codes[i].code);
}

static json_t *put(const char *request_text, const json_t *before, uint64_t now)
{
	json_t *request = json_loads(request_text, 0, NULL), *document = NULL;
	struct err err;

	assert_non_null(request);
	if (action_put(request, before, "guest", "f", now, &document, &err) < 0)
		fail_msg("%s", err.text);
	json_decref(request);
	return document;
}

static void assert_json(json_t *json, const char *key, const char *expect)
{
	char *text = json_dumps(json_object_get(json, key), JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

	assert_string_equal(text ? text : "", expect);
	free(text);
}

static void test_create_and_update(void **state)
{
	json_t *first = put("{\"exec\": {\"kind\": \"python:default\", \"code\": \"def main(a): return a\"}, \"parameters\": [{\"key\": \"x\", "
			    "\"value\": 1}], \"annotations\": [{\"key\": \"exec\", \"value\": \"fake\"}, {\"key\": \"k\", \"value\": 1}], "
			    "\"limits\": {\"memory\": 128}, \"name\": \"ignored\"}", NULL, 5);
	json_t *second = put("{\"limits\": {\"timeout\": 1000}, \"annotations\": [{\"key\": \"k\", \"value\": 2}]}", first, 6);
	json_t *third = put("{\"version\": \"2.0.0\", \"delAnnotations\": [\"k\"], \"publish\": true}", second, 7);
	json_t *body = json_loads("{\"y\": 2}", 0, NULL), *arguments;

	assert_json(first, "version", "\"0.0.1\"");
	assert_json(first, "exec", "{\"binary\":false,\"code\":\"def main(a): return a\",\"kind\":\"python:3\"}");
	assert_json(first, "annotations", "[{\"key\":\"k\",\"value\":1},{\"key\":\"provide-api-key\",\"value\":false},"
		    "{\"key\":\"exec\",\"value\":\"python:3\"}]");
	assert_json(second, "version", "\"0.0.2\"");
	assert_json(second, "limits", "{\"concurrency\":1,\"logs\":10,\"memory\":128,\"timeout\":1000}");
	assert_json(second, "parameters", "[{\"key\":\"x\",\"value\":1}]");
	assert_json(third, "version", "\"2.0.0\"");
	assert_json(third, "annotations", "[{\"key\":\"provide-api-key\",\"value\":false},{\"key\":\"exec\",\"value\":\"python:3\"}]");
	arguments = document_arguments(json_object_get(third, "parameters"), body);
	assert_int_equal(json_object_size(arguments), 2);
	json_decref(arguments);
	json_decref(body);
	json_decref(third);
	json_decref(second);
	json_decref(first);
}

static void test_refusals(void **state)
{
	static const struct { const char *request, *sentence; } bad[] = {
		{ "{}", "exec undefined" },
		{ "{\"exec\": 5}", "'kind' must be" },
		{ "{\"exec\": {\"kind\": \"cobol:1\", \"code\": \"\"}}", "The specified runtime 'cobol:1' is not supported by this platform." },
		{ "{\"exec\": {\"kind\": \"python:3\"}}", "'code' must be" },
		{ "{\"exec\": {\"kind\": \"perl:5\", \"code\": \"x\"}}", "'perl:5' is not supported by this platform" },
		{ "{\"exec\": {\"kind\": \"blackbox\", \"image\": \"me/mine\", \"code\": \"x\"}}", "is not supported by this platform" },
		{ "{\"exec\": {\"kind\": \"sequence\", \"components\": 7}}", "'components' must be defined" },
		{ "{\"exec\": {\"kind\": \"python:3\", \"code\": \"x\"}, \"parameters\": 3}", "parameters must be" },
		{ "{\"exec\": {\"kind\": \"python:3\", \"code\": \"x\"}, \"annotations\": [{\"key\": 1}]}", "annotations must be" },
		{ "{\"exec\": {\"kind\": \"python:3\", \"code\": \"x\"}, \"version\": \"1.2\"}", "version must be" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *request = json_loads(bad[i].request, 0, NULL), *document;
		struct err err = { 0 };

		assert_int_equal(action_put(request, NULL, "guest", "f", 1, &document, &err), -EINVAL);
		if (!strstr(err.text, bad[i].sentence))
			fail_msg("%s: %s", bad[i].request, err.text);
		json_decref(request);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges), cmocka_unit_test(test_failure_changes_nothing), cmocka_unit_test(test_names),
		cmocka_unit_test(test_binary), cmocka_unit_test(test_create_and_update), cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
