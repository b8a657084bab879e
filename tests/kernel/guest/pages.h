/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages as root sees them from outside: /proc/kpageflags, /proc/kpagecgroup and /proc/self/pagemap. A census of a partition says
 * whose each of its pages is; it knows nothing of what the partition's own counters claim.
 */
#ifndef SQUEEZY_TESTS_KERNEL_PAGES_H
#define SQUEEZY_TESTS_KERNEL_PAGES_H

#include "harness.h"

struct census {
	size_t free;		/* on the free lists */
	size_t own;		/* anonymous and charged to the given cgroup */
	size_t loose;		/* no flag and no owner: on a per-CPU list, or taken off a list for a moment */
	size_t hidden;		/* of a section that is offline */
	size_t foreign;		/* anything else */
	uint64_t foreign_flags;	/* of the last foreign page */
};

/* The first page frame of a partition, which must have its memory map. */
uint64_t first_pfn(unsigned int id);

/* cgroup may be NULL: no page is "own" then. */
void take_census(unsigned int id, const char *cgroup, struct census *ret_census);

/*
 * CHECKs that the partition holds pages of this cgroup and free ones, and not one other; with NULL, only free ones. Pages on
 * per-CPU lists look like nothing: the kernel empties those lists within seconds, and that is what this waits for.
 */
void check_nobody_else(unsigned int id, const char *cgroup);
/* CHECKs that the first so many partitions hold free pages only. */
void none_inside(unsigned int partitions);

/* Is all of it in nodes that the firmware has told of? Partitions come after those. */
bool is_ordinary(const char *mem, size_t bytes);

/*
 * Free bytes above the low watermarks of all zones that pages of processes and files may come from, but for partitions'. With none left,
 * the page allocator goes through the whole fallback list. ZONE_DMA does not count: it is kept for those who need it.
 */
size_t normal_above_low(void);

/* Page cache until no more than this is left above the low watermarks; a file on tmpfs that has no name, and goes when it is closed. */
int fill_with_files(size_t leave);

/* Reads what the kernel says of every page frame, to the end. */
void describe_all_pages(void);
/* Has a node compacted by hand. Returns 0 or a negative error: a partition without a map has no file for it. */
int compact_node(int nid);

/* How many pages of a partition a process maps. */
size_t mapped_pages(unsigned int id, pid_t pid);

/* How long khugepaged rests between two scans (10000 ms), and after an allocation that failed (60000 ms). */
void khugepaged_set_rests(const char *scan_ms, const char *alloc_ms);
/* Waits until it has looked at everybody three times: at least twice from now on. */
void khugepaged_scan(void);

/* Page frame of a mapped page of ours, 0 if there is none. */
uint64_t pfn_of(const void *page);
uint64_t flags_of_pfn(uint64_t pfn);

/*
 * Looks at every page that the calling process maps: its own anonymous ones must be on this node, all others on node 0. Returns
 * the number of anonymous pages seen, in *ret_elsewhere how many pages were wrong.
 */
size_t look_at_self(int nid, size_t *ret_elsewhere);

/* Page frames [first, last] of the i-th region of this name in /proc/iomem, or false. */
bool iomem_region(const char *name, unsigned int i, uint64_t *ret_first, uint64_t *ret_last);

#define KPF_LRU 5
#define KPF_BUDDY 10
#define KPF_ANON 12
#define KPF_NOPAGE 20
#define KPF_THP 22
#define KPF_ZERO_PAGE 24

#endif
