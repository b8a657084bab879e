// SPDX-License-Identifier: Apache-2.0
#include "daemon/identity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/document.h"
#include "daemon/seal.h"
#include "daemon/state.h"
#include "store/store.h"

#define FIRST_NS "guest"
#define LIMIT_MAX 1000000000

struct namespace {
	LIST_ENTRY(namespace) link;
	struct throttle throttle;
	char name[];
};

struct entry {
	TAILQ_ENTRY(entry) link;	/* by age, oldest first */
	struct identity identity;
};

struct identities {
	struct store *store;
	struct seal seal;
	struct throttle_limits limits;
	LIST_HEAD(, namespace) namespaces;
	TAILQ_HEAD(, entry) entries;
};

static const struct {
	const char *name;
	enum identity_right right;
} rights[] = {
	{ "READ", RIGHT_READ }, { "PUT", RIGHT_PUT }, { "DELETE", RIGHT_DELETE }, { "ACTIVATE", RIGHT_ACTIVATE }, { "ADMIN", RIGHT_ADMIN },
};

#define N_RIGHTS (sizeof(rights) / sizeof(rights[0]))

static struct namespace *get_namespace(struct identities *identities, const char *name)
{
	struct namespace *ns;

	LIST_FOREACH(ns, &identities->namespaces, link)
		if (!strcmp(ns->name, name))
			return ns;
	ns = calloc(1, sizeof(*ns) + strlen(name) + 1);
	if (!ns)
		return NULL;
	memcpy(ns->name, name, strlen(name) + 1);
	ns->throttle.limits = identities->limits;
	LIST_INSERT_HEAD(&identities->namespaces, ns, link);
	return ns;
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	if (entry->identity.key)
		explicit_bzero(entry->identity.key, strlen(entry->identity.key));
	free(entry->identity.key);
	free(entry->identity.uuid);
	free(entry->identity.ns);
	free(entry);
}

/* Takes what is borrowed by copy; NULL: out of memory. The entry is in the list. */
static struct entry *add_entry(struct identities *identities, const char *ns, const char *key, unsigned int granted)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	struct namespace *found = get_namespace(identities, ns);

	if (entry) {
		entry->identity.ns = strdup(ns);
		entry->identity.key = strdup(key);
		entry->identity.uuid = strndup(key, strcspn(key, ":"));
		entry->identity.rights = granted;
	}
	if (!entry || !found || !entry->identity.ns || !entry->identity.key || !entry->identity.uuid) {
		entry_free(entry);
		return NULL;
	}
	entry->identity.throttle = &found->throttle;
	TAILQ_INSERT_TAIL(&identities->entries, entry, link);
	return entry;
}

static json_t *rights_json(unsigned int granted)
{
	json_t *list = json_array();

	for (size_t i = 0; i < N_RIGHTS; i++)
		if (granted & rights[i].right)
			json_array_append_new(list, json_string(rights[i].name));
	return list;
}

static int parse_rights(const json_t *list, unsigned int *ret, struct err *err)
{
	json_t *word;
	size_t i, j;

	*ret = list ? 0 : RIGHT_ALL;
	json_array_foreach(list, i, word) {
		for (j = 0; j < N_RIGHTS && (!json_is_string(word) || strcmp(rights[j].name, json_string_value(word))); j++)
			;
		if (j == N_RIGHTS || rights[j].right == RIGHT_ADMIN)
			return err_set(err, EINVAL, "\"rights\" must be of READ, PUT, DELETE and ACTIVATE");
		*ret |= rights[j].right;
	}
	return list && !json_is_array(list) ? err_set(err, EINVAL, "\"rights\" must be an array") : 0;
}

static json_t *limits_object(const struct throttle_limits *limits)
{
	return json_pack("{s:I, s:I, s:I}", "invocationsPerMinute", (json_int_t)limits->calls_per_minute, "concurrentInvocations",
			 (json_int_t)limits->concurrent, "firesPerMinute", (json_int_t)limits->fires_per_minute);
}

