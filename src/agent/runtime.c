// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define DRAIN_MAX (2u << 20)	/* read from one pipe in one go: more than a pipe can hold */

static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000;
}

static void close_one(struct runtime *runtime, int which)
{
	if (runtime->events[which])
		event_free(runtime->events[which]);
	runtime->events[which] = NULL;
	fd_close(&runtime->fds[which]);
}

/* Reads one log pipe, up to max bytes. False once it is at its end. */
static bool read_log(struct runtime *runtime, int which, size_t max)
{
	struct exchange *oldest = TAILQ_FIRST(&runtime->exchanges);
	char data[16384];

	while (max && runtime->fds[which] >= 0) {
		ssize_t n = read(runtime->fds[which], data, max < sizeof(data) ? max : sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		if (oldest)
			logs_feed(&oldest->logs, which == RUNTIME_STDOUT ? LOG_STDOUT : LOG_STDERR, data, (size_t)n, now_ms());
		max -= (size_t)n;
	}
	return true;
}

static void on_log(evutil_socket_t fd, short what, void *userdata)
{
	struct runtime *runtime = userdata;
	int which = fd == runtime->fds[RUNTIME_STDOUT] ? RUNTIME_STDOUT : RUNTIME_STDERR;

	if (!read_log(runtime, which, 65536))
		close_one(runtime, which);
}

/* What was written before the answer is in the pipes by now. */
static void drain_logs(struct runtime *runtime)
{
	for (int which = RUNTIME_STDOUT; which <= RUNTIME_STDERR; which++) {
		if (!read_log(runtime, which, DRAIN_MAX))
			close_one(runtime, which);
	}
}

bool runtime_busy(const struct runtime *runtime)
{
	return !TAILQ_EMPTY(&runtime->exchanges);
}

static size_t unsent(const struct exchange *exchange)
{
	return exchange->head_len + exchange->input_len - exchange->sent;
}

static void remove_exchange(struct exchange *exchange)
{
	struct runtime *runtime = exchange->runtime;

	TAILQ_REMOVE(&runtime->exchanges, exchange, link);
	if (runtime->answering == exchange) {
		runtime->answering = NULL;
		runtime->read = READ_LATE;
	}
	if (exchange->timer)
		event_free(exchange->timer);
	exchange->timer = NULL;
	exchange->input = NULL;
	exchange->runtime = NULL;
}

struct exchange *runtime_take(struct runtime *runtime)
{
	struct exchange *exchange = TAILQ_FIRST(&runtime->exchanges);

	if (exchange)
		remove_exchange(exchange);
	return exchange;
}

void exchange_clear(struct exchange *exchange)
{
	loop_line_clear(&exchange->line);
	logs_clear(&exchange->logs);
}

static void finish(struct exchange *exchange, enum runtime_end end)
{
	struct runtime *runtime = exchange->runtime;

	drain_logs(runtime);
	if (end == RUNTIME_LINE && unsent(exchange))
		end = RUNTIME_NOISE;
	remove_exchange(exchange);
	runtime->ended(runtime, exchange, end);
}

/* What came is no answer to anything: nobody can tell what will. */
static void noise(struct runtime *runtime)
{
	struct exchange *exchange;

	if (!runtime_busy(runtime))
		runtime->ended(runtime, NULL, RUNTIME_NOISE);
	while ((exchange = TAILQ_FIRST(&runtime->exchanges)))
		finish(exchange, RUNTIME_NOISE);
}

static void channel_closed(struct runtime *runtime)
{
	struct exchange *exchange;

	drain_logs(runtime);
	TAILQ_FOREACH(exchange, &runtime->exchanges, link)
		event_del(exchange->timer);
	close_one(runtime, RUNTIME_STDIN);
	close_one(runtime, RUNTIME_RESULT);
	runtime->ended(runtime, NULL, RUNTIME_CLOSED);
}

/* "NUMBER " in front of an answer, a byte of it. False: it is not that. */
static bool take_number(struct runtime *runtime, char c)
{
	struct exchange *exchange;

	if (c >= '0' && c <= '9' && runtime->digits < 18) {
		runtime->reading = runtime->reading * 10 + (uint64_t)(c - '0');
		runtime->digits++;
		return true;
	}
	if (c != ' ' || !runtime->digits || !runtime->reading || runtime->reading > runtime->last_number)
		return false;
	TAILQ_FOREACH(exchange, &runtime->exchanges, link)
		if (exchange->number == runtime->reading)
			break;
	if (!exchange && !runtime->owed)
		return false;
	runtime->owed -= !exchange;
	runtime->answering = exchange;
	runtime->read = exchange ? READ_ANSWER : READ_LATE;
	runtime->reading = runtime->digits = 0;
	return true;
}

/* Answers to numbered exchanges, in pieces of any size. */
static bool take_numbered(struct runtime *runtime, const char *data, size_t len)
{
	while (len) {
		struct exchange *exchange = runtime->answering;
		const char *end;
		size_t n;

		if (runtime->read == READ_NUMBER) {
			if (!take_number(runtime, *data++))
				return false;
			len--;
			continue;
		}
		end = memchr(data, '\n', len);
		n = end ? (size_t)(end - data) + 1 : len;
		if (exchange)
			loop_line_feed(&exchange->line, data, n);
		data += n;
		len -= n;
		if (end) {
			runtime->read = READ_NUMBER;
			runtime->answering = NULL;
			if (exchange)
				finish(exchange, RUNTIME_LINE);
		}
	}
	return true;
}

static void take(struct runtime *runtime, const char *data, size_t len)
{
	struct exchange *exchange = TAILQ_FIRST(&runtime->exchanges);

	if (runtime->numbered) {
		if (!take_numbered(runtime, data, len))
			noise(runtime);
		return;
	}
	if (!exchange) {
		noise(runtime);
		return;
	}
	loop_line_feed(&exchange->line, data, len);
	if (exchange->line.whole)
		finish(exchange, exchange->line.extra ? RUNTIME_NOISE : RUNTIME_LINE);
}

/* 1 go on, 0 nothing now, -1 end of file. */
static int read_result(struct runtime *runtime)
{
	char data[32768];
	ssize_t n = read(runtime->fds[RUNTIME_RESULT], data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (n <= 0)
		return -1;
	take(runtime, data, (size_t)n);
	return 1;
}

static void on_result(evutil_socket_t fd, short what, void *userdata)
{
	struct runtime *runtime = userdata;

	if (read_result(runtime) < 0)
		channel_closed(runtime);
}

/* The next bytes to write; 0 when there are none. */
static size_t next_input(struct runtime *runtime, struct exchange **ret, const char **data)
{
	struct exchange *exchange;

	TAILQ_FOREACH(exchange, &runtime->exchanges, link)
		if (unsent(exchange))
			break;
	*ret = exchange;
	if (!exchange)
		return 0;
	if (exchange->sent < exchange->head_len) {
		*data = exchange->head + exchange->sent;
		return exchange->head_len - exchange->sent;
	}
	*data = exchange->input + (exchange->sent - exchange->head_len);
	return unsent(exchange);
}

static void on_stdin(evutil_socket_t fd, short what, void *userdata)
{
	struct runtime *runtime = userdata;
	struct exchange *exchange;
	const char *data;
	size_t len;
	ssize_t n;

	while ((len = next_input(runtime, &exchange, &data))) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(runtime->events[RUNTIME_STDIN], NULL);
			return;
		}
		if (n < 0) {
			channel_closed(runtime);
			return;
		}
		exchange->sent += (size_t)n;
	}
}

