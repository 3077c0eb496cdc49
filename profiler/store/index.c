// SPDX-License-Identifier: Apache-2.0
/* The store's index, see index.h. sqlite 3.40; every statement is prepared once. */
#include "profiler/store/index.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMA_VERSION 1
#define BUSY_MS	       2000
#define CACHE_KIB      "-512" /* of pages, a connection */

static const char schema[] =
	"CREATE TABLE segment(id INTEGER PRIMARY KEY, made_ns INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL) STRICT;"
	"CREATE TABLE block(segment INTEGER NOT NULL, at INTEGER NOT NULL, len INTEGER NOT NULL,"
	" level INTEGER NOT NULL, start_ns INTEGER, end_ns INTEGER, samples INTEGER,"
	" whole INTEGER, lost INTEGER, PRIMARY KEY(segment, at)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX block_time ON block(level, start_ns);"
	"CREATE TABLE series(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, type TEXT NOT NULL,"
	" unit TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE(kind, type, unit, labels)) STRICT;"
	"CREATE TABLE seen(segment INTEGER NOT NULL, series INTEGER NOT NULL,"
	" PRIMARY KEY(segment, series)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX seen_series ON seen(series);"
	"CREATE TABLE point(segment INTEGER NOT NULL, at INTEGER NOT NULL,"
	" series INTEGER NOT NULL, samples INTEGER NOT NULL, value INTEGER NOT NULL,"
	" PRIMARY KEY(segment, at, series)) STRICT, WITHOUT ROWID;";

#define POINTS_SQL(which)                                                                          \
	"SELECT series, start_ns, end_ns, p.samples, value FROM block b JOIN point p"              \
	" ON p.segment = b.segment AND p.at = b.at"                                                \
	" WHERE start_ns < ?2 AND end_ns > ?1 AND " which

/* ADD_POINT: one that is there is the same series at another rate. A sum beyond sqlite's integers
 * becomes a real, which is more than the largest integer. */
#define STATEMENTS(X)                                                                              \
	X(BEGIN, "BEGIN")                                                                          \
	X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                          \
	X(COMMIT, "COMMIT")                                                                        \
	X(ROLLBACK, "ROLLBACK")                                                                    \
	X(ADD_SEGMENT, "INSERT OR REPLACE INTO segment VALUES(?1, ?2, ?3)")                        \
	X(ADD_BLOCK, "INSERT INTO block VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")               \
	X(SET_BYTES, "UPDATE segment SET bytes = ?2 WHERE id = ?1")                                \
	X(FIND_SERIES,                                                                             \
	  "SELECT id FROM series WHERE kind = ?1 AND type = ?2 AND unit = ?3 AND labels = ?4")     \
	X(ADD_SERIES, "INSERT INTO series(kind, type, unit, labels) VALUES(?1, ?2, ?3, ?4)")       \
	X(ADD_SEEN, "INSERT OR IGNORE INTO seen VALUES(?1, ?2)")                                   \
	X(ADD_POINT, "INSERT INTO point VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"      \
		     " samples = min(samples + excluded.samples, 9223372036854775807),"            \
		     " value = min(value + excluded.value, 9223372036854775807)")                  \
	X(CUT_POINTS, "DELETE FROM point WHERE segment = ?1 AND at >= ?2")                         \
	X(CUT_BLOCKS, "DELETE FROM block WHERE segment = ?1 AND at >= ?2")                         \
	X(DROP_SEEN, "DELETE FROM seen WHERE segment = ?1")                                        \
	X(DROP_SEGMENT, "DELETE FROM segment WHERE id = ?1")                                       \
	X(DROP_SERIES, "DELETE FROM series WHERE id NOT IN (SELECT series FROM seen)")             \
	X(SEGMENTS,                                                                                \
	  "SELECT id, made_ns, bytes, coalesce(min(start_ns), 0), coalesce(max(end_ns), 0),"       \
	  " coalesce(sum(max(0, min(end_ns - start_ns, ?1))), 0)"                                  \
	  " FROM segment LEFT JOIN block ON segment = id AND level = 2 GROUP BY id ORDER BY id")   \
	X(BLOCKS, "SELECT segment, at, level, start_ns, end_ns, samples, whole, lost FROM block"   \
		  " WHERE level > 1 AND start_ns < ?2 AND end_ns > ?1"                             \
		  " ORDER BY segment, level DESC, start_ns")                                       \
	X(TIMES, "SELECT start_ns, end_ns FROM block WHERE level = 2 AND start_ns < ?2"            \
		 " AND end_ns > ?1 ORDER BY start_ns")                                             \
	X(EACH_SERIES,                                                                             \
	  "SELECT id, kind, type, unit, labels FROM series WHERE id IN (SELECT series FROM seen"   \
	  " WHERE segment IN (SELECT DISTINCT segment FROM block WHERE level = 2"                  \
	  " AND start_ns < ?2 AND end_ns > ?1)) ORDER BY id")                                      \
	X(POINTS, POINTS_SQL("level = 2"))                                                         \
	X(MINUTES, POINTS_SQL("level = 3 AND b.segment IN (SELECT segment FROM block"              \
			      " WHERE level = 4)"))                                                \
	X(WINDOWS, POINTS_SQL("level = 2 AND b.segment NOT IN (SELECT segment FROM block"          \
			      " WHERE level = 4)"))                                                \
	X(SINCE, "SELECT coalesce(min(start_ns), 0) FROM block WHERE level = 2")                   \
	X(FACTS,                                                                                   \
	  "SELECT min(start_ns), max(end_ns), sum(samples), sum(whole), sum(lost), count(*)"       \
	  " FROM block WHERE level = 2 AND start_ns < ?2 AND end_ns > ?1")