static int parse_limits(const json_t *object, struct throttle_limits *limits, struct err *err)
{
	const struct { const char *name; unsigned int *value; } fields[] = {
		{ "invocationsPerMinute", &limits->calls_per_minute }, { "concurrentInvocations", &limits->concurrent },
		{ "firesPerMinute", &limits->fires_per_minute },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		json_t *value = json_object_get(object, fields[i].name);

		if (!value)
			continue;
		if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > LIMIT_MAX)
			return err_set(err, EINVAL, "\"limits\": %s must be a whole number from 0 to %d", fields[i].name, LIMIT_MAX);
		*fields[i].value = (unsigned int)json_integer_value(value);
	}
	return 0;
}

json_t *identity_json(const struct identity *identity)
{
	return json_pack("{s:s, s:s, s:o, s:o}", "namespace", identity->ns, "uuid", identity->uuid, "rights", rights_json(identity->rights),
			 "limits", limits_object(&identity->throttle->limits));
}

json_t *identities_list(const struct identities *identities)
{
	json_t *list = json_array();
	struct entry *entry;

	TAILQ_FOREACH(entry, &identities->entries, link)
		json_array_append_new(list, identity_json(&entry->identity));
	return list;
}

static int save(struct identities *identities, const struct identity *identity, struct err *err)
{
	char *sealed = seal_text(&identities->seal, identity->uuid, identity->key);
	json_t *document = identity_json(identity);
	int r;

	if (!sealed || !document)
		r = err_set(err, ENOMEM, "out of memory");
	else
		r = json_object_set_new(document, "sealed", json_string(sealed));
	if (r == 0)
		r = store_identity_put(identities->store, identity->uuid, document, err);
	json_decref(document);
	free(sealed);
	return r;
}

static int load_one(struct identities *identities, const json_t *document, struct err *err)
{
	const char *ns = json_string_value(json_object_get(document, "namespace"));
	const char *uuid = json_string_value(json_object_get(document, "uuid"));
	const char *sealed = json_string_value(json_object_get(document, "sealed"));
	char *key = ns && uuid && sealed ? unseal_text(&identities->seal, uuid, sealed) : NULL;
	struct entry *entry = NULL;
	unsigned int granted = 0;

	if (!key) {
		log_warning("the key %s of namespace %s does not open with seal.key: it is not taken", uuid ? uuid : "?", ns ? ns : "?");
		return 0;
	}
	if (parse_rights(json_object_get(document, "rights"), &granted, err) == 0)
		entry = add_entry(identities, ns, key, granted);
	if (entry)
		(void)parse_limits(json_object_get(document, "limits"), &entry->identity.throttle->limits, NULL);
	explicit_bzero(key, strlen(key));
	free(key);
	return entry ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int load(struct identities *identities, const char *admin_key, struct err *err)
{
	json_t *list, *document;
	size_t i;
	int r = store_identity_list(identities->store, &list, err);

	/* The operator's own key is a file of its own (api.key), so that a lost database does not lock him out. */
	if (r == 0 && !add_entry(identities, FIRST_NS, admin_key, RIGHT_ALL | RIGHT_ADMIN))
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	json_array_foreach(list, i, document)
		if (r == 0)
			r = load_one(identities, document, err);
	json_decref(list);
	return r;
}

int identities_open(struct store *store, const char *state_dir, const char *admin_key, const struct throttle_limits *limits,
		    struct identities **ret, struct err *err)
{
	struct identities *identities = calloc(1, sizeof(*identities));
	int r;

	if (!identities)
		return err_set(err, ENOMEM, "out of memory");
	TAILQ_INIT(&identities->entries);
	identities->store = store;
	identities->limits = *limits;
	r = seal_open(state_dir, &identities->seal, err);
	if (r == 0)
		r = load(identities, admin_key, err);
	if (r < 0) {
		identities_free(identities);
		return r;
	}
	*ret = identities;
	return 0;
}

void identities_free(struct identities *identities)
{
	struct namespace *ns;
	struct entry *entry;

	if (!identities)
		return;
	while ((entry = TAILQ_FIRST(&identities->entries))) {
		TAILQ_REMOVE(&identities->entries, entry, link);
		entry_free(entry);
	}
	while ((ns = LIST_FIRST(&identities->namespaces))) {
		LIST_REMOVE(ns, link);
		free(ns);
	}
	explicit_bzero(&identities->seal, sizeof(identities->seal));
	free(identities);
}

const struct throttle_limits *identities_limits(const struct identities *identities)
{
	return &identities->limits;
}

/* Compares all of it always, so that time tells nothing about how much was right. */
static bool equal_constant_time(const char *given, const char *secret)
{
	size_t given_len = strlen(given), len = strlen(secret);
	unsigned char differs = given_len != len;

	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)((i < given_len ? given[i] : 0) ^ secret[i]);
	return !differs;
}

