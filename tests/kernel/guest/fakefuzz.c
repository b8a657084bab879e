// SPDX-License-Identifier: Apache-2.0
/*
 * Anything in any order: what the device says and does, and what cgroups do meanwhile. "fuzz=SEED,SECONDS" on the kernel command
 * line says which random walk and how long; a failure names its seed and step.
 */
#include "fake.h"
#include "maps.h"
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define MIB (1ul << 20)
#define WALKER "/sys/kernel/debug/squeezy/check"
#define STEPS_PER_LOOK 200

static struct slot {
	const char *cgroup;
	pid_t pid;
} slots[] = { { "a", 0 }, { "b", 0 }, { "c", 0 } };

static unsigned int seed;

/* What every walk must have done, or it has shown nothing. */
static struct {
	unsigned int claims, requests, losses, replacements;
} done;

static unsigned int below(unsigned int limit)
{
	return (unsigned int)rand_r(&seed) % limit;
}

/* Memory of an instance keeps what was written, whatever the device does. */
static void live(void *arg)
{
	unsigned int mine = (unsigned int)getpid();

	for (;;) {
		size_t bytes = (1 + (unsigned int)rand_r(&mine) % 32) * MIB;
		char value = (char)rand_r(&mine), *mem = map_anon(bytes);

		touch(mem, bytes, value);
		for (size_t i = 0; i < bytes; i += 4096)
			CHECK(mem[i] == value);
		munmap(mem, bytes);
	}
}

static void end_slot(struct slot *s)
{
	int status;

	if (s->pid) {
		CHECK(cg_write(s->cgroup, "cgroup.kill", "1") == 0);
		/* It may not have come into the cgroup yet. */
		kill(s->pid, SIGKILL);
		status = wait_for(s->pid);
		CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "an instance ended with %#x", status);
		cg_end(s->cgroup);
	}
	s->pid = 0;
}

static void claim_slot(struct slot *s)
{
	int rc;

	if (s->pid)
		return;
	CHECK(cg_make(s->cgroup) == 0);
	rc = cg_write_nonblock(s->cgroup, "memory.squeezy", "auto");
	CHECK_MSG(rc == 0 || rc == -EAGAIN || rc == -ENODEV, "claim: %d", rc);
	if (rc)
		cg_end(s->cgroup);
	else
		s->pid = start_in(s->cgroup, live, NULL);
	done.claims += !rc;
}

static void random_request(void)
{
	uint64_t bytes = below(partition_count + 1) * partition_bytes;

	if (!below(4))
		bytes += below(2) ? 4096 * below(40000) : (uint64_t)rand_r(&seed) << below(40);
	fake_request(bytes);
	done.requests++;
}

static void random_answers(void)
{
	static const char *const words[] = { "ack", "ack", "ack:3", "nack", "busy", "error", "nack:4", "late:3", "late:30", "long" };
	char script[512];
	size_t len = 0;

	script[0] = '\0';
	for (unsigned int n = below(12); n; n--)
		len += (size_t)snprintf(script + len, sizeof(script) - len, "%s ", words[below(LEN(words))]);
	fake_write("answers", len ? script : " ");
}

static void random_register(void)
{
	static const char *const files[] = { "config/usable_region_size", "config/plugged_size", "config/requested_other" };
	uint64_t value = below(3) ? below(partition_count + 2) * partition_bytes : (uint64_t)rand_r(&seed) << below(40);

	fake_set(files[below(LEN(files))], value);
	fake_set("interrupts", 1);
}

/* After any of these the driver must not trust the device any more, sooner or later. */
static void lose_device(void)
{
	static const char *const fatal[] = { "garbage", "short", "empty", "unwritten", "bad-id", "free-id", "never", "lost", "twice",
					     "jump", "late:800" };

	done.losses++;
	switch (below(4)) {
	case 0:
		fake_set("broken", 1);
		break;
	case 1:
		fake_set("status", 64);
		fake_set("interrupts", 1);
		break;
	case 2:
		fake_pull_out();
		break;
	default:
		fake_set("answer_timeout_ms", 200);
		fake_write("answers", fatal[below(LEN(fatal))]);
	}
}

static bool none_is_late(void *arg)
{
	return count_state("released") == 0;
}

/* A new device, with a configuration that cannot be every now and then; then another one. */
static void replace_device(void)
{
	for (size_t i = 0; i < LEN(slots); i++)
		end_slot(&slots[i]);
	if (fake_value("registered"))
		fake_pull_out();
	/* It would be refused for a partition that has not got its pages back. */
	CHECK(wait_until(none_is_late, NULL, 20000));
	fake_make_honest();
	if (!below(3)) {
		static const char *const files[] = { "block_size", "addr", "region_size" };
		char file[32];

		snprintf(file, sizeof(file), "config/%s", files[below(LEN(files))]);
		fake_set(file, (uint64_t)rand_r(&seed) << below(40));
		fake_plug_in();
		fake_pull_out();
		fake_make_honest();
	}
	fake_set("config/block_size", 4096ul << below(16));
	if (below(2)) {
		fake_set("config/plugged_size", partition_bytes);
		fake_write("answers", "busy:2 late:20");
	}
	fake_plug_in();
	fake_set("config/plugged_size", UINT64_MAX);
	done.replacements++;
}

static void step(void)
{
	unsigned int dice = below(100);

	if (dice < 30 && fake_value("registered"))
		random_request();
	else if (dice < 45)
		random_answers();
	else if (dice < 50 && fake_value("registered"))
		fake_set("interrupts", 1 + below(50));
	else if (dice < 55 && fake_value("registered"))
		random_register();
	else if (dice < 75)
		claim_slot(&slots[below(LEN(slots))]);
	else if (dice < 90)
		end_slot(&slots[below(LEN(slots))]);
	else if (dice < 92 && fake_value("registered"))
		lose_device();
	else if (dice < 93)
		replace_device();
	sleep_ms(below(4));
}

static void look(void)
{
	CHECK(fake_value("violations") == 0);
	if (!access(WALKER, R_OK)) {
		char text[256] = "";
		FILE *f = fopen(WALKER, "re");

		CHECK(f && fread(text, 1, sizeof(text) - 1, f) > 0);
		fclose(f);
		CHECK_MSG(!strncmp(text, "ok", 2), "%s", text);
	}
}

static bool has_done_all(uint64_t plugs, uint64_t unplugs)
{
	return done.claims && done.requests && done.losses && done.replacements && counter("requests_plug") > plugs &&
	       counter("requests_unplug") > unplugs;
}

static void test_fuzz(void)
{
	const char *setting = getenv("fuzz");
	unsigned int seconds = 10, steps = 0;
	uint64_t plugs = counter("requests_plug"), unplugs = counter("requests_unplug");
	time_t end;

	seed = 1;
	CHECK(!setting || sscanf(setting, "%u,%u", &seed, &seconds) == 2);
	printf("# seed %u, %u s\n", seed, seconds);
	fake_start();
	end = time(NULL) + seconds;
	while (time(NULL) < end + (has_done_all(plugs, unplugs) ? 0 : 4 * seconds)) {
		if (++steps % STEPS_PER_LOOK == 0)
			look();
		step();
	}
	printf("# %u steps: %u claims, %u requests, %u losses, %u devices\n", steps, done.claims, done.requests, done.losses,
	       done.replacements);
	CHECK(has_done_all(plugs, unplugs));
	replace_device();
	fake_end();
	look();
	fake_start();
	fake_populate(partition_count);
	fake_end();
}

const struct test fakefuzz_tests[] = {
	{ "a random walk", test_fuzz },
	{ NULL, NULL },
};