enum statement {
#define X(name, sql) STMT_##name,
	STATEMENTS(X)
#undef X
		STMT_COUNT
};
static const char *const sql[] = {
#define X(name, text) text,
	STATEMENTS(X)
#undef X
};

struct store_index {
	sqlite3 *db;
	bool write;
	sqlite3_stmt *statements[STMT_COUNT];
};

static int errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_ERROR: /* a table is missing, or somebody's own */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_FORMAT:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

const char *store_index_error(const struct store_index *index)
{
	return sqlite3_errmsg(index->db);
}

/* ---- statements ------------------------------------------------------------------------------ */

/* Ready for its parameters; NULL: see sqlite's error. */
static sqlite3_stmt *statement(struct store_index *index, enum statement which)
{
	sqlite3_stmt **st = &index->statements[which];

	if (!*st &&
	    sqlite3_prepare_v3(index->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL))
		return NULL;
	sqlite3_reset(*st);
	return *st;
}

/* Run a statement whose parameters are numbers. */
static int run_numbers(struct store_index *index, enum statement which, const __s64 *numbers, int n)
{
	sqlite3_stmt *st = statement(index, which);
	int rc;

	if (!st)
		return errno_of(sqlite3_errcode(index->db)) ?: -EIO;
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(st, i + 1, numbers[i]);
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	return errno_of(rc);
}
#define run(index, which, ...)                                                                     \
	run_numbers(index, which, (const __s64[]){__VA_ARGS__},                                    \
		    (int)(sizeof((const __s64[]){__VA_ARGS__}) / sizeof(__s64)))

/* Call row for each row until it does not return 0. */
static int each_row(struct store_index *index, sqlite3_stmt *st,
		    int (*row)(void *arg, sqlite3_stmt *st), void *arg)
{
	int rc, err = 0;

	if (!st)
		return errno_of(sqlite3_errcode(index->db)) ?: -EIO;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = row(arg, st);
	if (!err)
		err = errno_of(rc);
	sqlite3_reset(st);
	return err;
}

/* Times beyond sqlite's integers do not occur in it. */
static __s64 sql_time(__u64 ns)
{
	return (__s64)MIN(ns, (__u64)INT64_MAX);
}

static sqlite3_stmt *for_times(struct store_index *index, enum statement which, __u64 from_ns,
			       __u64 to_ns)
{
	sqlite3_stmt *st = statement(index, which);

	if (st) {
		sqlite3_bind_int64(st, 1, sql_time(from_ns));
		sqlite3_bind_int64(st, 2, sql_time(to_ns));
	}
	return st;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int exec(struct store_index *index, const char *text)
{
	return errno_of(sqlite3_exec(index->db, text, NULL, NULL, NULL));
}

static int first_number(struct store_index *index, const char *text, __s64 *ret_value)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(index->db, text, -1, &st, NULL);

	if (!rc)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return errno_of(rc);
}

/* quick_check says "ok" in one row, or what is wrong. */
static int look_over(struct store_index *index)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(index->db, "PRAGMA quick_check(1)", -1, &st, NULL), err;

	if (!rc)
		rc = sqlite3_step(st);
	err = errno_of(rc);
	if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok"))
		err = -EBADMSG;
	sqlite3_finalize(st);
	return err;
}

