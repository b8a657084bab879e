// SPDX-License-Identifier: Apache-2.0
/* Names of entities, and base64 and sealed texts, which come from outside, too. What is taken must come back the same. */
#include "fuzz.h"

#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "daemon/path.h"
#include "daemon/seal.h"

static void try_path(const char *text)
{
	char full[PATH_TEXT_SIZE], again[PATH_TEXT_SIZE + 1] = "/";
	struct path path, same;

	if (path_parse(text, "guest", &path, NULL) < 0)
		return;
	path_full(&path, full);
	strcat(again, full);
	must(path_parse(again, "guest", &same, NULL) == 0);
	must(path_equal(&path, &same));
}

static void try_base64(const char *text)
{
	size_t len, again_len;
	char *bytes = base64_decode(text, &len), *encoded, *again;

	if (!bytes)
		return;
	encoded = base64_encode(bytes, len);
	must(encoded);
	again = base64_decode(encoded, &again_len);
	must(again && again_len == len && !memcmp(again, bytes, len));
	free(again);
	free(encoded);
	free(bytes);
}

static void try_seal(const char *text)
{
	static const struct seal seal = { .key = "0123456789abcdef0123456789abcde" };
	char *opened = unseal_text(&seal, "label", text), *sealed, *back;

	must(!opened);	/* nobody guesses a tag of 128 bits */
	sealed = seal_text(&seal, "label", text);
	must(sealed);
	back = unseal_text(&seal, "label", sealed);
	must(back && !strcmp(back, text));
	must(!unseal_text(&seal, "other", sealed));
	free(back);
	free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	try_path(text);
	try_base64(text);
	try_seal(text);
	free(text);
	return 0;
}
