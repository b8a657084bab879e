// SPDX-License-Identifier: Apache-2.0
/* squeezy bench invoke: what the daemon itself costs. */
#include "cli/bench-invoke.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/bench.h"
#include "cli/bench-options.h"
#include "cli/bench-stats.h"

#define CLIENTS		64
#define ROUNDS_MAX	15
#define LIST_ROUNDS	9
#define ACTION		"/api/v1/namespaces/_/actions/warm"
/* The bars of the daemon's front: CPU per warm call, calls a second, idle connections, and that lists do not slow down. */
#define CPU_US_MAX	150.0
#define CALLS_MIN	5000.0
#define IDLE_MAX	(200ull << 20)
#define SLOPE_MAX	1.5

struct sizes {
	unsigned int rounds, calls, idle, actions, activations;
};

static const struct sizes whole = { .rounds = 9, .calls = 20000, .idle = 10000, .actions = 1000, .activations = 100000 };
static const struct sizes quick = { .rounds = 1, .calls = 500, .idle = 200, .actions = 150, .activations = 300 };

/* Microseconds of the daemon for each row of a list, when the collection has so many entities. */
struct list_cost {
	const char *collection;
	unsigned int entities[2];
	double row_us[2][LIST_ROUNDS];
};

struct measured {
	double cpu_us[ROUNDS_MAX], calls_s[ROUNDS_MAX];
	uint64_t rss_before, rss_after;
	struct list_cost lists[2];
};

struct bench {
	struct event_base *base;
	const struct bench_options *options;
	const struct sizes *sizes;
	struct bench_daemon daemon;
	struct measured measured;
};

static int ask(struct bench *bench, const struct bench_ask *what, unsigned int clients, unsigned int requests, struct bench_load *ret,
	       struct err *err)
{
	*ret = (struct bench_load){ .clients = clients < requests ? clients : requests, .requests = requests };
	if (bench_load_run(bench->base, &bench->daemon, what, ret, err) < 0)
		return -err->code;
	return ret->refused ? err_set(err, EPROTO, "%u of %u requests were refused (%s %s)", ret->refused, requests, what->method, what->path) : 0;
}

static const struct bench_ask call = { "POST", ACTION "?blocking=true", "{\"a\": 1}", false };

static int measure_calls(struct bench *bench, struct err *err)
{
	static const struct bench_ask make = { "PUT", ACTION, "{\"exec\": {\"kind\": \"python:3\", \"code\": \"echo\"}}", false };
	struct bench_load load;
	int r = ask(bench, &make, 1, 1, &load, err);

	/* As many instances as there are clients, so that every call is a warm one. */
	if (r == 0)
		r = ask(bench, &call, CLIENTS, CLIENTS * 10, &load, err);
	for (unsigned int i = 0; r == 0 && i < bench->sizes->rounds; i++) {
		uint64_t before = bench_daemon_cpu_ns(&bench->daemon);

		r = ask(bench, &call, CLIENTS, bench->sizes->calls, &load, err);
		bench->measured.cpu_us[i] = (double)(bench_daemon_cpu_ns(&bench->daemon) - before) / 1e3 / load.requests;
		bench->measured.calls_s[i] = load.requests / ((double)load.took_ns / 1e9);
	}
	return r;
}

static int measure_idle(struct bench *bench, struct err *err)
{
	struct rlimit limit;
	int *fds, r;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	bench->measured.rss_before = bench_daemon_rss_bytes(&bench->daemon);
	r = bench_idle_open(&bench->daemon, bench->sizes->idle, &fds, err);
	if (r < 0)
		return r;
	bench->measured.rss_after = bench_daemon_rss_bytes(&bench->daemon);
	for (unsigned int i = 0; i < bench->sizes->idle; i++)
		close(fds[i]);
	free(fds);
	return 0;
}

/* Rounds of 50 lists of 100 rows. */
static int measure_list(struct bench *bench, const char *path, double ret_row_us[LIST_ROUNDS], struct err *err)
{
	const struct bench_ask list = { "GET", path, NULL, false };
	struct bench_load load;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < LIST_ROUNDS; i++) {
		uint64_t before = bench_daemon_cpu_ns(&bench->daemon);

		r = ask(bench, &list, 1, 50, &load, err);
		ret_row_us[i] = (double)(bench_daemon_cpu_ns(&bench->daemon) - before) / 1e3 / (50 * 100);
	}
	return r;
}

