// SPDX-License-Identifier: Apache-2.0
/*
 * Feeds a fuzz target the files of a folder: each whole, cut at every length, and with bytes changed. The folder is the corpus that
 * libFuzzer starts from (tests/data/fuzz), so every seed is also an ordinary test.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define ROUNDS 100
#define SIZE_MAX_BYTES 8192

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void feed(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);	/* a buffer of its own size: the sanitizer sees the first byte behind it */

	must(copy);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void change(const uint8_t *data, size_t size, uint32_t *state)
{
	uint8_t copy[SIZE_MAX_BYTES];

	for (int round = 0; round < ROUNDS; round++) {
		memcpy(copy, data, size);
		for (int i = 0; size && i < 3; i++)
			copy[next(state) % size] = (uint8_t)next(state);
		feed(copy, size);
	}
}

static void replay(const char *path, uint32_t *state)
{
	uint8_t data[SIZE_MAX_BYTES + 1];
	FILE *file = fopen(path, "re");
	size_t size;

	must(file);
	size = fread(data, 1, sizeof(data), file);
	must(!ferror(file) && size <= SIZE_MAX_BYTES);
	fclose(file);
	for (size_t cut = 0; cut <= size; cut++)
		feed(data, cut);
	change(data, size, state);
}

int main(int argc, char **argv)
{
	uint32_t state = 2463534242u;
	unsigned int n = 0;
	struct dirent *entry;
	DIR *dir;

	if (argc != 2 || !(dir = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		replay(path, &state);
		n++;
	}
	closedir(dir);
	printf("%sok 1 - the %u files of its corpus\n1..1\n", n ? "" : "not ", n);
	return !n;
}
