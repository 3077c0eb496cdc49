// SPDX-License-Identifier: Apache-2.0
/* The local store's writing half, see store.h. */
#include "profiler/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/store/index.h"

#define MINUTE_NS    (60 * NS_PER_S)
#define HOUR_NS	     (60 * MINUTE_NS)
#define ERROR_BYTES  512
#define COMBINE_AT   (1u << 17) /* entries: then equal ones are added up in between */
#define MAX_ROLLED   (1u << 18) /* entries of an hour: beyond there is none, minutes are read */
#define MAX_SEGMENTS 65536u

struct known_segment {
	__u64 id, bytes;
	__u64 start_ns, end_ns; /* 0, 0: foreign, only its size is known */
	__u64 recorded_ns;	/* what its windows last, together */
};

struct store {
	char *dir;
	int dir_fd;
	struct store_limits limits;
	struct store_index *index;
	VEC(struct known_segment) segments; /* by id; the last one is open when file.fd >= 0 */
	__u64 next_id;
	__u8 boot_id[16];

	struct segment_file file; /* the open segment */
	__u64 indexed;		  /* bytes of it */
	struct dict dict;
	struct columns window;	     /* the open one; facts.windows 0: none */
	VEC(__u64) windows, minutes; /* blocks not added up yet: offsets */
	__u64 minute;		     /* of the windows, since the epoch */

	struct store_stats stats;
	char error[ERROR_BYTES];
};

static int fail(struct store *store, int err, const char *what)
{
	snprintf(store->error, sizeof(store->error), "%s in '%s': %s", what, store->dir,
		 strerror(-err));
	return err;
}

static int fail_index(struct store *store, int err)
{
	snprintf(store->error, sizeof(store->error), "the index in '%s': %s", store->dir,
		 store_index_error(store->index));
	return err;
}

const char *store_error(const struct store *store)
{
	return store->error;
}

/* ---- segments -------------------------------------------------------------------------------- */

static void drop_segment(struct store *store, size_t i)
{
	struct known_segment *s = &store->segments.data[i];
	char name[SEGMENT_FILE_NAME];

	segment_file_name(s->id, name);
	unlinkat(store->dir_fd, name, 0);
	/* Whatever the index says now, a missing file drops its rows at the next start. */
	if (store_index_begin(store->index) || store_index_drop(store->index, s->id) ||
	    store_index_commit(store->index))
		store_index_rollback(store->index);
	else
		store_index_shrink(store->index);
	memmove(s, s + 1, (--store->segments.len - i) * sizeof(*s));
}

static __u64 segment_bytes(const struct store *store)
{
	__u64 bytes = 0;

	vec_for_each (s, &store->segments)
		bytes += s->bytes;
	return bytes;
}

/* Age (store.h: what was recorded since) and size, the oldest out first; what is open stays. */
static void retain(struct store *store)
{
	size_t open = store->file.fd >= 0;
	__u64 index_bytes = store_index_bytes(store->dir), bytes = segment_bytes(store), since = 0;

	vec_for_each (s, &store->segments)
		since += s->recorded_ns;
	while (store->segments.len > open) {
		const struct known_segment *s = &store->segments.data[0];
		bool much = bytes + index_bytes > store->limits.max_bytes;
		bool old = since - s->recorded_ns > store->limits.retention_ns;

		if (!old && !much)
			break;
		store->stats.expired_total += old;
		store->stats.evicted_total += !old;
		since -= s->recorded_ns;
		bytes -= s->bytes;
		drop_segment(store, 0);
	}
	store->stats.bytes = bytes + index_bytes;
}

/* Bytes of its file that the index does not know yet. 0 or -errno (error is set). */
static int index_open(struct store *store)
{
	struct store_report report = {0};
	__u64 end = store->indexed;
	int err = store_index_begin(store->index);

	if (!err)
		err = store_index_rest(store->index, &store->file, store->indexed, &store->dict,
				       false, &end, &report);
	if (!err)
		err = store_index_commit(store->index);
	if (err) {
		fail_index(store, err);
		store_index_rollback(store->index);
		return err;
	}
	store->indexed = end;
	return 0;
}

/* ---- adding up ------------------------------------------------------------------------------- */

