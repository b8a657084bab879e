// SPDX-License-Identifier: Apache-2.0
/* The body of a PUT: whatever passes must be a document that every form of it can be made from, and that passes again unchanged. */
#include "fuzz.h"

#include <jansson.h>

#include "base/err.h"
#include "daemon/action.h"
#include "daemon/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *request = json_loadb((const char *)data, size, 0, NULL);
	json_t *document = NULL;
	struct err err = { 0 };

	if (!json_is_object(request)) {
		json_decref(request);
		return 0;
	}
	if (action_put(request, NULL, "guest", "name", 1700000000000, &document, &err)) {
		must(err.code && err.text[0]);
	} else {
		json_t *arguments = document_arguments(json_object_get(document, "parameters"), NULL);
		json_t *summary = action_summary(document);

		must(arguments && summary);
		must(action_limits(document).memory > 0);
		json_decref(arguments);
		json_decref(summary);
		json_decref(document);
	}
	json_decref(request);
	return 0;
}
