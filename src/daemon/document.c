// SPDX-License-Identifier: Apache-2.0
#include "daemon/document.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/limits.h"

bool document_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > 256)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool word = isalnum(c) || c == '_';

		if (word || (i > 0 && c && strchr("@.&-", c)) || (i > 0 && i + 1 < len && c == ' '))
			continue;
		return false;
	}
	return true;
}

static int check_pairs(const json_t *pairs, const char *field, struct err *err)
{
	json_t *pair;
	size_t i;
	char *text;
	size_t len;

	if (!json_is_array(pairs))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "%s must be an array of {\"key\", \"value\"}", field);
	json_array_foreach(pairs, i, pair)
		if (!json_is_string(json_object_get(pair, "key")) || !json_object_get(pair, "value"))
			return err_set(err, EINVAL, DOCUMENT_MALFORMED "%s must be an array of {\"key\", \"value\"}", field);
	text = json_dumps(pairs, JSON_COMPACT);
	len = text ? strlen(text) : 0;
	free(text);
	if (len > LIMITS_PARAMETERS_MAX)
		return err_set(err, EFBIG, "%s larger than allowed: %zu > %u bytes.", field, len, LIMITS_PARAMETERS_MAX);
	return 0;
}

static size_t index_of(const json_t *pairs, const char *key)
{
	json_t *pair;
	size_t i;

	json_array_foreach(pairs, i, pair) {
		const char *have = json_string_value(json_object_get(pair, "key"));

		if (have && !strcmp(have, key))
			return i;
	}
	return SIZE_MAX;
}

static void remove_pair(json_t *pairs, const char *key)
{
	for (size_t i; (i = index_of(pairs, key)) != SIZE_MAX;)
		json_array_remove(pairs, i);
}

json_t *document_annotation(const json_t *document, const char *key)
{
	json_t *pairs = json_object_get(document, "annotations");
	size_t i = index_of(pairs, key);

	return i == SIZE_MAX ? NULL : json_object_get(json_array_get(pairs, i), "value");
}

void document_annotate(json_t *document, const char *key, json_t *value)
{
	json_t *pairs = json_object_get(document, "annotations");

	remove_pair(pairs, key);
	json_array_append_new(pairs, json_pack("{s:s, s:o}", "key", key, "value", value));
}

json_t *document_merge_pairs(const json_t *under, const json_t *over)
{
	json_t *merged = under ? json_copy((json_t *)under) : json_array(), *pair;
	size_t i;

	json_array_foreach(over, i, pair) {
		remove_pair(merged, json_string_value(json_object_get(pair, "key")));
		json_array_append(merged, pair);
	}
	return merged;
}

json_t *document_arguments(const json_t *pairs, const json_t *body)
{
	json_t *arguments = json_object(), *pair;
	size_t i;

	json_array_foreach(pairs, i, pair)
		json_object_set(arguments, json_string_value(json_object_get(pair, "key")), json_object_get(pair, "value"));
	if (body)
		json_object_update(arguments, (json_t *)body);
	return arguments;
}

int document_put_parameters(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "parameters");
	json_t *kept = json_object_get(before, "parameters");
	int r;

	if (given && !json_is_null(given)) {
		r = check_pairs(given, "parameters", err);
		return r < 0 ? r : json_object_set(document, "parameters", given);
	}
	return kept ? json_object_set(document, "parameters", kept) : json_object_set_new(document, "parameters", json_array());
}

/* Key-wise over what was there, less delAnnotations. */
int document_put_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "annotations"), *dropped = json_object_get(request, "delAnnotations"), *word;
	json_t *kept = before ? json_copy(json_object_get(before, "annotations")) : json_array();
	size_t i;
	int r;

	json_array_foreach(dropped, i, word)
		if (json_is_string(word))
			remove_pair(kept, json_string_value(word));
	if (!given || json_is_null(given))
		return json_object_set_new(document, "annotations", kept);
	r = check_pairs(given, "annotations", err);
	if (r == 0)
		r = json_object_set_new(document, "annotations", document_merge_pairs(kept, given));
	json_decref(kept);
	return r;
}

int document_put_version(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "version");
	unsigned int major, minor, patch;
	char text[48], rest;

	if (given && !json_is_null(given)) {
		if (!json_is_string(given) || sscanf(json_string_value(given), "%9u.%9u.%9u%c", &major, &minor, &patch, &rest) != 3)
			return err_set(err, EINVAL, DOCUMENT_MALFORMED "version must be three numbers: major.minor.patch");
	} else if (before && sscanf(json_string_value(json_object_get(before, "version")), "%u.%u.%u", &major, &minor, &patch) == 3) {
		patch++;
	} else {
		major = minor = 0;
		patch = 1;
	}
	snprintf(text, sizeof(text), "%u.%u.%u", major, minor, patch);
	return json_object_set_new(document, "version", json_string(text)) < 0 ? -ENOMEM : 0;
}

int document_put_publish(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *given = json_object_get(request, "publish");
	bool publish = given ? json_is_true(given) : json_is_true(json_object_get(before, "publish"));

	return json_object_set_new(document, "publish", json_boolean(publish)) < 0 ? -ENOMEM : 0;
}

int document_make(document_step *const steps[], const json_t *request, const json_t *before, const char *ns, const char *name,
		  uint64_t now_ms, json_t **ret, struct err *err)
{
	uint64_t was_ms = (uint64_t)json_integer_value(json_object_get(before, "updated"));
	json_t *document = json_pack("{s:s, s:s, s:I}", "namespace", ns, "name", name, "updated",
				     (json_int_t)(before && was_ms >= now_ms ? was_ms + 1 : now_ms));
	int r = document ? 0 : -ENOMEM;

	if (err)
		err->code = 0;
	for (size_t i = 0; r == 0 && steps[i]; i++)
		r = steps[i](request, before, document, err);
	if (r < 0) {
		json_decref(document);
		return err && err->code ? r : err_set(err, -r, "out of memory");
	}
	*ret = document;
	return 0;
}
