// SPDX-License-Identifier: Apache-2.0
/* Feeds a fuzz target a fixed set of inputs: texts near what our parsers read, each whole, cut at every length, and with bytes changed. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define ROUNDS 200

static const char *const texts[] = {
	"",
	"{\"QMP\": {\"version\": {}}}",
	"{\"return\": {\"size\": 268435456}, \"id\": 7}",
	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 18446744073709551615}",
	"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}",
	"{\"exec\": {\"kind\": \"python:3\", \"code\": \"def main(a): return a\"}, \"limits\": {\"memory\": 256, \"timeout\": 60000}}",
	"{\"a\": [1, -2.5e300, \"\\u00e9\\ud83d\\ude00\", null, true], \"\": {\"b\": [[[[]]]]}}",
	"GET /a/x/?flag=yes HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
	"\1{\"statusCode\": 201, \"headers\": {\"a\": [\"b\", 1]}, \"body\": \"aGk=\"}",
	"/guest/package/name",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
	"one line\nXXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n\xff\xfe half a line",
};

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

static void change(const char *text, size_t size, uint32_t *state)
{
	uint8_t copy[256];

	must(size < sizeof(copy));
	for (int round = 0; round < ROUNDS; round++) {
		memcpy(copy, text, size);
		for (int i = 0; size && i < 3; i++)
			copy[next(state) % size] = (uint8_t)next(state);
		feed(copy, size);
	}
}

int main(void)
{
	uint32_t state = 2463534242u;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		size_t size = strncmp(texts[i], "PRI", 3) ? strlen(texts[i]) : 33;

		for (size_t cut = 0; cut <= size; cut++)
			feed((const uint8_t *)texts[i], cut);
		change(texts[i], size, &state);
	}
	puts("ok 1 - fixed inputs\n1..1");
	return 0;
}
