// SPDX-License-Identifier: Apache-2.0
#include "vm/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

unsigned long long leftover_start_time(pid_t pid)
{
	unsigned long long ticks;
	char path[64], text[1024], *rest;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	rest = strrchr(text, ')');	/* the name before it may hold anything */
	if (!rest || sscanf(rest + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &ticks) != 1)
		return 0;
	return ticks;
}

static void pid_path(const char *dir, char *path, size_t size)
{
	snprintf(path, size, "%s/qemu.pid", dir);
}

int leftover_remember(const char *dir, pid_t pid, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[512];

	pid_path(dir, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%d %llu\n", pid, leftover_start_time(pid)) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

void leftover_forget(const char *dir)
{
	char path[512];

	pid_path(dir, path, sizeof(path));
	(void)unlink(path);
}

int leftover_end(const char *dir, struct err *err)
{
	unsigned long long ticks;
	char path[512], text[64];
	cleanup_fd int pidfd = -1;
	struct pollfd gone;
	int pid;

	pid_path(dir, path, sizeof(path));
	if (file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 || sscanf(text, "%d %llu", &pid, &ticks) != 2 || pid <= 1)
		return 0;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 || !ticks || leftover_start_time(pid) != ticks) {
		leftover_forget(dir);
		return 0;
	}
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_set(err, errno, "cannot end process %d, a QEMU left by an earlier squeezyd: %s", pid, strerror(errno));
	gone = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	if (poll(&gone, 1, 5000) != 1)
		return err_set(err, ETIMEDOUT, "process %d, a QEMU left by an earlier squeezyd, does not end", pid);
	leftover_forget(dir);
	return 1;
}
