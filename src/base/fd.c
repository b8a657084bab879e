// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int file_read_text(int dirfd, const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, buf + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used == size)
			return -E2BIG;
	}
	while (used && buf[used - 1] == '\n')
		used--;
	buf[used] = '\0';
	return 0;
}

static int parse_u64(const char *text, uint64_t *ret, const char **ret_end)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	*ret_end = end;
	return 0;
}

int file_read_u64(int dirfd, const char *path, uint64_t *ret)
{
	char text[32];
	const char *end;
	uint64_t value;
	int r = file_read_text(dirfd, path, text, sizeof(text));

	if (r < 0)
		return r;
	r = parse_u64(text, &value, &end);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int file_write_text(int dirfd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct { char suffix; unsigned int shift; } units[] = {
		{ 'K', 10 }, { 'M', 20 }, { 'G', 30 }, { 'T', 40 },
	};
	unsigned int shift = 0;
	const char *end;
	uint64_t value;
	int r = parse_u64(text, &value, &end);

	if (r < 0)
		return r;
	for (size_t i = 0; *end && i < sizeof(units) / sizeof(units[0]); i++) {
		if (toupper((unsigned char)*end) != units[i].suffix)
			continue;
		shift = units[i].shift;
		end++;
		break;
	}
	if (*end)
		return -EINVAL;
	if (value >> (63 - shift))
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}
