// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's side of the request queue (a split ring, VIRTIO 1.2, 2.7). It
 * is read and written here by hand, as the kernel's own device side (vringh)
 * would not break the rules.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "fake.h"

#define RING_SIZE 16

struct fake_answer {
	struct list_head node;
	unsigned long due;		/* jiffies */
	u16 head;
	struct virtio_mem_req request;
	struct virtio_mem_resp *response;	/* the driver's memory */
	const struct fake_behaviour *behaviour;
};

/* Reads the request that begins at descriptor @head: one buffer for us to read, one to write. */
static struct fake_answer *take_request(struct fake_ring *ring, u16 head)
{
	const struct vring_desc *out = &ring->vring.desc[head], *in;
	struct fake_answer *answer;
	unsigned int delay_ms;

	in = &ring->vring.desc[virtio16_to_cpu(ring->vdev, out->next)];
	if (WARN_ON(virtio16_to_cpu(ring->vdev, out->flags) != VRING_DESC_F_NEXT ||
		    virtio16_to_cpu(ring->vdev, in->flags) != VRING_DESC_F_WRITE ||
		    virtio32_to_cpu(ring->vdev, out->len) != sizeof(answer->request) ||
		    virtio32_to_cpu(ring->vdev, in->len) != sizeof(*answer->response)))
		return NULL;
	answer = kzalloc(sizeof(*answer), GFP_KERNEL | __GFP_NOFAIL);
	answer->behaviour = fake_next_behaviour(&delay_ms);
	answer->due = jiffies + msecs_to_jiffies(delay_ms);
	answer->head = head;
	answer->request = *(struct virtio_mem_req *)
			  phys_to_virt(virtio64_to_cpu(ring->vdev, out->addr));
	answer->response = phys_to_virt(virtio64_to_cpu(ring->vdev, in->addr));
	return answer;
}

static void take_requests(struct fake_ring *ring)
{
	struct fake_answer *answer;
	u16 head;

	while (virtio16_to_cpu(ring->vdev, READ_ONCE(ring->vring.avail->idx)) != ring->next_avail) {
		/* The entry was written before the index. */
		virtio_rmb(true);
		head = virtio16_to_cpu(ring->vdev,
				       ring->vring.avail->ring[ring->next_avail++ % RING_SIZE]);
		answer = take_request(ring, head);
		if (answer)
			list_add_tail(&answer->node, &ring->pending);
	}
}

static void push_used(struct fake_ring *ring, u32 id, u32 len)
{
	struct vring_used_elem *elem = &ring->vring.used->ring[ring->next_used++ % RING_SIZE];

	elem->id = cpu_to_virtio32(ring->vdev, id);
	elem->len = cpu_to_virtio32(ring->vdev, len);
}

static void give_answer(struct fake_ring *ring, struct fake_answer *answer)
{
	const struct fake_behaviour *how = answer->behaviour;
	u16 type = how->acts ? fake_memory_execute(ring->vdev, &answer->request) : how->type;
	u32 id = (u16)(answer->head + how->id_offset);
	unsigned int i;

	if (how->writes)
		answer->response->type = cpu_to_virtio16(ring->vdev, type);
	for (i = 0; i < how->uses; i++)
		push_used(ring, id, how->len);
	ring->next_used += how->idx_jump;
	/* All of it is there before the index says so. */
	virtio_wmb(true);
	WRITE_ONCE(ring->vring.used->idx, cpu_to_virtio16(ring->vdev, ring->next_used));
	if (how->uses)
		irq_work_queue(&ring->interrupt);
}

static void drop(struct fake_answer *answer)
{
	list_del(&answer->node);
	kfree(answer);
}

static void serve(struct work_struct *work)
{
	struct fake_ring *ring = container_of(to_delayed_work(work), struct fake_ring, work);
	struct fake_answer *answer, *next;
	unsigned long soonest = MAX_JIFFY_OFFSET;

	take_requests(ring);
	list_for_each_entry_safe(answer, next, &ring->pending, node) {
		if (time_after_eq(jiffies, answer->due)) {
			give_answer(ring, answer);
			drop(answer);
		} else {
			soonest = min(soonest, answer->due - jiffies);
		}
	}
	if (!list_empty(&ring->pending))
		queue_delayed_work(fake_wq, &ring->work, soonest);
}

static bool notify(struct virtqueue *vq)
{
	struct fake_ring *ring = vq->priv;

	mod_delayed_work(fake_wq, &ring->work, 0);
	return true;
}

static void interrupt(struct irq_work *work)
{
	struct fake_ring *ring = container_of(work, struct fake_ring, interrupt);

	vring_interrupt(0, ring->vq);
}

int fake_ring_create(struct fake_ring *ring, struct virtio_device *vdev,
		     struct virtqueue_info *info)
{
	size_t size = PAGE_ALIGN(vring_size(RING_SIZE, SMP_CACHE_BYTES));

	ring->vdev = vdev;
	ring->next_avail = 0;
	ring->next_used = 0;
	INIT_LIST_HEAD(&ring->pending);
	INIT_DELAYED_WORK(&ring->work, serve);
	init_irq_work(&ring->interrupt, interrupt);
	ring->pages = alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO);
	if (!ring->pages)
		return -ENOMEM;
	vring_init(&ring->vring, RING_SIZE, ring->pages, SMP_CACHE_BYTES);
	ring->vq = vring_new_virtqueue(0, RING_SIZE, SMP_CACHE_BYTES, vdev, true, info->ctx,
				       ring->pages, notify, info->callback, info->name);
	if (!ring->vq) {
		free_pages_exact(ring->pages, size);
		return -ENOMEM;
	}
	ring->vq->priv = ring;
	return 0;
}

/* A reset: whatever the driver has given us is its own again. */
void fake_ring_stop(struct fake_ring *ring)
{
	struct fake_answer *answer, *next;

	if (!ring->vq)
		return;
	do {
		cancel_delayed_work_sync(&ring->work);
		irq_work_sync(&ring->interrupt);
	} while (delayed_work_pending(&ring->work));
	list_for_each_entry_safe(answer, next, &ring->pending, node)
		drop(answer);
}

void fake_ring_destroy(struct fake_ring *ring)
{
	if (!ring->vq)
		return;
	fake_ring_stop(ring);
	vring_del_virtqueue(ring->vq);
	ring->vq = NULL;
	free_pages_exact(ring->pages, PAGE_ALIGN(vring_size(RING_SIZE, SMP_CACHE_BYTES)));
}
