// SPDX-License-Identifier: Apache-2.0
#include "agent/oci.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/cgroup.h"
#include "agent/seccomp.h"

/* Not 0: crun takes 0 for "as it is", which is the agent's -1000, and then nothing in the container could ever be killed. */
#define OOM_SCORE_ADJ 100

bool oci_id_valid(const char *id)
{
	size_t len = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len >= 1 && len <= 32 && !id[len] && id[0] != '-';
}

static json_t *strings(const char *const *list)
{
	json_t *array = json_array();

	for (; *list; list++)
		json_array_append_new(array, json_string(*list));
	return array;
}

static json_t *rlimit(const char *type, json_int_t value)
{
	return json_pack("{s:s, s:I, s:I}", "type", type, "hard", value, "soft", value);
}

static json_t *process(const struct oci_spec *spec)
{
	static const char *const environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TMPDIR=/tmp", NULL };

	return json_pack("{s:b, s:{s:i, s:i}, s:o, s:o, s:s, s:{s:[], s:[], s:[], s:[], s:[]}, s:[o,o,o], s:b, s:i}",
			 "terminal", 0, "user", "uid", (int)spec->uid, "gid", (int)spec->uid, "args", strings(spec->argv), "env",
			 strings(environment), "cwd", "/action", "capabilities", "bounding", "effective", "inheritable", "permitted", "ambient",
			 "rlimits", rlimit("RLIMIT_NOFILE", 1024), rlimit("RLIMIT_CORE", 0), rlimit("RLIMIT_MEMLOCK", 65536), "noNewPrivileges",
			 1, "oomScoreAdj", OOM_SCORE_ADJ);
}

static json_t *tmpfs(const char *where, uint64_t bytes, const char *mode, uint32_t uid)
{
	char size[32], owner[32], group[32];

	snprintf(size, sizeof(size), "size=%" PRIu64, bytes);
	snprintf(owner, sizeof(owner), "uid=%" PRIu32, uid);
	snprintf(group, sizeof(group), "gid=%" PRIu32, uid);
	return json_pack("{s:s, s:s, s:s, s:[s,s,s,s,s,s,s]}", "destination", where, "type", "tmpfs", "source", "tmpfs", "options", "nosuid",
			 "nodev", "nr_inodes=65536", size, mode, owner, group);
}

static json_t *mounts(const struct oci_spec *spec)
{
	uint64_t bytes = spec->tmpfs_bytes < OCI_TMPFS_MIN ? OCI_TMPFS_MIN : spec->tmpfs_bytes;
	json_t *list = json_array();

	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:[s,s,s]}", "destination", "/proc", "type", "proc", "source", "proc", "options",
					      "nosuid", "noexec", "nodev"));
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:[s,s,s,s,s]}", "destination", "/dev", "type", "tmpfs", "source", "tmpfs",
					      "options", "nosuid", "noexec", "mode=755", "size=65536", "nr_inodes=64"));
	json_array_append_new(list, tmpfs("/tmp", bytes / 2, "mode=1777", 0));
	json_array_append_new(list, tmpfs("/action", bytes / 8 * 3, "mode=755", spec->uid));
	json_array_append_new(list, tmpfs("/dev/shm", bytes / 8, "mode=1777", 0));
	return list;
}

static json_t *namespaces(const char *netns)
{
	static const char *const own[] = { "pid", "mount", "ipc", "uts", "cgroup" };
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		json_array_append_new(list, json_pack("{s:s}", "type", own[i]));
	json_array_append_new(list, json_pack("{s:s, s:s}", "type", "network", "path", netns));
	return list;
}

/*
 * /sys is not mounted at all. Masked is what any user could read and no function needs; the rest of what other runtimes mask belongs to root
 * alone, and there is no root in a container.
 */
static json_t *linux_part(const struct oci_spec *spec)
{
	static const char *const masked[] = {
		"/proc/buddyinfo", "/proc/config.gz", "/proc/iomem", "/proc/kallsyms", "/proc/kcore", "/proc/keys", "/proc/timer_list",
		"/proc/zoneinfo", "/usr/lib/squeezy/agent", NULL,
	};
	static const char *const readonly[] = { "/proc/sys", "/proc/sysrq-trigger", NULL };
	char cgroup[64];

	snprintf(cgroup, sizeof(cgroup), CGROUP_CONTAINERS "/%s", spec->id);
	return json_pack("{s:o, s:s, s:{s:{s:I}}, s:o, s:o, s:o}", "namespaces", namespaces(spec->netns), "cgroupsPath", cgroup, "resources",
			 "pids", "limit", (json_int_t)spec->pids_max, "maskedPaths", strings(masked), "readonlyPaths", strings(readonly),
			 "seccomp", seccomp_profile());
}

char *oci_config(const struct oci_spec *spec)
{
	json_t *config = json_pack("{s:s, s:{s:s, s:b}, s:s, s:o, s:o, s:o}", "ociVersion", "1.0.2", "root", "path", OCI_ROOTFS, "readonly", 1,
				   "hostname", "function", "process", process(spec), "mounts", mounts(spec), "linux", linux_part(spec));
	char *text = config ? json_dumps(config, JSON_COMPACT) : NULL;

	json_decref(config);
	return text;
}
