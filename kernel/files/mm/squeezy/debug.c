// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/squeezy: the check of all pages, and mistakes to be
 * planted, which show that check, tests and detectors notice them.
 */
#include <linux/debugfs.h>
#include <linux/gfp.h>
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
static struct squeezy_partition *referenced;
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

/* A reference to a page of a parked partition, whose map must be kept (keep_memmap). */
static int plant_parked(void)
{
	struct squeezy_partition *p = first_in(SQUEEZY_PARKED);

	if (referenced)
		return -EBUSY;
	if (!p)
		return -ENOENT;
	page_ref_inc(pfn_to_page(p->start_pfn));
	referenced = p;
	return 0;
}

static int pull_parked(void)
{
	if (!referenced)
		return -ENOENT;
	page_ref_dec(pfn_to_page(referenced->start_pfn));
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

static int plant(const char *what)
{
	static const struct {
		const char *name;
		int (*once)(void);
		int (*shift)(long by);
		long by;
	} mistakes[] = {
		{ "page", .once = plant_page },
		{ "-page", .once = pull_page },
		{ "count", .shift = plant_count, .by = 1 },
		{ "-count", .shift = plant_count, .by = -1 },
		{ "managed", .shift = plant_managed, .by = 1 },
		{ "-managed", .shift = plant_managed, .by = -1 },
		{ "pcp", .shift = plant_pcp, .by = -1 },
		{ "-pcp", .shift = plant_pcp, .by = 1 },
		{ "parked", .once = plant_parked },
		{ "-parked", .once = pull_parked },
		{ "owner", .once = plant_owner },
		{ "nid", .once = plant_nid },
		{ "zonelist", .once = plant_zonelist },
		{ "leak", .once = plant_leak },
		{ "warning", .once = plant_warning },
	};
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
