// SPDX-License-Identifier: Apache-2.0
/* Whole files: a copy of the running store, and putting such a copy in its place. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "store/store-internal.h"

struct store_backup {
	struct store *store;
	sqlite3 *to;
	sqlite3_backup *backup;
	bool done;		/* every page has been copied */
	char path[4096];
};

int store_backup_start(struct store *store, const char *path, struct store_backup **ret, struct err *err)
{
	struct store_backup *backup;

	if (access(path, F_OK) == 0)
		return err_set(err, EEXIST, "%.4000s is there already: a backup overwrites nothing", path);
	backup = calloc(1, sizeof(*backup));
	if (!backup)
		return err_set(err, ENOMEM, "out of memory");
	backup->store = store;
	snprintf(backup->path, sizeof(backup->path), "%s", path);
	if (sqlite3_open_v2(path, &backup->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		err_set(err, EIO, "%.200s: %s", path, sqlite3_errmsg(backup->to));
		store_backup_end(backup);
		return -EIO;
	}
	backup->backup = sqlite3_backup_init(backup->to, "main", store_db(store), "main");
	if (!backup->backup) {
		err_set(err, EIO, "%.200s: %s", path, sqlite3_errmsg(backup->to));
		store_backup_end(backup);
		return -EIO;
	}
	*ret = backup;
	return 0;
}

int store_backup_step(struct store_backup *backup, unsigned int pages, bool *ret_done, struct err *err)
{
	int r = store_flush(backup->store, err), code;

	if (r < 0)
		return r;
	code = sqlite3_backup_step(backup->backup, (int)pages);
	*ret_done = backup->done = code == SQLITE_DONE;
	if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_BUSY || code == SQLITE_LOCKED)
		return 0;
	return err_set(err, code == SQLITE_FULL ? ENOSPC : EIO, "%.200s: %s", backup->path, sqlite3_errstr(code));
}

/* What is not complete is no backup; finish says nothing of pages that were never asked for. */
int store_backup_end(struct store_backup *backup)
{
	int code = backup->backup ? sqlite3_backup_finish(backup->backup) : SQLITE_ABORT;
	bool complete = code == SQLITE_OK && backup->done;

	sqlite3_close(backup->to);
	if (!complete)
		(void)unlink(backup->path);
	free(backup);
	return complete ? 0 : -EIO;
}

static int copy(const char *from, const char *to, struct err *err)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat size;
	ssize_t n;

	if (in < 0 || fstat(in, &size) < 0)
		return err_set(err, errno, "%.200s: %s", from, strerror(errno));
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return err_set(err, errno, "%.200s: %s", to, strerror(errno));
	for (off_t left = size.st_size; left > 0; left -= n) {
		n = sendfile(out, in, NULL, (size_t)left);
		if (n <= 0)
			return err_set(err, n < 0 ? errno : EIO, "%.200s: %s", to, n < 0 ? strerror(errno) : "the source became shorter");
	}
	if (fsync(out) < 0)
		return err_set(err, errno, "%.200s: %s", to, strerror(errno));
	return 0;
}

int store_restore(const char *from, const char *to, struct err *err)
{
	static const char *const tails[] = { "-wal", "-shm" };
	char temporary[4096], beside[4096];
	struct store *store;
	int r;

	snprintf(temporary, sizeof(temporary), "%.4000s.restore", to);
	r = copy(from, temporary, err);
	/* Opening checks it, and brings an older one up to date. */
	if (r == 0)
		r = store_open(temporary, &store, err);
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}
	store_close(store);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(beside, sizeof(beside), "%.4000s%s", to, tails[i]);
		(void)unlink(beside);
	}
	if (rename(temporary, to) < 0)
		return err_set(err, errno, "%.200s: %s", to, strerror(errno));
	return 0;
}
