/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `squeezy bench invoke` is made of: a daemon on a stand-in for QEMU and agent that answers at once, and clients that keep it busy over
 * HTTP. Measured is the daemon alone: its CPU time, its resident memory.
 */
#ifndef SQUEEZY_CLI_BENCH_INVOKE_H
#define SQUEEZY_CLI_BENCH_INVOKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct event_base;

struct bench_daemon {
	pid_t pid;
	uint16_t port;
	char authorization[200];	/* "Basic ..." */
};

/* Starts it in dir and waits until it listens; pins it to a core of its own where there are two. 0 or -errno. */
int bench_daemon_start(const char *program, const char *stand_in, const char *dir, struct bench_daemon *ret, struct err *err);
void bench_daemon_stop(struct bench_daemon *daemon);

/* CPU time of the daemon so far, ns; resident memory, bytes. 0: it has ended. */
uint64_t bench_daemon_cpu_ns(const struct bench_daemon *daemon);
uint64_t bench_daemon_rss_bytes(const struct bench_daemon *daemon);

/* What clients ask, again and again. */
struct bench_ask {
	const char *method, *path, *body;	/* body NULL: none */
	bool numbered;		/* "%u" in path and body is the number of the request */
};

struct bench_load {
	unsigned int clients;
	unsigned int requests;		/* all together */
	unsigned int answered, refused;	/* 2xx; anything else */
	uint64_t bytes;			/* of bodies */
	uint64_t took_ns;
};

/* Runs load->requests of ask over load->clients connections that are kept open. 0 or -errno. */
int bench_load_run(struct event_base *base, const struct bench_daemon *daemon, const struct bench_ask *ask, struct bench_load *load,
		   struct err *err);

/* Opens so many connections, each of which has asked once and then keeps still; *ret_fds (free() it, close them) holds them. */
int bench_idle_open(const struct bench_daemon *daemon, unsigned int count, int **ret_fds, struct err *err);

#endif
