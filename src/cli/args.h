/* SPDX-License-Identifier: Apache-2.0 */
/* Words of one verb: options from a table, the rest by position. */
#ifndef SQUEEZY_CLI_ARGS_H
#define SQUEEZY_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct arg {
	const char *name;	/* "--memory"; NULL ends the table */
	const char **value;	/* takes a value: the last one given */
	bool *flag;		/* takes none */
	int (*each)(void *arg, const char *key, const char *value, struct err *err);	/* --param KEY VALUE, any number of times */
	void *each_arg;
};

#define ARGS_WORDS_MAX 8

struct words {
	const char *word[ARGS_WORDS_MAX];
	size_t count;
};

/*
 * argv[0] is the verb and is skipped. Options in both tables are taken; words are all others, at least `least` and at most `most`.
 * usage is what the sentence of an error ends with. 0 or -EINVAL.
 */
int args_parse(int argc, char **argv, const struct arg *own, const struct arg *common, size_t least, size_t most, const char *usage,
	       struct words *ret, struct err *err);

#endif
