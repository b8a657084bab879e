// SPDX-License-Identifier: Apache-2.0
/* Nobody but its owner gets a page of a partition, whatever root asks the kernel for. */
#include "maps.h"
#include "pages.h"
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
#define MAX_NODES 256

static void ordinary_child(void *arg)
{
	char *mem = map_anon(64 * MIB);

	touch(mem, 64 * MIB, 1);
	CHECK(pages_elsewhere(mem, 64 * MIB, 0) == 0);
}

/* In a cgroup without a claim and in none. */
static void test_others(void)
{
	populate(2);
	CHECK(cg_make("b") == 0);
	CHECK(run_in("b", ordinary_child, NULL) == 0);
	CHECK(run_in(NULL, ordinary_child, NULL) == 0);
	cg_end("b");
	none_inside(2);
}

static void escape_child(void *arg)
{
	unsigned long to_zero = 1, own[4] = { 0 };
	int nid = *(int *)arg, status, zero = 0;
	char *mem = map_anon(MIB);
	void *page = mem;

	touch(mem, MIB, 1);
	/* The number of pages that were not moved. */
	CHECK(syscall(SYS_move_pages, 0, 1, &page, &zero, &status, MPOL_MF_MOVE) == 1);
	CHECK(syscall(SYS_mbind, mem, MIB, MPOL_BIND, &to_zero, 8, MPOL_MF_MOVE | MPOL_MF_STRICT) == -1 && errno == EIO);
	own[nid / 64] = 1ul << (nid % 64);
	syscall(SYS_migrate_pages, 0, MAX_NODES, own, &to_zero);
	CHECK(pages_elsewhere(mem, MIB, nid) == 0);
	/* A policy for what is to come does not lead out either. */
	CHECK(syscall(SYS_set_mempolicy, MPOL_BIND, &to_zero, 8) == 0);
	mem = map_anon(MIB);
	touch(mem, MIB, 1);
	CHECK(pages_elsewhere(mem, MIB, nid) == 0);
}

static void intrude_by_migration(void *arg)
{
	unsigned long from_zero = 1, to[4] = { 0 };
	int nid = *(int *)arg, status = 0;
	char *mem = map_anon(MIB);
	void *page = mem;

	touch(mem, MIB, 1);
	to[nid / 64] = 1ul << (nid % 64);
	CHECK(syscall(SYS_move_pages, 0, 1, &page, &nid, &status, MPOL_MF_MOVE) != 0 || status < 0);
	syscall(SYS_migrate_pages, 0, MAX_NODES, &from_zero, to);
	CHECK(pages_elsewhere(mem, MIB, 0) == 0);
}

static void test_migration_refused(void)
{
	uint64_t refused = counter("migrations_refused");
	int nid;

	populate(2);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in("a", escape_child, &nid) == 0);
	CHECK(counter("migrations_refused") > refused);
	CHECK(run_in(NULL, intrude_by_migration, &nid) == 0);
	nid = partition_nid(1);
	CHECK(run_in(NULL, intrude_by_migration, &nid) == 0);
	cg_end("a");
	none_inside(2);
}

/* mode: a policy, with or without MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES. */
static void intrude_by_policy(int mode, int nid)
{
	unsigned long mask[4] = { 0 };
	char *mem = map_anon(MIB);

	mask[nid / 64] = 1ul << (nid % 64);
	syscall(SYS_mbind, mem, MIB, mode, mask, MAX_NODES, 0);
	syscall(SYS_set_mempolicy_home_node, mem, MIB, nid, 0);
	touch(mem, MIB, 1);
	CHECK_MSG(is_ordinary(mem, MIB), "mbind, mode %#x", mode);
	mask[0] |= 1;
	syscall(SYS_mbind, mem, MIB, mode, mask, MAX_NODES, MPOL_MF_MOVE_ALL);
	syscall(SYS_set_mempolicy_home_node, mem, MIB, nid, 0);
	CHECK_MSG(is_ordinary(mem, MIB), "mbind with node 0, mode %#x", mode);
	CHECK(madvise(mem, MIB, MADV_DONTNEED) == 0);
	touch(mem, MIB, 1);
	CHECK_MSG(is_ordinary(mem, MIB), "mbind with node 0, touched again, mode %#x", mode);
	syscall(SYS_set_mempolicy, mode, mask, MAX_NODES);
	mem = map_anon(8 * MIB);
	madvise(mem, 8 * MIB, MADV_HUGEPAGE);
	touch(mem, 8 * MIB, 1);
	CHECK_MSG(is_ordinary(mem, 8 * MIB), "set_mempolicy, mode %#x", mode);
}

