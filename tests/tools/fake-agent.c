// SPDX-License-Identifier: Apache-2.0
/* The agent's side of the stand-in (fake.h): proto/SPEC.md over the HTTP/2 server. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "fake.h"
#include "h2/server.h"

#define CONTAINERS_MAX 256

struct container {
	char id[40];
	char code[4096];
	json_t *env;
	int partition;
	int delete_tries;
	struct h2_call *waiting;	/* its creation, until there is a partition */
};

static struct fake *fake;
static struct container containers[CONTAINERS_MAX];
static struct h2_call *events_call;	/* the open question for events */
static json_int_t events_seq;

static void answer(struct h2_call *call, unsigned int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(json);
	h2_call_answer(call, status, text, text ? strlen(text) : 0);
}

static void refuse(struct h2_call *call, unsigned int status, const char *reason)
{
	answer(call, status, json_pack("{s:s, s:s, s:[]}", "error", reason, "reason", reason, "logs"));
}

static struct container *find(const char *id)
{
	for (size_t i = 0; i < CONTAINERS_MAX; i++)
		if (!strcmp(containers[i].id, id))
			return &containers[i];
	return NULL;
}

static void created(struct container *container)
{
	struct h2_call *call = container->waiting;

	container->waiting = NULL;
	answer(call, 201, json_pack("{s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i}", "id", container->id, "partition",
				    container->partition >= 0 ? json_integer(container->partition) : json_null(), "create_ns", 1000,
				    "net_ns", 1500, "claim_wait_ns", 2000, "crun_ns", 2200, "go_ns", 2300, "ready_ns", 3000));
}

void fake_agent_retry(void)
{
	for (size_t i = 0; i < CONTAINERS_MAX; i++) {
		if (!containers[i].waiting)
			continue;
		containers[i].partition = fake_claim(fake);
		if (containers[i].partition < 0)
			return;
		created(&containers[i]);
	}
}

static void create(struct h2_call *call, json_t *body)
{
	const char *id = json_string_value(json_object_get(body, "id"));
	struct container *container = find("");

	if (!id || find(id) || !container) {
		refuse(call, 409, "exists");
		return;
	}
	if (fake_is(fake, "no-partition")) {
		refuse(call, 503, "no-partition");
		return;
	}
	snprintf(container->id, sizeof(container->id), "%s", id);
	container->waiting = call;
	container->partition = -1;
	if (json_is_true(json_object_get(body, "claim")))
		fake_agent_retry();
	else
		created(container);
}

static void init(struct h2_call *call, struct container *container, json_t *body)
{
	json_t *value = json_object_get(body, "value");
	const char *code = json_string_value(json_object_get(value, "code"));

	if (code && !strncmp(code, "init-", 5)) {
		if (!strcmp(code, "init-error"))
			answer(call, 502, json_pack("{s:s, s:s, s:[]}", "error", "the code does not load", "reason", "init-error", "logs"));
		else
			refuse(call, 502, code + 5);
		return;
	}
	snprintf(container->code, sizeof(container->code), "%s", code ? code : "");
	container->env = json_incref(json_object_get(value, "env"));
	answer(call, 200, json_pack("{s:b, s:i, s:[]}", "ok", 1, "duration_ns", 1000000, "logs"));
}

static void answer_run(struct h2_call *call, json_t *result)
{
	answer(call, 200, json_pack("{s:o, s:i, s:[], s:b}", "result", result, "duration_ns", 1000000, "logs", "logs_truncated", 0));
}

static json_t *line(json_int_t t_ms, const char *stream, const char *text)
{
	return json_pack("{s:I, s:s, s:s}", "t_ms", t_ms, "stream", stream, "text", text);
}

static void run_log(struct h2_call *call)
{
	json_t *logs = json_array();

	json_array_append_new(logs, line(1700000000123ll, "stdout", "hello"));
	json_array_append_new(logs, line(1700000000456ll, "stderr", "world"));
	json_array_append_new(logs, line(1700000000789ll, "stderr", "Logs were truncated because the total bytes size exceeds the limit of "
					 "10485760 bytes."));
	answer(call, 200, json_pack("{s:{}, s:o, s:b}", "result", "logs", logs, "logs_truncated", 1));
}

static void run_flood(struct h2_call *call)
{
	size_t len = 70u << 20;
	char *text = malloc(len);

	memset(text, ' ', len);
	h2_call_answer(call, 200, text, len);
}

struct later {
	struct h2_call *call;
	json_t *result;
	struct event *timer;
};

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct later *later = arg;

	answer_run(later->call, later->result);
	event_free(later->timer);
	free(later);
}