static int add_up(struct store *store, const __u64 *at, size_t n, enum block_kind kind,
		  __u64 *ret_at)
{
	struct columns sum = {0};
	struct block block = {0};
	struct buf raw = {0};
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		err = segment_file_read(&store->file, at[i], &block);
		if (!err)
			err = columns_decode(&sum, &store->dict,
					     cursor_of(block.raw.data, block.raw.len));
		if (!err && sum.entries.len > COMBINE_AT)
			columns_combine(&sum);
		if (!err && sum.entries.len > MAX_ROLLED)
			err = -E2BIG;
	}
	if (!err) {
		columns_combine(&sum);
		columns_encode(&sum, &store->dict, &raw);
		err = segment_file_append(&store->file, kind, &raw, ret_at);
	}
	columns_fini(&sum);
	block_fini(&block);
	buf_fini(&raw);
	return err;
}

/* A sum stands for every window since the one before it (store_read.c). So when it cannot be made,
 * its windows wait for the next one, and are read one by one until then. */
static void end_minute(struct store *store)
{
	__u64 at;

	if (!store->windows.len || vec_reserve(&store->minutes, store->minutes.len + 1) ||
	    add_up(store, store->windows.data, store->windows.len, BLOCK_MINUTE, &at))
		return;
	store->minutes.data[store->minutes.len++] = at;
	store->windows.len = 0;
}

static void end_segment(struct store *store)
{
	__u64 at;

	if (store->file.fd < 0)
		return;
	end_minute(store);
	if (store->minutes.len > 1 && !store->windows.len)
		add_up(store, store->minutes.data, store->minutes.len, BLOCK_HOUR, &at);
	index_open(store); /* or at the next start, from the file */
	fdatasync(store->file.fd);
	store->segments.data[store->segments.len - 1].bytes = store->file.bytes;
	segment_file_close(&store->file);
	store->windows.len = store->minutes.len = 0;
	dict_fini(&store->dict);
}

static int begin_segment(struct store *store, __u64 now_ns)
{
	struct known_segment known = {.id = store->next_id, .start_ns = now_ns, .end_ns = now_ns};
	int err;

	if (store->segments.len >= MAX_SEGMENTS)
		drop_segment(store, 0);
	err = dict_init(&store->dict, STORE_DICT_BYTES);
	if (err)
		return fail(store, err, "no memory for a segment");
	err = vec_reserve(&store->segments, store->segments.len + 1);
	if (!err)
		err = segment_file_create(store->dir_fd, store->next_id, now_ns, store->boot_id,
					  &store->file);
	if (err) {
		dict_fini(&store->dict);
		store->next_id += err == -EEXIST;
		return fail(store, err, "no segment can be made");
	}
	store->next_id++;
	store->indexed = known.bytes = store->file.bytes;
	store->segments.data[store->segments.len++] = known;
	err = store_index_begin(store->index);
	if (!err)
		err = store_index_add_segment(store->index, known.id, now_ns, known.bytes);
	if (!err)
		err = store_index_commit(store->index);
	if (err) {
		fail_index(store, err);
		store_index_rollback(store->index);
		segment_file_close(&store->file);
		drop_segment(store, store->segments.len - 1);
		dict_fini(&store->dict);
	}
	return err;
}

/* ---- windows --------------------------------------------------------------------------------- */

static int append_dict(struct store *store)
{
	struct buf raw = {0};
	__u64 at;
	int err;

	if (!dict_has_news(&store->dict))
		return 0;
	dict_encode(&store->dict, &raw);
	err = segment_file_append(&store->file, BLOCK_DICT, &raw, &at);
	buf_fini(&raw);
	if (!err)
		dict_written(&store->dict);
	return err;
}

static int append_window(struct store *store)
{
	struct buf raw = {0};
	__u64 at;
	int err = vec_reserve(&store->windows, store->windows.len + 1);

	if (err)
		return err;
	columns_combine(&store->window);
	columns_encode(&store->window, &store->dict, &raw);
	err = segment_file_append(&store->file, BLOCK_WINDOW, &raw, &at);
	buf_fini(&raw);
	if (!err)
		store->windows.data[store->windows.len++] = at;
	return err;
}

/* What is open goes to the disk; its time stays open for more. */
static int flush(struct store *store)
{
	struct known_segment *known = &store->segments.data[store->segments.len - 1];
	struct facts *facts = &store->window.facts;
	int err = append_dict(store);

	if (!err)
		err = append_window(store);
	store->window.entries.len = 0;
	if (err)
		return fail(store, err, "a window cannot be written");
	known->start_ns = MIN(known->start_ns, facts->start_ns);
	known->end_ns = MAX(known->end_ns, facts->end_ns);
	if (facts->end_ns > facts->start_ns)
		known->recorded_ns += MIN(facts->end_ns - facts->start_ns, STORE_WINDOW_NS);
	facts->samples = facts->whole = facts->lost = 0; /* told once */
	return index_open(store);
}

