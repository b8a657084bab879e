// SPDX-License-Identifier: Apache-2.0
#include "daemon/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/document.h"
#include "daemon/path.h"

#define MALFORMED DOCUMENT_MALFORMED

/* Kinds by the name a request may give, the kind that is stored, and the agent's. The first of a family is listed first. */
static const struct kind {
	const char *asked, *kind, *family;
	bool overlaps;			/* its runtime can do several calls at once */
} kinds[] = {
	{ "nodejs:20", "nodejs:20", "nodejs", true },
	{ "nodejs:default", "nodejs:20", NULL, true },
	{ "python:3", "python:3", "python", false },
	{ "python:3.11", "python:3.11", "python", false },
	{ "python:default", "python:3", NULL, false },
};

#define NATIVE_IMAGE	"openwhisk/dockerskeleton"
#define VALID_KINDS	"'nodejs:20', 'nodejs:default', 'python:3', 'python:3.11', 'python:default', 'sequence', " \
			"and 'blackbox' with the image " NATIVE_IMAGE

bool action_code_is_binary(const char *code)
{
	size_t start = strspn(code, " \t\r\n"), len, body;

	code += start;
	len = strlen(code);
	while (len && strchr(" \t\r\n", code[len - 1]))
		len--;
	if (!len || len % 4)
		return false;
	body = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	for (; body < len; body++)
		if (code[body] != '=' || body + 2 < len)
			return false;
	return true;
}

static const char *resolve_kind(const char *asked)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].asked, asked))
			return kinds[i].kind;
	return NULL;
}

/* Names are returned with their namespace and a slash before it, however they were given. */
static int put_components(const json_t *exec, json_t *document, struct err *err)
{
	json_t *components = json_object_get(exec, "components"), *component, *made = json_array();
	const char *ns = json_string_value(json_object_get(document, "namespace"));
	char own_ns[PATH_NAME_MAX + 1], text[PATH_TEXT_SIZE];
	struct path path;
	size_t i;

	snprintf(own_ns, sizeof(own_ns), "%.*s", (int)strcspn(ns, "/"), ns);
	if (!json_is_array(components))
		json_decref(made);
	if (!json_is_array(components))
		return err_set(err, EINVAL, DOCUMENT_MALFORMED "'components' must be defined for sequence kind");
	json_array_foreach(components, i, component) {
		struct err why;
		int r = json_is_string(component) ? path_parse(json_string_value(component), own_ns, &path, &why) :
						     err_set(&why, EINVAL, "a component must be a string");

		if (r < 0) {
			json_decref(made);
			return err_set(err, EINVAL, DOCUMENT_MALFORMED "components: %s", why.text);
		}
		path_full(&path, text);
		json_array_append_new(made, json_sprintf("/%s", text));
	}
	return json_object_set_new(document, "exec", json_pack("{s:s, s:o}", "kind", "sequence", "components", made)) < 0 ? -ENOMEM : 0;
}

/* The image of native actions, with or without a tag. */
static bool is_native_image(const char *image)
{
	size_t len = strlen(NATIVE_IMAGE);

	return image && !strncmp(image, NATIVE_IMAGE, len) && (!image[len] || image[len] == ':');
}

static int check_code(const json_t *code, const json_t *main_name, const char *kind, struct err *err)
{
	size_t size = json_string_length(code) + json_string_length(main_name);

	if (!json_is_string(code) || (main_name && !json_is_string(main_name)))
		return err_set(err, EINVAL, MALFORMED "'code' must be a string defined in 'exec' for '%s' actions, and 'main' a string", kind);
	if (size > LIMITS_CODE_MAX)
		return err_set(err, EFBIG, "exec larger than allowed: %zu > %u bytes.", size, LIMITS_CODE_MAX);
	return 0;
}

static int put_code(const json_t *exec, const char *kind, json_t *document, struct err *err)
{
	json_t *code = json_object_get(exec, "code"), *main_name = json_object_get(exec, "main"), *image = json_object_get(exec, "image");
	json_t *made;
	int r;

	if (json_is_null(main_name))
		main_name = NULL;
	r = check_code(code, main_name, kind, err);
	if (r < 0)
		return r;
	made = json_pack("{s:s, s:O, s:b, s:O*}", "kind", kind, "code", code, "binary", action_code_is_binary(json_string_value(code)), "main",
			 main_name);
	if (made && !strcmp(kind, "blackbox"))
		json_object_set(made, "image", image);
	return json_object_set_new(document, "exec", made) < 0 ? -ENOMEM : 0;
}

