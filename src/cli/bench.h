/* SPDX-License-Identifier: Apache-2.0 */
/* `squeezy bench`: measurements on VMs of its own, with no daemon. */
#ifndef SQUEEZY_CLI_BENCH_H
#define SQUEEZY_CLI_BENCH_H

struct bench_options;
struct err;
struct event_base;

/*
 * The verb: argv[0] is "bench". 0 when everything that must hold did, 1 when something did not, 2 when the measurement itself
 * could not be made (the reason is on stderr).
 */
int bench_main(int argc, char **argv);

/* The experiments. Same return values, but the sentence of a 2 is in err. dir exists. */
int bench_run_reclaim(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err);
int bench_run_invoke(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err);
int bench_run_kernel(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err);
int bench_run_populate(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err);

#endif