int store_begin(struct store *store, const struct facts *facts)
{
	bool other_hour =
		store->file.fd >= 0 && facts->start_ns / HOUR_NS != store->file.made_ns / HOUR_NS;
	int err = 0;

	store_abandon(store);
	if (other_hour || (store->file.fd >= 0 && store->file.bytes > STORE_SEGMENT_BYTES))
		end_segment(store);
	if (facts->start_ns / MINUTE_NS != store->minute && store->file.fd >= 0)
		end_minute(store);
	store->minute = facts->start_ns / MINUTE_NS;
	if (store->file.fd < 0) {
		err = begin_segment(store, facts->start_ns);
		retain(store);
	}
	if (!err) {
		store->window.facts = *facts;
		store->window.facts.windows = 1;
	}
	return err;
}

void store_abandon(struct store *store)
{
	store->window.entries.len = 0;
	store->window.facts = (struct facts){0};
}

static int add_samples(struct store *store, struct dict_import *import, __u32 series, size_t *i)
{
	const struct profile *profile = import->profile;

	for (; *i < profile->samples.len; ++*i) {
		const struct profile_sample *s = &profile->samples.data[*i];
		struct entry e = {.series = series};
		int err;

		if (!s->values[0])
			continue;
		memcpy(e.values, s->values, sizeof(e.values));
		err = dict_add_stack(&store->dict, import, s->stack, &e.node);
		if (!err)
			err = dict_add_thread(&store->dict, import, s->labels, &e.thread);
		if (!err)
			err = vec_push(&store->window.entries, e);
		if (err)
			return err;
	}
	return 0;
}

int store_add(struct store *store, const struct dict_label_text *labels, size_t n_labels,
	      const struct profile *profile)
{
	size_t i = 0;
	int err = 0;

	if (!store->window.facts.windows)
		return -EINVAL;
	/* A full dictionary ends the segment; the rest goes into the next one, which is empty. */
	for (int round = 0; round < 2; round++) {
		struct dict_import import;
		__u32 series;

		err = dict_import_init(&import, profile);
		if (!err)
			err = dict_add_series(&store->dict, &import, labels, n_labels, &series);
		if (!err)
			err = add_samples(store, &import, series, &i);
		dict_import_fini(&import);
		if (err != -ENOSPC || round)
			break;
		err = flush(store);
		if (err)
			break;
		end_segment(store);
		err = begin_segment(store, store->window.facts.start_ns);
		if (err)
			break;
	}
	if (err == -ENOSPC)
		fail(store, -E2BIG, "one series has more stacks than a segment holds");
	else if (err == -ENOMEM)
		fail(store, err, "no memory for a window");
	return err;
}

int store_end(struct store *store)
{
	__u64 end_ns = store->window.facts.end_ns;
	int err = store->file.fd >= 0 && store->window.facts.windows ? flush(store) : -EINVAL;

	store_abandon(store);
	if (err)
		return err;
	store->segments.data[store->segments.len - 1].bytes = store->file.bytes;
	store->stats.windows_total++;
	store->stats.last_ns = end_ns;
	retain(store);
	return 0;
}

struct store_stats store_stats(const struct store *store)
{
	struct store_stats stats = store->stats;

	stats.max_bytes = store->limits.max_bytes;
	stats.n_segments = (__u32)store->segments.len;
	stats.dict_bytes = store->file.fd >= 0 ? dict_bytes(&store->dict) : 0;
	stats.oldest_ns = 0;
	vec_for_each (s, &store->segments)
		if (s->end_ns && (!stats.oldest_ns || s->start_ns < stats.oldest_ns))
			stats.oldest_ns = s->start_ns;
	return stats;
}

