/* SPDX-License-Identifier: GPL-2.0-only */
/* What Squeezy keeps in a memory cgroup, and the memory controller's hooks. */
#ifndef _LINUX_SQUEEZY_MEMCG_H
#define _LINUX_SQUEEZY_MEMCG_H

#include <linux/cgroup-defs.h>
#include <linux/list.h>

struct mem_cgroup;

#ifdef CONFIG_SQUEEZY

struct squeezy_memcg {
	/*
	 * Node of the partition that this memcg or an ancestor claims, 0 if
	 * there is none (node 0 is never private). Written under
	 * squeezy_lock, read anywhere with READ_ONCE().
	 */
	int nid;
	/* The cgroup is being removed: no claim any more; squeezy_lock. */
	bool dead;
	/* On the list of memcgs to notify of a free partition; squeezy_lock. */
	struct list_head wants;
	/* "memory.squeezy" */
	struct cgroup_file file;
};

/* css_online: inherit the parent's claim. Under cgroup_mutex. */
void squeezy_memcg_online(struct mem_cgroup *memcg);
/* css_reset: give up a claim. Under cgroup_mutex. */
void squeezy_memcg_reset(struct mem_cgroup *memcg);
/*
 * css_killed: the same, at the very start of rmdir, when no task is left, or
 * when the controller is turned off above living tasks: what they allocate
 * from then on is their ancestor's.
 */
void squeezy_css_killed(struct cgroup_subsys_state *css);

#else

struct squeezy_memcg { };
static inline void squeezy_memcg_online(struct mem_cgroup *memcg) { }
static inline void squeezy_memcg_reset(struct mem_cgroup *memcg) { }
#define squeezy_css_killed NULL

#endif
#endif /* _LINUX_SQUEEZY_MEMCG_H */
