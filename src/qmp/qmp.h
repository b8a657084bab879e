/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QMP session on a connected socket: greeting, capabilities, commands with ids and deadlines, events. The only place that spells
 * QMP command names. One event loop, no blocking call.
 *
 * Every accepted command completes exactly once, from the loop. Callbacks may start commands, but must not call qmp_free().
 * Errors: 0 or -errno with a sentence; -ENOTCONN before the session is ready and after it has closed.
 */
#ifndef SQUEEZY_QMP_QMP_H
#define SQUEEZY_QMP_QMP_H

#include <stdint.h>

#include "base/err.h"

struct event_base;
struct qmp;

enum qmp_event {
	QMP_EVENT_SHUTDOWN,		/* the machine powers off or resets (QEMU then exits) */
	QMP_EVENT_MEMORY_SIZE,		/* a memory device's size has changed; at most one a second */
	QMP_EVENT_GUEST_PANICKED,	/* a pvpanic device told */
};

struct qmp_ops {
	void (*ready)(void *arg);				/* capabilities are agreed; commands are accepted from here on */
	void (*event)(void *arg, enum qmp_event event, const char *id, uint64_t size_bytes);	/* id, size: MEMORY_SIZE only */
	void (*closed)(void *arg, const struct err *why);	/* once; the peer went away or broke the protocol */
};

struct qmp_reply {
	struct err err;		/* code 0: success. EREMOTEIO: QEMU's own sentence, ETIMEDOUT, EPIPE (session closed) */
	uint64_t bytes;		/* qmp_memdev_size(): the size */
};

struct qmp_done {
	void (*fn)(void *arg, const struct qmp_reply *reply);	/* fn may be NULL: nobody waits */
	void *arg;
};

/* fd: connected, non-blocking, owned on success. ops is kept by reference. The greeting must come within greeting_ms. */
int qmp_new(struct event_base *base, int fd, const struct qmp_ops *ops, void *arg, unsigned int greeting_ms, struct qmp **ret,
	    struct err *err);

/* Completes what is outstanding with EPIPE, closes the socket. NULL is fine. */
void qmp_free(struct qmp *qmp);

/* Sets requested-size of the virtio-mem device with that id. */
int qmp_memdev_request(struct qmp *qmp, const char *id, uint64_t bytes, unsigned int timeout_ms, struct qmp_done done, struct err *err);

/* Reads its size. */
int qmp_memdev_size(struct qmp *qmp, const char *id, unsigned int timeout_ms, struct qmp_done done, struct err *err);

/* Answers when QEMU's main loop runs. EREMOTEIO unless the machine is running. */
int qmp_check_running(struct qmp *qmp, unsigned int timeout_ms, struct qmp_done done, struct err *err);

/* Ends QEMU at once. */
int qmp_quit(struct qmp *qmp, unsigned int timeout_ms, struct qmp_done done, struct err *err);

#endif
