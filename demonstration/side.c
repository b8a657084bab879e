// SPDX-License-Identifier: Apache-2.0
#include "demonstration/side.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "demonstration/daemon.h"
#include "demonstration/plan.h"

#define READY_MS 90000
#define ANSWER_MS 240000	/* a call of a cold function, six at once on two emulated CPUs */
#define EVICT_MS 120000
#define POLL_MS 200
#define QUIET_MS 1500		/* of samples before and after the evictions, for the picture */
#define NODES (1u << 21)
#define DEGREE 10

/* The burst. */
static const struct plan plans[SIDE_CALLS] = {
	{ .kind = PLAN_BFS, .graph = { .seed = 1, .nodes = NODES, .degree = DEGREE } },
	{ .kind = PLAN_BFS, .graph = { .seed = 2, .nodes = NODES, .degree = DEGREE } },
	{ .kind = PLAN_BFS, .graph = { .seed = 3, .nodes = NODES, .degree = DEGREE } },
	{ .kind = PLAN_BFS, .graph = { .seed = 4, .nodes = NODES, .degree = DEGREE } },
	{ .kind = PLAN_WORDS, .file = "/usr/share/common-licenses/GPL-3" },
	{ .kind = PLAN_WORDS, .file = "/usr/share/common-licenses/Apache-2.0" },
};

/* Later calls: they find an idle instance. */
static const struct plan warm_plans[SIDE_WORDS] = {
	{ .kind = PLAN_WORDS, .file = "/usr/share/common-licenses/GPL-2" },
	{ .kind = PLAN_WORDS, .file = "/usr/share/common-licenses/Artistic" },
};

static void pause_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static double seconds_since(uint64_t ns)
{
	return (double)(clock_ns(CLOCK_MONOTONIC) - ns) / 1e9;
}

/* A port that nobody listens on, so that the demonstration runs beside a daemon in use. */
static unsigned int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int port = 0;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&address, length) && !getsockname(fd, (struct sockaddr *)&address, &length))
		port = ntohs(address.sin_port);
	fd_close(&fd);
	return port;
}

static int put_action(const struct http *http, enum plan_kind kind, struct err *err)
{
	char file[128], path[160], code[8192];
	json_t *body;
	int r;

	snprintf(file, sizeof(file), "demonstration/functions/%s.py", plan_action(kind));
	r = file_read_text(AT_FDCWD, file, code, sizeof(code));
	if (r)
		return err_set(err, -r, "%s cannot be read: %s; run the demonstration from the source folder", file, strerror(-r));
	snprintf(path, sizeof(path), "/api/v1/namespaces/_/actions/%s?overwrite=true", plan_action(kind));
	body = json_pack("{s:{s:s, s:s}, s:{s:i, s:i}}", "exec", "kind", "python:3", "code", code, "limits", "memory", SIDE_PARTITION_MIB,
			 "timeout", ANSWER_MS);
	r = http_once(http, "PUT", path, body, NULL, err);
	json_decref(body);
	return r;
}

/* The first VM of the daemon's status, or NULL. */
static json_t *first_vm(const json_t *status)
{
	return json_array_get(json_object_get(status, "vms"), 0);
}

static int wait_ready(const struct http *http, struct err *err)
{
	for (unsigned int waited = 0; waited < READY_MS; waited += POLL_MS) {
		json_t *status = NULL;
		int r = http_once(http, "GET", "/squeezy/v1/status", NULL, &status, err);
		bool ready = !r && json_is_object(json_object_get(first_vm(status), "hello"));

		json_decref(status);
		if (r || ready)
			return r;
		pause_ms(POLL_MS);
	}
	return err_set(err, ETIMEDOUT, "the VM was not ready after %d s", READY_MS / 1000);
}

/* A call that outlasts the 60 s a client may wait is answered 202; its record comes later. */
static int wait_activation(const struct http *http, struct http_call *call, struct err *err)
{
	const char *id = json_string_value(json_object_get(call->answer, "activationId"));
	char path[160];

	if (call->status != 202 || !id)
		return 0;
	snprintf(path, sizeof(path), "/api/v1/namespaces/_/activations/%s", id);
	for (unsigned int waited = 0; waited < ANSWER_MS; waited += POLL_MS) {
		json_t *record = NULL;

		if (!http_once(http, "GET", path, NULL, &record, NULL)) {
			json_decref(call->answer);
			call->answer = record;
			call->status = 200;
			return 0;
		}
		pause_ms(POLL_MS);
	}
	return err_set(err, ETIMEDOUT, "%s was not answered in %d s", call->path, ANSWER_MS / 1000);
}

static int check_call(const struct plan *plan, const struct http_call *call, struct err *err)
{
	const json_t *result = json_object_get(json_object_get(call->answer, "response"), "result");
	const char *why = json_string_value(json_object_get(result, "error"));
	char said[300];
	int r;

	why = why ? why : json_string_value(json_object_get(call->answer, "error"));
	if (call->status != 200)
		return err_set(err, EREMOTEIO, "%s answered %d: %s", plan_action(plan->kind), call->status,
			       call->status ? why ? why : "no reason given" : call->err.text);
	r = plan_check(plan, result, said, sizeof(said), err);
	if (!r)
		printf("   right  %s\n", said);
	return r;
}

