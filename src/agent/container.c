// SPDX-License-Identifier: Apache-2.0
#include "agent/container.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/oci.h"
#include "base/err.h"
#include "base/fd.h"
#include "h2/server.h"

#define CRUN			"/usr/bin/crun"
#define UID_BASE		20000	/* + slot: no two containers share a user id */
#define READY_LINE_MAX		4096
#define READY_LOGS_MAX		4096

struct container *container_find(struct agent *agent, const char *id)
{
	struct container *container;

	LIST_FOREACH(container, &agent->containers, entry) {
		if (container->state != CONTAINER_GONE && !strcmp(container->request.id, id))
			return container;
	}
	return NULL;
}

/* The files of an ended container of the same name would be in the way. */
static void clean_gone(struct agent *agent, const char *id)
{
	struct container *container, *next;

	for (container = LIST_FIRST(&agent->containers); container; container = next) {
		next = LIST_NEXT(container, entry);
		if (container->state == CONTAINER_GONE && !strcmp(container->request.id, id))
			container_clean(container);
	}
}

static void bundle_path(const struct container *container, const char *file, char *path, size_t size)
{
	snprintf(path, size, RUN_DIR "/bundle/%s%s%s", container->request.id, file ? "/" : "", file ? file : "");
}

static int write_bundle(const struct container *container, struct err *err)
{
	char netns[64], path[128];
	const struct oci_spec spec = {
		.id = container->request.id, .argv = container->request.argv, .netns = netns, .uid = UID_BASE + container->slot,
		.tmpfs_bytes = container->request.tmpfs_bytes, .pids_max = container->request.pids_max,
	};
	cleanup_fd int fd = -1;
	char *text;
	bool ok;

	snprintf(netns, sizeof(netns), "/proc/1/fd/%d", container->netns_fd);
	mkdir(RUN_DIR "/bundle", 0700);
	bundle_path(container, NULL, path, sizeof(path));
	mkdir(path, 0700);
	bundle_path(container, "config.json", path, sizeof(path));
	text = oci_config(&spec);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ok = text && fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	free(text);
	return ok ? 0 : err_set(err, ENOSPC, "cannot write %s", path);
}

/* The container is ready for its first code. */
static void ready(struct container *container)
{
	struct h2_call *call = container->create_call;
	json_t *partition = container->claim.partition >= 0 ? json_integer(container->claim.partition) : json_null();

	container_stop_timer(container);
	container->create_call = NULL;
	container->state = CONTAINER_READY;
	answer_json(call, 201, json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "id", container->request.id, "partition", partition, "create_ns",
					 (json_int_t)container->create_ns, "net_ns", (json_int_t)container->net_ns, "claim_wait_ns", (json_int_t)container->claim_ns, "crun_ns",
					 (json_int_t)container->crun_ns, "go_ns", (json_int_t)container->go_ns, "ready_ns",
					 (json_int_t)(clock_ns(CLOCK_BOOTTIME) - container->start_ns)));
}

/* The end of the exchange that waits for {"ok":true}. */
static void on_first_line(struct runtime *runtime, struct exchange *exchange, enum runtime_end end)
{
	struct container *container = runtime->userdata;
	struct exchange *hello = &container->hello;
	char text[600];

	if (end == RUNTIME_LINE && hello->line.text.data && strstr(hello->line.text.data, "\"ok\"")) {
		runtime->ended = container_runtime_ended;
		exchange_clear(hello);
		ready(container);
		return;
	}
	if (!exchange)
		(void)runtime_take(runtime);
	snprintf(text, sizeof(text), "the runtime of container %s did not start: %.400s", container->request.id,
		 logs_finish(&hello->logs, clock_ns(CLOCK_REALTIME) / 1000000));
	exchange_clear(hello);
	container_fail(container, "failed", text);
}

static bool read_pid(const struct container *container, pid_t *ret)
{
	char path[128];
	uint64_t pid;

	bundle_path(container, "pid", path, sizeof(path));
	if (file_read_u64(AT_FDCWD, path, &pid) < 0 || pid < 2 || pid > INT32_MAX)
		return false;
	*ret = (pid_t)pid;
	return true;
}

static void on_started(struct child *child, int status)
{
	struct container *container = child->userdata;
	char text[200];

	if (container->state != CONTAINER_CREATING || status == 0)
		return;
	snprintf(text, sizeof(text), "crun start of container %s failed (status %d)", container->request.id, WEXITSTATUS(status));
	container_fail(container, "failed", text);
}

/* Both halves are through: let the first process go on to the runtime, whose memory then comes from the partition. */
static void start_if_both(struct container *container)
{
	const char *const argv[] = { CRUN, "--root", RUN_DIR "/crun", "--cgroup-manager", "cgroupfs", "start", container->request.id, NULL };
	const int fds[4] = { -1, -1, STDERR_FILENO, -1 };
	struct err err;

	if (!container->created || !container->may_start)
		return;
	container->go_ns = clock_ns(CLOCK_BOOTTIME) - container->start_ns;
	container->crun.ended = on_started;
	if (child_spawn(container->agent->children, &container->crun, argv, fds, &err) < 0)
		container_fail(container, "failed", err.text);
}

static void on_created(struct child *child, int status)
{
	struct container *container = child->userdata;
	int init_status;
	pid_t pid;

	if (container->state != CONTAINER_CREATING)
		return;
	if (status != 0 || !read_pid(container, &pid)) {
		/* Its words are in the log. */
		runtime_exited(&container->runtime);
		return;
	}
	if (!child_adopt(container->agent->children, &container->init, pid, &init_status)) {
		container_exited(&container->init, init_status);
		return;
	}
	container->created = true;
	container->crun_ns = clock_ns(CLOCK_BOOTTIME) - container->start_ns;
	start_if_both(container);
}

