// SPDX-License-Identifier: Apache-2.0
#include "daemon/trigger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"

static int put_trigger_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	int r = document_put_annotations(request, before, document, err);
	json_t *feed = document_annotation(document, "feed");
	struct path path;

	if (r < 0 || before || !feed)
		return r;
	if (!json_is_string(feed) ||
	    path_parse(json_string_value(feed), json_string_value(json_object_get(document, "namespace")), &path, NULL) < 0)
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "Feed name is not valid");
	return 0;
}

static int put_rules(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *rules = json_object_get(before, "rules");

	json_object_set_new(document, "limits", json_object());
	return rules ? json_object_set(document, "rules", rules) : 0;
}

static document_step *const trigger_steps[] = {
	document_put_parameters, put_trigger_annotations, put_rules, document_put_version, document_put_publish, NULL
};

int trigger_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
		struct err *err)
{
	return document_make(trigger_steps, request, before, ns, name, now_ms, ret, err);
}

json_t *trigger_summary(const json_t *document)
{
	json_t *line = json_copy((json_t *)document);

	json_object_del(line, "parameters");
	json_object_del(line, "rules");
	return line;
}

void trigger_set_rule(json_t *trigger, const char *rule, const json_t *action, bool active)
{
	json_t *rules = json_object_get(trigger, "rules");

	if (!action) {
		json_object_del(rules, rule);
		if (rules && !json_object_size(rules))
			json_object_del(trigger, "rules");
		return;
	}
	if (!rules) {
		rules = json_object();
		json_object_set_new(trigger, "rules", rules);
	}
	json_object_set_new(rules, rule, json_pack("{s:O, s:s}", "action", action, "status", active ? "active" : "inactive"));
}

const char *trigger_rule_status(const json_t *trigger, const char *rule)
{
	return json_string_value(json_object_get(json_object_get(json_object_get(trigger, "rules"), rule), "status"));
}

/* "/ns/name", or {"path": "ns/package", "name"}. */
static int parse_entity(const json_t *given, const char *own_ns, struct path *ret, struct err *err)
{
	const char *path = json_string_value(json_object_get(given, "path"));
	const char *name = json_string_value(json_object_get(given, "name"));
	char text[PATH_TEXT_SIZE];

	if (path && name)
		snprintf(text, sizeof(text), "/%.500s/%.257s", path + (path[0] == '/'), name);
	else
		snprintf(text, sizeof(text), "%.760s", json_is_string(given) ? json_string_value(given) : "");
	if (!strchr(text + (text[0] == '/'), '/'))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "a rule's trigger and action must be \"/namespace/name\"");
	return path_parse(text, own_ns, ret, err);
}

static int put_entity(const char *field, const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	const char *own_ns = json_string_value(json_object_get(document, "namespace"));
	json_t *given = json_object_get(request, field), *kept = json_object_get(before, field);
	char parent[PATH_TEXT_SIZE];
	struct path path;
	int r;

	if (!given && kept)
		return json_object_set(document, field, kept);
	r = parse_entity(given, own_ns, &path, err);
	if (r < 0)
		return r;
	path_parent(&path, parent);
	return json_object_set_new(document, field, json_pack("{s:s, s:s}", "path", parent, "name", path.name));
}

static int put_trigger(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	return put_entity("trigger", request, before, document, err);
}

static int put_action(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	return put_entity("action", request, before, document, err);
}

static document_step *const rule_steps[] = {
	put_trigger, put_action, document_put_annotations, document_put_version, document_put_publish, NULL
};

int rule_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	     struct err *err)
{
	return document_make(rule_steps, request, before, ns, name, now_ms, ret, err);
}

int rule_paths(const json_t *rule, struct path *ret_trigger, struct path *ret_action)
{
	int r = parse_entity(json_object_get(rule, "trigger"), "_", ret_trigger, NULL);

	return r < 0 ? r : parse_entity(json_object_get(rule, "action"), "_", ret_action, NULL);
}

json_t *rule_shown(const json_t *rule, const char *status)
{
	json_t *shown = json_copy((json_t *)rule);

	json_object_set_new(shown, "status", json_string(status));
	return shown;
}
