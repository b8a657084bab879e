// SPDX-License-Identifier: Apache-2.0
#include "agent/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/logs.h"
#include "h2/server.h"

void answer_json(struct h2_call *call, unsigned int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	h2_call_answer(call, status, text, text ? strlen(text) : 0);
}

void answer_error(struct h2_call *call, unsigned int status, const char *reason, const char *fmt, ...)
{
	struct bytes text = { 0 };
	char sentence[1024];
	va_list ap;
	size_t len;
	char *body;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	if (bytes_add(&text, "{\"reason\":", 10, 16384) < 0 || logs_quote(&text, reason, strlen(reason), 16384) < 0 ||
	    bytes_add(&text, ",\"error\":", 9, 16384) < 0 || logs_quote(&text, sentence, strlen(sentence), 16384) < 0 ||
	    bytes_add(&text, "}", 1, 16384) < 0)
		bytes_clear(&text);
	body = bytes_take(&text, &len);
	h2_call_answer(call, status, body, len);
}
