// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *base64_encode(const char *bytes, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((len + 2) / 3 * 4 + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t group = (uint32_t)(unsigned char)bytes[i] << 16;

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes[i + 1] << 8;
		if (left > 2)
			group |= (unsigned char)bytes[i + 2];
		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & 63];
		*out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[group & 63] : '=';
	}
	*out = '\0';
	return text;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, of which the last pad are '='. False: one is no base64. */
static bool decode_group(const char *text, unsigned int pad, char *out)
{
	uint32_t group = 0;

	for (unsigned int i = 0; i < 4; i++) {
		int value = i < 4 - pad ? value_of(text[i]) : 0;

		if (value < 0)
			return false;
		group = group << 6 | (uint32_t)value;
	}
	out[0] = (char)(group >> 16);
	if (pad < 2)
		out[1] = (char)(group >> 8);
	if (pad < 1)
		out[2] = (char)group;
	return true;
}

char *base64_decode(const char *text, size_t *ret_len)
{
	static const char blanks[] = " \t\r\n";
	size_t len, out = 0;
	unsigned int pad = 0;
	char *bytes;

	text += strspn(text, blanks);
	len = strlen(text);
	while (len && strchr(blanks, text[len - 1]))
		len--;
	if (len % 4)
		return NULL;
	if (len)
		pad = (text[len - 1] == '=') + (text[len - 1] == '=' && text[len - 2] == '=');
	bytes = malloc(len / 4 * 3 + 1);
	for (size_t i = 0; bytes && i < len; i += 4) {
		unsigned int missing = i + 4 == len ? pad : 0;

		if (!decode_group(text + i, missing, bytes + out)) {
			free(bytes);
			return NULL;
		}
		out += 3 - missing;
	}
	if (bytes) {
		bytes[out] = '\0';
		*ret_len = out;
	}
	return bytes;
}
