// SPDX-License-Identifier: Apache-2.0
/* Requests to the agent in the VM: proto/SPEC.md over the HTTP/2 client. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "h2/client.h"
#include "vm/vm-internal.h"

#define RUN_BODY_MAX	(64u << 20)
#define BODY_MAX	(64u << 10)
#define VALUES_MAX	(2u << 20)	/* a value takes some 80 bytes when it is parsed, whatever it took on the wire */
#define EVENTS_WAIT_MAX	30000

struct agent_call {
	struct vm *vm;
	struct vm_done done;
	uint64_t sent_ns;
};

struct agent_request {
	const char *method;
	const char *path;
	json_t *body;		/* borrowed, NULL: none */
	unsigned int timeout_ms;
	size_t body_max;
};

/* An error of the connection, seen from outside: that the VM is going is more worth knowing than that a stream was reset. */
static void fill_error(const struct vm *vm, const struct h2_response *response, struct vm_reply *reply)
{
	if (vm->state >= VM_KILLED)
		err_set(&reply->err, EPIPE, "%s", vm->why.code ? vm->why.text : "the VM has ended");
	else if (vm->state == VM_STOPPING)
		err_set(&reply->err, ECANCELED, "VM %s is stopping", vm->config.id);
	else
		err_set(&reply->err, response->error == -ECONNRESET ? EPIPE : -response->error, "VM %s: agent: %s", vm->config.id,
			response->text);
}

/* An upper bound of the values in a JSON text; what is inside of strings does not count. */
static size_t count_values(const char *text, size_t len)
{
	bool in_string = false;
	size_t n = 1;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			i += text[i] == '\\';	/* and what it escapes */
		else
			n += text[i] == '{' || text[i] == '[' || text[i] == ',';
	}
	return n;
}

static void fill_answer(const struct vm *vm, const struct h2_response *response, struct vm_reply *reply)
{
	json_error_t why;

	if (count_values(response->body, response->body_len) > VALUES_MAX) {
		err_set(&reply->err, EMSGSIZE, "VM %s: the agent's answer of %zu bytes holds more than %u values", vm->config.id,
			response->body_len, VALUES_MAX);
		return;
	}
	reply->body = json_loadb(response->body, response->body_len, JSON_ALLOW_NUL, &why);
	if (json_is_object(reply->body)) {
		reply->status = (int)response->status;
		return;
	}
	json_decref(reply->body);
	reply->body = NULL;
	err_set(&reply->err, EPROTO, "VM %s: the agent answered %u with something that is not a JSON object", vm->config.id,
		response->status);
}

static void on_response(const struct h2_response *response, void *userdata)
{
	struct agent_call *call = userdata;
	struct vm_reply reply = { .sent_ns = call->sent_ns, .answered_ns = clock_ns(CLOCK_MONOTONIC) };

	if (response->error)
		fill_error(call->vm, response, &reply);
	else
		fill_answer(call->vm, response, &reply);
	if (call->done.fn)
		call->done.fn(call->done.arg, &reply);
	json_decref(reply.body);
	free(call);
}

static int send_request(struct vm *vm, const struct agent_request *request, struct vm_done done, struct err *err)
{
	static const struct h2_header headers[] = { { "squeezy-protocol", "1" } };
	struct agent_call *call = malloc(sizeof(*call));
	char *text = request->body ? json_dumps(request->body, JSON_COMPACT) : NULL;
	struct h2_request wire = {
		.method = request->method, .path = request->path, .headers = headers, .n_headers = 1, .body = text,
		.body_len = text ? strlen(text) : 0, .deadline_ms = request->timeout_ms, .body_max = request->body_max,
	};
	int r;

	if (!call || (request->body && !text)) {
		r = err_set(err, ENOMEM, "out of memory");
	} else {
		*call = (struct agent_call){ .vm = vm, .done = done, .sent_ns = clock_ns(CLOCK_MONOTONIC) };
		r = h2_client_send(vm->agent, &wire, on_response, call, NULL, err);
	}
	free(text);
	if (r < 0)
		free(call);
	return r;
}

/* A kernel with a malformed squeezy= boots as a stock one: no claim would ever succeed. */
static bool has_partitions(const struct vm *vm, const json_t *hello)
{
	json_t *squeezy = json_object_get(hello, "squeezy");

	if (vm->config.backend != VM_SQUEEZY)
		return true;
	return json_integer_value(json_object_get(squeezy, "partitions")) == (json_int_t)vm->config.partitions &&
	       json_integer_value(json_object_get(squeezy, "partition_bytes")) == (json_int_t)vm->config.partition_bytes;
}

static void on_hello(void *arg, const struct vm_reply *reply)
{
	json_t *protocol = json_object_get(reply->body, "protocol");
	const char *said = json_string_value(json_object_get(reply->body, "error"));
	struct vm *vm = arg;
	struct err why = reply->err;

	if (reply->status == 200 && json_is_integer(protocol) && json_integer_value(protocol) == 1) {
		if (has_partitions(vm, reply->body)) {
			vm_on_hello(vm, reply->body, NULL);
			return;
		}
		err_set(&why, ENODEV, "VM %s: the guest kernel runs without the %u partitions it was asked for; see squeezy: lines in "
			"%s/serial.log, and use the kernel that ./demo builds", vm->config.id, vm->config.partitions, vm->config.dir);
	} else if (reply->status)
		err_set(&why, EPROTONOSUPPORT, "VM %s: the agent does not speak protocol 1 (status %d%s%.200s); rebuild the image",
			vm->config.id, reply->status, said ? ": " : "", said ? said : "");
	vm_on_hello(vm, NULL, &why);
}

