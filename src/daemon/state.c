// SPDX-License-Identifier: Apache-2.0
#include "daemon/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vm/leftover.h"

#define FREE_BYTES_MIN (64ull << 20)
#define KEY_SECRET 64

static int make_directory(const char *dir, struct err *err)
{
	const char *hint = "";

	if (!mkdir(dir, 0700) || errno == EEXIST)
		return 0;
	if (errno == EACCES || errno == EPERM)
		hint = "; start squeezyd as root, or give --state a directory of yours";
	else if (errno == ENOENT)
		hint = "; make the directory above it first";
	return err_set(err, errno, "state directory %s: %s%s", dir, strerror(errno), hint);
}

static int check_room(const char *dir, struct err *err)
{
	struct statvfs room;

	if (statvfs(dir, &room) < 0)
		return err_set(err, errno, "state directory %s: %s", dir, strerror(errno));
	if ((uint64_t)room.f_bavail * room.f_frsize < FREE_BYTES_MIN)
		return err_set(err, ENOSPC, "state directory %s: only %llu MiB are free on its disk, squeezyd needs 64; make room, or give "
			       "--state another disk", dir, (unsigned long long)((uint64_t)room.f_bavail * room.f_frsize >> 20));
	return 0;
}

static int take_lock(const char *dir, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[4096], holder[32];

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return err_set(err, ENAMETOOLONG, "state directory %.80s...: the path is too long", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s%s", path, strerror(errno), errno == EACCES ?
			       "; start squeezyd as root, or give --state a directory of yours" : "");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (file_read_text(AT_FDCWD, path, holder, sizeof(holder)) < 0)
			snprintf(holder, sizeof(holder), "unknown");
		return err_set(err, EWOULDBLOCK, "another squeezyd (process %s) uses %s; end it with `squeezy down`, or give --state another "
			       "directory", holder, dir);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int state_open(const char *dir, int *ret_lock_fd, struct err *err)
{
	char vms[4096];
	int r = make_directory(dir, err);

	if (r == 0)
		r = take_lock(dir, ret_lock_fd, err);
	if (r < 0)
		return r;
	snprintf(vms, sizeof(vms), "%s/vm", dir);
	r = check_room(dir, err);
	if (r == 0)
		r = make_directory(vms, err);
	if (r < 0)
		fd_close(ret_lock_fd);
	return r;
}

/* Logs of an earlier daemon's VM. What we did not put there stays, and so does its directory. */
static void remove_vm_directory(const char *dir)
{
	static const char *const names[] = { "serial.log", "qemu.log" };
	char path[4200];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

int state_clean_vms(const char *dir, struct err *err)
{
	struct dirent *entry;
	char path[4096];
	int r = 0;
	DIR *vms;

	snprintf(path, sizeof(path), "%s/vm", dir);
	vms = opendir(path);
	if (!vms)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	while (r >= 0 && (entry = readdir(vms))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/vm/%s", dir, entry->d_name) >= (int)sizeof(path))
			continue;
		r = leftover_end(path, err);
		if (r == 1)
			log_warning("ended a QEMU that an earlier squeezyd left (%s)", path);
		if (r >= 0)
			remove_vm_directory(path);
	}
	closedir(vms);
	return r < 0 ? r : 0;
}

static int random_bytes(uint8_t *bytes, size_t count, struct err *err)
{
	if (getrandom(bytes, count, 0) != (ssize_t)count)
		return err_set(err, EIO, "the system has no random numbers");
	return 0;
}

int state_make_key(char key[STATE_KEY_SIZE], struct err *err)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t id[16], secret[KEY_SECRET];
	int n, r = random_bytes(id, sizeof(id), err);

	if (r == 0)
		r = random_bytes(secret, sizeof(secret), err);
	if (r < 0)
		return r;
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	n = snprintf(key, STATE_KEY_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x:", id[0], id[1], id[2], id[3],
		     id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
	for (int i = 0; i < KEY_SECRET; i++)
		key[n + i] = alphabet[secret[i] % 64];	/* 64 letters: no bias */
	key[n + KEY_SECRET] = '\0';
	return 0;
}

static bool key_is_good(const char *key)
{
	const char *colon = strchr(key, ':');

	return colon && colon - key == 36 && strlen(colon + 1) == KEY_SECRET;
}

/* Written under another name and renamed, so that a crash never leaves half a key. */
static int write_key(const char *path, const char *key, struct err *err)
{
	cleanup_fd int fd = -1;
	char temporary[4096];

	snprintf(temporary, sizeof(temporary), "%.4000s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%s\n", key) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int state_key(const char *dir, char key[STATE_KEY_SIZE], struct err *err)
{
	char path[4000];
	int r;

	snprintf(path, sizeof(path), "%.3900s/api.key", dir);
	r = file_read_text(AT_FDCWD, path, key, STATE_KEY_SIZE);
	if (r == 0 && !key_is_good(key))
		return err_set(err, EINVAL, "%s: must hold uuid:key, the key 64 characters; remove the file to get a new one", path);
	if (r == 0)
		return 0;
	if (r != -ENOENT)
		return err_set(err, -r, "%s: %s", path, strerror(-r));
	r = state_make_key(key, err);
	return r < 0 ? r : write_key(path, key, err);
}
