// SPDX-License-Identifier: Apache-2.0
/* An agent's answer to init or run: whatever it holds, there is an outcome with a result, and a record can be made. */
#include "fuzz.h"

#include <jansson.h>

#include "daemon/record.h"

static void check(enum outcome_phase phase, int status, const json_t *body)
{
	struct limits limits = limits_default();
	struct call_times times = { .cold = true };
	json_t *object = limits_json(&limits), *record, *summary;
	struct record_call call = {
		.activation_id = "0", .ns = "guest", .name = "f", .version = "0.0.1", .kind = "python:3", .path = "guest/f", .limits = object,
	};
	struct outcome outcome;

	outcome_from_answer(phase, &limits, status, body, &outcome);
	must(outcome.logs);
	if (outcome.result) {
		record = record_make(&call, &outcome, &times);
		summary = record_summary(record);
		must(record && summary);
		json_decref(record);
		json_decref(summary);
	} else {
		must(phase == OUTCOME_INIT && status == 200);
	}
	outcome_clear(&outcome);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *body = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);

	if (json_is_object(body)) {
		check(OUTCOME_RUN, 200, body);
		check(OUTCOME_RUN, 502, body);
		check(OUTCOME_INIT, 200, body);
		check(OUTCOME_INIT, 502, body);
	}
	json_decref(body);
	return 0;
}
