// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime of kind "bench": an instance whose memory the benchmark controls exactly. Speaks ActionLoop as the Python launcher does, but its
 * code is built in; /init is accepted and ignored. A run's value chooses:
 *
 *   {"op":"fill","bytes":N,"thp":true|false}  grow anonymous memory by N bytes (rounded up to pages) and write all of it
 *   {"op":"write","ms":T}                     write pages at random places for T ms
 *   {"op":"check"}                            read everything back and compare
 *   {"op":"stat"}
 *
 * Every answer holds "touched_bytes"; write adds "writes", check adds "bad_bytes". Memory comes in regions straight from mmap, so that what
 * is touched is what was asked for.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REGIONS_MAX	65536
#define PAGE		4096u
#define HUGE_PAGE	(2ul << 20)

static struct region {
	uint64_t *words;
	size_t bytes;
} regions[REGIONS_MAX];
static size_t n_regions;
static uint64_t touched;

/* The content of a word follows from where it is; never zero. */
static uint64_t pattern(size_t region, size_t word)
{
	uint64_t x = ((uint64_t)region << 40) + word + 1;

	x *= 0x9e3779b97f4a7c15ull;
	return (x ^ x >> 29) | 1;
}

/* First and last word of each page: enough to touch it and to notice a page that was lost or mixed up. */
static void write_page(size_t region, size_t page)
{
	size_t word = page * (PAGE / 8);

	regions[region].words[word] = pattern(region, word);
	word += PAGE / 8 - 1;
	regions[region].words[word] = pattern(region, word);
}

static bool page_good(size_t region, size_t page)
{
	size_t first = page * (PAGE / 8), last = first + PAGE / 8 - 1;

	return regions[region].words[first] == pattern(region, first) && regions[region].words[last] == pattern(region, last);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static json_t *fail(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static json_t *stat_answer(void)
{
	return json_pack("{s:I}", "touched_bytes", (json_int_t)touched);
}

/* Huge pages need an aligned range: map more and give the ends back. */
static void *map_aligned(size_t bytes, bool thp)
{
	size_t slack = thp ? HUGE_PAGE : 0, head;
	char *start = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED || !thp)
		return start;
	head = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
	if (head)
		munmap(start, head);
	if (slack - head)
		munmap(start + head + bytes, slack - head);
	madvise(start + head, bytes, MADV_HUGEPAGE);
	return start + head;
}

static json_t *fill(const json_t *value)
{
	json_int_t asked = json_integer_value(json_object_get(value, "bytes"));
	bool thp = json_is_true(json_object_get(value, "thp"));
	size_t bytes;
	void *start;

	if (asked <= 0 || asked > (json_int_t)1 << 46)
		return fail("fill: \"bytes\" must be a positive whole number");
	if (n_regions == REGIONS_MAX)
		return fail("fill: too many regions");
	bytes = ((size_t)asked + PAGE - 1) / PAGE * PAGE;
	start = map_aligned(bytes, thp);
	if (start == MAP_FAILED)
		return fail("fill: mmap failed");
	madvise(start, bytes, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	regions[n_regions] = (struct region){ start, bytes };
	for (size_t page = 0; page < bytes / PAGE; page++)
		write_page(n_regions, page);
	n_regions++;
	touched += bytes;
	return stat_answer();
}

static json_t *write_for(const json_t *value)
{
	uint64_t until = now_ns() + (uint64_t)json_integer_value(json_object_get(value, "ms")) * 1000000ull;
	static uint64_t random_state = 88172645463325252ull;
	uint64_t writes = 0;
	json_t *answer;

	while (n_regions && now_ns() < until) {
		for (int i = 0; i < 64; i++, writes++) {
			size_t region;

			random_state ^= random_state << 13;
			random_state ^= random_state >> 7;
			random_state ^= random_state << 17;
			region = (size_t)(random_state >> 40) % n_regions;
			write_page(region, (size_t)(random_state & 0xffffffffff) % (regions[region].bytes / PAGE));
		}
	}
	answer = stat_answer();
	json_object_set_new(answer, "writes", json_integer((json_int_t)writes));
	return answer;
}

static json_t *check(void)
{
	uint64_t bad = 0;
	json_t *answer;

	for (size_t region = 0; region < n_regions; region++) {
		for (size_t page = 0; page < regions[region].bytes / PAGE; page++)
			bad += page_good(region, page) ? 0 : PAGE;
	}
	answer = stat_answer();
	json_object_set_new(answer, "bad_bytes", json_integer((json_int_t)bad));
	return answer;
}

static json_t *run(const json_t *request)
{
	const json_t *value = json_object_get(request, "value");
	const char *op = json_string_value(json_object_get(value, "op"));

	if (op && !strcmp(op, "fill"))
		return fill(value);
	if (op && !strcmp(op, "write"))
		return write_for(value);
	if (op && !strcmp(op, "check"))
		return check();
	if (op && !strcmp(op, "stat"))
		return stat_answer();
	return fail("\"op\" must be fill, write, check or stat");
}

static void answer(const char *text)
{
	if (dprintf(3, "%s\n", text) < 0)
		exit(1);
}

int main(void)
{
	bool initialised = false;
	char *line = NULL;
	size_t room = 0;

	answer("{\"ok\":true}");
	while (getline(&line, &room, stdin) > 0) {
		json_t *request = json_loads(line, 0, NULL), *result;
		char *text;

		if (!request)
			return 1;
		result = initialised ? run(request) : json_pack("{s:b}", "ok", 1);
		initialised = true;
		text = json_dumps(result, JSON_COMPACT);
		if (!text)
			return 1;
		answer(text);
		free(text);
		json_decref(result);
		json_decref(request);
	}
	return 0;
}
