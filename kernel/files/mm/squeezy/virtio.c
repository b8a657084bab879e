// SPDX-License-Identifier: GPL-2.0-only
/*
 * Our driver for the virtio-mem device (VIRTIO 1.2, 5.15) that holds the
 * partitions. Any other virtio-mem device is left to the stock driver: ours is
 * the one whose region is as large as all partitions together.
 *
 * Only the mover sends requests, one at a time, and does not wait for the
 * answer. The device is not trusted to answer: a request that gets no answer
 * in time ends all requests for good, because its buffers still belong to the
 * device.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/crash_dump.h>
#include <linux/ioport.h>
#include <linux/math64.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>

#include <trace/events/squeezy.h>

#include "internal.h"

/* Longer than a VMM is stopped for a snapshot: its clock may go on meanwhile. */
#define ANSWER_TIMEOUT_MS 60000
/* A VMM that has been stopped for longer than that gets to answer, too. */
#define ANSWER_GRACE_MS 5000
#define CONFIG_READ_TRIES 10
/* Found in a buffer that the device gives back without having written to it. */
#define NO_RESPONSE U16_MAX

#ifdef CONFIG_SQUEEZY_FAKE_DEVICE
/* Tests of a device that never answers shorten it. */
u32 squeezy_answer_timeout_ms = ANSWER_TIMEOUT_MS;
#else
#define squeezy_answer_timeout_ms ANSWER_TIMEOUT_MS
#endif

struct squeezy_device {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	u64 addr;
	u64 region_size;
	bool dead;			/* no more requests */
	bool removed;
	bool unclean;			/* has memory plugged that is of no use to us */
	bool no_room;			/* the last request could not be mapped: not sent */
	bool pending;			/* sent, not answered */
	bool late;			/* looked at after the deadline once */
	unsigned long deadline;		/* jiffies: the answer has to be there */
	u64 requested_size;		/* as read last */
	u64 usable_region_size;
	u64 sent_ns;			/* of the request, for its tracepoint */

	/* Belong to the device between the kick and the answer. */
	struct virtio_mem_req request;
	struct virtio_mem_resp response;
};

/*
 * At most one; published when it is ready. It stays, dead, when it is removed.
 * Freed only while there is no mover; everybody else holds squeezy_lock.
 */
static struct squeezy_device *device;
/* One device comes or goes at a time. */
static DEFINE_MUTEX(device_mutex);
/* Of the device, or of the last one: memory maps in it outlive it. */
static struct resource *region;

bool squeezy_device_alive(void)
{
	struct squeezy_device *d = READ_ONCE(device);

	return d && !READ_ONCE(d->dead);
}

/* Alive or not. Under squeezy_lock. */
bool squeezy_device_bound(void)
{
	return device && !device->removed;
}

static int give_up(struct squeezy_device *d, const char *why)
{
	WRITE_ONCE(d->dead, true);
	squeezy_count(SQUEEZY_REQUESTS_REFUSED);
	squeezy_fail_waiters();
	dev_err(&d->vdev->dev, "%s: no more memory is plugged or unplugged\n", why);
	/* What it wanted is wanted no more. */
	squeezy_mover_kick();
	return -EIO;
}

/*
 * A 64 bit field may be read in two halves while the device changes it. One
 * that changes all the time would keep virtio_cread_le() for ever; what is
 * read last is good enough then, as another interrupt follows.
 */
static u64 read_config(struct virtio_device *vdev, unsigned int offset)
{
	const struct virtio_config_ops *ops = vdev->config;
	u32 before, after = ops->generation ? ops->generation(vdev) : 0;
	unsigned int tries = CONFIG_READ_TRIES;
	__le64 value;

	do {
		before = after;
		ops->get(vdev, offset, &value, sizeof(value));
		after = ops->generation ? ops->generation(vdev) : 0;
	} while (after != before && --tries);
	return le64_to_cpu(value);
}

#define READ_CONFIG(vdev, field) read_config(vdev, offsetof(struct virtio_mem_config, field))

