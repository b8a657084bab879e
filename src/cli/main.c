// SPDX-License-Identifier: Apache-2.0
/* squeezy: the verb table. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/bench.h"
#include "cli/verbs.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
	const char *usage;
} verbs[] = {
	{ "up", verb_up, "[--foreground] [squeezyd option...]   start the daemon" },
	{ "down", verb_down, "end the daemon and its VMs" },
	{ "ps", verb_ps, "VMs and the instances in them" },
	{ "top", verb_top, "[--count N] [--interval SEC]   memory of VMs and what the host holds of it" },
	{ "status", verb_status, "[--json]   one line, or everything as JSON" },
	{ "action", verb_action, "create|update|get|delete|list ...   functions" },
	{ "invoke", verb_invoke, "NAME [--param KEY VALUE]... [--body FILE|-] [--no-wait] [--result]   call a function" },
	{ "activation", verb_activation, "list|get|logs|result ...   past calls" },
	{ "reclaims", verb_reclaims, "[--json]   memory that came back from ended instances, and how fast" },
	{ "backup", verb_backup, "FILE   copy the running daemon's database (squeezyd --restore brings it back)" },
	{ "inspect", verb_inspect, "[VM [PARTITION]] [--json]   who holds the memory of partitions" },
	{ "evict", verb_evict, "[INSTANCE]   end one idle instance, or all" },
	{ "bench", verb_bench, "EXPERIMENT [option...]   measure, with VMs of its own" },
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

int verb_status_of(int r)
{
	if (r == 0)
		return 0;
	return r == -EINVAL ? 2 : 1;
}

int verb_bench(int argc, char **argv, struct err *err)
{
	return bench_main(argc, argv);
}

static void help(FILE *out)
{
	fprintf(out, "usage: squeezy VERB ...\n\n");
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(out, "  %-11s %s\n", verbs[i].name, verbs[i].usage);
	fprintf(out, "\nVerbs that talk to the daemon take --url URL, --state DIR and --key-file FILE, or SQUEEZY_URL and SQUEEZY_KEY_FILE\n"
		     "from the environment; the usual place is http://127.0.0.1:3233 and /var/lib/squeezy.\n");
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	int status;

	log_init("squeezy", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		help(argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("squeezy %s\n", SQUEEZY_VERSION);
		return 0;
	}
	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(verbs[i].name, argv[1]))
			continue;
		status = verbs[i].run(argc - 1, argv + 1, &err);
		if (err.code)
			log_error("%s", err.text);
		return status;
	}
	log_error("there is no verb '%s'; `squeezy help` lists them", argv[1]);
	return 2;
}
