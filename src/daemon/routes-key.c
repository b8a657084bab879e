// SPDX-License-Identifier: Apache-2.0
/* /squeezy/v1/keys: namespaces and their keys, for the operator; and the limits of a namespace, for itself. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "daemon/identity.h"
#include "daemon/limits.h"
#include "daemon/routes-entity.h"

void route_key_list(void *arg, struct http_request *request)
{
	struct service *service = arg;

	http_reply(request, 200, identities_list(service->identities));
}

/* The only answer that holds a secret. */
void route_key_add(void *arg, struct http_request *request)
{
	struct service *service = arg;
	const struct identity *identity;
	json_t *body, *answer;
	struct err err;
	int r;

	if (http_body_object(request, 4096, &body) < 0)
		return;
	r = identities_add(service->identities, body, &identity, &err);
	json_decref(body);
	if (r < 0) {
		entity_fail(request, r, &err);
		return;
	}
	answer = identity_json(identity);
	json_object_set_new(answer, "key", json_string(identity->key));
	http_reply(request, 201, answer);
}

void route_key_remove(void *arg, struct http_request *request)
{
	struct service *service = arg;
	struct err err;
	int r = identities_remove(service->identities, http_segment(request, 0), &err);

	if (r < 0)
		entity_fail(request, r, &err);
	else
		http_reply_empty(request, 204);
}

void route_namespaces(void *arg, struct http_request *request)
{
	http_reply(request, 200, json_pack("[s]", http_identity(request)->ns));
}

void route_limits(void *arg, struct http_request *request)
{
	const struct identity *identity = http_identity(request);
	const char *ns = http_segment(request, 0);
	json_t *identity_form;

	if (strcmp(ns, "_") && strcmp(ns, identity->ns)) {
		http_reply_error(request, 403, "The supplied authentication is not authorized to access '%.256s'.", ns);
		return;
	}
	identity_form = identity_json(identity);
	http_reply(request, 200, limits_namespace(json_object_get(identity_form, "limits")));
	json_decref(identity_form);
}
