// SPDX-License-Identifier: Apache-2.0
/*
 * QEMU's own memory cgroup: a bound on what a broken or hostile VM can take from the host beyond its configuration. Where there is no
 * writable memory controller (containers, unprivileged users) it is skipped: the budget of the daemon then is the only bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vm/vm-internal.h"

static const struct hierarchy {
	const char *root;
	const char *probe;	/* exists in a root that has the memory controller */
	const char *limit;
} hierarchies[2] = {
	{ "/sys/fs/cgroup", "memory.pressure", "memory.max" },
	{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.limit_in_bytes" },
};

#define REMOVE_TRIES	10	/* times 2 ms: the kernel takes a reaped process out of its cgroup a moment later */

static void group_path(const struct hierarchy *hierarchy, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", hierarchy->root, name);
}

static int open_one(const struct hierarchy *hierarchy, const char *name, uint64_t limit_bytes)
{
	char path[160], limit[32];
	cleanup_fd int dir = -1;
	int r;

	snprintf(path, sizeof(path), "%s/%s", hierarchy->root, hierarchy->probe);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	group_path(hierarchy, name, path, sizeof(path));
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)limit_bytes);
	r = file_write_text(dir, hierarchy->limit, limit);
	if (r < 0)
		return r;
	r = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

bool cgroup_open(const char *name, uint64_t limit_bytes, int procs[2])
{
	bool any = false;

	for (int i = 0; i < 2; i++) {
		procs[i] = open_one(&hierarchies[i], name, limit_bytes);
		if (procs[i] < 0)
			procs[i] = -1;
		else
			any = true;
	}
	return any;
}

void cgroup_remove(const char *name)
{
	char path[160];

	for (int i = 0; i < 2; i++) {
		int tries = REMOVE_TRIES;

		group_path(&hierarchies[i], name, path, sizeof(path));
		while (rmdir(path) < 0 && errno == EBUSY && --tries)
			usleep(2000);
		if (!tries)
			log_debug("%s: %s", path, strerror(EBUSY));
	}
}
