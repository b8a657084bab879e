// SPDX-License-Identifier: Apache-2.0
/*
 * Those who walk all of physical memory: /proc/kcore, idle page tracking, DAMON. They must not touch what is not plugged, nor carry
 * pages over a partition's border. Needs the test kernel, and a memfd behind the partitions, in which every touch shows.
 */
#include "pages.h"
#include "suite.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define CANARY 0x5aa55aa55aa55aa5ul
#define DAMON "/sys/kernel/mm/damon/admin/kdamonds/"

static uint64_t host_bytes(unsigned int id)
{
	char question[32];

	snprintf(question, sizeof(question), "allocated %u", id);
	return host_ask(question);
}

/* Physical memory in /proc/kcore: the segments that have a physical address. */
struct kcore {
	int fd;
	size_t count;
	Elf64_Phdr segments[64];
};

static void open_kcore(struct kcore *k)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	k->fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	CHECK(k->fd >= 0);
	CHECK(read(k->fd, &header, sizeof(header)) == sizeof(header));
	CHECK(!memcmp(header.e_ident, ELFMAG, SELFMAG));
	k->count = 0;
	for (size_t i = 0; i < header.e_phnum; i++) {
		CHECK(pread(k->fd, &segment, sizeof(segment), (off_t)(header.e_phoff + i * sizeof(segment))) == sizeof(segment));
		if (segment.p_type == PT_LOAD && segment.p_paddr != (Elf64_Addr)-1 && k->count < 64)
			k->segments[k->count++] = segment;
	}
	CHECK(k->count > 0);
}

/* Reads [start, start + bytes) of physical memory. Returns how many words hold the canary and, in *ret_other, how many anything else. */
static size_t read_kcore(struct kcore *k, uint64_t start, size_t bytes, size_t *ret_other)
{
	static uint64_t buf[65536 / sizeof(uint64_t)];
	size_t canaries = 0, other = 0;

	for (size_t i = 0; i < k->count; i++) {
		const Elf64_Phdr *s = &k->segments[i];
		uint64_t at = s->p_paddr > start ? s->p_paddr : start, end = s->p_paddr + s->p_filesz;

		for (end = end < start + bytes ? end : start + bytes; at < end; at += sizeof(buf)) {
			CHECK(pread(k->fd, buf, sizeof(buf), (off_t)(s->p_offset + at - s->p_paddr)) == sizeof(buf));
			for (size_t j = 0; j < sizeof(buf) / sizeof(buf[0]); j++) {
				canaries += buf[j] == CANARY;
				other += buf[j] != 0 && buf[j] != CANARY;
			}
		}
	}
	*ret_other = other;
	return canaries;
}

static void keep_canaries(void *arg)
{
	uint64_t *mem = (uint64_t *)map_anon(partition_bytes / 2);

	for (size_t i = 0; i < partition_bytes / 2 / sizeof(*mem); i++)
		mem[i] = CANARY;
	for (;;)
		pause();
}

/* What root can read of a partition while it is in use is gone, and not even asked of the host, when it is parked. */
static void test_kcore(void)
{
	uint64_t start;
	struct kcore k;
	size_t other;
	pid_t pid;

	populate(2);
	start = first_pfn(0) * PAGE;
	claim_new("a");
	pid = start_in("a", keep_canaries, NULL);
	wait_asleep(pid);
	open_kcore(&k);
	CHECK(read_kcore(&k, start, partition_bytes, &other) >= partition_bytes / 2 / sizeof(uint64_t));
	cg_end("a");
	wait_for(pid);
	populate(0);
	CHECK(host_bytes(0) == 0 && host_bytes(1) == 0);
	CHECK(read_kcore(&k, start, partition_bytes * 2, &other) == 0 && other == 0);
	CHECK(host_bytes(0) == 0 && host_bytes(1) == 0);
	close(k.fd);
}

/* All of physical memory, from the first segment to the last. */
static void test_whole_kcore(void)
{
	struct kcore k;
	size_t other;

	populate(3);
	populate(1);
	open_kcore(&k);
	for (size_t i = 0; i < k.count; i++)
		read_kcore(&k, k.segments[i].p_paddr, k.segments[i].p_filesz & ~65535ul, &other);
	close(k.fd);
	CHECK(host_bytes(1) == 0 && host_bytes(2) == 0);
}

static void read_on(void *start)
{
	struct kcore k;
	size_t other;

	open_kcore(&k);
	for (;;)
		read_kcore(&k, *(uint64_t *)start, partition_bytes, &other);
}

/* A reader that is always in the middle of the range that goes and comes. */
static void test_kcore_while_draining(void)
{
	uint64_t start;
	pid_t pid;

	populate(1);
	start = first_pfn(0) * PAGE;
	pid = start_in(NULL, read_on, &start);
	for (int round = 0; round < 10; round++) {
		populate(0);
		CHECK_MSG(host_bytes(0) == 0, "round %d: the host holds %lu", round, host_bytes(0));
		populate(1);
		wait_state(0, "populated");
	}
	CHECK(kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	populate(0);
}

static void mark_idle(unsigned int id)
{
	static uint64_t ones[512];
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR | O_CLOEXEC);
	uint64_t at = first_pfn(id) / 8, end = at + partition_bytes / PAGE / 8;

	CHECK(fd >= 0);
	memset(ones, 0xff, sizeof(ones));
	for (; at < end; at += sizeof(ones)) {
		CHECK(pwrite(fd, ones, sizeof(ones), (off_t)at) == sizeof(ones));
		CHECK(pread(fd, ones, sizeof(ones), (off_t)at) == sizeof(ones));
		memset(ones, 0xff, sizeof(ones));
	}
	close(fd);
}

