/* SPDX-License-Identifier: Apache-2.0 */
/* From the name that a caller gives to the action that runs: through packages and bindings, with the parameters they add. */
#ifndef SQUEEZY_DAEMON_RESOLVE_H
#define SQUEEZY_DAEMON_RESOLVE_H

#include <jansson.h>

#include "daemon/path.h"

struct err;
struct store;

struct resolved {
	struct path path;	/* where the action is */
	json_t *document;	/* without its code; owned */
	json_t *parameters;	/* package < binding < action; pairs, owned */
	char binding[2 * PATH_NAME_MAX + 2];	/* "ns/binding" it was reached through, "" without */
};

/*
 * The action that caller_ns means by asked. -ENOENT: it, or its package, does not exist; -EACCES: it is another namespace's and not in a
 * public package; -EISNAM: the name is something else. err has OpenWhisk's sentence.
 */
int resolve_action(struct store *store, const char *caller_ns, const struct path *asked, struct resolved *ret, struct err *err);
void resolved_clear(struct resolved *resolved);

/*
 * The package that caller_ns means by ns and name, with the one it is bound to (*ret_provider, NULL: no binding). -ENOENT, -EACCES as
 * above; a binding whose provider is gone is -ENOENT.
 */
int resolve_package(struct store *store, const char *caller_ns, const char *ns, const char *name, json_t **ret, json_t **ret_provider,
		    struct err *err);

#endif
