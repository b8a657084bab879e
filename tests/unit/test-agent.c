// SPDX-License-Identifier: Apache-2.0
/* The agent's pure parts: answer lines, create requests, paths, OCI configuration. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent/actionloop.h"
#include "agent/api.h"
#include "agent/container.h"
#include "agent/oci.h"
#include "base/err.h"

static void test_line(void **state)
{
	struct loop_line line = { 0 };

	loop_line_start(&line, 10);
	loop_line_feed(&line, "abc", 3);
	assert_false(line.whole);
	loop_line_feed(&line, "def\n", 4);
	assert_true(line.whole && !line.extra && !loop_line_too_long(&line));
	assert_string_equal(line.text.data, "abcdef");
	loop_line_feed(&line, "x", 1);
	assert_true(line.extra);
	loop_line_start(&line, 10);
	loop_line_feed(&line, "{}\n{}\n", 6);
	assert_true(line.whole && line.extra);
	loop_line_start(&line, 3);
	loop_line_feed(&line, "\n", 1);
	assert_true(line.whole && line.size == 0 && !line.extra);
	loop_line_clear(&line);
}

static void test_long_line(void **state)
{
	struct loop_line line = { 0 };
	char data[1000];

	memset(data, 'x', sizeof(data));
	loop_line_start(&line, 1500);
	for (int i = 0; i < 1000; i++)
		loop_line_feed(&line, data, sizeof(data));
	assert_true(loop_line_too_long(&line));
	assert_true(line.text.room == 0);
	loop_line_feed(&line, "y\n", 2);
	assert_true(line.whole);
	assert_int_equal(line.size, 1000001);
	loop_line_clear(&line);
}

static void test_flatten(void **state)
{
	char text[] = "{\n \"a\":\r\n1}";

	loop_flatten(text, strlen(text));
	assert_string_equal(text, "{  \"a\":  1}");
}

static void test_ids(void **state)
{
	assert_true(oci_id_valid("a") && oci_id_valid("0-a") && oci_id_valid("abcdefghijklmnopqrstuvwxyz012345"));
	assert_false(oci_id_valid("") || oci_id_valid("-a") || oci_id_valid("A") || oci_id_valid("a/b") || oci_id_valid("..") ||
		     oci_id_valid("a b") || oci_id_valid("abcdefghijklmnopqrstuvwxyz0123456") || oci_id_valid("a\n"));
}

static void test_paths(void **state)
{
	char id[33];

	assert_true(api_container_path("/v1/containers/abc/run", "/run", id));
	assert_string_equal(id, "abc");
	assert_true(api_container_path("/v1/containers/abc", "", id));
	assert_false(api_container_path("/v1/containers/abc/run", "", id));
	assert_false(api_container_path("/v1/containers/../run", "/run", id));
	assert_false(api_container_path("/v1/containers//run", "/run", id));
	assert_false(api_container_path("/v1/containers/abcdefghijklmnopqrstuvwxyz0123456/run", "/run", id));
	assert_false(api_container_path("/v2/containers/abc", "", id));
}

static int parse(const char *body, struct container_request *request)
{
	struct err err = { 0 };
	int r = api_parse_create(body, strlen(body), request, &err);

	assert_true(r == 0 || err.text[0]);
	return r;
}

static void test_create(void **state)
{
	struct container_request request;

	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"python:3\",\"memory_bytes\":268435456,\"tmpfs_bytes\":1048576,\"pids_max\":64,\"claim\":true,"
			       "\"timeout_ms\":500,\"later\":1}", &request), 0);
	assert_string_equal(request.id, "a");
	assert_string_equal(request.kind, "python:3");
	assert_true(request.claim && request.memory_bytes == 268435456 && request.tmpfs_bytes == 1048576 && request.pids_max == 64 &&
		    request.timeout_ms == 500);
	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"bench\",\"memory_bytes\":268435456}", &request), 0);
	assert_true(!request.claim && request.pids_max == 1024);
	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"perl\",\"memory_bytes\":268435456}", &request), -ENOENT);
	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"bench\"}", &request), -EINVAL);
	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"bench\",\"memory_bytes\":1e9}", &request), -EINVAL);
	assert_int_equal(parse("{\"id\":\"a\",\"kind\":\"bench\",\"memory_bytes\":-5}", &request), -EINVAL);
	assert_int_equal(parse("{\"id\":5,\"kind\":\"bench\",\"memory_bytes\":268435456}", &request), -EINVAL);
	assert_int_equal(parse("[1]", &request), -EINVAL);
	assert_int_equal(parse("{", &request), -EINVAL);
	assert_int_equal(parse("", &request), -EINVAL);
}

static json_t *make_config(void)
{
	static const char *const argv[] = { "/bin/true", "x", NULL };
	const struct oci_spec spec = { .id = "abc", .argv = argv, .netns = "/proc/1/fd/9", .uid = 20007, .tmpfs_bytes = 64u << 20, .pids_max = 50 };
	char *text = oci_config(&spec);
	json_t *config;

	assert_non_null(text);
	config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert_non_null(config);
	return config;
}

static void test_config(void **state)
{
	json_t *config = make_config(), *process = json_object_get(config, "process"), *linux_part = json_object_get(config, "linux"), *mount;
	size_t i;

	assert_true(json_is_true(json_object_get(json_object_get(config, "root"), "readonly")));
	assert_true(json_is_true(json_object_get(process, "noNewPrivileges")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(process, "user"), "uid")), 20007);
	assert_true(json_integer_value(json_object_get(process, "oomScoreAdj")) > 0);
	assert_int_equal(json_array_size(json_object_get(process, "args")), 2);
	assert_string_equal(json_string_value(json_object_get(linux_part, "cgroupsPath")), "/containers/abc");
	assert_int_equal(json_array_size(json_object_get(linux_part, "namespaces")), 6);
	json_array_foreach(json_object_get(config, "mounts"), i, mount)
		assert_string_not_equal(json_string_value(json_object_get(mount, "destination")), "/sys");
	json_decref(config);
}

static void test_capabilities(void **state)
{
	static const char *const sets[] = { "bounding", "effective", "inheritable", "permitted", "ambient" };
	json_t *config = make_config(), *all = json_object_get(json_object_get(config, "process"), "capabilities");

	for (size_t i = 0; i < 5; i++) {
		assert_true(json_is_array(json_object_get(all, sets[i])));
		assert_int_equal(json_array_size(json_object_get(all, sets[i])), 0);
	}
	json_decref(config);
}

static void test_seccomp(void **state)
{
	static const char *const never[] = { "mount", "unshare", "setns", "ptrace", "bpf", "io_uring_setup", "keyctl", "userfaultfd", "mbind", "move_pages",
					     "migrate_pages", "set_mempolicy", "perf_event_open", "process_vm_readv", "init_module", "reboot",
					     "pivot_root", "chroot", "open_by_handle_at", "settimeofday", "swapon", "clone3" };
	json_t *config = make_config(), *profile = json_object_get(json_object_get(config, "linux"), "seccomp"), *rule, *name;
	size_t i, j;

	assert_string_equal(json_string_value(json_object_get(profile, "defaultAction")), "SCMP_ACT_ERRNO");
	json_array_foreach(json_object_get(profile, "syscalls"), i, rule) {
		if (strcmp(json_string_value(json_object_get(rule, "action")), "SCMP_ACT_ALLOW"))
			continue;
		json_array_foreach(json_object_get(rule, "names"), j, name) {
			for (size_t n = 0; n < sizeof(never) / sizeof(never[0]); n++)
				assert_string_not_equal(json_string_value(name), never[n]);
			if (!strcmp(json_string_value(name), "socket") || !strcmp(json_string_value(name), "clone") ||
			    !strcmp(json_string_value(name), "setsockopt"))
				assert_non_null(json_object_get(rule, "args"));
		}
	}
	json_decref(config);
}

/* As libseccomp would decide: any rule that matches allows. */
static bool may_set(json_t *rules, uint64_t option)
{
	json_t *rule, *arg;
	bool allowed = false;
	size_t i;

	json_array_foreach(rules, i, rule) {
		if (strcmp(json_string_value(json_array_get(json_object_get(rule, "names"), 0)), "setsockopt"))
			continue;
		arg = json_array_get(json_object_get(rule, "args"), 0);
		assert_int_equal(json_integer_value(json_object_get(arg, "index")), 2);
		allowed |= (option & (uint64_t)json_integer_value(json_object_get(arg, "value"))) ==
			   (uint64_t)json_integer_value(json_object_get(arg, "valueTwo"));
	}
	return allowed;
}

/* What the kernel takes for SO_ZEROCOPY (60), whatever the bits that it does not look at. */
static void test_zerocopy(void **state)
{
	json_t *config = make_config(), *rules = json_object_get(json_object_get(json_object_get(config, "linux"), "seccomp"), "syscalls");

	for (uint64_t option = 0; option < 512; option++)
		assert_int_equal(may_set(rules, option), option != 60);
	assert_false(may_set(rules, 60 | 1ull << 32));
	assert_false(may_set(rules, 60 | 0xdeadbeefull << 32));
	assert_true(may_set(rules, 60 | 1ull << 31));
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line), cmocka_unit_test(test_long_line), cmocka_unit_test(test_flatten), cmocka_unit_test(test_ids),
		cmocka_unit_test(test_paths), cmocka_unit_test(test_create), cmocka_unit_test(test_config), cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_seccomp), cmocka_unit_test(test_zerocopy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
