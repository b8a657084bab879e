// SPDX-License-Identifier: GPL-2.0-only
/*
 * squeezy=<count>x<size>: how many partitions, how large, on which nodes.
 */
#define pr_fmt(fmt) "squeezy: " fmt

#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/memory.h>
#include <linux/nodemask.h>
#include <linux/slab.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(squeezy_enabled);
int squeezy_first_nid __ro_after_init = NUMA_NO_NODE;
unsigned int squeezy_nr_nodes __ro_after_init;
struct squeezy_layout squeezy_layout;

static unsigned int boot_count __initdata;
static u64 boot_bytes __initdata;

/* A number short enough not to wrap around, then K, M, G or T; memparse() would wrap. */
static int __init parse_bytes(const char *text, u64 *ret_bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned int shift = 0;
	char *end;
	u64 value;

	value = simple_strtoull(text, &end, 10);
	if (end == text)
		return -EINVAL;
	if (end - text > 19)
		return -ERANGE;
	if (*end) {
		suffix = strchr(suffixes, toupper(*end));
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (suffix - suffixes + 1);
	}
	if (value > U64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

/*
 * Reads "<count>x<size>", e.g. "16x512M". -EINVAL if @text is anything else,
 * -ERANGE if the numbers make no sense on any machine; nothing is written then.
 */
static int __init parse_layout(const char *text, unsigned int *ret_count, u64 *ret_bytes)
{
	unsigned long count;
	char *end;
	u64 bytes;
	int rc;

	if (!text || !isdigit(text[0]))
		return -EINVAL;
	count = simple_strtoul(text, &end, 10);
	if (*end != 'x' || !isdigit(end[1]))
		return -EINVAL;
	if (end - text > 5)
		return -ERANGE;
	rc = parse_bytes(end + 1, &bytes);
	if (rc)
		return rc;
	if (count < 1 || count >= MAX_NUMNODES)
		return -ERANGE;
	if (bytes < SZ_2M || bytes > (1ULL << MAX_PHYSMEM_BITS) / count)
		return -ERANGE;
	*ret_count = count;
	*ret_bytes = bytes;
	return 0;
}

static int __init squeezy_param(char *text)
{
	int rc;

	/* The last one counts. */
	boot_count = 0;
	rc = parse_layout(text, &boot_count, &boot_bytes);
	if (rc == -ERANGE)
		pr_err("squeezy=%s is out of range: 1 to %d partitions, and together they must fit the address space; feature off\n",
		       text, MAX_NUMNODES - 1);
	else if (rc)
		pr_err("squeezy=%s is not <count>x<size> such as 16x512M; feature off\n",
		       text ? text : "");
	return 0;
}
early_param("squeezy", squeezy_param);

/*
 * Gives each partition a possible node after the firmware's. From
 * setup_nr_node_ids(): boot, single-threaded, before anything looks at the
 * number of nodes.
 */
void __init squeezy_reserve_nodes(void)
{
	int first = find_last_bit(node_possible_map.bits, MAX_NUMNODES) + 1;
	unsigned int i;

	if (!boot_count || squeezy_nr_nodes)
		return;
	if (first + boot_count > MAX_NUMNODES) {
		pr_err("%u partitions need %u node ids, the kernel has %d left (CONFIG_NODES_SHIFT=%d); feature off\n",
		       boot_count, boot_count, MAX_NUMNODES - first, NODES_SHIFT);
		boot_count = 0;
		return;
	}
	for (i = 0; i < boot_count; i++)
		node_set(first + i, node_possible_map);
	squeezy_first_nid = first;
	squeezy_nr_nodes = boot_count;
}

/* Says itself what is wrong. */
static bool __init squeezy_layout_usable(void)
{
	if (!IS_ALIGNED(boot_bytes, memory_block_size_bytes())) {
		pr_err("partition size %llu is not a multiple of the memory block size %lu; feature off\n",
		       boot_bytes, memory_block_size_bytes());
		return false;
	}
	if (mem_cgroup_disabled()) {
		pr_err("the memory controller is disabled (cgroup_disable=memory); feature off\n");
		return false;
	}
	return true;
}

static int __init squeezy_layout_init(void)
{
	struct squeezy_partition *p;

	squeezy_layout.partitions = kcalloc(boot_count, sizeof(*p), GFP_KERNEL);
	if (!squeezy_layout.partitions)
		return -ENOMEM;
	squeezy_layout.bytes = boot_bytes;
	squeezy_layout.pages = boot_bytes >> PAGE_SHIFT;
	squeezy_layout.count = boot_count;
	for_each_squeezy_partition(p) {
		p->id = p - squeezy_layout.partitions;
		p->nid = squeezy_first_nid + p->id;
		p->zone = &NODE_DATA(p->nid)->node_zones[ZONE_MOVABLE];
		p->unused_gp = get_completed_synchronize_rcu();
	}
	return 0;
}

static int __init start_parts(void)
{
	int rc = squeezy_layout_init();

	if (!rc)
		rc = squeezy_map_init();
	if (!rc)
		rc = squeezy_straggler_init();
	if (!rc)
		rc = squeezy_sysfs_init();
	if (!rc)
		rc = squeezy_claim_init();
	if (rc)
		pr_err("not started (error %d); feature off\n", rc);
	return rc;
}

/* Before the drivers' initcalls: the device needs the table. */
static int __init squeezy_init(void)
{
	if (!squeezy_nr_nodes)
		return 0;
	if (!squeezy_layout_usable() || start_parts()) {
		/* Memory that somebody adds under one of the node ids is everybody's. */
		squeezy_nr_nodes = 0;
		squeezy_layout.count = 0;
		return 0;
	}
	static_branch_enable(&squeezy_enabled);
	pr_info("%u partitions of %llu MiB on nodes %d to %d\n", squeezy_layout.count,
		squeezy_layout.bytes >> 20, squeezy_first_nid,
		squeezy_first_nid + squeezy_layout.count - 1);
	return 0;
}
subsys_initcall_sync(squeezy_init);

#ifdef CONFIG_SQUEEZY_KUNIT_TEST
#include "tests/layout_kunit.c"
#endif
