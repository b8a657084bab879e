// SPDX-License-Identifier: Apache-2.0
/* squeezy up: starts squeezyd, in the foreground or as a daemon whose first answer is waited for. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/client.h"
#include "cli/verbs.h"

#define WAIT_MS		15000
#define POLL_MS		50
#define WORDS_MAX	64

/* Where squeezyd is: beside us when installed, in the folder of its sources in a build tree. */
static const char *const places[] = { "squeezyd", "../daemon/squeezyd", "../sbin/squeezyd" };

struct start {
	const char *state, *listen;
	bool foreground;
	char program[4200];
	char *argv[WORDS_MAX + 2];
};

static int find_program(struct start *start, struct err *err)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (len < 0)
		return err_set(err, errno, "/proc/self/exe: %s", strerror(errno));
	self[len] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(start->program, sizeof(start->program), "%.*s/%s", (int)(slash - self), self, places[i]);
		if (access(start->program, X_OK) == 0)
			return 0;
	}
	return err_set(err, ENOENT, "squeezyd is not beside %s; build it with tools/build", self);
}

/* Words are squeezyd's, but for --foreground. --state and --listen are looked at, to know where to ask. */
static int read_words(int argc, char **argv, struct start *start, struct err *err)
{
	int n = 1;

	start->state = CLIENT_STATE;
	start->listen = "127.0.0.1:3233";
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--foreground")) {
			start->foreground = true;
			continue;
		}
		if (n == WORDS_MAX)
			return err_set(err, EINVAL, "more than %d words", WORDS_MAX);
		if (!strncmp(argv[i], "--state", 7) && (argv[i][7] == '=' || i + 1 < argc))
			start->state = argv[i][7] == '=' ? argv[i] + 8 : argv[i + 1];
		if (!strncmp(argv[i], "--listen", 8) && (argv[i][8] == '=' || i + 1 < argc))
			start->listen = argv[i][8] == '=' ? argv[i] + 9 : argv[i + 1];
		start->argv[n++] = argv[i];
	}
	start->argv[0] = start->program;
	start->argv[n] = NULL;
	return find_program(start, err);
}

static int open_log(const struct start *start, char *path, size_t size, struct err *err)
{
	int fd;

	if (mkdir(start->state, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "state directory %s: %s; run as root, or give --state a directory of yours", start->state,
			       strerror(errno));
	snprintf(path, size, "%s/squeezyd.log", start->state);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? err_set(err, errno, "%s: %s", path, strerror(errno)) : fd;
}

static void become_daemon(const struct start *start, int log)
{
	int null = open("/dev/null", O_RDONLY);

	setsid();
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	execv(start->program, start->argv);
	_exit(127);
}

static int read_log_tail(int log, char *text, size_t size)
{
	off_t end = lseek(log, 0, SEEK_END);
	ssize_t n = pread(log, text, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	return 0;
}

static void address(const struct start *start, struct client *client, char url[256])
{
	snprintf(url, 256, "http://%s", start->listen);
	client_init(client);
	client->url = url;
	client->state = start->state;
}

/* Its log must not be cut by us, and a second one would only tell the same later. */
static int check_none_runs(const struct start *start, struct err *err)
{
	struct client client;
	char url[256];

	address(start, &client, url);
	if (client_call(&client, "GET", "/squeezy/v1/status", NULL, NULL, NULL) < 0)
		return 0;
	return err_set(err, EALREADY, "squeezyd already runs at %s with %s; `squeezy down` ends it", url, start->state);
}

static int await(const struct start *start, pid_t pid, int log, const char *log_path, struct err *err)
{
	char url[256], tail[400], *line;
	struct client client;
	int status;

	address(start, &client, url);
	for (int ms = 0; ms < WAIT_MS; ms += POLL_MS) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			read_log_tail(log, tail, sizeof(tail));
			line = strrchr(tail, '\n');
			return err_set(err, EIO, "squeezyd did not start: %s", line ? line + 1 : tail);
		}
		if (client_call(&client, "GET", "/squeezy/v1/status", NULL, NULL, NULL) == 0) {
			printf("squeezyd runs (process %d) at %s, log in %s\n", pid, url, log_path);
			return 0;
		}
		usleep(POLL_MS * 1000);
	}
	return err_set(err, ETIMEDOUT, "squeezyd does not answer at %s; see %s", url, log_path);
}

int verb_up(int argc, char **argv, struct err *err)
{
	struct start start = { 0 };
	char log_path[4096];
	cleanup_fd int log = -1;
	pid_t pid;
	int r = read_words(argc, argv, &start, err);

	if (r < 0)
		return verb_status_of(r);
	if (start.foreground) {
		execv(start.program, start.argv);
		err_set(err, errno, "%s: %s", start.program, strerror(errno));
		return 1;
	}
	r = check_none_runs(&start, err);
	if (r < 0)
		return verb_status_of(r);
	log = open_log(&start, log_path, sizeof(log_path), err);
	if (log < 0)
		return 1;
	pid = fork();
	if (pid == 0)
		become_daemon(&start, log);
	if (pid < 0)
		r = err_set(err, errno, "fork: %s", strerror(errno));
	else
		r = await(&start, pid, log, log_path, err);
	return verb_status_of(r);
}
