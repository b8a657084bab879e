// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.squeezy: a cgroup claims a partition, waits for one, gives it up.
 *
 * A claim lives in the nid of the claimant and of all its descendants. Faults
 * read the nid without a lock; the charge reads it once more (alloc.c), so
 * clearing it is all that a release has to do.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include <trace/events/squeezy.h>

#include "internal.h"

/* A writer that sleeps until a partition is its own; on its stack. */
struct claim_waiter {
	struct list_head node;
	struct mem_cgroup *memcg;
	struct completion done;
	int result;			/* valid once done */
};

/* First come, first served; squeezy_lock. */
static LIST_HEAD(waiters);
/* squeezy_memcg.wants of those that were told EAGAIN; squeezy_lock. */
static LIST_HEAD(wanting);
/* Partitions that are claimed; written under squeezy_lock. */
static unsigned int nr_claims;

static void set_nid_below(struct mem_cgroup *memcg, int nid)
{
	struct cgroup_subsys_state *css;

	lockdep_assert_held(&squeezy_lock);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &memcg->css)
		WRITE_ONCE(mem_cgroup_from_css(css)->squeezy.nid, nid);
	rcu_read_unlock();
}

/* An ancestor's claim is inherited, so it shows in our own nid. */
static bool claimed_here_or_below(struct mem_cgroup *memcg)
{
	struct cgroup_subsys_state *css;
	bool claimed = false;

	lockdep_assert_held(&squeezy_lock);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &memcg->css)
		claimed |= mem_cgroup_from_css(css)->squeezy.nid != 0;
	rcu_read_unlock();
	return claimed;
}

static void wake_waiter(struct claim_waiter *w, int result)
{
	list_del_init(&w->node);
	w->result = result;
	complete(&w->done);
}

/* A claim has been made: those who can have none beside it are told now, not at their turn. */
static void refuse_conflicting_waiters(void)
{
	struct claim_waiter *w, *next;

	list_for_each_entry_safe(w, next, &waiters, node)
		if (claimed_here_or_below(w->memcg))
			wake_waiter(w, -EBUSY);
}

static void claim_locked(struct squeezy_partition *p, struct mem_cgroup *memcg)
{
	css_get(&memcg->css);
	p->claimant = memcg;
	WRITE_ONCE(p->owner_id, squeezy_cgroup_id(memcg));
	WRITE_ONCE(nr_claims, nr_claims + 1);
	squeezy_set_state(p, SQUEEZY_CLAIMED);
	set_nid_below(memcg, p->nid);
	list_del_init(&memcg->squeezy.wants);
	squeezy_count(SQUEEZY_CLAIMS);
	trace_squeezy_claim(p->id, squeezy_cgroup_id(memcg));
	cgroup_file_notify(&memcg->squeezy.file);
	refuse_conflicting_waiters();
}

/* Returns the claimant, whose css reference is the caller's to put. */
static struct mem_cgroup *release_locked(struct squeezy_partition *p)
{
	struct mem_cgroup *memcg = p->claimant;

	set_nid_below(memcg, 0);
	p->claimant = NULL;
	WRITE_ONCE(nr_claims, nr_claims - 1);
	p->backoff_ms = 0;
	p->not_before = jiffies;
	squeezy_set_state(p, SQUEEZY_RELEASED);
	p->unused_gp = get_state_synchronize_rcu();
	squeezy_count(SQUEEZY_RELEASES);
	trace_squeezy_release(p->id, squeezy_cgroup_id(memcg));
	return memcg;
}

/* The partition that @memcg itself claims, not one it inherits. */
static struct squeezy_partition *own_partition(struct mem_cgroup *memcg)
{
	struct squeezy_partition *p;

	if (!memcg->squeezy.nid)
		return NULL;
	p = squeezy_partition_of(memcg->squeezy.nid);
	return p->claimant == memcg ? p : NULL;
}

/**
 * squeezy_get_claimant - whose partition is this?
 * @p: the partition
 *
 * Return: the claimant with a css reference for the caller to put, or NULL.
 */
struct mem_cgroup *squeezy_get_claimant(struct squeezy_partition *p)
{
	struct mem_cgroup *memcg;

	spin_lock(&squeezy_lock);
	memcg = p->claimant;
	/* The claim holds a reference as well, so this one cannot come too late. */
	if (memcg)
		css_get(&memcg->css);
	spin_unlock(&squeezy_lock);
	return memcg;
}

/**
 * squeezy_any_claim - is any partition claimed?
 */
bool squeezy_any_claim(void)
{
	return READ_ONCE(nr_claims);
}

/**
 * squeezy_waiting - does anybody wait for a populated partition?
 */
bool squeezy_waiting(void)
{
	return !list_empty_careful(&waiters);
}

