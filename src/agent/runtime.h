/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a language runtime: its standard input, standard output, standard error and descriptor 3, spoken to by the ActionLoop
 * contract: a line in, a line back on descriptor 3, and meanwhile logs. The runtime is hostile: it may write anything anywhere, never answer,
 * or close what it likes; every exchange ends within its time, in bounded memory.
 *
 * One exchange at a time, unless the runtime can overlap them. Then each line, in and back, has the exchange's number and a space in front, and
 * answers come in any order. Logs cannot be told apart: they go to the exchange that began first.
 */
#ifndef SQUEEZY_AGENT_RUNTIME_H
#define SQUEEZY_AGENT_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/actionloop.h"
#include "agent/logs.h"

struct err;
struct event;
struct event_base;

enum runtime_end {
	RUNTIME_LINE,		/* exchange->line holds the answer, which may be too long */
	RUNTIME_NOISE,		/* bytes on descriptor 3 that nobody asked for, or an answer before the question was read */
	RUNTIME_CLOSED,		/* descriptor 3 or standard input was closed */
	RUNTIME_TIMEOUT,
};

enum { RUNTIME_STDIN, RUNTIME_STDOUT, RUNTIME_STDERR, RUNTIME_RESULT, RUNTIME_FDS };

/* One question and the answer that is awaited. Memory is the caller's. */
struct exchange {
	TAILQ_ENTRY(exchange) link;
	struct runtime *runtime;	/* while it is under way */
	uint64_t number;		/* 0: not numbered */
	char head[24];			/* what goes in front of the input */
	const char *input;
	size_t head_len, input_len, sent;
	struct event *timer;
	struct loop_line line;		/* the answer, which may be too long */
	struct logs logs;
};

struct runtime {
	struct event_base *base;
	int fds[RUNTIME_FDS];		/* our ends, -1 when closed */
	struct event *events[RUNTIME_FDS];
	TAILQ_HEAD(, exchange) exchanges;	/* under way, the oldest first */
	bool numbered;			/* exchanges may overlap */
	uint64_t last_number;
	uint64_t reading;		/* number in front of an answer, as far as it is read, */
	unsigned int digits;		/* and its digits */
	enum { READ_NUMBER, READ_ANSWER, READ_LATE } read;	/* READ_LATE: of an exchange that has timed out */
	struct exchange *answering;	/* READ_ANSWER */
	uint64_t owed;			/* exchanges that timed out, and whose answer may still come */
	/*
	 * An exchange has ended (LINE, NOISE, TIMEOUT) and is the caller's again. With NULL: NOISE when nothing was under way, and CLOSED, which leaves
	 * all exchanges to runtime_take(). May close the runtime.
	 */
	void (*ended)(struct runtime *runtime, struct exchange *exchange, enum runtime_end end);
	void *userdata;
};

/* Makes the four pipes; ret_child_fds are the runtime's ends, which the caller closes after starting it. 0 or -errno. */
int runtime_open(struct runtime *runtime, struct event_base *base, int ret_child_fds[RUNTIME_FDS], struct err *err);

/* From now on exchanges are numbered and may overlap. */
void runtime_number(struct runtime *runtime);

/*
 * Starts an exchange: input (kept by reference until the end; NULL: just wait for a line), its limits. -EBUSY, -EPIPE when closed, -ENOMEM;
 * the exchange is the caller's then, too.
 */
int runtime_exchange(struct runtime *runtime, struct exchange *exchange, const char *input, size_t len, uint64_t timeout_ms,
		     uint64_t result_max, uint64_t logs_max);

bool runtime_busy(const struct runtime *runtime);

/* Takes the oldest exchange out, without a callback. NULL: there is none. */
struct exchange *runtime_take(struct runtime *runtime);

/* Frees what an exchange that has ended holds. */
void exchange_clear(struct exchange *exchange);

/* Reads what is already written, after the runtime's process has ended; then ends with CLOSED what had no answer. */
void runtime_exited(struct runtime *runtime);

/* Closes everything; no callback. Exchanges under way have been taken before. */
void runtime_close(struct runtime *runtime);

#endif
