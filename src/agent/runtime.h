/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a language runtime: its standard input, standard output, standard error and descriptor 3, spoken to by the ActionLoop
 * contract. One exchange at a time: a line in, a line back on descriptor 3, and meanwhile logs. The runtime is hostile: it may write anything
 * anywhere, never answer, or close what it likes; every exchange ends within its time, in bounded memory.
 */
#ifndef SQUEEZY_AGENT_RUNTIME_H
#define SQUEEZY_AGENT_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/actionloop.h"
#include "agent/logs.h"

struct err;
struct event;
struct event_base;

enum runtime_end {
	RUNTIME_LINE,		/* runtime->line holds the answer, which may be too long */
	RUNTIME_NOISE,		/* bytes on descriptor 3 that nobody asked for, or an answer before the question was read */
	RUNTIME_CLOSED,		/* descriptor 3 or standard input was closed */
	RUNTIME_TIMEOUT,
};

enum { RUNTIME_STDIN, RUNTIME_STDOUT, RUNTIME_STDERR, RUNTIME_RESULT, RUNTIME_FDS };

struct runtime {
	int fds[RUNTIME_FDS];		/* our ends, -1 when closed */
	struct event *events[RUNTIME_FDS];
	struct event *timer;
	bool busy;
	const char *input;
	size_t input_len;
	size_t input_sent;
	struct loop_line line;
	struct logs logs;
	/* The exchange has ended; or, when none was under way, NOISE or CLOSED. May close the runtime. */
	void (*ended)(struct runtime *runtime, enum runtime_end end);
	void *userdata;
};

/* Makes the four pipes; ret_child_fds are the runtime's ends, which the caller closes after starting it. 0 or -errno. */
int runtime_open(struct runtime *runtime, struct event_base *base, int ret_child_fds[RUNTIME_FDS], struct err *err);

/* Starts an exchange: input (kept by reference until the end; NULL: just wait for a line), its limits. -EBUSY, -EPIPE when closed. */
int runtime_exchange(struct runtime *runtime, const char *input, size_t len, uint64_t timeout_ms, uint64_t result_max, uint64_t logs_max);

/* Reads what is already written, after the runtime's process has ended; then ends the exchange with CLOSED unless the answer was there. */
void runtime_exited(struct runtime *runtime);

/* Closes everything; no callback. */
void runtime_close(struct runtime *runtime);

#endif
