// SPDX-License-Identifier: Apache-2.0
/* Giving a container code and runs, and judging what comes back. */
#include "agent/container.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/events.h"
#include "agent/jsontext.h"
#include "base/fd.h"
#include "h2/server.h"

#define TIMEOUT_DEFAULT_MS	60000
#define TIMEOUT_MAX_MS		3600000
#define RESULT_DEFAULT_MAX	(1u << 20)
#define RESULT_MAX		(24u << 20)
#define LOGS_DEFAULT_MAX	(10u << 20)
#define LOGS_MAX		(10u << 20)
#define BODY_EXCERPT		1024
#define ANSWER_MAX		(64u << 20)
#define EXIT_GRACE_MS		500	/* between the end of the pipes and the end of the process */

/* Appends formatted text of at most a few hundred bytes. */
static void add_text(struct bytes *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_text(struct bytes *out, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		bytes_add(out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, ANSWER_MAX);
}

static void add_quoted(struct bytes *out, const char *text, size_t len)
{
	logs_quote(out, text, len, ANSWER_MAX);
}

/* Ends the exchange's call: `out` holds the answer up to here, open. */
static void answer_exchange(struct container *container, unsigned int status, struct bytes *out)
{
	struct logs *logs = &container->runtime.logs;
	struct h2_call *call = container->exchange_call;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	const char *lines = logs_finish(logs, clock_ns(CLOCK_REALTIME) / 1000000);
	char *body;
	size_t len;

	add_text(out, ",\"duration_ns\":%" PRIu64 ",\"logs_truncated\":%s,\"logs\":", now - container->exchange_start_ns,
		 logs->truncated ? "true" : "false");
	if (bytes_add(out, lines, strlen(lines), ANSWER_MAX) < 0 || bytes_add(out, "}", 1, ANSWER_MAX) < 0)
		bytes_clear(out);
	container->exchange_call = NULL;
	container->closed = false;
	logs_clear(logs);
	loop_line_clear(&container->runtime.line);
	body = bytes_take(out, &len);
	h2_call_answer(call, status, body, len);
}

static const char *exit_reason(const struct container *container)
{
	return cgroup_field(&container->cgroup, "memory.events", "oom_kill") ? "oom" : "exited";
}

/* No exchange goes on in it after this. */
static void die(struct container *container)
{
	container_stop_timer(container);
	cgroup_kill(&container->cgroup);
	container->state = CONTAINER_DEAD;
}

/* 502: the container is unusable from now on. extra: further members of the answer or "". */
static void exchange_failed(struct container *container, const char *reason, const char *sentence, const struct bytes *extra)
{
	static const char note[] = "The action did not initialize or run as expected. Log data might be missing.";
	struct bytes out = { 0 };

	die(container);
	if (strcmp(reason, "result-too-large"))
		logs_note(&container->runtime.logs, note, clock_ns(CLOCK_REALTIME) / 1000000);
	add_text(&out, "{\"reason\":\"%s\",\"error\":", reason);
	add_quoted(&out, sentence, strlen(sentence));
	if (extra && extra->len)
		bytes_add(&out, extra->data, extra->len, ANSWER_MAX);
	answer_exchange(container, 502, &out);
}

static void exchange_exited(struct container *container)
{
	const char *reason = exit_reason(container);
	char sentence[200];

	if (!strcmp(reason, "oom"))
		snprintf(sentence, sizeof(sentence), "The action exhausted its memory of %" PRIu64 " bytes and was killed.",
			 container->request.memory_bytes);
	else if (container->exited)
		snprintf(sentence, sizeof(sentence), "The action's process ended with status %d.", container->exit_status);
	else
		snprintf(sentence, sizeof(sentence), "The action closed its result channel.");
	exchange_failed(container, reason, sentence, NULL);
}

/* Not an answer at all: the first bytes of it are shown. */
static void exchange_bad_result(struct container *container)
{
	const struct bytes *text = &container->runtime.line.text;
	struct bytes extra = { 0 };

	add_text(&extra, ",\"body\":");
	add_quoted(&extra, text->data ? text->data : "", text->len < BODY_EXCERPT ? text->len : BODY_EXCERPT);
	exchange_failed(container, container->exchange_is_init ? "init-error" : "bad-result",
			"The action did not return a dictionary or array.", &extra);
	bytes_clear(&extra);
}

static void exchange_too_large(struct container *container)
{
	const struct loop_line *line = &container->runtime.line;
	struct bytes extra = { 0 };
	char sentence[200];

	add_text(&extra, ",\"size\":%" PRIu64, line->size);
	snprintf(sentence, sizeof(sentence), "The action's result is %" PRIu64 " bytes long; the limit is %" PRIu64 " bytes.", line->size, line->max);
	exchange_failed(container, "result-too-large", sentence, &extra);
	bytes_clear(&extra);
}

/* The launcher's answer to /init: {"ok":true} or {"error":...}. */
static void init_line(struct container *container)
{
	const struct bytes *text = &container->runtime.line.text;
	struct json_span error = json_text_member(text->data, text->len, "error");
	struct bytes out = { 0 };

	if (!error.text) {
		container->state = CONTAINER_READY;
		add_text(&out, "{\"ok\":true");
		answer_exchange(container, 200, &out);
		return;
	}
	die(container);
	add_text(&out, "{\"reason\":\"init-error\",\"error\":");
	bytes_add(&out, error.text, error.len, ANSWER_MAX);
	answer_exchange(container, 502, &out);
}

static void run_line(struct container *container)
{
	const struct bytes *text = &container->runtime.line.text;
	struct bytes out = { 0 };

	container->state = CONTAINER_READY;
	add_text(&out, "{\"result\":");
	bytes_add(&out, text->data, text->len, ANSWER_MAX);
	answer_exchange(container, 200, &out);
}

/* "!{"error":...}": the function broke, says its runtime. Such a line is no JSON, so no function's result is one. */
static bool is_broken_line(const struct container *container)
{
	const struct bytes *text = &container->runtime.line.text;

	return !container->exchange_is_init && text->len > 1 && text->data[0] == '!' &&
	       json_text_kind(text->data + 1, text->len - 1) == JSON_KIND_OBJECT;
}

static void broken_line(struct container *container)
{
	const struct bytes *text = &container->runtime.line.text;
	struct json_span error = json_text_member(text->data + 1, text->len - 1, "error");
	struct bytes out = { 0 };

	die(container);
	add_text(&out, "{\"reason\":\"run-error\",\"error\":");
	bytes_add(&out, error.text ? error.text : "null", error.text ? error.len : 4, ANSWER_MAX);
	answer_exchange(container, 502, &out);
}

static void exchange_line(struct container *container)
{
	const struct loop_line *line = &container->runtime.line;
	enum json_kind kind;

	if (loop_line_too_long(line)) {
		exchange_too_large(container);
		return;
	}
	if (line->text.data && is_broken_line(container)) {
		broken_line(container);
		return;
	}
	kind = line->text.data ? json_text_kind(line->text.data, line->text.len) : JSON_KIND_INVALID;
	if (kind != JSON_KIND_OBJECT && (kind != JSON_KIND_ARRAY || container->exchange_is_init))
		exchange_bad_result(container);
	else if (container->exchange_is_init)
		init_line(container);
	else
		run_line(container);
}

/* Ended, or broke the contract, while nothing was asked of it. */
static void idle_end(struct container *container)
{
	if (container->state != CONTAINER_READY)
		return;
	die(container);
	events_container_exit(container->agent->events, container->request.id, exit_reason(container), container->exit_status);
}

/* The pipes were closed, but the process has not ended. */
static void on_no_exit(struct container *container)
{
	if (container->exchange_call && container->closed)
		exchange_exited(container);
	else
		idle_end(container);
}

void container_runtime_ended(struct runtime *runtime, enum runtime_end end)
{
	struct container *container = runtime->userdata;
	char sentence[120];

	if (!container->exchange_call) {
		if (end == RUNTIME_CLOSED && !container->exited)
			container_set_timer(container, on_no_exit, EXIT_GRACE_MS);
		else
			idle_end(container);
		return;
	}
	switch (end) {
	case RUNTIME_LINE:
		exchange_line(container);
		break;
	case RUNTIME_NOISE:
		exchange_bad_result(container);
		break;
	case RUNTIME_TIMEOUT:
		snprintf(sentence, sizeof(sentence), "The action exceeded its time limits of %" PRIu64 " milliseconds.", container->timeout_ms);
		exchange_failed(container, "timeout", sentence, NULL);
		break;
	case RUNTIME_CLOSED:
		if (container->exited) {
			exchange_exited(container);
			break;
		}
		container->closed = true;
		container_set_timer(container, on_no_exit, EXIT_GRACE_MS);
		break;
	}
	if (container->exited)
		idle_end(container);
}

void container_exited(struct child *child, int status)
{
	struct container *container = child->userdata;
	char text[120];

	container->exited = true;
	container->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (container->runtime.busy) {
		runtime_exited(&container->runtime);
	} else if (container->state == CONTAINER_CREATING) {
		snprintf(text, sizeof(text), "the first process of container %s ended with status %d", container->request.id, container->exit_status);
		container_fail(container, "failed", text);
	} else if (container->exchange_call && container->closed) {
		exchange_exited(container);
	} else {
		idle_end(container);
	}
}

static uint64_t field(const char *body, size_t len, const char *name, uint64_t fallback, uint64_t max)
{
	uint64_t value;

	if (!json_text_u64(body, len, name, &value))
		return fallback;
	return value < max ? value : max;
}

static bool may_exchange(struct container *container, struct h2_call *call)
{
	const char *id = container->request.id;

	if (container->state == CONTAINER_READY)
		return true;
	if (container->state == CONTAINER_RUNNING || container->state == CONTAINER_CREATING)
		answer_error(call, 409, "busy", "container %s is at work; one call at a time", id);
	else
		answer_error(call, 502, exit_reason(container), "container %s has ended; delete it and make another", id);
	return false;
}

void container_exchange(struct container *container, struct h2_call *call, bool is_init)
{
	uint64_t logs_max;
	size_t len;
	char *body = h2_call_body(call, &len);
	int r;

	if (!may_exchange(container, call))
		return;
	if (json_text_kind(body, len) != JSON_KIND_OBJECT || !json_text_member(body, len, "value").text) {
		answer_error(call, 400, "bad-request", "the body must be a JSON object with a member \"value\"");
		return;
	}
	container->timeout_ms = field(body, len, "timeout_ms", TIMEOUT_DEFAULT_MS, TIMEOUT_MAX_MS);
	logs_max = field(body, len, "logs_max_bytes", LOGS_DEFAULT_MAX, LOGS_MAX);
	loop_flatten(body, len);
	body[len] = '\n';	/* where the NUL was */
	container->exchange_call = call;
	container->exchange_is_init = is_init;
	container->exchange_start_ns = clock_ns(CLOCK_BOOTTIME);
	container->state = CONTAINER_RUNNING;
	r = runtime_exchange(&container->runtime, body, len + 1, container->timeout_ms,
			     field(body, len, "result_max_bytes", RESULT_DEFAULT_MAX, RESULT_MAX), logs_max);
	if (r < 0)
		exchange_exited(container);
}
