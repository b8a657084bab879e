// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/mm/squeezy: one value per file.
 * Documentation/ABI/testing/sysfs-kernel-mm-squeezy describes each.
 */
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/sysfs.h>

#include "internal.h"

struct partition_attribute {
	struct attribute attr;
	ssize_t (*show)(struct squeezy_partition *p, char *buf);
};

#define PARTITION_ATTR(_name, _format, _value)					\
static ssize_t _name##_show(struct squeezy_partition *p, char *buf)		\
{										\
	return sysfs_emit(buf, _format "\n", _value);				\
}										\
static struct partition_attribute _name##_attr = {				\
	.attr = { .name = #_name, .mode = 0444 }, .show = _name##_show,		\
}

#define TIME_ATTR(_name, _time) PARTITION_ATTR(_name, "%llu", READ_ONCE(p->times_ns[_time]))

PARTITION_ATTR(state, "%s", squeezy_state_name(squeezy_get_state(p)));
PARTITION_ATTR(node, "%d", p->nid);
PARTITION_ATTR(free_bytes, "%lu", squeezy_zone_free_pages(p) << PAGE_SHIFT);
PARTITION_ATTR(managed_bytes, "%lu", zone_managed_pages(p->zone) << PAGE_SHIFT);
PARTITION_ATTR(plugged_bytes, "%llu", READ_ONCE(p->plugged_blocks) * squeezy_layout.block_size);
PARTITION_ATTR(busy_reason, "%s", squeezy_holder_name(READ_ONCE(p->busy_reason)));
PARTITION_ATTR(missing_bytes, "%lu", READ_ONCE(p->missing) << PAGE_SHIFT);
TIME_ATTR(released_ns, SQUEEZY_TIME_RELEASED);
TIME_ATTR(drain_start_ns, SQUEEZY_TIME_DRAIN_START);
TIME_ATTR(drained_ns, SQUEEZY_TIME_DRAINED);
TIME_ATTR(returned_ns, SQUEEZY_TIME_RETURNED);
TIME_ATTR(populate_start_ns, SQUEEZY_TIME_POPULATE_START);
TIME_ATTR(populated_ns, SQUEEZY_TIME_POPULATED);

/* Root only: the reader pays for a walk over the pages in use. */
static ssize_t mapped_by_show(struct squeezy_partition *p, char *buf)
{
	return squeezy_holders_mappers(p, buf);
}

static struct partition_attribute mapped_by_attr = {
	.attr = { .name = "mapped_by", .mode = 0400 }, .show = mapped_by_show,
};

static struct attribute *partition_attrs[] = {
	&state_attr.attr,
	&busy_reason_attr.attr,
	&mapped_by_attr.attr,
	&node_attr.attr,
	&free_bytes_attr.attr,
	&managed_bytes_attr.attr,
	&plugged_bytes_attr.attr,
	&missing_bytes_attr.attr,
	&released_ns_attr.attr,
	&drain_start_ns_attr.attr,
	&drained_ns_attr.attr,
	&returned_ns_attr.attr,
	&populate_start_ns_attr.attr,
	&populated_ns_attr.attr,
	NULL
};

#define HOLDER_ATTR(_name, _holder) \
	PARTITION_ATTR(_name, "%lu", READ_ONCE(p->holders[_holder]) << PAGE_SHIFT)

HOLDER_ATTR(hwpoison, SQUEEZY_HELD_HWPOISON);
HOLDER_ATTR(per_cpu, SQUEEZY_HELD_PER_CPU);
HOLDER_ATTR(isolated, SQUEEZY_HELD_ISOLATED);
HOLDER_ATTR(mapped, SQUEEZY_HELD_MAPPED);
HOLDER_ATTR(references, SQUEEZY_HELD_REFERENCES);
HOLDER_ATTR(pinned, SQUEEZY_HELD_PINNED);

static struct attribute *holder_attrs[] = {
	&hwpoison_attr.attr,
	&per_cpu_attr.attr,
	&isolated_attr.attr,
	&mapped_attr.attr,
	&references_attr.attr,
	&pinned_attr.attr,
	NULL
};

static const struct attribute_group partition_group = { .attrs = partition_attrs };
static const struct attribute_group holder_group = { .name = "holders", .attrs = holder_attrs };

static const struct attribute_group *partition_groups[] = {
	&partition_group, &holder_group, NULL
};

static ssize_t partition_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct squeezy_partition *p = container_of(kobj, struct squeezy_partition, kobj);

	return container_of(attr, struct partition_attribute, attr)->show(p, buf);
}

static const struct sysfs_ops partition_sysfs_ops = { .show = partition_attr_show };

/* Partitions live as long as the kernel. */
static void partition_release(struct kobject *kobj)
{
}

static const struct kobj_type partition_type = {
	.release = partition_release,
	.sysfs_ops = &partition_sysfs_ops,
	.default_groups = partition_groups,
};

static ssize_t partitions_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", squeezy_layout.count);
}

static ssize_t partition_bytes_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", squeezy_layout.bytes);
}

static struct kobj_attribute partitions_attr = __ATTR_RO(partitions);
static struct kobj_attribute partition_bytes_attr = __ATTR_RO(partition_bytes);

struct knob {
	struct kobj_attribute attr;
	unsigned int *value;
	bool is_count;			/* of partitions, so not more than there are */
	void (*changed)(void);
};

