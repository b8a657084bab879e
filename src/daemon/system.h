/* SPDX-License-Identifier: Apache-2.0 */
/* The public package /whisk.system/utils, which OpenWhisk's clients and documentation take for granted: echo, sort, split, date. */
#ifndef SQUEEZY_DAEMON_SYSTEM_H
#define SQUEEZY_DAEMON_SYSTEM_H

struct err;
struct store;

/* Puts it into the store where it is missing or older than this program's. 0 or -errno. */
int system_install(struct store *store, struct err *err);

#endif