/* Those that were told EAGAIN try again. */
static void tell_wanting(void)
{
	struct squeezy_memcg *memcg;

	lockdep_assert_held(&squeezy_lock);
	list_for_each_entry(memcg, &wanting, wants)
		cgroup_file_notify(&memcg->file);
}

/**
 * squeezy_make_claimable - every page of a partition is free and nobody's
 * @p: the partition, just populated, or emptied by its last claimant
 *
 * It goes to the writer that has slept longest; without one, those that were
 * told EAGAIN are told to try again.
 */
void squeezy_make_claimable(struct squeezy_partition *p)
{
	struct claim_waiter *w;

	squeezy_set_state(p, SQUEEZY_POPULATED);
	w = list_first_entry_or_null(&waiters, struct claim_waiter, node);
	if (w) {
		list_del_init(&w->node);
		claim_locked(p, w->memcg);
		wake_waiter(w, 0);
		return;
	}
	tell_wanting();
}

/**
 * squeezy_fail_waiters - nothing will be populated any more
 */
void squeezy_fail_waiters(void)
{
	struct claim_waiter *w, *next;

	spin_lock(&squeezy_lock);
	list_for_each_entry_safe(w, next, &waiters, node)
		wake_waiter(w, -ENODEV);
	tell_wanting();
	spin_unlock(&squeezy_lock);
}

static struct squeezy_partition *first_populated(void)
{
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (p->state == SQUEEZY_POPULATED)
			return p;
	return NULL;
}

/*
 * Takes any populated partition (@id < 0) or the given one. With @w, a claim
 * that finds none joins the waiters and -EINPROGRESS is returned.
 */
static int claim(struct mem_cgroup *memcg, int id, struct claim_waiter *w)
{
	struct squeezy_partition *p = NULL;
	int rc = 0;

	spin_lock(&squeezy_lock);
	if (memcg->squeezy.dead) {
		rc = -ENODEV;
	} else if (claimed_here_or_below(memcg)) {
		rc = -EBUSY;
	} else if (id >= 0) {
		p = &squeezy_layout.partitions[id];
		rc = p->state == SQUEEZY_POPULATED ? 0 : -EBUSY;
	} else if (list_empty(&waiters)) {
		p = first_populated();
		rc = p ? 0 : -EAGAIN;
	} else {
		rc = -EAGAIN;
	}

	if (!rc) {
		claim_locked(p, memcg);
	} else if (rc == -EAGAIN && !squeezy_device_alive()) {
		rc = -ENODEV;
	} else if (rc == -EAGAIN && w) {
		list_add_tail(&w->node, &waiters);
		trace_squeezy_wait(squeezy_cgroup_id(memcg));
		rc = -EINPROGRESS;
	} else if (rc == -EAGAIN && list_empty(&memcg->squeezy.wants)) {
		list_add_tail(&memcg->squeezy.wants, &wanting);
	}
	spin_unlock(&squeezy_lock);
	return rc;
}

/*
 * Sleeps without the file's active reference: rmdir waits for those under
 * cgroup_mutex. The css may be gone on return, but css_killed has taken @w off
 * the list by then, and nobody touches w->memcg again.
 */
static int claim_wait(struct kernfs_open_file *of, struct claim_waiter *w)
{
	int rc;

	squeezy_mover_kick();
	kernfs_break_active_protection(of->kn);
	/* "Unsafe": of->mutex is held, for which only other users of this descriptor wait. */
	rc = wait_for_completion_state(&w->done, TASK_KILLABLE | TASK_FREEZABLE_UNSAFE);
	if (rc) {
		spin_lock(&squeezy_lock);
		if (!list_empty(&w->node)) {
			list_del_init(&w->node);
			w->result = -EINTR;
		}
		spin_unlock(&squeezy_lock);
	}
	kernfs_unbreak_active_protection(of->kn);
	return w->result;
}

static int claim_auto(struct kernfs_open_file *of, struct mem_cgroup *memcg)
{
	struct claim_waiter w = {
		.node = LIST_HEAD_INIT(w.node),
		.memcg = memcg,
		.done = COMPLETION_INITIALIZER_ONSTACK(w.done),
	};
	bool nonblock = of->file->f_flags & O_NONBLOCK;
	int rc = claim(memcg, -1, nonblock ? NULL : &w);

	if (rc == -EINPROGRESS)
		rc = claim_wait(of, &w);
	return rc;
}

static int release(struct mem_cgroup *memcg)
{
	struct squeezy_partition *p;
	int rc = 0;

	spin_lock(&squeezy_lock);
	p = own_partition(memcg);
	if (!p)
		rc = memcg->squeezy.nid ? -EPERM : 0;
	else if (cgroup_is_populated(memcg->css.cgroup))
		rc = -EBUSY;
	else
		release_locked(p);
	spin_unlock(&squeezy_lock);
	if (p && !rc) {
		css_put(&memcg->css);
		squeezy_mover_kick();
	}
	return rc;
}

