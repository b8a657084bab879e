/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's directory: made, locked against a second daemon, checked for room, cleaned of a crashed one's VMs; and the API key. */
#ifndef SQUEEZY_DAEMON_STATE_H
#define SQUEEZY_DAEMON_STATE_H

#include "base/err.h"

#define STATE_KEY_SIZE 128	/* "uuid:64 characters" and NUL fit */

/*
 * Makes dir (0700) and takes <dir>/lock. *ret_lock_fd holds the lock until it is closed. -EWOULDBLOCK names the holder,
 * -ENOSPC when less than 64 MiB are free.
 */
int state_open(const char *dir, int *ret_lock_fd, struct err *err);

/* Ends the QEMUs that an earlier daemon left, and removes its VM directories. The lock must be held. */
int state_clean_vms(const char *dir, struct err *err);

/* A new "uuid:secret" from getrandom. */
int state_make_key(char key[STATE_KEY_SIZE], struct err *err);

/* Reads <dir>/api.key, or makes it (0600, from getrandom). */
int state_key(const char *dir, char key[STATE_KEY_SIZE], struct err *err);

#endif
