// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds the pages of a partition: a walk over its memory map.
 *
 * Costs time in proportion to the pages in use (free ones are skipped by the
 * block), so it is for a drain that is late and for people who ask, never for
 * one that goes well. What it finds may be gone a moment later.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pid_namespace.h>
#include <linux/rmap.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sysfs.h>

#include "../internal.h"
#include "internal.h"

/* A partition that is parked meanwhile is noticed after so many pages. */
#define CHUNK_PAGES 8192UL
#define MAPPERS_MAX 64

static const char * const holder_names[SQUEEZY_NR_HOLDERS] = {
	[SQUEEZY_HELD_NOT]		= "none",
	[SQUEEZY_HELD_HWPOISON]		= "hwpoison",
	[SQUEEZY_HELD_PER_CPU]		= "per_cpu",
	[SQUEEZY_HELD_ISOLATED]		= "isolated",
	[SQUEEZY_HELD_MAPPED]		= "mapped",
	[SQUEEZY_HELD_REFERENCES]	= "references",
	[SQUEEZY_HELD_PINNED]		= "pinned",
	[SQUEEZY_HELD_CLAIMED]		= "claimed",
};

const char *squeezy_holder_name(enum squeezy_holder holder)
{
	return holder_names[holder];
}

/* Of a folio that we hold a reference to. */
static enum squeezy_holder holder_of(struct folio *folio)
{
	int mappings = folio_mapcount(folio);
	/* Ours, the mappings', and one of whoever took it off the LRU lists. */
	int expected = 1 + mappings + !folio_test_lru(folio);

	if (folio_maybe_dma_pinned(folio))
		return SQUEEZY_HELD_PINNED;
	if (folio_ref_count(folio) > expected)
		return SQUEEZY_HELD_REFERENCES;
	return mappings ? SQUEEZY_HELD_MAPPED : SQUEEZY_HELD_ISOLATED;
}

/* Looks at a page that is not free. A folio in @ret is the caller's to put. */
static void look_at(struct page *page, struct squeezy_used *ret)
{
	struct folio *folio = page_folio(page);

	*ret = (struct squeezy_used) {
		.page = page,
		.pages = 1,
		.holder = SQUEEZY_HELD_PER_CPU,
	};
	if (PageHWPoison(page)) {
		ret->holder = SQUEEZY_HELD_HWPOISON;
		return;
	}
	if (!folio_try_get(folio))
		return;
	if (page_folio(page) != folio) {
		folio_put(folio);
		ret->holder = SQUEEZY_HELD_ISOLATED;
		return;
	}
	ret->folio = folio;
	ret->pages = folio_nr_pages(folio) - folio_page_idx(folio, page);
	ret->holder = holder_of(folio);
}

static int walk_chunk(unsigned long *pfn, unsigned long end, squeezy_visit_t visit, void *arg)
{
	struct squeezy_used used;
	int rc = 0;

	while (*pfn < end && !rc) {
		struct page *page = pfn_to_page(*pfn);

		if (PageBuddy(page)) {
			unsigned long order = buddy_order_unsafe(page);

			*pfn += order <= MAX_PAGE_ORDER ? 1UL << order : 1;
			continue;
		}
		look_at(page, &used);
		rc = visit(&used, arg);
		if (used.folio)
			folio_put(used.folio);
		*pfn += used.pages;
	}
	return rc;
}

/**
 * squeezy_visit_used - visit the pages of a partition that are not free
 * @p: partition in any state
 * @pfn: where to start; on return, where to go on
 * @visit: may sleep; anything but 0 ends the walk
 * @arg: for @visit
 *
 * Takes no lock that hot-add or hot-remove of others could hold for long; the
 * memory map of this partition stays for as long as it is looked at.
 *
 * Return: what @visit returned last, -ENOENT if the partition has been parked,
 * or -EINTR.
 */
int squeezy_visit_used(struct squeezy_partition *p, unsigned long *pfn,
		       squeezy_visit_t visit, void *arg)
{
	unsigned long end;
	int rc;

	do {
		if (!squeezy_pin_map(p))
			return -ENOENT;
		end = p->start_pfn + squeezy_layout.pages;
		/* Another device may have come meanwhile, with memory elsewhere. */
		if (*pfn < p->start_pfn || *pfn >= end)
			rc = -ENOENT;
		else
			rc = walk_chunk(pfn, min(end, *pfn + CHUNK_PAGES), visit, arg);
		squeezy_unpin_map(p);
		cond_resched();
		if (!rc && fatal_signal_pending(current))
			rc = -EINTR;
	} while (*pfn < end && !rc);
	return rc;
}

static int add_up(const struct squeezy_used *used, void *arg)
{
	unsigned long *pages = arg;

	pages[used->holder] += used->pages;
	return 0;
}

/**
 * squeezy_holders_count - how many pages are held by what
 * @p: the partition
 * @pages: SQUEEZY_NR_HOLDERS numbers to add to
 */
int squeezy_holders_count(struct squeezy_partition *p, unsigned long *pages)
{
	unsigned long pfn = p->start_pfn;

	return squeezy_visit_used(p, &pfn, add_up, pages);
}

struct mappers {
	struct pid_namespace *ns;
	unsigned int count;
	pid_t pids[MAPPERS_MAX];	/* 0: nobody that this namespace can see */
};

static void note_mapper(struct mappers *m, struct mm_struct *mm)
{
	struct task_struct *task;
	unsigned int i;
	pid_t pid;

	rcu_read_lock();
	task = rcu_dereference(mm->owner);
	pid = task ? task_tgid_nr_ns(task, m->ns) : 0;
	rcu_read_unlock();
	for (i = 0; i < m->count; i++)
		if (m->pids[i] == pid)
			return;
	if (m->count < MAPPERS_MAX)
		m->pids[m->count++] = pid;
}

static bool mapped_in_vma(struct folio *folio, struct vm_area_struct *vma, unsigned long addr,
			  void *arg)
{
	DEFINE_FOLIO_VMA_WALK(pvmw, folio, vma, addr, 0);

	if (page_vma_mapped_walk(&pvmw)) {
		page_vma_mapped_walk_done(&pvmw);
		note_mapper(arg, vma->vm_mm);
	}
	return true;
}

static int note_mappers(const struct squeezy_used *used, void *arg)
{
	struct rmap_walk_control rwc = {
		.rmap_one = mapped_in_vma,
		.anon_lock = folio_lock_anon_vma_read,
		.arg = arg,
	};
	struct mappers *m = arg;

	if (!used->folio || !folio_mapped(used->folio) || !folio_test_anon(used->folio))
		return 0;
	if (folio_lock_killable(used->folio))
		return -EINTR;
	rmap_walk(used->folio, &rwc);
	folio_unlock(used->folio);
	return m->count == MAPPERS_MAX;
}

/**
 * squeezy_holders_mappers - list the processes that map pages of a partition
 * @p: the partition
 * @buf: of a page
 *
 * Ids are those of the reader's namespace.
 *
 * Return: length of the text, or -errno.
 */
int squeezy_holders_mappers(struct squeezy_partition *p, char *buf)
{
	struct mappers m = { .ns = task_active_pid_ns(current) };
	unsigned long pfn = p->start_pfn;
	unsigned int i;
	int len = 0, rc;

	rc = squeezy_visit_used(p, &pfn, note_mappers, &m);
	if (rc == -EINTR)
		return rc;
	for (i = 0; i < m.count; i++)
		len += sysfs_emit_at(buf, len, "%s%d", i ? " " : "", m.pids[i]);
	return len + sysfs_emit_at(buf, len, "\n");
}
