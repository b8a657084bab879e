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
#include "vm/vm-internal.h"

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

int leftover_remember(const char *dir, pid_t pid, const char *cgroup, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[512];

	pid_path(dir, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%d %llu %s\n", pid, leftover_start_time(pid), cgroup) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

void leftover_forget(const char *dir)
{
	char path[512];

	pid_path(dir, path, sizeof(path));
	(void)unlink(path);
}

struct leftover {
	int pid;
	unsigned long long ticks;
	char cgroup[64];
};

/* The file is ours, but a crash may have cut it. */
static int recall(const char *dir, struct leftover *ret)
{
	char path[512], text[160];

	pid_path(dir, path, sizeof(path));
	if (file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -ENOENT;
	if (sscanf(text, "%d %llu %63s", &ret->pid, &ret->ticks, ret->cgroup) != 3 || ret->pid <= 1 || !ret->ticks)
		return -EINVAL;
	return strncmp(ret->cgroup, "squeezy-", 8) || strchr(ret->cgroup, '/') ? -EINVAL : 0;
}

static int end_process(const struct leftover *leftover, int pidfd, struct err *err)
{
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };

	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_set(err, errno, "cannot end process %d, a QEMU left by an earlier squeezyd: %s", leftover->pid, strerror(errno));
	if (poll(&gone, 1, 5000) != 1)
		return err_set(err, ETIMEDOUT, "process %d, a QEMU left by an earlier squeezyd, does not end", leftover->pid);
	return 1;
}

int leftover_end(const char *dir, struct err *err)
{
	struct leftover leftover;
	cleanup_fd int pidfd = -1;
	int r = recall(dir, &leftover);

	if (r == 0) {
		pidfd = pidfd_open(leftover.pid, 0);
		/* Asked after the pidfd is open: from here on it is this process or none. */
		if (pidfd >= 0 && leftover_start_time(leftover.pid) == leftover.ticks)
			r = end_process(&leftover, pidfd, err);
		if (r < 0)
			return r;
		cgroup_remove(leftover.cgroup);
	}
	leftover_forget(dir);
	return r > 0 ? 1 : 0;
}
