// SPDX-License-Identifier: Apache-2.0
/*
 * Another kernel takes over while memory is plugged: by kexec, and after a crash. The disk of these boots has the kernel and this
 * program's initramfs; what the next kernel has to know is on its command line.
 */
#include "pages.h"
#include "suite.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DISK "/disk"
#define PAGE 4096ul
#define CHUNK (1ul << 20)
#define PATTERN 0xa5
#define MAX_SEGMENTS 64

/* Of partition 0, while it is in use. */
static size_t used_bytes(void)
{
	return partition_bytes / 4;
}

static void use_some(void *unused)
{
	memset(map_anon(used_bytes()), PATTERN, used_bytes());
}

static void use_and_stay(void *unused)
{
	use_some(NULL);
	pause();
}

/* Two partitions that were in use; now an instance uses the first, and the second is parked. */
static void prepare(void)
{
	populate(2);
	claim_new("a");
	claim_new("b");
	CHECK(run_in("b", use_some, NULL) == 0);
	cg_end("b");
	wait_asleep(start_in("a", use_and_stay, NULL));
	populate(1);
	CHECK(has_state(0, "claimed"));
	CHECK(has_state(1, "parked"));
	CHECK(host_ask("allocated 0") >= used_bytes());
	CHECK(host_ask("allocated 1") == 0);
}

static int open_disk(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), DISK "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_MSG(fd >= 0, "%s", path);
	return fd;
}

/* Loads the kernel of the disk. Its command line is ours with other suites, plus `more`. */
static void load(const char *next_suites, const char *more, unsigned long flags)
{
	char ours[2048], line[2048];
	size_t n;

	mount_disk(DISK);
	CHECK(read_file("/proc/cmdline", ours, sizeof(ours)) == 0);
	n = (size_t)snprintf(line, sizeof(line), "suites=%s %s", next_suites, more);
	for (char *rest = NULL, *word = strtok_r(ours, " ", &rest); word && n < sizeof(line); word = strtok_r(NULL, " ", &rest))
		if (strncmp(word, "suites=", 7) && strncmp(word, "crashkernel=", 12))
			n += (size_t)snprintf(line + n, sizeof(line) - n, " %s", word);
	CHECK(n < sizeof(line));
	CHECK(syscall(SYS_kexec_file_load, open_disk("kernel"), open_disk("initramfs"), n + 1, line, flags) == 0);
}

/* The device still has everything plugged that the first kernel used. The next one begins anew, with clean memory. */
static void test_kexec(void)
{
	prepare();
	load("kexec-next", "", 0);
	fflush(stdout);
	reboot(RB_KEXEC);
	CHECK_MSG(false, "the next kernel does not start");
}

const struct test kexec_tests[] = {
	{ "kexec: another kernel is started", test_kexec },
	{ NULL, NULL },
};