static void run_later(struct h2_call *call, int ms, json_t *result)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };
	struct later *later = calloc(1, sizeof(*later));

	later->call = call;
	later->result = result;
	later->timer = evtimer_new(fake->base, on_later, later);
	event_add(later->timer, &after);
}

/* Tells that the container has ended, a moment after its answer. */
static void on_exit_timer(evutil_socket_t fd, short what, void *arg)
{
	struct container *container = arg;

	events_seq++;
	if (events_call)
		answer(events_call, 200, json_pack("{s:I, s:[{s:I, s:s, s:s, s:s, s:i}]}", "seq", events_seq, "events", "seq", events_seq,
						   "type", "container-exit", "id", container->id, "reason", "exited", "status", 1));
	events_call = NULL;
}

static void exit_later(struct container *container)
{
	struct timeval after = { .tv_usec = 50000 };

	event_base_once(fake->base, -1, EV_TIMEOUT, on_exit_timer, container, &after);
}

static void events(struct h2_call *call)
{
	if (fake_is(fake, "bad-events")) {
		answer(call, 200, json_pack("{s:I, s:[i, n]}", "seq", (json_int_t)-5, "events", 7));
		return;
	}
	if (events_call)
		answer(events_call, 200, json_pack("{s:I, s:[]}", "seq", events_seq, "events"));
	events_call = call;
}

static void run(struct h2_call *call, struct container *container, json_t *body)
{
	json_t *value = json_object_get(body, "value");
	const char *code = container->code;
	int ms;

	if (!strcmp(code, "die"))
		_exit(1);
	else if (!strcmp(code, "never"))
		return;
	else if (!strcmp(code, "error"))
		answer_run(call, json_pack("{s:s, s:i}", "error", "as asked", "more", 1));
	else if (!strcmp(code, "scalar"))
		answer_run(call, json_integer(7));
	else if (!strcmp(code, "array"))
		answer_run(call, json_pack("[i, i]", 1, 2));
	else if (!strcmp(code, "env"))
		answer_run(call, json_pack("{s:O, s:O}", "env", container->env, "run", body));
	else if (!strcmp(code, "log"))
		run_log(call);
	else if (!strcmp(code, "flood"))
		run_flood(call);
	else if (!strcmp(code, "garbage"))
		h2_call_answer(call, 200, strdup("{]"), 2);
	else if (!strcmp(code, "large"))
		answer(call, 502, json_pack("{s:s, s:s, s:i, s:[]}", "error", "large", "reason", "result-too-large", "size", 2000000, "logs"));
	else if (!strcmp(code, "exited") || !strcmp(code, "oom") || !strcmp(code, "timeout") || !strcmp(code, "bad-result"))
		refuse(call, 502, code);
	else if (!strncmp(code, "result ", 7))
		answer_run(call, json_loads(code + 7, JSON_DECODE_ANY, NULL));
	else if (!strcmp(code, "add"))
		answer_run(call, json_pack("{s:I}", "n", json_integer_value(json_object_get(value, "n")) + 1));
	else if (!strcmp(code, "ask") && json_object_get(value, "fail"))
		refuse(call, 502, json_string_value(json_object_get(value, "fail")));
	else if (!strcmp(code, "ask"))
		run_later(call, (int)json_integer_value(json_object_get(value, "ms")), json_incref(value));
	else if (sscanf(code, "sleep %d", &ms) == 1)
		run_later(call, ms, json_incref(value));
	else
		answer_run(call, json_incref(value));
	if (!strcmp(code, "leave"))
		exit_later(container);
}

static void end(struct h2_call *call, struct container *container)
{
	json_int_t now = (json_int_t)clock_ns(CLOCK_BOOTTIME);
	int partition = container->partition;

	if (fake_is(fake, "bad-delete") || (fake_is(fake, "slow-delete") && container->delete_tries++ < 3)) {
		refuse(call, 500, "failed");
		return;
	}
	answer(call, 200, json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "id", container->id, "partition",
				    partition >= 0 ? json_integer(partition) : json_null(), "kill_ns", now, "empty_ns", now + 1000,
				    "removed_ns", now + 2000, "memory_peak_bytes", (json_int_t)4 << 20));
	json_decref(container->env);
	memset(container, 0, sizeof(*container));
	fake_release(fake, partition);
}

