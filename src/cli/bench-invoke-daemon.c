// SPDX-License-Identifier: Apache-2.0
/* The daemon that is measured. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/bench-invoke.h"

#define START_MS 20000

static void run_daemon(const char *program, const char *stand_in, const char *dir, int log)
{
	char product[4200];

	snprintf(product, sizeof(product), "%s/product", dir);
	dup2(log, STDERR_FILENO);
	dup2(log, STDOUT_FILENO);
	execl(program, program, "--state", dir, "--listen", "127.0.0.1:0", "--kernel", product, "--image", product, "--qemu", stand_in,
	      "--partitions", "64", "--budget", "256G", "--keep-records", "1000000", "--prestart", (char *)NULL);
	_exit(127);
}

/* The stand-in boots anything that can be read. */
static int make_product(const char *dir, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[4200];

	snprintf(path, sizeof(path), "%s/product", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, "stand-in\n", 9) != 9)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int await_port(struct bench_daemon *daemon, const char *log, struct err *err)
{
	static const char mark[] = "listening on http://127.0.0.1:";
	const struct timespec pause = { .tv_nsec = 20000000 };
	char text[16384];

	for (unsigned int waited = 0; waited < START_MS; waited += 20) {
		const char *at = file_read_text(AT_FDCWD, log, text, sizeof(text)) == 0 ? strstr(text, mark) : NULL;

		if (at && strstr(text, ": ready after")) {
			daemon->port = (uint16_t)atoi(at + sizeof(mark) - 1);
			return 0;
		}
		if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
			daemon->pid = 0;
			break;
		}
		nanosleep(&pause, NULL);
	}
	return err_set(err, ETIMEDOUT, "the daemon does not start; it said in %s: %.200s", log, text);
}

static int read_key(struct bench_daemon *daemon, const char *dir, struct err *err)
{
	char path[4200], key[128], *text;
	int r;

	snprintf(path, sizeof(path), "%s/api.key", dir);
	r = file_read_text(AT_FDCWD, path, key, sizeof(key));
	if (r < 0)
		return err_set(err, -r, "%s: %s", path, strerror(-r));
	text = base64_encode(key, strlen(key));
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(daemon->authorization, sizeof(daemon->authorization), "Basic %s", text);
	free(text);
	return 0;
}

/* The daemon on the last core, we and the stand-in (which is started by now) anywhere; with one core all share it. */
static void pin(pid_t pid)
{
	cpu_set_t all, last;
	int cpu = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(all), &all) < 0 || CPU_COUNT(&all) < 2)
		return;
	while (!CPU_ISSET(cpu, &all))
		cpu--;
	CPU_ZERO(&last);
	CPU_SET(cpu, &last);
	(void)sched_setaffinity(pid, sizeof(last), &last);
	CPU_CLR(cpu, &all);
	(void)sched_setaffinity(0, sizeof(all), &all);
}

int bench_daemon_start(const char *program, const char *stand_in, const char *dir, struct bench_daemon *ret, struct err *err)
{
	struct bench_daemon daemon = { 0 };
	cleanup_fd int log = -1;
	char path[4200];
	int r;

	if (access(program, X_OK) < 0 || access(stand_in, X_OK) < 0)
		return err_set(err, ENOENT, "%s or %s is missing: build them with tools/build programs", program, stand_in);
	snprintf(path, sizeof(path), "%s/daemon.log", dir);
	log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	r = make_product(dir, err);
	if (r < 0)
		return r;
	daemon.pid = fork();
	if (daemon.pid < 0)
		return err_set(err, errno, "fork: %s", strerror(errno));
	if (daemon.pid == 0)
		run_daemon(program, stand_in, dir, log);
	r = await_port(&daemon, path, err);
	if (r == 0)
		r = read_key(&daemon, dir, err);
	if (r < 0) {
		bench_daemon_stop(&daemon);
		return r;
	}
	pin(daemon.pid);
	*ret = daemon;
	return 0;
}

void bench_daemon_stop(struct bench_daemon *daemon)
{
	const struct timespec pause = { .tv_nsec = 50000000 };

	if (!daemon->pid)
		return;
	kill(daemon->pid, SIGTERM);
	for (unsigned int i = 0; i < 400; i++) {
		if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
			daemon->pid = 0;
			return;
		}
		nanosleep(&pause, NULL);
	}
	kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, NULL, 0);
	daemon->pid = 0;
}

uint64_t bench_daemon_cpu_ns(const struct bench_daemon *daemon)
{
	clockid_t clock;

	return clock_getcpuclockid(daemon->pid, &clock) == 0 ? clock_ns(clock) : 0;
}

uint64_t bench_daemon_rss_bytes(const struct bench_daemon *daemon)
{
	char path[64], text[128];
	unsigned long size, resident;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)daemon->pid);
	if (file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 || sscanf(text, "%lu %lu", &size, &resident) != 2)
		return 0;
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
