// SPDX-License-Identifier: Apache-2.0
/* Ending a container: kill, empty, release, remove, answer, clean up; in this order, because the host waits for the third. */
#include "agent/container.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "base/fd.h"
#include "base/log.h"
#include "h2/server.h"

#define TRIES_FAST	20	/* with 1 ms between */
#define TRIES_MAX	120	/* with 100 ms between: 10 to 12 s; then the caller is told, and tries go on */
#define CLEAN_MS	20	/* cleaning up waits this long, so that answers and reclaim go first */

static void try_remove(struct container *container);

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	remove(path);
	return 0;
}

static void remove_tree(const char *parent, const char *id)
{
	char path[128];

	snprintf(path, sizeof(path), RUN_DIR "/%s/%s", parent, id);
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void container_clean(struct container *container)
{
	struct agent *agent = container->agent;

	child_forget(&container->crun);
	child_forget(&container->init);
	claim_stop(&container->claim);
	runtime_close(&container->runtime);
	fd_close(&container->netns_fd);
	if (container->has_slot)
		net_pool_release(agent->nets, container->slot);
	remove_tree("bundle", container->request.id);
	remove_tree("crun", container->request.id);
	event_free(container->timer);
	LIST_REMOVE(container, entry);
	free(container);
}

static void answer_failure(struct container *container, struct h2_call *call)
{
	const char *reason = container->failure_reason ? container->failure_reason : "failed";

	answer_error(call, strcmp(reason, "no-partition") ? 500 : 503, reason, "%s",
		     container->failure[0] ? container->failure : "the container was deleted while it was made");
}

/* The cgroup is gone. */
static void removed(struct container *container)
{
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	json_t *partition = container->claim.partition >= 0 ? json_integer(container->claim.partition) : json_null();

	if (container->create_call)
		answer_failure(container, container->create_call);
	if (container->delete_call)
		answer_json(container->delete_call, 200,
			    json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "id", container->request.id, "partition", partition, "kill_ns",
				      (json_int_t)container->kill_ns, "empty_ns", (json_int_t)container->empty_ns, "removed_ns",
				      (json_int_t)now, "memory_peak_bytes", (json_int_t)container->peak_bytes));
	else
		json_decref(partition);
	container->create_call = container->delete_call = NULL;
	container->state = CONTAINER_GONE;
	container_set_timer(container, container_clean, CLEAN_MS);
}

/* Tells who waits that it lasts too long, every time it does; the tries go on. */
static void give_up_waiting(struct container *container, const char *what)
{
	char text[200];

	snprintf(text, sizeof(text), "container %s: %s after 10 s; the agent goes on trying", container->request.id, what);
	log_error("%s", text);
	if (container->create_call)
		answer_error(container->create_call, 500, "failed", "%s", text);
	if (container->delete_call)
		answer_error(container->delete_call, 500, "failed", "%s", text);
	container->create_call = container->delete_call = NULL;
}

static void retry(struct container *container, const char *what)
{
	container->remove_tries++;
	if (container->remove_tries % TRIES_MAX == 0)
		give_up_waiting(container, what);
	container_set_timer(container, try_remove, container->remove_tries < TRIES_FAST ? 1 : 100);
}

static void stop_watching(struct container *container)
{
	pri_remove(container->agent->pri, &container->populated);
	fd_close(&container->events_fd);
}

static void try_remove(struct container *container)
{
	int r;

	if (container->events_fd >= 0) {
		if (cgroup_populated(container->events_fd)) {
			cgroup_kill(&container->cgroup);
			retry(container, "processes are left");
			return;
		}
		container->empty_ns = clock_ns(CLOCK_BOOTTIME);
		if (container->claim.partition >= 0)
			claim_release(container->cgroup.fd);
		stop_watching(container);
	}
	r = cgroup_remove(&container->cgroup);
	if (r < 0) {
		retry(container, "the cgroup cannot be removed");
		return;
	}
	container_stop_timer(container);
	removed(container);
}

static void on_populated(struct pri_watch *watch)
{
	struct container *container = watch->userdata;

	if (!cgroup_populated(container->events_fd))
		try_remove(container);
}

void container_end(struct container *container)
{
	container->state = CONTAINER_ENDING;
	container->peak_bytes = cgroup_u64(&container->cgroup, "memory.peak");
	if (container->cgroup.fd >= 0)
		container->events_fd = openat(container->cgroup.fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	container->kill_ns = container->empty_ns = clock_ns(CLOCK_BOOTTIME);
	cgroup_kill(&container->cgroup);
	if (container->crun.pid)
		kill(container->crun.pid, SIGKILL);
	child_forget(&container->crun);
	container->populated.changed = on_populated;
	container->populated.userdata = container;
	if (container->events_fd >= 0)
		pri_add(container->agent->pri, &container->populated, container->events_fd);
	/* The timer is the way out of a lost notice, and of callers' stacks. */
	container_set_timer(container, try_remove, container->events_fd >= 0 && cgroup_populated(container->events_fd) ? 100 : 0);
	claim_stop(&container->claim);
	net_pool_cancel(container->agent->nets, &container->net);
	container_drop_runs(container);
	runtime_close(&container->runtime);
}

void container_fail(struct container *container, const char *reason, const char *text)
{
	if (container->state != CONTAINER_CREATING)
		return;
	log_warning("%s", text);
	container->failure_reason = reason;
	snprintf(container->failure, sizeof(container->failure), "%s", text);
	container_end(container);
}

void container_delete(struct container *container, struct h2_call *call)
{
	if (container->delete_call) {
		answer_error(call, 409, "busy", "container %s is being deleted already", container->request.id);
		return;
	}
	container->delete_call = call;
	if (container->state != CONTAINER_ENDING)
		container_end(container);
}
