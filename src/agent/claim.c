// SPDX-License-Identifier: Apache-2.0
#include "agent/claim.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define RETRY_MS 50

void claim_init(struct claim *claim)
{
	*claim = (struct claim){ .fd = -1, .partition = -1, .watch.fd = -1 };
}

/* The partition the cgroup has, -1 if none. Reading also arms POLLPRI. */
static int claim_read(struct claim *claim)
{
	char text[32], *end;
	ssize_t n = pread(claim->fd, text, sizeof(text) - 1, 0);
	long id;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	id = strtol(text, &end, 10);
	return end == text || id < 0 || id > 65535 ? -1 : (int)id;
}

/* 1 held, 0 not yet, -errno. */
static int claim_try(struct claim *claim)
{
	ssize_t n;

	claim_read(claim);
	do
		n = pwrite(claim->fd, "auto", 4, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	claim->partition = claim_read(claim);
	return claim->partition < 0 ? -EIO : 1;
}

static void claim_again(struct claim *claim)
{
	const struct timeval delay = { .tv_usec = RETRY_MS * 1000 };
	int r = claim_try(claim);

	if (r == 0 && event_add(claim->retry, &delay) == 0)
		return;
	claim_stop(claim);
	claim->ended(claim, r < 0 ? r : r == 0 ? -ENOMEM : 0);
}

static void on_changed(struct pri_watch *watch)
{
	claim_again(watch->userdata);
}

static void on_retry(evutil_socket_t fd, short what, void *userdata)
{
	claim_again(userdata);
}

int claim_start(struct claim *claim, struct event_base *base, struct pri *pri, int cgroup_fd, struct err *err)
{
	const struct timeval delay = { .tv_usec = RETRY_MS * 1000 };
	int r;

	claim->pri = pri;
	claim->fd = openat(cgroup_fd, "memory.squeezy", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (claim->fd < 0 && errno == ENOENT)
		return err_set(err, ENODEV, "cannot claim a partition: this kernel has no memory.squeezy; use the Squeezy kernel or \"claim\":false");
	if (claim->fd < 0)
		return err_set(err, errno, "cannot open memory.squeezy: %s", strerror(errno));
	r = claim_try(claim);
	if (r < 0) {
		err_set(err, -r, "cannot claim a partition: %s%s", strerror(-r),
			r == -ENODEV ? " (boot with squeezy=<count>x<size>, or use \"claim\":false)" : "");
		claim_stop(claim);
		return r;
	}
	if (r == 1) {
		claim_stop(claim);
		return 1;
	}
	claim->watch.changed = on_changed;
	claim->watch.userdata = claim;
	claim->retry = event_new(base, -1, 0, on_retry, claim);
	if (!claim->retry || event_add(claim->retry, &delay) < 0 || pri_add(pri, &claim->watch, claim->fd) < 0) {
		claim_stop(claim);
		return err_set(err, ENOMEM, "cannot wait for a partition: out of memory");
	}
	return 0;
}

void claim_stop(struct claim *claim)
{
	if (claim->pri)
		pri_remove(claim->pri, &claim->watch);
	if (claim->retry)
		event_free(claim->retry);
	claim->retry = NULL;
	fd_close(&claim->fd);
}

void claim_release(int cgroup_fd)
{
	file_write_text(cgroup_fd, "memory.squeezy", "none");
}
