// SPDX-License-Identifier: Apache-2.0
/* What the kernel says meanwhile. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int kernel_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	CHECK(log >= 0 && lseek(log, 0, SEEK_END) >= 0);
	return log;
}

unsigned int kernel_log_lines(int log, const char *word)
{
	unsigned int lines = 0;
	char text[8192];
	ssize_t n;

	while ((n = read(log, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		/* Below 8: the kernel's own; what is written to /dev/kmsg is user space's. */
		lines += strtoul(text, NULL, 10) < 8 && strstr(text, word);
	}
	CHECK_MSG(n < 0 && errno == EAGAIN, "error %d", errno);
	close(log);
	return lines;
}
