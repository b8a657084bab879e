/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Squeezy internals.
 *
 * Who does what:
 *   layout.c     the command line, node ids, the partition table
 *   partition.c  states, the lock, counters
 *   claim.c      memory.squeezy: claims, waiters, releases
 *   alloc.c      pages for faults, charges, refusals
 *   full.c       faults that meet a full partition, out of memory
 *   reclaim.c    memcg reclaim sees partitions
 *   zone.c       exact counts, taking pages off the free lists, putting back
 *   holders.c    who holds the pages of a partition
 *   poison.c     pages lost to memory failure
 *   straggler.c  drains that are late: LRU batches, reasons, migration
 *   map.c        memory maps (hot-add and removal), on a workqueue of its own
 *   mover.c      the thread that populates and drains to follow the device
 *   thread.c     makes it
 *   request.c    the request in flight: a run of adjacent partitions
 *   virtio.c     requests to the virtio-mem device
 *   sleep.c      no system sleep (CONFIG_PM_SLEEP)
 *   delay.c      for tests: a fault held on its way to a page
 *   trace.c      tracepoints (include/trace/events/squeezy.h)
 *   fake/        a device that misbehaves (CONFIG_SQUEEZY_FAKE_DEVICE)
 *   sysfs.c      /sys/kernel/mm/squeezy
 *   check.c      is every page and count what it may be (CONFIG_SQUEEZY_DEBUG)
 *   debug.c      /sys/kernel/debug/squeezy (CONFIG_SQUEEZY_DEBUG)
 */
#ifndef _MM_SQUEEZY_INTERNAL_H
#define _MM_SQUEEZY_INTERNAL_H

#include <linux/cgroup.h>
#include <linux/kobject.h>
#include <linux/memcontrol.h>
#include <linux/mm_types.h>
#include <linux/mmzone.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/squeezy.h>
#include <linux/types.h>

struct seq_file;

enum squeezy_state {
	SQUEEZY_ABSENT,		/* no memory map */
	SQUEEZY_MAPPING,	/* map.c makes the memory map */
	SQUEEZY_PARKED,		/* memory map there, sections offline, pages on no list */
	SQUEEZY_UNMAPPING,	/* map.c removes the memory map, or what is left of it */
	SQUEEZY_POPULATED,	/* every page free and allocatable, nobody's */
	SQUEEZY_CLAIMED,	/* backs the anonymous memory of one cgroup */
	SQUEEZY_RELEASED,	/* given up by its cgroup, pages may still be in use */
	SQUEEZY_DRAINING,	/* was populated; the mover is parking it */
	SQUEEZY_NR_STATES
};

/* Moments of a partition's life that user space can read, CLOCK_BOOTTIME. */
enum squeezy_time {
	SQUEEZY_TIME_RELEASED,		/* the claim was given up */
	SQUEEZY_TIME_DRAIN_START,	/* the mover looked at it first, to park it */
	SQUEEZY_TIME_DRAINED,		/* no page left that the guest could use */
	SQUEEZY_TIME_RETURNED,		/* the device has acknowledged the last unplug after it */
	SQUEEZY_TIME_POPULATE_START,	/* the mover began to plug or unpark */
	SQUEEZY_TIME_POPULATED,		/* claimable */
	SQUEEZY_NR_TIMES
};

/* What keeps a page, or a partition, from being drained; the later, the longer it may last. */
enum squeezy_holder {
	SQUEEZY_HELD_NOT,		/* nothing is in the way, as far as we know */
	SQUEEZY_HELD_HWPOISON,		/* memory failure, and not all is over yet */
	SQUEEZY_HELD_PER_CPU,		/* free on a per-CPU list */
	SQUEEZY_HELD_ISOLATED,		/* off the LRU lists: a batch, reclaim, migration */
	SQUEEZY_HELD_MAPPED,		/* by a process outside the ended cgroup */
	SQUEEZY_HELD_REFERENCES,	/* more than the mappings': a pipe, a socket buffer */
	SQUEEZY_HELD_PINNED,		/* for DMA (FOLL_PIN): io_uring, direct I/O */
	SQUEEZY_HELD_CLAIMED,		/* of a partition only: its cgroup is still there */
	SQUEEZY_NR_HOLDERS
};

