// SPDX-License-Identifier: Apache-2.0
/*
 * Web actions, both ways. The first byte picks the extension, the annotations and the content type; the rest is a request's body and, read as
 * JSON, a function's result. Whatever is rendered must be an answer that can be sent.
 */
#include "fuzz.h"

#include <string.h>

#include "daemon/resolve.h"
#include "daemon/web.h"

static const char *const types[] = { NULL, "application/json", "application/x-www-form-urlencoded", "text/plain; charset=UTF-8", "image/png",
				     "application/vnd.a+json" };

static void render(uint8_t choice, const char *text, size_t size)
{
	json_t *result = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	struct web_response response;
	struct web_fault fault;
	json_t *header;
	size_t i;

	if (result && web_render((enum web_extension)(choice % 5), result, &response, &fault) == 0) {
		must(response.status >= 100 && response.status <= 599);
		must(!response.len || (response.body && response.type));
		json_array_foreach(response.headers, i, header)
			must(!strpbrk(json_string_value(json_array_get(header, 1)), "\r\n"));
		web_response_clear(&response);
	} else if (result) {
		must(fault.status >= 400 && fault.text[0]);
	}
	json_decref(result);
}

static void take(uint8_t choice, const char *text, size_t size)
{
	struct resolved action = {
		.document = json_pack("{s:[{s:s, s:b}, {s:s, s:b}, {s:s, s:b}]}", "annotations", "key", "web-export", "value", 1, "key", "raw-http",
				      "value", choice & 1, "key", "final", "value", choice & 2),
		.parameters = json_pack("[{s:s, s:i}]", "key", "a", "value", 1),
	};
	json_t *headers = json_object(), *query = json_object(), *arguments = NULL;
	struct web_request request = {
		.method = "post", .path = "", .raw_query = "", .type = types[(choice >> 2) % (sizeof(types) / sizeof(types[0]))],
		.headers = headers, .query = query, .body = text, .body_len = size,
	};
	struct web_fault fault;

	must(web_check(&action, &request, &fault) == 0);
	if (web_arguments(&action, &request, &arguments, &fault) == 0)
		must(json_is_object(arguments) && json_object_get(arguments, "__ow_method"));
	else
		must(fault.status >= 400 && fault.text[0]);
	json_decref(arguments);
	json_decref(headers);
	json_decref(query);
	json_decref(action.document);
	json_decref(action.parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	render(data[0], (const char *)data + 1, size - 1);
	take(data[0], (const char *)data + 1, size - 1);
	return 0;
}
