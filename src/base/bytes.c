// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int bytes_add(struct bytes *bytes, const void *data, size_t len, size_t max)
{
	if (len > max || bytes->len > max - len)
		return -EMSGSIZE;
	if (bytes->room < bytes->len + len + 1) {
		size_t room = bytes->room ? bytes->room : 256;
		char *grown;

		while (room < bytes->len + len + 1)
			room *= 2;
		grown = realloc(bytes->data, room);
		if (!grown)
			return -ENOMEM;
		bytes->data = grown;
		bytes->room = room;
	}
	if (len)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
	bytes->data[bytes->len] = '\0';
	return 0;
}

void bytes_drop(struct bytes *bytes, size_t len)
{
	if (!bytes->data)
		return;
	if (len > bytes->len)
		len = bytes->len;
	bytes->len -= len;
	memmove(bytes->data, bytes->data + len, bytes->len + 1);
}

void bytes_clear(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){ 0 };
}

char *bytes_take(struct bytes *bytes, size_t *ret_len)
{
	char *data = bytes->data;

	if (ret_len)
		*ret_len = bytes->len;
	*bytes = (struct bytes){ 0 };
	return data;
}
