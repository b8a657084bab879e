/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes: start, and be told when they end. PID 1 reaps everything; processes nobody watches are reaped silently. */
#ifndef SQUEEZY_AGENT_CHILD_H
#define SQUEEZY_AGENT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct children;
struct err;
struct event_base;

struct child {
	LIST_ENTRY(child) entry;
	pid_t pid;		/* 0: not watched */
	/* The process has ended; status as from waitpid(2). The child is not watched any more. */
	void (*ended)(struct child *child, int status);
	void *userdata;
};

int children_new(struct event_base *base, struct children **ret);
void children_free(struct children *children);

/* Starts argv[0] with descriptors 0 .. 3 from fds (-1: /dev/null; 3 with -1: none) and all others closed; signals at default. 0 or -errno. */
int child_spawn(struct children *children, struct child *child, const char *const *argv, const int fds[4], struct err *err);

/* Watches a process that became ours by reparenting. False if it has been reaped already: *ret_status then holds how it ended. */
bool child_adopt(struct children *children, struct child *child, pid_t pid, int *ret_status);

/* Forgets; the process goes on and is reaped silently. */
void child_forget(struct child *child);

#endif