/* The uuid is no secret: it selects, the secret is what is compared slowly. */
const struct identity *identities_check(const struct identities *identities, const char *credentials)
{
	static const char nobody[] = "00000000-0000-0000-0000-000000000000:0000000000000000000000000000000000000000000000000000000000000000";
	const struct identity *found = NULL;
	struct entry *entry;
	size_t len = strcspn(credentials, ":");

	TAILQ_FOREACH(entry, &identities->entries, link)
		if (strlen(entry->identity.uuid) == len && !strncmp(entry->identity.uuid, credentials, len))
			found = &entry->identity;
	return equal_constant_time(credentials, found ? found->key : nobody) ? found : NULL;
}

const struct identity *identities_of(const struct identities *identities, const char *ns)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &identities->entries, link)
		if (!strcmp(entry->identity.ns, ns))
			return &entry->identity;
	return NULL;
}

int identities_add(struct identities *identities, const json_t *request, const struct identity **ret, struct err *err)
{
	const char *ns = json_string_value(json_object_get(request, "namespace"));
	struct throttle_limits limits = identities->limits, before;
	char key[STATE_KEY_SIZE];
	struct entry *entry;
	unsigned int granted;
	int r;

	if (!ns || !document_name_ok(ns) || !strcmp(ns, "_") || !strcmp(ns, IDENTITY_SYSTEM_NS))
		return err_set(err, EINVAL, "\"namespace\" must be a name of letters, digits, blanks and _@.&-, and not one of ours");
	r = parse_rights(json_object_get(request, "rights"), &granted, err);
	if (r == 0)
		r = parse_limits(json_object_get(request, "limits"), &limits, err);
	if (r == 0)
		r = state_make_key(key, err);
	if (r < 0)
		return r;
	entry = add_entry(identities, ns, key, granted);
	explicit_bzero(key, sizeof(key));
	if (!entry)
		return err_set(err, ENOMEM, "out of memory");
	before = entry->identity.throttle->limits;
	if (json_object_get(request, "limits"))
		entry->identity.throttle->limits = limits;
	r = save(identities, &entry->identity, err);
	if (r < 0) {
		entry->identity.throttle->limits = before;
		TAILQ_REMOVE(&identities->entries, entry, link);
		entry_free(entry);
		return r;
	}
	*ret = &entry->identity;
	return 0;
}

int identities_remove(struct identities *identities, const char *uuid, struct err *err)
{
	struct entry *entry;
	int r;

	TAILQ_FOREACH(entry, &identities->entries, link)
		if (!strcmp(entry->identity.uuid, uuid))
			break;
	if (!entry)
		return err_set(err, ENOENT, "there is no key %.64s", uuid);
	if (entry->identity.rights & RIGHT_ADMIN)
		return err_set(err, EPERM, "this is the daemon's own key (api.key): end the daemon and remove the file to get a new one");
	r = store_identity_delete(identities->store, uuid, err);
	if (r < 0)
		return r;
	TAILQ_REMOVE(&identities->entries, entry, link);
	entry_free(entry);
	return 0;
}
