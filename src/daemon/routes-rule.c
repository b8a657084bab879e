// SPDX-License-Identifier: Apache-2.0
/* /rules: a rule's state lives in its trigger, so both documents change together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/identity.h"
#include "daemon/resolve.h"
#include "daemon/routes-entity.h"
#include "daemon/trigger.h"

struct rule {
	struct path path, trigger_path, action_path;
	char local[PATH_TEXT_SIZE], trigger_local[PATH_TEXT_SIZE];
	char full[PATH_TEXT_SIZE];	/* its name in the trigger's map */
	struct store_key key, trigger_key;
	json_t *document, *trigger;	/* owned; trigger NULL: it is gone */
};

static void rule_clear(struct rule *rule)
{
	json_decref(rule->document);
	json_decref(rule->trigger);
}

static int load_trigger(struct service *service, struct rule *rule, struct err *err)
{
	int r = rule_paths(rule->document, &rule->trigger_path, &rule->action_path);

	if (r < 0)
		return err_set(err, EIO, "the document of rule %s is none", rule->full);
	rule->trigger_key = entity_key(STORE_TRIGGERS, &rule->trigger_path, rule->trigger_local);
	r = store_get(service->store, &rule->trigger_key, false, &rule->trigger, err);
	return r == -ENOENT || r == -EISNAM ? 0 : r;
}

/* The rule of a request, and its trigger. False: answered. */
static bool load(struct service *service, struct http_request *request, struct rule *rule)
{
	struct err err;
	int r;

	memset(rule, 0, sizeof(*rule));
	if (!entity_path(request, 1, false, &rule->path))
		return false;
	path_full(&rule->path, rule->full);
	rule->key = entity_key(STORE_RULES, &rule->path, rule->local);
	r = store_get(service->store, &rule->key, false, &rule->document, &err);
	if (r == 0)
		r = load_trigger(service, rule, &err);
	if (r == 0)
		return true;
	rule_clear(rule);
	entity_fail(request, r, &err);
	return false;
}

static const char *status_of(const struct rule *rule)
{
	const char *status = trigger_rule_status(rule->trigger, rule->full);

	return status ? status : "inactive";
}

/* Both documents, or neither. */
static int store_both(struct service *service, const struct rule *rule, const json_t *old_trigger, const struct store_key *old_key,
		      struct err *err)
{
	int r = store_begin(service->store, err), end;

	if (r < 0)
		return r;
	r = store_put(service->store, &rule->key, rule->document, err);
	if (r == 0 && old_trigger)
		r = store_put(service->store, old_key, old_trigger, err);
	if (r == 0)
		r = store_put(service->store, &rule->trigger_key, rule->trigger, err);
	end = store_end(service->store, r == 0, r == 0 ? err : NULL);
	return r < 0 ? r : end;
}

/* What a rule names must be there; OpenWhisk says 404 for either. */
static int check_ends(struct service *service, const char *own, struct rule *rule, struct err *err)
{
	struct resolved action;
	int r;

	/* A trigger's document is changed by its rules: only one's own may be. */
	if (strcmp(rule->trigger_path.ns, own))
		return err_set(err, EACCES, "The supplied authentication is not authorized to access '%.128s/%.256s'.", rule->trigger_path.ns,
			       rule->trigger_path.name);
	if (!rule->trigger)
		return err_set(err, ENOENT, ENTITY_NOT_FOUND);
	r = resolve_action(service->store, own, &rule->action_path, &action, err);
	if (r < 0)
		return r;
	resolved_clear(&action);
	return 0;
}