enum squeezy_counter {
	SQUEEZY_CLAIMS,
	SQUEEZY_RELEASES,
	SQUEEZY_POPULATES_FIRST,	/* the memory map was made for it */
	SQUEEZY_POPULATES_PARKED,
	SQUEEZY_DRAINS,
	SQUEEZY_DRAIN_PASSES,		/* looks at a partition to be drained */
	SQUEEZY_DRAIN_BUSY,		/* ... that ended with pages still in use */
	SQUEEZY_LRU_SWEEPS,		/* all CPUs' LRU batches were emptied for a drain */
	SQUEEZY_STRAGGLERS_MIGRATED,	/* pages */
	SQUEEZY_REQUESTS_PLUG,
	SQUEEZY_REQUESTS_UNPLUG,
	SQUEEZY_REQUESTS_REFUSED,	/* answered NACK, BUSY or ERROR, or not at all */
	SQUEEZY_MAPS_MADE,
	SQUEEZY_MAPS_REMOVED,
	SQUEEZY_MAP_FAILURES,
	SQUEEZY_CHARGES_REFUSED,	/* lost the race with a release, or became a file's */
	SQUEEZY_CHARGES_REDIRECTED,	/* task moved: the claimant pays; no owner: the writer */
	SQUEEZY_MIGRATIONS_REFUSED,
	SQUEEZY_PARTITION_FULL,		/* order-0 faults that met a full partition */
	SQUEEZY_OOM_KILLS,
	SQUEEZY_NR_COUNTERS
};

struct dentry;

struct squeezy_partition {
	unsigned int id;
	int nid;
	unsigned long start_pfn;	/* valid once a device is bound */
	struct zone *zone;		/* NODE_DATA(nid)'s ZONE_MOVABLE */

	/* Protected by squeezy_lock. */
	enum squeezy_state state;
	struct mem_cgroup *claimant;	/* holds a css reference */
	u64 owner_id;			/* of the claimant's cgroup, or the last one's */
	u64 times_ns[SQUEEZY_NR_TIMES];
	bool reserved;			/* in a request: map.c keeps off */
	unsigned long unused_gp;	/* RCU: who knows of its last claim or map is gone then */
	unsigned int map_pins;		/* who reads the memory map: map.c leaves it */
	bool fresh_map;			/* made because it was to be populated */
	bool map_failed;		/* at the last try */
	unsigned long failures_healed;	/* memory failures of the node until the last heal */
	bool late;			/* a look found pages in use; set by the mover */
	enum squeezy_holder busy_reason;
	unsigned long holders[SQUEEZY_NR_HOLDERS];	/* pages, when last counted */

	/* Protected by zone->lock. */
	unsigned long *poisoned;	/* pfns lost to memory failure */
	unsigned int nr_poisoned;

	/* straggler.c's; look_at and look_every_ms are touched by the mover only. */
	struct work_struct look_work;
	struct task_struct *evictor;	/* may migrate pages out */
	bool look_now;			/* the mover shall look, whatever not_before says */
	unsigned long look_at;		/* jiffies */
	unsigned int look_every_ms;

	/* The mover's own. */
	unsigned int plugged_blocks;	/* device blocks plugged, from the front */
	bool populating;		/* populate_start_ns is of this attempt */
	bool drained;			/* it had pages, and has not been returned yet */
	bool map_wanted;		/* map.c is to make the memory map */
	/*
	 * jiffies: do not retry earlier. map.c's while there is no memory map;
	 * reset when a claim is released, which the mover does not look at.
	 */
	unsigned long not_before;
	unsigned int backoff_ms;
	unsigned long missing;		/* pages in use at the last look */

	struct kobject kobj;
	struct kernfs_node *state_file;
	struct kernfs_node *reason_file;
};

/* Constant after init, but for @start and @block_size: set when a device is bound. */
struct squeezy_layout {
	unsigned int count;
	u64 bytes;			/* of one partition */
	unsigned long pages;		/* of one partition */
	u64 start;			/* physical address of partition 0 */
	u64 block_size;			/* of the device */
	struct squeezy_partition *partitions;
};

extern struct squeezy_layout squeezy_layout;

/*
 * Protects states, claimants, the nid in memory cgroups, and the two lists of
 * those who wait for a claim. Inner to cgroup_mutex. Nothing sleeps under it.
 */
extern spinlock_t squeezy_lock;

#define for_each_squeezy_partition(p)						\
	for ((p) = squeezy_layout.partitions;					\
	     (p) < squeezy_layout.partitions + squeezy_layout.count; (p)++)