static void intruder(void *arg)
{
	static const int modes[] = { MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY,
				     6 /* MPOL_WEIGHTED_INTERLEAVE */ };
	static const int flags[] = { 0, MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		for (size_t j = 0; j < sizeof(flags) / sizeof(flags[0]); j++)
			intrude_by_policy(modes[i] | flags[j], *(int *)arg);
}

/* Every policy with every flag, naming a partition that is free and one that is claimed. */
static void test_policies(void)
{
	int nid;

	populate(2);
	nid = partition_nid(claim_new("a"));
	CHECK(run_in(NULL, intruder, &nid) == 0);
	nid = partition_nid(1);
	CHECK(run_in(NULL, intruder, &nid) == 0);
	none_inside(2);
	cg_end("a");
}

/* A policy without a node that has memory is an error; a partition's has none for this purpose. */
static void test_policy_refused(void)
{
	unsigned long mask[4] = { 0 };
	int nid;
	char *mem = map_anon(MIB);

	populate(1);
	nid = partition_nid(0);
	mask[nid / 64] = 1ul << (nid % 64);
	CHECK(syscall(SYS_mbind, mem, MIB, MPOL_BIND, mask, MAX_NODES, 0) == -1 && errno == EINVAL);
	CHECK(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, mask, MAX_NODES) == -1 && errno == EINVAL);
	munmap(mem, MIB);
}

static bool list_has(const char *path, int nid)
{
	char text[256] = "", *rest = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC), first, last;

	CHECK_MSG(fd >= 0, "%s", path);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	for (char *item = strtok_r(text, ",\n", &rest); item; item = strtok_r(NULL, ",\n", &rest)) {
		int n = sscanf(item, "%d-%d", &first, &last);

		if (n == 1 ? first == nid : n == 2 && first <= nid && nid <= last)
			return true;
	}
	return false;
}

/* The masks that the kernel and programs choose nodes by. Returns how many tiers of memory there are. */
static int check_masks(int nid)
{
	char path[512];
	struct dirent *entry;
	int tiers = 0;
	DIR *dir;

	CHECK(!list_has("/sys/devices/system/node/has_memory", nid));
	CHECK(list_has("/sys/devices/system/node/has_memory", 0));
	CHECK(!list_has("/sys/devices/system/node/has_normal_memory", nid));
	CHECK(!list_has("/sys/devices/system/node/has_cpu", nid));
	dir = opendir("/sys/devices/virtual/memory_tiering");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "memory_tier", 11) || entry->d_name[11] < '0' || entry->d_name[11] > '9')
			continue;
		snprintf(path, sizeof(path), "/sys/devices/virtual/memory_tiering/%.64s/nodelist", entry->d_name);
		CHECK_MSG(!list_has(path, nid), "%s", path);
		tiers++;
	}
	closedir(dir);
	CHECK(tiers > 0);
	return tiers;
}

/* Nor when the memory map goes, and comes again. */
static void test_masks(void)
{
	uint64_t kept = file_number("/sys/kernel/mm/squeezy/keep_memmap");
	int nid = partition_nid(0);

	populate(1);
	CHECK(list_has("/sys/devices/system/node/possible", nid));
	CHECK(list_has("/sys/devices/system/node/online", nid));
	check_masks(nid);
	set_knob("keep_memmap", 0);
	populate(0);
	wait_state(0, "absent");
	check_masks(nid);
	populate(1);
	check_masks(nid);
	set_knob("keep_memmap", (unsigned int)kept);
}

static void compact_all(void)
{
	CHECK(write_file("/proc/sys/vm/compact_memory", "1", 0) == 0);
	for (unsigned int i = 0; i < 2; i++)
		CHECK(compact_node(partition_nid(i)) == 0);
}

#define NR_HOLES (32 * MIB / PAGE)

