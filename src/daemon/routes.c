// SPDX-License-Identifier: Apache-2.0
#include "daemon/routes.h"

#include <string.h>

#define NS "/api/v1/namespaces/{}"

const struct http_route routes[] = {
	{ HTTP_GET, "/", true, route_root },
	{ HTTP_GET, "/api/v1", true, route_api },
	{ HTTP_GET, "/ping", true, route_ping },
	{ HTTP_GET, "/api/v1/namespaces", false, route_namespaces },
	{ HTTP_GET, NS "/actions", false, route_action_list },
	{ HTTP_PUT, NS "/actions/{}", false, route_action_put },
	{ HTTP_GET, NS "/actions/{}", false, route_action_get },
	{ HTTP_DELETE, NS "/actions/{}", false, route_action_delete },
	{ HTTP_POST, NS "/actions/{}", false, route_action_invoke },
	{ HTTP_PUT, NS "/actions/{}/{}", false, route_packaged },
	{ HTTP_GET, NS "/actions/{}/{}", false, route_packaged },
	{ HTTP_DELETE, NS "/actions/{}/{}", false, route_packaged },
	{ HTTP_POST, NS "/actions/{}/{}", false, route_packaged },
	{ HTTP_GET, NS "/activations", false, route_activation_list },
	{ HTTP_GET, NS "/activations/{}", false, route_activation_get },
	{ HTTP_GET, NS "/activations/{}/logs", false, route_activation_logs },
	{ HTTP_GET, NS "/activations/{}/result", false, route_activation_result },
	{ HTTP_GET, "/squeezy/v1/status", false, route_status },
	{ HTTP_GET, "/squeezy/v1/vms/{}/partitions/{}", false, route_inspect },
	{ HTTP_GET, "/squeezy/v1/reclaims", false, route_reclaims },
	{ HTTP_GET, "/squeezy/v1/samples", false, route_samples },
	{ HTTP_DELETE, "/squeezy/v1/samples", false, route_samples_clear },
	{ HTTP_POST, "/squeezy/v1/evict", false, route_evict },
	{ HTTP_POST, "/squeezy/v1/shutdown", false, route_shutdown },
	{ 0 },
};

bool routes_namespace(struct http_request *request, const char **ret)
{
	const char *asked = http_segment(request, 0);

	if (!strcmp(asked, "_") || !strcmp(asked, "guest")) {
		*ret = "guest";
		return true;
	}
	http_reply_error(request, 403, "The supplied authentication is not authorized to access '%.256s'.", asked);
	return false;
}
