// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "vm/vm-internal.h"

#define WANTED (8ull << 20)
#define FIELDS(rss, thp) "Size: 8192 kB\nRss: " rss " kB\nPss: 0 kB\nAnonHugePages: " thp " kB\nVmFlags: "
#define TARGET "7f0000000000-7f0000800000 rw-p 00000000 00:00 0 \n"

static int find(const char *text, size_t len, struct vm_resident *ret)
{
	cleanup_fd int fd = memfd_create("smaps", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return smaps_find(fd, WANTED, ret);
}

static const struct {
	const char *what, *text;
	int r;
	uint64_t rss, thp;
} cases[] = {
	{ "the mapping", TARGET FIELDS("4096", "2048") "rd wr mr mw me nr dd hg \n", 0, 4096 << 10, 2048 << 10 },
	{ "named by the kernel", "7f0000000000-7f0000800000 rw-p 00000000 00:00 0          [anon:ram]\n" FIELDS("4", "0") "rd hg\n", 0, 4096, 0 },
	{ "another size", "7f0000000000-7f0000801000 rw-p 00000000 00:00 0 \n" FIELDS("4", "0") "rd hg\n", -ENOENT, 0, 0 },
	{ "a file", "7f0000000000-7f0000800000 rw-p 00000000 08:01 77 /lib/x\n" FIELDS("4", "0") "rd hg\n", -ENOENT, 0, 0 },
	{ "not writable", "7f0000000000-7f0000800000 r--p 00000000 00:00 0 \n" FIELDS("4", "0") "rd hg\n", -ENOENT, 0, 0 },
	{ "the stack", "7f0000000000-7f0000800000 rw-p 00000000 00:00 0 [stack]\n" FIELDS("4", "0") "rd hg\n", -ENOENT, 0, 0 },
	{ "one with MADV_HUGEPAGE beats one without", TARGET FIELDS("4", "0") "rd wr\n" TARGET FIELDS("8", "0") "rd hg\n", 0, 8192, 0 },
	{ "without MADV_HUGEPAGE the first", TARGET FIELDS("4", "0") "rd wr\n" TARGET FIELDS("8", "0") "rd wr\n", 0, 4096, 0 },
	{ "cut in the middle", TARGET "Rss: 4096 kB\n", -ENOENT, 0, 0 },
	{ "backwards", "7f0000800000-7f0000000000 rw-p 00000000 00:00 0 \n" FIELDS("4", "0") "rd hg\n", -ENOENT, 0, 0 },
	{ "nonsense", "\n\nfoo\nVmFlags: hg\nRss: x kB\n", -ENOENT, 0, 0 },
	{ "empty", "", -ENOENT, 0, 0 },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vm_resident found = { 1, 1, 1 };
		int r = find(cases[i].text, strlen(cases[i].text), &found);

		if (r != cases[i].r || (r == 0 && (found.rss_bytes != cases[i].rss || found.thp_bytes != cases[i].thp)))
			fail_msg("%s: %d, %llu, %llu", cases[i].what, r, (unsigned long long)found.rss_bytes,
				 (unsigned long long)found.thp_bytes);
	}
}

/* A line that never ends, longer than any buffer, and then the mapping. */
static void test_long_line(void **state)
{
	static char text[200000];
	struct vm_resident found;

	memset(text, 'x', sizeof(text));
	strcpy(text + 150000, "\n" TARGET FIELDS("12", "0") "rd hg\n");
	assert_int_equal(find(text, strlen(text), &found), 0);
	assert_int_equal(found.rss_bytes, 12 << 10);
}

static void test_own_process(void **state)
{
	char *memory = mmap(NULL, WANTED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct vm vm = { .pid = getpid(), .config = { .id = "x", .partitions = 1, .partition_bytes = WANTED } };
	struct vm_resident before, after;

	assert_true(memory != MAP_FAILED);
	madvise(memory, WANTED, MADV_HUGEPAGE);
	memset(memory, 1, WANTED);
	assert_int_equal(vm_resident(&vm, &before, NULL), 0);
	assert_int_equal(before.rss_bytes, WANTED);
	madvise(memory, WANTED, MADV_DONTNEED);
	assert_int_equal(vm_resident(&vm, &after, NULL), 0);
	assert_int_equal(after.rss_bytes, 0);
	munmap(memory, WANTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_long_line), cmocka_unit_test(test_own_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
