// SPDX-License-Identifier: Apache-2.0
/* Cgroups and their files. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"
#define EVENT_TIMEOUT_MS 20000

int cg_make(const char *cgroup)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/%s", cgroup);
	return mkdir(path, 0755) ? -errno : 0;
}

int cg_remove(const char *cgroup)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/%s", cgroup);
	return rmdir(path) ? -errno : 0;
}

static int cg_write_flags(const char *cgroup, const char *file, const char *text, int flags)
{
	char path[160];

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	return write_file(path, text, flags);
}

int cg_write(const char *cgroup, const char *file, const char *text)
{
	return cg_write_flags(cgroup, file, text, 0);
}

int cg_write_nonblock(const char *cgroup, const char *file, const char *text)
{
	return cg_write_flags(cgroup, file, text, O_NONBLOCK);
}

void cg_read(const char *cgroup, const char *file, char *buf, size_t size)
{
	char path[160];

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	CHECK_MSG(read_file(path, buf, size) == 0, "%s", path);
}

uint64_t cg_event(const char *cgroup, const char *file, const char *key)
{
	char path[160];

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	return flat_key(path, key);
}

uint64_t cg_number(const char *cgroup, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	return file_number(path);
}

struct wanted_event {
	const char *cgroup, *file, *key;
	uint64_t value;
};

static bool event_reached(void *arg)
{
	struct wanted_event *w = arg;

	return cg_event(w->cgroup, w->file, w->key) == w->value;
}

void wait_event(const char *cgroup, const char *file, const char *key, uint64_t value)
{
	struct wanted_event w = { cgroup, file, key, value };

	CHECK_MSG(wait_until(event_reached, &w, EVENT_TIMEOUT_MS), "%s of %s is not %lu", key, cgroup, value);
}

unsigned int claim_new(const char *cgroup)
{
	char id[16];

	CHECK(cg_make(cgroup) == 0);
	CHECK(cg_write(cgroup, "memory.squeezy", "auto") == 0);
	cg_read(cgroup, "memory.squeezy", id, sizeof(id));
	CHECK_MSG(id[0] >= '0' && id[0] <= '9', "memory.squeezy says '%s'", id);
	return (unsigned int)atoi(id);
}

static bool cg_gone(void *arg)
{
	return cg_remove(arg) == 0 || errno == ENOENT;
}

void cg_end(const char *cgroup)
{
	char name[64];

	cg_write(cgroup, "cgroup.kill", "1");
	snprintf(name, sizeof(name), "%s", cgroup);
	CHECK_MSG(wait_until(cg_gone, name, 5000), "cgroup %s does not go", cgroup);
}

void cg_sweep(const char *cgroup)
{
	char name[64];

	cg_write(cgroup, "cgroup.kill", "1");
	snprintf(name, sizeof(name), "%s", cgroup);
	wait_until(cg_gone, name, 2000);
}
