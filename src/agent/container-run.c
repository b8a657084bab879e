// SPDX-License-Identifier: Apache-2.0
/* Giving a container code and runs, and judging what comes back. */
#include "agent/container.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static struct run *run_of(struct exchange *exchange)
{
	return (struct run *)exchange;
}

/* Ends the run's call: `out` holds the answer up to here, open. */
static void answer_run(struct run *run, unsigned int status, struct bytes *out)
{
	struct logs *logs = &run->exchange.logs;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	const char *lines = logs_finish(logs, clock_ns(CLOCK_REALTIME) / 1000000);
	char *body;
	size_t len;

	add_text(out, ",\"duration_ns\":%" PRIu64 ",\"logs_truncated\":%s,\"logs\":", now - run->start_ns, logs->truncated ? "true" : "false");
	if (bytes_add(out, lines, strlen(lines), ANSWER_MAX) < 0 || bytes_add(out, "}", 1, ANSWER_MAX) < 0)
		bytes_clear(out);
	body = bytes_take(out, &len);
	h2_call_answer(run->call, status, body, len);
	exchange_clear(&run->exchange);
	free(run);
}

static const char *exit_reason(const struct container *container)
{
	return cgroup_field(&container->cgroup, "memory.events", "oom_kill") ? "oom" : "exited";
}

/* Nothing goes on in it after this. */
static void die(struct container *container)
{
	container_stop_timer(container);
	cgroup_kill(&container->cgroup);
	container->state = CONTAINER_DEAD;
}

/* A run is through. What has broken the container ends it, after the runs that are left. */
static void count_out(struct container *container, bool usable)
{
	container->runs--;
	container->failing |= !usable;
	if (container->runs)
		return;
	if (container->failing)
		die(container);
	else
		container->state = CONTAINER_READY;
}

/* 502: the container is unusable from now on. extra: further members of the answer or NULL. */
static void run_failed(struct run *run, const char *reason, const char *sentence, const struct bytes *extra)
{
	static const char note[] = "The action did not initialize or run as expected. Log data might be missing.";
	struct bytes out = { 0 };

	count_out(run->container, false);
	if (strcmp(reason, "result-too-large"))
		logs_note(&run->exchange.logs, note, clock_ns(CLOCK_REALTIME) / 1000000);
	add_text(&out, "{\"reason\":\"%s\",\"error\":", reason);
	add_quoted(&out, sentence, strlen(sentence));
	if (extra && extra->len)
		bytes_add(&out, extra->data, extra->len, ANSWER_MAX);
	answer_run(run, 502, &out);
}

static void run_exited(struct run *run)
{
	const struct container *container = run->container;
	const char *reason = exit_reason(container);
	char sentence[200];

	if (!strcmp(reason, "oom"))
		snprintf(sentence, sizeof(sentence), "The action exhausted its memory of %" PRIu64 " bytes and was killed.",
			 container->request.memory_bytes);
	else if (container->exited)
		snprintf(sentence, sizeof(sentence), "The action's process ended with status %d.", container->exit_status);
	else
		snprintf(sentence, sizeof(sentence), "The action closed its result channel.");
	run_failed(run, reason, sentence, NULL);
}

static void all_exited(struct container *container)
{
	struct exchange *exchange;

	container->closed = false;
	while ((exchange = runtime_take(&container->runtime)))
		run_exited(run_of(exchange));
}

void container_drop_runs(struct container *container)
{
	struct exchange *exchange;

	container->closed = false;
	while ((exchange = runtime_take(&container->runtime))) {
		exchange_clear(exchange);
		if (exchange == &container->hello)
			continue;
		answer_error(run_of(exchange)->call, 502, "exited", "container %s was deleted during the call", container->request.id);
		free(run_of(exchange));
	}
	container->runs = 0;
}

/* Not an answer at all: the first bytes of it are shown. */
static void bad_result(struct run *run)
{
	const struct bytes *text = &run->exchange.line.text;
	struct bytes extra = { 0 };

	add_text(&extra, ",\"body\":");
	add_quoted(&extra, text->data ? text->data : "", text->len < BODY_EXCERPT ? text->len : BODY_EXCERPT);
	run_failed(run, run->is_init ? "init-error" : "bad-result", "The action did not return a dictionary or array.", &extra);
	bytes_clear(&extra);
}

static void result_too_large(struct run *run)
{
	const struct loop_line *line = &run->exchange.line;
	struct bytes extra = { 0 };
	char sentence[200];

	add_text(&extra, ",\"size\":%" PRIu64, line->size);
	snprintf(sentence, sizeof(sentence), "The action's result is %" PRIu64 " bytes long; the limit is %" PRIu64 " bytes.", line->size, line->max);
	run_failed(run, "result-too-large", sentence, &extra);
	bytes_clear(&extra);
}

/* An error the runtime itself tells of, in JSON. */
static void error_told(struct run *run, const char *reason, struct json_span error)
{
	struct bytes out = { 0 };

	count_out(run->container, false);
	add_text(&out, "{\"reason\":\"%s\",\"error\":", reason);
	bytes_add(&out, error.text ? error.text : "null", error.text ? error.len : 4, ANSWER_MAX);
	answer_run(run, 502, &out);
}

