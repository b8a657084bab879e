// SPDX-License-Identifier: Apache-2.0
#include "agent/port.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/agent.h"
#include "agent/api.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "h2/server.h"

#define PORT_NAME	"org.squeezy.agent.0"
#define VSOCK_PORT	1024
#define REOPEN_MS	50

struct port {
	struct agent *agent;
	struct api api;
	struct h2_server *server;
	struct event *event;	/* serial: the host's end changed; vsock: somebody connects */
	struct event *reopen;
	int fd;			/* serial: the port, while not served; vsock: the listener */
	bool vsock;
	char device[64];
};

static void port_wait(struct port *port);

static void on_call(struct h2_call *call, void *userdata)
{
	struct port *port = userdata;

	api_call(&port->api, call);
}

static void on_closed(int error, void *userdata)
{
	const struct timeval delay = { .tv_usec = REOPEN_MS * 1000 };
	struct port *port = userdata;

	log_info("the host has closed the connection%s%s", error ? ": " : "", error ? strerror(-error) : "");
	h2_server_free(port->server);
	port->server = NULL;
	event_add(port->reopen, &delay);
}

static const struct h2_server_ops ops = {
	.call = on_call, .closed = on_closed, .body_max = API_BODY_MAX, .body_total_max = API_BODY_TOTAL_MAX,
};

static void serve(struct port *port, int fd)
{
	const struct timeval delay = { .tv_usec = REOPEN_MS * 1000 };
	struct err err;

	port->api = (struct api){ .agent = port->agent };
	if (h2_server_new(port->agent->base, fd, &ops, port, &port->server, &err) < 0) {
		log_error("%s", err.text);
		close(fd);
		event_add(port->reopen, &delay);
	}
}

/* The host's end of the port is open when poll does not say HUP. */
static void on_serial(evutil_socket_t fd, short what, void *userdata)
{
	struct port *port = userdata;
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (poll(&poll_fd, 1, 0) < 0 || (poll_fd.revents & POLLHUP))
		return;
	event_free(port->event);
	port->event = NULL;
	port->fd = -1;
	serve(port, fd);
}

static void on_vsock(evutil_socket_t fd, short what, void *userdata)
{
	struct port *port = userdata;
	struct sockaddr_vm peer = { .svm_cid = VMADDR_CID_ANY };
	socklen_t len = sizeof(peer);
	int client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (client < 0)
		return;
	/* The guest itself can connect, too, and has no business here. */
	if (port->server || peer.svm_cid != VMADDR_CID_HOST)
		close(client);
	else
		serve(port, client);
}

/* /dev/vportXpY of the port with our name. */
static int find_serial(char *device, size_t size, struct err *err)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char path[320], name[64];
	bool found = false;

	while (!found && dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/name", entry->d_name);
		found = entry->d_name[0] != '.' && file_read_text(dirfd(dir), path, name, sizeof(name)) == 0 && !strcmp(name, PORT_NAME);
		if (found)
			snprintf(device, size, "/dev/%.50s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found ? 0 : err_set(err, ENODEV, "there is no virtio-serial port %s; start the VM with one", PORT_NAME);
}

static int open_vsock(struct port *port, struct err *err)
{
	const struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VSOCK_PORT };

	port->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (port->fd < 0 || bind(port->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(port->fd, 4) < 0)
		return err_set(err, errno, "cannot listen on vsock port %d: %s", VSOCK_PORT, strerror(errno));
	return 0;
}

/* Waits for the host. A serial port is watched edge-triggered, because it says HUP all the time while the host's end is closed. */
static void port_wait(struct port *port)
{
	const struct timeval delay = { .tv_sec = 1 };
	short what = EV_READ | EV_PERSIST;

	if (port->event)
		return;
	if (!port->vsock) {
		port->fd = open(port->device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		what |= EV_WRITE | EV_ET;
	}
	if (port->fd >= 0)
		port->event = event_new(port->agent->base, port->fd, what, port->vsock ? on_vsock : on_serial, port);
	if (!port->event || event_add(port->event, NULL) < 0) {
		log_error("cannot wait on %s: %s", port->vsock ? "vsock" : port->device, strerror(errno));
		if (!port->vsock)
			fd_close(&port->fd);
		event_add(port->reopen, &delay);
		return;
	}
	if (!port->vsock)
		on_serial(port->fd, 0, port);
}

static void on_reopen(evutil_socket_t fd, short what, void *userdata)
{
	port_wait(userdata);
}

static bool wants_vsock(void)
{
	char text[4096];

	return file_read_text(AT_FDCWD, "/proc/cmdline", text, sizeof(text)) == 0 && strstr(text, "squeezy.transport=vsock");
}

int port_new(struct agent *agent, struct port **ret, struct err *err)
{
	struct port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return err_set(err, ENOMEM, "cannot serve the host: out of memory");
	port->agent = agent;
	port->fd = -1;
	port->vsock = wants_vsock();
	port->reopen = event_new(agent->base, -1, 0, on_reopen, port);
	r = !port->reopen ? err_set(err, ENOMEM, "cannot serve the host: out of memory") : port->vsock ? open_vsock(port, err) :
		find_serial(port->device, sizeof(port->device), err);
	if (r < 0) {
		if (port->reopen)
			event_free(port->reopen);
		fd_close(&port->fd);
		free(port);
		return r;
	}
	port_wait(port);
	*ret = port;
	return 0;
}