static void memory(struct h2_call *call)
{
	json_t *partitions = json_array();

	for (unsigned int i = 0; i < fake->partitions; i++) {
		const struct fake_partition *partition = &fake->state[i];
		json_int_t managed = partition->populated ? (json_int_t)fake->partition_bytes : 0;

		json_array_append_new(partitions, json_pack("{s:i, s:s, s:I, s:I, s:I, s:I}", "id", (int)i, "state",
			partition->claimed ? "claimed" : partition->populated ? "populated" : "parked", "managed_bytes", managed,
			"free_bytes", partition->claimed ? managed - (4 << 20) : managed, "drained_ns", (json_int_t)partition->drained_ns,
			"returned_ns", (json_int_t)partition->drained_ns));
	}
	answer(call, 200, json_pack("{s:I, s:{s:I, s:{}, s:o}, s:{s:i}, s:I, s:I}", "now_ns", (json_int_t)clock_ns(CLOCK_BOOTTIME),
				    "squeezy", "partition_bytes", (json_int_t)fake->partition_bytes, "counters", "partitions", partitions,
				    "vmstat", "pgmigrate_success", 5, "memtotal_bytes", (json_int_t)1 << 30, "memavailable_bytes",
				    (json_int_t)1 << 29));
}

static void hello(struct h2_call *call)
{
	const char *protocol = h2_call_header(call, "squeezy-protocol");

	if (fake_is(fake, "no-hello"))
		return;
	if (fake_is(fake, "stock-kernel")) {
		answer(call, 200, json_pack("{s:i, s:n}", "protocol", 1, "squeezy"));
		return;
	}
	if (fake_is(fake, "old-agent") || !protocol || strcmp(protocol, "1"))
		answer(call, 505, json_pack("{s:s, s:s}", "error", "this agent speaks protocol 99", "reason", "protocol"));
	else
		answer(call, 200, json_pack("{s:i, s:s, s:s, s:I, s:{s:i, s:I}, s:i}", "protocol", 1, "agent", "fake", "kernel", "fake",
					    "boot_ns", (json_int_t)1, "squeezy", "partitions", (int)fake->partitions, "partition_bytes",
					    (json_int_t)fake->partition_bytes, "vcpus", 2));
}

static void container_call(struct h2_call *call, const char *path, json_t *body)
{
	struct container *container;
	char id[40] = "", verb[16] = "";

	sscanf(path, "/v1/containers/%39[^/]/%15s", id, verb);
	container = id[0] ? find(id) : NULL;
	if (!container)
		refuse(call, 404, "unknown");
	else if (!strcmp(h2_call_method(call), "DELETE"))
		end(call, container);
	else if (!strcmp(verb, "init"))
		init(call, container, body);
	else
		run(call, container, body);
}

/* Partition 0 is held by a pipe; what it is called would clear a terminal. */
static void partition(struct h2_call *call, const char *id)
{
	if (strcmp(id, "0"))
		refuse(call, 404, "unknown");
	else
		answer(call, 200, json_pack("{s:i, s:s, s:i, s:s, s:{s:i, s:i}, s:[], s:[{s:i, s:s, s:n, s:i, s:s, s:i}], s:b}", "partition", 0,
			"state", "released", "missing_bytes", 8192, "busy_reason", "references", "holders", "mapped", 0, "references", 8192,
			"tasks", "descriptors", "pid", 77, "command", "\033[2Jcat", "container", "fd", 5, "kind", "pipe", "bytes", 8192,
			"truncated", 0));
}

static void on_call(struct h2_call *call, void *userdata)
{
	const char *path = h2_call_path(call), *text;
	size_t len;
	json_t *body;

	text = h2_call_body(call, &len);
	body = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	if (!strcmp(path, "/v1/hello"))
		hello(call);
	else if (!strcmp(path, "/v1/containers"))
		create(call, body);
	else if (!strncmp(path, "/v1/containers/", 15))
		container_call(call, path, body);
	else if (!strcmp(path, "/v1/memory") && fake_is(fake, "bad-memory"))
		answer(call, 200, json_pack("{s:s, s:s, s:[i]}", "squeezy", "no", "vmstat", "none", "memtotal_bytes", 3));
	else if (!strcmp(path, "/v1/memory"))
		memory(call);
	else if (!strncmp(path, "/v1/events?", 11))
		events(call);
	else if (!strncmp(path, "/v1/partitions/", 15))
		partition(call, path + 15);
	else if (!strcmp(path, "/v1/poweroff"))
		exit(0);
	else
		refuse(call, 404, "unknown");
	json_decref(body);
}

static void on_closed(int error, void *userdata)
{
	exit(0);
}

void fake_agent_serve(struct fake *served, int fd)
{
	static const struct h2_server_ops ops = { .call = on_call, .closed = on_closed, .body_max = 64u << 20, .body_total_max = 256u << 20 };
	static char noise[4096];
	struct h2_server *server;

	fake = served;
	if (fake_is(fake, "bad-h2")) {
		memset(noise, 0xee, sizeof(noise));
		if (write(fd, noise, sizeof(noise)) < 0)
			exit(1);
		return;
	}
	if (h2_server_new(fake->base, fd, &ops, NULL, &server, NULL) < 0)
		exit(1);
}
