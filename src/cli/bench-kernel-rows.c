// SPDX-License-Identifier: Apache-2.0
/*
 * The bars of the guest kernel: each row holds what was measured against what was promised. Only instructions and counts are judged;
 * times are reported. A row is there when the run's plan has all its boots; when one of its results is missing it cannot hold.
 */
#include "bench-kernel-report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "vm/normal-memory.h"

#define DRAIN_FIXED 20000.0	/* instructions of a drain, and so many more for each MiB */
#define DRAIN_PER_MIB 200.0
#define DRAIN_SLOPE 1000.0	/* between 1 and 63 others, and between an idle and a full VM */
#define FAULT_CLAIM 2.0		/* percent more than the stock kernel */
#define FAULT_OTHERS 0.5
#define FAULT_OTHERS_TESTED 1.5	/* against ourselves without squeezy=, on a kernel that tests its static keys (JUMP_LABEL=n) */
#define FAULT_TOO_CHEAP -10.0	/* percent: that is not the same fault any more */
#define REASON_MAX 2e9		/* nanoseconds until the kernel names what is in the way */
#define PARKED_MAX 1e6		/* nanoseconds at one instruction each */
#define BOOT_MAX 30e6
#define BOOT_KIB 8192.0

/* Instructions of mkdir of a container's cgroup: 1.5 million at 130 nodes. */
#define FORMULA_MKDIR(nodes) (150e3 + 10e3 * (nodes))

/*
 * A row that rests on these values: missed, if it is a judged one, until settle() says that it holds. NULL: a boot is not in this run's
 * plan, so there is no row; or a result is missing, and the row says so.
 */
#define ROW(r, judged, what, bar, ...) \
	begin_row(r, judged, what, bar, (struct value[]){ __VA_ARGS__ }, sizeof((struct value[]){ __VA_ARGS__ }) / sizeof(struct value))

static struct row *begin_row(struct kernel_report *report, bool judged, const char *what, const char *bar, const struct value *values,
			     size_t n)
{
	struct row *row = &report->rows[report->n_rows];

	for (size_t i = 0; i < n; i++)
		if (!values[i].wanted)
			return NULL;
	if (report->n_rows == ROWS_MAX)
		return NULL;
	report->n_rows++;
	row->verdict = judged ? ROW_MISSED : ROW_REPORTED;
	snprintf(row->what, sizeof(row->what), "%s", what);
	snprintf(row->bar, sizeof(row->bar), "%s", bar);
	for (size_t i = 0; i < n; i++) {
		if (values[i].n >= values[i].wanted)
			continue;
		snprintf(row->measured, sizeof(row->measured), "no result (%u of %u are there)", values[i].n, values[i].wanted);
		return NULL;
	}
	return row;
}

