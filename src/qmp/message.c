// SPDX-License-Identifier: Apache-2.0
#include "qmp/message.h"

#include <errno.h>
#include <stdbool.h>

#include "base/err.h"

static bool read_greeting(struct qmp_message *message)
{
	message->kind = QMP_GREETING;
	return json_is_object(json_object_get(message->json, "QMP"));
}

static bool read_return(struct qmp_message *message)
{
	message->kind = QMP_RETURN;
	message->value = json_object_get(message->json, "return");
	return true;
}

static bool read_error(struct qmp_message *message)
{
	message->kind = QMP_ERROR;
	message->text = json_string_value(json_object_get(json_object_get(message->json, "error"), "desc"));
	return message->text != NULL;
}

static bool read_event(struct qmp_message *message)
{
	message->kind = QMP_EVENT;
	message->text = json_string_value(json_object_get(message->json, "event"));
	message->value = json_object_get(message->json, "data");
	return message->text != NULL;
}

static const struct {
	const char *key;
	bool (*read)(struct qmp_message *message);
} kinds[] = {
	{ "return", read_return },
	{ "error", read_error },
	{ "event", read_event },
	{ "QMP", read_greeting },
};

static bool read_id(struct qmp_message *message)
{
	json_t *id = json_object_get(message->json, "id");

	if (!id)
		return true;
	if (!json_is_integer(id) || json_integer_value(id) <= 0)
		return false;
	message->id = (uint64_t)json_integer_value(id);
	return true;
}

int qmp_message_parse(const char *line, size_t len, struct qmp_message *ret, struct err *err)
{
	struct qmp_message message = { 0 };
	json_error_t why;

	if (len > QMP_LINE_MAX)
		return err_set(err, EMSGSIZE, "QMP: a line of %zu bytes is longer than %u", len, QMP_LINE_MAX);
	message.json = json_loadb(line, len, 0, &why);
	if (!message.json)
		return err_set(err, EPROTO, "QMP: a line is not JSON: %s", why.text);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!json_object_get(message.json, kinds[i].key))
			continue;
		if (!kinds[i].read(&message) || !read_id(&message))
			break;
		*ret = message;
		return 0;
	}
	json_decref(message.json);
	return err_set(err, EPROTO, "QMP: a message is neither greeting, return, error nor event, or lacks its fields");
}

void qmp_message_clear(struct qmp_message *message)
{
	json_decref(message->json);
	*message = (struct qmp_message){ 0 };
}