/**
 * squeezy_device_refresh - read what the device wants, and whether it is well
 *
 * Only needed after it has said that something changed.
 */
void squeezy_device_refresh(void)
{
	struct virtio_device *vdev = device->vdev;

	if (virtqueue_is_broken(device->vq) ||
	    vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET) {
		give_up(device, "the device has failed");
		return;
	}
	device->requested_size = READ_CONFIG(vdev, requested_size);
	device->usable_region_size = READ_CONFIG(vdev, usable_region_size);
}

/**
 * squeezy_device_wanted - how many partitions the device wants the guest to have
 */
unsigned int squeezy_device_wanted(void)
{
	u64 rest, wanted = div64_u64_rem(device->requested_size, squeezy_layout.bytes, &rest);

	if (rest)
		pr_info_once("requested size %llu is not a multiple of the partition size %llu: rounding down\n",
			     device->requested_size, squeezy_layout.bytes);
	return min_t(u64, wanted, squeezy_layout.count);
}

/**
 * squeezy_device_usable - does the device let us plug up to here?
 * @end: physical address
 *
 * Its usable region may follow the requested size a little later.
 */
bool squeezy_device_usable(u64 end)
{
	return end - device->addr <= device->usable_region_size;
}

static void device_answered(struct virtqueue *vq)
{
	squeezy_mover_kick();
}

static void device_config_changed(struct virtio_device *vdev)
{
	squeezy_mover_device_changed();
}

static void trace_answer(struct squeezy_device *d)
{
	trace_squeezy_request(virtio16_to_cpu(d->vdev, d->request.type),
			      virtio64_to_cpu(d->vdev, d->request.u.plug.addr),
			      virtio16_to_cpu(d->vdev, d->request.u.plug.nb_blocks),
			      virtio16_to_cpu(d->vdev, d->response.type),
			      ktime_get_ns() - d->sent_ns);
}

static int read_response(struct squeezy_device *d)
{
	trace_answer(d);
	switch (virtio16_to_cpu(d->vdev, d->response.type)) {
	case VIRTIO_MEM_RESP_ACK:
		/* It was the first. The usable region may shrink with it, without a word. */
		if (d->unclean)
			squeezy_mover_device_changed();
		d->unclean = false;
		return 0;
	case VIRTIO_MEM_RESP_NACK:
		squeezy_count(SQUEEZY_REQUESTS_REFUSED);
		return -EAGAIN;
	case VIRTIO_MEM_RESP_BUSY:
		squeezy_count(SQUEEZY_REQUESTS_REFUSED);
		return -EBUSY;
	case VIRTIO_MEM_RESP_ERROR:
		if (d->unclean)
			return give_up(d, "what was plugged before cannot be unplugged");
		squeezy_count(SQUEEZY_REQUESTS_REFUSED);
		dev_err_once(&d->vdev->dev, "request type %u refused as wrong\n",
			     virtio16_to_cpu(d->vdev, d->request.type));
		return -EINVAL;
	default:
		/* Perhaps an old answer once more, and the request is still to be served. */
		return give_up(d, "an answer is none");
	}
}

static int send_request(struct squeezy_device *d, u16 type, u64 addr, u16 nr_blocks)
{
	struct scatterlist out, in, *sgs[] = { &out, &in };
	int rc;

	if (d->dead)
		return -EIO;
	/* Plug and unplug have the same layout. */
	d->request = (struct virtio_mem_req) {
		.type = cpu_to_virtio16(d->vdev, type),
		.u.plug.addr = cpu_to_virtio64(d->vdev, addr),
		.u.plug.nb_blocks = cpu_to_virtio16(d->vdev, nr_blocks),
	};
	d->response.type = cpu_to_virtio16(d->vdev, NO_RESPONSE);
	sg_init_one(&out, &d->request, sizeof(d->request));
	sg_init_one(&in, &d->response, sizeof(d->response));
	/* Needs no memory, which may be what the host is asked for; but for a bounce buffer. */
	rc = virtqueue_add_sgs(d->vq, sgs, 1, 1, d, GFP_NOWAIT | __GFP_NOWARN);
	if (rc == -ENOSPC || (rc && virtqueue_is_broken(d->vq)))
		return give_up(d, "the device takes no request");
	d->no_room = rc;
	if (rc) {
		squeezy_count(SQUEEZY_REQUESTS_REFUSED);
		return 0;
	}
	d->pending = true;
	d->late = false;
	d->deadline = jiffies + msecs_to_jiffies(squeezy_answer_timeout_ms);
	d->sent_ns = ktime_get_ns();
	virtqueue_kick(d->vq);
	return 0;
}

