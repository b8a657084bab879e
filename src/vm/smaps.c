// SPDX-License-Identifier: Apache-2.0
/*
 * Host truth about a VM's memory: the resident size of one mapping in /proc/PID/smaps.
 *
 * A mapping is a header line "start-end perms offset dev inode [path]" and then lines "Name:  N kB". QEMU's ram blocks are anonymous
 * mappings of exactly their size with a guard page behind, so they never merge with a neighbour.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vm/vm-internal.h"

#define SMAPS_TEXT_MAX (64u << 20)

struct scan {
	uint64_t wanted;	/* bytes */
	bool inside;		/* the current mapping is a candidate */
	bool found, final;	/* found: best has a candidate; final: it has MADV_HUGEPAGE, no better will come */
	struct vm_resident current, best;
};

static void scan_header(struct scan *scan, const char *line)
{
	uint64_t start, end, inode;
	char perms[5];
	int used = 0;

	scan->inside = false;
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %" SCNu64 "%n", &start, &end, perms, &inode, &used) != 4)
		return;
	if (end < start || end - start != scan->wanted || inode != 0 || strncmp(perms, "rw", 2))
		return;
	line += used + strspn(line + used, " \n");
	if (*line && strncmp(line, "[anon", 5))
		return;
	scan->inside = true;
	scan->current = (struct vm_resident){ .size_bytes = scan->wanted };
}

static void scan_field(struct scan *scan, const char *line)
{
	uint64_t kib;

	if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
		scan->current.rss_bytes = kib << 10;
	else if (sscanf(line, "AnonHugePages: %" SCNu64 " kB", &kib) == 1)
		scan->current.thp_bytes = kib << 10;
	else if (!strncmp(line, "VmFlags:", 8)) {
		scan->final = strstr(line, " hg") != NULL;
		if (!scan->found || scan->final)
			scan->best = scan->current;
		scan->found = true;
		scan->inside = false;
	}
}

/* Header lines start with lower-case hex, fields with a capital letter. */
static void scan_line(struct scan *scan, const char *line)
{
	if (line[0] >= 'A' && line[0] <= 'Z') {
		if (scan->inside)
			scan_field(scan, line);
	} else {
		scan_header(scan, line);
	}
}

/* Hands whole lines of buf to the scan; returns how many bytes that were. A line longer than the buffer is skipped by the caller. */
static size_t scan_lines(struct scan *scan, char *buf, size_t len)
{
	size_t used = 0;
	char *newline;

	while (!scan->final && (newline = memchr(buf + used, '\n', len - used))) {
		*newline = '\0';
		scan_line(scan, buf + used);
		used = (size_t)(newline - buf) + 1;
	}
	return used;
}

int smaps_find(int fd, uint64_t size_bytes, struct vm_resident *ret)
{
	struct scan scan = { .wanted = size_bytes };
	char buf[16384];
	size_t have = 0, total = 0, used;

	while (!scan.final) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		total += (size_t)n;
		if (total > SMAPS_TEXT_MAX)
			return -E2BIG;
		have += (size_t)n;
		used = scan_lines(&scan, buf, have);
		if (!used && have == sizeof(buf))
			used = have;	/* a line without end: no field we want is that long */
		memmove(buf, buf + used, have - used);
		have -= used;
	}
	if (!scan.found)
		return -ENOENT;
	*ret = scan.best;
	return 0;
}

int vm_resident(const struct vm *vm, struct vm_resident *ret, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[64];
	int r;

	if (!vm->pid)
		return err_set(err, ESRCH, "VM %s: QEMU is not running", vm->config.id);
	snprintf(path, sizeof(path), "/proc/%d/smaps", vm->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	r = smaps_find(fd, vm_device_bytes(vm), ret);
	if (r < 0)
		return err_set(err, -r, "%s: no mapping of %" PRIu64 " bytes: %s", path, vm_device_bytes(vm), strerror(-r));
	return 0;
}
