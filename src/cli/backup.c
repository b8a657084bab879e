// SPDX-License-Identifier: Apache-2.0
/* squeezy backup: a copy of the running daemon's store. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/verbs.h"

/* The daemon has a working directory of its own. */
static int make_absolute(const char *word, char ret[PATH_MAX], struct err *err)
{
	char here[PATH_MAX];
	int n;

	if (!getcwd(here, sizeof(here)))
		return err_set(err, errno, "the working directory: %s", strerror(errno));
	n = snprintf(ret, PATH_MAX, "%s%s%s", word[0] == '/' ? "" : here, word[0] == '/' ? "" : "/", word);
	return n < PATH_MAX ? 0 : err_set(err, ENAMETOOLONG, "the path is too long");
}

int verb_backup(int argc, char **argv, struct err *err)
{
	struct client client;
	char path[PATH_MAX];
	struct words words;
	json_t *body;
	int r;

	client_init(&client);
	r = args_parse(argc, argv, NULL, client.args, 1, 1, "backup FILE", &words, err);
	if (r == 0)
		r = make_absolute(words.word[0], path, err);
	if (r < 0)
		return verb_status_of(r);
	body = json_pack("{s:s}", "file", path);
	r = client_call(&client, "POST", "/squeezy/v1/backup", body, NULL, err);
	json_decref(body);
	if (r == 0)
		printf("%s\nIts keys open with seal.key of the state directory: keep a copy of that apart from this one.\n", path);
	return r == 0 ? 0 : verb_status_of(r);
}
