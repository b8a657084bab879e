// SPDX-License-Identifier: Apache-2.0
/* Memory maps: kept, made ahead, removed, made again, refused; and nobody else's business. */
#include "ledger.h"
#include "maps.h"
#include "pages.h"
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KNOBS "/sys/kernel/mm/squeezy/"
#define INJECT "/sys/kernel/debug/notifier-error-inject/memory/actions/"
#define MEMORY "/sys/devices/system/memory"

void set_knob(const char *name, unsigned int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), KNOBS "%s", name);
	snprintf(text, sizeof(text), "%u", value);
	CHECK_MSG(write_file(path, text, 0) == 0, "%s = %s", name, text);
}

/* The state that a boot begins with, and every test here ends with. */
void forget_maps(void)
{
	set_knob("prepare_memmap", 0);
	populate(0);
	set_knob("keep_memmap", 0);
	for (unsigned int i = 0; i < partition_count; i++)
		wait_state(i, "absent");
	set_knob("keep_memmap", partition_count);
}

/* A map made ahead costs no request, and the first populate is then like a later one. */
unsigned int count_state(const char *state)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < partition_count; i++)
		n += has_state(i, state);
	return n;
}

static void test_prepare(void)
{
	uint64_t made, first, parked, requests;

	forget_maps();
	made = counter("maps_made");
	first = counter("populates_first");
	parked = counter("populates_parked");
	requests = counter("requests_plug");
	set_knob("prepare_memmap", 2);
	wait_state(0, "parked");
	wait_state(1, "parked");
	CHECK(counter("maps_made") == made + 2);
	CHECK(counter("requests_plug") == requests);
	CHECK(has_state(2, "absent"));
	CHECK(partition_value(0, "plugged_bytes") == 0 && partition_value(0, "managed_bytes") == 0);
	set_knob("prepare_memmap", 0);
	populate(2);
	CHECK(counter("populates_first") == first);
	CHECK(counter("populates_parked") == parked + 2);
	forget_maps();
}

/* As partitions come into use, the next ones are prepared. */
static void test_prepare_follows(void)
{
	forget_maps();
	set_knob("prepare_memmap", 1);
	for (unsigned int i = 0; i + 1 < partition_count; i++) {
		wait_state(i, "parked");
		host_request(i + 1);
		wait_state(i, "populated");
	}
	wait_state(partition_count - 1, "parked");
	forget_maps();
}

static void test_keep(void)
{
	uint64_t removed, first, parked;

	forget_maps();
	populate(partition_count);
	removed = counter("maps_removed");
	first = counter("populates_first");
	parked = counter("populates_parked");
	set_knob("keep_memmap", 1);
	populate(0);
	for (unsigned int i = 1; i < partition_count; i++)
		wait_state(i, "absent");
	CHECK(has_state(0, "parked"));
	CHECK(counter("maps_removed") == removed + partition_count - 1);
	set_knob("keep_memmap", partition_count);
	populate(partition_count);
	CHECK(counter("populates_first") == first + partition_count - 1);
	CHECK(counter("populates_parked") == parked + 1);
	forget_maps();
}

static void use_memory(void *nid)
{
	size_t bytes = partition_bytes / 4;
	char *mem = map_anon(bytes);

	touch(mem, bytes, 1);
	CHECK(pages_elsewhere(mem, bytes, *(int *)nid) == 0);
}

#define MAPS_LOST 12

static void use_and_forget(void)
{
	run_claimed(use_memory);
	populate(0);
	wait_state(0, "absent");
}

/* Nothing is kept, so that each use makes the map anew: 4 MiB each time, and so often that a loss is more than the ledger's slack. */
static void test_keep_nothing(void)
{
	struct ledger before;
	uint64_t made;

	forget_maps();
	set_knob("keep_memmap", 0);
	made = counter("maps_made");
	use_and_forget();
	ledger_open(&before);
	for (int round = 0; round < MAPS_LOST; round++)
		use_and_forget();
	ledger_close(&before);
	CHECK(counter("maps_made") == made + 1 + MAPS_LOST);
	forget_maps();
}

/* The request moves while maps are made and removed; the last one counts. */
static void test_request_moves(void)
{
	forget_maps();
	set_knob("keep_memmap", 1);
	for (unsigned int round = 0; round < 40; round++) {
		host_request(round * 7 % (partition_count + 1));
		if (round % 4 == 0)
			set_knob("prepare_memmap", round / 4 % 3);
		sleep_ms(round % 8);
	}
	populate(partition_count);
	run_claimed(use_memory);
	forget_maps();
}