static int fill(struct bench *bench, const struct bench_ask *what, unsigned int clients, unsigned int count, struct err *err)
{
	struct bench_load load;

	return count ? ask(bench, what, clients, count, &load, err) : 0;
}

static int measure_lists(struct bench *bench, struct err *err)
{
	static const char actions[] = "/api/v1/namespaces/_/actions?limit=100", activations[] = "/api/v1/namespaces/_/activations?limit=100";
	static const struct bench_ask action = { "PUT", "/api/v1/namespaces/_/actions/f%u?overwrite=true",
						 "{\"exec\": {\"kind\": \"python:3\", \"code\": \"echo %u\"}}", true };
	struct list_cost *costs = bench->measured.lists;
	const struct sizes *sizes = bench->sizes;
	int r;

	r = fill(bench, &action, 8, 100, err);
	if (r == 0)
		r = measure_list(bench, actions, costs[0].row_us[0], err);
	if (r == 0)
		r = fill(bench, &action, 8, sizes->actions, err);
	if (r == 0)
		r = measure_list(bench, actions, costs[0].row_us[1], err);
	/* Calls before have left their records: the small list is the first hundred of a new daemon (measure_first_list). */
	if (r == 0)
		r = fill(bench, &call, CLIENTS, sizes->activations, err);
	return r < 0 ? r : measure_list(bench, activations, costs[1].row_us[1], err);
}

/* A hundred records, no more: before everything else. */
static int measure_first_list(struct bench *bench, struct err *err)
{
	static const struct bench_ask make = { "PUT", ACTION "?overwrite=true", "{\"exec\": {\"kind\": \"python:3\", \"code\": \"echo\"}}", false };
	int r = fill(bench, &make, 1, 1, err);

	if (r == 0)
		r = fill(bench, &call, 4, 100, err);
	return r < 0 ? r : measure_list(bench, "/api/v1/namespaces/_/activations?limit=100", bench->measured.lists[1].row_us[0], err);
}

static int measure(struct bench *bench, struct err *err)
{
	static const struct bench_ask drop = { "DELETE", ACTION, NULL, false };
	struct bench_load load;
	int r;

	bench->measured.lists[0] = (struct list_cost){ .collection = "actions", .entities = { 100, bench->sizes->actions } };
	bench->measured.lists[1] = (struct list_cost){ .collection = "activations", .entities = { 100, bench->sizes->activations } };
	r = measure_first_list(bench, err);
	if (r == 0)
		r = ask(bench, &drop, 1, 1, &load, err);
	if (r == 0)
		r = measure_calls(bench, err);
	if (r == 0)
		r = measure_lists(bench, err);
	return r < 0 ? r : measure_idle(bench, err);
}

static struct stats stats_of(const double *values, unsigned int n)
{
	struct stats stats = { 0 };

	(void)stats_compute(values, n, &stats);	/* 1 to ROUNDS_MAX values */
	return stats;
}

static json_t *spread(const double *values, unsigned int n)
{
	struct stats stats = stats_of(values, n);
	json_t *samples = json_array();

	for (unsigned int i = 0; i < n; i++)
		json_array_append_new(samples, json_real(values[i]));
	return json_pack("{s:f, s:f, s:f, s:o}", "median", stats.median, "min", stats.min, "max", stats.max, "samples", samples);
}

static void hold(json_t *list, const char *what, bool held)
{
	json_array_append_new(list, json_pack("{s:s, s:b}", "what", what, "held", held));
}

static json_t *judge(const struct bench *bench)
{
	const struct measured *measured = &bench->measured;
	unsigned int rounds = bench->sizes->rounds;
	json_t *list = json_array();
	char what[128];

	hold(list, "daemon CPU per warm blocking call under 150 microseconds (median)", stats_of(measured->cpu_us, rounds).median < CPU_US_MAX);
	hold(list, "5,000 calls/s with 64 clients and one core for the daemon (best round)", stats_of(measured->calls_s, rounds).max >= CALLS_MIN);
	/* With --quick these are smaller numbers than the bar's: each line says for how many it speaks. */
	snprintf(what, sizeof(what), "%u idle connections under 200 MiB of resident memory", bench->sizes->idle);
	hold(list, what, measured->rss_after < IDLE_MAX);
	for (const struct list_cost *cost = measured->lists; cost < measured->lists + 2; cost++) {
		snprintf(what, sizeof(what), "a row of the list costs the same with %u %s as with %u", cost->entities[1], cost->collection,
			 cost->entities[0]);
		hold(list, what, stats_of(cost->row_us[1], LIST_ROUNDS).median <=
		     stats_of(cost->row_us[0], LIST_ROUNDS).median * SLOPE_MAX);
	}
	return list;
}

