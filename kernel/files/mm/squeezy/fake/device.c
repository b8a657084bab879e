// SPDX-License-Identifier: GPL-2.0-only
/*
 * squeezy_fake=<address>,<bytes>[,<block size>]: a virtio-mem device made of
 * the given memory, which must be RAM that mem= has hidden from the kernel.
 *
 * It comes and goes as /sys/kernel/debug/squeezy/fake/registered is written,
 * and is honest unless the other files there say otherwise:
 *
 *   config        what the driver reads from the configuration space
 *   plug_most     0, or how many blocks can be plugged with one request
 *   answers       what is done with the next requests (answers.c)
 *   interrupts    so many configuration interrupts, now
 *   status        bits to be added to the device status, e.g. 64 (NEEDS_RESET)
 *   broken        the transport finds the device gone
 *   violations    how often the guest has touched what was not plugged; 0 forgets
 *                 them, 1 is a touch
 */
#define pr_fmt(fmt) "squeezy fake: " fmt

#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "../internal.h"
#include "fake.h"

#define DEFAULT_BLOCK_SIZE SZ_2M

struct fake_device {
	struct virtio_device vdev;
	struct fake_ring ring;
	struct irq_work config_interrupt;
	u8 status;
};

struct fake_registers fake_registers;
struct workqueue_struct *fake_wq;

static u64 boot_addr __initdata, boot_bytes __initdata, boot_block_size __initdata;

/* Counts changes, as the driver must be able to tell torn reads. */
static atomic_t generation;
/* Reads of requested_size while it has two values. */
static atomic_t reads;

/* NULL while not registered; fake_mutex. */
static struct fake_device *fake;
static DEFINE_MUTEX(fake_mutex);

static struct fake_device *to_fake(struct virtio_device *vdev)
{
	return container_of(vdev, struct fake_device, vdev);
}

static u64 requested_size(void)
{
	u64 other = READ_ONCE(fake_registers.requested_other);

	if (other && atomic_inc_return(&reads) % 2)
		return other;
	return READ_ONCE(fake_registers.requested_size);
}

static void fake_get(struct virtio_device *vdev, unsigned int offset, void *buf, unsigned int len)
{
	u64 plugged = READ_ONCE(fake_registers.plugged_size);
	struct virtio_mem_config config = {
		.block_size = cpu_to_le64(READ_ONCE(fake_registers.block_size)),
		.node_id = cpu_to_le16(READ_ONCE(fake_registers.node_id)),
		.addr = cpu_to_le64(READ_ONCE(fake_registers.addr)),
		.region_size = cpu_to_le64(READ_ONCE(fake_registers.region_size)),
		.usable_region_size = cpu_to_le64(READ_ONCE(fake_registers.usable_region_size)),
		.plugged_size = cpu_to_le64(plugged == U64_MAX ? fake_memory_plugged() : plugged),
		.requested_size = cpu_to_le64(requested_size()),
	};

	memset(buf, 0xff, len);
	if (offset < sizeof(config))
		memcpy(buf, (u8 *)&config + offset, min_t(size_t, len, sizeof(config) - offset));
}

static void fake_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
		     unsigned int len)
{
}

static u32 fake_generation(struct virtio_device *vdev)
{
	if (READ_ONCE(fake_registers.requested_other))
		return atomic_inc_return(&generation);
	return atomic_read(&generation);
}

static u8 fake_get_status(struct virtio_device *vdev)
{
	return READ_ONCE(to_fake(vdev)->status);
}

static void fake_set_status(struct virtio_device *vdev, u8 status)
{
	WRITE_ONCE(to_fake(vdev)->status, status);
}

static void fake_reset(struct virtio_device *vdev)
{
	fake_ring_stop(&to_fake(vdev)->ring);
	fake_set_status(vdev, 0);
}

static int fake_find_vqs(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],
			 struct virtqueue_info vqs_info[], struct irq_affinity *desc)
{
	struct fake_ring *ring = &to_fake(vdev)->ring;
	int rc;

	if (nvqs != 1)
		return -ENOENT;
	rc = fake_ring_create(ring, vdev, vqs_info);
	if (!rc)
		vqs[0] = ring->vq;
	return rc;
}

static void fake_del_vqs(struct virtio_device *vdev)
{
	fake_ring_destroy(&to_fake(vdev)->ring);
}

static u64 fake_get_features(struct virtio_device *vdev)
{
	return BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
}

static int fake_finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	return 0;
}

static const char *fake_bus_name(struct virtio_device *vdev)
{
	return "squeezy-fake";
}

static const struct virtio_config_ops fake_ops = {
	.get = fake_get,
	.set = fake_set,
	.generation = fake_generation,
	.get_status = fake_get_status,
	.set_status = fake_set_status,
	.reset = fake_reset,
	.find_vqs = fake_find_vqs,
	.del_vqs = fake_del_vqs,
	.get_features = fake_get_features,
	.finalize_features = fake_finalize_features,
	.bus_name = fake_bus_name,
};

static void config_interrupt(struct irq_work *work)
{
	struct fake_device *f = container_of(work, struct fake_device, config_interrupt);

	virtio_config_changed(&f->vdev);
}

static void fake_release(struct device *dev)
{
	kfree(to_fake(dev_to_virtio(dev)));
}