/* The launcher's answer to /init: {"ok":true} or {"error":...}. */
static void init_line(struct run *run)
{
	const struct bytes *text = &run->exchange.line.text;
	struct json_span error = json_text_member(text->data, text->len, "error");
	struct container *container = run->container;
	struct bytes out = { 0 };

	if (error.text) {
		error_told(run, "init-error", error);
		return;
	}
	count_out(container, true);
	if (container->request.concurrency > 1)
		runtime_number(&container->runtime);
	add_text(&out, "{\"ok\":true");
	answer_run(run, 200, &out);
}

static void run_line(struct run *run)
{
	const struct bytes *text = &run->exchange.line.text;
	struct bytes out = { 0 };

	count_out(run->container, true);
	add_text(&out, "{\"result\":");
	bytes_add(&out, text->data, text->len, ANSWER_MAX);
	answer_run(run, 200, &out);
}

/* "!{"error":...}": the function broke, says its runtime. Such a line is no JSON, so no function's result is one. */
static bool is_broken_line(const struct run *run)
{
	const struct bytes *text = &run->exchange.line.text;

	return !run->is_init && text->len > 1 && text->data[0] == '!' && json_text_kind(text->data + 1, text->len - 1) == JSON_KIND_OBJECT;
}

static void on_line(struct run *run)
{
	const struct loop_line *line = &run->exchange.line;
	enum json_kind kind;

	if (loop_line_too_long(line)) {
		result_too_large(run);
		return;
	}
	if (line->text.data && is_broken_line(run)) {
		error_told(run, "run-error", json_text_member(line->text.data + 1, line->text.len - 1, "error"));
		return;
	}
	kind = line->text.data ? json_text_kind(line->text.data, line->text.len) : JSON_KIND_INVALID;
	if (kind != JSON_KIND_OBJECT && (kind != JSON_KIND_ARRAY || run->is_init))
		bad_result(run);
	else if (run->is_init)
		init_line(run);
	else
		run_line(run);
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
	if (container->closed)
		all_exited(container);
	else
		idle_end(container);
}

static void on_closed(struct container *container)
{
	if (container->exited && container->runs) {
		all_exited(container);
		return;
	}
	container->closed = container->runs;
	if (container->exited)
		idle_end(container);
	else
		container_set_timer(container, on_no_exit, EXIT_GRACE_MS);
}

void container_runtime_ended(struct runtime *runtime, struct exchange *exchange, enum runtime_end end)
{
	struct container *container = runtime->userdata;
	struct run *run = exchange ? run_of(exchange) : NULL;
	char sentence[120];

	switch (end) {
	case RUNTIME_LINE:
		on_line(run);
		break;
	case RUNTIME_NOISE:
		if (run)
			bad_result(run);
		else
			idle_end(container);
		break;
	case RUNTIME_TIMEOUT:
		snprintf(sentence, sizeof(sentence), "The action exceeded its time limits of %" PRIu64 " milliseconds.", run->timeout_ms);
		run_failed(run, "timeout", sentence, NULL);
		break;
	case RUNTIME_CLOSED:
		on_closed(container);
		return;
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
	if (container->closed) {
		all_exited(container);
	} else if (runtime_busy(&container->runtime)) {
		runtime_exited(&container->runtime);
	} else if (container->state == CONTAINER_CREATING) {
		snprintf(text, sizeof(text), "the first process of container %s ended with status %d", container->request.id, container->exit_status);
		container_fail(container, "failed", text);
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

static bool may_exchange(struct container *container, struct h2_call *call, bool is_init)
{
	const char *id = container->request.id;
	bool open = container->state == CONTAINER_RUNNING && !container->failing && !container->closed;

	if (container->state == CONTAINER_READY)
		return true;
	if (open && !is_init && container->runtime.numbered && container->runs < container->request.concurrency)
		return true;
	if (open || container->state == CONTAINER_CREATING)
		answer_error(call, 409, "busy", "container %s is at work; %" PRIu64 " at a time", id, container->request.concurrency);
	else
		answer_error(call, 502, exit_reason(container), "container %s has ended; delete it and make another", id);
	return false;
}

static void start_run(struct container *container, struct run *run, char *body, size_t len)
{
	int r;

	loop_flatten(body, len);
	body[len] = '\n';	/* where the NUL was */
	container->state = CONTAINER_RUNNING;
	container->runs++;
	r = runtime_exchange(&container->runtime, &run->exchange, body, len + 1, run->timeout_ms,
			     field(body, len, "result_max_bytes", RESULT_DEFAULT_MAX, RESULT_MAX),
			     field(body, len, "logs_max_bytes", LOGS_DEFAULT_MAX, LOGS_MAX));
	if (r < 0)
		run_exited(run);
}

void container_exchange(struct container *container, struct h2_call *call, bool is_init)
{
	struct run *run;
	size_t len;
	char *body = h2_call_body(call, &len);

	if (!may_exchange(container, call, is_init))
		return;
	if (json_text_kind(body, len) != JSON_KIND_OBJECT || !json_text_member(body, len, "value").text) {
		answer_error(call, 400, "bad-request", "the body must be a JSON object with a member \"value\"");
		return;
	}
	run = calloc(1, sizeof(*run));
	if (!run) {
		answer_error(call, 500, "failed", "out of memory");
		return;
	}
	run->container = container;
	run->call = call;
	run->is_init = is_init;
	run->start_ns = clock_ns(CLOCK_BOOTTIME);
	run->timeout_ms = field(body, len, "timeout_ms", TIMEOUT_DEFAULT_MS, TIMEOUT_MAX_MS);
	start_run(container, run, body, len);
}
