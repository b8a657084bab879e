// SPDX-License-Identifier: Apache-2.0
/* Pages that somebody else or the kernel makes for a process: remote writes, pins, userfaultfd. */
#include "pages.h"
#include "remote.h"
#include "suite.h"
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define FAULT_TIMEOUT_MS 120000

static void all_here(const char *mem, size_t bytes, void *nid)
{
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

static void sleeper(void *arg)
{
	for (;;)
		pause();
}

static int remote_node(pid_t pid, const char *mem)
{
	void *page = (void *)mem;
	int node;

	CHECK(syscall(SYS_move_pages, pid, 1, &page, NULL, &node, 0) == 0);
	return node;
}

static void test_remote_write(void)
{
	char *mem = map_anon(MIB), *source = map_anon(MIB);
	struct iovec local = { source, MIB }, remote = { mem, MIB };
	int nid;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_in("a", sleeper, NULL);
	wait_asleep(pid);
	touch(source, MIB, 1);
	CHECK(process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)MIB);
	for (size_t i = 0; i < MIB; i += PAGE)
		CHECK(remote_node(pid, mem + i) == nid);
	/* It reads it back; that makes no page anywhere. */
	CHECK(process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)MIB);
	cg_end("a");
	waitpid(pid, NULL, 0);
	munmap(mem, MIB);
	munmap(source, MIB);
}

