// SPDX-License-Identifier: Apache-2.0
#include "agent/net-pool.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/net.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define SPARES		2
#define REFILL_MS	500	/* after a take: the container that is being made goes first */

struct reply {
	int error;
	char text[400];
};

struct spare {
	unsigned int slot;
	int fd;
};

struct net_pool {
	struct event_base *base;
	struct children *children;
	struct child helper;
	struct event *readable;
	struct event *refill;
	int fd;				/* to the helper */
	bool busy;			/* the helper makes asked_slot */
	unsigned int asked_slot;
	unsigned int next_slot;
	bool taken[NET_SLOTS_MAX];
	struct spare spares[SPARES];
	unsigned int n_spares;
	TAILQ_HEAD(, net_wait) waiting;
};

/* Sends the reply, with the descriptor when there is one. */
static int send_reply(int fd, const struct reply *reply, int netns_fd)
{
	struct iovec part = { (void *)(uintptr_t)reply, sizeof(*reply) };
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (netns_fd >= 0) {
		struct cmsghdr *head;

		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &netns_fd, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The helper's life. Ends when the agent's end of the socket is closed. */
static void help(int fd) __attribute__((noreturn));
static void help(int fd)
{
	unsigned int slot;

	if (dup2(fd, 3) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	setpriority(PRIO_PROCESS, 0, 5);
	while (recv(3, &slot, sizeof(slot), 0) == sizeof(slot)) {
		struct reply reply = { 0 };
		struct err err = { 0 };
		int netns_fd = -1;

		reply.error = net_open(slot, &netns_fd, &err);
		snprintf(reply.text, sizeof(reply.text), "%.390s", err.text);
		if (send_reply(3, &reply, netns_fd) < 0)
			_exit(1);
		fd_close(&netns_fd);
	}
	_exit(0);
}

/* 0 or -EAGAIN or another -errno; *ret_fd is -1 when none came. */
static int receive_reply(int fd, struct reply *reply, int *ret_fd)
{
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
	struct iovec part = { reply, sizeof(*reply) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room) };
	struct cmsghdr *head;
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*ret_fd = -1;
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(head), sizeof(int));
	return n == sizeof(*reply) ? 0 : -EPIPE;
}

static void give(struct net_pool *pool, unsigned int slot, int netns_fd, const char *error)
{
	struct net_wait *wait = TAILQ_FIRST(&pool->waiting);

	TAILQ_REMOVE(&pool->waiting, wait, entry);
	wait->queued = false;
	wait->ready(wait, slot, netns_fd, error);
}

/* Round and round, so that the kernel has time to clean up a slot before it is used again. */
static bool free_slot(struct net_pool *pool, unsigned int *ret)
{
	for (unsigned int i = 0; i < NET_SLOTS_MAX; i++) {
		unsigned int slot = (pool->next_slot + i) % NET_SLOTS_MAX;

		if (pool->taken[slot])
			continue;
		pool->next_slot = slot + 1;
		*ret = slot;
		return true;
	}
	return false;
}

/* Asks the helper for one more. False if none can be had. */
static bool ask(struct net_pool *pool)
{
	unsigned int slot;

	if (pool->busy)
		return true;
	if (pool->fd < 0 || !free_slot(pool, &slot) || send(pool->fd, &slot, sizeof(slot), MSG_NOSIGNAL) != sizeof(slot))
		return false;
	pool->taken[slot] = true;
	pool->asked_slot = slot;
	pool->busy = true;
	return true;
}

static void refill_later(struct net_pool *pool, unsigned int ms)
{
	const struct timeval delay = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (pool->n_spares < SPARES)
		event_add(pool->refill, &delay);
}

static void on_refill(evutil_socket_t fd, short what, void *userdata)
{
	struct net_pool *pool = userdata;

	if (pool->n_spares < SPARES)
		ask(pool);
}

static void on_reply(evutil_socket_t fd, short what, void *userdata)
{
	struct net_pool *pool = userdata;
	struct reply reply;
	int netns_fd, r = receive_reply(fd, &reply, &netns_fd);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		/* The helper is gone, or as good as; on_helper_ended() starts another. */
		event_del(pool->readable);
		fd_close(&pool->fd);
		return;
	}
	pool->busy = false;
	reply.text[sizeof(reply.text) - 1] = '\0';
	if (reply.error || netns_fd < 0) {
		pool->taken[pool->asked_slot] = false;
		if (!TAILQ_EMPTY(&pool->waiting))
			give(pool, 0, -1, reply.text);
		else
			log_warning("%s", reply.text);
	} else if (!TAILQ_EMPTY(&pool->waiting)) {
		give(pool, pool->asked_slot, netns_fd, NULL);
	} else {
		pool->spares[pool->n_spares++] = (struct spare){ pool->asked_slot, netns_fd };
	}
	if (!TAILQ_EMPTY(&pool->waiting))
		ask(pool);
	else
		refill_later(pool, reply.error ? 10 * REFILL_MS : pool->n_spares ? 1 : REFILL_MS);
}

