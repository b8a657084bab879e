/* SPDX-License-Identifier: Apache-2.0 */
/* What web.c (requests) and web-render.c (answers) share. */
#ifndef SQUEEZY_DAEMON_WEB_INTERNAL_H
#define SQUEEZY_DAEMON_WEB_INTERNAL_H

#include "daemon/web.h"

/* Fills fault, returns -EINVAL. */
int web_fail(struct web_fault *fault, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Media types without their parameters; type may be NULL. */
bool web_type_is(const char *type, const char *wanted);
bool web_type_is_json(const char *type);		/* application/json and ...+json */
bool web_type_is_binary(const char *type);	/* not text in any form we know */

#endif
