// SPDX-License-Identifier: Apache-2.0
#include "qmp/qmp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "qmp/message.h"

enum session {
	SESSION_GREETING,	/* waiting for {"QMP": ...} */
	SESSION_CAPABILITIES,	/* qmp_capabilities sent */
	SESSION_READY,		/* commands are accepted */
	SESSION_CLOSED,		/* nothing more is sent or taken */
};

/* How a command's return value becomes a reply: fills it or sets its err. */
typedef void read_value_fn(const json_t *value, struct qmp_reply *reply);

struct command {
	TAILQ_ENTRY(command) link;
	struct qmp *qmp;
	uint64_t id;
	const char *name;
	read_value_fn *read;
	struct qmp_done done;
	struct event *deadline;
};

struct qmp {
	struct event_base *base;
	struct bufferevent *stream;
	const struct qmp_ops *ops;
	void *arg;
	enum session session;
	bool owns_fd;
	uint64_t last_id;
	unsigned int outstanding;
	struct event *greeting_deadline;
	TAILQ_HEAD(, command) commands;
};

/* A broken QEMU must not make us hold more than this many unanswered commands. */
#define COMMANDS_MAX 256

static struct timeval ms_to_timeval(unsigned int ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
}

static void command_finish(struct command *command, const struct qmp_reply *reply)
{
	struct qmp_done done = command->done;

	TAILQ_REMOVE(&command->qmp->commands, command, link);
	command->qmp->outstanding--;
	event_free(command->deadline);
	free(command);
	if (done.fn)
		done.fn(done.arg, reply);
}

static void fail_commands(struct qmp *qmp, const struct err *why)
{
	struct qmp_reply reply = { .err = { .code = EPIPE } };
	struct command *command;

	snprintf(reply.err.text, sizeof(reply.err.text), "%s", why->text);
	while ((command = TAILQ_FIRST(&qmp->commands)))
		command_finish(command, &reply);
}

static void session_close(struct qmp *qmp, const struct err *why)
{
	if (qmp->session == SESSION_CLOSED)
		return;
	qmp->session = SESSION_CLOSED;
	bufferevent_disable(qmp->stream, EV_READ | EV_WRITE);
	event_del(qmp->greeting_deadline);
	fail_commands(qmp, why);
	qmp->ops->closed(qmp->arg, why);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct command *command = arg;
	struct qmp_reply reply = { 0 };

	err_set(&reply.err, ETIMEDOUT, "QEMU did not answer %s in time", command->name);
	command_finish(command, &reply);
}

static void on_greeting_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct err why;

	err_set(&why, ETIMEDOUT, "QEMU did not open its QMP session in time");
	session_close(arg, &why);
}

static int write_command(struct qmp *qmp, const char *name, json_t *arguments, uint64_t id)
{
	json_t *line = json_pack("{s:s, s:o*, s:I}", "execute", name, "arguments", arguments, "id", (json_int_t)id);
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	int r = -ENOMEM;

	json_decref(line);
	if (text && !bufferevent_write(qmp->stream, text, strlen(text)) && !bufferevent_write(qmp->stream, "\n", 1))
		r = 0;
	free(text);
	return r;
}

/* Takes over arguments (may be NULL). */
static int send_command(struct qmp *qmp, const char *name, json_t *arguments, read_value_fn *read, unsigned int timeout_ms,
			struct qmp_done done, struct err *err)
{
	struct timeval after = ms_to_timeval(timeout_ms);
	uint64_t id = qmp->last_id + 1;
	struct command *command;

	if (qmp->outstanding == COMMANDS_MAX) {
		json_decref(arguments);
		return err_set(err, EAGAIN, "QEMU has left %u commands unanswered", COMMANDS_MAX);
	}
	command = calloc(1, sizeof(*command));
	if (command)
		command->deadline = evtimer_new(qmp->base, on_deadline, command);
	if (!command || !command->deadline) {
		json_decref(arguments);
		free(command);
		return err_set(err, ENOMEM, "QMP: out of memory for %s", name);
	}
	if (write_command(qmp, name, arguments, id) < 0 || event_add(command->deadline, &after) < 0) {
		event_free(command->deadline);
		free(command);
		return err_set(err, ENOMEM, "QMP: out of memory for %s", name);
	}
	command->qmp = qmp;
	command->id = qmp->last_id = id;
	command->name = name;
	command->read = read;
	command->done = done;
	TAILQ_INSERT_TAIL(&qmp->commands, command, link);
	qmp->outstanding++;
	return 0;
}

