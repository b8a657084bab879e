// SPDX-License-Identifier: Apache-2.0
#include "uring.h"

#include "harness.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int uring_make(void)
{
	struct io_uring_params params = { .flags = 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);

	CHECK(ring >= 0);
	return ring;
}

int uring_register(int ring, void *mem, size_t bytes)
{
	struct iovec iov = { mem, bytes };

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) ? -errno : 0;
}