/* When the whole VM has been stopped the device had no chance: it gets another one. */
static bool is_too_late(struct squeezy_device *d)
{
	bool again = d->late;

	if (!time_after(jiffies, d->deadline))
		return false;
	d->late = true;
	if (!again)
		d->deadline = jiffies + msecs_to_jiffies(min_t(u32, squeezy_answer_timeout_ms,
							       ANSWER_GRACE_MS));
	return again;
}

/* The answer to the pending request, or -EINPROGRESS. */
static int look_for_answer(struct squeezy_device *d)
{
	unsigned int len = 0;

	if (d->dead)
		return -EIO;
	if (d->no_room)
		return -EBUSY;
	if (!virtqueue_get_buf(d->vq, &len)) {
		if (virtqueue_is_broken(d->vq))
			return give_up(d, "the device is broken");
		if (is_too_late(d))
			return give_up(d, "a request got no answer");
		return -EINPROGRESS;
	}
	d->pending = false;
	if (len < sizeof(d->response.type))
		return give_up(d, "the device is broken");
	return read_response(d);
}

/**
 * squeezy_device_send - begin to plug or unplug device blocks
 * @plug: plug, or unplug
 * @addr: physical address of the first block
 * @nr_blocks: how many
 *
 * The mover is kicked when the answer is there.
 */
int squeezy_device_send(bool plug, u64 addr, unsigned int nr_blocks)
{
	squeezy_count(plug ? SQUEEZY_REQUESTS_PLUG : SQUEEZY_REQUESTS_UNPLUG);
	return send_request(device, plug ? VIRTIO_MEM_REQ_PLUG : VIRTIO_MEM_REQ_UNPLUG,
			    addr, nr_blocks);
}

/**
 * squeezy_device_answer - the answer to the request that was sent last
 *
 * Return: -EINPROGRESS, 0, or an error if the device refused or is dead.
 */
int squeezy_device_answer(void)
{
	return look_for_answer(device);
}

/**
 * squeezy_device_patience - jiffies until the device is given up
 */
long squeezy_device_patience(void)
{
	if (!squeezy_device_alive() || !device->pending)
		return MAX_SCHEDULE_TIMEOUT;
	return max((long)(device->deadline + 1 - jiffies), 1L);
}

/**
 * squeezy_device_unclean - is memory plugged that is of no use to us?
 *
 * After a reboot that was not a reset it is the old guest's. Until it has been
 * unplugged no other request may be sent.
 */
bool squeezy_device_unclean(void)
{
	return device->unclean;
}

/**
 * squeezy_device_clean - begin to unplug all of it
 */
int squeezy_device_clean(void)
{
	return send_request(device, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0);
}

/* Partition 0 starts at the first memory block border of the region. */
static u64 partitions_start(struct squeezy_device *d)
{
	return ALIGN(d->addr, memory_block_size_bytes());
}

static bool is_ours(struct squeezy_device *d)
{
	u64 need = partitions_start(d) - d->addr + squeezy_layout.bytes * squeezy_layout.count;

	return squeezy_layout.count && !is_kdump_kernel() && (!device || device->removed) &&
	       d->region_size >= need && d->region_size < need + memory_block_size_bytes();
}

