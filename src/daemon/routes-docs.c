// SPDX-License-Identifier: Apache-2.0
/* GET /api/v1/api-docs: the routes as a Swagger 2.0 document, made from the table that serves them. */
#include <string.h>

#include "daemon/routes.h"

#define API "/api/v1"

static const struct {
	enum http_method method;
	const char *name;
} methods[] = {
	{ HTTP_GET, "get" }, { HTTP_PUT, "put" }, { HTTP_POST, "post" }, { HTTP_DELETE, "delete" },
	{ HTTP_PATCH, "patch" }, { HTTP_HEAD, "head" }, { HTTP_OPTIONS, "options" },
};

/* Lists take limits; so does that of a package's actions, whose path ends with a slash. */
static const char *const collections[] = { "/actions", "/packages", "/triggers", "/rules", "/activations", "/" };

/* Query parameters, and where they mean something: methods, and a path's end (NULL: a collection of the namespace, or of a package). */
static const struct {
	unsigned int methods;
	const char *end, *name, *type, *what;
} queries[] = {
	{ HTTP_PUT, "", "overwrite", "boolean", "Overwrite what is there" },
	{ HTTP_GET, NULL, "limit", "integer", "At most so many entities, 0 to 200" },
	{ HTTP_GET, NULL, "skip", "integer", "Leave out so many of the newest" },
	{ HTTP_GET, NULL, "count", "boolean", "Their number only" },
	{ HTTP_GET, "/activations", "name", "string", "Of this action only" },
	{ HTTP_GET, "/activations", "since", "integer", "Not before this time, in milliseconds since 1970" },
	{ HTTP_GET, "/activations", "upto", "integer", "Not after this time" },
	{ HTTP_GET, "/activations", "docs", "boolean", "Whole records" },
	{ HTTP_GET, "{actionName}", "code", "boolean", "With the code; true unless said otherwise" },
	{ HTTP_POST, "{actionName}", "blocking", "boolean", "Wait for the result" },
	{ HTTP_POST, "{actionName}", "result", "boolean", "Answer with the result only" },
	{ HTTP_POST, "{actionName}", "timeout", "integer", "Wait so many milliseconds at most" },
	{ HTTP_DELETE, "{packageName}", "force", "boolean", "Also when it holds actions" },
};

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static bool is_collection(const char *path)
{
	for (size_t i = 0; i < sizeof(collections) / sizeof(collections[0]); i++)
		if (ends_with(path, collections[i]))
			return true;
	return false;
}

/* The parameters that are a path's variable segments. */
static json_t *describe_path(const char *path)
{
	json_t *parameters = json_array();

	for (const char *at = path; (at = strchr(at, '{')); at++)
		json_array_append_new(parameters, json_pack("{s:s%, s:s, s:b, s:s}", "name", at + 1, strcspn(at + 1, "}"), "in", "path", "required", 1,
							    "type", "string"));
	return parameters;
}

static json_t *describe(const struct http_route *route, size_t method, const char *path, const json_t *of_path)
{
	json_t *parameters = json_deep_copy(of_path), *operation;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		if (queries[i].methods & methods[method].method && route->access == HTTP_KEY &&
		    (queries[i].end ? ends_with(path, queries[i].end) : is_collection(path)))
			json_array_append_new(parameters, json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", queries[i].name, "in", "query", "required", 0,
								    "type", queries[i].type, "description", queries[i].what));
	if (methods[method].method & (HTTP_PUT | HTTP_POST))
		json_array_append_new(parameters, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", "body", "in", "body", "required",
							    methods[method].method == HTTP_PUT, "schema", "type", "object"));
	operation = json_pack("{s:o, s:{s:{s:s}}}", "parameters", parameters, "responses", "default", "description",
			      "A JSON object; {\"error\", \"code\"} when refused");
	if (operation && route->access == HTTP_KEY)
		json_object_set_new(operation, "security", json_pack("[{s:[]}]", "basicAuth"));
	return operation;
}

static json_t *describe_paths(void)
{
	json_t *paths = json_object();

	for (const struct http_route *route = routes; route->path; route++) {
		const char *path = route->path + strlen(API);
		json_t *parameters, *item;

		if (strncmp(route->path, API, strlen(API)))
			continue;
		path = *path ? path : "/";
		parameters = describe_path(path);
		item = json_object_get(paths, path);
		if (!item) {
			item = json_object();
			json_object_set_new(paths, path, item);
		}
		for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++)
			if (route->methods & methods[m].method)
				json_object_set_new(item, methods[m].name, describe(route, m, path, parameters));
		json_decref(parameters);
	}
	return paths;
}

void route_api_docs(void *arg, struct http_request *request)
{
	http_reply(request, 200, json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:[s], s:[s], s:{s:{s:s}}, s:o}", "swagger", "2.0", "info", "title",
					   "OpenWhisk REST API, served by Squeezy", "description", "Made from the table of routes", "version", "1.0.0", "basePath",
					   API, "consumes", "application/json", "produces", "application/json", "securityDefinitions", "basicAuth", "type",
					   "basic", "paths", describe_paths()));
}
