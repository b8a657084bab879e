// SPDX-License-Identifier: Apache-2.0
/* squeezy down: asks the daemon to end, and waits until it has. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/verbs.h"

#define WAIT_MS 30000
#define POLL_MS 100

int verb_down(int argc, char **argv, struct err *err)
{
	struct client client;
	struct words words;
	struct reply reply;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 0, 0, "down", &words, err);
	if (r == 0)
		r = client_call(&client, "POST", "/squeezy/v1/shutdown", NULL, NULL, err);
	if (r < 0)
		return verb_status_of(r);
	for (int ms = 0; ms < WAIT_MS; ms += POLL_MS) {
		if (client_request(&client, "GET", "/ping", NULL, &reply, NULL) < 0) {
			puts("squeezyd has ended");
			return 0;
		}
		json_decref(reply.json);
		usleep(POLL_MS * 1000);
	}
	return verb_status_of(err_set(err, ETIMEDOUT, "squeezyd still answers after %d s", WAIT_MS / 1000));
}
