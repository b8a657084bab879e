/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets at rest: AES-256-GCM (NIST SP 800-38D) with a key of this machine, <state>/seal.key (0600, 32 random bytes). Who has the database without
 * that file reads no secret; a sealed text that was changed, or moved to another label, does not open.
 */
#ifndef SQUEEZY_DAEMON_SEAL_H
#define SQUEEZY_DAEMON_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_BYTES 32

struct err;

struct seal {
	uint8_t key[SEAL_KEY_BYTES];
};

/* Reads <dir>/seal.key, or makes it. -EINVAL when the file is not 32 bytes. */
int seal_open(const char *dir, struct seal *ret, struct err *err);

/* Base64 of nonce, text and tag; the caller's. label says what the text is and is bound to it. NULL: out of memory or random numbers. */
char *seal_text(const struct seal *seal, const char *label, const char *text);

/* The text; the caller's. NULL: not ours, changed, or sealed with another key. */
char *unseal_text(const struct seal *seal, const char *label, const char *sealed);

#endif
