// SPDX-License-Identifier: Apache-2.0
#include "agent/api.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/boot.h"
#include "agent/container.h"
#include "agent/events.h"
#include "agent/info.h"
#include "agent/inspect.h"
#include "agent/oci.h"
#include "base/err.h"
#include "h2/server.h"

#define CONTAINERS		"/v1/containers"
#define CREATE_BODY_MAX		65536
#define MEMORY_MIN		(1u << 20)
#define PIDS_DEFAULT		1024
#define PIDS_MAX		4194304
#define TMPFS_DEFAULT		(64u << 20)
#define SIZE_MAX_BYTES		(1ull << 46)
#define CONCURRENCY_MAX		500
#define CREATE_TIMEOUT_MS	60000
#define CREATE_TIMEOUT_MAX_MS	600000

static const char *const python_argv[] = { "/usr/bin/python3", "-I", "-S", "/usr/lib/squeezy/runtimes/python/launcher.py", NULL };
static const char *const native_argv[] = { "/usr/bin/python3", "-I", "-S", "/usr/lib/squeezy/runtimes/native/launcher.py", NULL };
static const char *const node_argv[] = {
	"/usr/lib/squeezy/runtimes/nodejs/node", "/usr/lib/squeezy/runtimes/nodejs/launcher.js", NULL
};
static const char *const bench_argv[] = { "/usr/lib/squeezy/runtimes/bench/bench-runtime", NULL };

static const struct {
	const char *kind;
	const char *const *argv;
	bool overlaps;		/* numbers its answers: may do several runs at once */
} kinds[] = {
	{ "python:3", python_argv, false },
	{ "python:3.11", python_argv, false },
	{ "nodejs:20", node_argv, true },
	{ "native", native_argv, false },
	{ "bench", bench_argv, false },
};

/* A member that must be a whole number in [min, max]; absent: fallback. */
static int number(const json_t *object, const char *name, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	const json_t *member = json_object_get(object, name);

	*ret = fallback;
	if (!member)
		return fallback >= min ? 0 : err_set(err, EINVAL, "\"%s\" is missing", name);
	if (!json_is_integer(member) || json_integer_value(member) < (json_int_t)min || json_integer_value(member) > (json_int_t)max)
		return err_set(err, EINVAL, "\"%s\" must be a whole number from %" PRIu64 " to %" PRIu64, name, min, max);
	*ret = (uint64_t)json_integer_value(member);
	return 0;
}

static int parse_kind(const json_t *object, struct container_request *ret, struct err *err)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(kinds[i].kind, kind)) {
			ret->kind = kinds[i].kind;
			ret->argv = kinds[i].argv;
			return kinds[i].overlaps || ret->concurrency == 1 ? 0 :
			       err_set(err, EINVAL, "\"concurrency\" must be 1: a runtime of kind %s does one thing at a time", kind);
		}
	}
	return err_set(err, ENOENT, "\"kind\" must be python:3, python:3.11, nodejs:20, native or bench");
}

static int parse_object(const json_t *object, struct container_request *ret, struct err *err)
{
	const char *id = json_string_value(json_object_get(object, "id"));
	int r;

	if (!id || !oci_id_valid(id))
		return err_set(err, EINVAL, "\"id\" must be 1 to 32 of a-z, 0-9 and '-', not '-' first");
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	ret->claim = json_is_true(json_object_get(object, "claim"));
	r = number(object, "memory_bytes", 0, MEMORY_MIN, SIZE_MAX_BYTES, &ret->memory_bytes, err);
	if (r == 0)
		r = number(object, "tmpfs_bytes", TMPFS_DEFAULT, OCI_TMPFS_MIN, SIZE_MAX_BYTES, &ret->tmpfs_bytes, err);
	if (r == 0)
		r = number(object, "pids_max", PIDS_DEFAULT, 4, PIDS_MAX, &ret->pids_max, err);
	if (r == 0)
		r = number(object, "timeout_ms", CREATE_TIMEOUT_MS, 1, CREATE_TIMEOUT_MAX_MS, &ret->timeout_ms, err);
	if (r == 0)
		r = number(object, "concurrency", 1, 1, CONCURRENCY_MAX, &ret->concurrency, err);
	return r == 0 ? parse_kind(object, ret, err) : r;
}

