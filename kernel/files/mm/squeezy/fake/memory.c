// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory behind the fake device: RAM that the kernel was not told of.
 *
 * What is not plugged holds a pattern that depends on the address. It is
 * looked at when it is plugged and whenever user space reads "violations": a
 * word that differs was written by a guest that must not. What is being
 * unplugged must be invisible already, as it is overwritten at once.
 */
#define pr_fmt(fmt) "squeezy fake: " fmt

#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/virtio_config.h>

#include "../internal.h"
#include "fake.h"

#define CANARY 0x5b3ce21d9f6a8407ULL
#define PAGE_WORDS (PAGE_SIZE / sizeof(u64))

struct fake_memory {
	u64 addr;
	unsigned long pages;
	u64 *words;
	/* Below: memory_mutex. */
	unsigned long *plugged;		/* a bit for each page */
	u64 violations;
};

static struct fake_memory memory;
/* Between the device's worker and readers of debugfs. */
static DEFINE_MUTEX(memory_mutex);

static u64 canary(u64 word)
{
	return CANARY ^ (memory.addr + word * sizeof(u64));
}

static void violation(unsigned long page, const char *what)
{
	memory.violations++;
	pr_err_ratelimited("unplugged memory at %#llx %s\n", memory.addr + page * PAGE_SIZE, what);
}

static void fill_page(unsigned long page)
{
	u64 word = (u64)page * PAGE_WORDS, end = word + PAGE_WORDS;

	for (; word < end; word++)
		WRITE_ONCE(memory.words[word], canary(word));
}

static void check_page(unsigned long page)
{
	u64 word = (u64)page * PAGE_WORDS, end = word + PAGE_WORDS;

	for (; word < end; word++) {
		if (READ_ONCE(memory.words[word]) == canary(word))
			continue;
		violation(page, "was written");
		fill_page(page);
		return;
	}
}

static void fill(unsigned long page, unsigned long nr)
{
	for (; nr; nr--, page++) {
		fill_page(page);
		cond_resched();
	}
}

/*
 * Pages of online sections can be found and used, unless they are marked
 * offline one by one (while a memory map is removed).
 */
static void check_page_invisible(unsigned long page)
{
	unsigned long pfn = PHYS_PFN(memory.addr) + page;
	struct page *found = pfn_to_online_page(pfn);

	if (found && !PageOffline(found))
		violation(page, "is online");
	else if (pfn_valid(pfn) && page_ref_count(pfn_to_page(pfn)))
		violation(page, "is in use");
}

/* Its page structs have references until it is complete; their pages are untouched. */
static bool map_is_being_made(unsigned long page)
{
	unsigned long pfn = PHYS_PFN(memory.addr) + page;
	struct squeezy_partition *p;

	for_each_squeezy_partition(p)
		if (pfn - p->start_pfn < PHYS_PFN(squeezy_layout.bytes))
			return squeezy_get_state(p) == SQUEEZY_MAPPING;
	return false;
}

/* No map is begun meanwhile, so that one which is not being made is complete or none. */
static void check_invisible(unsigned long page, unsigned long nr)
{
	get_online_mems();
	for (; nr; nr--, page++)
		if (!map_is_being_made(page))
			check_page_invisible(page);
	put_online_mems();
}

static void check_unplugged(unsigned long page, unsigned long nr)
{
	unsigned long end = page + nr;

	for_each_clear_bit_from(page, memory.plugged, end) {
		check_page(page);
		cond_resched();
	}
}

static u16 unplug(unsigned long page, unsigned long nr)
{
	if (find_next_zero_bit(memory.plugged, page + nr, page) < page + nr)
		return VIRTIO_MEM_RESP_ERROR;
	check_invisible(page, nr);
	fill(page, nr);
	bitmap_clear(memory.plugged, page, nr);
	return VIRTIO_MEM_RESP_ACK;
}

static u64 plugged_bytes(void)
{
	return (u64)bitmap_weight(memory.plugged, memory.pages) << PAGE_SHIFT;
}

static u16 plug(unsigned long page, unsigned long nr)
{
	if (find_next_bit(memory.plugged, page + nr, page) < page + nr)
		return VIRTIO_MEM_RESP_ERROR;
	if (plugged_bytes() + ((u64)nr << PAGE_SHIFT) > READ_ONCE(fake_registers.requested_size))
		return VIRTIO_MEM_RESP_NACK;
	check_invisible(page, nr);
	check_unplugged(page, nr);
	bitmap_set(memory.plugged, page, nr);
	return VIRTIO_MEM_RESP_ACK;
}

