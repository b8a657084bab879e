// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOP_ROUNDS 10000000ul

static uint64_t boot_ns, boot_tsc;

static uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Before main(): how long the kernel took until here. */
static void __attribute__((constructor)) note_boot(void)
{
	boot_tsc = read_tsc();
	boot_ns = clock_now();
}

uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void request(unsigned int partitions)
{
	char line[32] = "";

	host_request(partitions);
	CHECK_MSG(fgets(line, sizeof(line), stdin) && !strncmp(line, "done", 4), "the host says '%s'", line);
}

void result(const char *name, const char *fmt, ...)
{
	va_list ap;

	printf("@bench {\"name\": \"%s\", ", name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("}\n");
	fflush(stdout);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t median_of(uint64_t *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

uint64_t percentile_of(const uint64_t *sorted, unsigned int n, unsigned int p)
{
	return sorted[(n * p + 99) / 100 - 1];
}

void settle_counters(void)
{
	CHECK(write_file("/proc/sys/vm/stat_refresh", "1", 0) == 0);
}

/* Pages of node 0 that nobody uses: on free lists, or on a CPU's own list. */
uint64_t free_normal_kib(void)
{
	unsigned long pages = 0, value;
	int node = -1;
	char line[256];
	FILE *in;

	settle_counters();
	in = fopen("/proc/zoneinfo", "re");
	CHECK(in);
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "Node %d, zone", &node) != 1 && !node &&
		    (sscanf(line, " pages free %lu", &value) == 1 || sscanf(line, " count: %lu", &value) == 1))
			pages += value;
	}
	fclose(in);
	return pages * 4;
}

const char *numbered(const char *prefix, unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s%u", prefix, i);
	return name;
}

static void use_memory(void *arg)
{
	size_t *bytes = arg;

	touch(map_anon(*bytes), *bytes, 1);
	pause();
}

pid_t start_user(const char *cgroup, size_t bytes)
{
	pid_t pid = start_in(cgroup, use_memory, &bytes);

	wait_asleep(pid);
	return pid;
}

void drain_begin(struct drain *before)
{
	*before = (struct drain){
		.requests = counter("requests_unplug"),
		.passes = counter("drain_passes"),
		.busy = counter("drain_busy"),
		.refused = counter("requests_refused"),
	};
}

void drain_read(unsigned int partition, bool claimed, const struct drain *before, struct drain *ret)
{
	uint64_t start = partition_value(partition, "drain_start_ns"), returned = partition_value(partition, "returned_ns");

	drain_begin(ret);
	ret->requests -= before->requests;
	ret->passes -= before->passes;
	ret->busy -= before->busy;
	ret->refused -= before->refused;
	ret->drain_ns = partition_value(partition, "drained_ns") - start;
	ret->return_ns = returned - start;
	ret->release_ns = claimed ? returned - partition_value(partition, "released_ns") : 0;
	CHECK_MSG(returned > start, "partition %u has not been returned", partition);
}

/* What the clock counts: a loop of two instructions a round, and a string store whose rounds count as one each. */
static void calibrate(void)
{
	uint64_t start, loop, tsc, clear;
	unsigned long rounds = LOOP_ROUNDS, bytes = 4096;
	static char page[4096];
	void *at = page;

	memset(page, 1, sizeof(page));		/* mapped from here on */
	tsc = read_tsc();
	start = clock_now();
	asm volatile("1: dec %0\n\tjnz 1b" : "+r"(rounds));
	loop = clock_now() - start;
	tsc = read_tsc() - tsc;
	start = read_tsc();
	asm volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(0) : "memory");
	clear = read_tsc() - start;
	result("clock", "\"instructions\": %lu, \"clock\": %llu, \"tsc\": %llu, \"store_page\": %llu", 2 * LOOP_ROUNDS,
	       (unsigned long long)loop, (unsigned long long)tsc, (unsigned long long)clear);
}

static void report_boot(void)
{
	struct utsname name;

	CHECK(uname(&name) == 0);
	result("boot", "\"kernel\": \"%s\", \"partitions\": %u, \"tsc\": %llu, \"boottime_ns\": %llu, \"total_kib\": %llu, \"free_kib\": %llu, "
	       "\"slab_kib\": %llu, \"percpu_kib\": %llu", name.release, partition_count, (unsigned long long)boot_tsc, (unsigned long long)boot_ns, (unsigned long long)meminfo("MemTotal:"),
	       (unsigned long long)free_normal_kib(), (unsigned long long)meminfo("Slab:"), (unsigned long long)meminfo("Percpu:"));
}

const struct test bench_boot_tests[] = {
	{ "instructions are counted", calibrate },
	{ "boot", report_boot },
	{ NULL, NULL },
};
