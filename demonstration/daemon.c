// SPDX-License-Identifier: Apache-2.0
#include "demonstration/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define PROGRAM "build/squeezyd"
#define MAX_ARGUMENTS 32
#define START_MS 20000
#define STOP_MS 30000
#define STEP_MS 20

static void pause_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* In the child: never returns. */
static void run(const struct daemon *daemon, unsigned int port, char *const *arguments)
{
	char log[300], listen[32];
	const char *argv[MAX_ARGUMENTS] = { PROGRAM, "--state", daemon->dir, "--listen", listen };
	size_t n = 5;
	int fd;

	for (; *arguments && n < MAX_ARGUMENTS - 1; arguments++)
		argv[n++] = *arguments;
	snprintf(log, sizeof(log), "%s/squeezyd.log", daemon->dir);
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGTERM);	/* a demonstration that dies takes its daemon with it */
	execv(PROGRAM, (char **)argv);
	dprintf(STDERR_FILENO, "%s cannot be started: %s; build it with tools/build\n", PROGRAM, strerror(errno));
	_exit(127);
}

/* The last line of the daemon's log: why it ended. */
static void last_words(const struct daemon *daemon, char *text, size_t size)
{
	char path[300], line[400];
	FILE *in;

	snprintf(path, sizeof(path), "%s/squeezyd.log", daemon->dir);
	snprintf(text, size, "it said nothing (%s)", path);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = 0;
		snprintf(text, size, "%s", line);
	}
	if (in)
		fclose(in);
}

static int wait_for_key(struct daemon *daemon, struct err *err)
{
	char path[300], words[400];

	snprintf(path, sizeof(path), "%s/api.key", daemon->dir);
	for (unsigned int waited = 0; waited < START_MS; waited += STEP_MS) {
		if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
			daemon->pid = 0;
			last_words(daemon, words, sizeof(words));
			return err_set(err, ECHILD, "the daemon ended at its start: %s", words);
		}
		if (!file_read_text(AT_FDCWD, path, daemon->http.key, sizeof(daemon->http.key)) && daemon->http.key[0] &&
		    !http_once(&daemon->http, "GET", "/", NULL, NULL, NULL))
			return 0;
		pause_ms(STEP_MS);
	}
	return err_set(err, ETIMEDOUT, "the daemon does not answer on %s after %d s (see %s/squeezyd.log)", daemon->http.url,
		       START_MS / 1000, daemon->dir);
}

int daemon_start(struct daemon *daemon, const char *dir, unsigned int port, char *const *arguments, struct err *err)
{
	int r;

	*daemon = (struct daemon){ 0 };
	snprintf(daemon->dir, sizeof(daemon->dir), "%s", dir);
	snprintf(daemon->http.url, sizeof(daemon->http.url), "http://127.0.0.1:%u", port);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(err, errno, "%s cannot be made: %s", dir, strerror(errno));
	fflush(NULL);
	daemon->pid = fork();
	if (daemon->pid < 0)
		return err_set(err, errno, "no process for the daemon: %s", strerror(errno));
	if (daemon->pid == 0)
		run(daemon, port, arguments);
	r = wait_for_key(daemon, err);
	if (r)
		daemon_stop(daemon);
	return r;
}

void daemon_stop(struct daemon *daemon)
{
	if (daemon->pid <= 0)
		return;
	kill(daemon->pid, SIGTERM);
	for (unsigned int waited = 0; waited < STOP_MS; waited += STEP_MS) {
		if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
			daemon->pid = 0;
			return;
		}
		pause_ms(STEP_MS);
	}
	kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, NULL, 0);
	daemon->pid = 0;
}
