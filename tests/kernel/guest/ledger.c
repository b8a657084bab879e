// SPDX-License-Identifier: Apache-2.0
#include "ledger.h"
#include "harness.h"
#include "hostile.h"
#include "pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_FILE "/sys/kernel/debug/squeezy/check"
/* What caches of the kernel keep for themselves after a test: stacks, per-CPU slabs, page tables of our own. */
#define SLACK_KIB (12 * 1024)
#define SETTLE_MS 60000
#define PRINTED_MAX 40

int file_read(const char *path, char *buf, size_t size)
{
	ssize_t n;
	size_t have = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + have, size - 1 - have)) > 0)
		have += (size_t)n;
	n = n < 0 ? -errno : 0;
	close(fd);
	buf[have] = '\0';
	return (int)n;
}

bool pages_are_right(char *buf, size_t size)
{
	CHECK_MSG(file_read(CHECK_FILE, buf, size) == 0, "%s", CHECK_FILE);
	return !strcmp(buf, "ok\n");
}

void check_pages(void)
{
	char text[4096];

	if (access(CHECK_FILE, F_OK) || pages_are_right(text, sizeof(text)))
		return;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# check: %s\n", line);
	CHECK_MSG(false, "the check of all pages found mistakes");
}

static uint64_t dying_cgroups(void)
{
	char text[4096], *at;

	CHECK(file_read("/sys/fs/cgroup/cgroup.stat", text, sizeof(text)) == 0);
	at = strstr(text, "nr_dying_descendants ");
	CHECK(at);
	return strtoull(strchr(at, ' '), NULL, 10);
}

/* Nothing is measured while caches hold it: dentries and inodes of the dead, the page cache. */
static void drop_caches(void)
{
	sync();
	CHECK(file_write("/proc/sys/vm/drop_caches", "3") == 0);
}

/* Takes the place of whoever was the last to charge pages and kernel objects on a CPU. */
static void charge_on(void *cpu)
{
	int ends[2];

	use_cpu(*(int *)cpu);
	touch(map_anon(1 << 20), 1 << 20, 1);
	CHECK(pipe(ends) == 0);
}

/*
 * Each CPU keeps a stock of charges for one memcg, and with it that memcg, also when it is dead. rmdir has it given back, but not if
 * another rmdir is at that just then, and never again once the CPU went offline with that work queued: another CPU did it, for its own
 * stock, and the mark "is being done" stays (drain_local_stock() of 6.12). The next one to charge something there displaces it; he has
 * to live until all is counted.
 */
static void displace_stocks(void)
{
	int rc = cg_make("displacing");

	CHECK_MSG(!rc || rc == -EEXIST, "%d", rc);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		CHECK(run_in("displacing", charge_on, &cpu) == 0);
}

/* Has each slab cache give back empty slabs and, under KASAN, the freed objects that it keeps to catch a late use: 1/32 of all memory. */
static void shrink_slabs(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	char path[300];

	CHECK(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", e->d_name);
		if (e->d_name[0] != '.' && !access(path, W_OK))
			file_write(path, "1");
	}
	closedir(dir);
}

static bool all_out(void *unused)
{
	for (unsigned int i = 0; i < partition_count; i++)
		if (!has_state(i, "parked") && !has_state(i, "absent"))
			return false;
	return true;
}

/* Pages that are charged to a cgroup other than the root: what keeps those that are gone. */
static void print_charges(void)
{
	uint64_t inodes[512];
	int fd = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC);
	unsigned long pfn = 0, found = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while ((n = read(fd, inodes, sizeof(inodes))) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(inodes[0]); i++, pfn++) {
			if (inodes[i] <= 1 || found++ >= PRINTED_MAX)
				continue;
			printf("# page %#lx is charged to cgroup %llu, flags %#llx\n", pfn, (unsigned long long)inodes[i],
			       (unsigned long long)flags_of_pfn(pfn));
		}
	close(fd);
	printf("# %lu pages are charged to cgroups\n", found);
}

/* What a partition that does not come back says of itself, and its pages that are in use. */
static void print_partition(unsigned int id)
{
	static const char *const names[] = {
		"state", "busy_reason", "plugged_bytes", "missing_bytes", "holders/hwpoison", "holders/per_cpu", "holders/isolated",
		"holders/mapped", "holders/references", "holders/pinned",
	};
	char text[64];

	printf("# partition %u:", id);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		partition_text(id, names[i], text, sizeof(text));
		printf(" %s %s", names[i], text);
	}
	printf("\n");
}

static void park_all(void)
{
	bool parked;

	host_request(0);
	parked = wait_until(all_out, NULL, SETTLE_MS);
	for (unsigned int i = 0; i < partition_count && !parked; i++)
		print_partition(i);
	if (!parked)
		print_charges();
	CHECK_MSG(parked, "a partition is not parked");
}

void ledger_open(struct ledger *l)
{
	park_all();
	/* Each drop would have a line in the log. */
	CHECK(file_write("/proc/sys/vm/drop_caches", "4") == 0);
	drop_caches();
	l->free_kib = meminfo("MemFree:");
	l->slab_kib = meminfo("Slab:");
}

struct settling {
	const struct ledger *before;
	uint64_t free_kib, slab_kib, dying;
};

static bool has_settled(void *arg)
{
	struct settling *s = arg;

	drop_caches();
	s->free_kib = meminfo("MemFree:");
	s->slab_kib = meminfo("Slab:");
	s->dying = dying_cgroups();
	if (s->dying) {
		displace_stocks();
		sleep_ms(1000);
	}
	if (s->free_kib + SLACK_KIB >= s->before->free_kib && s->slab_kib <= s->before->slab_kib + SLACK_KIB)
		return !s->dying;
	shrink_slabs();
	sleep_ms(500);
	return false;
}

void ledger_close(const struct ledger *l)
{
	struct settling s = { .before = l };
	bool settled;

	park_all();
	settled = wait_until(has_settled, &s, SETTLE_MS);
	cg_remove("displacing");
	if (!settled)
		print_charges();
	CHECK_MSG(settled, "free %llu KiB, was %llu; slab %llu KiB, was %llu; %llu dying cgroups",
		  (unsigned long long)s.free_kib, (unsigned long long)l->free_kib, (unsigned long long)s.slab_kib,
		  (unsigned long long)l->slab_kib, (unsigned long long)s.dying);
}
