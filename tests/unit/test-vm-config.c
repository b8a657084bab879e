// SPDX-License-Identifier: Apache-2.0
/* Configuration of a VM, the choice of accelerator, QEMU's command line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "vm/leftover.h"
#include "vm/normal-memory.h"
#include "vm/vm-internal.h"

#define MIB (1ull << 20)
#define GOOD .id = "vm1", .dir = "/tmp", .kernel = "k", .image = "i", .partitions = 8, .partition_bytes = 256 * MIB

static void test_defaults(void **state)
{
	struct vm_config given = { GOOD }, config;

	assert_int_equal(vm_config_copy(&given, &config, NULL), 0);
	assert_int_equal(config.vcpus, 2);
	assert_int_equal(config.shared_bytes, 512 * MIB);
	assert_int_equal(config.base_bytes, vm_base_bytes(8, 256 * MIB, 512 * MIB));
	assert_string_equal(config.qemu, "qemu-system-x86_64");
	vm_config_clear(&config);
}

static void test_base_memory(void **state)
{
	/* 192 + 8 x 24 + (2048 + 512) / 64 = 424, rounded up to 448 */
	assert_int_equal(vm_base_bytes(8, 256 * MIB, 512 * MIB), 448 * MIB);
	assert_int_equal(vm_base_bytes(1, 128 * MIB, 0), 256 * MIB);
}

/* All partitions have their maps and a container each that uses all of its own; the rest is for Linux and for what containers keep outside. */
static void test_base_has_room(void **state)
{
	static const unsigned int counts[] = { 1, 8, 64, 126 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (unsigned int mib = 128; mib <= 4096; mib *= 2) {
			unsigned int n = counts[i];
			double kib = FORMULA_BOOT(n, 1) + n * (FORMULA_MAP(mib) + FORMULA_CGROUP(n + 1) + FORMULA_TABLES(mib));
			uint64_t base = vm_base_bytes(n, mib * MIB, 512 * MIB);

			if (base < (uint64_t)(kib * 1024) + 128 * MIB + n * 16 * MIB)
				fail_msg("%u partitions of %u MiB: base %llu MiB, formulas %.0f KiB", n, mib, (unsigned long long)(base / MIB), kib);
		}
}

static void assert_refused(const struct vm_config *given, const char *sentence)
{
	struct vm_config config;
	struct err err = { 0 };

	if (vm_config_copy(given, &config, &err) != -EINVAL || !strstr(err.text, sentence))
		fail_msg("'%s' instead of '%s'", err.text, sentence);
}

/* A good configuration with one member changed. */
#define REFUSED(member, value, sentence)		\
	do {						\
		struct vm_config given = { GOOD };	\
		given.member = (value);			\
		assert_refused(&given, sentence);	\
	} while (0)

static void test_refusals(void **state)
{
	REFUSED(id, NULL, "needs an id");
	REFUSED(id, "Upper", "needs an id");
	REFUSED(id, "a/b", "needs an id");
	REFUSED(kernel, NULL, "needs an id");
	REFUSED(partitions, 0, "0 partitions");
	REFUSED(partitions, 127, "127 partitions");
	REFUSED(partition_bytes, 100 * MIB, "multiple of 128 MiB");
	REFUSED(shared_bytes, 100 * MIB, "multiple of 128 MiB");
	REFUSED(shared_bytes, 2048 * MIB, "must differ");
	REFUSED(base_bytes, 2048 * MIB, "must differ");
	REFUSED(base_bytes, 64 * MIB, "at least 128 MiB");
	REFUSED(vcpus, 65, "at most 64");
}

static bool has_virt(const char *text)
{
	cleanup_fd int fd = memfd_create("cpuinfo", MFD_CLOEXEC);
	char path[64];

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return vm_cpu_has_virt(path);
}

static void test_accelerator(void **state)
{
	assert_true(has_virt("model\t: 1\nflags\t\t: fpu vmx sse\n"));
	assert_true(has_virt("flags\t\t: fpu svm\n"));
	assert_false(has_virt("flags\t\t: fpu avx512_vmxx svml\n"));
	assert_false(has_virt("vmx flags\t: fpu\nmodel name: svm\n"));
	assert_false(has_virt(""));
	assert_false(vm_cpu_has_virt("/nonexistent"));
}

static bool has_word(const struct argv *argv, const char *part)
{
	for (size_t i = 0; i < argv->count; i++)
		if (strstr(argv->items[i], part))
			return true;
	return false;
}

static void test_command_line(void **state)
{
	struct vm_config given = { GOOD, .append = "panic_on_warn=1" };
	struct vm vm = { .kvm = false };
	struct argv argv;

	assert_int_equal(vm_config_copy(&given, &vm.config, NULL), 0);
	assert_int_equal(vm_argv(&vm, &argv, NULL), 0);
	assert_true(has_word(&argv, "tcg,thread=multi,tb-size=64"));
	assert_true(has_word(&argv, " squeezy=8x256M panic_on_warn=1"));
	assert_true(has_word(&argv, "memory-backend-ram,id=mem-vm0,size=2147483648,"));
	assert_true(has_word(&argv, "id=vm1,memdev=mem-vm1,block-size=2M,requested-size=536870912"));
	assert_true(has_word(&argv, "-sandbox"));
	argv_clear(&argv);
	vm.config.backend = VM_VIRTIO_MEM;
	vm.kvm = true;
	assert_int_equal(vm_argv(&vm, &argv, NULL), 0);
	assert_false(has_word(&argv, "squeezy="));
	assert_false(has_word(&argv, "id=vm1"));
	assert_true(has_word(&argv, "id=vm0,memdev=mem-vm0,block-size=2M,requested-size=536870912"));
	assert_true(has_word(&argv, "mem-vm0,size=2684354560,"));
	argv_clear(&argv);
	vm_config_clear(&vm.config);
}

static void test_leftover(void **state)
{
	char directory[] = "/tmp/squeezy-left-XXXXXX", path[64];
	FILE *file;

	assert_non_null(mkdtemp(directory));
	assert_int_equal(leftover_end(directory, NULL), 0);
	/* A process with our id but another start time is not what we started. */
	snprintf(path, sizeof(path), "%s/qemu.pid", directory);
	file = fopen(path, "w");
	fprintf(file, "%d %llu squeezy-test-none\n", getpid(), leftover_start_time(getpid()) + 1);
	fclose(file);
	assert_int_equal(leftover_end(directory, NULL), 0);
	assert_int_equal(access(path, F_OK), -1);
	file = fopen(path, "w");
	fprintf(file, "1 1\n");
	fclose(file);
	assert_int_equal(leftover_end(directory, NULL), 0);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_base_memory), cmocka_unit_test(test_base_has_room),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_accelerator), cmocka_unit_test(test_command_line), cmocka_unit_test(test_leftover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
