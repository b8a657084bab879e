// SPDX-License-Identifier: Apache-2.0
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* Makes room for at least 64 KiB more behind len. */
static bool grow(char **text, size_t len, size_t *room)
{
	char *grown;

	if (len + 65536 < *room)
		return true;
	grown = realloc(*text, *room + 262144);
	if (!grown)
		return false;
	*text = grown;
	*room += 262144;
	return true;
}

static int read_all(int fd, size_t most, char **text, size_t *ret_len)
{
	size_t len = 0, room = 0;

	while (len <= most) {
		ssize_t n;

		if (!grow(text, len, &room))
			return -ENOMEM;
		n = read(fd, *text + len, room - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		(*text)[len] = '\0';
		if (n == 0) {
			*ret_len = len;
			return 0;
		}
	}
	return -EFBIG;
}

int file_read(const char *path, size_t most, char **ret, struct err *err)
{
	cleanup_fd int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	char *text = NULL;
	size_t len = 0;
	int r;

	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	r = read_all(fd, most, &text, &len);
	if (r < 0) {
		free(text);
		return err_set(err, -r, "%s: %s", path, r == -EFBIG ? "too large" : strerror(-r));
	}
	if (strlen(text) != len) {
		free(text);
		return err_set(err, EILSEQ, "%s: not text, it holds NUL bytes", path);
	}
	*ret = text;
	return 0;
}