static inline struct squeezy_partition *squeezy_partition_of(int nid)
{
	return &squeezy_layout.partitions[nid - squeezy_first_nid];
}

/*
 * Until its fork() is nearly over a child is in the root cgroup. Its state is
 * read before its cgroup, and changes after that.
 */
static inline bool squeezy_is_unborn(struct task_struct *task)
{
	return READ_ONCE(task->__state) == TASK_NEW &&
	       mem_cgroup_is_root(mem_cgroup_from_task(task));
}

/**
 * squeezy_mm_owner - whose cgroup this address space belongs to
 * @mm: the address space
 *
 * Under RCU. Nobody's is one whose processes have all died, and one whose owner
 * is not born yet.
 *
 * Return: the task, or NULL.
 */
static inline struct task_struct *squeezy_mm_owner(struct mm_struct *mm)
{
	struct task_struct *owner = rcu_dereference(mm->owner);

	return likely(owner && !squeezy_is_unborn(owner)) ? owner : NULL;
}

/* Under RCU. mem_cgroup_from_task(), without a call. */
static inline int squeezy_task_nid(struct task_struct *task)
{
	return READ_ONCE(mem_cgroup_from_css(task_css(task, memory_cgrp_id))->squeezy.nid);
}

/**
 * squeezy_mm_nid - node of the partition that backs this address space
 * @mm: the address space
 *
 * The memcg is that of its owner: the one its pages are charged to. What is
 * nobody's is the writer's, who would escape from its partition otherwise.
 *
 * Return: the node, or 0 if there is no claim.
 */
static inline int squeezy_mm_nid(struct mm_struct *mm)
{
	struct task_struct *owner;
	int nid;

	rcu_read_lock();
	owner = squeezy_mm_owner(mm);
	nid = squeezy_task_nid(likely(owner) ? owner : current);
	rcu_read_unlock();
	return nid;
}

/* Inline: the mover looks at every partition at every turn. */
static inline enum squeezy_state squeezy_get_state(struct squeezy_partition *p)
{
	return READ_ONCE(p->state);
}

/* In these states the pages are memory that the guest uses or could use. */
static inline bool squeezy_state_has_pages(enum squeezy_state state)
{
	return state == SQUEEZY_POPULATED || state == SQUEEZY_CLAIMED ||
	       state == SQUEEZY_RELEASED || state == SQUEEZY_DRAINING;
}

/* For tracepoints: the inode number of the cgroup's folder. */
static inline u64 squeezy_cgroup_id(struct mem_cgroup *memcg)
{
	return cgroup_id(memcg->css.cgroup);
}

/* partition.c */
void squeezy_set_state(struct squeezy_partition *p, enum squeezy_state state);
void squeezy_change_state(struct squeezy_partition *p, enum squeezy_state state);
const char *squeezy_state_name(enum squeezy_state state);
void squeezy_stamp(struct squeezy_partition *p, enum squeezy_time time);
bool squeezy_pin_map(struct squeezy_partition *p);
void squeezy_unpin_map(struct squeezy_partition *p);
void squeezy_count(enum squeezy_counter counter);
void squeezy_count_many(enum squeezy_counter counter, unsigned long n);
unsigned long squeezy_counter_read(enum squeezy_counter counter);

/* claim.c */
int squeezy_claim_init(void);
struct mem_cgroup *squeezy_get_claimant(struct squeezy_partition *p);
bool squeezy_any_claim(void);
bool squeezy_waiting(void);
void squeezy_fail_waiters(void);
void squeezy_make_claimable(struct squeezy_partition *p);

/* delay.c: between the look at a claim and the allocation, and between that and the charge. */
enum squeezy_delay {
	SQUEEZY_DELAY_LOOK,
	SQUEEZY_DELAY_CHARGE,
	SQUEEZY_DELAYS,
};

#ifdef CONFIG_SQUEEZY_DEBUG
void squeezy_delay(enum squeezy_delay where);
void squeezy_delay_init(struct dentry *dir);
#else
static inline void squeezy_delay(enum squeezy_delay where) { }
#endif

/* alloc.c */
struct folio *squeezy_take_folio(gfp_t gfp, int order, struct squeezy_partition *p);

/* full.c */
bool squeezy_task_is_dying(void);
struct folio *squeezy_wait_for_page(gfp_t gfp, struct vm_area_struct *vma, int nid);

/* reclaim.c */
void squeezy_reclaim(struct mem_cgroup *claimant, gfp_t gfp);