static json_t *report(const struct bench *bench, json_t *must_hold)
{
	const struct measured *measured = &bench->measured;
	json_t *lists = json_array();

	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int j = 0; j < 2; j++)
			json_array_append_new(lists, json_pack("{s:s, s:i, s:o}", "collection", measured->lists[i].collection, "entities",
							       (int)measured->lists[i].entities[j], "row_us",
							       spread(measured->lists[i].row_us[j], LIST_ROUNDS)));
	return json_pack("{s:s, s:s, s:i, s:i, s:b, s:o, s:o, s:{s:i, s:I, s:I}, s:o, s:O}", "experiment", "invoke", "agent",
			 "a stand-in that answers at once", "clients", CLIENTS, "calls", (int)bench->sizes->calls, "quick", bench->options->quick,
			 "cpu_us_per_call", spread(measured->cpu_us, bench->sizes->rounds), "calls_per_s",
			 spread(measured->calls_s, bench->sizes->rounds), "idle", "connections", (int)bench->sizes->idle, "resident_before_bytes",
			 (json_int_t)measured->rss_before, "resident_bytes", (json_int_t)measured->rss_after, "lists", lists, "must_hold", must_hold);
}

static void print_table(const struct bench *bench, const json_t *must_hold)
{
	const struct measured *measured = &bench->measured;
	unsigned int rounds = bench->sizes->rounds;
	struct stats cpu = stats_of(measured->cpu_us, rounds), calls = stats_of(measured->calls_s, rounds);
	json_t *line;
	size_t i;

	printf("%u clients, %u calls a round, %u rounds; an agent that answers at once\n", CLIENTS, bench->sizes->calls, rounds);
	printf("daemon CPU per call  %8.1f us (%.1f - %.1f)\n", cpu.median, cpu.min, cpu.max);
	printf("calls per second     %8.0f    (%.0f - %.0f)\n", calls.median, calls.min, calls.max);
	printf("%u idle connections  %llu MiB resident, %llu MiB before\n", bench->sizes->idle, (unsigned long long)measured->rss_after >> 20,
	       (unsigned long long)measured->rss_before >> 20);
	for (i = 0; i < 4; i++) {
		struct stats row = stats_of(measured->lists[i / 2].row_us[i % 2], LIST_ROUNDS);

		printf("a row of %-11s %8.2f us (%.2f - %.2f) with %u entities\n", measured->lists[i / 2].collection, row.median, row.min, row.max,
		       measured->lists[i / 2].entities[i % 2]);
	}
	json_array_foreach(must_hold, i, line)
		printf("%-4s %s\n", json_is_true(json_object_get(line, "held")) ? "held" : "NOT", json_string_value(json_object_get(line, "what")));
}

static bool all_held(const json_t *must_hold)
{
	json_t *line;
	size_t i;

	json_array_foreach(must_hold, i, line)
		if (!json_is_true(json_object_get(line, "held")))
			return false;
	return true;
}

int bench_run_invoke(const struct bench_options *o, struct event_base *base, const char *dir, struct err *err)
{
	struct bench bench = { .base = base, .options = o, .sizes = o->quick ? &quick : &whole };
	json_t *must_hold, *json;
	int r = bench_daemon_start(o->daemon, o->stand_in, dir, &bench.daemon, err);

	if (r < 0)
		return r;
	r = measure(&bench, err);
	bench_daemon_stop(&bench.daemon);
	if (r < 0)
		return r;
	must_hold = judge(&bench);
	json = report(&bench, must_hold);
	if (o->json)
		json_dumpf(json, stdout, JSON_INDENT(1));
	else
		print_table(&bench, must_hold);
	if (o->json)
		printf("\n");
	r = all_held(must_hold) ? 0 : 1;
	json_decref(json);
	json_decref(must_hold);
	return r;
}