static ssize_t squeezy_write(struct kernfs_open_file *of, char *buf, size_t nbytes, loff_t off)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(of_css(of));
	unsigned int id;
	int rc;

	if (strnlen(buf, nbytes) != nbytes)
		return -EINVAL;
	buf = strstrip(buf);
	if (!strcmp(buf, "none")) {
		rc = release(memcg);
		return rc ?: nbytes;
	}
	if (!file_ns_capable(of->file, &init_user_ns, CAP_SYS_RESOURCE))
		return -EPERM;
	if (!strcmp(buf, "auto"))
		rc = claim_auto(of, memcg);
	else if (kstrtouint(buf, 10, &id) || id >= squeezy_layout.count)
		rc = -EINVAL;
	else
		rc = claim(memcg, id, NULL);
	return rc ?: nbytes;
}

static int squeezy_show(struct seq_file *m, void *v)
{
	int nid = READ_ONCE(mem_cgroup_from_seq(m)->squeezy.nid);

	if (nid)
		seq_printf(m, "%u\n", squeezy_partition_of(nid)->id);
	else
		seq_puts(m, "none\n");
	return 0;
}

/* Per-CPU deltas may make it a little too large or small. */
static unsigned long node_bytes(int nid, enum node_stat_item item)
{
	return node_page_state_pages(NODE_DATA(nid), item) << PAGE_SHIFT;
}

/* A page that is pinned twice counts twice. */
static unsigned long pinned_bytes(int nid)
{
	/* In this order, so that a pin that comes and goes meanwhile cannot make it negative. */
	unsigned long released = node_bytes(nid, NR_FOLL_PIN_RELEASED);
	unsigned long acquired = node_bytes(nid, NR_FOLL_PIN_ACQUIRED);

	return acquired > released ? acquired - released : 0;
}

static int squeezy_stat_show(struct seq_file *m, void *v)
{
	int nid = READ_ONCE(mem_cgroup_from_seq(m)->squeezy.nid);
	struct squeezy_partition *p;

	if (!nid)
		return 0;
	p = squeezy_partition_of(nid);
	seq_printf(m, "id %u\n", p->id);
	seq_printf(m, "size %llu\n", squeezy_layout.bytes);
	seq_printf(m, "free %lu\n", squeezy_zone_free_pages(p) << PAGE_SHIFT);
	seq_printf(m, "per_cpu %lu\n", squeezy_zone_cached_pages(p) << PAGE_SHIFT);
	seq_printf(m, "anon %lu\n", node_bytes(nid, NR_ANON_MAPPED));
	seq_printf(m, "isolated %lu\n", node_bytes(nid, NR_ISOLATED_ANON));
	seq_printf(m, "pinned %lu\n", pinned_bytes(nid));
	return 0;
}

static struct cftype squeezy_files[] = {
	{
		.name = "squeezy",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct mem_cgroup, squeezy.file),
		.seq_show = squeezy_show,
		.write = squeezy_write,
	},
	{
		.name = "squeezy.stat",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = squeezy_stat_show,
	},
	{ }
};

void squeezy_memcg_online(struct mem_cgroup *memcg)
{
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);

	INIT_LIST_HEAD(&memcg->squeezy.wants);
	if (!parent || !static_branch_unlikely(&squeezy_enabled))
		return;
	spin_lock(&squeezy_lock);
	WRITE_ONCE(memcg->squeezy.nid, parent->squeezy.nid);
	spin_unlock(&squeezy_lock);
}

void squeezy_memcg_reset(struct mem_cgroup *memcg)
{
	struct claim_waiter *w, *next;
	struct squeezy_partition *p;

	if (!static_branch_unlikely(&squeezy_enabled))
		return;
	spin_lock(&squeezy_lock);
	list_for_each_entry_safe(w, next, &waiters, node)
		if (w->memcg == memcg)
			wake_waiter(w, -ENODEV);
	list_del_init(&memcg->squeezy.wants);
	p = own_partition(memcg);
	if (p)
		release_locked(p);
	spin_unlock(&squeezy_lock);
	if (p) {
		css_put(&memcg->css);
		squeezy_mover_kick();
	}
}

void squeezy_css_killed(struct cgroup_subsys_state *css)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(css);

	if (!static_branch_unlikely(&squeezy_enabled))
		return;
	/* A claim that is being written right now must not outlive us. */
	spin_lock(&squeezy_lock);
	memcg->squeezy.dead = true;
	spin_unlock(&squeezy_lock);
	squeezy_memcg_reset(memcg);
}

int __init squeezy_claim_init(void)
{
	return cgroup_add_dfl_cftypes(&memory_cgrp_subsys, squeezy_files);
}