static int register_fake(void)
{
	struct fake_device *f = kzalloc(sizeof(*f), GFP_KERNEL);
	int rc;

	if (!f)
		return -ENOMEM;
	init_irq_work(&f->config_interrupt, config_interrupt);
	f->vdev.id.device = VIRTIO_ID_MEM;
	f->vdev.id.vendor = VIRTIO_DEV_ANY_ID;
	f->vdev.config = &fake_ops;
	f->vdev.dev.release = fake_release;
	rc = register_virtio_device(&f->vdev);
	if (rc)
		put_device(&f->vdev.dev);
	else
		fake = f;
	return rc;
}

static void unregister_fake(void)
{
	irq_work_sync(&fake->config_interrupt);
	unregister_virtio_device(&fake->vdev);
	fake = NULL;
}

static int registered_get(void *data, u64 *ret)
{
	mutex_lock(&fake_mutex);
	*ret = !!fake;
	mutex_unlock(&fake_mutex);
	return 0;
}

static int registered_set(void *data, u64 value)
{
	int rc = 0;

	mutex_lock(&fake_mutex);
	if (value && !fake)
		rc = register_fake();
	else if (!value && fake)
		unregister_fake();
	mutex_unlock(&fake_mutex);
	return rc;
}

static int interrupts_set(void *data, u64 count)
{
	int rc = 0;

	mutex_lock(&fake_mutex);
	if (fake) {
		atomic_inc(&generation);
		for (; count && !signal_pending(current); count--) {
			irq_work_queue(&fake->config_interrupt);
			irq_work_sync(&fake->config_interrupt);
		}
	} else {
		rc = -ENODEV;
	}
	mutex_unlock(&fake_mutex);
	return rc;
}

static int status_get(void *data, u64 *ret)
{
	mutex_lock(&fake_mutex);
	*ret = fake ? READ_ONCE(fake->status) : 0;
	mutex_unlock(&fake_mutex);
	return 0;
}

static int status_set(void *data, u64 bits)
{
	mutex_lock(&fake_mutex);
	if (fake)
		WRITE_ONCE(fake->status, fake->status | bits);
	mutex_unlock(&fake_mutex);
	return 0;
}

static int broken_set(void *data, u64 value)
{
	mutex_lock(&fake_mutex);
	if (fake)
		virtio_break_device(&fake->vdev);
	mutex_unlock(&fake_mutex);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(registered_fops, registered_get, registered_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(interrupts_fops, NULL, interrupts_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(status_fops, status_get, status_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(broken_fops, NULL, broken_set, "%llu\n");

static int __init fake_param(char *text)
{
	boot_addr = memparse(text, &text);
	boot_block_size = DEFAULT_BLOCK_SIZE;
	if (*text == ',')
		boot_bytes = memparse(text + 1, &text);
	if (*text == ',')
		boot_block_size = memparse(text + 1, &text);
	return 0;
}
early_param("squeezy_fake", fake_param);

static void __init create_files(struct dentry *dir)
{
	struct dentry *config = debugfs_create_dir("config", dir);
	struct fake_registers *r = &fake_registers;

	debugfs_create_u64("block_size", 0600, config, &r->block_size);
	debugfs_create_u64("node_id", 0600, config, &r->node_id);
	debugfs_create_u64("addr", 0600, config, &r->addr);
	debugfs_create_u64("region_size", 0600, config, &r->region_size);
	debugfs_create_u64("usable_region_size", 0600, config, &r->usable_region_size);
	debugfs_create_u64("plugged_size", 0600, config, &r->plugged_size);
	debugfs_create_u64("requested_size", 0600, config, &r->requested_size);
	debugfs_create_u64("requested_other", 0600, config, &r->requested_other);
	debugfs_create_u64("plug_most", 0600, dir, &r->plug_most);
	debugfs_create_file("registered", 0600, dir, NULL, &registered_fops);
	debugfs_create_file("interrupts", 0200, dir, NULL, &interrupts_fops);
	debugfs_create_file("status", 0600, dir, NULL, &status_fops);
	debugfs_create_file("broken", 0200, dir, NULL, &broken_fops);
	debugfs_create_u32("answer_timeout_ms", 0600, dir, &squeezy_answer_timeout_ms);
	fake_answers_init(dir);
}

static int __init fake_init(void)
{
	struct dentry *root, *dir;
	int rc;

	if (!boot_bytes || !IS_ALIGNED(boot_addr | boot_bytes, PAGE_SIZE))
		return 0;
	fake_wq = alloc_ordered_workqueue("squeezy_fake", 0);
	if (!fake_wq)
		return -ENOMEM;
	root = debugfs_lookup("squeezy", NULL) ?: debugfs_create_dir("squeezy", NULL);
	dir = debugfs_create_dir("fake", root);
	rc = fake_memory_init(boot_addr, boot_bytes, dir);
	if (rc) {
		pr_err("no memory at %#llx (error %d)\n", boot_addr, rc);
		debugfs_remove(dir);
		destroy_workqueue(fake_wq);
		return rc;
	}
	fake_registers = (struct fake_registers){
		.block_size = boot_block_size,
		.addr = boot_addr,
		.region_size = boot_bytes,
		.usable_region_size = boot_bytes,
		.plugged_size = U64_MAX,
	};
	create_files(dir);
	return 0;
}
late_initcall(fake_init);
