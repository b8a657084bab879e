// SPDX-License-Identifier: Apache-2.0
#include "daemon/system.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "daemon/action.h"
#include "daemon/identity.h"
#include "daemon/package.h"
#include "store/store.h"

#define PACKAGE "utils"

static const struct {
	const char *name, *description, *code;
} actions[] = {
	{ "echo", "Returns its arguments", "def main(args):\n    return args\n" },
	{ "sort", "Sorts the array lines", "def main(args):\n"
	  "    lines = sorted(str(line) for line in args.get('lines', []))\n"
	  "    return {'lines': lines, 'length': len(lines)}\n" },
	{ "split", "Splits the text payload at separator", "def main(args):\n"
	  "    payload = str(args.get('payload', ''))\n"
	  "    separator = str(args.get('separator', '')) or '\\n'\n"
	  "    return {'lines': payload.split(separator), 'payload': payload}\n" },
	{ "date", "The time, ISO 8601 in UTC", "import datetime\n\n\ndef main(args):\n"
	  "    return {'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}\n" },
};

/* Nothing is written when what is there says the same. */
static int install(struct store *store, const struct store_key *key, json_t *document, struct err *err)
{
	static const char *const changing[] = { "updated", "version" };
	json_t *before, *now;
	bool same;
	int r = store_get(store, key, true, &before, err);

	if (r == -ENOENT)
		return store_put(store, key, document, err);
	if (r < 0)
		return r;
	now = json_copy(document);
	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++)
		json_object_set(now, changing[i], json_object_get(before, changing[i]));
	same = json_equal(now, before);
	json_decref(now);
	json_decref(before);
	return same ? 0 : store_put(store, key, document, err);
}

static int install_package(struct store *store, uint64_t now_ms, struct err *err)
{
	const struct store_key key = { STORE_PACKAGES, IDENTITY_SYSTEM_NS, PACKAGE };
	json_t *request = json_pack("{s:b, s:[{s:s, s:s}]}", "publish", 1, "annotations", "key", "description", "value",
				    "Functions that are useful everywhere");
	json_t *document;
	int r = package_put(request, NULL, IDENTITY_SYSTEM_NS, PACKAGE, now_ms, &document, err);

	json_decref(request);
	if (r < 0)
		return r;
	r = install(store, &key, document, err);
	json_decref(document);
	return r;
}

static int install_action(struct store *store, size_t i, uint64_t now_ms, struct err *err)
{
	json_t *request = json_pack("{s:{s:s, s:s}, s:[{s:s, s:s}]}", "exec", "kind", "python:3", "code", actions[i].code, "annotations",
				    "key", "description", "value", actions[i].description);
	char local[64] = PACKAGE "/";
	const struct store_key key = { STORE_ACTIONS, IDENTITY_SYSTEM_NS, strcat(local, actions[i].name) };
	json_t *document;
	int r = action_put(request, NULL, IDENTITY_SYSTEM_NS "/" PACKAGE, actions[i].name, now_ms, &document, err);

	json_decref(request);
	if (r < 0)
		return r;
	r = install(store, &key, document, err);
	json_decref(document);
	return r;
}

int system_install(struct store *store, struct err *err)
{
	uint64_t now_ms = clock_ns(CLOCK_REALTIME) / 1000000;
	int r = install_package(store, now_ms, err);

	for (size_t i = 0; r == 0 && i < sizeof(actions) / sizeof(actions[0]); i++)
		r = install_action(store, i, now_ms, err);
	return r;
}
