// SPDX-License-Identifier: Apache-2.0
/* Opening, schema, statements; this file and backup.c are the only ones that know SQLite. entity.c and activation.c say what the documents are. */
#include "store/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/store-internal.h"

#define SCHEMA_VERSION 2
#define BUSY_MS 2000	/* a backup tool may hold the file for a moment */

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_MAX];
	bool in_transaction;	/* between store_begin() and store_end() */
	bool in_batch;		/* activation records wait for their commit */
};

/* What brings the schema from version i to i + 1. */
static const char *const migrations[SCHEMA_VERSION] = {
	"CREATE TABLE action (ns TEXT NOT NULL, name TEXT NOT NULL, updated INTEGER NOT NULL, document TEXT NOT NULL,"
	" PRIMARY KEY (ns, name)) WITHOUT ROWID;"
	"CREATE INDEX action_updated ON action (ns, updated DESC);"
	"CREATE TABLE activation (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" start INTEGER NOT NULL, document TEXT NOT NULL);"
	"CREATE INDEX activation_start ON activation (ns, start DESC);"
	"PRAGMA user_version = 1;",

	/* The collection is its number in enum store_collection; 0 are actions. */
	"CREATE TABLE entity (ns TEXT NOT NULL, name TEXT NOT NULL, collection INTEGER NOT NULL, updated INTEGER NOT NULL,"
	" public INTEGER NOT NULL, document TEXT NOT NULL, code TEXT, PRIMARY KEY (ns, name));"
	"CREATE INDEX entity_updated ON entity (ns, collection, updated DESC, name);"
	"INSERT INTO entity SELECT ns, name, 0, updated, 0, json_remove(document, '$.exec.code'), json_extract(document, '$.exec.code')"
	" FROM action;"
	"DROP TABLE action;"
	"CREATE INDEX activation_name ON activation (ns, name, start DESC);"
	"CREATE TABLE identity (uuid TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;"
	"PRAGMA user_version = 2;",
};

#define IN_COLLECTION "ns = ?1 AND collection = ?2 AND (?3 IS NULL OR (name > ?3 || '/' AND name < ?3 || '0')) AND (NOT ?4 OR public)"
#define IN_RANGE "ns = ?1 AND (?2 = '' OR name = ?2) AND start BETWEEN ?3 AND ?4"

static const char *const sql[STATEMENT_MAX] = {
	[STATEMENT_ENTITY_PUT] = "INSERT OR REPLACE INTO entity (ns, name, collection, updated, public, document, code)"
				 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STATEMENT_ENTITY_GET] = "SELECT document FROM entity WHERE ns = ?1 AND name = ?2 AND collection = ?3",
	[STATEMENT_ENTITY_COLLECTION] = "SELECT collection FROM entity WHERE ns = ?1 AND name = ?2",
	[STATEMENT_ENTITY_CODE] = "SELECT code FROM entity WHERE ns = ?1 AND name = ?2",
	[STATEMENT_ENTITY_DELETE] = "DELETE FROM entity WHERE ns = ?1 AND name = ?2 AND collection = ?3",
	[STATEMENT_ENTITY_LIST] = "SELECT document FROM entity WHERE " IN_COLLECTION " ORDER BY updated DESC, name LIMIT ?5 OFFSET ?6",
	[STATEMENT_ENTITY_COUNT] = "SELECT count(*) FROM entity WHERE " IN_COLLECTION,
	[STATEMENT_IDENTITY_PUT] = "INSERT OR REPLACE INTO identity (uuid, document) VALUES (?1, ?2)",
	[STATEMENT_IDENTITY_DELETE] = "DELETE FROM identity WHERE uuid = ?1",
	[STATEMENT_IDENTITY_LIST] = "SELECT document FROM identity ORDER BY uuid",
	[STATEMENT_ACTIVATION_PUT] = "INSERT INTO activation (id, ns, name, start, document) VALUES (?1, ?2, ?3, ?4, ?5)",
	[STATEMENT_ACTIVATION_GET] = "SELECT document FROM activation WHERE id = ?1 AND ns = ?2",
	[STATEMENT_ACTIVATION_LIST] = "SELECT document FROM activation WHERE " IN_RANGE " ORDER BY start DESC, seq DESC LIMIT ?5 OFFSET ?6",
	[STATEMENT_ACTIVATION_COUNT] = "SELECT count(*) FROM activation WHERE " IN_RANGE,
	[STATEMENT_ACTIVATION_TRIM_COUNT] = "DELETE FROM activation WHERE seq IN (SELECT seq FROM activation WHERE"
					    " seq <= (SELECT max(seq) FROM activation) - ?1 ORDER BY seq LIMIT ?2)",
	[STATEMENT_ACTIVATION_TRIM_AGE] = "DELETE FROM activation WHERE seq IN (SELECT seq FROM activation ORDER BY seq LIMIT ?2) AND start < ?1",
	[STATEMENT_ACTIVATION_TRIM_OLDEST] = "DELETE FROM activation WHERE ?1 = 0 AND seq IN (SELECT seq FROM activation ORDER BY seq LIMIT ?2)",
	[STATEMENT_BYTES] = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
};