static ssize_t knob_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(*container_of(attr, struct knob, attr)->value));
}

static ssize_t knob_store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
			  size_t size)
{
	struct knob *knob = container_of(attr, struct knob, attr);
	unsigned int value;
	/* Text up to its end: kstrtouint() stops at a NUL. */
	int rc = strlen(buf) == size ? kstrtouint(buf, 10, &value) : -EINVAL;

	if (rc)
		return rc;
	if (knob->is_count && value > squeezy_layout.count)
		return -ERANGE;
	WRITE_ONCE(*knob->value, value);
	knob->changed();
	return size;
}

#define KNOB(_name, _is_count, _changed)					\
static struct knob _name##_knob = {						\
	.attr = __ATTR(_name, 0644, knob_show, knob_store),			\
	.value = &squeezy_##_name, .is_count = _is_count, .changed = _changed,	\
}

KNOB(keep_memmap, true, squeezy_map_kick);
KNOB(prepare_memmap, true, squeezy_map_kick);
KNOB(request_us, false, squeezy_request_reset);

static struct attribute *layout_attrs[] = {
	&partitions_attr.attr,
	&partition_bytes_attr.attr,
	&keep_memmap_knob.attr.attr,
	&prepare_memmap_knob.attr.attr,
	&request_us_knob.attr.attr,
	NULL
};

static const struct attribute_group layout_group = { .attrs = layout_attrs };

struct counter_attribute {
	struct kobj_attribute attr;
	enum squeezy_counter counter;
};

static ssize_t counter_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	enum squeezy_counter counter = container_of(attr, struct counter_attribute, attr)->counter;

	return sysfs_emit(buf, "%lu\n", squeezy_counter_read(counter));
}

#define COUNTER(_name, _counter) \
	{ .attr = __ATTR(_name, 0444, counter_show, NULL), .counter = _counter }

static struct counter_attribute counter_table[] = {
	COUNTER(claims, SQUEEZY_CLAIMS),
	COUNTER(releases, SQUEEZY_RELEASES),
	COUNTER(populates_first, SQUEEZY_POPULATES_FIRST),
	COUNTER(populates_parked, SQUEEZY_POPULATES_PARKED),
	COUNTER(drains, SQUEEZY_DRAINS),
	COUNTER(drain_passes, SQUEEZY_DRAIN_PASSES),
	COUNTER(drain_busy, SQUEEZY_DRAIN_BUSY),
	COUNTER(lru_sweeps, SQUEEZY_LRU_SWEEPS),
	COUNTER(stragglers_migrated, SQUEEZY_STRAGGLERS_MIGRATED),
	COUNTER(requests_plug, SQUEEZY_REQUESTS_PLUG),
	COUNTER(requests_unplug, SQUEEZY_REQUESTS_UNPLUG),
	COUNTER(requests_refused, SQUEEZY_REQUESTS_REFUSED),
	COUNTER(maps_made, SQUEEZY_MAPS_MADE),
	COUNTER(maps_removed, SQUEEZY_MAPS_REMOVED),
	COUNTER(map_failures, SQUEEZY_MAP_FAILURES),
	COUNTER(charges_refused, SQUEEZY_CHARGES_REFUSED),
	COUNTER(charges_redirected, SQUEEZY_CHARGES_REDIRECTED),
	COUNTER(migrations_refused, SQUEEZY_MIGRATIONS_REFUSED),
	COUNTER(partition_full, SQUEEZY_PARTITION_FULL),
	COUNTER(oom_kills, SQUEEZY_OOM_KILLS),
};

static struct attribute *counter_attrs[ARRAY_SIZE(counter_table) + 1];
static const struct attribute_group counter_group = { .name = "counters", .attrs = counter_attrs };

static const struct attribute_group *root_groups[] = { &layout_group, &counter_group, NULL };

/* kernfs_notify() defers, so this may be called under squeezy_lock. */
void squeezy_sysfs_state_changed(struct squeezy_partition *p)
{
	if (p->state_file)
		sysfs_notify_dirent(p->state_file);
}

void squeezy_sysfs_reason_changed(struct squeezy_partition *p)
{
	if (p->reason_file)
		sysfs_notify_dirent(p->reason_file);
}

int __init squeezy_sysfs_init(void)
{
	struct squeezy_partition *p;
	struct kobject *root;
	unsigned int i;
	int rc;

	BUILD_BUG_ON(ARRAY_SIZE(counter_table) != SQUEEZY_NR_COUNTERS);
	for (i = 0; i < ARRAY_SIZE(counter_table); i++) {
		sysfs_attr_init(&counter_table[i].attr.attr);
		counter_attrs[i] = &counter_table[i].attr.attr;
	}
	root = kobject_create_and_add("squeezy", mm_kobj);
	if (!root)
		return -ENOMEM;
	rc = sysfs_create_groups(root, root_groups);
	for_each_squeezy_partition(p) {
		if (rc)
			break;
		rc = kobject_init_and_add(&p->kobj, &partition_type, root, "partition%u", p->id);
		if (rc)
			break;
		p->state_file = sysfs_get_dirent(p->kobj.sd, "state");
		p->reason_file = sysfs_get_dirent(p->kobj.sd, "busy_reason");
	}
	return rc;
}