/* Bring the schema to this version, step by step (so far there is one). */
static int migrate(struct store_index *index, __s64 version)
{
	int err;

	if (version == SCHEMA_VERSION)
		return 0;
	if (version > SCHEMA_VERSION)
		return -EPROTO;
	err = exec(index, "BEGIN IMMEDIATE");
	if (!err)
		err = exec(index, schema);
	if (!err)
		err = exec(index, "PRAGMA user_version = 1");
	if (!err)
		err = exec(index, "COMMIT");
	if (err)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static int set_up(struct store_index *index)
{
	__s64 version = 0;
	int err;

	sqlite3_busy_timeout(index->db, BUSY_MS);
	/* Names of columns are ours; a file cannot make us run its triggers or functions. */
	sqlite3_db_config(index->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(index->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(index->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	err = exec(index, "PRAGMA cache_size = " CACHE_KIB "; PRAGMA mmap_size = 0;"
			  "PRAGMA temp_store = MEMORY;");
	if (!err && index->write)
		err = exec(index, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
				  "PRAGMA synchronous = NORMAL;"
				  "PRAGMA journal_size_limit = 4194304;");
	if (!err)
		err = first_number(index, "PRAGMA user_version", &version);
	if (!err && index->write)
		err = look_over(index);
	if (!err && index->write)
		err = migrate(index, version);
	else if (!err && version != SCHEMA_VERSION) /* older: its writer has yet to make it */
		err = version > SCHEMA_VERSION ? -EPROTO : -ENOENT;
	/* What has other tables is none of ours. */
	for (int i = 0; i < STMT_COUNT && !err && index->write; i++)
		if (!statement(index, (enum statement)i))
			err = errno_of(sqlite3_errcode(index->db)) ?: -EIO;
	return err;
}

int store_index_open(const char *dir, bool write, struct store_index **ret_index, char *error,
		     size_t size)
{
	struct store_index *index = calloc(1, sizeof(*index));
	char path[4096];
	int err;

	if (!index)
		return -ENOMEM;
	index->write = write;
	snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME, dir);
	err = errno_of(sqlite3_open_v2(path, &index->db,
				       SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
					       SQLITE_OPEN_READWRITE |
					       (write ? SQLITE_OPEN_CREATE : 0),
				       NULL));
	if (!err)
		err = set_up(index);
	if (err) {
		if (err == -EPROTO)
			snprintf(error, size, "'%s' was written by a newer version", path);
		else
			snprintf(error, size, "'%s': %s", path,
				 index->db ? sqlite3_errmsg(index->db) : strerror(-err));
		store_index_close(index);
		return err;
	}
	*ret_index = index;
	return 0;
}

void store_index_close(struct store_index *index)
{
	if (!index)
		return;
	for (int i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(index->statements[i]);
	sqlite3_close(index->db);
	free(index);
}

int store_index_begin(struct store_index *index)
{
	return run_numbers(index, index->write ? STMT_BEGIN_WRITE : STMT_BEGIN, NULL, 0);
}

int store_index_commit(struct store_index *index)
{
	return run_numbers(index, STMT_COMMIT, NULL, 0);
}

void store_index_rollback(struct store_index *index)
{
	/* sqlite has rolled back by itself after some errors: then this one says so. */
	if (!sqlite3_get_autocommit(index->db) && run_numbers(index, STMT_ROLLBACK, NULL, 0))
		return;
}

/* ---- writing --------------------------------------------------------------------------------- */

int store_index_add_segment(struct store_index *index, __u64 id, __u64 made_ns, __u64 bytes)
{
	return run(index, STMT_ADD_SEGMENT, (__s64)id, sql_time(made_ns), (__s64)bytes);
}

int store_index_add_block(struct store_index *index, __u64 segment, const struct block *block,
			  const struct facts *facts)
{
	sqlite3_stmt *st = statement(index, STMT_ADD_BLOCK);
	int err;

	if (!st)
		return errno_of(sqlite3_errcode(index->db)) ?: -EIO;
	sqlite3_clear_bindings(st);
	sqlite3_bind_int64(st, 1, (__s64)segment);
	sqlite3_bind_int64(st, 2, (__s64)block->at);
	sqlite3_bind_int64(st, 3, (__s64)(block->end - block->at));
	sqlite3_bind_int(st, 4, block->kind);
	if (facts) {
		sqlite3_bind_int64(st, 5, sql_time(facts->start_ns));
		sqlite3_bind_int64(st, 6, sql_time(facts->end_ns));
		sqlite3_bind_int64(st, 7, sql_time(facts->samples));
		sqlite3_bind_int64(st, 8, sql_time(facts->whole));
		sqlite3_bind_int64(st, 9, sql_time(facts->lost));
	}
	err = errno_of(sqlite3_step(st));
	sqlite3_reset(st);
	return err ? err : run(index, STMT_SET_BYTES, (__s64)segment, (__s64)block->end);
}

static sqlite3_stmt *series_statement(struct store_index *index, enum statement which,
				      const char *const text[4])
{
	sqlite3_stmt *st = statement(index, which);

	for (int i = 0; i < 4 && st; i++)
		sqlite3_bind_text(st, i + 1, text[i], -1, SQLITE_STATIC);
	return st;
}

int store_index_series(struct store_index *index, const char *kind, const char *type,
		       const char *unit, const char *labels, __s64 *ret_id)
{
	const char *const text[4] = {kind, type, unit, labels};
	sqlite3_stmt *st = series_statement(index, STMT_FIND_SERIES, text);
	int rc = st ? sqlite3_step(st) : sqlite3_errcode(index->db);

	if (rc == SQLITE_ROW) {
		*ret_id = sqlite3_column_int64(st, 0);
	} else if (rc == SQLITE_DONE) {
		sqlite3_stmt *add = series_statement(index, STMT_ADD_SERIES, text);

		rc = add ? sqlite3_step(add) : sqlite3_errcode(index->db);
		if (add)
			sqlite3_reset(add);
		*ret_id = sqlite3_last_insert_rowid(index->db);
	}
	if (st)
		sqlite3_reset(st);
	return errno_of(rc);
}

int store_index_add_point(struct store_index *index, __u64 segment, __u64 at, __s64 series,
			  __s64 samples, __s64 value)
{
	int err = run(index, STMT_ADD_SEEN, (__s64)segment, series);

	return err ? err
		   : run(index, STMT_ADD_POINT, (__s64)segment, (__s64)at, series, samples, value);
}

int store_index_cut(struct store_index *index, __u64 segment, __u64 bytes)
{
	int err = run(index, STMT_CUT_POINTS, (__s64)segment, (__s64)bytes);

	if (!err)
		err = run(index, STMT_CUT_BLOCKS, (__s64)segment, (__s64)bytes);
	return err ? err : run(index, STMT_SET_BYTES, (__s64)segment, (__s64)bytes);
}

int store_index_drop(struct store_index *index, __u64 segment)
{
	int err = run(index, STMT_CUT_POINTS, (__s64)segment, 0);

	if (!err)
		err = run(index, STMT_CUT_BLOCKS, (__s64)segment, 0);
	if (!err)
		err = run(index, STMT_DROP_SEEN, (__s64)segment);
	if (!err)
		err = run(index, STMT_DROP_SEGMENT, (__s64)segment);
	return err ? err : run_numbers(index, STMT_DROP_SERIES, NULL, 0);
}

void store_index_shrink(struct store_index *index)
{
	/* What cannot be given back is used again. */
	sqlite3_exec(index->db, "PRAGMA incremental_vacuum", NULL, NULL, NULL);
}

/* ---- reading --------------------------------------------------------------------------------- */

static __u64 column(sqlite3_stmt *st, int i)
{
	__s64 value = sqlite3_column_int64(st, i);

	return value < 0 ? 0 : (__u64)value;
}

static const char *text_of(sqlite3_stmt *st, int i)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text ? text : "";
}

struct visit {
	union {
		int (*segment)(void *arg, const struct index_segment *segment);
		int (*block)(void *arg, const struct index_block *block);
		int (*time)(void *arg, __u64 start_ns, __u64 end_ns);
		int (*series)(void *arg, const struct index_series *series);
		int (*point)(void *arg, const struct index_point *point);
	};
	void *arg;
};

static int segment_row(void *arg, sqlite3_stmt *st)
{
	const struct visit *v = arg;
	struct index_segment segment = {column(st, 0), column(st, 1), column(st, 2),
					column(st, 3), column(st, 4), column(st, 5)};

	return v->segment(v->arg, &segment);
}

int store_index_segments(struct store_index *index, __u64 window_ns,
			 int (*visit)(void *arg, const struct index_segment *segment), void *arg)
{
	struct visit v = {.segment = visit, .arg = arg};
	sqlite3_stmt *st = statement(index, STMT_SEGMENTS);

	if (st)
		sqlite3_bind_int64(st, 1, sql_time(window_ns));
	return each_row(index, st, segment_row, &v);
}

static int block_row(void *arg, sqlite3_stmt *st)
{
	const struct visit *v = arg;
	struct index_block block = {
		.segment = column(st, 0),
		.at = column(st, 1),
		.kind = (enum block_kind)column(st, 2),
		.facts = {.start_ns = column(st, 3),
			  .end_ns = column(st, 4),
			  .samples = column(st, 5),
			  .whole = column(st, 6),
			  .lost = column(st, 7)},
	};

	return v->block(v->arg, &block);
}

int store_index_blocks(struct store_index *index, __u64 from_ns, __u64 to_ns,
		       int (*visit)(void *arg, const struct index_block *block), void *arg)
{
	struct visit v = {.block = visit, .arg = arg};

	return each_row(index, for_times(index, STMT_BLOCKS, from_ns, to_ns), block_row, &v);
}

static int time_row(void *arg, sqlite3_stmt *st)
{
	const struct visit *v = arg;

	return v->time(v->arg, column(st, 0), column(st, 1));
}

int store_index_times(struct store_index *index, __u64 from_ns, __u64 to_ns,
		      int (*visit)(void *arg, __u64 start_ns, __u64 end_ns), void *arg)
{
	struct visit v = {.time = visit, .arg = arg};

	return each_row(index, for_times(index, STMT_TIMES, from_ns, to_ns), time_row, &v);
}

static int series_row(void *arg, sqlite3_stmt *st)
{
	const struct visit *v = arg;
	struct index_series series = {sqlite3_column_int64(st, 0), text_of(st, 1), text_of(st, 2),
				      text_of(st, 3), text_of(st, 4)};

	return v->series(v->arg, &series);
}

int store_index_each_series(struct store_index *index, __u64 from_ns, __u64 to_ns,
			    int (*visit)(void *arg, const struct index_series *series), void *arg)
{
	struct visit v = {.series = visit, .arg = arg};

	return each_row(index, for_times(index, STMT_EACH_SERIES, from_ns, to_ns), series_row, &v);
}

static int point_row(void *arg, sqlite3_stmt *st)
{
	const struct visit *v = arg;
	struct index_point point = {sqlite3_column_int64(st, 0), column(st, 1), column(st, 2),
				    sqlite3_column_int64(st, 3), sqlite3_column_int64(st, 4)};

	return v->point(v->arg, &point);
}

int store_index_points(struct store_index *index, enum block_kind coarsest, __u64 from_ns,
		       __u64 to_ns, int (*visit)(void *arg, const struct index_point *point),
		       void *arg)
{
	struct visit v = {.point = visit, .arg = arg};
	int err;

	if (coarsest == BLOCK_WINDOW)
		return each_row(index, for_times(index, STMT_POINTS, from_ns, to_ns), point_row,
				&v);
	err = each_row(index, for_times(index, STMT_MINUTES, from_ns, to_ns), point_row, &v);
	return err ? err
		   : each_row(index, for_times(index, STMT_WINDOWS, from_ns, to_ns), point_row, &v);
}

static int since_row(void *arg, sqlite3_stmt *st)
{
	*(__u64 *)arg = column(st, 0);
	return 0;
}

int store_index_since(struct store_index *index, __u64 *ret_ns)
{
	return each_row(index, statement(index, STMT_SINCE), since_row, ret_ns);
}

static int facts_row(void *arg, sqlite3_stmt *st)
{
	struct facts *facts = arg;

	*facts = (struct facts){
		.start_ns = column(st, 0),
		.end_ns = column(st, 1),
		.samples = column(st, 2),
		.whole = column(st, 3),
		.lost = column(st, 4),
		.windows = column(st, 5),
	};
	return 0;
}

int store_index_facts(struct store_index *index, __u64 from_ns, __u64 to_ns,
		      struct facts *ret_facts)
{
	return each_row(index, for_times(index, STMT_FACTS, from_ns, to_ns), facts_row, ret_facts);
}

__u64 store_index_bytes(const char *dir)
{
	static const char *const endings[] = {"", "-wal", "-shm"};
	__u64 bytes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		char path[4096];
		struct stat st;

		snprintf(path, sizeof(path), "%s/" STORE_INDEX_NAME "%s", dir, endings[i]);
		if (!stat(path, &st))
			bytes += (__u64)st.st_blocks * 512;
	}
	return bytes;
}
