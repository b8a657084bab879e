// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul
#define CHUNK 4096
#define ZONEINFO_MAX (256 << 10)

#define PM_PRESENT (1ull << 63)
#define PM_FILE (1ull << 61)
#define PM_PFN ((1ull << 55) - 1)

static uint64_t block_bytes(void)
{
	unsigned long bytes = 0;
	FILE *f = fopen("/sys/devices/system/memory/block_size_bytes", "re");

	CHECK(f && fscanf(f, "%lx", &bytes) == 1);
	fclose(f);
	return bytes;
}

uint64_t first_pfn(unsigned int id)
{
	uint64_t first = UINT64_MAX, block;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", partition_nid(id));
	dir = opendir(path);
	CHECK_MSG(dir, "%s", path);
	while ((entry = readdir(dir)))
		if (sscanf(entry->d_name, "memory%lu", &block) == 1 && block < first)
			first = block;
	closedir(dir);
	CHECK_MSG(first != UINT64_MAX, "%s has no blocks", path);
	return first * (block_bytes() / PAGE);
}

static void read_table(const char *path, uint64_t first, uint64_t *table, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	CHECK_MSG(fd >= 0, "%s", path);
	got = pread(fd, table, n * sizeof(*table), (off_t)(first * sizeof(*table)));
	close(fd);
	CHECK_MSG(got == (ssize_t)(n * sizeof(*table)), "%s", path);
}

static bool has(uint64_t flags, int bit)
{
	return flags >> bit & 1;
}

static void sort_page(uint64_t flags, bool own, struct census *c)
{
	if (has(flags, KPF_NOPAGE)) {
		c->hidden++;
	} else if (has(flags, KPF_BUDDY)) {
		c->free++;
	} else if (has(flags, KPF_ANON) && own) {
		c->own++;
	} else if (!has(flags, KPF_ANON) && !has(flags, KPF_LRU) && !(flags & 0xffull)) {
		c->loose++;
	} else {
		c->foreign++;
		c->foreign_flags = flags;
	}
}

void take_census(unsigned int id, const char *cgroup, struct census *ret_census)
{
	static uint64_t flags[CHUNK], owners[CHUNK];
	uint64_t first = first_pfn(id), end = first + partition_bytes / PAGE;
	struct stat st = { .st_ino = 0 };
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", cgroup ? cgroup : "");
	CHECK(stat(path, &st) == 0);
	memset(ret_census, 0, sizeof(*ret_census));
	for (; first < end; first += CHUNK) {
		read_table("/proc/kpageflags", first, flags, CHUNK);
		read_table("/proc/kpagecgroup", first, owners, CHUNK);
		for (size_t i = 0; i < CHUNK; i++)
			sort_page(flags[i], cgroup && owners[i] == st.st_ino, ret_census);
	}
}

struct wanted_census {
	unsigned int id;
	const char *cgroup;
	struct census seen;
};

static bool nobody_else(void *arg)
{
	struct wanted_census *w = arg;

	take_census(w->id, w->cgroup, &w->seen);
	return w->seen.free + w->seen.own == partition_bytes / PAGE;
}

void check_nobody_else(unsigned int id, const char *cgroup)
{
	struct wanted_census w = { .id = id, .cgroup = cgroup };

	wait_until(nobody_else, &w, 20000);
	CHECK_MSG(w.seen.free + w.seen.own == partition_bytes / PAGE,
		  "partition %u: %zu free, %zu own, %zu loose, %zu hidden, %zu foreign (flags %#lx)", id, w.seen.free,
		  w.seen.own, w.seen.loose, w.seen.hidden, w.seen.foreign, w.seen.foreign_flags);
}

void none_inside(unsigned int partitions)
{
	for (unsigned int i = 0; i < partitions; i++)
		check_nobody_else(i, NULL);
}

bool is_ordinary(const char *mem, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE) {
		int nid = node_of(mem + i);

		if (nid < 0 || nid >= partition_nid(0))
			return false;
	}
	return true;
}

size_t mapped_pages(unsigned int id, pid_t pid)
{
	uint64_t first = first_pfn(id), start, end, entry;
	static char text[65536];
	char path[64];
	size_t pages = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	CHECK(read_file(path, text, sizeof(text)) == 0);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || strstr(line, "[vsyscall]"))
			continue;
		for (; start < end; start += PAGE) {
			read_table(path, start / PAGE, &entry, 1);
			pages += entry & PM_PRESENT && (entry & PM_PFN) - first < partition_bytes / PAGE;
		}
	}
	return pages;
}

#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

void khugepaged_set_rests(const char *scan_ms, const char *alloc_ms)
{
	CHECK(write_file(KHUGEPAGED "scan_sleep_millisecs", scan_ms, 0) == 0);
	CHECK(write_file(KHUGEPAGED "alloc_sleep_millisecs", alloc_ms, 0) == 0);
}

