// SPDX-License-Identifier: Apache-2.0
/*
 * A populate waits for nobody's memory hotplug, nor does a drain or its reason. The lock of that is held, for as long as the test wants,
 * by a task that offlines a block of ordinary memory in which a page is pinned: Linux tries that until a signal comes.
 */
#include "hostile.h"
#include "maps.h"
#include "pages.h"
#include "suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS "/sys/devices/system/memory/"

/* As a boot begins, but for what is kept and made ahead. */
static void begin_with(unsigned int kept)
{
	set_knob("prepare_memmap", 0);
	populate(0);
	set_knob("keep_memmap", kept);
	set_knob("prepare_memmap", kept);
	for (unsigned int i = 0; i < partition_count; i++)
		wait_state(i, i < kept ? "parked" : "absent");
}

/* The file that offlines the memory block of a page, which stays pinned by a pipe. */
static void pin_block(int pipe_ends[2], char *ret_path, size_t size)
{
	char *mem = map_anon(PAGE), text[32];
	struct iovec iov = { mem, PAGE };

	touch(mem, PAGE, 1);
	CHECK(pipe(pipe_ends) == 0);
	CHECK(vmsplice(pipe_ends[1], &iov, 1, 0) == (ssize_t)PAGE);
	CHECK(read_file(BLOCKS "block_size_bytes", text, sizeof(text)) == 0);
	snprintf(ret_path, size, BLOCKS "memory%llu/state", (unsigned long long)(pfn_of(mem) * PAGE / strtoull(text, NULL, 16)));
}

/* Does not end by itself. */
static void offline(void *path)
{
	CHECK_MSG(false, "%s: offline is answered %d", (char *)path, write_file(path, "offline", 0));
}

static bool is_going(void *path)
{
	char text[32];

	return !read_file(path, text, sizeof(text)) && !strcmp(text, "going-offline");
}

struct wanted {
	const char *state;
	unsigned int count;
};

static bool state_counts(void *arg)
{
	struct wanted *t = arg;

	return count_state(t->state) == t->count;
}

/* Starts the task that holds the lock; what keeps it there is in the pipe. */
static pid_t hold_lock(int pipe_ends[2], char *path, size_t size)
{
	pid_t holder;

	pin_block(pipe_ends, path, size);
	holder = start_in(NULL, offline, path);
	CHECK_MSG(wait_until(is_going, path, 20000), "%s", path);
	return holder;
}

static void end_holder(pid_t holder, int pipe_ends[2])
{
	kill(holder, SIGINT);
	/* It was at it until now. */
	CHECK(WTERMSIG(wait_for(holder)) == SIGINT);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* Partition 0 gets its memory and returns it while another's map is being made or removed, which cannot end before we let it. */
static void populate_beside(const char *state, unsigned int keep_first, unsigned int keep_then)
{
	struct wanted one = { state, 1 };
	char path[96];
	int pipe_ends[2];
	uint64_t worked;
	pid_t holder;

	begin_with(keep_first);
	holder = hold_lock(pipe_ends, path, sizeof(path));
	worked = counter("maps_made") + counter("maps_removed");
	set_knob("keep_memmap", keep_then);
	set_knob("prepare_memmap", keep_then);
	CHECK_MSG(wait_until(state_counts, &one, 20000), "nothing is %s", state);
	for (int round = 0; round < 3; round++) {
		host_request(1);
		wait_state(0, "populated");
		host_request(0);
		wait_state(0, "parked");
	}
	CHECK(count_state(state) == 1);
	CHECK(counter("maps_made") + counter("maps_removed") == worked);
	end_holder(holder, pipe_ends);
	for (unsigned int i = 0; i < partition_count; i++)
		wait_state(i, i < keep_then ? "parked" : "absent");
	forget_maps();
}

static void test_populate_while_mapping(void)
{
	populate_beside("mapping", 1, partition_count);
}

static void test_populate_while_unmapping(void)
{
	populate_beside("unmapping", partition_count, 1);
}

/* Pages in a pipe are named, and so is who maps others; these move out of the way. */
static void test_reason_beside(void)
{
	int lock_ends[2], pipe_ends[2], nid;
	char path[96];
	unsigned int id;
	pid_t holder, pid;

	begin_with(partition_count);
	id = set_stage();
	nid = partition_nid(id);
	holder = hold_lock(lock_ends, path, sizeof(path));
	pid = start_stopped("a", leave_and_stay, &nid);
	CHECK(is_mapped_by(id, pid));
	/* After the others have been made: they have no copy of it. */
	CHECK(pipe(pipe_ends) == 0);
	CHECK(run_in("a", splice_and_die, pipe_ends) == 0);
	end_instance();
	wait_reason(id, "references");
	CHECK(is_going(path));
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	wait_state(id, "parked");
	CHECK(is_going(path));
	kill(pid, SIGCONT);
	CHECK(wait_for(pid) == 0);
	end_holder(holder, lock_ends);
	forget_maps();
}

const struct test maps_lock_tests[] = {
	{ "maps: a populate does not wait for another partition's map", test_populate_while_mapping },
	{ "maps: nor for the removal of one", test_populate_while_unmapping },
	{ "maps: a late drain waits for nobody's memory hotplug", test_reason_beside },
	{ NULL, NULL },
};