void store_set_limits(struct store *store, const struct store_limits *limits)
{
	store->limits = *limits;
	store->limits.max_bytes = MAX(limits->max_bytes, STORE_MIN_BYTES);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int by_id(const void *pa, const void *pb)
{
	const struct known_segment *a = pa, *b = pb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static int list_files(struct store *store)
{
	int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;
	int err = 0;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (d = readdir(dir))) {
		struct known_segment s = {0};

		if (segment_file_id(d->d_name, &s.id))
			err = vec_push(&store->segments, s);
	}
	closedir(dir);
	if (store->segments.len)
		qsort(store->segments.data, store->segments.len, sizeof(*store->segments.data),
		      by_id);
	return err;
}

static struct known_segment *find_segment(struct store *store, __u64 id)
{
	struct known_segment key = {.id = id};

	return store->segments.len ? bsearch(&key, store->segments.data, store->segments.len,
					     sizeof(key), by_id)
				   : NULL;
}

struct opening {
	struct store *store;
	struct store_report *report;
	VEC(__u64) missing; /* in the index, without a file */
};

static int indexed_segment(void *arg, const struct index_segment *segment)
{
	struct opening *o = arg;
	struct known_segment *known = find_segment(o->store, segment->id);

	if (!known)
		return vec_push(&o->missing, segment->id);
	known->bytes = segment->bytes;
	known->start_ns = segment->start_ns;
	known->end_ns = segment->end_ns;
	return 0;
}

/* A torn end, behind which no whole block follows, is of no use to anybody. */
static void cut_file(struct store *store, __u64 id, __u64 bytes)
{
	char name[SEGMENT_FILE_NAME];
	_close_ int fd = -1;

	segment_file_name(id, name);
	fd = openat(store->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && ftruncate(fd, (off_t)bytes))
		return; /* read-only: it is passed over again */
}

/* What cannot be read as a segment keeps its place and its size, so that it is dropped in its turn.
 * 0; 1: it is no file; -errno: the index. */
static int keep_foreign(struct opening *o, struct known_segment *known)
{
	char name[SEGMENT_FILE_NAME];
	struct stat st;
	int err = known->bytes ? store_index_drop(o->store->index, known->id) : 0;

	segment_file_name(known->id, name);
	o->report->foreign_segments++;
	if (!err &&
	    (fstatat(o->store->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)))
		return 1;
	if (!err)
		*known = (struct known_segment){.id = known->id, .bytes = (__u64)st.st_size};
	return err;
}

/* The rest of the file into the index, which has it up to known->bytes. 0 or -errno. */
static int index_rest(struct opening *o, struct known_segment *known, struct segment_file *file)
{
	struct store *store = o->store;
	struct dict dict;
	__u64 end;
	int err = dict_init(&dict, STORE_DICT_BYTES);

	if (!err)
		err = store_index_rest(store->index, file, known->bytes, &dict, true, &end,
				       o->report);
	dict_fini(&dict);
	if (err)
		return err;
	if (end < file->bytes)
		cut_file(store, known->id, end);
	known->bytes = end;
	/* Damage at its end is known now, too: the next start need not look again. */
	return store_index_cut(store->index, known->id, end);
}

/* Compare a file with what the index has of it. 0; 1: there is no use in it; -errno: the index. */
static int reconcile(struct opening *o, struct known_segment *known)
{
	struct store *store = o->store;
	struct segment_file file;
	int err = segment_file_open(store->dir_fd, known->id, &file);

	if (err == -ENOMEM || err == -EMFILE)
		return err;
	if (err == -ENODATA) { /* as a crash leaves one */
		char name[SEGMENT_FILE_NAME];

		segment_file_name(known->id, name);
		unlinkat(store->dir_fd, name, 0);
		return 1;
	}
	if (err)
		return keep_foreign(o, known);
	if (known->bytes && file.bytes < known->bytes) {
		o->report->dropped_blocks++;
		o->report->dropped_bytes += known->bytes - file.bytes;
		err = store_index_cut(store->index, known->id, SEGMENT_FILE_HEAD);
		known->bytes = SEGMENT_FILE_HEAD;
	} else if (!known->bytes) {
		known->bytes = SEGMENT_FILE_HEAD;
		err = store_index_add_segment(store->index, known->id, file.made_ns, known->bytes);
	}
	if (!err && known->bytes < file.bytes)
		err = index_rest(o, known, &file);
	segment_file_close(&file);
	return err;
}

static int reconcile_all(struct opening *o)
{
	struct store *store = o->store;
	int err = store_index_segments(store->index, STORE_WINDOW_NS, indexed_segment, o);

	vec_for_each (id, &o->missing)
		if (!err)
			err = store_index_drop(store->index, *id);
	for (size_t i = 0; i < store->segments.len && !err;) {
		err = reconcile(o, &store->segments.data[i]);
		if (err == 1) {
			memmove(&store->segments.data[i], &store->segments.data[i + 1],
				(--store->segments.len - i) * sizeof(*store->segments.data));
			err = 0;
			continue;
		}
		i++;
	}
	return err;
}

/* The index of damage goes aside, for whoever wants to look at it. */
static void set_aside(struct store *store)
{
	renameat(store->dir_fd, STORE_INDEX_NAME, store->dir_fd, STORE_DAMAGED_INDEX);
	unlinkat(store->dir_fd, STORE_INDEX_NAME "-wal", 0);
	unlinkat(store->dir_fd, STORE_INDEX_NAME "-shm", 0);
}

static int open_index(struct store *store, struct store_report *report)
{
	struct opening o = {.store = store, .report = report};
	int err = store_index_open(store->dir, true, &store->index, store->error,
				   sizeof(store->error));

	if (!err)
		err = store_index_begin(store->index);
	if (!err)
		err = reconcile_all(&o);
	if (!err)
		err = store_index_commit(store->index);
	if (err && store->index) {
		fail_index(store, err);
		store_index_close(store->index);
		store->index = NULL;
	}
	vec_free(&o.missing);
	return err;
}

static void read_boot_id(__u8 boot_id[16])
{
	char text[64];
	unsigned n = 0;

	if (fs_read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) <= 0)
		return;
	for (const char *p = text; *p && n < 16; p++) {
		char digits[3] = {p[0], p[0] == '-' ? 0 : p[1], 0};

		if (*p == '-')
			continue;
		boot_id[n++] = (__u8)strtoul(digits, NULL, 16);
		p += digits[1] != 0;
	}
}

