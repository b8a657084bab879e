// SPDX-License-Identifier: Apache-2.0
#include "uring.h"

#include "harness.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENTRIES 4

/* Where things are in a ring: the same in all, as they have one size. */
static struct io_uring_params params;

int uring_make(void)
{
	int ring;

	params = (struct io_uring_params){ .flags = 0 };
	ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);

	CHECK(ring >= 0);
	return ring;
}

int uring_register(int ring, void *mem, size_t bytes)
{
	struct iovec iov = { mem, bytes };

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) ? -errno : 0;
}

void uring_read(int ring, int fd, void *mem, size_t bytes)
{
	struct io_uring_sqe *sqes;
	char *queue;

	queue = mmap(NULL, params.sq_off.array + ENTRIES * sizeof(unsigned int), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, ENTRIES * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	CHECK(queue != MAP_FAILED && sqes != MAP_FAILED);
	sqes[0] = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = fd, .addr = (uint64_t)mem, .len = (uint32_t)bytes };
	((unsigned int *)(queue + params.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned int *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	CHECK(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1);
}
