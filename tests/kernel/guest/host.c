// SPDX-License-Identifier: Apache-2.0
/* What the tests say to run.py, and what it answers. */
#include "harness.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/*
 * The kernel would cut a line in two on the console, as it likes, or ours its: its own log has whole lines. What we printed before goes
 * first. The newline makes the record whole; the console waits for more without.
 */
void host_say(const char *fmt, ...)
{
	static const char level[] = "<1>";
	char line[900];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = (int)strlen(level) + vsnprintf(stpcpy(line, level), sizeof(line) - strlen(level) - 1, fmt, ap);
	va_end(ap);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	CHECK_MSG(fd >= 0, "/dev/kmsg cannot be opened to say: %s", line);
	CHECK_MSG(n < (int)sizeof(line) - 1, "too long to be said: %s", line);
	line[n++] = '\n';
	CHECK_MSG(write(fd, line, (size_t)n) == n, "cannot be said: %s", line);
	close(fd);
}

void host_request_bytes(size_t bytes)
{
	host_say("@host request %zu", bytes);
}

void host_request(unsigned int partitions)
{
	host_request_bytes(partitions * partition_bytes);
}

/* The number that run.py types on our console. */
static uint64_t host_answer(const char *to)
{
	char answer[64];

	CHECK_MSG(fgets(answer, sizeof(answer), stdin), "%s", to);
	return strtoull(answer, NULL, 10);
}

uint64_t host_ask(const char *question)
{
	host_say("@host ask %s", question);
	return host_answer(question);
}

bool host_try_qmp(const char *command, const char *arguments)
{
	host_say("@host qmp %s %s", command, arguments);
	return !host_answer(command);
}

void host_qmp(const char *command, const char *arguments)
{
	CHECK_MSG(host_try_qmp(command, arguments), "QEMU refuses %s %s", command, arguments);
}
