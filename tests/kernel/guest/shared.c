// SPDX-License-Identifier: Apache-2.0
/*
 * The shared partition: node 0's ZONE_MOVABLE on a virtio-mem device of its own (vm1), which the stock driver serves. The boot has
 * a read-only disk with one file of random bytes that is larger than it.
 */
#include "pages.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define SHARED_BYTES (256 * MIB)
#define FILE_PATH "/image/data"

/* Page frames of the device's memory. */
static uint64_t first_shared, last_shared;

/* Pages of node 0's ZONE_MOVABLE that are so and so. */
static uint64_t shared_pages(const char *kind)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	unsigned long pages, node = ~0ul, found = 0;
	char line[256], name[64], zone[32] = "";

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %lu, zone %31s", &node, zone) == 2 || node || strcmp(zone, "Movable"))
			continue;
		if (sscanf(line, " %63s %lu", name, &pages) == 2 && !strcmp(name, kind))
			found = pages;
	}
	fclose(f);
	return found;
}

static uint64_t shared_file_pages(void)
{
	return shared_pages("nr_zone_inactive_file") + shared_pages("nr_zone_active_file");
}

static bool has_size(void *bytes)
{
	return shared_pages("managed") * PAGE == *(size_t *)bytes;
}

static void resize_shared(size_t bytes)
{
	char arguments[160];

	snprintf(arguments, sizeof(arguments),
		 "{\"path\": \"/machine/peripheral/vm1\", \"property\": \"requested-size\", \"value\": %zu}", bytes);
	host_qmp("qom-set", arguments);
	CHECK_MSG(wait_until(has_size, &bytes, 60000), "%lu of %zu pages", shared_pages("managed"), bytes / PAGE);
}

static void drop_caches(void)
{
	CHECK(write_file("/proc/sys/vm/drop_caches", "1", 0) == 0);
}

static void mount_image(void)
{
	static bool mounted;

	if (!mounted) {
		mount_disk("/image");
		mounted = true;
	}
	resize_shared(SHARED_BYTES);
	CHECK(iomem_region("System RAM (virtio_mem)", 0, &first_shared, &last_shared));
	CHECK(last_shared - first_shared + 1 == SHARED_BYTES / PAGE);
	drop_caches();
}

static char *map_file(size_t *ret_bytes)
{
	int fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *mem;

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	mem = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	close(fd);
	*ret_bytes = (size_t)st.st_size;
	return mem;
}

static uint64_t sum_of(const char *mem, size_t bytes)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes; i += sizeof(uint64_t))
		sum = sum * 31 + *(const uint64_t *)(mem + i);
	return sum;
}

/* Pages of [mem, mem + bytes) that lie in the device's memory. */
static size_t pages_in_shared(const char *mem, size_t bytes)
{
	size_t count = 0;

	for (size_t i = 0; i < bytes; i += PAGE) {
		uint64_t pfn = pfn_of(mem + i);

		count += first_shared <= pfn && pfn <= last_shared;
	}
	return count;
}

static void hold(void *nid)
{
	char *mem = map_anon(32 * MIB);

	touch(mem, 32 * MIB, 7);
	raise(SIGSTOP);
	for (size_t i = 0; i < 32 * MIB; i += PAGE)
		CHECK(mem[i] == 7);
	CHECK(pages_elsewhere(mem, 32 * MIB, *(int *)nid) == 0);
}

/* Its size follows the request, up and down, and partitions take no notice. */
static void test_grow_and_shrink(void)
{
	static const size_t sizes[] = { 0, 128 * MIB, 64 * MIB, 256 * MIB, 2 * MIB, 256 * MIB };
	int nid;
	unsigned int id;
	pid_t pid;

	mount_image();
	populate(2);
	id = claim_new("a");
	nid = partition_nid(id);
	pid = start_stopped("a", hold, &nid);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		resize_shared(sizes[i]);
		check_nobody_else(id, "a");
		check_nobody_else(1, NULL);
	}
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
}

struct reader {
	uint64_t pfns[64];
	uint64_t sum;
};

