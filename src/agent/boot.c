// SPDX-License-Identifier: Apache-2.0
#include "agent/boot.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/oci.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

static const struct mount_line {
	const char *type;
	const char *where;
	unsigned long flags;
	const char *options;
} mount_lines[] = {
	{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755,size=16m" },
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777,size=16m" },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666" },
};

/* Values for a VM whose page cache is small and which must never wait for memory; missing files belong to options this kernel lacks. */
static const struct { const char *path; const char *value; } settings[] = {
	{ "/proc/self/oom_score_adj", "-1000" },
	{ "/proc/sys/vm/dirty_bytes", "16777216" },
	{ "/proc/sys/vm/dirty_background_bytes", "4194304" },
	{ "/proc/sys/vm/overcommit_memory", "1" },
	/* Normal memory keeps an eighth of the shared partition's size from processes, for page tables: cache would not give way to those. */
	{ "/proc/sys/vm/lowmem_reserve_ratio", "8 8 8" },
	{ "/proc/sys/kernel/dmesg_restrict", "1" },
	{ "/proc/sys/kernel/kptr_restrict", "2" },
	{ "/proc/sys/kernel/unprivileged_bpf_disabled", "1" },
	{ "/sys/kernel/mm/transparent_hugepage/enabled", "madvise" },
};

/* 0 to 2 exist even if the kernel had no console; nothing of ours may later get number 3, which containers are given. */
static int take_fds(struct err *err)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd < 3);
	return fd < 0 ? err_set(err, errno, "cannot open /dev/null: %s", strerror(errno)) : 0;
}

static int mount_all(struct err *err)
{
	for (size_t i = 0; i < sizeof(mount_lines) / sizeof(mount_lines[0]); i++) {
		const struct mount_line *line = &mount_lines[i];

		if (!strcmp(line->where, "/dev/pts"))
			mkdir(line->where, 0755);
		if (mount(line->type, line->where, line->type, line->flags, line->options) < 0 && errno != EBUSY)
			return err_set(err, errno, "cannot mount %s on %s: %s", line->type, line->where, strerror(errno));
	}
	return 0;
}

/* A second mount of the image, without what the agent mounted on top. crun wants mounts it may make private. */
static int mount_rootfs(struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "cannot make / private: %s", strerror(errno));
	if (mkdir("/run/squeezy", 0700) < 0 || mkdir(OCI_ROOTFS, 0755) < 0)
		return err_set(err, errno, "cannot make %s: %s", OCI_ROOTFS, strerror(errno));
	if (mount("/", OCI_ROOTFS, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, OCI_ROOTFS, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) < 0)
		return err_set(err, errno, "cannot mount the image on %s: %s", OCI_ROOTFS, strerror(errno));
	return 0;
}

/*
 * crun turns on every controller that the root cgroup lists, cpuset included, which nobody here uses and whose switching patches kernel text. So it
 * gets to read a shorter list.
 */
static int shorten_controllers(struct err *err)
{
	static const char list[] = "/run/squeezy/controllers", file[] = CGROUP_ROOT "/cgroup.controllers", text[] = "cpu memory pids\n";
	cleanup_fd int fd = open(list, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);

	if (fd < 0 || write(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		return err_set(err, errno, "cannot write %s: %s", list, strerror(errno));
	if (mount(list, file, NULL, MS_BIND, NULL) < 0)
		return err_set(err, errno, "cannot mount %s on %s: %s", list, file, strerror(errno));
	return 0;
}

int boot_system(struct err *err)
{
	const struct rlimit files = { 65536, 65536 };
	int r = mount_all(err);

	if (r == 0)
		r = take_fds(err);
	if (r == 0)
		r = mount_rootfs(err);
	if (r < 0)
		return r;
	umask(022);
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		r = file_write_text(AT_FDCWD, settings[i].path, settings[i].value);
		if (r < 0 && r != -ENOENT)
			log_warning("cannot set %s to %s: %s", settings[i].path, settings[i].value, strerror(-r));
	}
	r = cgroup_boot(err);
	return r == 0 ? shorten_controllers(err) : r;
}

void boot_poweroff(void)
{
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void on_poweroff(evutil_socket_t fd, short what, void *userdata)
{
	boot_poweroff();
}

void boot_poweroff_soon(struct event_base *base)
{
	const struct timeval delay = { .tv_usec = 100000 };

	if (event_base_once(base, -1, EV_TIMEOUT, on_poweroff, NULL, &delay) < 0)
		boot_poweroff();
}
