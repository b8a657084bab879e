// SPDX-License-Identifier: Apache-2.0
/* get_user_pages() in all its kinds, through the kernel's own test file (CONFIG_GUP_TEST): no page leaves its partition for a pin. */
#include "pages.h"
#include "suite.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul

/* mm/gup_test.h, which is no header for user space. */
struct pin_longterm_test {
	uint64_t addr;
	uint64_t size;
	uint32_t flags;
};

#define PIN_LONGTERM_TEST_START _IOW('g', 7, struct pin_longterm_test)
#define PIN_LONGTERM_TEST_STOP _IO('g', 8)
#define USE_WRITE 1
#define USE_FAST 2

static void pin(int fd, char *mem, size_t bytes, uint32_t flags, int nid)
{
	struct pin_longterm_test request = { (uint64_t)mem, bytes, flags };
	uint64_t migrated = vmstat("pgmigrate_success"), pfn = pfn_of(mem);

	CHECK_MSG(ioctl(fd, PIN_LONGTERM_TEST_START, &request) == 0, "flags %u", flags);
	CHECK_MSG(pages_elsewhere(mem, bytes, nid) == 0, "flags %u", flags);
	CHECK(!pfn || !(flags & USE_WRITE) || pfn_of(mem) == pfn);
	CHECK(vmstat("pgmigrate_success") == migrated);
	CHECK(ioctl(fd, PIN_LONGTERM_TEST_STOP) == 0);
}

/* Touched before and not, for reading and for writing, slow and fast, small pages and huge ones. */
static void all_kinds(void *nid)
{
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	for (uint32_t flags = 0; flags < 4; flags++) {
		for (int huge = 0; huge < 2; huge++) {
			char *mem = map_anon(8 * MIB);

			CHECK(madvise(mem, 8 * MIB, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0);
			touch(mem, 8 * MIB, 1);
			pin(fd, mem, 8 * MIB, flags, *(int *)nid);
			CHECK(madvise(mem, 8 * MIB, MADV_DONTNEED) == 0);
			pin(fd, mem, 8 * MIB, flags, *(int *)nid);
			CHECK(munmap(mem, 8 * MIB) == 0);
		}
	}
	close(fd);
}

INSIDE(all_kinds)

const struct test pins_tests[] = {
	{ "long-term pins of every kind", test_all_kinds },
	{ NULL, NULL }
};