int api_parse_create(const char *body, size_t len, struct container_request *ret, struct err *err)
{
	json_error_t error;
	json_t *object;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (len > CREATE_BODY_MAX)
		return err_set(err, EINVAL, "the body is over %d bytes", CREATE_BODY_MAX);
	object = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object))
		r = err_set(err, EINVAL, "the body is not a JSON object: %s", object ? "another kind of value" : error.text);
	else
		r = parse_object(object, ret, err);
	json_decref(object);
	return r;
}

bool api_container_path(const char *path, const char *suffix, char id[33])
{
	static const char prefix[] = CONTAINERS "/";
	const char *start = path + sizeof(prefix) - 1;
	size_t len;

	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return false;
	len = strcspn(start, "/");
	if (len > 32 || strcmp(start + len, suffix))
		return false;
	memcpy(id, start, len);
	id[len] = '\0';
	return oci_id_valid(id);
}

static void hello(struct api *api, struct h2_call *call)
{
	const char *version = h2_call_header(call, "squeezy-protocol");

	if (!version || strcmp(version, "1")) {
		answer_error(call, 505, "protocol", "this agent speaks squeezy-protocol 1, not '%s'", version ? version : "(header missing)");
		return;
	}
	api->greeted = true;
	info_hello(api->agent, call);
}

static void create(struct api *api, struct h2_call *call)
{
	const struct agent *agent = api->agent;
	struct container_request request;
	struct err err;
	size_t len;
	char *body = h2_call_body(call, &len);
	int r = api_parse_create(body, len, &request, &err);

	if (r == 0 && request.claim && agent->partitions && request.memory_bytes > agent->partition_bytes)
		r = err_set(&err, EINVAL, "\"memory_bytes\" is larger than a partition (%" PRIu64 " bytes)", agent->partition_bytes);
	if (r < 0)
		answer_error(call, 400, r == -ENOENT ? "kind" : "bad-request", "%s", err.text);
	else
		container_create(api->agent, &request, call);
}

/* A number from the query string, or fallback. */
static uint64_t query(const char *path, const char *name, uint64_t fallback)
{
	const char *at = strchr(path, '?');
	size_t len = strlen(name);

	while (at) {
		at++;
		if (!strncmp(at, name, len) && at[len] == '=')
			return strtoull(at + len + 1, NULL, 10);
		at = strchr(at, '&');
	}
	return fallback;
}

static void poweroff(struct api *api, struct h2_call *call)
{
	answer_json(call, 202, json_object());
	boot_poweroff_soon(api->agent->base);
}

/* Requests about one container. False if the path is none of them. */
static bool container_call(struct api *api, struct h2_call *call, const char *method, const char *path)
{
	struct container *container;
	bool post = !strcmp(method, "POST");
	bool init, run, gone;
	char id[33];

	init = post && api_container_path(path, "/init", id);
	run = !init && post && api_container_path(path, "/run", id);
	gone = !init && !run && !strcmp(method, "DELETE") && api_container_path(path, "", id);
	if (!init && !run && !gone)
		return false;
	container = container_find(api->agent, id);
	if (!container)
		answer_error(call, 404, "unknown", "there is no container %s", id);
	else if (gone)
		container_delete(container, call);
	else
		container_exchange(container, call, init);
	return true;
}

void api_call(struct api *api, struct h2_call *call)
{
	const char *method = h2_call_method(call), *path = h2_call_path(call);
	bool get = !strcmp(method, "GET"), post = !strcmp(method, "POST");
	unsigned int partition;

	if (get && !strcmp(path, "/v1/hello"))
		hello(api, call);
	else if (!api->greeted)
		answer_error(call, 425, "protocol", "the first request must be GET /v1/hello with the header squeezy-protocol: 1");
	else if (post && !strcmp(path, CONTAINERS))
		create(api, call);
	else if (get && !strcmp(path, CONTAINERS))
		info_containers(api->agent, call);
	else if (get && inspect_path(path, &partition))
		inspect_partition(api->agent, partition, call);
	else if (get && !strcmp(path, "/v1/memory"))
		info_memory(api->agent, call);
	else if (get && (!strcmp(path, "/v1/events") || !strncmp(path, "/v1/events?", 11)))
		events_poll(api->agent->events, call, query(path, "after", 0), query(path, "wait_ms", 0));
	else if (post && !strcmp(path, "/v1/poweroff"))
		poweroff(api, call);
	else if (!container_call(api, call, method, path))
		answer_error(call, 404, "unknown", "no such request: %.16s %.200s", method, path);
}