/* The device before this one has been removed. Its memory may still be in use, though. */
static int forget_old(void)
{
	struct squeezy_device *old = device;
	int rc;

	if (!old)
		return 0;
	squeezy_mover_stop();
	rc = squeezy_mover_take_back();
	if (rc) {
		squeezy_mover_start();
		return rc;
	}
	spin_lock(&squeezy_lock);
	WRITE_ONCE(device, NULL);
	spin_unlock(&squeezy_lock);
	kfree(old);
	return 0;
}

static int check_device(struct squeezy_device *d, u64 block_size)
{
	struct range pluggable = mhp_get_pluggable_range(true);

	if (!is_power_of_2(block_size) || block_size < PAGE_SIZE ||
	    !IS_ALIGNED(squeezy_layout.bytes, block_size) || !IS_ALIGNED(d->addr, block_size)) {
		dev_err(&d->vdev->dev, "block size %llu does not divide the partition size %llu and the address %#llx\n",
			block_size, squeezy_layout.bytes, d->addr);
		return -EINVAL;
	}
	if (squeezy_layout.bytes / block_size > U32_MAX) {
		dev_err(&d->vdev->dev, "block size %llu is too small for partitions of %llu bytes: give the device larger blocks\n",
			block_size, squeezy_layout.bytes);
		return -EINVAL;
	}
	if (d->addr < pluggable.start || d->addr > pluggable.end ||
	    d->region_size - 1 > pluggable.end - d->addr) {
		dev_err(&d->vdev->dev, "the region at %#llx is outside the addressable memory\n",
			d->addr);
		return -EINVAL;
	}
	return 0;
}

static int bind_partitions(struct squeezy_device *d)
{
	u64 block_size = READ_CONFIG(d->vdev, block_size);
	struct squeezy_partition *p;
	int rc = check_device(d, block_size);

	if (rc)
		return rc;
	if (squeezy_layout.start != partitions_start(d))
		rc = squeezy_map_drop_all();
	if (rc)
		return rc;
	squeezy_layout.start = partitions_start(d);
	squeezy_layout.block_size = block_size;
	for_each_squeezy_partition(p)
		p->start_pfn = PHYS_PFN(squeezy_layout.start + p->id * squeezy_layout.bytes);
	return 0;
}

/* The device's own resource keeps /dev/mem and other drivers out of the region. */
static int reserve_region(struct squeezy_device *d)
{
	int rc;

	if (region && region->start == d->addr && resource_size(region) == d->region_size)
		return 0;
	if (region) {
		rc = squeezy_map_drop_all();
		if (rc)
			return rc;
		release_resource(region);
		kfree(region);
	}
	region = __request_mem_region(d->addr, d->region_size, "squeezy",
				      IORESOURCE_SYSTEM_RAM | IORESOURCE_EXCLUSIVE);
	if (!region)
		return -EADDRINUSE;
	region->flags &= ~IORESOURCE_BUSY;
	return 0;
}

static int device_start(struct squeezy_device *d)
{
	int rc = forget_old();

	if (!rc)
		rc = bind_partitions(d);
	if (rc)
		return rc;
	d->vq = virtio_find_single_vq(d->vdev, device_answered, "guest-request");
	if (IS_ERR(d->vq))
		return PTR_ERR(d->vq);
	rc = reserve_region(d);
	if (rc)
		goto out_vq;
	virtio_device_ready(d->vdev);
	d->unclean = READ_CONFIG(d->vdev, plugged_size);
	WRITE_ONCE(device, d);
	rc = squeezy_mover_start();
	if (rc)
		goto out_device;
	return 0;

out_device:
	WRITE_ONCE(device, NULL);
	squeezy_fail_waiters();
out_vq:
	virtio_reset_device(d->vdev);
	d->vdev->config->del_vqs(d->vdev);
	return rc;
}

/*
 * The core marks a device that a driver declines as failed. A reset makes it
 * as good as new for the next driver (VIRTIO 1.2, 3.1.1); there is no place
 * for it but right before that driver's probe.
 */