static void on_closed(int error, void *userdata)
{
	vm_on_agent_closed(userdata, error == 0 || error == -EPIPE || error == -ECONNRESET ? "" : strerror(error < 0 ? -error : error));
}

int agent_open(struct vm *vm, struct err *err)
{
	struct agent_request hello = { "GET", "/v1/hello", NULL, vm->config.boot_timeout_ms, BODY_MAX };
	struct vm_done done = { on_hello, vm };
	int r = h2_client_new(vm->base, vm->agent_fd, on_closed, vm, &vm->agent, err);

	if (r < 0)
		return r;
	vm->agent_fd = -1;
	return send_request(vm, &hello, done, err);
}

int agent_poweroff(struct vm *vm)
{
	struct agent_request poweroff = { "POST", "/v1/poweroff", NULL, 5000, BODY_MAX };

	return send_request(vm, &poweroff, (struct vm_done){ 0 }, NULL);
}

static int check_ready(const struct vm *vm, struct err *err)
{
	if (vm->state == VM_READY)
		return 0;
	return err_set(err, ENOTCONN, "VM %s takes no calls: it is %s", vm->config.id, vm_state_name(vm->state));
}

static int container_request(struct vm *vm, const char *method, const char *id, const char *verb, json_t *body,
			     unsigned int timeout_ms, size_t body_max, struct vm_done done, struct err *err)
{
	char path[96];
	struct agent_request request = { method, path, body, timeout_ms, body_max };
	int r = check_ready(vm, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/v1/containers/%.40s%s", id, verb);
	return send_request(vm, &request, done, err);
}

int vm_container_create(struct vm *vm, const struct vm_container *container, struct vm_done done, struct err *err)
{
	struct agent_request request = { "POST", "/v1/containers", NULL, container->timeout_ms + 30000, BODY_MAX };
	int r = check_ready(vm, err);

	if (r < 0)
		return r;
	request.body = json_pack("{s:s, s:s, s:I, s:I, s:i, s:b, s:i}", "id", container->id, "kind", container->kind,
		"memory_bytes", (json_int_t)container->memory_bytes, "tmpfs_bytes", (json_int_t)container->tmpfs_bytes,
		"pids_max", (int)container->pids_max, "claim", vm->config.backend == VM_SQUEEZY,
		"timeout_ms", (int)container->timeout_ms);
	if (!request.body)
		return err_set(err, ENOMEM, "out of memory");
	if (container->concurrency > 1)
		json_object_set_new(request.body, "concurrency", json_integer(container->concurrency));
	r = send_request(vm, &request, done, err);
	json_decref(request.body);
	return r;
}

int vm_container_init(struct vm *vm, const char *id, json_t *body, unsigned int timeout_ms, struct vm_done done, struct err *err)
{
	return container_request(vm, "POST", id, "/init", body, timeout_ms, RUN_BODY_MAX, done, err);
}

int vm_container_run(struct vm *vm, const char *id, json_t *body, unsigned int timeout_ms, struct vm_done done, struct err *err)
{
	return container_request(vm, "POST", id, "/run", body, timeout_ms, RUN_BODY_MAX, done, err);
}

int vm_container_delete(struct vm *vm, const char *id, unsigned int timeout_ms, struct vm_done done, struct err *err)
{
	return container_request(vm, "DELETE", id, "", NULL, timeout_ms, BODY_MAX, done, err);
}

int vm_memory(struct vm *vm, unsigned int timeout_ms, struct vm_done done, struct err *err)
{
	struct agent_request request = { "GET", "/v1/memory", NULL, timeout_ms, BODY_MAX };
	int r = check_ready(vm, err);

	return r < 0 ? r : send_request(vm, &request, done, err);
}

int vm_inspect(struct vm *vm, unsigned int partition, unsigned int timeout_ms, struct vm_done done, struct err *err)
{
	char path[48];
	struct agent_request request = { "GET", path, NULL, timeout_ms, BODY_MAX };
	int r = check_ready(vm, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/v1/partitions/%u", partition);
	return send_request(vm, &request, done, err);
}

int vm_events(struct vm *vm, uint64_t after, unsigned int wait_ms, struct vm_done done, struct err *err)
{
	char path[96];
	struct agent_request request = { "GET", path, NULL, wait_ms + 10000, BODY_MAX };
	int r = check_ready(vm, err);

	if (r < 0)
		return r;
	if (wait_ms > EVENTS_WAIT_MAX)
		return err_set(err, EINVAL, "the agent waits for events at most %u ms", EVENTS_WAIT_MAX);
	snprintf(path, sizeof(path), "/v1/events?after=%llu&wait_ms=%u", (unsigned long long)after, wait_ms);
	return send_request(vm, &request, done, err);
}
