/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces and their keys: who may do what. A key is "uuid:secret" (the secret 64 characters), as OpenWhisk's. Secrets are sealed in the
 * store (functions may ask for their namespace's key, so a hash would not do) and in the clear only in memory; they are compared in
 * constant time and never logged.
 */
#ifndef SQUEEZY_DAEMON_IDENTITY_H
#define SQUEEZY_DAEMON_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/throttle.h"

struct err;
struct store;

#define IDENTITY_SYSTEM_NS "whisk.system"

enum identity_right {
	RIGHT_READ = 1,
	RIGHT_PUT = 2,
	RIGHT_DELETE = 4,
	RIGHT_ACTIVATE = 8,
	RIGHT_ALL = 15,
	RIGHT_ADMIN = 16,	/* the daemon's own paths: the key in <state>/api.key has it, and no other */
};

struct identity {
	char *ns;
	char *uuid;
	char *key;		/* "uuid:secret" */
	unsigned int rights;	/* enum identity_right */
	struct throttle *throttle;	/* of the namespace */
};

struct identities;

/* Reads all identities; admin_key is that of the first namespace, "guest". Limits are the defaults of a namespace. */
int identities_open(struct store *store, const char *state_dir, const char *admin_key, const struct throttle_limits *limits,
		    struct identities **ret, struct err *err);
void identities_free(struct identities *identities);

/* Limits of a namespace that has none of its own. */
const struct throttle_limits *identities_limits(const struct identities *identities);

/* Who "uuid:secret" is, NULL: nobody. Takes the same time whatever the secret. */
const struct identity *identities_check(const struct identities *identities, const char *credentials);

/* The first key of a namespace, with which its functions are called; NULL: there is no such namespace. */
const struct identity *identities_of(const struct identities *identities, const char *ns);

/* A new key; the namespace is made with its first. {"namespace","rights":["READ",..]?,"limits":{..}?}. */
int identities_add(struct identities *identities, const json_t *request, const struct identity **ret, struct err *err);

/* -ENOENT: no such key; -EPERM: it is the daemon's own. */
int identities_remove(struct identities *identities, const char *uuid, struct err *err);

/* [{"namespace","uuid","rights","limits"}]: no secrets. New array. */
json_t *identities_list(const struct identities *identities);

/* {"namespace","uuid","rights","limits"} of one. New object. */
json_t *identity_json(const struct identity *identity);

#endif
