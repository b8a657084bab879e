// SPDX-License-Identifier: Apache-2.0
/* Is what a debug boot asks for on its command line in force? A misspelt word would leave it an ordinary boot that passes. */
#include "harness.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define SLAB "/sys/kernel/slab/kmalloc-64/"

static void test_slub_debug(void)
{
	static const char *const flags[] = { "sanity_checks", "red_zone", "poison", "store_user" };
	char path[64], text[8];

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		snprintf(path, sizeof(path), SLAB "%s", flags[i]);
		CHECK_MSG(read_file(path, text, sizeof(text)) == 0 && !strcmp(text, "1"), "%s", path);
	}
}

static void test_page_owner(void)
{
	char text[256];
	FILE *file = fopen("/sys/kernel/debug/page_owner", "re");

	CHECK(file);
	CHECK(fgets(text, sizeof(text), file) && strstr(text, "Page allocated via order"));
	fclose(file);
}

static void test_in_force(void)
{
	char words[1024];
	int known = 0;

	CHECK(read_file("/proc/cmdline", words, sizeof(words)) == 0);
	if (strstr(words, "slub_debug=FZPU") && ++known)
		test_slub_debug();
	if (strstr(words, "page_owner=on") && ++known)
		test_page_owner();
	CHECK(known);
}

const struct test options_tests[] = {
	{ "the debug option of the command line is in force", test_in_force },
	{ NULL, NULL }
};
