// SPDX-License-Identifier: Apache-2.0
#include "daemon/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 2048

static const struct {
	const char *name;
	int http;
} statuses[] = {
	[OUTCOME_SUCCESS] = { "success", 200 },
	[OUTCOME_APPLICATION_ERROR] = { "application error", 502 },
	[OUTCOME_DEVELOPER_ERROR] = { "action developer error", 502 },
	[OUTCOME_WHISK_ERROR] = { "whisk internal error", 500 },
};

int outcome_http_status(enum outcome_status status)
{
	return statuses[status].http;
}

/* UTF-8 is checked by jansson; a text that is not becomes a note that it was not. */
static json_t *error_object(const char *text)
{
	json_t *string = json_string(text);

	return json_pack("{s:o}", "error", string ? string : json_string("(text is not UTF-8)"));
}

static void set_error(struct outcome *ret, enum outcome_status status, const char *text)
{
	ret->status = status;
	ret->result = error_object(text);
}

/* "<ISO 8601 time, 30 columns> <stream>: <text>" */
static json_t *log_line(const json_t *entry)
{
	json_int_t t_ms = json_integer_value(json_object_get(entry, "t_ms"));
	const char *stream = json_string_value(json_object_get(entry, "stream"));
	const char *text = json_string_value(json_object_get(entry, "text"));
	time_t seconds = (time_t)(t_ms / 1000);
	char date[32], stamp[48];
	struct tm utc;

	if (t_ms < 0 || !gmtime_r(&seconds, &utc) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc))
		snprintf(date, sizeof(date), "1970-01-01T00:00:00");
	snprintf(stamp, sizeof(stamp), "%s.%03dZ", date, t_ms < 0 ? 0 : (int)(t_ms % 1000));
	return json_sprintf("%-30s %s: %s", stamp, stream && !strcmp(stream, "stderr") ? "stderr" : "stdout", text ? text : "");
}

static void add_platform_line(json_t *lines, const char *text)
{
	struct timespec now;
	json_t *entry;

	clock_gettime(CLOCK_REALTIME, &now);
	entry = json_pack("{s:I, s:s, s:s}", "t_ms", (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, "stream", "stderr", "text", text);
	json_array_append_new(lines, log_line(entry));
	json_decref(entry);
}

/* The agent has put OpenWhisk's remarks on cut or missing logs among them; silent: there was no agent to do so. */
static json_t *collect_logs(const struct limits *limits, const json_t *body, bool silent)
{
	json_t *lines = json_array(), *entry;
	size_t i;

	if (!limits->logs)
		return lines;
	json_array_foreach(json_object_get(body, "logs"), i, entry)
		if (json_is_object(entry))
			json_array_append_new(lines, log_line(entry));
	if (silent)
		add_platform_line(lines, "The action did not initialize or run as expected. Log data might be missing.");
	return lines;
}

static void fill_timeout(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	char text[128];

	snprintf(text, sizeof(text), "The action exceeded its time limits of %d milliseconds%s.", limits->timeout,
		 phase == OUTCOME_INIT ? " during initialization" : "");
	ret->timed_out = true;
	set_error(ret, OUTCOME_DEVELOPER_ERROR, text);
}

static void fill_exited(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	set_error(ret, OUTCOME_DEVELOPER_ERROR, phase == OUTCOME_INIT ? "The action did not initialize and exited unexpectedly." :
		  "The action did not produce a valid response and exited unexpectedly.");
}

static void fill_oom(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	set_error(ret, OUTCOME_DEVELOPER_ERROR, "The action exhausted its memory and was aborted.");
}

/* What the runtime said is the result, whatever JSON it is; otherwise the fallback. */
static void fill_said(const json_t *body, const char *fallback, struct outcome *ret)
{
	json_t *said = json_object_get(body, "error");

	if (!said || json_is_null(said)) {
		set_error(ret, OUTCOME_DEVELOPER_ERROR, fallback);
		return;
	}
	ret->status = OUTCOME_DEVELOPER_ERROR;
	ret->result = json_pack("{s:O}", "error", said);
}

static void fill_init_error(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	fill_said(body, "The action failed during initialization: no reason given", ret);
}

static void fill_run_error(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	fill_said(body, "The action did not produce a valid response and exited unexpectedly.", ret);
}

static void fill_bad_result(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	const char *said = json_string_value(json_object_get(body, "body"));
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "The action did not produce a valid JSON or JSON Array response: %.1024s", said ? said : "");
	fill_said(body, text, ret);
}

static void fill_too_large(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	json_int_t size = json_integer_value(json_object_get(body, "size"));
	char text[160];

	snprintf(text, sizeof(text), "The action produced a response that exceeded the allowed length: %lld > %u bytes.", (long long)size,
		 LIMITS_RESULT_MAX);
	set_error(ret, OUTCOME_APPLICATION_ERROR, text);
}

/* Reasons of the protocol. */
static const struct {
	const char *reason;
	void (*fill)(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret);
} reasons[] = {
	{ "timeout", fill_timeout }, { "exited", fill_exited }, { "oom", fill_oom }, { "init-error", fill_init_error },
	{ "run-error", fill_run_error }, { "bad-result", fill_bad_result }, { "result-too-large", fill_too_large },
};

