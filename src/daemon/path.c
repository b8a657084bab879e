// SPDX-License-Identifier: Apache-2.0
#include "daemon/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"

static int take(char ret[PATH_NAME_MAX + 1], const char *segment, size_t len, struct err *err)
{
	if (len > PATH_NAME_MAX)
		return err_set(err, EINVAL, "Name segement longer than allowed: %zu > %d.", len, PATH_NAME_MAX);
	memcpy(ret, segment, len);
	ret[len] = '\0';
	if (!document_name_ok(ret))
		return err_set(err, EINVAL, "The name of the entity contains illegal characters.");
	return 0;
}

int path_make(const char *ns, const char *package, const char *name, struct path *ret, struct err *err)
{
	int r = take(ret->ns, ns, strlen(ns), err);

	ret->package[0] = '\0';
	if (r == 0 && package && package[0])
		r = take(ret->package, package, strlen(package), err);
	return r < 0 ? r : take(ret->name, name, strlen(name), err);
}

int path_parse(const char *text, const char *own_ns, struct path *ret, struct err *err)
{
	const char *segments[3];
	size_t lengths[3], n = 0;
	char own[] = "_";
	bool absolute = text[0] == '/';
	int r;

	text += absolute;
	for (; n < 3; text++) {
		segments[n] = text;
		lengths[n] = strcspn(text, "/");
		text += lengths[n++];
		if (!*text)
			break;
	}
	if (*text || (absolute && n < 2))
		return err_set(err, EINVAL, "The name of the entity contains illegal characters.");
	if (n == 1) {
		segments[1] = segments[0];
		lengths[1] = lengths[0];
		segments[0] = own;
		lengths[0] = 1;
		n = 2;
	}
	if (lengths[0] == 1 && segments[0][0] == '_') {
		segments[0] = own_ns;
		lengths[0] = strlen(own_ns);
	}
	ret->package[0] = '\0';
	r = take(ret->ns, segments[0], lengths[0], err);
	if (r == 0 && n == 3)
		r = take(ret->package, segments[1], lengths[1], err);
	return r < 0 ? r : take(ret->name, segments[n - 1], lengths[n - 1], err);
}

void path_local(const struct path *path, char ret[PATH_TEXT_SIZE])
{
	snprintf(ret, PATH_TEXT_SIZE, "%s%s%s", path->package, path->package[0] ? "/" : "", path->name);
}

void path_full(const struct path *path, char ret[PATH_TEXT_SIZE])
{
	snprintf(ret, PATH_TEXT_SIZE, "%s/%s%s%s", path->ns, path->package, path->package[0] ? "/" : "", path->name);
}

void path_parent(const struct path *path, char ret[PATH_TEXT_SIZE])
{
	snprintf(ret, PATH_TEXT_SIZE, "%s%s%s", path->ns, path->package[0] ? "/" : "", path->package);
}

bool path_equal(const struct path *a, const struct path *b)
{
	return !strcmp(a->ns, b->ns) && !strcmp(a->package, b->package) && !strcmp(a->name, b->name);
}
