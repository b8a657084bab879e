/* SPDX-License-Identifier: Apache-2.0 */
/* Names of entities: "/namespace/name" and "/namespace/package/name". Pure. */
#ifndef SQUEEZY_DAEMON_PATH_H
#define SQUEEZY_DAEMON_PATH_H

#include <stdbool.h>

struct err;

#define PATH_NAME_MAX	256
#define PATH_TEXT_SIZE	(3 * PATH_NAME_MAX + 4)

struct path {
	char ns[PATH_NAME_MAX + 1];
	char package[PATH_NAME_MAX + 1];	/* "": none, the default package */
	char name[PATH_NAME_MAX + 1];
};

/* From segments; package may be NULL or "". -EINVAL with OpenWhisk's sentence for a bad or long name. */
int path_make(const char *ns, const char *package, const char *name, struct path *ret, struct err *err);

/*
 * From text: "/ns/name", "/ns/package/name", the same without the first slash, or "name" alone, which is in own_ns, as "_" is.
 * -EINVAL as above.
 */
int path_parse(const char *text, const char *own_ns, struct path *ret, struct err *err);

/* "package/name" or "name": how the store names an action. */
void path_local(const struct path *path, char ret[PATH_TEXT_SIZE]);

/* "ns/package/name" or "ns/name". */
void path_full(const struct path *path, char ret[PATH_TEXT_SIZE]);

/* "ns/package" or "ns": the namespace field of a document. */
void path_parent(const struct path *path, char ret[PATH_TEXT_SIZE]);

bool path_equal(const struct path *a, const struct path *b);

#endif
