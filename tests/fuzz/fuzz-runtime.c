// SPDX-License-Identifier: Apache-2.0
/* What a function writes where numbered answers are awaited, in pieces of any size: each exchange ends once, and a line is that of its number. */
#include "fuzz.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime.h"
#include "base/err.h"
#include "base/fd.h"

#define EXCHANGES 3
#define RESULT_MAX_BYTES 64

static struct event_base *base;
static struct exchange exchanges[EXCHANGES];
static unsigned int ends[EXCHANGES];
static bool closed;

static void on_end(struct runtime *runtime, struct exchange *exchange, enum runtime_end end)
{
	must(exchange ? end != RUNTIME_CLOSED : end == RUNTIME_CLOSED || end == RUNTIME_NOISE);
	closed |= end == RUNTIME_CLOSED;
	if (!exchange)
		return;
	must(exchange >= exchanges && exchange < exchanges + EXCHANGES && exchange->number == (uint64_t)(exchange - exchanges) + 1);
	ends[exchange - exchanges]++;
	if (end == RUNTIME_LINE)
		must(loop_line_too_long(&exchange->line) ? !exchange->line.text.data : exchange->line.text.len == exchange->line.size);
}

static void start(struct runtime *runtime, int far[RUNTIME_FDS])
{
	struct err err;

	memset(exchanges, 0, sizeof(exchanges));
	memset(ends, 0, sizeof(ends));
	closed = false;
	runtime->ended = on_end;
	must(runtime_open(runtime, base, far, &err) == 0);
	runtime_number(runtime);
	for (int i = 0; i < EXCHANGES; i++)
		must(runtime_exchange(runtime, &exchanges[i], "{}\n", 3, 3600000, RESULT_MAX_BYTES, 1000) == 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void finish(struct runtime *runtime, int far[RUNTIME_FDS])
{
	struct exchange *exchange;

	for (int i = 0; i < RUNTIME_FDS; i++)
		fd_close(&far[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	must(closed);
	while ((exchange = runtime_take(runtime)))
		ends[exchange - exchanges]++;
	runtime_close(runtime);
	for (int i = 0; i < EXCHANGES; i++) {
		must(ends[i] == 1);
		exchange_clear(&exchanges[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct runtime runtime = { 0 };
	int far[RUNTIME_FDS];

	if (!base) {
		signal(SIGPIPE, SIG_IGN);
		base = event_base_new();
	}
	start(&runtime, far);
	while (size) {
		size_t piece = 1 + data[0] % 23;

		piece = piece < size ? piece : size;
		must(write(far[RUNTIME_RESULT], data, piece) == (ssize_t)piece);
		event_base_loop(base, EVLOOP_NONBLOCK);
		data += piece;
		size -= piece;
	}
	finish(&runtime, far);
	return 0;
}
