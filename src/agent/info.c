// SPDX-License-Identifier: Apache-2.0
#include "agent/info.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/container.h"
#include "agent/events.h"
#include "agent/pri.h"
#include "base/fd.h"

#define SYSFS			"/sys/kernel/mm/squeezy"
#define PARTITIONS_MAX		1024
#define PAGE_BYTES		4096

struct state_watch {
	struct pri_watch watch;
	struct agent *agent;
	unsigned int partition;
	char last[16];
};

/* A state is one short word. */
static void read_state(int fd, char state[16])
{
	ssize_t n = pread(fd, state, 15, 0);

	state[n > 0 ? n : 0] = '\0';
	state[strcspn(state, "\n")] = '\0';
}

static void on_state(struct pri_watch *watch)
{
	struct state_watch *state = watch->userdata;
	char now[16];

	read_state(watch->fd, now);
	if (!strcmp(now, state->last))
		return;
	memcpy(state->last, now, sizeof(now));
	events_partition(state->agent->events, state->partition, now);
}

/* The watches live as long as the VM. */
static void watch_states(struct agent *agent)
{
	struct state_watch *states = calloc(agent->partitions, sizeof(*states));

	for (unsigned int i = 0; states && i < agent->partitions; i++) {
		struct state_watch *state = &states[i];
		char path[80];
		int fd;

		snprintf(path, sizeof(path), SYSFS "/partition%u/state", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		state->agent = agent;
		state->partition = i;
		state->watch.changed = on_state;
		state->watch.userdata = state;
		read_state(fd, state->last);
		pri_add(agent->pri, &state->watch, fd);
	}
}

void info_boot(struct agent *agent)
{
	if (file_read_u64(AT_FDCWD, SYSFS "/partitions", &agent->partitions) < 0 ||
	    file_read_u64(AT_FDCWD, SYSFS "/partition_bytes", &agent->partition_bytes) < 0 || agent->partitions > PARTITIONS_MAX)
		agent->partitions = 0;
	if (agent->partitions)
		watch_states(agent);
}

void info_hello(struct agent *agent, struct h2_call *call)
{
	json_t *squeezy = json_null();
	struct utsname name;

	uname(&name);
	if (agent->partitions)
		squeezy = json_pack("{s:I, s:I}", "partitions", (json_int_t)agent->partitions, "partition_bytes",
				    (json_int_t)agent->partition_bytes);
	answer_json(call, 200, json_pack("{s:i, s:s, s:s, s:I, s:o, s:I}", "protocol", 1, "agent", SQUEEZY_VERSION, "kernel", name.release,
					 "boot_ns", (json_int_t)agent->boot_ns, "squeezy", squeezy, "vcpus",
					 (json_int_t)sysconf(_SC_NPROCESSORS_ONLN)));
}

/* The number after key, at the start of a line of text; 0 if there is none. */
static uint64_t number_after(const char *text, const char *key)
{
	size_t len = strlen(key);
	uint64_t value = 0;

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, key, len) || (text[len] != ' ' && text[len] != ':'))
			continue;
		sscanf(text + len + 1, " %" SCNu64, &value);
		break;
	}
	return value;
}

/* The beginning of a file that may be larger than the buffer: zoneinfo grows with the partitions, and node 0 comes first. */
static void read_beginning(const char *path, char *text, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && used < size - 1) {
		n = read(fd, text + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	text[used] = '\0';
}

/* Bytes that node 0's movable zone has: present (plugged) and managed. */
static void movable(uint64_t *ret_present, uint64_t *ret_managed)
{
	static char text[16384];
	const char *zone;

	*ret_present = *ret_managed = 0;
	read_beginning("/proc/zoneinfo", text, sizeof(text));
	zone = strstr(text, "Node 0, zone  Movable");
	if (!zone)
		return;
	zone = strstr(zone, "\n        present ");
	if (!zone)
		return;
	*ret_present = number_after(zone + 1, "        present") * PAGE_BYTES;
	*ret_managed = number_after(zone + 1, "        managed") * PAGE_BYTES;
}

static json_t *counters(void)
{
	json_t *object = json_object();
	DIR *dir = opendir(SYSFS "/counters");
	struct dirent *entry;
	uint64_t value;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && file_read_u64(dirfd(dir), entry->d_name, &value) == 0)
			json_object_set_new(object, entry->d_name, json_integer((json_int_t)value));
	}
	if (dir)
		closedir(dir);
	return object;
}

