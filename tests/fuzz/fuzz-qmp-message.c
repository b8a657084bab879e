// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"

#include "qmp/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qmp_message message;

	if (qmp_message_parse((const char *)data, size, &message, NULL))
		return 0;
	must(message.kind <= QMP_EVENT);
	must(message.json);
	must(message.kind != QMP_EVENT || message.text);
	must(message.kind != QMP_RETURN || message.value);
	qmp_message_clear(&message);
	return 0;
}
