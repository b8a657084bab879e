/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of an action: OpenWhisk's fields, ranges and error texts. */
#ifndef SQUEEZY_DAEMON_LIMITS_H
#define SQUEEZY_DAEMON_LIMITS_H

#include <jansson.h>

struct err;

struct limits {
	int timeout;		/* ms */
	int memory;		/* MB */
	int logs;		/* MB */
	int concurrency;	/* calls at once in one instance, where its kind can */
};

/* Payload bounds of OpenWhisk, bytes. */
#define LIMITS_CODE_MAX		(48u << 20)
#define LIMITS_PARAMETERS_MAX	(1u << 20)
#define LIMITS_PAYLOAD_MAX	(1u << 20)
#define LIMITS_RESULT_MAX	(1u << 20)

/* The defaults; what limits_parse() leaves where a field is absent. */
struct limits limits_default(void);

/* Fields of object (NULL: none) over *limits. -EINVAL with OpenWhisk's sentence; *limits is changed on success only. */
int limits_parse(const json_t *object, struct limits *limits, struct err *err);

/* {"timeout":..,"memory":..,"logs":..,"concurrency":..} */
json_t *limits_json(const struct limits *limits);

/* Adds the limits part of GET / to object (min_, max_ and default_ of duration, memory and logs). 0 or -ENOMEM. */
int limits_describe(json_t *object);

/* The limits of a namespace: its throttles (an object, may be NULL) and what its actions may ask for. New object. */
json_t *limits_namespace(const json_t *throttles);

#endif
