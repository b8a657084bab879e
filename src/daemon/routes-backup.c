// SPDX-License-Identifier: Apache-2.0
/* POST /squeezy/v1/backup: a copy of the store, made a little at a time while everything else goes on. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/routes-entity.h"

#define PAGES_AT_ONCE	256	/* 1 MiB: some milliseconds of the loop */

/* request stays ours until the copy is complete. */
struct copying {
	struct service *service;
	struct http_request *request;
	struct store_backup *backup;
	struct event *turn;
	char *path;
};

static void finish(struct copying *copying, int r, struct err *err)
{
	if (store_backup_end(copying->backup) < 0 && r == 0)
		r = err_set(err, EIO, "%.200s: the copy is not complete, and removed", copying->path);
	if (r < 0) {
		entity_fail(copying->request, r, err);
	} else {
		log_info("the store was copied to %s", copying->path);
		http_reply(copying->request, 200, json_pack("{s:s}", "file", copying->path));
	}
	copying->service->copying = NULL;
	event_free(copying->turn);
	free(copying->path);
	free(copying);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval soon = { .tv_usec = 1000 };
	struct copying *copying = arg;
	bool done = false;
	struct err err;
	int r = store_backup_step(copying->backup, PAGES_AT_ONCE, &done, &err);

	if (r == 0 && !done && event_add(copying->turn, &soon) == 0)
		return;
	if (r == 0 && !done)
		r = err_set(&err, ENOMEM, "The server is out of memory.");
	finish(copying, r, &err);
}

static int start(struct service *service, struct http_request *request, const char *path, struct err *err)
{
	const struct timeval now = { 0 };
	struct copying *copying = calloc(1, sizeof(*copying));
	int r;

	if (!copying)
		return err_set(err, ENOMEM, "The server is out of memory.");
	r = store_backup_start(service->store, path, &copying->backup, err);
	if (r < 0) {
		free(copying);
		return r;
	}
	copying->service = service;
	copying->request = request;
	copying->path = strdup(path);
	copying->turn = evtimer_new(service->base, on_turn, copying);
	if (copying->path && copying->turn && event_add(copying->turn, &now) == 0) {
		service->copying = copying;
		return 0;
	}
	(void)store_backup_end(copying->backup);
	if (copying->turn)
		event_free(copying->turn);
	free(copying->path);
	free(copying);
	return err_set(err, ENOMEM, "The server is out of memory.");
}

void backup_abort(struct service *service)
{
	struct err err;

	if (service->copying)
		finish(service->copying, err_set(&err, ESHUTDOWN, "The server is stopping."), &err);
}

/* {"file": "/absolute/path"} */
void route_backup(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *path;
	struct err err;
	json_t *body;
	int r;

	if (http_body_object(request, 8192, &body) < 0)
		return;
	path = json_string_value(json_object_get(body, "file"));
	if (!path || path[0] != '/' || strlen(path) > 4000)
		r = err_set(&err, EINVAL, "The request content was malformed:\nsay {\"file\": \"/absolute/path\"}");
	else if (service->copying)
		r = err_set(&err, EEXIST, "a backup is being made: wait for it");
	else
		r = start(service, request, path, &err);
	json_decref(body);
	if (r < 0)
		entity_fail(request, r, &err);
}
