// SPDX-License-Identifier: Apache-2.0
#include "agent/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "base/fd.h"

struct search {
	json_t *found;
	unsigned int most;
	uint64_t deadline_ns;
	bool truncated;
};

/* A descriptor of another process, and a copy of it of our own. */
struct candidate {
	pid_t pid;
	int number;
	int fd;
	int proc;	/* /proc/PID */
};

/* The name of the container in a line of /proc/PID/cgroup, JSON null if it is in none. */
static json_t *container_of_line(const char *line)
{
	static const char prefix[] = "0::" CGROUP_CONTAINERS "/";
	const char *name = line + sizeof(prefix) - 1;

	if (strncmp(line, prefix, sizeof(prefix) - 1))
		return json_null();
	return json_stringn(name, strcspn(name, "/\n"));
}

static json_t *task_of(int proc, pid_t pid)
{
	char command[64], cgroup[512];

	if (file_read_text(proc, "comm", command, sizeof(command)) < 0)
		return NULL;
	if (file_read_text(proc, "cgroup", cgroup, sizeof(cgroup)) < 0)
		cgroup[0] = '\0';
	/* A command is bytes that a function chose; JSON wants UTF-8. */
	for (char *at = command; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return json_pack("{s:i, s:s, s:o}", "pid", (int)pid, "command", command, "container", container_of_line(cgroup));
}

json_t *descriptors_task(pid_t pid)
{
	cleanup_fd int proc = -1;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return proc < 0 ? NULL : task_of(proc, pid);
}

static json_t *queued_bytes(int fd, unsigned long request)
{
	int bytes = 0;

	return ioctl(fd, request, &bytes) == 0 && bytes > 0 ? json_integer(bytes) : NULL;
}

static json_t *look_at_pipe(const struct candidate *candidate)
{
	return queued_bytes(candidate->fd, FIONREAD);
}

/* Unsent or not yet acknowledged by the peer; a local peer's unread bytes count as unsent. */
static json_t *look_at_socket(const struct candidate *candidate)
{
	return queued_bytes(candidate->fd, SIOCOUTQ);
}

/* Registered buffers are pinned until the ring goes. */
static json_t *look_at_uring(const struct candidate *candidate)
{
	char path[48], text[4096];
	const char *line;
	int buffers = 0;

	snprintf(path, sizeof(path), "fdinfo/%d", candidate->number);
	if (file_read_text(candidate->proc, path, text, sizeof(text)) < 0)
		return NULL;
	line = strstr(text, "UserBufs:");
	return line && sscanf(line, "UserBufs: %d", &buffers) == 1 && buffers > 0 ? json_integer(buffers) : NULL;
}

static const struct kind {
	const char *link;	/* what /proc/PID/fd/N begins with */
	const char *name;
	const char *unit;
	json_t *(*look)(const struct candidate *candidate);	/* NULL: holds nothing */
} kinds[] = {
	{ "pipe:", "pipe", "bytes", look_at_pipe },
	{ "socket:", "socket", "bytes", look_at_socket },
	{ "anon_inode:[io_uring]", "io_uring", "buffers", look_at_uring },
};

static const struct kind *kind_of(const char *link)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(link, kinds[i].link, strlen(kinds[i].link)))
			return &kinds[i];
	return NULL;
}

static void add(struct search *search, const struct candidate *candidate, const struct kind *kind, json_t *amount)
{
	json_t *found = task_of(candidate->proc, candidate->pid);

	if (found) {
		json_object_set_new(found, "fd", json_integer(candidate->number));
		json_object_set_new(found, "kind", json_string(kind->name));
		json_object_set(found, kind->unit, amount);
		json_array_append_new(search->found, found);
	}
	json_decref(amount);
}

static bool is_over(struct search *search)
{
	if (json_array_size(search->found) >= search->most || clock_ns(CLOCK_MONOTONIC) >= search->deadline_ns)
		search->truncated = true;
	return search->truncated;
}

/* One entry of /proc/PID/fd. */
static void look_at_descriptor(struct search *search, int pidfd, int proc, pid_t pid, int fds, const char *name)
{
	struct candidate candidate = { .pid = pid, .number = atoi(name), .proc = proc };
	cleanup_fd int copy = -1;
	const struct kind *kind;
	char link[64] = "";
	json_t *amount;

	if (readlinkat(fds, name, link, sizeof(link) - 1) <= 0)
		return;
	kind = kind_of(link);
	if (!kind)
		return;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, candidate.number, 0);
	if (copy < 0)
		return;
	candidate.fd = copy;
	amount = kind->look(&candidate);
	if (amount)
		add(search, &candidate, kind, amount);
}

static void look_at_task(struct search *search, const char *name)
{
	pid_t pid = (pid_t)atoi(name);
	cleanup_fd int pidfd = -1, proc = -1;
	char path[32];
	struct dirent *entry;
	DIR *dir;
	int fds;

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	fds = proc < 0 ? -1 : openat(proc, "fd", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	dir = fds < 0 ? NULL : fdopendir(fds);
	if (!dir) {
		fd_close(&fds);
		return;
	}
	while (pidfd >= 0 && !is_over(search) && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			look_at_descriptor(search, pidfd, proc, pid, fds, entry->d_name);
	closedir(dir);
}

json_t *descriptors_find(unsigned int most, uint64_t deadline_ns, bool *ret_truncated)
{
	struct search search = { .found = json_array(), .most = most, .deadline_ns = deadline_ns };
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && search.found && !is_over(&search) && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			look_at_task(&search, entry->d_name);
	if (dir)
		closedir(dir);
	*ret_truncated = search.truncated;
	return search.found;
}