/* Calls fn with the folder of each memory block of a partition. Returns their number. */
static unsigned int for_each_block(unsigned int id, void (*fn)(const char *block))
{
	char path[64], block[320];
	struct dirent *e;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", partition_nid(id));
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "memory", 6) || e->d_name[6] < '0' || e->d_name[6] > '9')
			continue;
		snprintf(block, sizeof(block), "%s/%s", path, e->d_name);
		fn(block);
		n++;
	}
	closedir(dir);
	return n;
}

static int write_block(const char *block, const char *file, const char *text)
{
	char path[384];

	snprintf(path, sizeof(path), "%s/%s", block, file);
	return write_file(path, text, 0);
}

static void block_is_ours(const char *block)
{
	char path[384], text[32];

	snprintf(path, sizeof(path), "%s/valid_zones", block);
	CHECK(read_file(path, text, sizeof(text)) == 0);
	CHECK_MSG(!strcmp(text, "Movable"), "%s is %s", path, text);
	CHECK(write_block(block, "state", "offline") == -EPERM);
	CHECK(write_block(block, "online", "0") == -EPERM);
	snprintf(path, sizeof(path), "%s/state", block);
	CHECK(read_file(path, text, sizeof(text)) == 0);
	CHECK(!strcmp(text, "online"));
}

/* What memory-hotplug/mem-on-off-test.sh and udev rules write is refused. */
static void test_blocks_are_ours(void)
{
	forget_maps();
	populate(1);
	CHECK(for_each_block(0, block_is_ours) > 0);
	run_claimed(use_memory);
	populate(0);
	CHECK(has_state(0, "parked"));
	CHECK(for_each_block(0, block_is_ours) > 0);
	populate(1);
	run_claimed(use_memory);
	forget_maps();
}

static void meddle_with(const char *block)
{
	static const char *const words[] = { "online", "online_kernel", "online_movable", "offline" };
	char path[384], text[32];

	/* Writing what a block is already has no effect and no error. */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int rc = write_block(block, "state", words[i]);

		snprintf(path, sizeof(path), "%s/state", block);
		if (!rc && !read_file(path, text, sizeof(text)) && !strcmp(words[i], "offline"))
			CHECK_MSG(strcmp(text, "online"), "%s was offline for a moment", block);
	}
}

static void meddle(void *arg)
{
	for (;;)
		for (unsigned int i = 0; i < partition_count; i++)
			for_each_block(i, meddle_with);
}

/*
 * Lockdep, where the kernel has it, calls a block that is onlined through sysfs beside one that is removed a possible deadlock, on any 6.12:
 * it does not see that device_hotplug_lock, which keeps them apart, is tried there and not waited for.
 */
static void prove_locking(bool on)
{
	int rc = write_file("/proc/sys/kernel/prove_locking", on ? "1" : "0", 0);

	CHECK_MSG(rc == 0 || rc == -ENOENT, "error %d", rc);
}

#define ROUNDS 6

/* All maps, so many times. */
static void come_and_go(void)
{
	set_knob("keep_memmap", 0);
	for (int round = 0; round < ROUNDS; round++) {
		populate(partition_count);
		populate(0);
		for (unsigned int i = 0; i < partition_count; i++)
			wait_state(i, "absent");
	}
}

/* Somebody onlines and offlines whatever there is while maps come and go. */
static void test_meddling(void)
{
	pid_t pid;

	forget_maps();
	prove_locking(false);
	pid = start_in(NULL, meddle, NULL);
	come_and_go();
	populate(1);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	prove_locking(true);
	CHECK(for_each_block(0, block_is_ours) > 0);
	run_claimed(use_memory);
	forget_maps();
}

static void compact_partitions(void)
{
	for (unsigned int i = 0; i < partition_count; i++)
		compact_node(partition_nid(i));
}

/* And looks at each page for one to split. */
static void describe_and_split(void)
{
	describe_all_pages();
	CHECK(write_file("/sys/kernel/debug/split_huge_pages", "1", 0) == 0);
}

static void walk(void *arg)
{
	unsigned int number = *(unsigned int *)arg;

	for (;;)
		switch (number) {
		case 0: compact_partitions(); break;
		case 1: CHECK(write_file("/proc/sys/vm/compact_memory", "1", 0) == 0); break;
		default: describe_and_split(); break;
		}
}

#define WALKERS 4