static void test_page_idle(void)
{
	pid_t pid;

	populate(2);
	populate(1);
	claim_new("a");
	pid = start_in("a", keep_canaries, NULL);
	wait_asleep(pid);
	mark_idle(0);
	mark_idle(1);
	check_nobody_else(0, "a");
	CHECK(host_bytes(1) == 0);
	cg_end("a");
	wait_for(pid);
	populate(0);
}

static void damon_set(const char *file, uint64_t value)
{
	char path[160], text[32];

	snprintf(path, sizeof(path), DAMON "%s", file);
	snprintf(text, sizeof(text), "%lu", value);
	CHECK_MSG(write_file(path, text, 0) == 0, "%s", path);
}

/* DAMON on physical memory [start, end): move what is never accessed to this node, at once. */
static void start_damon(uint64_t start, uint64_t end, int to_nid)
{
	damon_set("nr_kdamonds", 1);
	damon_set("0/contexts/nr_contexts", 1);
	CHECK(write_file(DAMON "0/contexts/0/operations", "paddr", 0) == 0);
	damon_set("0/contexts/0/monitoring_attrs/intervals/sample_us", 5000);
	damon_set("0/contexts/0/monitoring_attrs/intervals/aggr_us", 20000);
	damon_set("0/contexts/0/targets/nr_targets", 1);
	damon_set("0/contexts/0/targets/0/regions/nr_regions", 1);
	damon_set("0/contexts/0/targets/0/regions/0/start", start);
	damon_set("0/contexts/0/targets/0/regions/0/end", end);
	damon_set("0/contexts/0/schemes/nr_schemes", 1);
	CHECK(write_file(DAMON "0/contexts/0/schemes/0/action", "migrate_cold", 0) == 0);
	damon_set("0/contexts/0/schemes/0/target_nid", (uint64_t)to_nid);
	damon_set("0/contexts/0/schemes/0/access_pattern/sz/max", UINT64_MAX);
	damon_set("0/contexts/0/schemes/0/access_pattern/nr_accesses/max", 100);
	damon_set("0/contexts/0/schemes/0/access_pattern/age/max", 1000000);
	CHECK(write_file(DAMON "0/state", "on", 0) == 0);
}

static bool damon_has_tried(void *arg)
{
	char text[32] = "";
	int fd;

	if (write_file(DAMON "0/state", "update_schemes_stats", 0))
		return false;
	fd = open(DAMON "0/contexts/0/schemes/0/stats/nr_tried", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoull(text, NULL, 10) >= 20;
}

static void stop_damon(void)
{
	CHECK(wait_until(damon_has_tried, NULL, 30000));
	CHECK(write_file(DAMON "0/state", "off", 0) == 0);
	damon_set("nr_kdamonds", 0);
}

#define DAMON_BYTES (2ul << 20)

/* Out of a claimed partition, and from ordinary memory into a free one. */
static void test_damon(void)
{
	uint64_t refused = counter("migrations_refused"), start, other;
	char *mem;
	pid_t pid;

	populate(2);
	start = first_pfn(0) * PAGE;
	claim_new("a");
	pid = start_in("a", keep_canaries, NULL);
	wait_asleep(pid);
	start_damon(start, start + partition_bytes, 0);
	stop_damon();
	CHECK(counter("migrations_refused") > refused);
	check_nobody_else(0, "a");
	/* A huge page's worth of physical memory with pages of ours that could be moved, but that a partition's node is no target. */
	mem = map_anon(DAMON_BYTES);
	touch(mem, DAMON_BYTES, 1);
	CHECK(flags_of_pfn(pfn_of(mem)) >> KPF_LRU & 1);
	other = pfn_of(mem) * PAGE & ~(DAMON_BYTES - 1);
	start_damon(other, other + DAMON_BYTES, partition_nid(1));
	stop_damon();
	CHECK(pages_elsewhere(mem, DAMON_BYTES, 0) == 0);
	munmap(mem, DAMON_BYTES);
	check_nobody_else(1, NULL);
	/* A parked one: nothing to find. */
	populate(1);
	start_damon(start + partition_bytes, start + 2 * partition_bytes, 0);
	stop_damon();
	CHECK(host_bytes(1) == 0);
	cg_end("a");
	wait_for(pid);
	populate(0);
}

const struct test walkers_tests[] = {
	{ "/proc/kcore shows nothing of a parked partition", test_kcore },
	{ "/proc/kcore can be read from end to end", test_whole_kcore },
	{ "/proc/kcore is read while partitions come and go", test_kcore_while_draining },
	{ "idle page tracking", test_page_idle },
	{ "DAMON moves no page in or out", test_damon },
	{ NULL, NULL }
};
