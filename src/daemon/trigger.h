/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of triggers and rules. Pure, as document.h. The state of a rule lives in its trigger's document, in the map
 * "rules": {"ns/rule": {"action": {"path","name"}, "status": "active"|"inactive"}}, as OpenWhisk keeps it.
 */
#ifndef SQUEEZY_DAEMON_TRIGGER_H
#define SQUEEZY_DAEMON_TRIGGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/path.h"

struct err;

int trigger_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
		struct err *err);

/* Line of a list. New object. */
json_t *trigger_summary(const json_t *document);

/* Enters a rule, or takes it out (action NULL). The document is changed. */
void trigger_set_rule(json_t *trigger, const char *rule, const json_t *action, bool active);

/* Is the rule there, and active? NULL: not there. Borrowed. */
const char *trigger_rule_status(const json_t *trigger, const char *rule);

/* The document after PUT of a rule. Its trigger and action are named as "/ns/name" or {"path","name"}; where absent, as before. */
int rule_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	     struct err *err);

/* What a rule connects. -EINVAL for a document that is none. */
int rule_paths(const json_t *rule, struct path *ret_trigger, struct path *ret_action);

/* As the API shows it, with its status. New object. */
json_t *rule_shown(const json_t *rule, const char *status);

#endif
