// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/jsontext.h"

static enum json_kind kind(const char *text)
{
	return json_text_kind(text, strlen(text));
}

static void test_kinds(void **state)
{
	assert_int_equal(kind("{}"), JSON_KIND_OBJECT);
	assert_int_equal(kind(" { \"a\" : [ 1 , { } , [] ] , \"b\" : \"\\u00e4\\n\" } \n"), JSON_KIND_OBJECT);
	assert_int_equal(kind("[null,true,false,-0.5e-3]"), JSON_KIND_ARRAY);
	assert_int_equal(kind("\"text\""), JSON_KIND_OTHER);
	assert_int_equal(kind("-0"), JSON_KIND_OTHER);
	assert_int_equal(kind("9223372036854775807"), JSON_KIND_OTHER);
	assert_int_equal(kind("\"\\ud83d\\ude00\xf0\x9f\x98\x80\""), JSON_KIND_OTHER);
}

static void test_invalid(void **state)
{
	static const char *const texts[] = {
		"", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:1}", "[1 2]", "01", "1.", ".5", "1e", "+1", "--1", "nul", "tru",
		"{} {}", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "\"\xff\"",
		"\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "9223372036854775808", "1e999", "NaN", "Infinity", "[}", "{]",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (kind(texts[i]) != JSON_KIND_INVALID)
			fail_msg("taken for JSON: %s", texts[i]);
	}
}

static void test_depth(void **state)
{
	char text[2 * JSON_TEXT_DEPTH + 4];

	memset(text, '[', JSON_TEXT_DEPTH);
	memset(text + JSON_TEXT_DEPTH, ']', JSON_TEXT_DEPTH);
	assert_int_equal(json_text_kind(text, 2 * JSON_TEXT_DEPTH), JSON_KIND_ARRAY);
	memset(text, '[', JSON_TEXT_DEPTH + 1);
	memset(text + JSON_TEXT_DEPTH + 1, ']', JSON_TEXT_DEPTH + 1);
	assert_int_equal(json_text_kind(text, 2 * JSON_TEXT_DEPTH + 2), JSON_KIND_INVALID);
}

static void test_members(void **state)
{
	static const char text[] = "{ \"value\":{\"timeout_ms\":1}, \"timeout_ms\" : 250 , \"neg\":-1,\"real\":1.5,\"big\":1234567890123456789012,\"s\":\"x\"}";
	struct json_span span = json_text_member(text, strlen(text), "value");
	uint64_t number = 7;

	assert_int_equal(span.len, strlen("{\"timeout_ms\":1}"));
	assert_memory_equal(span.text, "{\"timeout_ms\":1}", span.len);
	assert_true(json_text_u64(text, strlen(text), "timeout_ms", &number));
	assert_int_equal(number, 250);
	assert_false(json_text_u64(text, strlen(text), "neg", &number));
	assert_false(json_text_u64(text, strlen(text), "real", &number));
	assert_false(json_text_u64(text, strlen(text), "big", &number));
	assert_false(json_text_u64(text, strlen(text), "s", &number));
	assert_false(json_text_u64(text, strlen(text), "none", &number));
	assert_int_equal(number, 250);
	assert_null(json_text_member("[]", 2, "a").text);
	assert_null(json_text_member("{}", 2, "a").text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_invalid), cmocka_unit_test(test_depth), cmocka_unit_test(test_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