static void settle(struct row *row, bool held, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* "held" does not matter in a row that is only reported. */
static void settle(struct row *row, bool held, const char *fmt, ...)
{
	va_list ap;

	if (!row)
		return;
	if (row->verdict != ROW_REPORTED && held)
		row->verdict = ROW_HELD;
	va_start(ap, fmt);
	vsnprintf(row->measured, sizeof(row->measured), fmt, ap);
	va_end(ap);
}

static void rows_clock(struct kernel_report *r)
{
	struct value wanted = report_value(r, "fault-on", "name=clock", "instructions");
	struct value got = report_value(r, "fault-on", "name=clock", "clock");
	double off = (got.mean / wanted.mean - 1) * 100;

	settle(ROW(r, true, "clock: a loop of 20 million instructions", "within 1 %", wanted, got), fabs(off) < 1,
	       "%.0f counted (%+.2f %%, timer ticks)", got.mean, off);
}

/* A fault of "who" in a boot, in percent more than base; strict leaves out the clearing, a byte an instruction under TCG. */
static void fault_row(struct kernel_report *r, const char *pages, const char *boot, const char *who, const char *what, struct value base,
		      double bar)
{
	struct value clear = report_value(r, boot, "name=clock", "store_page");
	double percent, cleared = clear.mean * (pages[0] == '4' ? 1 : 512);
	char keys[64], title[120], limit[80];
	struct value fault;

	snprintf(keys, sizeof(keys), "name=fault who=%s pages=%s", who, pages);
	fault = report_value(r, boot, keys, "median");
	percent = (fault.mean / base.mean - 1) * 100;
	snprintf(title, sizeof(title), "fault, %s: %s", pages, what);
	snprintf(limit, sizeof(limit), "%.0f %% to %+.1f %%", FAULT_TOO_CHEAP, bar);
	settle(ROW(r, true, title, limit, base, fault, clear), percent <= bar && percent > FAULT_TOO_CHEAP,
	       "%.0f (%+.2f %%; without clearing %+.2f %%), spread %.0f", fault.mean, percent,
	       ((fault.mean - cleared) / (base.mean - cleared) - 1) * 100, fault.spread);
}

/* A run that does not boot the stock kernel compares with ours without squeezy=. */
static void rows_faults(struct kernel_report *r, const char *pages)
{
	char keys[64], what[120];
	struct value base;
	double others;
	bool stock;

	snprintf(keys, sizeof(keys), "name=fault who=none pages=%s", pages);
	base = report_value(r, "fault-stock", keys, "median");
	stock = base.wanted;
	if (!stock)
		base = report_value(r, "fault-off", keys, "median");
	others = stock ? FAULT_OTHERS : FAULT_OTHERS_TESTED;
	snprintf(what, sizeof(what), "fault, %s: %s", pages,
		 stock ? "stock kernel" : "our kernel without squeezy=, in place of the stock kernel");
	settle(ROW(r, false, what, "", base), true, "%.0f instructions, spread %.0f", base.mean, base.spread);
	if (stock)
		fault_row(r, pages, "fault-off", "none", "no squeezy=", base, others);
	fault_row(r, pages, "fault-on", "none", "nobody claims", base, others);
	fault_row(r, pages, "fault-on", "beside", "another cgroup claims", base, others);
	fault_row(r, pages, "fault-on", "claim", "claiming", base, FAULT_CLAIM);
}

static void rows_sizes(struct kernel_report *r)
{
	static const unsigned int sizes[] = { 128, 512, 2048 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		double bar = DRAIN_FIXED + DRAIN_PER_MIB * sizes[i];
		char boot[32], what[120], limit[80];
		struct value back, drained;

		snprintf(boot, sizeof(boot), "size-%u", sizes[i]);
		back = report_value(r, boot, "name=drain", "returned");
		drained = report_value(r, boot, "name=drain", "drained");
		snprintf(what, sizeof(what), "drain of an empty partition, %u MiB", sizes[i]);
		snprintf(limit, sizeof(limit), "%.0f (20,000 and 200 a MiB)", bar);
		settle(ROW(r, true, what, limit, back, drained), back.mean <= bar,
		       "%.0f instructions, %.0f of them until it is out of the guest; spread %.0f", back.mean, drained.mean, back.spread);
	}
}

/* The same drain in two surroundings and those between them: "points" with the two, all drains of the boot. */
struct slope {
	const char *boot, *few, *many;
	unsigned int points;
};

static void slope_row(struct kernel_report *r, const struct slope *slope, const char *member, const char *what)
{
	struct value a = report_value(r, slope->boot, slope->few, member), b = report_value(r, slope->boot, slope->many, member);
	struct value all = report_value(r, slope->boot, "name=drain", member);
	char limit[80];

	all.wanted *= slope->points;
	snprintf(limit, sizeof(limit), "differ by at most %.0f", DRAIN_SLOPE);
	settle(ROW(r, true, what, limit, a, b, all), all.spread <= DRAIN_SLOPE, "%.0f and %.0f instructions, %u points within %.0f", a.mean,
	       b.mean, all.n, all.spread);
}

static void adjacent_row(struct kernel_report *r, const char *boot)
{
	struct value one = report_value(r, boot, "name=adjacent", "singles"), all = report_value(r, boot, "name=adjacent", "at_once");
	struct value one_req = report_value(r, boot, "name=adjacent", "singles_requests");
	struct value all_req = report_value(r, boot, "name=adjacent", "at_once_requests");
	struct row *row = ROW(r, true, "reclaim of 8 adjacent partitions at once, and one by one", "fewer instructions and requests",
			      one, all, one_req, all_req);

	settle(row, all.mean < one.mean && all_req.mean < one_req.mean, "%.0f instructions, %.0f requests; %.0f, %.0f", all.mean,
	       all_req.mean, one.mean, one_req.mean);
}

static void reason_row(struct kernel_report *r, const char *keys, const char *member, const char *what)
{
	struct value value = report_value(r, "reason", keys, member);

	settle(ROW(r, true, what, "below 2 s of guest time", value), value.mean + value.spread < REASON_MAX, "%.0f ms", value.mean / 1e6);
}

static void rows_drains(struct kernel_report *r)
{
	/* Others: 1, 2, 4 ... and all. */
	static const struct slope beside_63 = { "others-64", "name=drain others=1", "name=drain others=63", 7 };
	static const struct slope beside_8 = { "others-9", "name=drain others=1", "name=drain others=8", 4 };
	static const struct slope full = { "full", "name=drain used_mib=1", "name=drain used_mib=460", 2 };

	rows_sizes(r);
	slope_row(r, &beside_63, "returned", "drain of 128 MiB beside 1 and 63 others in use");
	slope_row(r, &beside_63, "from_release", "the same from rmdir on, beside 1 and 63 others in use");
	slope_row(r, &beside_8, "returned", "drain of 128 MiB beside 1 and 8 others in use");
	slope_row(r, &full, "returned", "drain of 512 MiB beside idle and full partitions");
	adjacent_row(r, "adjacent");
	reason_row(r, "name=reason", "claimed", "a shrink that needs a claimed partition is told so after");
	reason_row(r, "name=reason", "held", "a drain whose page a pipe holds is told so after");
	reason_row(r, "name=pinned", "named", "a drain whose pages a ring has pinned is told so after");
	reason_row(r, "name=left", "parked", "a drain is over, whose pages a process has taken along, after");
	reason_row(r, "name=failed", "parked", "a drain is over, some of whose pages have failed, after");
}

static void reclaims_row(struct kernel_report *r, const char *boot, const char *what, bool counted)
{
	struct value low = report_value(r, boot, "name=reclaims", "requests_min");
	struct value high = report_value(r, boot, "name=reclaims", "requests_max");
	struct value few = report_value(r, boot, "name=reclaims", "passes_min");
	struct value many = report_value(r, boot, "name=reclaims", "passes_max");
	struct value retries = report_value(r, boot, "name=reclaims", "retries");
	struct value median = report_value(r, boot, "name=reclaims", "from_release_median");
	struct value p99 = report_value(r, boot, "name=reclaims", "from_release_p99");
	const char *unit = counted ? "instructions" : "us";
	double scale = counted ? 1 : 1000;
	bool same = low.mean == high.mean && few.mean == 1 && many.mean == 1 && !retries.mean;
	struct row *row = ROW(r, counted, what, "1 pass, the same number of requests, no retry", low, high, few, many, retries, median,
			      p99);

	settle(row, same, "passes %.0f to %.0f, requests %.0f to %.0f, retries %.0f; release to returned: median %.0f, p99 %.0f %s",
	       few.mean, many.mean, low.mean, high.mean, retries.mean, median.mean / scale, p99.mean / scale, unit);
}

static void parked_row(struct kernel_report *r, const char *boot, const char *kind, const char *what, bool counted)
{
	double scale = counted ? 1 : 1000;
	struct value guest, max;
	char keys[64];

	snprintf(keys, sizeof(keys), "name=populate kind=%s", kind);
	guest = report_value(r, boot, keys, "guest");
	max = report_value(r, boot, keys, "guest_max");
	settle(ROW(r, counted, what, "below 1 ms (a million instructions)", guest, max), max.mean < PARKED_MAX,
	       "median %.0f, longest %.0f %s", guest.mean / scale, max.mean / scale, counted ? "instructions" : "us");
}

static void rows_first(struct kernel_report *r)
{
	struct value ours = report_value(r, "grow", "name=grow", "work_min");
	struct value stock = report_value(r, "grow-stock", "name=grow", "work_min");
	struct value ours_time = report_value(r, "populate", "name=populate kind=first", "from_request");
	struct value stock_time = report_value(r, "plug", "name=populate kind=stock", "from_request");
	struct row *row;

	row = ROW(r, true, "first populate of 512 MiB, and the stock driver's plug", "no more than the stock driver", ours, stock);
	settle(row, ours.mean <= stock.mean, "%.2f and %.2f million instructions", ours.mean / 1e6, stock.mean / 1e6);
	row = ROW(r, false, "first populate of 512 MiB, and the stock driver's plug (time)", "no longer than the stock driver", ours_time,
		  stock_time);
	settle(row, true, "%.1f and %.1f ms", ours_time.mean / 1e6, stock_time.mean / 1e6);
}

static void prepared_row(struct kernel_report *r)
{
	struct value first = report_value(r, "prepared-counted", "name=populate kind=prepared", "guest");
	struct value parked = report_value(r, "populate-counted", "name=populate kind=parked", "guest");

	settle(ROW(r, true, "first populate of 512 MiB with the map made ahead, and from parked", "within 10 %", first, parked),
	       first.mean <= parked.mean * 1.1, "%.0f and %.0f instructions", first.mean, parked.mean);
}

static void rows_populates(struct kernel_report *r)
{
	rows_first(r);
	parked_row(r, "populate-counted", "parked", "populate of 512 MiB from parked", true);
	parked_row(r, "populate", "parked", "populate of 512 MiB from parked (time)", false);
	prepared_row(r);
	parked_row(r, "prepared", "prepared", "first populate of 512 MiB, map made ahead (time)", false);
	parked_row(r, "beside-counted", "mapping", "populate from parked while another's map is made", true);
	parked_row(r, "beside", "mapping", "populate from parked while another's map is made (time)", false);
	parked_row(r, "beside-counted", "unmapping", "populate from parked while another's map is removed", true);
	parked_row(r, "beside", "unmapping", "populate from parked while another's map is removed (time)", false);
}

static void boot_row(struct kernel_report *r, const char *boot, unsigned int partitions, bool judged)
{
	struct value with = report_value(r, boot, "name=boot", "tsc"), without = report_value(r, "nodes-1", "name=boot", "tsc");
	struct value kib = report_value(r, boot, "name=boot", "free_kib");
	struct value kib_without = report_value(r, "nodes-1", "name=boot", "free_kib");
	double time = with.mean - without.mean, memory = kib_without.mean - kib.mean;
	char what[120];

	snprintf(what, sizeof(what), "boot: %u partitions add", partitions);
	settle(ROW(r, judged, what, judged ? "30 million instructions, 8 MiB" : "", with, without, kib, kib_without),
	       time < BOOT_MAX && memory < BOOT_KIB, "%.1f million instructions, %.1f MiB", time / 1e6, memory / 1024);
}

/* "measured" comes from the two values; they may be the same. */
static void formula_row(struct kernel_report *r, const char *what, double measured, double formula, const char *unit, struct value value,
			struct value other)
{
	char limit[80];

	snprintf(limit, sizeof(limit), "%.0f %s", formula, unit);
	settle(ROW(r, true, what, limit, value, other), measured <= formula, "%.0f %s", measured, unit);
}

/* A boot with 2 CPUs against the documented formula. */
static void rows_memory(struct kernel_report *r, unsigned int partitions)
{
	struct value free, map, tables, cgroup, base = report_value(r, "memory-1", "name=boot", "free_kib");
	char boot[32], what[120];

	snprintf(boot, sizeof(boot), "memory-%u", partitions + 1);
	free = report_value(r, boot, "name=boot", "free_kib");
	map = report_value(r, boot, "name=map", "kib");
	tables = report_value(r, boot, "name=tables", "kib");
	cgroup = report_value(r, boot, "name=cgroup", "kib_each");
	snprintf(what, sizeof(what), "normal memory, %u partitions: boot", partitions);
	formula_row(r, what, base.mean - free.mean, FORMULA_BOOT(partitions, 2), "KiB", base, free);
	snprintf(what, sizeof(what), "normal memory, %u partitions: map of 128 MiB", partitions);
	formula_row(r, what, map.mean, FORMULA_MAP(128), "KiB", map, map);
	snprintf(what, sizeof(what), "normal memory, %u partitions: page tables of 64 MiB", partitions);
	formula_row(r, what, tables.mean, FORMULA_TABLES(64), "KiB", tables, tables);
	snprintf(what, sizeof(what), "normal memory, %u partitions: a cgroup", partitions);
	formula_row(r, what, cgroup.mean, FORMULA_CGROUP(partitions + 1), "KiB", cgroup, cgroup);
}

static void mkdir_row(struct kernel_report *r, unsigned int nodes)
{
	char boot[32], what[120];
	struct value make;

	snprintf(boot, sizeof(boot), "nodes-%u", nodes);
	make = report_value(r, boot, "name=cgroup", "mkdir");
	snprintf(what, sizeof(what), "mkdir of a cgroup with %u possible nodes", nodes);
	formula_row(r, what, make.mean, FORMULA_MKDIR(nodes), "instructions", make, make);
}

void report_rows(struct kernel_report *report)
{
	static const unsigned int partitions[] = { 8, 64, 126 }, nodes[] = { 1, 18, 65, 66, 127, 128 };

	rows_clock(report);
	rows_faults(report, "4k");
	rows_faults(report, "thp");
	rows_drains(report);
	reclaims_row(report, "reclaims-counted", "200 reclaims with leftovers on 2 CPUs", true);
	reclaims_row(report, "reclaims", "200 reclaims with leftovers on 2 CPUs (time)", false);
	rows_populates(report);
	boot_row(report, "nodes-65", 64, true);
	boot_row(report, "nodes-127", 126, false);
	for (unsigned int i = 0; i < sizeof(partitions) / sizeof(*partitions); i++)
		rows_memory(report, partitions[i]);
	for (unsigned int i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		mkdir_row(report, nodes[i]);
}