static int put_exec(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *exec = json_object_get(request, "exec");
	const char *asked = json_string_value(json_object_get(exec, "kind"));
	const char *kind = asked ? resolve_kind(asked) : NULL;

	if (!exec && before)
		return json_object_set(document, "exec", json_object_get(before, "exec")) < 0 ? -ENOMEM : 0;
	if (!exec)
		return err_set(err, EINVAL, MALFORMED "exec undefined");
	if (!asked)
		return err_set(err, EINVAL, MALFORMED "'kind' must be a string defined in 'exec'");
	if (!strcmp(asked, "sequence"))
		return put_components(exec, document, err);
	if (!strcmp(asked, "blackbox") && is_native_image(json_string_value(json_object_get(exec, "image"))))
		kind = "blackbox";
	if (!kind)
		return err_set(err, EINVAL, MALFORMED "The specified runtime '%.64s' is not supported by this platform. Valid values are: "
			       VALID_KINDS, asked);
	return put_code(exec, kind, document, err);
}

/* The resolved kind is an annotation always; whether functions get the key is one from the beginning. */
static int put_annotations(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	const char *kind = json_string_value(json_object_get(json_object_get(document, "exec"), "kind"));
	int r = document_put_annotations(request, before, document, err);

	if (r < 0)
		return r;
	if (!before && !document_annotation(document, "provide-api-key"))
		document_annotate(document, "provide-api-key", json_false());
	document_annotate(document, "exec", json_string(kind ? kind : ""));
	return 0;
}

/* A sequence has no parameters but its components, as OpenWhisk stores them. */
static int put_parameters(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	json_t *components = json_object_get(json_object_get(document, "exec"), "components");

	if (!components)
		return document_put_parameters(request, before, document, err);
	return json_object_set_new(document, "parameters", json_pack("[{s:s, s:O}]", "key", "_actions", "value", components));
}

static int put_limits(const json_t *request, const json_t *before, json_t *document, struct err *err)
{
	struct limits limits = before ? action_limits(before) : limits_default();
	int r = limits_parse(json_object_get(request, "limits"), &limits, err);

	if (r < 0)
		return r;
	return json_object_set_new(document, "limits", limits_json(&limits)) < 0 ? -ENOMEM : 0;
}

static document_step *const put_steps[] = {
	put_exec, put_parameters, put_annotations, put_limits, document_put_version, document_put_publish, NULL
};

int action_put(const json_t *request, const json_t *before, const char *ns, const char *name, uint64_t now_ms, json_t **ret,
	       struct err *err)
{
	return document_make(put_steps, request, before, ns, name, now_ms, ret, err);
}

bool action_is_sequence(const json_t *document)
{
	return json_object_get(json_object_get(document, "exec"), "components");
}

json_t *action_summary(const json_t *document)
{
	json_t *binary = json_object_get(json_object_get(document, "exec"), "binary");
	json_t *form = json_copy((json_t *)document);

	if (form) {
		json_object_del(form, "parameters");
		json_object_set_new(form, "exec", json_pack("{s:b}", "binary", json_is_true(binary)));
	}
	return form;
}

struct limits action_limits(const json_t *document)
{
	struct limits limits = limits_default();

	(void)limits_parse(json_object_get(document, "limits"), &limits, NULL);	/* was checked by put */
	return limits;
}

const char *action_agent_kind(const json_t *document)
{
	const char *kind = json_string_value(json_object_get(json_object_get(document, "exec"), "kind"));

	return kind && !strcmp(kind, "blackbox") ? "native" : kind;
}

bool action_overlaps(const json_t *document)
{
	const char *kind = json_string_value(json_object_get(json_object_get(document, "exec"), "kind"));

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].asked, kind))
			return kinds[i].overlaps;
	return false;
}

json_t *action_runtimes(void)
{
	json_t *families = json_object(), *family;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!kinds[i].family)
			continue;
		family = json_object_get(families, kinds[i].family);
		if (!family) {
			family = json_array();
			json_object_set_new(families, kinds[i].family, family);
		}
		json_array_append_new(family, json_pack("{s:s, s:o, s:b, s:b, s:b, s:b}", "kind", kinds[i].kind, "image",
							json_sprintf("squeezy/%s", kinds[i].family), "deprecated", 0, "default",
							json_array_size(family) == 0, "attached", 0, "requireMain", 0));
	}
	return families;
}