/* All calls at once; each answer is compared with the host's own. n is at most SIDE_CALLS. */
static int burst(const struct http *http, const struct plan *list, unsigned int n, double *ret_seconds, struct err *err)
{
	struct http_call calls[SIDE_CALLS] = { 0 };
	json_t *bodies[SIDE_CALLS] = { 0 };
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	int r = 0;

	for (unsigned int i = 0; !r && i < n; i++) {
		r = plan_arguments(&list[i], &bodies[i], err);
		calls[i] = (struct http_call){ .method = "POST", .body = bodies[i], .timeout_ms = ANSWER_MS };
		snprintf(calls[i].path, sizeof(calls[i].path), "/api/v1/namespaces/_/actions/%s?blocking=true", plan_action(list[i].kind));
	}
	if (!r)
		r = http_burst(http, calls, n, err);
	for (unsigned int i = 0; !r && i < n; i++)
		r = wait_activation(http, &calls[i], err);
	*ret_seconds = seconds_since(start);
	for (unsigned int i = 0; !r && i < n; i++)
		r = check_call(&list[i], &calls[i], err);
	for (unsigned int i = 0; i < n; i++) {
		http_call_clear(&calls[i]);
		json_decref(bodies[i]);
	}
	return r;
}

static void tell_instances(const struct side *side)
{
	const json_t *vm = first_vm(side->status), *one;
	size_t i;

	printf("   %zu instances in one VM:", json_array_size(json_object_get(vm, "instances")));
	json_array_foreach(json_object_get(vm, "instances"), i, one) {
		printf(" %s", json_string_value(json_object_get(one, "id")));
		if (json_is_integer(json_object_get(one, "partition")))
			printf(" in partition %lld", (long long)json_integer_value(json_object_get(one, "partition")));
		printf("%s", i + 1 < json_array_size(json_object_get(vm, "instances")) ? "," : "\n");
	}
	printf("   host memory of the device: %lld MiB resident, %lld MiB of it in huge pages\n",
	       (long long)json_integer_value(json_object_get(vm, "resident_bytes")) >> 20,
	       (long long)json_integer_value(json_object_get(vm, "resident_thp_bytes")) >> 20);
}

static int check_scale(const struct side *side, struct err *err)
{
	size_t vms = json_array_size(json_object_get(side->status, "vms"));
	size_t instances = json_array_size(json_object_get(first_vm(side->status), "instances"));

	if (vms != 1 || instances != SIDE_CALLS)
		return err_set(err, EPROTO, "the burst of %d calls made %zu instances in %zu VMs, not %d in one", SIDE_CALLS, instances, vms,
			       SIDE_CALLS);
	return 0;
}

/* Ends all idle instances and waits until the record of each is there. */
static int evict(const struct http *http, struct side *side, struct err *err)
{
	json_t *body = json_pack("{s:b}", "idle", 1);
	int r = http_once(http, "POST", "/squeezy/v1/evict", body, NULL, err);

	json_decref(body);
	for (unsigned int waited = 0; !r && waited < EVICT_MS; waited += POLL_MS) {
		json_decref(side->reclaims);
		side->reclaims = NULL;
		r = http_once(http, "GET", "/squeezy/v1/reclaims", NULL, &side->reclaims, err);
		if (r || json_array_size(side->reclaims) >= SIDE_CALLS)
			return r;
		pause_ms(POLL_MS);
	}
	return r ? r : err_set(err, ETIMEDOUT, "only %zu of %d instances were evicted in %d s", json_array_size(side->reclaims), SIDE_CALLS,
			       EVICT_MS / 1000);
}

static int converse(const struct http *http, struct side *side, uint64_t start, struct err *err)
{
	int r = put_action(http, PLAN_BFS, err);

	if (!r)
		r = put_action(http, PLAN_WORDS, err);
	if (!r)
		r = wait_ready(http, err);
	side->ready_s = seconds_since(start);
	if (!r)
		printf("   agent ready %.1f s after the daemon's start; now %d calls at once\n", side->ready_s, SIDE_CALLS);
	fflush(stdout);
	if (!r)
		r = burst(http, plans, SIDE_CALLS, &side->cold_s, err);
	if (!r) {
		printf("   all six after %.1f s; two more calls find warm instances:\n", side->cold_s);
		r = burst(http, warm_plans, SIDE_WORDS, &side->warm_s, err);
	}
	if (!r)
		printf("   both after %.2f s\n", side->warm_s);
	fflush(stdout);
	if (!r)
		r = http_once(http, "GET", "/squeezy/v1/status", NULL, &side->status, err);
	if (!r)
		r = check_scale(side, err);
	if (r)
		return r;
	tell_instances(side);
	pause_ms(QUIET_MS);
	side->evicted_ms = clock_ns(CLOCK_REALTIME) / 1000000;
	r = evict(http, side, err);
	pause_ms(QUIET_MS);
	return r ? r : http_once(http, "GET", "/squeezy/v1/samples", NULL, &side->samples, err);
}

int side_run(struct side *side, const char *backend, const char *dir, struct err *err)
{
	char partitions[16], size[16];
	char *arguments[] = { "--backend", (char *)backend, "--partitions", partitions, "--partition-size", size, "--keep-alive", "600",
			      "--sample-ms", "100", "--prestart", NULL };
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	struct daemon daemon;
	int r;

	*side = (struct side){ .backend = backend };
	snprintf(partitions, sizeof(partitions), "%d", SIDE_PARTITIONS);
	snprintf(size, sizeof(size), "%dM", SIDE_PARTITION_MIB);
	r = daemon_start(&daemon, dir, free_port(), arguments, err);
	if (r)
		return r;
	r = converse(&daemon.http, side, start, err);
	daemon_stop(&daemon);
	return r ? err_wrap(err, "%s (logs in %s)", backend, dir) : 0;
}

void side_clear(struct side *side)
{
	json_decref(side->status);
	json_decref(side->reclaims);
	json_decref(side->samples);
}