/* A rule that is put again keeps its state, and leaves the trigger it had. */
static int put(struct service *service, const char *own, struct rule *rule, const json_t *body, json_t *before, struct err *err)
{
	struct rule old = { .path = rule->path, .document = before };
	bool active = true, moved;
	int r = rule_put(body, before, rule->path.ns, rule->path.name, entity_now_ms(), &rule->document, err);

	if (r == 0)
		r = load_trigger(service, rule, err);
	if (r == 0)
		r = check_ends(service, own, rule, err);
	if (r == 0 && before) {
		memcpy(old.full, rule->full, sizeof(old.full));
		r = load_trigger(service, &old, err);
		active = strcmp(status_of(&old), "inactive");
	}
	if (r == 0) {
		moved = old.trigger && !path_equal(&old.trigger_path, &rule->trigger_path);
		if (moved)
			trigger_set_rule(old.trigger, rule->full, NULL, false);
		trigger_set_rule(rule->trigger, rule->full, json_object_get(rule->document, "action"), active);
		r = store_both(service, rule, moved ? old.trigger : NULL, &old.trigger_key, err);
	}
	json_decref(old.trigger);
	return r;
}

void route_rule_put(void *arg, struct http_request *request)
{
	struct service *service = arg;
	json_t *body, *before = NULL;
	struct rule rule = { 0 };
	struct err err;
	bool overwrite;
	int r;

	if (!entity_path(request, 1, false, &rule.path) || !entity_put_request(request, &body, &overwrite))
		return;
	path_full(&rule.path, rule.full);
	rule.key = entity_key(STORE_RULES, &rule.path, rule.local);
	r = entity_before(service, &rule.key, overwrite, &before, &err);
	if (r == 0)
		r = put(service, http_identity(request)->ns, &rule, body, before, &err);
	if (r == 0)
		http_reply(request, 200, rule_shown(rule.document, status_of(&rule)));
	else
		entity_fail(request, r, &err);
	json_decref(before);
	json_decref(body);
	rule_clear(&rule);
}

void route_rule_get(void *arg, struct http_request *request)
{
	struct rule rule;

	if (!load(arg, request, &rule))
		return;
	http_reply(request, 200, rule_shown(rule.document, status_of(&rule)));
	rule_clear(&rule);
}

static int delete(struct service *service, struct rule *rule, struct err *err)
{
	int r = store_begin(service->store, err), end;

	if (r < 0)
		return r;
	if (rule->trigger) {
		trigger_set_rule(rule->trigger, rule->full, NULL, false);
		r = store_put(service->store, &rule->trigger_key, rule->trigger, err);
	}
	if (r == 0)
		r = store_delete(service->store, &rule->key, err);
	end = store_end(service->store, r == 0, r == 0 ? err : NULL);
	return r < 0 ? r : end;
}

void route_rule_delete(void *arg, struct http_request *request)
{
	struct rule rule;
	struct err err;
	int r;

	if (!load(arg, request, &rule))
		return;
	r = delete(arg, &rule, &err);
	if (r == 0)
		http_reply(request, 200, rule_shown(rule.document, "inactive"));
	else
		entity_fail(request, r, &err);
	rule_clear(&rule);
}

/* POST {"status": "active"|"inactive"}: the same again is no change, and fine. */
void route_rule_set(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const char *status;
	struct rule rule;
	struct err err;
	json_t *body;
	int r = 0;

	if (http_body_object(request, 4096, &body) < 0)
		return;
	status = json_string_value(json_object_get(body, "status"));
	if (!status || (strcmp(status, "active") && strcmp(status, "inactive"))) {
		http_reply_error(request, 400, DOCUMENT_MALFORMED "status must be \"active\" or \"inactive\"");
		json_decref(body);
		return;
	}
	if (load(service, request, &rule)) {
		if (!rule.trigger) {
			r = err_set(&err, ENOENT, ENTITY_NOT_FOUND);
		} else if (strcmp(status, status_of(&rule))) {
			trigger_set_rule(rule.trigger, rule.full, json_object_get(rule.document, "action"), !strcmp(status, "active"));
			r = store_put(service->store, &rule.trigger_key, rule.trigger, &err);
		}
		if (r == 0)
			http_reply_empty(request, 200);
		else
			entity_fail(request, r, &err);
		rule_clear(&rule);
	}
	json_decref(body);
}

static json_t *line_of(const json_t *rule)
{
	return json_incref((json_t *)rule);
}

void route_rule_list(void *arg, struct http_request *request)
{
	entity_list(arg, request, STORE_RULES, line_of);
}
