// SPDX-License-Identifier: Apache-2.0
#include "agent/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"

#define RECENT 64	/* ended processes remembered for child_adopt() */

struct children {
	LIST_HEAD(, child) list;
	struct event *sigchld;
	struct { pid_t pid; int status; } recent[RECENT];
	unsigned int next_recent;
};

static void ended(struct children *children, pid_t pid, int status)
{
	struct child *child;

	LIST_FOREACH(child, &children->list, entry) {
		if (child->pid != pid)
			continue;
		child_forget(child);
		child->ended(child, status);
		return;
	}
	children->recent[children->next_recent].pid = pid;
	children->recent[children->next_recent].status = status;
	children->next_recent = (children->next_recent + 1) % RECENT;
}

static void on_sigchld(evutil_socket_t fd, short what, void *userdata)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ended(userdata, pid, status);
}

int children_new(struct event_base *base, struct children **ret)
{
	struct children *children = calloc(1, sizeof(*children));

	if (!children)
		return -ENOMEM;
	LIST_INIT(&children->list);
	children->sigchld = evsignal_new(base, SIGCHLD, on_sigchld, children);
	if (!children->sigchld || event_add(children->sigchld, NULL) < 0) {
		children_free(children);
		return -ENOMEM;
	}
	*ret = children;
	return 0;
}

void children_free(struct children *children)
{
	if (!children)
		return;
	if (children->sigchld)
		event_free(children->sigchld);
	free(children);
}

static int prepare_fds(posix_spawn_file_actions_t *actions, const int fds[4])
{
	for (int i = 0; i < 4; i++) {
		int r = 0;

		if (fds[i] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, fds[i], i);
		else if (i < 3)
			r = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
		if (r)
			return r;
	}
	return 0;
}

static int spawn(pid_t *pid, const char *const *argv, const int fds[4])
{
	static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = prepare_fds(&actions, fds);
	if (!r)
		r = posix_spawn(pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int child_spawn(struct children *children, struct child *child, const char *const *argv, const int fds[4], struct err *err)
{
	int r = spawn(&child->pid, argv, fds);

	if (r) {
		child->pid = 0;
		return err_set(err, r, "cannot start %s: %s", argv[0], strerror(r));
	}
	LIST_INSERT_HEAD(&children->list, child, entry);
	return 0;
}

bool child_adopt(struct children *children, struct child *child, pid_t pid, int *ret_status)
{
	for (unsigned int i = 0; i < RECENT; i++) {
		if (children->recent[i].pid != pid)
			continue;
		children->recent[i].pid = 0;
		*ret_status = children->recent[i].status;
		return false;
	}
	child->pid = pid;
	LIST_INSERT_HEAD(&children->list, child, entry);
	return true;
}

void child_forget(struct child *child)
{
	if (!child->pid)
		return;
	LIST_REMOVE(child, entry);
	child->pid = 0;
}