static bool scans_done(void *wanted)
{
	return file_number(KHUGEPAGED "full_scans") >= *(uint64_t *)wanted;
}

void khugepaged_scan(void)
{
	uint64_t scans = file_number(KHUGEPAGED "full_scans") + 3;

	CHECK(wait_until(scans_done, &scans, 120000));
}

static uint64_t pagemap_entry(const void *page)
{
	uint64_t entry;

	read_table("/proc/self/pagemap", (uint64_t)page / PAGE, &entry, 1);
	return entry;
}

size_t normal_above_low(void)
{
	static char text[ZONEINFO_MAX];
	unsigned long free = 0, low;
	bool counts = false;
	size_t pages = 0;
	char zone[16];
	int nid;

	CHECK(read_file("/proc/zoneinfo", text, sizeof(text)) == 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "Node %d, zone %15s", &nid, zone) == 2)
			counts = nid < partition_nid(0) && strcmp(zone, "DMA") != 0;
		else if (sscanf(line, " pages free %lu", &free) != 1 && sscanf(line, " low %lu", &low) == 1 && counts && free > low)
			pages += free - low;
	}
	return pages * PAGE;
}

int fill_with_files(size_t leave)
{
	static char buf[1 << 20];
	size_t above;
	int fd;

	CHECK(mkdir("/tmp/fill", 0700) == 0 && mount("tmpfs", "/tmp/fill", "tmpfs", 0, "size=100%") == 0);
	fd = open("/tmp/fill/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(umount2("/tmp/fill", MNT_DETACH) == 0 && rmdir("/tmp/fill") == 0);
	memset(buf, 1, sizeof(buf));
	/* Half of what is left, a MiB at least, before the next look. */
	while ((above = normal_above_low()) > leave)
		for (size_t done = 0; done <= (above - leave) / 2; done += sizeof(buf))
			CHECK_MSG(write(fd, buf, sizeof(buf)) == (ssize_t)sizeof(buf), "%zu bytes above the low watermarks", above);
	return fd;
}

uint64_t pfn_of(const void *page)
{
	uint64_t entry = pagemap_entry(page);

	return entry & PM_PRESENT ? entry & PM_PFN : 0;
}

uint64_t flags_of_pfn(uint64_t pfn)
{
	uint64_t flags;

	read_table("/proc/kpageflags", pfn, &flags, 1);
	return flags;
}

/* Pages that no page structure of a process stands behind (vDSO, zero page) have no node for move_pages(). */
static void look_at_page(const char *page, int nid, size_t *anon, size_t *elsewhere)
{
	uint64_t entry = pagemap_entry(page);
	int node;

	if (!(entry & PM_PRESENT))
		return;
	node = node_of(page);
	if (node < 0)
		return;
	if (entry & PM_FILE) {
		*elsewhere += node != 0;
	} else {
		++*anon;
		*elsewhere += node != nid;
	}
}

size_t look_at_self(int nid, size_t *ret_elsewhere)
{
	size_t anon = 0, elsewhere = 0;
	unsigned long start, end;
	static char text[65536];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t got;

	CHECK(maps);
	/* At once: the walk must not change what it walks. */
	got = fread(text, 1, sizeof(text) - 1, maps);
	fclose(maps);
	text[got] = '\0';
	for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || strstr(line, "[vsyscall]"))
			continue;
		for (; start < end; start += PAGE)
			look_at_page((const char *)start, nid, &anon, &elsewhere);
	}
	*ret_elsewhere = elsewhere;
	return anon;
}

bool iomem_region(const char *name, unsigned int i, uint64_t *ret_first, uint64_t *ret_last)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long start, end;
	char line[160], *colon;
	bool found = false;

	CHECK(f);
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		colon = strstr(line, " : ");
		found = colon && !strcmp(colon + 3, name) && sscanf(line, " %lx-%lx", &start, &end) == 2 && i-- == 0;
	}
	fclose(f);
	if (found) {
		*ret_first = start / PAGE;
		*ret_last = end / PAGE;
	}
	return found;
}

static void read_to_end(int fd)
{
	static char buf[1 << 16];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

void describe_all_pages(void)
{
	static const char *const files[] = { "/proc/kpageflags", "/proc/kpagecount", "/proc/kpagecgroup" };
	int fd;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		fd = open(files[i], O_RDONLY | O_CLOEXEC);
		CHECK_MSG(fd >= 0, "%s", files[i]);
		read_to_end(fd);
	}
	/* Not every kernel has it. */
	fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		read_to_end(fd);
}

int compact_node(int nid)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/compact", nid);
	return write_file(path, "1", 0);
}
