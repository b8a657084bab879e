/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs of `squeezy`, one file each. argv[0] is the verb. They return the exit status: 0, or 1 with *err filled (main prints it) when
 * it could not be done, 2 for wrong words; with err->code 0 the verb has said all there is to say itself.
 */
#ifndef SQUEEZY_CLI_VERBS_H
#define SQUEEZY_CLI_VERBS_H

#include "base/err.h"

int verb_up(int argc, char **argv, struct err *err);
int verb_down(int argc, char **argv, struct err *err);
int verb_ps(int argc, char **argv, struct err *err);
int verb_top(int argc, char **argv, struct err *err);
int verb_status(int argc, char **argv, struct err *err);
int verb_action(int argc, char **argv, struct err *err);
int verb_invoke(int argc, char **argv, struct err *err);
int verb_activation(int argc, char **argv, struct err *err);
int verb_reclaims(int argc, char **argv, struct err *err);
int verb_backup(int argc, char **argv, struct err *err);
int verb_inspect(int argc, char **argv, struct err *err);
int verb_evict(int argc, char **argv, struct err *err);
int verb_bench(int argc, char **argv, struct err *err);

/* Exit status for what a helper returned: 0, 2 for -EINVAL, else 1. */
int verb_status_of(int r);

#endif
