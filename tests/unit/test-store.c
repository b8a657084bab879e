// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/store.h"

static char directory[64], path[100];

static int make_directory(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/squeezy-store-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/db", directory);
	return 0;
}

static int remove_directory(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char name[120];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, tails[i]);
		unlink(name);
	}
	return rmdir(directory);
}

static struct store *open_store(void)
{
	struct store *store;
	struct err err;

	if (store_open(path, &store, &err) < 0)
		fail_msg("%s", err.text);
	return store;
}

static void put_action(struct store *store, const char *ns, const char *name, uint64_t updated, int value)
{
	const struct store_key key = { STORE_ACTIONS, ns, name };
	json_t *document = json_pack("{s:i, s:I}", "value", value, "updated", (json_int_t)updated);

	assert_int_equal(store_put(store, &key, document, NULL), 0);
	json_decref(document);
}

static int value_of(struct store *store, const char *ns, const char *name)
{
	const struct store_key key = { STORE_ACTIONS, ns, name };
	json_t *document;
	int r = store_get(store, &key, true, &document, NULL), value;

	if (r < 0)
		return r;
	value = (int)json_integer_value(json_object_get(document, "value"));
	json_decref(document);
	return value;
}

static void test_actions(void **state)
{
	struct store_query query = { .collection = STORE_ACTIONS, .ns = "a", .limit = 1 };
	const struct store_key one = { STORE_ACTIONS, "a", "one" };
	struct store *store = open_store();
	uint64_t count;
	json_t *list;

	put_action(store, "a", "one", 10, 1);
	put_action(store, "a", "two", 20, 2);
	put_action(store, "b", "one", 30, 3);
	put_action(store, "a", "one", 40, 4);
	assert_int_equal(value_of(store, "a", "one"), 4);
	assert_int_equal(value_of(store, "b", "one"), 3);
	assert_int_equal(value_of(store, "a", "none"), -ENOENT);
	assert_int_equal(value_of(store, "a", "one' OR '1'='1"), -ENOENT);
	assert_int_equal(store_count(store, &query, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(store_list(store, &query, &list, NULL), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "value")), 4);
	json_decref(list);
	query.limit = 10;
	query.skip = 1;
	assert_int_equal(store_list(store, &query, &list, NULL), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_int_equal(store_delete(store, &one, NULL), 0);
	assert_int_equal(store_delete(store, &one, NULL), -ENOENT);
	store_close(store);
}

/* What was answered with 0 is there after a crash: nothing is closed here but by the kernel. */
static void test_survives_a_crash(void **state)
{
	pid_t pid = fork();
	struct store *store;
	int status;

	if (pid == 0) {
		struct store *child = open_store();

		put_action(child, "a", "kept", 1, 5);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store = open_store();
	assert_int_equal(value_of(store, "a", "kept"), 5);
	store_close(store);
}

static void test_activations(void **state)
{
	struct store_range range = { "a", NULL, 0, 1000, 10, 0 };
	struct store *store = open_store();
	json_t *list, *document = json_pack("{s:s}", "text", "a text");
	uint64_t count;
	char id[20];

	for (unsigned int i = 1; i <= 5; i++) {
		snprintf(id, sizeof(id), "id%u", i);
		json_object_set_new(document, "n", json_integer(i));
		assert_int_equal(store_activation_put(store, id, "a", i % 2 ? "odd" : "even", i * 100, document, NULL), 0);
	}
	assert_int_equal(store_activation_put(store, "id1", "a", "odd", 1, document, NULL), -EEXIST);
	assert_int_equal(store_activation_count(store, &range, &count, NULL), 0);
	assert_int_equal(count, 5);
	range.name = "odd";
	range.since_ms = 200;
	range.upto_ms = 500;
	assert_int_equal(store_activation_list(store, &range, &list, NULL), 0);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "n")), 5);
	json_decref(list);
	json_decref(document);
	assert_int_equal(store_activation_get(store, "a", "id2", &document, NULL), 0);
	json_decref(document);
	assert_int_equal(store_activation_get(store, "b", "id2", &document, NULL), -ENOENT);
	store_close(store);
}

static void test_not_a_store(void **state)
{
	struct store *store;
	struct err err;
	FILE *file = fopen(path, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	assert_int_equal(store_open(path, &store, &err), -EBADMSG);
	assert_non_null(strstr(err.text, path));
}

static void test_newer_store(void **state)
{
	struct store *store = open_store();
	unsigned char version[4] = { 0, 0, 0, 99 };
	struct err err;
	int fd;

	store_close(store);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, version, sizeof(version), 60), 4);	/* user_version in SQLite's file header */
	close(fd);
	assert_int_equal(store_open(path, &store, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "newer"));
}

static void test_backup(void **state)
{
	struct store_backup *backup;
	struct store *store = open_store();
	char copy[120];
	bool done = false;

	put_action(store, "a", "one", 10, 1);
	snprintf(copy, sizeof(copy), "%s.copy", path);
	assert_int_equal(store_backup_start(store, copy, &backup, NULL), 0);
	assert_int_equal(store_backup_step(backup, 1, &done, NULL), 0);
	assert_false(done);
	assert_int_equal(store_backup_end(backup), -EIO);	/* given up after one page: nothing is left */
	assert_int_equal(access(copy, F_OK), -1);

	assert_int_equal(store_backup_start(store, copy, &backup, NULL), 0);
	while (!done)
		assert_int_equal(store_backup_step(backup, 100, &done, NULL), 0);
	assert_int_equal(store_backup_end(backup), 0);
	store_close(store);
	assert_int_equal(store_restore(copy, path, NULL), 0);
	assert_int_equal(unlink(copy), 0);
	store = open_store();
	assert_int_equal(value_of(store, "a", "one"), 1);
	store_close(store);
}

static void test_no_directory(void **state)
{
	struct store *store;
	struct err err;

	assert_int_equal(store_open("/nonexistent/db", &store, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/db"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_actions), CASE(test_survives_a_crash), CASE(test_activations), CASE(test_not_a_store), CASE(test_newer_store),
		CASE(test_backup), cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
