// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/squeezy: the check of all pages, and mistakes to be
 * planted, which show that check, tests and detectors notice them.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "../internal.h"
#include "internal.h"

/* A page of a partition that is nobody's memory; by the mutex of the file. */
static struct folio *planted;
static struct page *referenced;
static DEFINE_MUTEX(plant_mutex);

static int check_show(struct seq_file *m, void *unused)
{
	return squeezy_check(m);
}
DEFINE_SHOW_ATTRIBUTE(check);

static struct squeezy_partition *first_in(enum squeezy_state state)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (squeezy_get_state(p) == state)
			return p;
	return NULL;
}

static struct squeezy_partition *first_claimed(void)
{
	return first_in(SQUEEZY_CLAIMED);
}

/* Takes a page of a claimed partition for the kernel. */
static int plant_page(void)
{
	struct squeezy_partition *p = first_claimed();

	if (planted)
		return -EBUSY;
	if (p)
		planted = __squeezy_alloc_folio(GFP_HIGHUSER_MOVABLE, 0, p->zone);
	return planted ? 0 : -ENOENT;
}

static int pull_page(void)
{
	if (!planted)
		return -ENOENT;
	folio_put(planted);
	planted = NULL;
	return 0;
}

/* What the check says of the planted page goes by its looks. */
static int plant_mapped(void *mapping)
{
	int rc = plant_page();

	if (!rc)
		planted->mapping = mapping;
	return rc;
}

static int plant_anon(void)
{
	return plant_mapped((void *)PAGE_MAPPING_ANON);
}

static int plant_file(void)
{
	static struct address_space nowhere;

	return plant_mapped(&nowhere);
}

static int pull_mapped(void)
{
	if (planted)
		planted->mapping = NULL;
	return pull_page();
}

static int plant_table(void)
{
	int rc = plant_page();

	if (!rc)
		__folio_set_pgtable(planted);
	return rc;
}

static int pull_table(void)
{
	if (planted)
		__folio_clear_pgtable(planted);
	return pull_page();
}

/* Shifts the count of free pages of a claimed partition. */
static int plant_count(long pages)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	mod_zone_page_state(p->zone, NR_FREE_PAGES, pages);
	return 0;
}

/* The number of pages that a claimed partition says to have. */
static int plant_managed(long pages)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	atomic_long_add(pages, &p->zone->managed_pages);
	return 0;
}

/* The count of CPU 0's list of a claimed partition. Too small does no harm: a page is left. */
static int plant_pcp(long pages)
{
	struct squeezy_partition *p = first_claimed();
	struct per_cpu_pages *pcp;

	if (!p)
		return -ENOENT;
	pcp = per_cpu_ptr(p->zone->per_cpu_pageset, 0);
	spin_lock(&pcp->lock);
	pcp->count += pages;
	spin_unlock(&pcp->lock);
	return 0;
}

/* The length of a free list of a claimed partition. */
static int plant_length(long entries)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	spin_lock_irq(&p->zone->lock);
	p->zone->free_area[0].nr_free += entries;
	spin_unlock_irq(&p->zone->lock);
	return 0;
}

/* Page cache that a claimed partition's node counts. */
static int plant_cache(long pages)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	mod_node_page_state(NODE_DATA(p->nid), NR_FILE_PAGES, pages);
	return 0;
}

/* Sections of a claimed partition that readers take for offline; twice: as before. */
static int plant_sections(void)
{
	struct squeezy_partition *p = first_claimed();
	unsigned long end;

	if (!p)
		return -ENOENT;
	end = p->start_pfn + squeezy_layout.pages;
	if (online_section_nr(pfn_to_section_nr(p->start_pfn)))
		offline_mem_sections(p->start_pfn, end);
	else
		online_mem_sections(p->start_pfn, end);
	return 0;
}

static int plant_reference(enum squeezy_state state)
{
	struct squeezy_partition *p = first_in(state);

	if (referenced)
		return -EBUSY;
	if (!p)
		return -ENOENT;
	referenced = pfn_to_page(p->start_pfn);
	page_ref_inc(referenced);
	return 0;
}

/* A reference to a page of a parked partition, whose map must be kept (keep_memmap). */
static int plant_parked(void)
{
	return plant_reference(SQUEEZY_PARKED);
}

/* The same of a free one, which nobody may claim meanwhile. */
static int plant_free(void)
{
	return plant_reference(SQUEEZY_POPULATED);
}

static int pull_reference(void)
{
	if (!referenced)
		return -ENOENT;
	page_ref_dec(referenced);
	referenced = NULL;
	return 0;
}

/* A claimed partition that believes to be somebody else's; twice: as before. */
static int plant_owner(void)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	spin_lock(&squeezy_lock);
	p->owner_id ^= BIT_ULL(63);
	spin_unlock(&squeezy_lock);
	return 0;
}

