// SPDX-License-Identifier: Apache-2.0
/* Late drains: pages of an ended instance that something outside it still holds. */
#include "hostile.h"
#include "pages.h"
#include "uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_reason(unsigned int id)
{
	char path[128], text[32];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/squeezy/partition%u/busy_reason", id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text)) > 0);
	return fd;
}

/* Sleeps until the kernel says that the reason has changed. */
static void poll_reason(int fd)
{
	struct pollfd p = { fd, POLLPRI, 0 };
	char text[32];

	CHECK(poll(&p, 1, 30000) == 1);
	CHECK(pread(fd, text, sizeof(text), 0) > 0);
}

static void test_pipe(void)
{
	unsigned int id = set_stage();
	char text[PIPE_PAGES * PAGE];
	int fds[2], reason;

	CHECK(pipe(fds) == 0);
	CHECK(run_in("a", splice_and_die, fds) == 0);
	reason = open_reason(id);
	end_instance();
	poll_reason(reason);
	wait_reason(id, "references");
	CHECK(held(id, "references") == PIPE_PAGES * PAGE);
	CHECK(held(id, "mapped") == 0);
	CHECK(has_state(id, "released"));
	/* It is still what the instance wrote, until the reader has it. */
	CHECK(read(fds[0], text, sizeof(text)) == (ssize_t)sizeof(text));
	CHECK(has_pattern(text, sizeof(text)));
	poll_reason(reason);
	check_recovery(id);
	close(reason);
	close(fds[0]);
	close(fds[1]);
	check_next_owner();
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
	close(fd);
}

