// SPDX-License-Identifier: Apache-2.0
/* Waiting until a child has come to where a test wants it. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct wanted_sleep {
	pid_t pid;
	char state;
};

static bool is_asleep(void *arg)
{
	struct wanted_sleep *w = arg;
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", w->pid);
	if (read_file(path, text, sizeof(text)))
		return false;
	end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] == w->state;
}

void wait_asleep(pid_t pid)
{
	struct wanted_sleep w = { pid, 'S' };

	CHECK_MSG(wait_until(is_asleep, &w, 20000), "process %d does not pause", pid);
}

bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool is_blocked(pid_t pid)
{
	return is_asleep(&(struct wanted_sleep){ pid, 'D' });
}

void wait_blocked(pid_t pid)
{
	struct wanted_sleep w = { pid, 'D' };

	CHECK_MSG(wait_until(is_asleep, &w, 5000), "process %d does not wait for its claim", pid);
}

pid_t start_stopped(const char *cgroup, void (*fn)(void *arg), void *arg)
{
	pid_t pid = start_in(cgroup, fn, arg);
	int status;

	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	CHECK_MSG(WIFSTOPPED(status), "process %d: status %#x", pid, status);
	return pid;
}