/* A question that was read in part only leaves nobody a way to ask the next. */
static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct exchange *exchange = userdata;
	struct runtime *runtime = exchange->runtime;
	bool torn = exchange->sent && unsent(exchange);

	/* One whose answer is half here is owed nothing more: the rest of the line is read as late. */
	runtime->owed += exchange != runtime->answering;
	finish(exchange, RUNTIME_TIMEOUT);
	if (torn && runtime_busy(runtime))
		noise(runtime);
}

static int open_pipe(struct runtime *runtime, int which, int *ret_child)
{
	int ours = which == RUNTIME_STDIN, pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	runtime->fds[which] = pair[ours];
	*ret_child = pair[!ours];
	return fcntl(pair[ours], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int add_events(struct runtime *runtime)
{
	static void (*const handlers[RUNTIME_FDS])(evutil_socket_t, short, void *) = { on_stdin, on_log, on_log, on_result };

	for (int i = 0; i < RUNTIME_FDS; i++) {
		short what = i == RUNTIME_STDIN ? EV_WRITE : EV_READ | EV_PERSIST;

		runtime->events[i] = event_new(runtime->base, runtime->fds[i], what, handlers[i], runtime);
		if (!runtime->events[i] || (i != RUNTIME_STDIN && event_add(runtime->events[i], NULL) < 0))
			return -ENOMEM;
	}
	return 0;
}

int runtime_open(struct runtime *runtime, struct event_base *base, int ret_child_fds[RUNTIME_FDS], struct err *err)
{
	int r = 0;

	runtime->base = base;
	TAILQ_INIT(&runtime->exchanges);
	for (int i = 0; i < RUNTIME_FDS; i++)
		runtime->fds[i] = ret_child_fds[i] = -1;
	for (int i = 0; i < RUNTIME_FDS && r == 0; i++)
		r = open_pipe(runtime, i, &ret_child_fds[i]);
	if (r == 0)
		r = add_events(runtime);
	if (r < 0) {
		for (int i = 0; i < RUNTIME_FDS; i++)
			fd_close(&ret_child_fds[i]);
		runtime_close(runtime);
		return err_set(err, -r, "cannot make the runtime's pipes: %s", strerror(-r));
	}
	return 0;
}

void runtime_number(struct runtime *runtime)
{
	runtime->numbered = true;
}

int runtime_exchange(struct runtime *runtime, struct exchange *exchange, const char *input, size_t len, uint64_t timeout_ms,
		     uint64_t result_max, uint64_t logs_max)
{
	const struct timeval limit = { .tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000) };

	if (runtime_busy(runtime) && !runtime->numbered)
		return -EBUSY;
	if (runtime->fds[RUNTIME_STDIN] < 0 || runtime->fds[RUNTIME_RESULT] < 0)
		return -EPIPE;
	exchange->timer = event_new(runtime->base, -1, 0, on_timer, exchange);
	if (!exchange->timer)
		return -ENOMEM;
	event_add(exchange->timer, &limit);
	if (runtime->numbered) {
		exchange->number = ++runtime->last_number;
		exchange->head_len = (size_t)snprintf(exchange->head, sizeof(exchange->head), "%" PRIu64 " ", exchange->number);
	}
	exchange->runtime = runtime;
	exchange->input = input;
	exchange->input_len = len;
	exchange->sent = 0;
	loop_line_start(&exchange->line, result_max);
	logs_start(&exchange->logs, logs_max);
	TAILQ_INSERT_TAIL(&runtime->exchanges, exchange, link);
	if (len)
		event_active(runtime->events[RUNTIME_STDIN], EV_WRITE, 0);
	return 0;
}

void runtime_exited(struct runtime *runtime)
{
	size_t read_bytes = 0;

	while (runtime->fds[RUNTIME_RESULT] >= 0 && runtime_busy(runtime) && read_bytes < DRAIN_MAX && read_result(runtime) > 0)
		read_bytes += 4096;
	if (runtime_busy(runtime))
		channel_closed(runtime);
}

void runtime_close(struct runtime *runtime)
{
	struct exchange *exchange;

	for (int i = 0; i < RUNTIME_FDS; i++)
		close_one(runtime, i);
	while (runtime->base && (exchange = runtime_take(runtime)))
		exchange_clear(exchange);
}
