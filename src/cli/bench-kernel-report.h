/* SPDX-License-Identifier: Apache-2.0 */
/* What `squeezy bench kernel` says about its results. */
#ifndef SQUEEZY_CLI_BENCH_KERNEL_REPORT_H
#define SQUEEZY_CLI_BENCH_KERNEL_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/bench-kernel-plan.h"

#define ROWS_MAX 96

enum row_verdict {
	ROW_REPORTED,		/* no bar, or a time: never judged */
	ROW_HELD,
	ROW_MISSED,		/* or a result is missing that the plan of the run would have made */
};

/* One line of the table. */
struct row {
	char what[120];
	char measured[120];
	char bar[80];
	enum row_verdict verdict;
};

struct kernel_report {
	struct plan_run run;
	json_t *results;	/* array of what the test program printed, each with "boot" and "run" */
	bool kvm;		/* the timed boots ran with it */
	const char *counted, *stock, *timed;	/* kernels */
	struct row rows[ROWS_MAX];
	unsigned int n_rows;
};

/* A number of the results. */
struct value {
	double mean, spread;	/* of the boots; spread is largest minus smallest */
	unsigned int n;		/* found so often: 0 is not measured */
	unsigned int wanted;	/* by the plan at least, once each time the boot is made; 0: the boot is not in this run's plan */
};

/*
 * "keys" picks results: "name=fault who=claim pages=4k". Strings and integers compare by their text. All results of the boot that match
 * count as repetitions.
 */
struct value report_value(const struct kernel_report *report, const char *boot, const char *keys, const char *member);

/* rows.c: fills the rows, all whose boots are in the plan of the run. */
void report_rows(struct kernel_report *report);

/* Prints a Markdown table or JSON. 0: every bar of the run's plan held, 1: not, -ENOMEM. */
int kernel_report_print(struct kernel_report *report, bool json, struct err *err);

#endif
