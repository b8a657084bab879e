/* SPDX-License-Identifier: Apache-2.0 */
/* squeezyd's command line. */
#ifndef SQUEEZY_DAEMON_OPTIONS_H
#define SQUEEZY_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "daemon/throttle.h"
#include "vm/vm.h"

struct options {
	const char *state;		/* directory; strings point into argv or are literals */
	const char *kernel, *image, *qemu, *qemu_user, *append;
	char address[64];		/* to listen on */
	uint16_t port;
	const char *socket;		/* a unix socket besides; NULL: none */
	const char *api_host;		/* for functions that call the API; NULL: none */
	struct throttle_limits throttle;	/* of a namespace that has none of its own */
	enum vm_backend backend;
	enum vm_accel accel;
	uint64_t partitions, vcpus;
	uint64_t partition_bytes;	/* least size of a partition: functions with a smaller limit share it */
	uint64_t shared_bytes, base_bytes, budget_bytes;	/* base 0: by formula; budget 0: three quarters of the host's memory */
	uint64_t keep_alive_ms;		/* given in seconds, fractions allowed */
	uint64_t keep_records, keep_days, keep_bytes;	/* activation records */
	const char *restore;		/* put this backup in the store's place, and end; NULL: no */
	uint64_t sample_ms;		/* 0: no samples */
	uint64_t boot_ms;		/* until the agent must have answered; given in seconds */
	bool prestart;
	bool verbose;
	bool help, version;
};

/* Defaults, then argv. -EINVAL with a sentence. */
int options_parse(int argc, char **argv, struct options *options, struct err *err);

void options_help(FILE *out);

#endif
