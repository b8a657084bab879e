/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio-mem device inside the kernel, for tests of our driver.
 *
 *   device.c    the virtio transport, the registers, debugfs
 *   ring.c      the device's side of the request queue
 *   answers.c   how the next requests are answered: a script of misbehaviour
 *   memory.c    the memory behind the device: real, and watched
 *
 * Requests are served by one ordered workqueue; interrupts come in hard
 * interrupt context, as a real transport's do.
 */
#ifndef _MM_SQUEEZY_FAKE_H
#define _MM_SQUEEZY_FAKE_H

#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_mem.h>

struct dentry;

/* The configuration space; user space writes what it likes. */
struct fake_registers {
	u64 block_size;
	u64 node_id;
	u64 addr;
	u64 region_size;
	u64 usable_region_size;
	u64 plugged_size;	/* U64_MAX: the truth */
	u64 requested_size;
	/* Not 0: what every other read finds, and the generation never rests. */
	u64 requested_other;
	/* Not what the driver reads. Not 0: requests to plug more blocks are refused. */
	u64 plug_most;
};

extern struct fake_registers fake_registers;

struct fake_ring {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	struct vring vring;
	void *pages;
	u16 next_avail;
	u16 next_used;
	/* The worker's own. */
	struct list_head pending;	/* requests taken and not yet answered */
	struct delayed_work work;
	struct irq_work interrupt;
};

/* What is done with a request. */
struct fake_behaviour {
	const char *name;
	bool acts;		/* does what was asked, and answers truly */
	bool writes;		/* writes the response */
	u16 type;		/* the response, if it does not act */
	u32 len;		/* claims to have written that much */
	unsigned int uses;	/* how often the buffer is given back */
	u16 id_offset;		/* ... under a number that is off by this */
	u16 idx_jump;		/* ... and the index moves further than that */
};

/* device.c */
extern struct workqueue_struct *fake_wq;

/* ring.c */
int fake_ring_create(struct fake_ring *ring, struct virtio_device *vdev,
		     struct virtqueue_info *info);
void fake_ring_stop(struct fake_ring *ring);
void fake_ring_destroy(struct fake_ring *ring);

/* answers.c */
const struct fake_behaviour *fake_next_behaviour(unsigned int *ret_delay_ms);
void fake_answers_init(struct dentry *dir);

/* memory.c */
int fake_memory_init(u64 addr, u64 bytes, struct dentry *dir);
u64 fake_memory_plugged(void);
u16 fake_memory_execute(struct virtio_device *vdev, const struct virtio_mem_req *request);

#endif /* _MM_SQUEEZY_FAKE_H */