static int before_probe(struct notifier_block *nb, unsigned long action, void *data)
{
	struct virtio_device *vdev = dev_to_virtio(data);

	if (action == BUS_NOTIFY_BIND_DRIVER && vdev->id.device == VIRTIO_ID_MEM &&
	    (vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FAILED)) {
		virtio_reset_device(vdev);
		vdev->config->set_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	}
	return NOTIFY_OK;
}

static struct notifier_block before_probe_nb = { .notifier_call = before_probe };

static void decline(struct squeezy_device *d)
{
	static bool registered;

	dev_info(&d->vdev->dev, "a region of %llu MiB does not hold the partitions: left to the stock driver\n",
		 d->region_size >> 20);
	if (!registered)
		registered = !bus_register_notifier(d->vdev->dev.bus, &before_probe_nb);
	kfree(d);
}

static const char *advice(int rc)
{
	switch (rc) {
	case -EBUSY:
		return ": if memory of the device before it is in use, plug it in again later";
	case -EAGAIN:
		return ": memory maps of the device before it are being removed; plug it in again";
	case -EADDRINUSE:
		return ": something else has a part of its region";
	default:
		return "";
	}
}

static int squeezy_probe(struct virtio_device *vdev)
{
	struct squeezy_device *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int rc;

	if (!d)
		return -ENOMEM;
	guard(mutex)(&device_mutex);
	d->vdev = vdev;
	d->addr = READ_CONFIG(vdev, addr);
	d->region_size = READ_CONFIG(vdev, region_size);
	if (!is_ours(d)) {
		decline(d);
		return -ENODEV;
	}
	vdev->priv = d;
	rc = device_start(d);
	if (rc) {
		/* Stay bound: the stock driver would online partitions for all. */
		d->dead = true;
		dev_err(&vdev->dev, "cannot be used for partitions (error %d)%s\n", rc,
			advice(rc));
		return 0;
	}
	dev_info(&vdev->dev, "partitions at %#llx, device blocks of %llu KiB\n",
		 squeezy_layout.start, squeezy_layout.block_size >> 10);
	return 0;
}

/*
 * Plugged memory cannot follow the device: it stays in use, and so does what
 * we know of it. There are no requests any more, whatever was in flight, but
 * what is released still serves the next claim.
 */
static void squeezy_remove(struct virtio_device *vdev)
{
	struct squeezy_device *d = vdev->priv;

	guard(mutex)(&device_mutex);
	WRITE_ONCE(d->dead, true);
	if (device != d) {
		virtio_reset_device(vdev);
		kfree(d);
		return;
	}
	squeezy_fail_waiters();
	squeezy_mover_stop();
	virtio_reset_device(vdev);
	/* The ring gives up its descriptors of the request in flight, and what they map. */
	if (d->pending)
		virtqueue_detach_unused_buf(d->vq);
	vdev->config->del_vqs(vdev);
	d->pending = false;
	d->removed = true;
	dev_warn(&vdev->dev, "removed: partitions stay as they are\n");
	squeezy_mover_start();
}

static unsigned int squeezy_features[] = {
	VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
};

static const struct virtio_device_id squeezy_ids[] = {
	{ VIRTIO_ID_MEM, VIRTIO_DEV_ANY_ID },
	{ }
};

static struct virtio_driver squeezy_driver = {
	.feature_table = squeezy_features,
	.feature_table_size = ARRAY_SIZE(squeezy_features),
	.driver.name = "squeezy",
	/* Who unbinds it could bind the stock driver, which would unplug memory in use. */
	.driver.suppress_bind_attrs = true,
	.id_table = squeezy_ids,
	.probe = squeezy_probe,
	.remove = squeezy_remove,
	.config_changed = device_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = squeezy_no_sleep,
	.restore = squeezy_no_sleep,
#endif
};

/* mm/ comes before drivers/ in link order, so we are asked before the stock driver. */
static int __init squeezy_driver_init(void)
{
	return squeezy_layout.count ? register_virtio_driver(&squeezy_driver) : 0;
}
device_initcall(squeezy_driver_init);
