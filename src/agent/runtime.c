// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
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

static void finish(struct runtime *runtime, enum runtime_end end);

/* Reads one log pipe, up to max bytes. False once it is at its end. */
static bool read_log(struct runtime *runtime, int which, size_t max)
{
	char data[16384];

	while (max && runtime->fds[which] >= 0) {
		ssize_t n = read(runtime->fds[which], data, max < sizeof(data) ? max : sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		if (runtime->busy)
			logs_feed(&runtime->logs, which == RUNTIME_STDOUT ? LOG_STDOUT : LOG_STDERR, data, (size_t)n, now_ms());
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

static void finish(struct runtime *runtime, enum runtime_end end)
{
	if (runtime->busy) {
		drain_logs(runtime);
		event_del(runtime->timer);
		if (end == RUNTIME_LINE && (runtime->line.extra || runtime->input_sent < runtime->input_len))
			end = RUNTIME_NOISE;
		runtime->busy = false;
		runtime->input = NULL;
	}
	if (end == RUNTIME_CLOSED) {
		close_one(runtime, RUNTIME_STDIN);
		close_one(runtime, RUNTIME_RESULT);
	}
	runtime->ended(runtime, end);
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
	loop_line_feed(&runtime->line, data, (size_t)n);
	return 1;
}

static void on_result(evutil_socket_t fd, short what, void *userdata)
{
	struct runtime *runtime = userdata;
	int r = read_result(runtime);

	if (r < 0)
		finish(runtime, RUNTIME_CLOSED);
	else if (r > 0 && !runtime->busy)
		finish(runtime, RUNTIME_NOISE);
	else if (runtime->busy && runtime->line.whole)
		finish(runtime, RUNTIME_LINE);
}

static void on_stdin(evutil_socket_t fd, short what, void *userdata)
{
	struct runtime *runtime = userdata;
	ssize_t n;

	while (runtime->busy && runtime->input_sent < runtime->input_len) {
		n = write(fd, runtime->input + runtime->input_sent, runtime->input_len - runtime->input_sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(runtime->events[RUNTIME_STDIN], NULL);
			return;
		}
		if (n < 0) {
			finish(runtime, RUNTIME_CLOSED);
			return;
		}
		runtime->input_sent += (size_t)n;
	}
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	finish(userdata, RUNTIME_TIMEOUT);
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

static int add_events(struct runtime *runtime, struct event_base *base)
{
	static void (*const handlers[RUNTIME_FDS])(evutil_socket_t, short, void *) = { on_stdin, on_log, on_log, on_result };

	runtime->timer = event_new(base, -1, 0, on_timer, runtime);
	if (!runtime->timer)
		return -ENOMEM;
	for (int i = 0; i < RUNTIME_FDS; i++) {
		short what = i == RUNTIME_STDIN ? EV_WRITE : EV_READ | EV_PERSIST;

		runtime->events[i] = event_new(base, runtime->fds[i], what, handlers[i], runtime);
		if (!runtime->events[i] || (i != RUNTIME_STDIN && event_add(runtime->events[i], NULL) < 0))
			return -ENOMEM;
	}
	return 0;
}

int runtime_open(struct runtime *runtime, struct event_base *base, int ret_child_fds[RUNTIME_FDS], struct err *err)
{
	int r = 0;

	for (int i = 0; i < RUNTIME_FDS; i++)
		runtime->fds[i] = ret_child_fds[i] = -1;
	for (int i = 0; i < RUNTIME_FDS && r == 0; i++)
		r = open_pipe(runtime, i, &ret_child_fds[i]);
	if (r == 0)
		r = add_events(runtime, base);
	if (r < 0) {
		for (int i = 0; i < RUNTIME_FDS; i++)
			fd_close(&ret_child_fds[i]);
		runtime_close(runtime);
		return err_set(err, -r, "cannot make the runtime's pipes: %s", strerror(-r));
	}
	return 0;
}

int runtime_exchange(struct runtime *runtime, const char *input, size_t len, uint64_t timeout_ms, uint64_t result_max, uint64_t logs_max)
{
	const struct timeval limit = { .tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000) };

	if (runtime->busy)
		return -EBUSY;
	if (runtime->fds[RUNTIME_STDIN] < 0 || runtime->fds[RUNTIME_RESULT] < 0)
		return -EPIPE;
	if (event_add(runtime->timer, &limit) < 0)
		return -ENOMEM;
	runtime->input = input;
	runtime->input_len = len;
	runtime->input_sent = 0;
	loop_line_start(&runtime->line, result_max);
	logs_start(&runtime->logs, logs_max);
	runtime->busy = true;
	if (len)
		event_active(runtime->events[RUNTIME_STDIN], EV_WRITE, 0);
	return 0;
}

void runtime_exited(struct runtime *runtime)
{
	size_t read_bytes = 0;

	while (runtime->fds[RUNTIME_RESULT] >= 0 && !runtime->line.whole && read_bytes < DRAIN_MAX && read_result(runtime) > 0)
		read_bytes += 4096;
	if (runtime->busy)
		finish(runtime, runtime->line.whole ? RUNTIME_LINE : RUNTIME_CLOSED);
}

void runtime_close(struct runtime *runtime)
{
	for (int i = 0; i < RUNTIME_FDS; i++)
		close_one(runtime, i);
	if (runtime->timer)
		event_free(runtime->timer);
	runtime->timer = NULL;
	runtime->busy = false;
	loop_line_clear(&runtime->line);
	logs_clear(&runtime->logs);
}