/* What compaction would move together, were it ordinary memory. */
static void full_of_holes(void *arg)
{
	static uint64_t frames[NR_HOLES];
	char *mem = map_anon(2 * NR_HOLES * PAGE);

	touch(mem, 2 * NR_HOLES * PAGE, 1);
	for (size_t i = 0; i < NR_HOLES; i++) {
		CHECK(madvise(mem + 2 * i * PAGE, PAGE, MADV_DONTNEED) == 0);
		frames[i] = pfn_of(mem + (2 * i + 1) * PAGE);
		CHECK(frames[i]);
	}
	raise(SIGSTOP);
	for (size_t i = 0; i < NR_HOLES; i++) {
		const char *page = mem + (2 * i + 1) * PAGE;

		CHECK(*page == 1 && pfn_of(page) == frames[i]);
	}
}

static void test_compaction(void)
{
	uint64_t refused = counter("migrations_refused"), scanned;
	unsigned int id;
	pid_t pid;

	populate(2);
	id = claim_new("a");
	populate(2);
	pid = start_stopped("a", full_of_holes, NULL);
	scanned = vmstat("compact_migrate_scanned");
	compact_all();
	CHECK(vmstat("compact_migrate_scanned") > scanned);
	check_nobody_else(id, "a");
	check_nobody_else(1, NULL);
	CHECK(counter("migrations_refused") == refused);
	populate(1);
	CHECK(has_state(1, "parked"));
	compact_all();
	CHECK(write_file("/proc/sys/vm/drop_caches", "3", 0) == 0);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	cg_end("a");
	populate(0);
}

/* Page cache up to the brim: it falls back to every node it may use. */
static void cache_child(void *arg)
{
	int fd = fill_with_files(0);

	for (unsigned int i = 0; i < partition_count; i++)
		check_nobody_else(i, NULL);
	close(fd);
}