static u16 unplug_all(void)
{
	unsigned int start, end;

	for_each_set_bitrange(start, end, memory.plugged, memory.pages) {
		check_invisible(start, end - start);
		fill(start, end - start);
	}
	bitmap_zero(memory.plugged, memory.pages);
	return VIRTIO_MEM_RESP_ACK;
}

/* As QEMU judges it: whole blocks inside the usable part of the region. */
static bool valid_range(u64 addr, u64 bytes)
{
	u64 usable = min(READ_ONCE(fake_registers.usable_region_size),
			 (u64)memory.pages << PAGE_SHIFT);

	return bytes && IS_ALIGNED(addr, READ_ONCE(fake_registers.block_size)) &&
	       addr >= memory.addr && bytes <= usable && addr - memory.addr <= usable - bytes;
}

static u16 execute(struct virtio_device *vdev, const struct virtio_mem_req *request)
{
	u16 type = virtio16_to_cpu(vdev, request->type);
	u64 addr = virtio64_to_cpu(vdev, request->u.plug.addr);
	u64 bytes = virtio16_to_cpu(vdev, request->u.plug.nb_blocks) *
		    READ_ONCE(fake_registers.block_size);
	unsigned long page;

	if (type == VIRTIO_MEM_REQ_UNPLUG_ALL)
		return unplug_all();
	if (!valid_range(addr, bytes))
		return VIRTIO_MEM_RESP_ERROR;
	page = (addr - memory.addr) >> PAGE_SHIFT;
	switch (type) {
	case VIRTIO_MEM_REQ_PLUG:
		return plug(page, bytes >> PAGE_SHIFT);
	case VIRTIO_MEM_REQ_UNPLUG:
		return unplug(page, bytes >> PAGE_SHIFT);
	default:
		return VIRTIO_MEM_RESP_ERROR;
	}
}

static bool is_too_large(struct virtio_device *vdev, const struct virtio_mem_req *request)
{
	u64 most = READ_ONCE(fake_registers.plug_most);

	return most && virtio16_to_cpu(vdev, request->type) == VIRTIO_MEM_REQ_PLUG &&
	       virtio16_to_cpu(vdev, request->u.plug.nb_blocks) > most;
}

/**
 * fake_memory_execute - what an honest device does with a request
 * @vdev: the device, for its byte order
 * @request: as the driver has written it
 *
 * Return: the type of its response.
 */
u16 fake_memory_execute(struct virtio_device *vdev, const struct virtio_mem_req *request)
{
	u16 type;

	mutex_lock(&memory_mutex);
	type = is_too_large(vdev, request) ? VIRTIO_MEM_RESP_NACK : execute(vdev, request);
	mutex_unlock(&memory_mutex);
	return type;
}

/**
 * fake_memory_plugged - bytes that are plugged in truth
 */
u64 fake_memory_plugged(void)
{
	u64 bytes;

	mutex_lock(&memory_mutex);
	bytes = plugged_bytes();
	mutex_unlock(&memory_mutex);
	return bytes;
}

static int violations_get(void *data, u64 *ret)
{
	mutex_lock(&memory_mutex);
	check_unplugged(0, memory.pages);
	*ret = memory.violations;
	mutex_unlock(&memory_mutex);
	return 0;
}

/* For a test of this very check: 0 forgets, anything else writes where nobody must. */
static int violations_set(void *data, u64 value)
{
	unsigned long page;

	mutex_lock(&memory_mutex);
	page = find_first_zero_bit(memory.plugged, memory.pages);
	if (!value)
		memory.violations = 0;
	else if (page < memory.pages)
		WRITE_ONCE(memory.words[(u64)page * PAGE_WORDS], 0);
	mutex_unlock(&memory_mutex);
	return 0;
}

static int plugged_get(void *data, u64 *ret)
{
	*ret = fake_memory_plugged();
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(violations_fops, violations_get, violations_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(plugged_fops, plugged_get, NULL, "%llu\n");

/*
 * The mapping is of our own and stays: the kernel's direct map of the range
 * comes and goes with the partitions' memory maps.
 */
int __init fake_memory_init(u64 addr, u64 bytes, struct dentry *dir)
{
	if (region_intersects(addr, bytes, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT)
		return -EBUSY;
	memory.addr = addr;
	memory.pages = bytes >> PAGE_SHIFT;
	memory.plugged = bitmap_zalloc(memory.pages, GFP_KERNEL);
	if (!memory.plugged)
		return -ENOMEM;
	memory.words = memremap(addr, bytes, MEMREMAP_WB);
	if (!memory.words) {
		bitmap_free(memory.plugged);
		return -ENXIO;
	}
	fill(0, memory.pages);
	debugfs_create_file("violations", 0600, dir, NULL, &violations_fops);
	debugfs_create_file("plugged_bytes", 0400, dir, NULL, &plugged_fops);
	return 0;
}
