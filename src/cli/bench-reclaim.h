/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reclaim of one instance of a loaded VM, and what was seen of it.
 *
 * An instance is ended; when the agent says that it is gone, the device is asked to shrink by the instance's size. The reclaim is the
 * time from that request to the moment when the host sees the device's size at the target. Both backends follow the same schedule.
 * from_kill_ms includes the end of the instance, which costs the same on both sides.
 *
 * The daemon asks a partitioned VM earlier, together with the kill (a stock driver asked so early would migrate pages of the dying
 * process). RECLAIM_WITH_KILL measures that: the reclaim is the time from the partition's release, when no process is left, to the
 * device's answer, which the guest sees after the host has let go of the memory. Both stamps are of the guest's clock.
 */
#ifndef SQUEEZY_CLI_BENCH_RECLAIM_H
#define SQUEEZY_CLI_BENCH_RECLAIM_H

#include "cli/bench-load.h"

enum reclaim_schedule {
	RECLAIM_AFTER_END,
	RECLAIM_WITH_KILL,		/* partitions only */
};

struct reclaim_sample {
	double reclaim_ms;		/* RECLAIM_AFTER_END: shrink request sent -> device size at the target. WITH_KILL: released -> returned */
	double from_kill_ms;		/* end request sent -> device size at the target */
	double end_ms;			/* end request sent -> the agent's answer that the instance is gone */
	double guest_ms;		/* guest clock, partition: drain started -> returned. Stock driver (no time stamps): reclaim_ms */
	double host_free_ms;		/* shrink request sent (WITH_KILL: so with the end) -> smaps shows the resident size fallen by 95 % of touched_bytes */
	double host_madvise_ms;		/* right before: the host's madvise of as much memory of its own, the same kind of pages */
	double busy_madvise_ms;		/* the same right afterwards, while the others still work */
	double worst_call_ms;		/* longest short call of another instance meanwhile */
	uint64_t pages_migrated;
	uint64_t requests;		/* that the guest sent to the device; partitions only */
	uint64_t resident_before_bytes, resident_after_bytes;
	uint64_t thp_before_bytes;	/* of resident_before_bytes, in host huge pages */
	uint64_t madvise_thp_bytes;	/* of the host's own, both times, in huge pages */
	uint64_t touched_bytes;		/* what the instance had written */
	unsigned int others;		/* other instances */
	unsigned int answering;		/* of which answered a call after the end request */
};

struct reclaim_series {
	enum vm_backend backend;
	enum reclaim_schedule schedule;
	uint64_t size_bytes;
	unsigned int n;
	struct reclaim_sample samples[BENCH_MAX_SAMPLES];
};

/* The name of a side in tables and JSON, and what is added for a schedule. */
const char *reclaim_method(enum vm_backend backend);
const char *reclaim_schedule_name(enum reclaim_schedule schedule);

/*
 * Ends instance victim while the others work (writers of them without a pause), takes its memory back, and restores it. A reclaim that
 * does not finish in two minutes is an error, as is a call of another instance that fails.
 */
int reclaim_once(struct load *load, enum reclaim_schedule schedule, unsigned int victim, unsigned int writers, struct reclaim_sample *ret,
		 struct err *err);

#endif
