/* SPDX-License-Identifier: Apache-2.0 */
/* squeezyd as a child process with a state directory of its own. */
#ifndef SQUEEZY_DEMONSTRATION_DAEMON_H
#define SQUEEZY_DEMONSTRATION_DAEMON_H

#include <sys/types.h>

#include "base/err.h"
#include "demonstration/http.h"

struct daemon {
	pid_t pid;		/* 0: not running */
	char dir[256];		/* state directory; the daemon's own words go to <dir>/squeezyd.log */
	struct http http;
};

/*
 * Starts the program with --state dir, the given port and the further arguments (NULL-terminated), and waits until it answers. On failure
 * nothing is left running.
 */
int daemon_start(struct daemon *daemon, const char *dir, unsigned int port, char *const *arguments, struct err *err);

/* Asks it to end and waits; kills it after 30 s. Fine when it never ran. */
void daemon_stop(struct daemon *daemon);

#endif
