// SPDX-License-Identifier: Apache-2.0
/* The demonstration, started by demonstration/run from the source folder. usage: squeezy-demonstration DIR (made; gets all output). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "demonstration/report.h"

static const char *const backends[2] = { "squeezy", "virtio-mem" };

static int run_side(struct side *side, const char *backend, const char *dir, struct err *err)
{
	char state[300];
	int r;

	snprintf(state, sizeof(state), "%s/%s", dir, backend);
	r = side_run(side, backend, state, err);
	if (r)
		return r;
	printf("   six instances were idle and have been evicted, one after the other:\n");
	report_evictions(side);
	fflush(stdout);
	return report_save(side, dir, err);
}

int main(int argc, char **argv)
{
	struct side sides[2] = { 0 };
	struct err err = { 0 };
	int r = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: squeezy-demonstration DIR\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (mkdir(argv[1], 0755) && errno != EEXIST) {
		fprintf(stderr, "demonstration: %s cannot be made: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("== Partitions: one VM, %d partitions of %d MiB, and shared memory for file pages\n", SIDE_PARTITIONS, SIDE_PARTITION_MIB);
	r = run_side(&sides[0], backends[0], argv[1], &err);
	if (!r) {
		printf("== The same on the same kernel without partitions: stock virtio-mem driver, ZONE_MOVABLE, 2 MiB device blocks\n");
		r = run_side(&sides[1], backends[1], argv[1], &err);
	}
	if (!r) {
		printf("== Side by side\n");
		r = report_compare(&sides[0], &sides[1], &err);
	}
	if (r)
		fprintf(stderr, "demonstration: %s\n", err.text);
	side_clear(&sides[0]);
	side_clear(&sides[1]);
	return r ? 1 : 0;
}
