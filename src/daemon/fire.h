/* SPDX-License-Identifier: Apache-2.0 */
/* Firing a trigger: the action of each active rule is invoked, and the trigger's activation tells of each. */
#ifndef SQUEEZY_DAEMON_FIRE_H
#define SQUEEZY_DAEMON_FIRE_H

#include <jansson.h>

#include "daemon/invoke.h"

/* Borrowed for the time of the call. */
struct firing {
	const char *ns;			/* of the trigger and of the caller */
	const char *name;
	const char *key, *transaction;
	const json_t *trigger;		/* the document */
	const json_t *payload;		/* an object */
	const json_t *headers;		/* of the request: {"name": "value"} */
	struct throttle *throttle;	/* each action counts as a call */
};

/* id gets the activation's id. False: no rule is active, nothing was done and nothing recorded. */
bool fire(const struct invoker *invoker, const struct firing *firing, char id[ACTIVATION_ID_SIZE]);

#endif