static const struct {
	int sqlite;
	int code;
} codes[] = {
	{ SQLITE_FULL, ENOSPC }, { SQLITE_CONSTRAINT, EEXIST }, { SQLITE_NOTADB, EBADMSG }, { SQLITE_CORRUPT, EBADMSG },
	{ SQLITE_CANTOPEN, ENOENT }, { SQLITE_READONLY, EROFS }, { SQLITE_BUSY, EBUSY }, { SQLITE_NOMEM, ENOMEM }, { SQLITE_PERM, EACCES },
};

static int fail(struct store *store, const char *what, struct err *err)
{
	int primary = sqlite3_errcode(store->db) & 0xff;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].sqlite == primary)
			return err_set(err, codes[i].code, "store: cannot %s: %s", what, sqlite3_errmsg(store->db));
	return err_set(err, EIO, "store: cannot %s: %s", what, sqlite3_errmsg(store->db));
}

static int execute(struct store *store, const char *text, const char *what, struct err *err)
{
	return sqlite3_exec(store->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(store, what, err);
}

static int read_version(struct store *store, int *ret, struct err *err)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK)
		return fail(store, "read its version", err);
	if (sqlite3_step(statement) != SQLITE_ROW) {
		sqlite3_finalize(statement);
		return fail(store, "read its version", err);
	}
	*ret = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return 0;
}

static int bring_up_to_date(struct store *store, const char *path, struct err *err)
{
	int version = 0, r = read_version(store, &version, err);

	if (r < 0)
		return r;
	if (version > SCHEMA_VERSION)
		return err_set(err, EPROTONOSUPPORT, "%s was written by a newer squeezyd (schema %d, this one knows %d); use that one, or "
			       "another --state", path, version, SCHEMA_VERSION);
	if (version == SCHEMA_VERSION)
		return 0;
	r = execute(store, "BEGIN IMMEDIATE", "make its tables", err);
	for (int i = version; r == 0 && i < SCHEMA_VERSION; i++)
		r = execute(store, migrations[i], "make its tables", err);
	return r < 0 ? r : execute(store, "COMMIT", "make its tables", err);
}

struct sqlite3 *store_db(struct store *store)
{
	return store->db;
}

/* A store with a hole in it must not answer as if all were well. */
static int check_file(struct store *store, struct err *err)
{
	sqlite3_stmt *statement;
	bool good;

	if (sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK)
		return fail(store, "check the file", err);
	good = sqlite3_step(statement) == SQLITE_ROW && !strcmp((const char *)sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
	return good ? 0 : err_set(err, EBADMSG, "the file has holes");
}

static int prepare_all(struct store *store, struct err *err)
{
	for (int i = 0; i < STATEMENT_MAX; i++)
		if (sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL) != SQLITE_OK)
			return fail(store, "prepare its statements", err);
	return 0;
}

int store_open(const char *path, struct store **ret, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	int r = 0;

	if (!store)
		return err_set(err, ENOMEM, "out of memory");
	if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		r = fail(store, "open", err);
	} else {
		sqlite3_busy_timeout(store->db, BUSY_MS);
		r = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", "open its log", err);
	}
	if (r == 0)
		r = check_file(store, err);
	if (r == -EBADMSG)
		err_set(err, EBADMSG, "the store is damaged, or the file is none; bring back a backup with squeezyd --restore FILE, or move the file away to "
			"begin with an empty store");
	if (r == 0)
		r = bring_up_to_date(store, path, err);
	if (r == 0)
		r = prepare_all(store, err);
	if (r < 0) {
		store_close(store);
		err_wrap(err, "%s", path);
		return r;
	}
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	(void)store_flush(store, NULL);
	for (int i = 0; i < STATEMENT_MAX; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	free(store);
}