/* A claimant that has its neighbour's node; twice: as before. Its tasks must not fault. */
static int plant_nid(void)
{
	struct squeezy_partition *p = first_claimed();
	int other, rc = -ENOENT;

	if (!p || squeezy_layout.count < 2)
		return rc;
	other = p->id ? p->nid - 1 : p->nid + 1;
	spin_lock(&squeezy_lock);
	if (p->claimant) {
		int *nid = &p->claimant->squeezy.nid;

		WRITE_ONCE(*nid, *nid == p->nid ? other : p->nid);
		rc = 0;
	}
	spin_unlock(&squeezy_lock);
	return rc;
}

/* The zone at the end of its own node's list, which nobody walks; twice: as before. */
static int plant_zonelist(void)
{
	struct squeezy_partition *p = first_claimed();
	struct zoneref *z;

	if (!p)
		return -ENOENT;
	for (z = NODE_DATA(p->nid)->node_zonelists[ZONELIST_FALLBACK]._zonerefs; z->zone; z++) {
		if (z->zone != p->zone)
			continue;
		*z = (struct zoneref){};
		return 0;
	}
	z[1] = (struct zoneref){};
	z->zone_idx = zone_idx(p->zone);
	z->zone = p->zone;
	return 0;
}

static bool is_of_partition(const void *mem)
{
	return mem && squeezy_is_private_node(page_to_nid(virt_to_page(mem)));
}

/* A page of this node by name, and memory of the kernel as near to it as can be. */
static bool node_serves(int nid)
{
	struct page *page = alloc_pages_node(nid, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE |
					     __GFP_NOWARN, 0);
	void *near = kmalloc_node(64, GFP_KERNEL, nid);
	bool serves = page || is_of_partition(near);

	kfree(near);
	if (page)
		__free_page(page);
	return serves;
}

/* No mistake, but what a driver may ask for: a claimed partition serves nobody by its node. */
static int ask_by_node(void)
{
	struct squeezy_partition *p = first_claimed();

	if (!p)
		return -ENOENT;
	return node_serves(p->nid) ? -EEXIST : 0;
}

/* Lost on purpose: kmemleak has to find it. */
static int plant_leak(void)
{
	void *lost = kmalloc(512, GFP_KERNEL);

	if (!lost)
		return -ENOMEM;
	memset(lost, 0, 512);
	OPTIMIZER_HIDE_VAR(lost);
	return 0;
}

static int plant_warning(void)
{
	WARN(1, "planted by a test\n");
	return 0;
}

static const struct {
	const char *name;
	int (*once)(void);
	int (*shift)(long by);
	long by;
} mistakes[] = {
	{ "page", .once = plant_page },
	{ "-page", .once = pull_page },
	{ "anon", .once = plant_anon },
	{ "-anon", .once = pull_mapped },
	{ "file", .once = plant_file },
	{ "-file", .once = pull_mapped },
	{ "table", .once = plant_table },
	{ "-table", .once = pull_table },
	{ "count", .shift = plant_count, .by = 1 },
	{ "-count", .shift = plant_count, .by = -1 },
	{ "managed", .shift = plant_managed, .by = 1 },
	{ "-managed", .shift = plant_managed, .by = -1 },
	{ "pcp", .shift = plant_pcp, .by = -1 },
	{ "-pcp", .shift = plant_pcp, .by = 1 },
	{ "length", .shift = plant_length, .by = 1 },
	{ "-length", .shift = plant_length, .by = -1 },
	/* As many as are counted at once; fewer stay on this CPU for a second. */
	{ "cache", .shift = plant_cache, .by = 512 },
	{ "-cache", .shift = plant_cache, .by = -512 },
	{ "sections", .once = plant_sections },
	{ "parked", .once = plant_parked },
	{ "free", .once = plant_free },
	{ "-reference", .once = pull_reference },
	{ "owner", .once = plant_owner },
	{ "nid", .once = plant_nid },
	{ "zonelist", .once = plant_zonelist },
	{ "by-node", .once = ask_by_node },
	{ "leak", .once = plant_leak },
	{ "warning", .once = plant_warning },
};

static int plant(const char *what)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++)
		if (!strcmp(what, mistakes[i].name))
			return mistakes[i].once ? mistakes[i].once() :
			       mistakes[i].shift(mistakes[i].by);
	return -EINVAL;
}

static ssize_t plant_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char what[16] = "";
	int rc;

	if (len >= sizeof(what))
		return -EINVAL;
	if (copy_from_user(what, buf, len))
		return -EFAULT;
	mutex_lock(&plant_mutex);
	rc = plant(strstrip(what));
	mutex_unlock(&plant_mutex);
	return rc ?: len;
}

static const struct file_operations plant_fops = {
	.owner = THIS_MODULE,
	.write = plant_write,
	.llseek = noop_llseek,
};

static int __init squeezy_debug_init(void)
{
	struct dentry *dir;

	if (!squeezy_layout.count)
		return 0;
	dir = debugfs_create_dir("squeezy", NULL);
	debugfs_create_file("check", 0400, dir, NULL, &check_fops);
	debugfs_create_file("plant", 0200, dir, NULL, &plant_fops);
	squeezy_delay_init(dir);
	return 0;
}
late_initcall(squeezy_debug_init);