static void on_capabilities(void *arg, const struct qmp_reply *reply)
{
	struct qmp *qmp = arg;

	if (qmp->session != SESSION_CAPABILITIES)
		return;
	event_del(qmp->greeting_deadline);
	if (reply->err.code) {
		session_close(qmp, &reply->err);
		return;
	}
	qmp->session = SESSION_READY;
	qmp->ops->ready(qmp->arg);
}

static int take_greeting(struct qmp *qmp, struct err *err)
{
	struct qmp_done done = { on_capabilities, qmp };

	if (qmp->session != SESSION_GREETING)
		return err_set(err, EPROTO, "QEMU greeted twice on QMP");
	qmp->session = SESSION_CAPABILITIES;
	return send_command(qmp, "qmp_capabilities", NULL, NULL, 10000, done, err);
}

static void take_answer(struct qmp *qmp, const struct qmp_message *message)
{
	struct qmp_reply reply = { 0 };
	struct command *command;

	TAILQ_FOREACH(command, &qmp->commands, link)
		if (command->id == message->id)
			break;
	if (!command)
		return;		/* the answer to a command that ran into its deadline */
	if (message->kind == QMP_ERROR)
		err_set(&reply.err, EREMOTEIO, "QEMU refused %s: %.300s", command->name, message->text);
	else if (command->read)
		command->read(message->value, &reply);
	command_finish(command, &reply);
}

static const struct {
	const char *name;
	enum qmp_event event;
} events[] = {
	{ "SHUTDOWN", QMP_EVENT_SHUTDOWN },
	{ "MEMORY_DEVICE_SIZE_CHANGE", QMP_EVENT_MEMORY_SIZE },
	{ "GUEST_PANICKED", QMP_EVENT_GUEST_PANICKED },
};

static void take_event(struct qmp *qmp, const struct qmp_message *message)
{
	const char *id = json_string_value(json_object_get(message->value, "id"));
	json_int_t size = json_integer_value(json_object_get(message->value, "size"));

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (!strcmp(events[i].name, message->text))
			qmp->ops->event(qmp->arg, events[i].event, id ? id : "", size > 0 ? (uint64_t)size : 0);
}

static int take_line(struct qmp *qmp, const char *line, size_t len, struct err *err)
{
	struct qmp_message message;
	int r = qmp_message_parse(line, len, &message, err);

	if (r < 0)
		return r;
	if (message.kind == QMP_GREETING)
		r = take_greeting(qmp, err);
	else if (message.kind == QMP_EVENT)
		take_event(qmp, &message);
	else
		take_answer(qmp, &message);
	qmp_message_clear(&message);
	return r;
}

static void on_read(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	struct qmp *qmp = arg;
	struct err why;
	size_t len;
	char *line;
	int r = 0;

	while (r == 0 && qmp->session != SESSION_CLOSED && (line = evbuffer_readln(input, &len, EVBUFFER_EOL_CRLF))) {
		if (len)
			r = take_line(qmp, line, len, &why);
		free(line);
	}
	if (r == 0 && evbuffer_get_length(input) > QMP_LINE_MAX)
		r = err_set(&why, EMSGSIZE, "QMP: a line is longer than %u bytes", QMP_LINE_MAX);
	if (r < 0)
		session_close(qmp, &why);
}

static void on_stream_event(struct bufferevent *stream, short what, void *arg)
{
	int code = EVUTIL_SOCKET_ERROR();
	struct err why;

	if (what & BEV_EVENT_EOF)
		err_set(&why, EPIPE, "QEMU closed its QMP session");
	else
		err_set(&why, EPIPE, "the QMP session broke: %s", strerror(code));
	session_close(arg, &why);
}

int qmp_new(struct event_base *base, int fd, const struct qmp_ops *ops, void *arg, unsigned int greeting_ms, struct qmp **ret,
	    struct err *err)
{
	struct timeval after = ms_to_timeval(greeting_ms);
	struct qmp *qmp = calloc(1, sizeof(*qmp));