/* Times of what was just read from files come from the index. */
static int remember(void *arg, const struct index_segment *segment)
{
	struct known_segment *known = find_segment(arg, segment->id);

	if (known) {
		known->start_ns = segment->start_ns ?: segment->made_ns;
		known->end_ns = segment->end_ns ?: segment->made_ns;
		known->recorded_ns = segment->recorded_ns;
	}
	return 0;
}

static int open_all(struct store *store, struct store_report *report)
{
	int err = fs_mkdirs(store->dir);

	if (!err)
		err = fs_own_dir(store->dir);
	if (err) {
		snprintf(store->error, sizeof(store->error), "'%s' cannot be used: %s", store->dir,
			 fs_own_dir_error(err));
		return err;
	}
	store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir_fd < 0)
		return fail(store, -errno, "the folder cannot be opened");
	if (faccessat(store->dir_fd, ".", W_OK, AT_EACCESS)) /* sqlite would not say why */
		return fail(store, -errno, "nothing can be written");
	err = list_files(store);
	if (err)
		return fail(store, err, "the folder cannot be listed");
	store->next_id = 1;
	if (store->segments.len)
		store->next_id += store->segments.data[store->segments.len - 1].id;
	err = open_index(store, report);
	if (err == -EBADMSG) {
		*report = (struct store_report){.index_made = true};
		set_aside(store);
		vec_for_each (s, &store->segments)
			s->bytes = 0;
		err = open_index(store, report);
	}
	return err ? err : store_index_segments(store->index, STORE_WINDOW_NS, remember, store);
}

int store_open(const char *dir, const struct store_limits *limits, struct store **ret_store,
	       struct store_report *ret_report, char *error, size_t size)
{
	struct store *store = calloc(1, sizeof(*store));
	int err = -ENOMEM;

	*ret_report = (struct store_report){0};
	snprintf(error, size, "no memory for the store");
	if (!store)
		return err;
	store->dir_fd = -1;
	store->file = SEGMENT_FILE_NONE;
	store->dir = strdup(dir);
	store_set_limits(store, limits);
	if (store->dir)
		err = open_all(store, ret_report);
	if (err) {
		snprintf(error, size, "%s", store->error);
		store_close(store);
		return err;
	}
	read_boot_id(store->boot_id);
	retain(store);
	ret_report->n_segments = (__u32)store->segments.len;
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	end_segment(store);
	store_index_close(store->index);
	columns_fini(&store->window);
	vec_free(&store->segments);
	vec_free(&store->windows);
	vec_free(&store->minutes);
	if (store->dir_fd >= 0)
		close(store->dir_fd);
	free(store->dir);
	free(store);
}
