// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define AGENT_MEMORY_MIN "33554432"

static int write_file(const char *path, const char *text, struct err *err)
{
	int r = file_write_text(AT_FDCWD, path, text);

	if (r < 0)
		return err_set(err, -r, "cannot write '%s' to %s: %s", text, path, strerror(-r));
	return 0;
}

static int make_dir(const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

int cgroup_boot(struct err *err)
{
	static const char controllers[] = "+memory +pids +cpu";
	int r = write_file(CGROUP_ROOT "/cgroup.subtree_control", controllers, err);

	if (r == 0)
		r = make_dir(CGROUP_ROOT "/agent", err);
	if (r == 0)
		r = make_dir(CGROUP_ROOT CGROUP_CONTAINERS, err);
	if (r == 0)
		r = write_file(CGROUP_ROOT CGROUP_CONTAINERS "/cgroup.subtree_control", controllers, err);
	if (r == 0)
		r = write_file(CGROUP_ROOT "/agent/memory.min", AGENT_MEMORY_MIN, err);
	if (r == 0)
		r = write_file(CGROUP_ROOT "/agent/cgroup.procs", "1", err);
	return r;
}

static int set_limits(const struct cgroup *cgroup, uint64_t memory_max, uint64_t pids_max, struct err *err)
{
	const char *files[] = { "memory.max", "pids.max", "memory.oom.group" };
	uint64_t values[] = { memory_max, pids_max, 1 };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char text[24];
		int r;

		snprintf(text, sizeof(text), "%" PRIu64, values[i]);
		r = file_write_text(cgroup->fd, files[i], text);
		if (r < 0)
			return err_set(err, -r, "cannot set %s of container %s to %s: %s", files[i], cgroup->id, text, strerror(-r));
	}
	return 0;
}

int cgroup_make(struct cgroup *cgroup, const char *id, uint64_t memory_max, uint64_t pids_max, struct err *err)
{
	char path[128];
	int r;

	snprintf(path, sizeof(path), CGROUP_ROOT CGROUP_CONTAINERS "/%s", id);
	snprintf(cgroup->id, sizeof(cgroup->id), "%s", id);
	if (mkdir(path, 0755) < 0)
		return err_set(err, errno, "cannot make cgroup %s: %s", path, strerror(errno));
	cgroup->fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (cgroup->fd < 0)
		r = err_set(err, errno, "cannot open cgroup %s: %s", path, strerror(errno));
	else
		r = set_limits(cgroup, memory_max, pids_max, err);
	if (r < 0) {
		fd_close(&cgroup->fd);
		rmdir(path);
	}
	return r;
}

int cgroup_kill(const struct cgroup *cgroup)
{
	return cgroup->fd < 0 ? 0 : file_write_text(cgroup->fd, "cgroup.kill", "1");
}

int cgroup_remove(struct cgroup *cgroup)
{
	char path[128];

	if (cgroup->fd < 0)
		return 0;
	snprintf(path, sizeof(path), CGROUP_ROOT CGROUP_CONTAINERS "/%s", cgroup->id);
	if (rmdir(path) < 0 && errno != ENOENT)
		return -errno;
	fd_close(&cgroup->fd);
	return 0;
}

uint64_t cgroup_u64(const struct cgroup *cgroup, const char *file)
{
	uint64_t value;

	return cgroup->fd >= 0 && file_read_u64(cgroup->fd, file, &value) == 0 ? value : 0;
}

uint64_t cgroup_field(const struct cgroup *cgroup, const char *file, const char *key)
{
	size_t len = strlen(key);
	char text[4096], *rest = text, *line;
	uint64_t value;

	if (cgroup->fd < 0 || file_read_text(cgroup->fd, file, text, sizeof(text)) < 0)
		return 0;
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, key, len) && line[len] == ' ' && sscanf(line + len, " %" SCNu64, &value) == 1)
			return value;
	}
	return 0;
}

bool cgroup_populated(int events_fd)
{
	char text[256];
	ssize_t n = pread(events_fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, "populated 1") != NULL;
}
