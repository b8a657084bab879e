/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM squeezy

#if !defined(_TRACE_SQUEEZY_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_SQUEEZY_H

#include <linux/tracepoint.h>
#include <linux/types.h>

/*
 * Partitions are given by number, cgroups by inode number as in
 * /sys/fs/cgroup, with 0 for none.
 */

TRACE_EVENT(squeezy_state,

	TP_PROTO(unsigned int partition, const char *from, const char *to),

	TP_ARGS(partition, from, to),

	TP_STRUCT__entry(
		__field(unsigned int, partition)
		__string(from, from)
		__string(to, to)
	),

	TP_fast_assign(
		__entry->partition = partition;
		__assign_str(from);
		__assign_str(to);
	),

	TP_printk("partition=%u from=%s to=%s", __entry->partition, __get_str(from),
		  __get_str(to))
);

/* drain_start, drained, returned and so on: what the partition's *_ns files keep the latest of */
TRACE_EVENT(squeezy_moment,

	TP_PROTO(unsigned int partition, const char *moment),

	TP_ARGS(partition, moment),

	TP_STRUCT__entry(
		__field(unsigned int, partition)
		__string(moment, moment)
	),

	TP_fast_assign(
		__entry->partition = partition;
		__assign_str(moment);
	),

	TP_printk("partition=%u moment=%s", __entry->partition, __get_str(moment))
);

TRACE_EVENT(squeezy_wait,

	TP_PROTO(u64 cgroup),

	TP_ARGS(cgroup),

	TP_STRUCT__entry(
		__field(u64, cgroup)
	),

	TP_fast_assign(
		__entry->cgroup = cgroup;
	),

	TP_printk("cgroup=%llu", __entry->cgroup)
);

DECLARE_EVENT_CLASS(squeezy_claimant,

	TP_PROTO(unsigned int partition, u64 cgroup),

	TP_ARGS(partition, cgroup),

	TP_STRUCT__entry(
		__field(u64, cgroup)
		__field(unsigned int, partition)
	),

	TP_fast_assign(
		__entry->cgroup = cgroup;
		__entry->partition = partition;
	),

	TP_printk("partition=%u cgroup=%llu", __entry->partition, __entry->cgroup)
);

DEFINE_EVENT(squeezy_claimant, squeezy_claim,
	TP_PROTO(unsigned int partition, u64 cgroup),
	TP_ARGS(partition, cgroup)
);

DEFINE_EVENT(squeezy_claimant, squeezy_release,
	TP_PROTO(unsigned int partition, u64 cgroup),
	TP_ARGS(partition, cgroup)
);

/* A fault of order 0 found no free page; the process is the one that waits. */
DEFINE_EVENT(squeezy_claimant, squeezy_partition_full,
	TP_PROTO(unsigned int partition, u64 cgroup),
	TP_ARGS(partition, cgroup)
);

/* A victim was chosen; oom:mark_victim has it. */
DEFINE_EVENT(squeezy_claimant, squeezy_oom_kill,
	TP_PROTO(unsigned int partition, u64 cgroup),
	TP_ARGS(partition, cgroup)
);

/* A page was not charged to the memcg of its mapping: to another, or to none (refused). */
TRACE_EVENT(squeezy_charge,

	TP_PROTO(unsigned int partition, u64 from, u64 to),

	TP_ARGS(partition, from, to),

	TP_STRUCT__entry(
		__field(u64, from)
		__field(u64, to)
		__field(unsigned int, partition)
	),

	TP_fast_assign(
		__entry->from = from;
		__entry->to = to;
		__entry->partition = partition;
	),

	TP_printk("partition=%u cgroup=%llu charged=%llu", __entry->partition, __entry->from,
		  __entry->to)
);

TRACE_EVENT(squeezy_migration_refused,

	TP_PROTO(unsigned long pfn, int from_nid, int to_nid, int reason),

	TP_ARGS(pfn, from_nid, to_nid, reason),

	TP_STRUCT__entry(
		__field(unsigned long, pfn)
		__field(int, from_nid)
		__field(int, to_nid)
		__field(int, reason)
	),

	TP_fast_assign(
		__entry->pfn = pfn;
		__entry->from_nid = from_nid;
		__entry->to_nid = to_nid;
		__entry->reason = reason;
	),

	/* reason: enum migrate_reason */
	TP_printk("pfn=0x%lx from_nid=%d to_nid=%d reason=%d", __entry->pfn, __entry->from_nid,
		  __entry->to_nid, __entry->reason)
);

/* One look at a partition that is to be empty. */
TRACE_EVENT(squeezy_drain_pass,

	TP_PROTO(unsigned int partition, unsigned long missing),

	TP_ARGS(partition, missing),

	TP_STRUCT__entry(
		__field(unsigned long, missing)
		__field(unsigned int, partition)
	),

	TP_fast_assign(
		__entry->missing = missing;
		__entry->partition = partition;
	),

	TP_printk("partition=%u missing_pages=%lu", __entry->partition, __entry->missing)
);

TRACE_EVENT(squeezy_request,

	TP_PROTO(unsigned int type, u64 addr, unsigned int blocks, unsigned int answer, u64 ns),

	TP_ARGS(type, addr, blocks, answer, ns),

	TP_STRUCT__entry(
		__field(u64, addr)
		__field(u64, ns)
		__field(unsigned int, type)
		__field(unsigned int, blocks)
		__field(unsigned int, answer)
	),

	TP_fast_assign(
		__entry->addr = addr;
		__entry->ns = ns;
		__entry->type = type;
		__entry->blocks = blocks;
		__entry->answer = answer;
	),

	/* type: VIRTIO_MEM_REQ_*, answer: VIRTIO_MEM_RESP_* */
	TP_printk("type=%u addr=0x%llx blocks=%u answer=%u ns=%llu", __entry->type, __entry->addr,
		  __entry->blocks, __entry->answer, __entry->ns)
);

#endif /* _TRACE_SQUEEZY_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
