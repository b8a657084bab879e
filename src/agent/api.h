/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of proto/SPEC.md: paths, bodies and who answers. */
#ifndef SQUEEZY_AGENT_API_H
#define SQUEEZY_AGENT_API_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct container_request;
struct err;
struct h2_call;

struct api {
	struct agent *agent;
	bool greeted;		/* a good hello came on this connection */
};

#define API_BODY_MAX		(64u << 20)	/* code up to 48 MiB, in base64 */
#define API_BODY_TOTAL_MAX	(96u << 20)

/* Answers a call, now or later. */
void api_call(struct api *api, struct h2_call *call);

/* Reads the body of POST /v1/containers. 0 or -EINVAL; -ENOENT: unknown kind. */
int api_parse_create(const char *body, size_t len, struct container_request *ret, struct err *err);

/* The id in "/v1/containers/{id}" + suffix, into id. False if the path is another or the id is not valid. */
bool api_container_path(const char *path, const char *suffix, char id[33]);

#endif
