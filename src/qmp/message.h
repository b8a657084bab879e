/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One QMP message: a line of JSON from QEMU, told apart. The line may come from a broken peer: it is bounded, and every field that is
 * used later is checked here. Ownership: text fields point into `json`, which qmp_message_clear() releases.
 */
#ifndef SQUEEZY_QMP_MESSAGE_H
#define SQUEEZY_QMP_MESSAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Our longest answer (query-status, qom-get) is below 1 KiB; device events with long paths stay below 64 KiB. */
#define QMP_LINE_MAX (64u << 10)

enum qmp_kind {
	QMP_GREETING,		/* {"QMP": {...}}: once, first */
	QMP_RETURN,		/* {"return": value, "id": n} */
	QMP_ERROR,		/* {"error": {"class", "desc"}, "id": n} */
	QMP_EVENT,		/* {"event": name, "data": {...}} */
};

struct qmp_message {
	enum qmp_kind kind;
	uint64_t id;		/* of the command, 0: none */
	const char *text;	/* QMP_EVENT: name; QMP_ERROR: QEMU's sentence */
	json_t *value;		/* QMP_RETURN: value, QMP_EVENT: data or NULL (borrowed from json) */
	json_t *json;
};

/* 0, -EMSGSIZE (line too long) or -EPROTO; *ret is written on success only. */
int qmp_message_parse(const char *line, size_t len, struct qmp_message *ret, struct err *err);

void qmp_message_clear(struct qmp_message *message);

#endif
