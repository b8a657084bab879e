// SPDX-License-Identifier: Apache-2.0
/* How the agent's answers become OpenWhisk outcomes and records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/record.h"

static const struct {
	enum outcome_phase phase;
	int http;
	const char *body;
	enum outcome_status status;
	const char *result;
} cases[] = {
	{ OUTCOME_RUN, 200, "{\"result\": {\"a\": 1}, \"logs\": []}", OUTCOME_SUCCESS, "{\"a\":1}" },
	{ OUTCOME_RUN, 200, "{\"result\": [1]}", OUTCOME_SUCCESS, "[1]" },
	{ OUTCOME_RUN, 200, "{\"result\": {\"error\": \"x\", \"b\": 2}}", OUTCOME_APPLICATION_ERROR, "{\"error\":\"x\"}" },
	{ OUTCOME_RUN, 200, "{\"result\": 7}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not produce a valid JSON or JSON Array response: 7\"}" },
	{ OUTCOME_RUN, 200, "{}", OUTCOME_DEVELOPER_ERROR, "{\"error\":\"The action did not produce a valid JSON or JSON Array response: \"}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"timeout\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action exceeded its time limits of 60000 milliseconds.\"}" },
	{ OUTCOME_INIT, 502, "{\"reason\": \"timeout\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action exceeded its time limits of 60000 milliseconds during initialization.\"}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"exited\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}" },
	{ OUTCOME_INIT, 502, "{\"reason\": \"exited\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not initialize and exited unexpectedly.\"}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"oom\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action exhausted its memory and was aborted.\"}" },
	{ OUTCOME_INIT, 502, "{\"reason\": \"init-error\", \"error\": \"no main\"}", OUTCOME_DEVELOPER_ERROR, "{\"error\":\"no main\"}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"bad-result\", \"body\": \"{]\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not produce a valid JSON or JSON Array response: {]\"}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"bad-result\", \"error\": \"The action did not return a dictionary or array.\", \"body\": \"7\"}",
	  OUTCOME_DEVELOPER_ERROR, "{\"error\":\"The action did not return a dictionary or array.\"}" },
	{ OUTCOME_INIT, 502, "{\"reason\": \"init-error\", \"error\": {\"line\": 3}}", OUTCOME_DEVELOPER_ERROR, "{\"error\":{\"line\":3}}" },
	{ OUTCOME_RUN, 502, "{\"reason\": \"result-too-large\", \"size\": 2000000}", OUTCOME_APPLICATION_ERROR,
	  "{\"error\":\"The action produced a response that exceeded the allowed length: 2000000 > 1048576 bytes.\"}" },
	{ OUTCOME_RUN, 500, "{\"reason\": 5, \"logs\": 7, \"logs_truncated\": \"x\"}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}" },
	{ OUTCOME_RUN, 409, "{\"reason\": \"never heard of\", \"logs\": [7, {}, null]}", OUTCOME_DEVELOPER_ERROR,
	  "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}" },
};

static void test_answers(void **state)
{
	struct limits limits = limits_default();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *body = json_loads(cases[i].body, 0, NULL);
		struct outcome outcome;
		char *result;

		outcome_from_answer(cases[i].phase, &limits, cases[i].http, body, &outcome);
		result = json_dumps(outcome.result, JSON_COMPACT);
		if (outcome.status != cases[i].status || strcmp(result, cases[i].result))
			fail_msg("%s: %d %s", cases[i].body, (int)outcome.status, result);
		assert_int_equal(outcome.timed_out, strstr(cases[i].body, "timeout") != NULL);
		free(result);
		outcome_clear(&outcome);
		json_decref(body);
	}
}

static void test_silence(void **state)
{
	struct limits limits = limits_default();
	struct outcome outcome;

	outcome_from_silence(OUTCOME_RUN, &limits, false, &outcome);
	assert_int_equal(outcome.status, OUTCOME_DEVELOPER_ERROR);
	assert_int_equal(json_array_size(outcome.logs), 1);
	outcome_clear(&outcome);
	outcome_from_silence(OUTCOME_RUN, &limits, true, &outcome);
	assert_true(outcome.timed_out);
	outcome_clear(&outcome);
}

static void test_logs(void **state)
{
	json_t *body = json_loads("{\"result\": {}, \"logs\": [{\"t_ms\": 1700000000123, \"stream\": \"stderr\", \"text\": \"x\"}, {\"t_ms\": -5, "
				  "\"stream\": 3}], \"logs_truncated\": true}", 0, NULL);
	struct limits limits = limits_default();
	struct outcome outcome;

	outcome_from_answer(OUTCOME_RUN, &limits, 200, body, &outcome);
	assert_int_equal(json_array_size(outcome.logs), 2);
	assert_string_equal(json_string_value(json_array_get(outcome.logs, 0)), "2023-11-14T22:13:20.123Z       stderr: x");
	assert_string_equal(json_string_value(json_array_get(outcome.logs, 1)), "1970-01-01T00:00:00.000Z       stdout: ");
	outcome_clear(&outcome);
	limits.logs = 0;
	outcome_from_answer(OUTCOME_RUN, &limits, 200, body, &outcome);
	assert_int_equal(json_array_size(outcome.logs), 0);
	outcome_clear(&outcome);
	json_decref(body);
}

static void test_record(void **state)
{
	json_t *limits_object = json_loads("{\"memory\": 256}", 0, NULL), *body = json_loads("{\"result\": {\"error\": 1}}", 0, NULL);
	struct record_call call = {
		.activation_id = "0123456789abcdef0123456789abcdef", .ns = "guest", .name = "f", .version = "0.0.3", .kind = "python:3",
		.path = "guest/f", .limits = limits_object,
	};
	struct call_times times = { .start_ms = 1000, .end_ms = 1030, .wait_ms = 5, .init_ms = 10, .run_ms = 20, .cold = true };
	struct limits limits = limits_default();
	struct outcome outcome;
	json_t *record, *summary;
	char *text;

	outcome_from_answer(OUTCOME_RUN, &limits, 200, body, &outcome);
	record = record_make(&call, &outcome, &times);
	text = json_dumps(record, JSON_COMPACT);
	assert_string_equal(text, "{\"namespace\":\"guest\",\"name\":\"f\",\"subject\":\"guest\",\"activationId\":"
			    "\"0123456789abcdef0123456789abcdef\",\"start\":1000,\"end\":1030,\"duration\":30,\"version\":\"0.0.3\","
			    "\"publish\":false,\"logs\":[],\"response\":{\"status\":\"application error\",\"success\":false,"
			    "\"result\":{\"error\":1},\"size\":11},\"annotations\":[{\"key\":\"path\",\"value\":\"guest/f\"},"
			    "{\"key\":\"waitTime\",\"value\":5},{\"key\":\"kind\",\"value\":\"python:3\"},"
			    "{\"key\":\"timeout\",\"value\":false},{\"key\":\"limits\",\"value\":{\"memory\":256}},"
			    "{\"key\":\"initTime\",\"value\":10}]}");
	free(text);
	summary = record_summary(record);
	assert_int_equal(json_integer_value(json_object_get(summary, "statusCode")), 1);
	assert_null(json_object_get(summary, "response"));
	assert_null(json_object_get(summary, "logs"));
	json_decref(summary);
	json_decref(record);
	outcome_clear(&outcome);
	json_decref(limits_object);
	json_decref(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_silence), cmocka_unit_test(test_logs), cmocka_unit_test(test_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
