// SPDX-License-Identifier: Apache-2.0
/* Whatever a function prints, in pieces of any size on two streams, the log is a valid JSON array. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "agent/logs.h"

#define LIMIT 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logs logs = { 0 };
	json_t *json;
	const char *text;

	logs_start(&logs, LIMIT);
	while (size) {
		size_t piece = 1 + data[0] % 64;

		if (piece > size)
			piece = size;
		logs_feed(&logs, data[0] & 128 ? LOG_STDERR : LOG_STDOUT, (const char *)data, piece, 1700000000000);
		data += piece;
		size -= piece;
	}
	text = logs_finish(&logs, 1700000000001);
	json = json_loads(text, 0, NULL);
	must(json_is_array(json));
	json_decref(json);
	logs_clear(&logs);
	return 0;
}
