// SPDX-License-Identifier: Apache-2.0
/* Requests to the agent, and a runtime's answer lines in pieces of any size: what is taken keeps its bounds. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "agent/actionloop.h"
#include "agent/api.h"
#include "agent/container.h"
#include "agent/jsontext.h"
#include "agent/oci.h"
#include "base/err.h"

#define LINE_MAX_BYTES 100

static void try_create(const char *text, size_t size)
{
	struct container_request request;
	struct err err = { 0 };

	if (api_parse_create(text, size, &request, &err) < 0) {
		must(err.code && err.text[0]);
		return;
	}
	must(oci_id_valid(request.id) && request.kind && request.argv[0]);
	must(request.memory_bytes && request.concurrency && request.pids_max && request.timeout_ms && request.tmpfs_bytes >= OCI_TMPFS_MIN);
}

static void try_path(const char *text, size_t size)
{
	char *path = strndup(text, size), id[33];

	must(path);
	if (api_container_path(path, "/run", id))
		must(oci_id_valid(id));
	free(path);
}

static void try_line(const char *text, size_t size)
{
	const char *end = memchr(text, '\n', size);
	size_t want = end ? (size_t)(end - text) : size, left = size;
	struct loop_line line = { 0 };

	loop_line_start(&line, LINE_MAX_BYTES);
	while (left) {
		size_t piece = 1 + (unsigned char)text[0] % 17;

		piece = piece < left ? piece : left;
		loop_line_feed(&line, text, piece);
		text += piece;
		left -= piece;
	}
	must(line.whole == (end != NULL) && line.extra == (end && want + 1 < size));
	must(loop_line_too_long(&line) == (want > LINE_MAX_BYTES));
	must(line.size == want);
	must(loop_line_too_long(&line) ? !line.text.data : line.text.len == want);
	loop_line_clear(&line);
}

/* A request that is flattened is one line and means the same. */
static void try_flatten(const char *text, size_t size)
{
	enum json_kind kind = json_text_kind(text, size);
	char *copy = malloc(size + 1);

	must(copy);
	memcpy(copy, text, size);
	loop_flatten(copy, size);
	must(!memchr(copy, '\n', size) && !memchr(copy, '\r', size));
	must(kind == JSON_KIND_INVALID || json_text_kind(copy, size) == kind);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size ? (const char *)data : "";

	try_create(text, size);
	try_path(text, size);
	try_line(text, size);
	try_flatten(text, size);
	return 0;
}