/* Ordinary compaction sleeps in the middle of a block now and then, and there are more walkers than CPUs; the map goes meanwhile. */
static void test_walkers(void)
{
	pid_t pids[WALKERS];
	uint64_t removed;

	forget_maps();
	removed = counter("maps_removed");
	for (unsigned int i = 0; i < WALKERS; i++)
		pids[i] = start_in(NULL, walk, &i);
	come_and_go();
	CHECK(counter("maps_removed") == removed + ROUNDS * partition_count);
	for (unsigned int i = 0; i < WALKERS; i++) {
		CHECK(waitpid(pids[i], NULL, WNOHANG) == 0);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	run_claimed(use_memory);
	forget_maps();
}

static const char *const knobs[] = { "keep_memmap", "prepare_memmap", "request_us" };
#define NR_KNOBS (sizeof(knobs) / sizeof(knobs[0]))

static const struct {
	const char *text;
	size_t len;
	int error;
} wrong_values[] = {
	{ "-1", 2, EINVAL },		{ "-0", 2, EINVAL },		{ "all", 3, EINVAL },	{ "\n", 1, EINVAL },
	{ " 1", 2, EINVAL },		{ "1x", 2, EINVAL },		{ "1 1", 3, EINVAL },	{ "0x", 2, EINVAL },
	{ "1\0" "2", 3, EINVAL },	{ "\0", 1, EINVAL },		{ "\xff\xfe\x01", 3, EINVAL },
	{ "4294967296", 10, ERANGE },	{ "99999999999999999999", 20, ERANGE },
};

static int put_knob(int fd, const char *text, size_t len)
{
	ssize_t n = pwrite(fd, text, len, 0);

	return n < 0 ? errno : n == (ssize_t)len ? 0 : EIO;
}

static void wrong_writes(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;
	char *huge = malloc(65536);

	CHECK_MSG(fd >= 0 && huge, "%s", path);
	for (size_t i = 0; i < sizeof(wrong_values) / sizeof(wrong_values[0]); i++) {
		error = put_knob(fd, wrong_values[i].text, wrong_values[i].len);
		CHECK_MSG(error == wrong_values[i].error, "%s, value %zu: error %d", path, i, error);
	}
	/* More than a page is cut to a page of digits. */
	memset(huge, '7', 65536);
	CHECK(put_knob(fd, huge, 4095) == ERANGE && put_knob(fd, huge, 65536) == ERANGE);
	free(huge);
	huge = map_anon(4096);
	CHECK(munmap(huge, 4096) == 0 && put_knob(fd, huge, 4) == EFAULT);
	close(fd);
}

static void open_as_nobody(void *arg)
{
	char path[64];

	CHECK(setuid(65534) == 0);
	for (size_t i = 0; i < NR_KNOBS; i++) {
		snprintf(path, sizeof(path), KNOBS "%s", knobs[i]);
		CHECK(open(path, O_WRONLY) < 0 && errno == EACCES);
		CHECK(access(path, R_OK) == 0);
	}
	/* Whose processes map what is root's to know; the reason is everybody's. */
	CHECK(open(KNOBS "partition0/mapped_by", O_RDONLY) < 0 && errno == EACCES);
	CHECK(access(KNOBS "partition0/busy_reason", R_OK) == 0);
}

/* Each is refused without a word in the log, and changes nothing. */
static void test_knob_values(void)
{
	char many[16], path[64];
	uint64_t before[NR_KNOBS];
	int log;

	forget_maps();
	log = kernel_log();
	for (size_t i = 0; i < NR_KNOBS; i++) {
		snprintf(path, sizeof(path), KNOBS "%s", knobs[i]);
		before[i] = file_number(path);
		wrong_writes(path);
	}
	snprintf(many, sizeof(many), "%u", partition_count + 1);
	CHECK(write_file(KNOBS "keep_memmap", many, 0) == -ERANGE);
	CHECK(write_file(KNOBS "prepare_memmap", many, 0) == -ERANGE);
	CHECK(run_in(NULL, open_as_nobody, NULL) == 0);
	for (size_t i = 0; i < NR_KNOBS; i++) {
		snprintf(path, sizeof(path), KNOBS "%s", knobs[i]);
		CHECK_MSG(file_number(path) == before[i], "%s is %lu now", path, file_number(path));
	}
	CHECK(kernel_log_lines(log, "squeezy") == 0);
	for (unsigned int i = 0; i < partition_count; i++)
		CHECK(has_state(i, "absent"));
}

const struct test maps_tests[] = {
	{ "maps: made ahead, without a request", test_prepare },
	{ "maps: the next ones are prepared as partitions come into use", test_prepare_follows },
	{ "maps: so many are kept, the others removed and made again", test_keep },
	{ "maps: keep none", test_keep_nothing },
	{ "maps: the request moves while they come and go", test_request_moves },
	{ "maps: memory blocks can be neither offlined nor onlined by others", test_blocks_are_ours },
	{ "maps: nor while they are made and removed", test_meddling },
	{ "maps: who walks through all memory does not walk into one that goes", test_walkers },
	{ "maps: wrong values, and who may not write or read", test_knob_values },
	{ NULL, NULL },
};

static bool has_failed(void *before)
{
	return counter("map_failures") > *(uint64_t *)before;
}

static bool all_returned(void *arg)
{
	uint64_t plugged = 0;

	for (unsigned int i = 0; i < partition_count; i++)
		plugged += partition_value(i, "plugged_bytes");
	return plugged == 0;
}

static bool any_populated(void *arg)
{
	return count_state("populated") > 0;
}

/* A map that cannot be made: nothing stays plugged, which the host sees, and it is made later without anybody's help. */
static void test_veto_online(void)
{
	uint64_t failures;

	forget_maps();
	failures = counter("map_failures");
	CHECK(write_file(INJECT "MEM_GOING_ONLINE/error", "-12", 0) == 0);
	host_request(1);
	CHECK(wait_until(has_failed, &failures, 20000));
	wait_state(0, "absent");
	CHECK(wait_until(all_returned, NULL, 20000));
	CHECK(for_each_block(0, block_is_ours) == 0);
	CHECK(write_file(INJECT "MEM_GOING_ONLINE/error", "0", 0) == 0);
	/* This one, or another that was not refused: the request is met. */
	CHECK(wait_until(any_populated, NULL, 20000));
	run_claimed(use_memory);
	forget_maps();
}

static bool is_unmapping(void *id)
{
	return has_state(*(unsigned int *)id, "unmapping");
}

/* The lowest one, unless that waits for its time after a failure. */
static unsigned int find_populated(void)
{
	unsigned int id = 0;

	while (id < partition_count && !has_state(id, "populated"))
		id++;
	CHECK(id < partition_count);
	return id;
}

/* A map that cannot be removed for a while. */
static void test_veto_offline(void)
{
	unsigned int id;

	forget_maps();
	populate(1);
	id = find_populated();
	populate(0);
	CHECK(write_file(INJECT "MEM_GOING_OFFLINE/error", "-16", 0) == 0);
	set_knob("keep_memmap", 0);
	CHECK(wait_until(is_unmapping, &id, 20000));
	/* Others are not held up. */
	if (partition_count > 1) {
		set_knob("keep_memmap", 1);
		host_request(1);
		CHECK(wait_until(any_populated, NULL, 20000));
	}
	CHECK(has_state(id, "unmapping"));
	CHECK(write_file(INJECT "MEM_GOING_OFFLINE/error", "0", 0) == 0);
	wait_state(id, "absent");
	forget_maps();
}

/* Boot memory in pieces: the map is made of single pages. */
static void test_fragmented(void)
{
	static const char *const set[][2] = { { "probability", "100" }, { "interval", "1" }, { "times", "-1" }, { "min-order", "9" },
					      { "ignore-gfp-wait", "N" }, { "verbose", "0" } };
	char path[64];

	forget_maps();
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/fail_page_alloc/%s", set[i][0]);
		CHECK_MSG(write_file(path, set[i][1], 0) == 0, "%s", path);
	}
	populate(1);
	CHECK(write_file("/sys/kernel/debug/fail_page_alloc/probability", "0", 0) == 0);
	run_claimed(use_memory);
	forget_maps();
}

const struct test maps_fail_tests[] = {
	{ "maps: a hot-add that is refused, and its retry", test_veto_online },
	{ "maps: a removal that is refused, and its retry", test_veto_offline },
	{ "maps: from fragmented boot memory", test_fragmented },
	{ NULL, NULL },
};

/* The map is larger than boot memory: refused before it takes any. */
static void test_no_room(void)
{
	uint64_t failures = counter("map_failures"), oom = vmstat("oom_kill");

	host_request(1);
	CHECK(wait_until(has_failed, &failures, 20000));
	wait_state(0, "absent");
	CHECK(partition_value(0, "plugged_bytes") == 0);
	CHECK(counter("requests_plug") == 0);
	CHECK(vmstat("oom_kill") == oom);
	/* What a host sees of it: it has asked for a partition, and the device has plugged nothing. */
	CHECK(host_ask("size") == 0);
	CHECK(cg_make("a") == 0);
	CHECK(cg_write_nonblock("a", "memory.squeezy", "auto") == -EAGAIN);
	cg_end("a");
	populate(0);
}

const struct test maps_room_tests[] = {
	{ "maps: no room in boot memory", test_no_room },
	{ NULL, NULL },
};
