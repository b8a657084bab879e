/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the documents of all entities have in common: parameters, annotations, version, publish. Pure: JSON in, JSON out. Errors carry
 * OpenWhisk's sentences; -EINVAL is a 400, -EFBIG a 413. A list of pairs is [{"key","value"},...].
 */
#ifndef SQUEEZY_DAEMON_DOCUMENT_H
#define SQUEEZY_DAEMON_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

#define DOCUMENT_MALFORMED "The request content was malformed:\n"

/* OpenWhisk's rule for a name: word characters, inside also "@ .&-", at most 256, no blank at the end. */
bool document_name_ok(const char *name);

/* A step of a PUT: fills document from the request (an object) and what was there before (NULL: nothing). 0 or -errno. */
typedef int document_step(const json_t *request, const json_t *before, json_t *document, struct err *err);

document_step document_put_parameters, document_put_annotations, document_put_version, document_put_publish;

/*
 * A document made by steps (NULL-terminated) over {"namespace","name","updated"}. *ret is the caller's. The time of a document is
 * later than that of the one before, so that it tells revisions apart.
 */
int document_make(document_step *const steps[], const json_t *request, const json_t *before, const char *ns, const char *name,
		  uint64_t now_ms, json_t **ret, struct err *err);

/* Value of an annotation, NULL if absent. Borrowed. */
json_t *document_annotation(const json_t *document, const char *key);

/* Sets an annotation; value is stolen. */
void document_annotate(json_t *document, const char *key, json_t *value);

/* The pairs of under, overridden by those of over; either may be NULL. New array. */
json_t *document_merge_pairs(const json_t *under, const json_t *over);

/* {"key": value} of pairs, overridden by body (may be NULL). New object. */
json_t *document_arguments(const json_t *pairs, const json_t *body);

#endif