static sqlite3_stmt *bind_all(struct store *store, enum statement which, const struct bind binds[BINDS_MAX])
{
	sqlite3_stmt *statement = store->statements[which];
	int count = sqlite3_bind_parameter_count(statement);

	for (int i = 0; i < count; i++) {
		if (binds[i].is_null)
			sqlite3_bind_null(statement, i + 1);
		else if (binds[i].text)
			sqlite3_bind_text(statement, i + 1, binds[i].text, -1, SQLITE_STATIC);
		else
			sqlite3_bind_int64(statement, i + 1, (sqlite3_int64)binds[i].number);
	}
	return statement;
}

static void unbind(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

/* An error may have ended the transaction by itself (a full disk does). */
static void notice_rollback(struct store *store)
{
	if (sqlite3_get_autocommit(store->db))
		store->in_batch = store->in_transaction = false;
}

int store_run(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], unsigned int *ret_changed, struct err *err)
{
	sqlite3_stmt *statement = bind_all(store, which, binds);
	int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : fail(store, "write", err);

	if (r < 0)
		notice_rollback(store);
	unbind(statement);
	if (r == 0 && ret_changed)
		*ret_changed = (unsigned int)sqlite3_changes(store->db);
	return r;
}

int store_documents(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], json_t **ret, struct err *err)
{
	sqlite3_stmt *statement = bind_all(store, which, binds);
	json_t *array = json_array();
	int step, r = 0;

	while ((step = sqlite3_step(statement)) == SQLITE_ROW && r == 0) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		json_t *document = text ? json_loadb(text, (size_t)sqlite3_column_bytes(statement, 0), JSON_ALLOW_NUL, NULL) : NULL;

		if (!document || json_array_append_new(array, document) < 0)
			r = err_set(err, EBADMSG, "store: a document is not JSON: the file was changed by something else");
	}
	if (r == 0 && step != SQLITE_DONE)
		r = fail(store, "read", err);
	unbind(statement);
	if (r < 0)
		json_decref(array);
	else
		*ret = array;
	return r;
}

int store_number(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], uint64_t *ret, struct err *err)
{
	sqlite3_stmt *statement = bind_all(store, which, binds);
	int r = 0;

	int step = sqlite3_step(statement);

	if (step == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(statement, 0);
	else
		r = step == SQLITE_DONE ? err_set(err, ENOENT, "store: nothing found") : fail(store, "read", err);
	unbind(statement);
	return r;
}

int store_text(struct store *store, enum statement which, const struct bind binds[BINDS_MAX], char **ret, struct err *err)
{
	sqlite3_stmt *statement = bind_all(store, which, binds);
	int step = sqlite3_step(statement), r = 0;
	const char *text = step == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;

	*ret = text ? strdup(text) : NULL;
	if (text && !*ret)
		r = err_set(err, ENOMEM, "store: out of memory");
	else if (step != SQLITE_ROW && step != SQLITE_DONE)
		r = fail(store, "read", err);
	unbind(statement);
	return r;
}

int store_batch(struct store *store, struct err *err)
{
	int r = 0;

	if (!store->in_batch && !store->in_transaction) {
		r = execute(store, "BEGIN IMMEDIATE", "begin a change", err);
		store->in_batch = r == 0;
	}
	return r;
}

int store_flush(struct store *store, struct err *err)
{
	int r;

	if (!store->in_batch)
		return 0;
	store->in_batch = false;
	r = execute(store, "COMMIT", "complete a change", err);
	if (r < 0)
		(void)execute(store, "ROLLBACK", "undo a change", NULL);
	return r;
}

int store_begin(struct store *store, struct err *err)
{
	int r = store_flush(store, err);

	if (r == 0)
		r = execute(store, "BEGIN IMMEDIATE", "begin a change", err);
	store->in_transaction = r == 0;
	return r;
}

int store_end(struct store *store, bool commit, struct err *err)
{
	int r;

	store->in_transaction = false;
	r = commit ? execute(store, "COMMIT", "complete a change", err) : -ECANCELED;
	if (r < 0)
		(void)execute(store, "ROLLBACK", "undo a change", NULL);
	return commit ? r : 0;
}
