/* SPDX-License-Identifier: Apache-2.0 */
/* A package's document, and a binding's: a package that stands for another one with parameters of its own. Pure, as document.h. */
#ifndef SQUEEZY_DAEMON_PACKAGE_H
#define SQUEEZY_DAEMON_PACKAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

/* The document after PUT; -EEXIST: a package cannot become a binding, nor a binding a package. */
int package_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
		struct err *err);

/* What it is bound to; false: it is no binding. Borrowed. */
bool package_binding(const json_t *document, const char **ret_ns, const char **ret_name);

/* As GET shows it: with the actions (documents) of the package, and for a binding the provider's (NULL: none) parameters below its own. New object. */
json_t *package_shown(const json_t *document, const json_t *provider, const json_t *actions);

/* Line of a list. New object. */
json_t *package_summary(const json_t *document);

#endif