/* A TCP connection of the test with itself: ends[1] sends, ends[0] receives. */
static void connect_to_self(int ends[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	loopback_up();
	CHECK(listener >= 0);
	CHECK(bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(ends[1], (struct sockaddr *)&addr, len) == 0);
	ends[0] = accept(listener, NULL, NULL);
	CHECK(ends[0] >= 0);
	close(listener);
}

/* Nobody receives, so what exceeds the window stays in our pages until the connection ends. */
static void send_and_die(void *arg)
{
	int *ends = arg, one = 1;
	char *mem = map_pattern(16 * PAGE);
	ssize_t n;

	CHECK(setsockopt(ends[1], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0);
	do
		n = send(ends[1], mem, 16 * PAGE, MSG_ZEROCOPY | MSG_DONTWAIT);
	while (n > 0);
	CHECK(errno == EAGAIN || errno == ENOBUFS);
}

static void test_zerocopy(void)
{
	unsigned int id = set_stage();
	int ends[2];

	connect_to_self(ends);
	CHECK(run_in("a", send_and_die, ends) == 0);
	end_instance();
	wait_reason(id, "references");
	CHECK(held(id, "references") > 0 && held(id, "references") <= 16 * PAGE);
	close(ends[0]);
	close(ends[1]);
	check_recovery(id);
	check_next_owner();
}

static void register_and_die(void *arg)
{
	CHECK(uring_register(*(int *)arg, map_pattern(32 * PAGE), 32 * PAGE) == 0);
}

/* The ring outlives the instance, and with it the pin of the buffer. */
static void test_io_uring(void)
{
	unsigned int id = set_stage();
	int ring = uring_make();

	CHECK(run_in("a", register_and_die, &ring) == 0);
	end_instance();
	wait_reason(id, "pinned");
	CHECK(held(id, "pinned") == 32 * PAGE);
	CHECK(partition_value(id, "missing_bytes") == 32 * PAGE);
	close(ring);
	check_recovery(id);
	check_next_owner();
}

/* memory.squeezy.stat knows pins while the instance lives. */
static void register_and_stay(void *arg)
{
	register_and_die(arg);
	pause_for_ever();
}

static bool pins_are_counted(void *arg)
{
	return cg_event("a", "memory.squeezy.stat", "pinned") == 32 * PAGE;
}

static void test_pins_in_stat(void)
{
	unsigned int id = set_stage();
	int ring = uring_make();
	pid_t pid = start_in("a", register_and_stay, &ring);

	wait_asleep(pid);
	/* Each CPU adds what it knows once a second. */
	CHECK(wait_until(pins_are_counted, NULL, 20000));
	CHECK(cg_event("a", "memory.squeezy.stat", "id") == id);
	close(ring);
	end_instance();
	waitpid(pid, NULL, 0);
	check_recovery(id);
}

static void make_packet_ring(void *arg)
{
	struct tpacket_req request = {
		.tp_block_size = 4 * PAGE, .tp_block_nr = 16, .tp_frame_size = 2048, .tp_frame_nr = 16 * 4 * PAGE / 2048,
	};
	int fd = *(int *)arg;
	char *ring;

	CHECK(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) == 0);
	ring = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(ring != MAP_FAILED);
	touch(ring, 64 * PAGE, 1);
	map_pattern(MIB);
}

/* The ring outlives the instance, but it is the kernel's memory. */
static void test_packet_ring(void)
{
	unsigned int id = set_stage();
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	CHECK(fd >= 0);
	CHECK(run_in("a", make_packet_ring, &fd) == 0);
	end_instance();
	check_recovery(id);
	close(fd);
}

static void send_fd(int sock, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	CHECK(sendmsg(sock, &msg, 0) == 1);
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	CHECK(recvmsg(sock, &msg, 0) == 1);
	CHECK(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

static void leak_memfd(void *arg)
{
	int fd = memfd_create("leak", 0);
	char *mem;

	CHECK(fd >= 0 && ftruncate(fd, MIB) == 0);
	mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	memset(mem, PATTERN, MIB);
	send_fd(((int *)arg)[1], fd);
	map_pattern(MIB);
}

/* A memfd in flight holds its memory, which is shared memory and not of the partition. */
static void test_memfd(void)
{
	unsigned int id = set_stage();
	int socks[2], fd;
	char *mem;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
	CHECK(run_in("a", leak_memfd, socks) == 0);
	end_instance();
	check_recovery(id);
	fd = receive_fd(socks[0]);
	mem = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED && has_pattern(mem, MIB));
	munmap(mem, MIB);
	close(fd);
	close(socks[0]);
	close(socks[1]);
}

#define VICTIM_PAGES 64ul
#define UFFD 100

struct peer {
	pid_t victim;
	char *remote;
};

static void hold_pattern(void *arg)
{
	char **mem = arg;

	memset(*mem, PATTERN, VICTIM_PAGES * PAGE);
	map_pattern(MIB);
	pause_for_ever();
}

/* Reads the victim's memory into a page whose fault nobody serves, and so stays with the victim's pages in its hands. */
static void read_peer(void *arg)
{
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	struct peer *peer = arg;
	char *local = map_anon(PAGE);
	struct iovec to = { local, PAGE }, from = { peer->remote, VICTIM_PAGES * PAGE };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	CHECK(uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0);
	range.range.start = (unsigned long)local;
	range.range.len = PAGE;
	CHECK(ioctl(uffd, UFFDIO_REGISTER, &range) == 0);
	CHECK(dup2(uffd, UFFD) == UFFD);
	CHECK(process_vm_readv(peer->victim, &to, 1, &from, 1, 0) == (ssize_t)PAGE);
	CHECK(has_pattern(local, PAGE));
}

static int peer_uffd;

static bool get_uffd(void *arg)
{
	peer_uffd = (int)syscall(SYS_pidfd_getfd, *(int *)arg, UFFD, 0);
	return peer_uffd >= 0;
}

/* Returns the page for which the reader waits. */
static unsigned long wait_peer(pid_t reader)
{
	int pidfd = (int)syscall(SYS_pidfd_open, reader, 0);
	struct uffd_msg msg;

	CHECK(pidfd >= 0);
	CHECK(wait_until(get_uffd, &pidfd, 20000));
	close(pidfd);
	CHECK(read(peer_uffd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg));
	CHECK(msg.event == UFFD_EVENT_PAGEFAULT);
	return msg.arg.pagefault.address & ~(PAGE - 1);
}

static bool some_have_moved(void *arg)
{
	return counter("stragglers_migrated") > *(uint64_t *)arg;
}

/* A peer in process_vm_readv() keeps the dead victim's address space, and pins what it reads right now. */
static void test_peer(void)
{
	unsigned int id = set_stage();
	uint64_t migrated = counter("stragglers_migrated");
	struct uffdio_zeropage zero = { .range.len = PAGE };
	struct peer peer = { .remote = map_anon(VICTIM_PAGES * PAGE) };
	pid_t reader;

	peer.victim = start_in("a", hold_pattern, &peer.remote);
	wait_asleep(peer.victim);
	reader = start_in(NULL, read_peer, &peer);
	zero.range.start = wait_peer(reader);
	end_instance();
	waitpid(peer.victim, NULL, 0);
	wait_reason(id, "pinned");
	CHECK(held(id, "pinned") >= PAGE);
	CHECK(has_state(id, "released"));
	/* Nothing pins the others: they have been moved out of the way. */
	CHECK(wait_until(some_have_moved, &migrated, 20000));
	CHECK(ioctl(peer_uffd, UFFDIO_ZEROPAGE, &zero) == 0);
	close(peer_uffd);
	CHECK(wait_for(reader) == 0);
	check_recovery(id);
	munmap(peer.remote, VICTIM_PAGES * PAGE);
	check_next_owner();
}

/* In memory that the generations share. */
struct family {
	int nid;
	int go[2];		/* a pipe: the child waits for its end */
	char *mem;		/* what the parent has written */
	pid_t child;		/* set when it is elsewhere */
};

static int be_child(void *arg)
{
	struct family *family = arg;
	char byte, *mem = family->mem, *fresh;

	CHECK(cg_write("", "cgroup.procs", "0") == 0);
	close(family->go[1]);
	__atomic_store_n(&family->child, getpid(), __ATOMIC_RELEASE);
	CHECK(read(family->go[0], &byte, 1) == 0);
	CHECK(has_pattern(mem, MIB));
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	memset(mem, 0, MIB);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
	fresh = map_pattern(MIB);
	CHECK(pages_elsewhere(fresh, MIB, 0) == 0);
	_exit(0);
}

static void leave_a_child(void *arg)
{
	struct family *family = arg;
	pid_t pid;

	family->mem = map_pattern(MIB);
	CHECK(pages_elsewhere(family->mem, MIB, family->nid) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		be_child(family);
	pause_for_ever();
}

static void leave_a_sharer(void *arg)
{
	struct family *family = arg;
	char *stack = map_anon(MIB);

	family->mem = map_pattern(MIB);
	CHECK(pages_elsewhere(family->mem, MIB, family->nid) == 0);
	CHECK(clone(be_child, stack + MIB, CLONE_VM | SIGCHLD, family) > 0);
	pause_for_ever();
}

static bool child_is_elsewhere(void *arg)
{
	struct family *family = arg;

	return __atomic_load_n(&family->child, __ATOMIC_ACQUIRE) != 0;
}

/* What the parent had written is moved to normal memory, and the child goes on there. */
static void outlive(void (*parent)(void *family))
{
	struct family *family = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t migrated = counter("stragglers_migrated");
	unsigned int id = set_stage();
	pid_t pid;

	CHECK(family != MAP_FAILED && pipe(family->go) == 0);
	/* It becomes ours when its parent ends. */
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	family->nid = partition_nid(id);
	pid = start_in("a", parent, family);
	CHECK(wait_until(child_is_elsewhere, family, 20000));
	end_instance();
	waitpid(pid, NULL, 0);
	check_recovery(id);
	CHECK(counter("stragglers_migrated") - migrated >= MIB / PAGE);
	close(family->go[0]);
	close(family->go[1]);
	CHECK(wait_for(family->child) == 0);
	munmap(family, PAGE);
	check_next_owner();
}

/* A child in another cgroup shares its parent's pages; nobody has copied one. */
static void test_shared_with_child(void)
{
	outlive(leave_a_child);
}

/* The child shares the address space itself, whose owner it becomes when its parent dies with the claim. */
static void test_shared_address_space(void)
{
	outlive(leave_a_sharer);
}

/* The disk's reads: one byte a second, so that the second of them waits for the first one's hour, or as fast as they can. */
static void slow_disk(bool slow)
{
	char text[160];

	snprintf(text, sizeof(text), "{\"device\": \"null\", \"bps\": 0, \"bps_rd\": %d, \"bps_wr\": 0, \"iops\": 0, \"iops_rd\": 0, \"iops_wr\": 0}",
		 slow);
	host_qmp("block_set_io_throttle", text);
}

static bool request_in_flight(void *arg)
{
	char text[64];
	unsigned int reads = 0;

	CHECK(read_file("/sys/block/vda/inflight", text, sizeof(text)) == 0);
	return sscanf(text, "%u", &reads) == 1 && reads > 0;
}

/* Reads from the disk into our own pages, without waiting for the end of it. */
static void read_directly(void *arg)
{
	int fd = open("/vda", O_RDONLY | O_DIRECT | O_CLOEXEC), ring = uring_make();
	char *mem = map_pattern(MIB);

	CHECK(fd >= 0 && pread(fd, mem, PAGE, 0) == (ssize_t)PAGE);
	uring_read(ring, fd, mem, 64 * PAGE);
	CHECK(write(*(int *)arg, "", 1) == 1);
	pause_for_ever();
}

/* A read by O_DIRECT is under way when the instance ends: the device still writes to its pages, and nobody else gets them. */
static void test_direct_io(void)
{
	unsigned int id = set_stage(), major, minor;
	char text[32], byte;
	int fds[2];
	pid_t pid;

	CHECK(read_file("/sys/block/vda/dev", text, sizeof(text)) == 0 && sscanf(text, "%u:%u", &major, &minor) == 2);
	CHECK(mknod("/vda", S_IFBLK | 0600, makedev(major, minor)) == 0);
	slow_disk(true);
	CHECK(pipe(fds) == 0);
	pid = start_in("a", read_directly, &fds[1]);
	CHECK(read(fds[0], &byte, 1) == 1 && wait_until(request_in_flight, NULL, 20000));
	close(fds[0]);
	close(fds[1]);
	end_instance();
	wait_reason(id, "pinned");
	CHECK(held(id, "pinned") >= 64 * PAGE);
	CHECK(request_in_flight(NULL));
	slow_disk(false);
	waitpid(pid, NULL, 0);
	check_recovery(id);
	unlink("/vda");
	check_next_owner();
}

static uint64_t current_of(const char *cgroup)
{
	char text[32];

	cg_read(cgroup, "memory.current", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static bool holds_little(void *arg)
{
	return current_of("a") < MIB / 2;
}

/* A process has left the cgroup with its pages: they move to normal memory, and the cgroup goes on paying. */
static void test_moved_task(void)
{
	uint64_t migrated = counter("stragglers_migrated");
	int nid;
	unsigned int id;
	pid_t pid;

	populate(1);
	wait_state(0, "populated");
	CHECK(cg_make("a") == 0 && cg_write("a", "cgroup.subtree_control", "+memory") == 0);
	id = claim_new("a/b");
	nid = partition_nid(id);
	pid = start_stopped("a/b", leave_and_stay, &nid);
	CHECK(is_mapped_by(id, pid));
	host_request(0);
	cg_end("a/b");
	check_recovery(id);
	CHECK(counter("stragglers_migrated") - migrated >= MIB / PAGE);
	CHECK(current_of("a") >= MIB);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	CHECK(wait_until(holds_little, NULL, 20000));
	cg_end("a");
	check_next_owner();
}

/* More than are moved in one go, and pages of 2 MiB among them. */
static void leave_with_much(void *nid)
{
	const size_t bytes = 48 * MIB, huge = 8 * MIB;
	char *mem = map_anon(bytes);
	char *first = mem + (-(uintptr_t)mem & (2 * MIB - 1));

	CHECK(madvise(mem, bytes, MADV_NOHUGEPAGE) == 0);
	CHECK(madvise(first, huge, MADV_HUGEPAGE) == 0);
	memset(mem, PATTERN, bytes);
	CHECK(flags_of_pfn(pfn_of(first)) >> KPF_THP & 1);
	leave_with(mem, bytes, *(int *)nid);
}

static void test_much_migrated(void)
{
	uint64_t migrated = counter("stragglers_migrated");
	unsigned int id = set_stage();
	int nid = partition_nid(id);
	pid_t pid = start_stopped("a", leave_with_much, &nid);
	end_instance();
	check_recovery(id);
	CHECK(counter("stragglers_migrated") - migrated >= 40 * MIB / PAGE);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	check_next_owner();
}

const struct test holders_tests[] = {
	{ "pages in a pipe: the reason can be polled for, comes and goes", test_pipe },
	{ "MSG_ZEROCOPY in flight", test_zerocopy },
	{ "buffers registered with io_uring", test_io_uring },
	{ "memory.squeezy.stat counts pins", test_pins_in_stat },
	{ "a packet ring holds nothing of the partition", test_packet_ring },
	{ "a memfd in flight holds nothing of the partition", test_memfd },
	{ "a peer in process_vm_readv", test_peer },
	{ "a child elsewhere that shares its parent's pages", test_shared_with_child },
	{ "a child elsewhere that shares its dead parent's address space", test_shared_address_space },
	{ "a direct read from a disk in flight", test_direct_io },
	{ "a process that left with its pages: they are migrated and paid for", test_moved_task },
	{ "a process that left with 48 MiB of small and huge pages", test_much_migrated },
	{ NULL, NULL }
};
