// SPDX-License-Identifier: Apache-2.0
#include "fake.h"
#include "hostile.h"
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKE "/sys/kernel/debug/squeezy/fake/"
#define ANSWER_TIMEOUT_MS 60000
/* A device block of 4 KiB and a machine that does other things as well. */
#define FOLLOW_TIMEOUT_MS 40000

static uint64_t memory_addr, memory_bytes;

void fake_write(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), FAKE "%s", file);
	CHECK_MSG(write_file(path, text, 0) == 0, "%s: '%s'", file, text);
}

void fake_set(const char *file, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	fake_write(file, text);
}

uint64_t fake_value(const char *file)
{
	char path[128], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), FAKE "%s", file);
	f = fopen(path, "re");
	CHECK_MSG(f && fgets(text, sizeof(text), f), "%s", file);
	fclose(f);
	return strtoull(text, NULL, 10);
}

void fake_make_honest(void)
{
	if (!memory_bytes) {
		memory_addr = fake_value("config/addr");
		memory_bytes = fake_value("config/region_size");
	}
	fake_write("answers", " ");
	fake_set("answer_timeout_ms", ANSWER_TIMEOUT_MS);
	fake_set("config/block_size", 2ul << 20);
	fake_set("config/node_id", 0);
	fake_set("config/addr", memory_addr);
	fake_set("config/region_size", memory_bytes);
	fake_set("config/usable_region_size", memory_bytes);
	fake_set("config/plugged_size", UINT64_MAX);
	fake_set("config/requested_size", 0);
	fake_set("config/requested_other", 0);
	fake_set("plug_most", 0);
}

static bool has(void *bytes)
{
	return fake_value("plugged_bytes") == *(uint64_t *)bytes;
}

void fake_wait_has(uint64_t bytes)
{
	CHECK(wait_until(has, &bytes, 20000));
}

void fake_plug_in(void)
{
	fake_set("registered", 1);
}

static void pull_out(void *arg)
{
	fake_set("registered", 0);
}

static bool has_ended(void *arg)
{
	int status;

	return waitpid(*(pid_t *)arg, &status, WNOHANG) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void fake_pull_out(void)
{
	pid_t pid = start_in(NULL, pull_out, NULL);

	CHECK_MSG(wait_until(has_ended, &pid, 20000), "the device does not go");
}

/* The machine has no other virtio-mem device. */
bool fake_has_driver(const char *name)
{
	DIR *dir = opendir("/sys/bus/virtio/devices");
	struct dirent *entry;
	bool found = false;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		char link[320], target[256] = "";

		snprintf(link, sizeof(link), "/sys/bus/virtio/devices/%s/driver", entry->d_name);
		if (readlink(link, target, sizeof(target) - 1) > 0 && strrchr(target, '/'))
			found |= !strcmp(strrchr(target, '/') + 1, name);
	}
	closedir(dir);
	return found;
}

static void start(uint64_t block_size)
{
	if (fake_value("registered"))
		fake_pull_out();
	fake_make_honest();
	fake_set("config/block_size", block_size);
	fake_plug_in();
	fake_wait_plugged(0);
}

void fake_start(void)
{
	start(2ul << 20);
}

void fake_start_coarse(void)
{
	start(partition_bytes);
}

void fake_end_lost(void)
{
	if (fake_value("registered"))
		fake_pull_out();
	CHECK_MSG(fake_value("violations") == 0, "%" PRIu64 " violations", fake_value("violations"));
}

void fake_end(void)
{
	fake_write("answers", " ");
	fake_set("config/requested_other", 0);
	fake_populate(0);
	fake_end_lost();
}

void fake_request(uint64_t bytes)
{
	fake_set("config/requested_size", bytes);
	fake_set("interrupts", 1);
}

/* Not a partition that is on its way in or out. */
static bool driver_has(unsigned int wanted)
{
	unsigned int plugged = 0;

	for (unsigned int i = 0; i < partition_count; i++) {
		uint64_t bytes = partition_value(i, "plugged_bytes");
		bool out = has_state(i, "absent") || has_state(i, "parked");

		if (bytes == partition_bytes && !out && !has_state(i, "mapping") && !has_state(i, "draining"))
			plugged++;
		else if (bytes || !out)
			return false;
	}
	return plugged == wanted;
}

static bool all_have(void *arg)
{
	unsigned int *wanted = arg;

	return driver_has(*wanted) && fake_value("plugged_bytes") == *wanted * partition_bytes;
}

void fake_wait_plugged(unsigned int partitions)
{
	CHECK_MSG(wait_until(all_have, &partitions, FOLLOW_TIMEOUT_MS), "%u partitions are not plugged", partitions);
}

void fake_populate(unsigned int partitions)
{
	fake_request(partitions * partition_bytes);
	fake_wait_plugged(partitions);
}

/* A claim that cannot be served at once says whether it ever could; one that is served says nothing. */
bool fake_is_given_up(void)
{
	int rc;

	if (access("/sys/fs/cgroup/probe", F_OK))
		CHECK(cg_make("probe") == 0);
	rc = cg_write_nonblock("probe", "memory.squeezy", "auto");
	cg_end("probe");
	CHECK_MSG(rc == -EAGAIN || rc == -ENODEV, "claim: %d", rc);
	return rc == -ENODEV;
}

static bool given_up(void *arg)
{
	return fake_is_given_up();
}

void fake_wait_given_up(void)
{
	CHECK_MSG(wait_until(given_up, NULL, 20000), "the device is not given up");
}

void fake_use_partition(void *arg)
{
	size_t bytes = partition_bytes * 3 / 4;
	char *mem = map_anon(bytes);

	for (size_t i = 0; i < bytes; i += PAGE) {
		for (size_t j = 0; j < PAGE; j += sizeof(long))
			CHECK(*(long *)(mem + i + j) == 0);
		mem[i] = 0x55;
	}
}

void fake_claim_and_use(const char *cgroup)
{
	claim_new(cgroup);
	CHECK(run_in(cgroup, fake_use_partition, NULL) == 0);
	cg_end(cgroup);
}

struct waiting_claim {
	const char *cgroup;
	int expected;
};

static void claim(void *arg)
{
	struct waiting_claim *w = arg;

	CHECK(cg_write(w->cgroup, "memory.squeezy", "auto") == w->expected);
}

pid_t fake_start_claim(const char *cgroup, int expected)
{
	struct waiting_claim w = { cgroup, expected };
	pid_t pid;

	CHECK(cg_make(cgroup) == 0);
	pid = start_in(NULL, claim, &w);
	wait_blocked(pid);
	return pid;
}
