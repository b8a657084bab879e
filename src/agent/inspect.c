// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/descriptors.h"
#include "base/fd.h"

#define SYSFS			"/sys/kernel/mm/squeezy"
#define PARTITIONS		"/v1/partitions/"
/* The host reads at most 64 KiB of an answer; a candidate takes some 120 bytes. */
#define CANDIDATES_MAX		200
#define TASKS_MAX		200
/* The agent's only loop stands still meanwhile. */
#define SEARCH_NS		250000000ull

bool inspect_path(const char *path, unsigned int *ret_id)
{
	const char *number = path + sizeof(PARTITIONS) - 1;
	char *end;

	if (strncmp(path, PARTITIONS, sizeof(PARTITIONS) - 1) || !isdigit((unsigned char)number[0]))
		return false;
	*ret_id = (unsigned int)strtoul(number, &end, 10);
	return *end == '\0' && end - number <= 4;
}

/* Every file of the partition's holders folder is a number of bytes. */
static json_t *read_holders(int partition)
{
	int fd = openat(partition, "holders", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	json_t *holders = json_object();
	struct dirent *entry;
	uint64_t value;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && file_read_u64(dirfd(dir), entry->d_name, &value) == 0)
			json_object_set_new(holders, entry->d_name, json_integer((json_int_t)value));
	if (dir)
		closedir(dir);
	else
		fd_close(&fd);
	return holders;
}

/* The tasks behind a list of process ids. One that has gone meanwhile holds nothing any more. */
static json_t *read_tasks(int partition, bool *truncated)
{
	json_t *tasks = json_array(), *task;
	char text[4096], *rest, *word;

	if (file_read_text(partition, "mapped_by", text, sizeof(text)) < 0)
		return tasks;
	for (word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (json_array_size(tasks) == TASKS_MAX) {
			*truncated = true;
			break;
		}
		task = descriptors_task((pid_t)atoi(word));
		if (task)
			json_array_append_new(tasks, task);
	}
	return tasks;
}

static json_t *read_partition(int partition, unsigned int id, const char *reason)
{
	char state[16] = "unknown";
	uint64_t missing = 0;

	file_read_text(partition, "state", state, sizeof(state));
	file_read_u64(partition, "missing_bytes", &missing);
	return json_pack("{s:i, s:s, s:I, s:s, s:o}", "partition", (int)id, "state", state, "missing_bytes", (json_int_t)missing,
			 "busy_reason", reason, "holders", read_holders(partition));
}

void inspect_partition(const struct agent *agent, unsigned int id, struct h2_call *call)
{
	char path[64], reason[32] = "none";
	cleanup_fd int partition = -1;
	bool truncated = false, more = false;
	json_t *answer, *descriptors;

	snprintf(path, sizeof(path), SYSFS "/partition%u", id);
	if (id < agent->partitions)
		partition = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (partition < 0) {
		answer_error(call, 404, "unknown", "there is no partition %u: this VM has %u, counted from 0", id,
			     (unsigned int)agent->partitions);
		return;
	}
	file_read_text(partition, "busy_reason", reason, sizeof(reason));
	answer = read_partition(partition, id, reason);
	json_object_set_new(answer, "tasks", read_tasks(partition, &more));
	/* Looking through all descriptors is worth it only when something is in the way. */
	descriptors = strcmp(reason, "none") ? descriptors_find(CANDIDATES_MAX, clock_ns(CLOCK_MONOTONIC) + SEARCH_NS, &truncated) :
					       json_array();
	json_object_set_new(answer, "descriptors", descriptors);
	json_object_set_new(answer, "truncated", json_boolean(truncated || more));
	answer_json(call, 200, answer);
}
