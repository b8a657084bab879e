// SPDX-License-Identifier: Apache-2.0
/* The agent: PID 1 of the VM. Wiring only. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/boot.h"
#include "agent/child.h"
#include "agent/events.h"
#include "agent/info.h"
#include "agent/net.h"
#include "agent/net-pool.h"
#include "agent/port.h"
#include "agent/pri.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define FIREWALL_LIMIT_S 60

static struct agent agent;
static struct child nft;
static struct event *nft_limit;
static struct port *port;

/* Without the firewall, or without a way to the host, the VM must not go on. */
static void fail(const char *what)
{
	log_error("%s; powering off", what);
	boot_poweroff();
}

static void on_firewall(struct child *child, int status)
{
	struct err err;

	event_free(nft_limit);
	if (status != 0)
		fail("nft did not take the firewall rules");
	agent.boot_ns = clock_ns(CLOCK_BOOTTIME);
	if (port_new(&agent, &port, &err) < 0)
		fail(err.text);
	log_info("version " SQUEEZY_VERSION " ready after %u ms, %u partitions", (unsigned int)(agent.boot_ns / 1000000),
		 (unsigned int)agent.partitions);
}

static void on_firewall_limit(evutil_socket_t fd, short what, void *userdata)
{
	fail("nft takes too long");
}

/* The rules fit into a pipe. */
static int start_firewall(struct err *err)
{
	static const char *const argv[] = { "/usr/sbin/nft", "-f", "-", NULL };
	const struct timeval limit = { .tv_sec = FIREWALL_LIMIT_S };
	size_t len = strlen(net_rules);
	int pair[2], fds[4] = { -1, STDERR_FILENO, STDERR_FILENO, -1 }, r;

	if (pipe2(pair, O_CLOEXEC) < 0 || write(pair[1], net_rules, len) != (ssize_t)len)
		return err_set(err, errno, "cannot hand the firewall rules over: %s", strerror(errno));
	close(pair[1]);
	fds[0] = pair[0];
	nft.ended = on_firewall;
	r = child_spawn(agent.children, &nft, argv, fds, err);
	close(pair[0]);
	nft_limit = event_new(agent.base, -1, 0, on_firewall_limit, NULL);
	if (r == 0 && (!nft_limit || event_add(nft_limit, &limit) < 0))
		r = err_set(err, ENOMEM, "out of memory");
	return r;
}

static int start(struct err *err)
{
	int r = boot_system(err);

	if (r == 0)
		r = net_boot(err);
	if (r < 0)
		return r;
	agent.base = event_base_new();
	if (!agent.base || pri_new(agent.base, &agent.pri) < 0 || children_new(agent.base, &agent.children) < 0 ||
	    events_new(agent.base, &agent.events) < 0)
		return err_set(err, ENOMEM, "cannot start the event loop: out of memory");
	info_boot(&agent);
	r = net_pool_new(agent.base, agent.children, &agent.nets, err);
	return r == 0 ? start_firewall(err) : r;
}

int main(void)
{
	struct err err;

	log_init("agent", LOG_LEVEL_INFO);
	if (getpid() != 1) {
		log_error("this program is PID 1 of a Squeezy VM; it does nothing elsewhere");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	LIST_INIT(&agent.containers);
	if (start(&err) < 0)
		fail(err.text);
	event_base_dispatch(agent.base);
	fail("the event loop has ended");
}