static int start_helper(struct net_pool *pool);

static void on_helper_ended(struct child *child, int status)
{
	struct net_pool *pool = child->userdata;

	log_error("the network helper has ended with status %d; starting another", status);
	if (pool->readable)
		event_free(pool->readable);
	pool->readable = NULL;
	fd_close(&pool->fd);
	if (pool->busy)
		pool->taken[pool->asked_slot] = false;
	pool->busy = false;
	start_helper(pool);
	while (!TAILQ_EMPTY(&pool->waiting) && !ask(pool))
		give(pool, 0, -1, "the network helper cannot be started");
}

static int start_helper(struct net_pool *pool)
{
	int pair[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		help(pair[1]);
	close(pair[1]);
	pool->fd = pair[0];
	if (pid > 0)
		pool->readable = event_new(pool->base, pool->fd, EV_READ | EV_PERSIST, on_reply, pool);
	if (!pool->readable || event_add(pool->readable, NULL) < 0) {
		fd_close(&pool->fd);
		return -ENOMEM;
	}
	child_adopt(pool->children, &pool->helper, pid, &status);
	return 0;
}

int net_pool_new(struct event_base *base, struct children *children, struct net_pool **ret, struct err *err)
{
	struct net_pool *pool = calloc(1, sizeof(*pool));
	int r = -ENOMEM;

	if (!pool)
		return err_set(err, ENOMEM, "cannot start the network helper: out of memory");
	pool->base = base;
	pool->children = children;
	pool->helper.ended = on_helper_ended;
	pool->helper.userdata = pool;
	TAILQ_INIT(&pool->waiting);
	pool->refill = event_new(base, -1, 0, on_refill, pool);
	if (pool->refill)
		r = start_helper(pool);
	if (r < 0) {
		free(pool);
		return err_set(err, -r, "cannot start the network helper: %s", strerror(-r));
	}
	ask(pool);
	*ret = pool;
	return 0;
}

void net_pool_take(struct net_pool *pool, struct net_wait *wait)
{
	if (pool->n_spares) {
		struct spare spare = pool->spares[--pool->n_spares];

		refill_later(pool, REFILL_MS);
		wait->ready(wait, spare.slot, spare.fd, NULL);
		return;
	}
	TAILQ_INSERT_TAIL(&pool->waiting, wait, entry);
	wait->queued = true;
	if (!ask(pool)) {
		TAILQ_REMOVE(&pool->waiting, wait, entry);
		wait->queued = false;
		wait->ready(wait, 0, -1, "no network: too many containers, or the network helper is not running");
	}
}

void net_pool_cancel(struct net_pool *pool, struct net_wait *wait)
{
	if (!wait->queued)
		return;
	TAILQ_REMOVE(&pool->waiting, wait, entry);
	wait->queued = false;
}

void net_pool_release(struct net_pool *pool, unsigned int slot)
{
	pool->taken[slot] = false;
}