static void fill_failure(enum outcome_phase phase, const struct limits *limits, const json_t *body, struct outcome *ret)
{
	const char *reason = json_string_value(json_object_get(body, "reason"));

	for (size_t i = 0; reason && i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reasons[i].reason, reason))
			continue;
		reasons[i].fill(phase, limits, body, ret);
		return;
	}
	fill_exited(phase, limits, body, ret);
}

static void fill_result(json_t *result, struct outcome *ret)
{
	json_t *error = json_object_get(result, "error");
	char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
	char said[TEXT_MAX];

	ret->size = text ? (int64_t)strlen(text) : -1;
	if (ret->size > (int64_t)LIMITS_RESULT_MAX) {
		snprintf(said, sizeof(said), "The action produced a response that exceeded the allowed length: %lld > %u bytes.",
			 (long long)ret->size, LIMITS_RESULT_MAX);
		set_error(ret, OUTCOME_APPLICATION_ERROR, said);
	} else if (error) {
		ret->status = OUTCOME_APPLICATION_ERROR;
		ret->result = json_pack("{s:O}", "error", error);
	} else if (json_is_object(result) || json_is_array(result)) {
		ret->status = OUTCOME_SUCCESS;
		ret->result = json_incref(result);
	} else {
		snprintf(said, sizeof(said), "The action did not produce a valid JSON or JSON Array response: %.1024s", text ? text : "");
		set_error(ret, OUTCOME_DEVELOPER_ERROR, said);
	}
	free(text);
}

void outcome_from_answer(enum outcome_phase phase, const struct limits *limits, int status, const json_t *body, struct outcome *ret)
{
	*ret = (struct outcome){ .size = -1 };
	if (status == 200 && phase == OUTCOME_RUN)
		fill_result(json_object_get(body, "result"), ret);
	else if (status != 200)
		fill_failure(phase, limits, body, ret);
	ret->logs = collect_logs(limits, body, false);
}

void outcome_from_silence(enum outcome_phase phase, const struct limits *limits, bool timed_out, struct outcome *ret)
{
	*ret = (struct outcome){ .size = -1 };
	if (timed_out)
		fill_timeout(phase, limits, NULL, ret);
	else
		fill_exited(phase, limits, NULL, ret);
	ret->logs = collect_logs(limits, NULL, true);
}

void outcome_whisk_error(const char *text, struct outcome *ret)
{
	*ret = (struct outcome){ .size = -1, .logs = json_array() };
	set_error(ret, OUTCOME_WHISK_ERROR, text);
}

void outcome_clear(struct outcome *outcome)
{
	json_decref(outcome->result);
	json_decref(outcome->logs);
	*outcome = (struct outcome){ 0 };
}

static void annotate(json_t *annotations, const char *key, json_t *value)
{
	json_array_append_new(annotations, json_pack("{s:s, s:o}", "key", key, "value", value));
}

static json_t *make_annotations(const struct record_call *call, const struct outcome *outcome, const struct call_times *times)
{
	json_t *annotations = json_array();

	annotate(annotations, "path", json_string(call->path));
	annotate(annotations, "waitTime", json_integer((json_int_t)times->wait_ms));
	annotate(annotations, "kind", json_string(call->kind));
	annotate(annotations, "timeout", json_boolean(outcome->timed_out));
	annotate(annotations, "limits", json_deep_copy(call->limits));
	if (times->cold)
		annotate(annotations, "initTime", json_integer((json_int_t)times->init_ms));
	if (call->cause)
		annotate(annotations, "causedBy", json_string("sequence"));
	if (call->binding)
		annotate(annotations, "binding", json_string(call->binding));
	return annotations;
}

json_t *record_make(const struct record_call *call, const struct outcome *outcome, const struct call_times *times)
{
	json_t *response = json_pack("{s:s, s:b, s:O}", "status", statuses[outcome->status].name, "success",
				     outcome->status == OUTCOME_SUCCESS, "result", outcome->result);

	if (response && outcome->size >= 0)
		json_object_set_new(response, "size", json_integer(outcome->size));
	return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:I, s:I, s:I, s:s, s:b, s:O, s:o, s:o}", "namespace", call->ns, "name", call->name,
			 "subject", call->ns, "activationId", call->activation_id, "cause", call->cause, "start", (json_int_t)times->start_ms,
			 "end", (json_int_t)times->end_ms, "duration", (json_int_t)(times->init_ms + times->run_ms),
			 "version", call->version, "publish", 0, "logs", outcome->logs, "response", response,
			 "annotations", make_annotations(call, outcome, times));
}

json_t *record_summary(const json_t *record)
{
	static const char *const dropped[] = { "response", "logs", "subject" };
	const char *status = json_string_value(json_object_get(json_object_get(record, "response"), "status"));
	json_t *form = json_copy((json_t *)record);
	size_t code = 0;

	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		json_object_del(form, dropped[i]);
	for (size_t i = 0; status && i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (!strcmp(statuses[i].name, status))
			code = i;
	if (form)
		json_object_set_new(form, "statusCode", json_integer((json_int_t)code));
	return form;
}