/* zone.c */
unsigned long squeezy_zone_free_pages(struct squeezy_partition *p);
unsigned long squeezy_zone_cached_pages(struct squeezy_partition *p);
unsigned long squeezy_zone_empty(struct squeezy_partition *p);
unsigned long squeezy_zone_take(struct squeezy_partition *p);
unsigned long squeezy_zone_take_fresh(struct squeezy_partition *p);
void squeezy_zone_park(struct squeezy_partition *p);
void squeezy_zone_unpark(struct squeezy_partition *p);

/* holders.c */
struct squeezy_used {
	struct page *page;
	struct folio *folio;		/* of @page, with a reference; NULL if it has none */
	unsigned long pages;		/* from @page on */
	enum squeezy_holder holder;
};

typedef int (*squeezy_visit_t)(const struct squeezy_used *used, void *arg);

const char *squeezy_holder_name(enum squeezy_holder holder);
int squeezy_visit_used(struct squeezy_partition *p, unsigned long *pfn,
		       squeezy_visit_t visit, void *arg);
int squeezy_holders_count(struct squeezy_partition *p, unsigned long *pages);
int squeezy_holders_mappers(struct squeezy_partition *p, char *buf);

/* poison.c */
void squeezy_poison_find(struct squeezy_partition *p, unsigned long pages);
bool squeezy_poison_take(struct squeezy_partition *p, unsigned long missing);
bool squeezy_poison_in(struct squeezy_partition *p, unsigned long pfn, unsigned long pages);
bool squeezy_poison_any(struct squeezy_partition *p);
bool squeezy_poison_heal(struct squeezy_partition *p);
void squeezy_poison_heal_page(struct squeezy_partition *p, unsigned long pfn);

/* straggler.c */
int squeezy_straggler_init(void);
void squeezy_straggler_missing(struct squeezy_partition *p, bool by_retry);
bool squeezy_straggler_batches(struct squeezy_partition *p, unsigned long missing);
void squeezy_straggler_gone(struct squeezy_partition *p);
bool squeezy_may_evict(int from, int to);
long squeezy_straggler_review(unsigned int in, unsigned int wanted);

/* map.c */
extern unsigned int squeezy_keep_memmap;	/* maps of parked partitions, at most */
extern unsigned int squeezy_prepare_memmap;	/* at least, made ahead */
int squeezy_map_init(void);
bool squeezy_map_needs_memory(void);
void squeezy_map_set_demand(unsigned int nr);
void squeezy_map_kick(void);
int squeezy_map_stop(void);
int squeezy_map_drop_all(void);
void squeezy_map_resume(void);
void squeezy_map_balance(void);

/* thread.c */
struct task_struct *squeezy_create_thread(int (*fn)(void *unused), const char *name);

/* mover.c */
int squeezy_mover_start(void);
void squeezy_mover_stop(void);
int squeezy_mover_take_back(void);
void squeezy_mover_kick(void);
void squeezy_mover_device_changed(void);

/* request.c */
extern unsigned int squeezy_request_us;		/* what one may take; 0: any time */
void squeezy_request_reset(void);
void squeezy_request_forget(void);
bool squeezy_request_clean(void);
bool squeezy_request_plug(struct squeezy_partition *first, unsigned int nr);
bool squeezy_request_unplug(struct squeezy_partition *last, unsigned int nr);
int squeezy_request_result(void);
unsigned int squeezy_partition_blocks(void);

/* virtio.c */
void squeezy_device_refresh(void);
#ifdef CONFIG_SQUEEZY_FAKE_DEVICE
extern u32 squeezy_answer_timeout_ms;
#endif
unsigned int squeezy_device_wanted(void);
bool squeezy_device_usable(u64 end);
bool squeezy_device_alive(void);
bool squeezy_device_bound(void);
bool squeezy_device_unclean(void);
int squeezy_device_clean(void);
int squeezy_device_send(bool plug, u64 addr, unsigned int nr_blocks);
int squeezy_device_answer(void);
long squeezy_device_patience(void);

/* sleep.c */
struct virtio_device;
int squeezy_no_sleep(struct virtio_device *vdev);

/* sysfs.c */
int squeezy_sysfs_init(void);
void squeezy_sysfs_state_changed(struct squeezy_partition *p);
void squeezy_sysfs_reason_changed(struct squeezy_partition *p);

/* check.c */
int squeezy_check(struct seq_file *m);

#endif /* _MM_SQUEEZY_INTERNAL_H */