static void test_cache_and_tables(void)
{
	pid_t pids[100];

	populate(partition_count);
	CHECK(run_in(NULL, cache_child, NULL) == 0);
	/* A storm of forks: page tables, stacks, slab. */
	for (size_t i = 0; i < 100; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (!pids[i])
			for (;;)
				pause();
	}
	none_inside(partition_count);
	for (size_t i = 0; i < 100; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

/* On no ordinary node: some have been demoted, where there is a second one for it. */
static size_t pages_astray(const char *mem, size_t bytes)
{
	size_t off_first = pages_elsewhere(mem, bytes, 0);

	return getenv("slow_node") ? off_first - (bytes / PAGE - pages_elsewhere(mem, bytes, 1)) : off_first;
}

static void fill_and_stop(void *arg)
{
	char *mem = map_anon(64 * MIB), *shared = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(shared != MAP_FAILED);
	touch(mem, 64 * MIB, 1);
	touch(shared, 64 * MIB, 1);
	raise(SIGSTOP);
	CHECK(pages_astray(mem, 64 * MIB) == 0 && pages_astray(shared, 64 * MIB) == 0);
}

static uint64_t demoted(void)
{
	return vmstat("pgdemote_direct") + vmstat("pgdemote_kswapd") + vmstat("pgdemote_khugepaged");
}

/* Reclaim demotes to slower nodes, which one boot has: a partition is none. */
static void test_demotion(void)
{
	bool slower = check_masks(partition_nid(0)) > 1;
	uint64_t before = demoted();
	pid_t pid;
	int rc;

	CHECK(slower == !!getenv("slow_node"));
	populate(2);
	CHECK(write_file("/sys/kernel/mm/numa/demotion_enabled", "1", 0) == 0);
	CHECK(cg_make("b") == 0);
	pid = start_stopped("b", fill_and_stop, NULL);
	rc = cg_write("b", "memory.reclaim", "32M");
	CHECK_MSG(rc == -EAGAIN || (slower && !rc), "memory.reclaim: %d", rc);
	CHECK_MSG(slower == (demoted() > before), "%lu pages demoted", demoted() - before);
	none_inside(2);
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	cg_end("b");
	CHECK(write_file("/sys/kernel/mm/numa/demotion_enabled", "0", 0) == 0);
}

static void read_all(const char *path)
{
	static char buf[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK_MSG(fd >= 0, "%s", path);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

/* Statistics of nodes and zones can be read in every state. */
static void test_statistics(void)
{
	static const char *const files[] = { "meminfo", "numastat", "vmstat", "distance", "cpumap" };
	char path[128];

	populate(2);
	populate(1);
	for (unsigned int i = 0; i < 2; i++)
		for (size_t j = 0; j < sizeof(files) / sizeof(files[0]); j++) {
			snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/%s", partition_nid(i), files[j]);
			read_all(path);
		}
	read_all("/proc/zoneinfo");
	read_all("/proc/pagetypeinfo");
	read_all("/proc/buddyinfo");
	read_all("/proc/meminfo");
	read_all("/proc/self/numa_maps");
	read_all("/proc/kpagecount");
}

/* The number behind a name in the part of /proc/zoneinfo that is about a partition's zone, the largest of all CPUs. */
static unsigned int zone_most(int nid, const char *name)
{
	static char text[1 << 17];
	unsigned int most = 0, value;
	char head[64], *at, *end;

	CHECK(read_file("/proc/zoneinfo", text, sizeof(text)) == 0);
	snprintf(head, sizeof(head), "Node %d, zone  Movable", nid);
	at = strstr(text, head);
	CHECK_MSG(at, "no '%s'", head);
	end = strstr(at + 1, "\nNode ");
	if (end)
		*end = '\0';
	for (at = strstr(at, name); at; at = strstr(at + 1, name)) {
		value = (unsigned int)strtoul(at + strlen(name), NULL, 10);
		most = value > most ? value : most;
	}
	return most;
}

static void use_most(void *nid)
{
	size_t bytes = partition_bytes / 8 * 7;

	touch(map_anon(bytes), bytes, 1);
}

/* However large a partition is, and often as it has come and gone: its per-CPU lists are small, and do not grow with use. */
static void test_cpu_lists(void)
{
	for (int round = 0; round < 2; round++) {
		unsigned int high, batch;

		run_claimed(use_most);
		high = zone_most(partition_nid(0), "high:");
		batch = zone_most(partition_nid(0), "batch:");
		CHECK_MSG(batch == 31 && high > 0 && high <= 4 * 31, "batch %u, high %u", batch, high);
		populate(0);
	}
}

/* A partition has no kswapd and no kcompactd: there is nothing for them to do. */
static void test_threads(void)
{
	unsigned int seen = 0, nid;
	struct dirent *entry;
	char path[300], comm[32];
	DIR *dir;

	populate(2);
	dir = opendir("/proc");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (read_file(path, comm, sizeof(comm)))
			continue;
		if (sscanf(comm, "kswapd%u", &nid) == 1 || sscanf(comm, "kcompactd%u", &nid) == 1) {
			CHECK_MSG((int)nid < partition_nid(0), "%s", comm);
			seen++;
		}
	}
	closedir(dir);
	CHECK_MSG((int)seen == 2 * partition_nid(0), "%u", seen);
}

/* Root may write to the blocks' files; what they are stays the driver's decision. */
static void write_to_blocks(unsigned int id)
{
	static const char *const words[] = { "offline", "online", "online_kernel", "online_movable" };
	char path[128];
	struct dirent *entry;
	DIR *dir;
	int seen = 0;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", partition_nid(id));
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		unsigned int block;

		if (sscanf(entry->d_name, "memory%u", &block) != 1)
			continue;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%u/state", block);
			write_file(path, words[i], 0);
		}
		snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%u/online", block);
		CHECK(write_file(path, "0", 0) == -EPERM);
		write_file(path, "1", 0);
		seen++;
	}
	closedir(dir);
	CHECK(seen > 0);
}

static void test_blocks(void)
{
	populate(2);
	populate(1);
	CHECK(has_state(1, "parked"));
	write_to_blocks(0);
	write_to_blocks(1);
	CHECK(has_state(0, "populated") && has_state(1, "parked"));
	CHECK(partition_value(1, "managed_bytes") == 0);
	none_inside(1);
	populate(2);
	none_inside(2);
	populate(0);
}

const struct test exclusion_tests[] = {
	{ "others get nothing from a populated partition", test_others },
	{ "no system call migrates pages in or out", test_migration_refused },
	{ "no memory policy leads into a partition", test_policies },
	{ "a policy of partitions only is refused", test_policy_refused },
	{ "node masks and memory tiers do not list partitions", test_masks },
	{ "compaction and drop_caches, claimed and parked", test_compaction },
	{ "page cache to the brim, page tables, slab", test_cache_and_tables },
	{ "reclaim demotes nothing into a partition", test_demotion },
	{ "statistics of nodes and zones", test_statistics },
	{ "per-CPU lists of a partition are small", test_cpu_lists },
	{ "a partition has no threads", test_threads },
	{ "memory blocks of a partition obey nobody else", test_blocks },
	{ NULL, NULL }
};
