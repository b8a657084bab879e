// SPDX-License-Identifier: Apache-2.0
/* What a claiming cgroup uses that is not its anonymous memory: files, shared memory, kernel memory. It stays outside. */
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

static char *map_fd(int fd, size_t bytes, int flags)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK(mem != MAP_FAILED);
	return mem;
}

static void tmpfs_file(void *nid)
{
	int fd = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *mem;

	CHECK(fd >= 0);
	CHECK(unlink("/tmp/file") == 0);
	CHECK(ftruncate(fd, (off_t)(4 * MIB)) == 0);
	mem = map_fd(fd, 4 * MIB, MAP_SHARED);
	touch(mem, 4 * MIB, 1);
	CHECK(pages_elsewhere(mem, 4 * MIB, 0) == 0);
	munmap(mem, 4 * MIB);
	/* A private mapping of it: read from the file's page, written to the partition. */
	mem = map_fd(fd, MIB, MAP_PRIVATE);
	for (size_t i = 0; i < MIB; i += PAGE)
		CHECK(*(volatile char *)(mem + i) == 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	touch(mem, MIB / 2, 2);
	CHECK(pages_elsewhere(mem, MIB / 2, *(int *)nid) == 0);
	CHECK(pages_elsewhere(mem + MIB / 2, MIB / 2, 0) == 0);
	/* A write that is the first touch of the mapping. */
	mem = map_fd(fd, MIB, MAP_PRIVATE);
	touch(mem, MIB, 3);
	CHECK(pages_elsewhere(mem, MIB, *(int *)nid) == 0);
	close(fd);
}

/* A file on the root file system, and the test program's own text. */
static void plain_file(void *nid)
{
	int fd = open("/init", O_RDONLY | O_CLOEXEC);
	char *mem;

	CHECK(fd >= 0);
	mem = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	for (size_t i = 0; i < 64 * PAGE; i += PAGE)
		(void)*(volatile char *)(mem + i);
	CHECK(pages_elsewhere(mem, 64 * PAGE, 0) == 0);
	close(fd);
	CHECK(node_of((const void *)plain_file) == 0);
}

static void shared_memory(void *nid)
{
	int fd = (int)syscall(SYS_memfd_create, "shared", 0), shm;
	char *mem;

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)MIB) == 0);
	mem = map_fd(fd, MIB, MAP_SHARED);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	close(fd);
	mem = map_fd(-1, MIB, MAP_SHARED | MAP_ANONYMOUS);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	shm = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
	CHECK(shm >= 0);
	mem = shmat(shm, NULL, 0);
	CHECK(mem != (void *)-1);
	CHECK(shmctl(shm, IPC_RMID, NULL) == 0);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	CHECK(shmdt(mem) == 0);
}

/* Huge pages of shared memory are asked of the partition's owner too: MADV_COLLAPSE must not fill the partition with them. */
static void collapsed_shared_memory(void *nid)
{
	int fd = (int)syscall(SYS_memfd_create, "shared", 0);
	char *mem;

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)(8 * MIB)) == 0);
	mem = map_fd(fd, 8 * MIB, MAP_SHARED);
	touch(mem, 8 * MIB, 1);
	madvise(mem, 8 * MIB, MADV_COLLAPSE);
	CHECK(pages_elsewhere(mem, 8 * MIB, 0) == 0);
	close(fd);
}

/* Pages that no other mapping sees, of the kernel's making: only their frame tells where they are. */
static void secret_memory(void *nid)
{
	int fd = (int)syscall(447 /* memfd_secret */, 0);
	uint64_t first, last;
	char *mem;

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)PAGE) == 0);
	mem = map_fd(fd, PAGE, MAP_SHARED);
	mem[0] = 1;
	CHECK(iomem_region("System RAM (squeezy)", 0, &first, &last));
	CHECK(pfn_of(mem) != 0);
	CHECK_MSG(pfn_of(mem) < first || pfn_of(mem) > last, "frame %#lx", pfn_of(mem));
	close(fd);
	mem = (char *)getauxval(AT_SYSINFO_EHDR);
	CHECK(mem && mem[0] == 0x7f);
	CHECK_MSG(pfn_of(mem) != 0 && (pfn_of(mem) < first || pfn_of(mem) > last), "frame %#lx", pfn_of(mem));
}

/* Sockets, pipes, page tables, inodes and descriptors: hundreds of each. */
static void use_kernel_memory(void *arg)
{
	static char buf[65536];
	char path[64];
	int fds[2];

	for (int i = 0; i < 200; i++) {
		CHECK(pipe(fds) == 0);
		CHECK(write(fds[1], buf, 32768) == 32768);
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		CHECK(write(fds[1], buf, 32768) > 0);
		snprintf(path, sizeof(path), "/tmp/many%d", i);
		CHECK(mkdir(path, 0700) == 0 && rmdir(path) == 0);
	}
	/* One page table for each page. */
	for (size_t i = 0; i < 500; i++) {
		char *mem = mmap((char *)(0x100000000000ul + i * 0x40000000ul), PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		CHECK(mem != MAP_FAILED);
		mem[0] = 1;
	}
	for (;;)
		pause();
}

static void test_kernel_memory(void)
{
	unsigned int id;
	pid_t pid;

	populate(1);
	id = claim_new("a");
	pid = start_in("a", use_kernel_memory, NULL);
	wait_asleep(pid);
	CHECK(cg_event("a", "memory.stat", "pagetables") > 500 * PAGE);
	CHECK(cg_event("a", "memory.stat", "slab") > 64 * PAGE);
	check_nobody_else(id, "a");
	cg_end("a");
	wait_for(pid);
}

/* What would carry pages out of a partition is not in the kernel at all. */
static void test_not_built(void)
{
	CHECK(access("/proc/swaps", F_OK) != 0);
	CHECK(syscall(SYS_swapon, "/tmp", 0) == -1 && errno == ENOSYS);
	CHECK(access("/sys/kernel/mm/ksm", F_OK) != 0);
	CHECK(access("/proc/sys/kernel/numa_balancing", F_OK) != 0);
	CHECK(mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) == 0);
	CHECK(open("/tmp/mem", O_RDONLY | O_CLOEXEC) == -1 && errno == ENXIO);
	CHECK(unlink("/tmp/mem") == 0);
}

INSIDE(tmpfs_file)
INSIDE(plain_file)
INSIDE(shared_memory)
INSIDE(collapsed_shared_memory)
INSIDE(secret_memory)

const struct test outside_tests[] = {
	{ "tmpfs: shared outside, private copies inside", test_tmpfs_file },
	{ "files and program text", test_plain_file },
	{ "memfd, shared anonymous and System V memory", test_shared_memory },
	{ "huge pages of shared memory", test_collapsed_shared_memory },
	{ "memfd_secret and the vDSO", test_secret_memory },
	{ "kernel memory of the owner", test_kernel_memory },
	{ "no swap, KSM, NUMA balancing, /dev/mem", test_not_built },
	{ NULL, NULL }
};