static void look_for_pattern(void *nid)
{
	size_t bytes = partition_bytes * 3 / 4;
	char *mem = map_anon(bytes);

	for (size_t i = 0; i < bytes; i += PAGE)
		CHECK(mem[i] == 0);
	touch(mem, bytes, 1);
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

static void test_kexec_next(void)
{
	CHECK(host_ask("boots") == 2);
	wait_state(0, "populated");
	CHECK(counter("populates_first") == 1);
	CHECK(counter("requests_refused") == 0);
	/* It was unplugged in between, or the pages of the first kernel's instance would still be there. */
	CHECK(host_ask("allocated 0") < used_bytes());
	CHECK(host_ask("allocated 1") == 0);
	run_claimed(look_for_pattern);
	populate(0);
	CHECK(host_ask("allocated 0") == 0);
}

const struct test kexec_next_tests[] = {
	{ "kexec: the next kernel begins with clean partitions", test_kexec_next },
	{ NULL, NULL },
};

/* An instance runs, another partition is parked; the kernel panics. */
static void test_crash(void)
{
	uint64_t first, last;
	char more[128];

	prepare();
	CHECK(iomem_region("squeezy", 0, &first, &last));
	snprintf(more, sizeof(more), "nr_cpus=1 region=%#lx", first * PAGE);
	load("crash-dump", more, KEXEC_FILE_ON_CRASH);
	fflush(stdout);
	write_file("/proc/sysrq-trigger", "c", 0);
	CHECK_MSG(false, "the kernel does not crash");
}

const struct test crash_tests[] = {
	{ "kdump: the kernel crashes", test_crash },
	{ NULL, NULL },
};

struct dump {
	uint64_t start;			/* of the partitions */
	uint64_t read;
	uint64_t present[2];		/* bytes of partition 0 and 1 that the dump says it has */
	uint64_t filled[2];		/* pages that are full of the pattern */
	uint64_t foreign[2];		/* pages that are neither that nor zero */
};

static bool is_full_of(const unsigned char *page, unsigned char byte)
{
	return page[0] == byte && !memcmp(page, page + 1, PAGE - 1);
}

/* A piece of the dump that lies in one partition, or in none of the two. */
static void look_at(struct dump *d, uint64_t addr, const unsigned char *data, size_t bytes)
{
	uint64_t id = (addr - d->start) / partition_bytes;

	d->read += bytes;
	if (addr < d->start || id > 1)
		return;
	d->present[id] += bytes;
	for (size_t at = 0; at + PAGE <= bytes; at += PAGE) {
		d->filled[id] += is_full_of(data + at, PATTERN);
		d->foreign[id] += !is_full_of(data + at, PATTERN) && !is_full_of(data + at, 0);
	}
}

static void read_segment(int fd, const Elf64_Phdr *segment, struct dump *d)
{
	static unsigned char data[CHUNK];

	for (uint64_t at = 0; at < segment->p_filesz;) {
		uint64_t addr = segment->p_paddr + at;
		size_t n = CHUNK - addr % CHUNK;

		if (n > segment->p_filesz - at)
			n = segment->p_filesz - at;
		CHECK_MSG(pread(fd, data, n, (off_t)(segment->p_offset + at)) == (ssize_t)n, "at %#lx", addr);
		look_at(d, addr, data, n);
		at += n;
	}
}

/* All of it, as a dumper does that filters nothing. */
static void read_dump(struct dump *d)
{
	Elf64_Phdr segments[MAX_SEGMENTS];
	int fd = open("/proc/vmcore", O_RDONLY | O_CLOEXEC);
	ssize_t bytes;
	Elf64_Ehdr head;

	CHECK(fd >= 0);
	CHECK(pread(fd, &head, sizeof(head), 0) == sizeof(head));
	CHECK(!memcmp(head.e_ident, ELFMAG, SELFMAG));
	CHECK(head.e_phnum && head.e_phnum <= MAX_SEGMENTS);
	bytes = head.e_phnum * (ssize_t)sizeof(segments[0]);
	CHECK(pread(fd, segments, (size_t)bytes, (off_t)head.e_phoff) == bytes);
	for (unsigned int i = 0; i < head.e_phnum; i++)
		if (segments[i].p_type == PT_LOAD)
			read_segment(fd, &segments[i], d);
	close(fd);
}

/* The dump has what the instance wrote, and nothing of what is parked: that was not even read. */
static void test_dump(void)
{
	const char *region = getenv("region");
	struct dump d = { 0 };

	CHECK(region && sscanf(region, "%lx", &d.start) == 1);
	CHECK(host_ask("boots") == 2);
	CHECK(host_ask("allocated 1") == 0);
	read_dump(&d);
	printf("# %lu MiB read: partition 0 %lu MiB, %lu pages of the pattern; partition 1 %lu MiB\n", d.read >> 20, d.present[0] >> 20,
	       d.filled[0], d.present[1] >> 20);
	CHECK(d.present[0] == partition_bytes);
	CHECK(d.filled[0] == used_bytes() / PAGE);
	CHECK(d.present[1] == partition_bytes);
	CHECK(d.filled[1] == 0);
	CHECK(d.foreign[1] == 0);
	CHECK(host_ask("allocated 1") == 0);
	CHECK(host_ask("allocated 2") == 0);
}

/* The crash kernel has the partitions' layout and leaves their device alone but for asking what is plugged. */
static void test_crash_claims_nothing(void)
{
	CHECK(cg_make("a") == 0);
	CHECK(cg_write("a", "memory.squeezy", "auto") == -ENODEV);
	cg_end("a");
	CHECK(counter("requests_plug") == 0);
}

const struct test crash_dump_tests[] = {
	{ "kdump: a dump has what was in use and reads nothing of what is parked", test_dump },
	{ "kdump: the crash kernel claims nothing", test_crash_claims_nothing },
	{ NULL, NULL },
};
