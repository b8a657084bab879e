// SPDX-License-Identifier: Apache-2.0
/* What the agent calls JSON, the host's parser must be able to read, with the same kind of value. */
#include "fuzz.h"

#include <jansson.h>

#include "agent/jsontext.h"

static enum json_kind kind_of(const json_t *json)
{
	if (json_is_object(json))
		return JSON_KIND_OBJECT;
	return json_is_array(json) ? JSON_KIND_ARRAY : JSON_KIND_OTHER;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	enum json_kind kind = json_text_kind(text, size);
	uint64_t number;
	json_t *json;

	if (kind == JSON_KIND_INVALID)
		return 0;
	json = json_loadb(text, size, JSON_DECODE_ANY, NULL);
	must(json);
	must(kind_of(json) == kind);
	json_decref(json);
	if (kind == JSON_KIND_OBJECT) {
		struct json_span span = json_text_member(text, size, "id");

		must(!span.text || (span.text >= text && span.text + span.len <= text + size));
		json_text_u64(text, size, "size", &number);
	}
	return 0;
}