static void on_claim(struct claim *claim, int error)
{
	struct container *container = claim->userdata;
	char text[200];

	if (error) {
		snprintf(text, sizeof(text), "container %s cannot claim a partition: %s", container->request.id, strerror(-error));
		container_fail(container, "failed", text);
		return;
	}
	container->claim_ns = clock_ns(CLOCK_BOOTTIME) - container->start_ns;
	container->may_start = true;
	start_if_both(container);
}

static void on_create_timeout(struct container *container)
{
	char text[200];

	snprintf(text, sizeof(text), "container %s: %s within %" PRIu64 " ms", container->request.id,
		 container->may_start ? "not ready" : "no partition was populated and free", container->request.timeout_ms);
	container_fail(container, container->may_start ? "failed" : "no-partition", text);
}

static int start_claim(struct container *container, struct err *err)
{
	int r;

	container->may_start = !container->request.claim;
	if (!container->request.claim)
		return 0;
	container->claim.ended = on_claim;
	container->claim.userdata = container;
	r = claim_start(&container->claim, container->agent->base, container->agent->pri, container->cgroup.fd, err);
	if (r == 1) {
		container->may_start = true;
		container->claim_ns = clock_ns(CLOCK_BOOTTIME) - container->start_ns;
	}
	return r < 0 ? r : 0;
}

static int start_crun(struct container *container, struct err *err)
{
	const char *const argv[] = { CRUN, "--root", RUN_DIR "/crun", "--cgroup-manager", "cgroupfs", "create", "--bundle", NULL, "--pid-file",
				     NULL, "--preserve-fds", "1", container->request.id, NULL };
	const char *args[sizeof(argv) / sizeof(argv[0])];
	char bundle[128], pid_file[128];
	int fds[RUNTIME_FDS], r;

	memcpy(args, argv, sizeof(argv));
	bundle_path(container, NULL, bundle, sizeof(bundle));
	bundle_path(container, "pid", pid_file, sizeof(pid_file));
	args[7] = bundle;
	args[9] = pid_file;
	container->runtime.ended = on_first_line;
	container->runtime.userdata = container;
	r = runtime_open(&container->runtime, container->agent->base, fds, err);
	if (r < 0)
		return r;
	container->crun.ended = on_created;
	container->crun.userdata = container;
	r = child_spawn(container->agent->children, &container->crun, args, fds, err);
	for (int i = 0; i < RUNTIME_FDS; i++)
		fd_close(&fds[i]);
	if (r == 0)
		r = runtime_exchange(&container->runtime, &container->hello, NULL, 0, container->request.timeout_ms + 1000, READY_LINE_MAX,
				     READY_LOGS_MAX);
	return r;
}

/* The network is there, or cannot be had. */
static void on_net(struct net_wait *wait, unsigned int slot, int netns_fd, const char *error)
{
	struct container *container = wait->userdata;
	struct err err;

	if (error) {
		container_fail(container, "failed", error);
		return;
	}
	container->has_slot = true;
	container->slot = slot;
	container->netns_fd = netns_fd;
	container->net_ns = clock_ns(CLOCK_BOOTTIME) - container->start_ns;
	if (write_bundle(container, &err) < 0 || start_crun(container, &err) < 0)
		container_fail(container, "failed", err.text);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata);

static struct container *container_new(struct agent *agent, const struct container_request *request)
{
	struct container *container = calloc(1, sizeof(*container));

	if (!container)
		return NULL;
	container->agent = agent;
	container->request = *request;
	container->state = CONTAINER_CREATING;
	container->cgroup.fd = container->netns_fd = container->events_fd = container->populated.fd = -1;
	TAILQ_INIT(&container->runtime.exchanges);
	for (int i = 0; i < RUNTIME_FDS; i++)
		container->runtime.fds[i] = -1;
	claim_init(&container->claim);
	container->init.ended = container_exited;
	container->init.userdata = container;
	container->timer = event_new(agent->base, -1, 0, on_timer, container);
	container->net.ready = on_net;
	container->net.userdata = container;
	if (!container->timer) {
		free(container);
		return NULL;
	}
	LIST_INSERT_HEAD(&agent->containers, container, entry);
	return container;
}

void container_create(struct agent *agent, const struct container_request *request, struct h2_call *call)
{
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	struct container *container;
	struct err err;

	if (container_find(agent, request->id)) {
		answer_error(call, 409, "exists", "there is a container %s already", request->id);
		return;
	}
	clean_gone(agent, request->id);
	container = container_new(agent, request);
	if (!container) {
		answer_error(call, 500, "failed", "cannot make container %s: out of memory", request->id);
		return;
	}
	container->create_call = call;
	container->start_ns = now;
	container_set_timer(container, on_create_timeout, request->timeout_ms);
	if (cgroup_make(&container->cgroup, request->id, request->memory_bytes, request->pids_max, &err) < 0) {
		container_fail(container, "failed", err.text);
		return;
	}
	container->create_ns = clock_ns(CLOCK_BOOTTIME) - now;
	if (start_claim(container, &err) < 0)
		container_fail(container, "failed", err.text);
	else
		net_pool_take(agent->nets, &container->net);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct container *container = userdata;

	container->on_timer(container);
}

void container_set_timer(struct container *container, void (*fn)(struct container *), uint64_t ms)
{
	const struct timeval limit = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	container->on_timer = fn;
	event_add(container->timer, &limit);
}

void container_stop_timer(struct container *container)
{
	event_del(container->timer);
}
