// SPDX-License-Identifier: Apache-2.0
#include "cli/args.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

static const struct arg *find(const struct arg *table, const char *name, size_t len)
{
	for (; table && table->name; table++)
		if (strlen(table->name) == len && !strncmp(table->name, name, len))
			return table;
	return NULL;
}

/* The option at argv[*i]; *i moves behind its values. */
static int take(const struct arg *arg, int argc, char **argv, int *i, struct err *err)
{
	const char *equals = strchr(argv[*i], '=');

	if (arg->flag) {
		*arg->flag = true;
		return equals ? err_set(err, EINVAL, "%s takes no value", arg->name) : 0;
	}
	if (arg->each) {
		if (*i + 2 >= argc)
			return err_set(err, EINVAL, "%s needs two words: a name and a value", arg->name);
		*i += 2;
		return arg->each(arg->each_arg, argv[*i - 1], argv[*i], err);
	}
	if (equals) {
		*arg->value = equals + 1;
		return 0;
	}
	if (*i + 1 >= argc)
		return err_set(err, EINVAL, "%s needs a value", arg->name);
	*arg->value = argv[++*i];
	return 0;
}

int args_parse(int argc, char **argv, const struct arg *own, const struct arg *common, size_t least, size_t most, const char *usage,
	       struct words *ret, struct err *err)
{
	struct words words = { .count = 0 };

	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const struct arg *arg = find(own, argv[i], len);
		int r = 0;

		if (!arg)
			arg = find(common, argv[i], len);
		if (arg)
			r = take(arg, argc, argv, &i, err);
		else if (!strncmp(argv[i], "--", 2))
			r = err_set(err, EINVAL, "unknown option '%s'; usage: squeezy %s", argv[i], usage);
		else if (words.count == most)
			r = err_set(err, EINVAL, "what is '%s'? usage: squeezy %s", argv[i], usage);
		else
			words.word[words.count++] = argv[i];
		if (r < 0)
			return r;
	}
	if (words.count < least)
		return err_set(err, EINVAL, "usage: squeezy %s", usage);
	*ret = words;
	return 0;
}