static void read_file_pages(void *arg)
{
	struct reader *r = arg;
	size_t bytes;
	char *mem = map_file(&bytes);

	r->sum = sum_of(mem, 64 * MIB);
	for (size_t i = 0; i < 64; i++)
		r->pfns[i] = pfn_of(mem + i * MIB);
	CHECK_MSG(pages_in_shared(mem, 64 * MIB) == 64 * MIB / PAGE, "%zu pages", pages_in_shared(mem, 64 * MIB));
}

/* Two instances read one file: the same page frames, all of them the device's. */
static void test_one_copy(void)
{
	struct reader *r = mmap(NULL, sizeof(*r) * 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t before, after;

	CHECK(r != MAP_FAILED);
	mount_image();
	populate(2);
	claim_new("a");
	claim_new("b");
	CHECK(run_in("a", read_file_pages, &r[0]) == 0);
	before = vmstat("nr_file_pages");
	CHECK(run_in("b", read_file_pages, &r[1]) == 0);
	after = vmstat("nr_file_pages");
	CHECK_MSG(after < before + 256, "%lu file pages, then %lu", before, after);
	CHECK(r[0].sum == r[1].sum && !memcmp(r[0].pfns, r[1].pfns, sizeof(r[0].pfns)));
	/* Who read it first pays for it. */
	CHECK(cg_event("a", "memory.stat", "file") > 60 * MIB);
	CHECK(cg_event("b", "memory.stat", "file") < 4 * MIB);
	cg_end("a");
	cg_end("b");
	munmap(r, sizeof(*r) * 2);
}

static void use_shared_memory(void *nid)
{
	char *mem = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	touch(mem, 32 * MIB, 1);
	CHECK(pages_elsewhere(mem, 32 * MIB, 0) == 0);
	CHECK_MSG(pages_in_shared(mem, 32 * MIB) == 32 * MIB / PAGE, "%zu pages", pages_in_shared(mem, 32 * MIB));
}

static void test_shmem(void)
{
	mount_image();
	run_claimed(use_shared_memory);
}

#define SHMEM_PATH "/tmp/shmem"
#define SHMEM_PAGES 4096ul

struct sharer {
	uint64_t pfns[SHMEM_PAGES];
};

/* Where the pages of the file on tmpfs are. */
static char *map_shmem(struct sharer *s)
{
	int fd = open(SHMEM_PATH, O_RDWR | O_CLOEXEC);
	char *mem;

	CHECK(fd >= 0);
	mem = mmap(NULL, SHMEM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	CHECK(mem != MAP_FAILED);
	close(fd);
	for (size_t i = 0; i < SHMEM_PAGES; i++)
		s->pfns[i] = pfn_of(mem + i * PAGE);
	CHECK_MSG(pages_in_shared(mem, SHMEM_PAGES * PAGE) == SHMEM_PAGES, "%zu pages", pages_in_shared(mem, SHMEM_PAGES * PAGE));
	return mem;
}

static void write_shmem(void *sharer)
{
	char *mem = map_shmem(sharer);

	touch(mem, SHMEM_PAGES * PAGE, 1);
	raise(SIGSTOP);
	for (size_t i = 0; i < SHMEM_PAGES * PAGE; i += PAGE)
		CHECK(mem[i] == 2);
}

static void answer_in_shmem(void *sharer)
{
	char *mem = map_shmem(sharer);

	for (size_t i = 0; i < SHMEM_PAGES * PAGE; i += PAGE)
		CHECK(mem[i] == 1);
	touch(mem, SHMEM_PAGES * PAGE, 2);
}

/* Two instances map one file on tmpfs: the same page frames, all of them the device's, and the first one pays. */
static void test_shmem_once(void)
{
	struct sharer *s = mmap(NULL, sizeof(*s) * 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = open(SHMEM_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pid_t pid;

	CHECK(s != MAP_FAILED && fd >= 0 && ftruncate(fd, SHMEM_PAGES * PAGE) == 0);
	close(fd);
	mount_image();
	populate(2);
	claim_new("a");
	claim_new("b");
	pid = start_stopped("a", write_shmem, &s[0]);
	CHECK(run_in("b", answer_in_shmem, &s[1]) == 0);
	CHECK(s[0].pfns[0] && !memcmp(s[0].pfns, s[1].pfns, sizeof(s[0].pfns)));
	CHECK(cg_event("a", "memory.stat", "shmem") >= SHMEM_PAGES * PAGE);
	/* What it says to the test is shared memory, too. */
	CHECK(cg_event("b", "memory.stat", "shmem") < MIB);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	unlink(SHMEM_PATH);
	cg_end("a");
	cg_end("b");
	munmap(s, sizeof(*s) * 2);
}

/* A file larger than it: the rest is in normal memory, and nothing in a partition. */
static void test_falls_back(void)
{
	size_t bytes, inside;
	char *mem;

	mount_image();
	populate(2);
	mem = map_file(&bytes);
	CHECK(sum_of(mem, bytes) != 0);
	for (size_t i = 0; i < bytes; i += PAGE)
		CHECK(pfn_of(mem + i) != 0);
	inside = pages_in_shared(mem, bytes);
	CHECK_MSG(inside > SHARED_BYTES / PAGE / 2 && inside < bytes / PAGE, "%zu of %zu pages", inside, bytes / PAGE);
	CHECK(pages_elsewhere(mem, bytes, 0) == 0);
	check_nobody_else(0, NULL);
	check_nobody_else(1, NULL);
	munmap(mem, bytes);
}

static void read_under_limit(void *sum)
{
	size_t bytes;
	char *mem = map_file(&bytes);

	CHECK(sum_of(mem, bytes) == *(uint64_t *)sum);
}

static void need_much(void *arg)
{
	char *mem = map_anon(440 * MIB);

	touch(mem, 440 * MIB, 1);
}

/* The cache gives way to whoever needs memory, and to the limit of the instance that reads. */
static void test_reclaim(void)
{
	uint64_t kills = vmstat("oom_kill"), sum, file_pages, inside, scanned = vmstat("pgscan_direct") + vmstat("pgscan_kswapd");
	size_t bytes;
	char *mem;

	mount_image();
	populate(1);
	/* Anonymous memory may fill normal memory before the cache gives way; leave some for page tables. */
	CHECK(write_file("/proc/sys/vm/lowmem_reserve_ratio", "8 8 8", 0) == 0);
	mem = map_file(&bytes);
	sum = sum_of(mem, bytes);
	munmap(mem, bytes);
	file_pages = vmstat("nr_file_pages");
	inside = shared_file_pages();
	CHECK(run_in(NULL, need_much, NULL) == 0);
	CHECK(vmstat("pgscan_direct") + vmstat("pgscan_kswapd") > scanned);
	CHECK_MSG(vmstat("nr_file_pages") < file_pages, "%lu file pages, then %lu", file_pages, vmstat("nr_file_pages"));
	CHECK_MSG(shared_file_pages() + 16 * MIB / PAGE < inside, "%lu file pages of the device's memory, then %lu", inside, shared_file_pages());
	drop_caches();
	claim_new("a");
	CHECK(cg_write("a", "memory.max", "67108864") == 0);
	CHECK(run_in("a", read_under_limit, &sum) == 0);
	CHECK(cg_event("a", "memory.events", "max") > 0);
	CHECK(cg_event("a", "memory.events", "oom_kill") == 0);
	CHECK(vmstat("oom_kill") == kills);
	cg_end("a");
}

/* Full of page cache it still goes back whole, and what it held is still right. */
static void test_shrinks_when_full(void)
{
	size_t bytes;
	uint64_t sum;
	char *mem;

	mount_image();
	mem = map_file(&bytes);
	sum = sum_of(mem, bytes);
	CHECK(pages_in_shared(mem, bytes) > 0);
	resize_shared(0);
	CHECK(sum_of(mem, bytes) == sum);
	CHECK(pages_in_shared(mem, bytes) == 0);
	CHECK(pages_elsewhere(mem, 64 * MIB, 0) == 0);
	munmap(mem, bytes);
	resize_shared(SHARED_BYTES);
}

const struct test shared_tests[] = {
	{ "grows and shrinks while partitions are claimed", test_grow_and_shrink },
	{ "one copy of a file for all instances", test_one_copy },
	{ "shared memory of an instance", test_shmem },
	{ "one copy of shared memory for all instances", test_shmem_once },
	{ "a file larger than it falls back to normal memory", test_falls_back },
	{ "page cache gives way under pressure and under a limit", test_reclaim },
	{ "it shrinks when it is full of page cache", test_shrinks_when_full },
	{ NULL, NULL }
};
