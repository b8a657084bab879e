// SPDX-License-Identifier: Apache-2.0
#include "agent/pri.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/fd.h"

#define BATCH 64	/* changes handled before other events get their turn */

struct pri {
	int fd;
	struct event *event;
};

/* One change at a time: a callback may remove the watch of the next. */
static void on_ready(evutil_socket_t fd, short what, void *userdata)
{
	struct epoll_event event;

	for (int i = 0; i < BATCH && epoll_wait(fd, &event, 1, 0) == 1; i++) {
		struct pri_watch *watch = event.data.ptr;

		watch->changed(watch);
	}
}

int pri_new(struct event_base *base, struct pri **ret)
{
	struct pri *pri = calloc(1, sizeof(*pri));

	if (!pri)
		return -ENOMEM;
	pri->fd = epoll_create1(EPOLL_CLOEXEC);
	if (pri->fd >= 0)
		pri->event = event_new(base, pri->fd, EV_READ | EV_PERSIST, on_ready, pri);
	if (!pri->event || event_add(pri->event, NULL) < 0) {
		pri_free(pri);
		return -ENOMEM;
	}
	*ret = pri;
	return 0;
}

void pri_free(struct pri *pri)
{
	if (!pri)
		return;
	if (pri->event)
		event_free(pri->event);
	fd_close(&pri->fd);
	free(pri);
}

int pri_add(struct pri *pri, struct pri_watch *watch, int fd)
{
	struct epoll_event event = { .events = EPOLLPRI, .data.ptr = watch };

	if (epoll_ctl(pri->fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	watch->fd = fd;
	return 0;
}

void pri_remove(struct pri *pri, struct pri_watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(pri->fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}