static json_t *partition(unsigned int id)
{
	static const char *const files[] = { "free_bytes", "managed_bytes", "released_ns", "drain_start_ns", "drained_ns", "returned_ns",
					     "populate_start_ns", "populated_ns" };
	char path[64], state[16] = "unknown";
	cleanup_fd int dir = -1;
	json_t *object;
	uint64_t value;

	snprintf(path, sizeof(path), SYSFS "/partition%u", id);
	dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir >= 0)
		file_read_text(dir, "state", state, sizeof(state));
	object = json_pack("{s:i, s:s}", "id", (int)id, "state", state);
	for (size_t i = 0; dir >= 0 && i < sizeof(files) / sizeof(files[0]); i++) {
		if (file_read_u64(dir, files[i], &value) == 0)
			json_object_set_new(object, files[i], json_integer((json_int_t)value));
	}
	return object;
}

static json_t *squeezy(const struct agent *agent)
{
	json_t *list;

	if (!agent->partitions)
		return json_null();
	list = json_array();
	for (unsigned int i = 0; i < agent->partitions; i++)
		json_array_append_new(list, partition(i));
	return json_pack("{s:I, s:o, s:o}", "partition_bytes", (json_int_t)agent->partition_bytes, "counters", counters(), "partitions", list);
}

void info_memory(struct agent *agent, struct h2_call *call)
{
	static char vmstat[16384], meminfo[8192], node0[8192];
	uint64_t present, managed;
	json_t *migrations;

	read_beginning("/proc/vmstat", vmstat, sizeof(vmstat));
	read_beginning("/proc/meminfo", meminfo, sizeof(meminfo));
	read_beginning("/sys/devices/system/node/node0/meminfo", node0, sizeof(node0));
	movable(&present, &managed);
	migrations = json_pack("{s:I, s:I, s:I}", "pgmigrate_success", (json_int_t)number_after(vmstat, "pgmigrate_success"), "pgmigrate_fail",
			       (json_int_t)number_after(vmstat, "pgmigrate_fail"), "thp_migration_success",
			       (json_int_t)number_after(vmstat, "thp_migration_success"));
	answer_json(call, 200, json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I}", "now_ns", (json_int_t)clock_ns(CLOCK_BOOTTIME),
					 "node0_free_bytes", (json_int_t)number_after(node0, "Node 0 MemFree") * 1024, "movable_bytes",
					 (json_int_t)managed, "squeezy", squeezy(agent), "vmstat", migrations, "memtotal_bytes",
					 (json_int_t)number_after(meminfo, "MemTotal") * 1024, "memavailable_bytes",
					 (json_int_t)number_after(meminfo, "MemAvailable") * 1024, "plugged_movable_bytes",
					 (json_int_t)present));
}

static const char *state_name(enum container_state state)
{
	switch (state) {
	case CONTAINER_CREATING:
		return "creating";
	case CONTAINER_READY:
		return "ready";
	case CONTAINER_RUNNING:
		return "running";
	default:
		return "dead";
	}
}

void info_containers(struct agent *agent, struct h2_call *call)
{
	json_t *list = json_array();
	struct container *container;

	LIST_FOREACH(container, &agent->containers, entry) {
		int held = container->claim.partition;

		if (container->state == CONTAINER_GONE)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:I}", "id", container->request.id, "kind",
						      container->request.kind, "partition", held >= 0 ? json_integer(held) : json_null(),
						      "state", state_name(container->state), "memory_bytes",
						      (json_int_t)container->request.memory_bytes, "memory_current_bytes",
						      (json_int_t)cgroup_u64(&container->cgroup, "memory.current"), "pids",
						      (json_int_t)cgroup_u64(&container->cgroup, "pids.current")));
	}
	answer_json(call, 200, json_pack("{s:o}", "containers", list));
}
