/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's use of cgroup v2: one group for itself, one below /sys/fs/cgroup/containers for each container. Sizes are bytes. */
#ifndef SQUEEZY_AGENT_CGROUP_H
#define SQUEEZY_AGENT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct err;

#define CGROUP_ROOT		"/sys/fs/cgroup"
#define CGROUP_CONTAINERS	"/containers"	/* below CGROUP_ROOT, as crun wants its paths */

struct cgroup {
	int fd;		/* the directory, -1 if there is none */
	char id[33];
};

/* Controllers on, own group, memory.min. Once, at boot. 0 or -errno. */
int cgroup_boot(struct err *err);

/* Makes a container's group with its limits. 0 or -errno; nothing is left behind on failure. */
int cgroup_make(struct cgroup *cgroup, const char *id, uint64_t memory_max, uint64_t pids_max, struct err *err);

/* Sends SIGKILL to all in it at once. 0 or -errno. */
int cgroup_kill(const struct cgroup *cgroup);

/* rmdir. 0, -EBUSY while something is in it; -ENOENT counts as done. Closes fd when done. */
int cgroup_remove(struct cgroup *cgroup);

/* A number from a file of one; 0 if there is none. */
uint64_t cgroup_u64(const struct cgroup *cgroup, const char *file);

/* A field of a flat keyed file; 0 if there is none. */
uint64_t cgroup_field(const struct cgroup *cgroup, const char *file, const char *key);

/* Reads an open cgroup.events from its start, which arms POLLPRI again. */
bool cgroup_populated(int events_fd);

#endif
