// SPDX-License-Identifier: Apache-2.0
/* squeezyd: options, state directory, wiring, signals. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/http.h"
#include "daemon/identity.h"
#include "daemon/options.h"
#include "daemon/pool.h"
#include "daemon/routes.h"
#include "daemon/state.h"
#include "daemon/system.h"
#include "store/store.h"

#define STOP_MS 10000	/* orderly end of the VMs; SIGKILL after that */
#define FLUSH_MS 100

struct daemon {
	struct options options;
	struct event_base *base;
	struct event *signals[2];
	struct http_server *http;
	struct service service;
	char key[STATE_KEY_SIZE];
	int lock_fd;
	bool stopping;
};

/* The VMs are gone; clients that were just answered get the time to read it. */
static void on_stopped(void *arg)
{
	struct timeval after = { .tv_usec = FLUSH_MS * 1000 };
	struct daemon *daemon = arg;

	event_base_loopexit(daemon->base, &after);
}

static void shut_down(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->stopping) {
		event_base_loopexit(daemon->base, NULL);	/* asked twice: at once */
		return;
	}
	daemon->stopping = true;
	log_info("stopping");
	pool_stop(daemon->service.pool, STOP_MS, on_stopped, daemon);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	shut_down(arg);
}

static int check_product(const char *what, const char *path, struct err *err)
{
	if (access(path, R_OK) == 0)
		return 0;
	return err_set(err, errno, "%s %s: %s%s", what, path, strerror(errno), errno == ENOENT ?
		       "; build it with tools/build, or say where it is" : "");
}

/* Idle connections and VMs cost a descriptor each; the usual soft limit of 1,024 is for programs that use select(). */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int watch_signals(struct daemon *daemon, struct err *err)
{
	static const int watched[] = { SIGTERM, SIGINT };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		daemon->signals[i] = evsignal_new(daemon->base, watched[i], on_signal, daemon);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int open_store(struct daemon *daemon, struct err *err)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/squeezy.db", daemon->options.state);
	return store_open(path, &daemon->service.store, err);
}

static int listen_and_tell(struct daemon *daemon, struct err *err)
{
	struct http_config config = {
		.address = daemon->options.address, .port = daemon->options.port, .routes = routes, .arg = &daemon->service,
		.identities = daemon->service.identities, .socket = daemon->options.socket,
	};
	int r = http_new(daemon->base, &config, &daemon->http, err);

	if (r < 0)
		return r;
	log_info("listening on http://%s:%u, API key in %s/api.key", config.address, http_port(daemon->http), daemon->options.state);
	return 0;
}

/* --restore: nothing is started. */
static int restore(struct daemon *daemon, struct err *err)
{
	char path[4096];
	int r = state_open(daemon->options.state, &daemon->lock_fd, err);

	snprintf(path, sizeof(path), "%s/squeezy.db", daemon->options.state);
	if (r == 0)
		r = store_restore(daemon->options.restore, path, err);
	if (r == 0)
		log_info("%s is in the place of %s", daemon->options.restore, path);
	return r;
}

static int set_up(struct daemon *daemon, struct err *err)
{
	const struct options *options = &daemon->options;
	int r = check_product("guest kernel", options->kernel, err);

	if (r == 0)
		r = check_product("guest image", options->image, err);
	if (r == 0)
		r = state_open(options->state, &daemon->lock_fd, err);
	if (r == 0)
		r = state_clean_vms(options->state, err);
	if (r == 0)
		r = state_key(options->state, daemon->key, err);
	if (r == 0)
		r = open_store(daemon, err);
	if (r == 0)
		r = system_install(daemon->service.store, err);
	if (r == 0)
		r = identities_open(daemon->service.store, options->state, daemon->key, &options->throttle, &daemon->service.identities, err);
	if (r < 0)
		return r;
	daemon->base = daemon->service.base = event_base_new();
	if (!daemon->base)
		return err_set(err, ENOMEM, "the event loop does not start");
	r = watch_signals(daemon, err);
	if (r == 0)
		r = pool_new(daemon->base, options, daemon->service.store, &daemon->service.pool, err);
	if (r == 0)
		r = listen_and_tell(daemon, err);
	if (r == 0 && options->prestart)
		r = pool_prestart(daemon->service.pool, err);
	return r;
}

static void tear_down(struct daemon *daemon)
{
	backup_abort(&daemon->service);
	http_free(daemon->http);	/* first: waiting clients are let go, their calls end without them */
	pool_free(daemon->service.pool);
	for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++)
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	if (daemon->base)
		event_base_free(daemon->base);
	identities_free(daemon->service.identities);
	store_close(daemon->service.store);
	explicit_bzero(daemon->key, sizeof(daemon->key));
	fd_close(&daemon->lock_fd);
}

int main(int argc, char **argv)
{
	struct daemon daemon = { .lock_fd = -1 };
	struct err err;
	int r;

	log_init("squeezyd", LOG_LEVEL_INFO);
	r = options_parse(argc, argv, &daemon.options, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return 2;
	}
	if (daemon.options.help || daemon.options.version) {
		if (daemon.options.help)
			options_help(stdout);
		else
			printf("squeezyd %s\n", SQUEEZY_VERSION);
		return 0;
	}
	if (daemon.options.verbose)
		log_init("squeezyd", LOG_LEVEL_DEBUG);
	raise_file_limit();
	daemon.service.shut_down = shut_down;
	daemon.service.shut_down_arg = &daemon;
	r = daemon.options.restore ? restore(&daemon, &err) : set_up(&daemon, &err);
	if (r < 0)
		log_error("%s", err.text);
	else if (daemon.base)
		event_base_dispatch(daemon.base);
	tear_down(&daemon);
	return r < 0 ? 1 : 0;
}