	if (!qmp)
		return err_set(err, ENOMEM, "QMP: out of memory");
	TAILQ_INIT(&qmp->commands);
	qmp->base = base;
	qmp->ops = ops;
	qmp->arg = arg;
	qmp->greeting_deadline = evtimer_new(base, on_greeting_deadline, qmp);
	qmp->stream = bufferevent_socket_new(base, fd, 0);
	if (!qmp->greeting_deadline || !qmp->stream) {
		qmp_free(qmp);
		return err_set(err, ENOMEM, "QMP: out of memory");
	}
	bufferevent_setcb(qmp->stream, on_read, NULL, on_stream_event, qmp);
	bufferevent_setwatermark(qmp->stream, EV_READ, 0, 2 * QMP_LINE_MAX);
	if (event_add(qmp->greeting_deadline, &after) < 0 || bufferevent_enable(qmp->stream, EV_READ | EV_WRITE) < 0) {
		qmp_free(qmp);
		return err_set(err, EIO, "QMP: the event loop refuses the socket");
	}
	qmp->owns_fd = true;
	*ret = qmp;
	return 0;
}

void qmp_free(struct qmp *qmp)
{
	struct err why;

	if (!qmp)
		return;
	qmp->session = SESSION_CLOSED;
	err_set(&why, EPIPE, "the QMP session has ended");
	fail_commands(qmp, &why);
	if (qmp->greeting_deadline)
		event_free(qmp->greeting_deadline);
	if (qmp->stream) {
		evutil_socket_t fd = bufferevent_getfd(qmp->stream);

		bufferevent_free(qmp->stream);
		if (qmp->owns_fd)
			evutil_closesocket(fd);
	}
	free(qmp);
}

static int check_ready(const struct qmp *qmp, struct err *err)
{
	if (qmp->session == SESSION_READY)
		return 0;
	return err_set(err, ENOTCONN, "the QMP session is not open");
}

static json_t *memdev_property(const char *id, const char *property)
{
	json_t *path = json_sprintf("/machine/peripheral/%s", id);

	return json_pack("{s:o, s:s}", "path", path, "property", property);
}

int qmp_memdev_request(struct qmp *qmp, const char *id, uint64_t bytes, unsigned int timeout_ms, struct qmp_done done, struct err *err)
{
	json_t *arguments;
	int r = check_ready(qmp, err);

	if (r < 0)
		return r;
	arguments = memdev_property(id, "requested-size");
	if (!arguments || json_object_set_new(arguments, "value", json_integer((json_int_t)bytes)) < 0) {
		json_decref(arguments);
		return err_set(err, ENOMEM, "QMP: out of memory");
	}
	return send_command(qmp, "qom-set", arguments, NULL, timeout_ms, done, err);
}

static void read_size(const json_t *value, struct qmp_reply *reply)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		err_set(&reply->err, EPROTO, "QEMU answered a device's size with something that is no size");
	else
		reply->bytes = (uint64_t)json_integer_value(value);
}

int qmp_memdev_size(struct qmp *qmp, const char *id, unsigned int timeout_ms, struct qmp_done done, struct err *err)
{
	json_t *arguments;
	int r = check_ready(qmp, err);

	if (r < 0)
		return r;
	arguments = memdev_property(id, "size");
	if (!arguments)
		return err_set(err, ENOMEM, "QMP: out of memory");
	return send_command(qmp, "qom-get", arguments, read_size, timeout_ms, done, err);
}

static void read_running(const json_t *value, struct qmp_reply *reply)
{
	const char *status = json_string_value(json_object_get(value, "status"));

	if (!json_is_true(json_object_get(value, "running")))
		err_set(&reply->err, EREMOTEIO, "the machine is not running, but %.32s", status ? status : "unknown");
}

int qmp_check_running(struct qmp *qmp, unsigned int timeout_ms, struct qmp_done done, struct err *err)
{
	int r = check_ready(qmp, err);

	return r < 0 ? r : send_command(qmp, "query-status", NULL, read_running, timeout_ms, done, err);
}

int qmp_quit(struct qmp *qmp, unsigned int timeout_ms, struct qmp_done done, struct err *err)
{
	int r = check_ready(qmp, err);

	return r < 0 ? r : send_command(qmp, "quit", NULL, NULL, timeout_ms, done, err);
}