int open_mem(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static const char code[2 * PAGE] __attribute__((aligned(4096))) = { 1 };

/* A debugger pokes into untouched memory and into a page of the program's file. */
static void test_ptrace(void)
{
	char *mem = map_anon(MIB);
	int nid, fd;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	pid = start_in("a", sleeper, NULL);
	wait_asleep(pid);
	CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(ptrace(PTRACE_POKEDATA, pid, mem, 7L) == 0);
	CHECK(remote_node(pid, mem) == nid);
	CHECK(ptrace(PTRACE_POKEDATA, pid, code, 7L) == 0);
	CHECK(remote_node(pid, code) == nid);
	CHECK(code[0] == 1);
	fd = open_mem(pid);
	CHECK(pwrite(fd, "x", 1, (off_t)(mem + PAGE)) == 1);
	CHECK(remote_node(pid, mem + PAGE) == nid);
	close(fd);
	CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
	cg_end("a");
	waitpid(pid, NULL, 0);
	munmap(mem, MIB);
}

static void register_missing(int fd, void *mem, size_t bytes)
{
	struct uffdio_register reg = { { (uint64_t)mem, bytes }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	CHECK(ioctl(fd, UFFDIO_REGISTER, &reg) == 0);
}

int userfaultfd_with(void *mem, size_t bytes, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(ioctl(fd, UFFDIO_API, &api) == 0);
	register_missing(fd, mem, bytes);
	return fd;
}

int userfaultfd_for(void *mem, size_t bytes)
{
	return userfaultfd_with(mem, bytes, 0);
}

void wait_fault(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(poll(&poll_fd, 1, FAULT_TIMEOUT_MS) == 1);
	CHECK(read(fd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT);
}

/* Pinned for long: pages that were there stay where they are, pages that were not come from the partition. */
static void fixed_buffers(void *nid)
{
	uint64_t migrated = vmstat("pgmigrate_success");
	char *touched = map_anon(MIB), *untouched = map_anon(MIB), *read_only = map_anon(MIB);
	int ring[3] = { uring_make(), uring_make(), uring_make() };
	uint64_t pfn;

	touch(touched, MIB, 1);
	pfn = pfn_of(touched);
	CHECK(pfn);
	CHECK(uring_register(ring[0], touched, MIB) == 0);
	CHECK(pfn_of(touched) == pfn);
	all_here(touched, MIB, nid);
	CHECK(uring_register(ring[1], untouched, MIB) == 0);
	all_here(untouched, MIB, nid);
	/* The zero page cannot be pinned: it is replaced first. */
	for (size_t i = 0; i < MIB; i += PAGE)
		CHECK(read_only[i] == 0);
	CHECK(uring_register(ring[2], read_only, MIB) == 0);
	all_here(read_only, MIB, nid);
	CHECK(vmstat("pgmigrate_success") == migrated);
	for (int i = 0; i < 3; i++)
		close(ring[i]);
}

/* The same for huge pages, and for a huge page that registration itself makes. */
static void fixed_huge_buffers(void *nid)
{
	uint64_t migrated = vmstat("pgmigrate_success");
	char *mem = map_anon(8 * MIB);
	int ring = uring_make();

	CHECK(madvise(mem, 8 * MIB, MADV_HUGEPAGE) == 0);
	touch(mem, 4 * MIB, 1);
	CHECK(uring_register(ring, mem, 8 * MIB) == 0);
	all_here(mem, 8 * MIB, nid);
	CHECK(vmstat("pgmigrate_success") == migrated);
	close(ring);
}

/* A read into memory that nobody has touched: the kernel's own copy faults it in. */
static void system_calls(void *nid)
{
	char *mem = map_anon(MIB);
	int fd = open("/tmp/zeroes", O_RDWR | O_CREAT | O_CLOEXEC, 0600), fds[2];
	struct iovec iov = { mem + MIB / 2, 4 * PAGE };

	CHECK(fd >= 0);
	CHECK(unlink("/tmp/zeroes") == 0 && ftruncate(fd, (off_t)MIB) == 0);
	CHECK(read(fd, mem, MIB / 2) == (ssize_t)(MIB / 2));
	all_here(mem, MIB / 2, nid);
	close(fd);
	CHECK(pipe(fds) == 0);
	CHECK(vmsplice(fds[1], &iov, 1, 0) == (ssize_t)(4 * PAGE));
	touch(mem + MIB / 2, 4 * PAGE, 1);
	all_here(mem + MIB / 2, 4 * PAGE, nid);
	close(fds[0]);
	close(fds[1]);
}

void copy_pages(int fd, void *to, const void *from, size_t bytes)
{
	struct uffdio_copy copy = { .dst = (uint64_t)to, .src = (uint64_t)from, .len = bytes };

	CHECK_MSG(ioctl(fd, UFFDIO_COPY, &copy) == 0, "%lld", (long long)copy.copy);
}

static void user_faults(void *nid)
{
	char *mem = map_anon(MIB), *source = map_anon(MIB);
	struct uffdio_zeropage zero = { { (uint64_t)mem + MIB / 2, MIB / 2 }, 0, 0 };
	int fd = userfaultfd_for(mem, MIB);

	touch(source, MIB, 1);
	copy_pages(fd, mem, source, MIB / 2);
	all_here(mem, MIB / 2, nid);
	CHECK(ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0);
	touch(mem + MIB / 2, MIB / 2, 1);
	all_here(mem + MIB / 2, MIB / 2, nid);
	close(fd);
}

struct late_copy {
	int fd, error;
	struct uffdio_copy copy;
};

static void *copy_late(void *arg)
{
	struct late_copy *late = arg;

	late->error = ioctl(late->fd, UFFDIO_COPY, &late->copy) ? errno : 0;
	return NULL;
}

void copy_into_file(void *unused)
{
	char *mem = map_anon(PAGE), *source = map_anon(PAGE), *there = map_anon(PAGE);
	int fd = userfaultfd_for(mem, PAGE), source_fd = userfaultfd_for(source, PAGE);
	struct late_copy late = { .fd = fd, .copy = { .dst = (uint64_t)mem, .src = (uint64_t)source, .len = PAGE } };
	struct uffdio_zeropage zero = { { (uint64_t)source, PAGE }, 0, 0 };
	int file = memfd_create("late", MFD_CLOEXEC);
	uint64_t refused = counter("charges_refused");
	pthread_t thread;

	CHECK(file >= 0 && ftruncate(file, PAGE) == 0);
	CHECK(pthread_create(&thread, NULL, copy_late, &late) == 0);
	wait_fault(source_fd);
	CHECK(mmap(mem, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == mem);
	register_missing(fd, mem, PAGE);
	CHECK(ioctl(source_fd, UFFDIO_ZEROPAGE, &zero) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_MSG(late.error == ENOMEM, "error %d, page on node %d", late.error, node_of(mem));
	CHECK(counter("charges_refused") == refused + 1);
	/* A copy that begins now gets a page for files. */
	touch(there, PAGE, 1);
	copy_pages(fd, mem, there, PAGE);
	CHECK(node_of(mem) == 0);
	close(fd);
	close(source_fd);
	close(file);
}

/* Linux 6.8; the headers are older. */
#define FEATURE_MOVE (1 << 16)
struct move {
	uint64_t dst, src, len, mode;
	int64_t moved;
};
#define IOCTL_MOVE _IOWR(0xaa, 0x05, struct move)

/* The pages themselves change their place: they stay in the partition. */
static void user_moves(void *nid)
{
	uint64_t migrated = vmstat("pgmigrate_success");
	char *mem = map_anon(MIB), *source = map_anon(MIB);
	int fd = userfaultfd_with(mem, MIB, FEATURE_MOVE);
	struct move move = { .dst = (uint64_t)mem, .src = (uint64_t)source, .len = MIB };

	touch(source, MIB, 3);
	CHECK_MSG(ioctl(fd, IOCTL_MOVE, &move) == 0, "%lld moved", (long long)move.moved);
	CHECK(move.moved == (int64_t)MIB);
	all_here(mem, MIB, nid);
	CHECK(mem[0] == 3 && mem[MIB - PAGE] == 3 && node_of(source) == -ENOENT);
	CHECK(vmstat("pgmigrate_success") == migrated);
	close(fd);
}

struct remote_fault {
	char *mem;
	int to_parent;
};

static void wait_for_pages(void *arg)
{
	struct remote_fault *r = arg;
	int fd = userfaultfd_for(r->mem, MIB);

	CHECK(write(r->to_parent, &fd, sizeof(fd)) == sizeof(fd));
	/* Blocks until the monitor outside has put the page there. */
	CHECK(*(volatile char *)r->mem == 5);
	sleeper(NULL);
}

/* The monitor is another process, in no cgroup. */
static void test_remote_user_faults(void)
{
	char *source = map_anon(MIB);
	struct remote_fault r = { map_anon(MIB), -1 };
	int nid, pidfd, fd, fds[2], theirs;
	pid_t pid;

	populate(1);
	nid = partition_nid(claim_new("a"));
	touch(source, MIB, 5);
	CHECK(pipe(fds) == 0);
	r.to_parent = fds[1];
	pid = start_in("a", wait_for_pages, &r);
	CHECK(read(fds[0], &theirs, sizeof(theirs)) == sizeof(theirs));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	CHECK(pidfd >= 0 && fd >= 0);
	wait_fault(fd);
	copy_pages(fd, r.mem, source, MIB);
	wait_asleep(pid);
	for (size_t i = 0; i < MIB; i += PAGE)
		CHECK(remote_node(pid, r.mem + i) == nid);
	close(fd);
	close(pidfd);
	close(fds[0]);
	close(fds[1]);
	cg_end("a");
	waitpid(pid, NULL, 0);
	munmap(source, MIB);
	munmap(r.mem, MIB);
}

INSIDE(fixed_buffers)
INSIDE(fixed_huge_buffers)
INSIDE(system_calls)
INSIDE(user_faults)
INSIDE(copy_into_file)
INSIDE(user_moves)

const struct test remote_tests[] = {
	{ "process_vm_writev", test_remote_write },
	{ "ptrace and /proc/PID/mem", test_ptrace },
	{ "io_uring's fixed buffers stay, touched before or not", test_fixed_buffers },
	{ "fixed buffers of huge pages", test_fixed_huge_buffers },
	{ "read and vmsplice", test_system_calls },
	{ "userfaultfd: copy and zeropage", test_user_faults },
	{ "userfaultfd: a copy whose target becomes a file's", test_copy_into_file },
	{ "userfaultfd: move", test_user_moves },
	{ "userfaultfd with a monitor outside", test_remote_user_faults },
	{ NULL, NULL }
};
