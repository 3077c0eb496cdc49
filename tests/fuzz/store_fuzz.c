// SPDX-License-Identifier: Apache-2.0
/*
 * A segment of the store that may hold anything: read block by block, entered into an index by
 * opening the store over it, read as profiles, written on and opened again. Every id that comes out
 * exists, what is entered can be read, a window stored afterwards comes back as it was, and opening
 * twice says the same.
 *
 * Input: u8 flags, then blocks, each {u8 kind, u8 how, u16 length} + bytes. how: the bytes are a
 * payload, packed and checked here, which chance would never hit; or bytes of the file as they are.
 */
#include <errno.h>
#include <fcntl.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/profile.h"
#include "profiler/store/index.h"
#include "profiler/store/store.h"
#include "profiler/store/store_read.h"
#include "tests/fuzz/fuzz.h"

#define T0	   (1700000000 * NS_PER_S)
#define MAX_BLOCKS 64
#define DICT_BYTES ((size_t)1 << 20)

enum { OPEN_IT = 1, AGAIN = 2, EARLIER = 4, BY_THREAD = 8 };
enum { AS_BYTES = 1 };

static int folder = -1;

static void write_segment(struct cursor *c)
{
	static const __u8 boot_id[16] = "a boot";
	struct segment_file file;
	__u64 at;

	CHECK(!segment_file_create(folder, 1, T0, boot_id, &file));
	for (int i = 0; i < MAX_BLOCKS; i++) {
		unsigned kind = cursor_u8(c), how = cursor_u8(c);
		size_t len = cursor_u16(c);
		struct buf raw = {0};

		len = MIN(len, cursor_left(c));
		if (c->bad || buf_reserve(&raw, len + 1))
			break;
		buf_add(&raw, cursor_bytes(c, len), len);
		if (how & AS_BYTES) {
			CHECK(lseek(file.fd, (off_t)file.bytes, SEEK_SET) >= 0);
			CHECK(!fs_write_all(file.fd, raw.data, raw.len));
			file.bytes += raw.len;
		} else {
			CHECK(!segment_file_append(&file, kind % (BLOCK_KINDS + 1), &raw, &at));
		}
		buf_fini(&raw);
	}
	segment_file_close(&file);
}

/* Every id of the tables is one of the tables. */
static void check_dict(const struct dict *d)
{
	vec_for_each (l, &d->locations)
		CHECK(l->mapping < d->mappings.len && l->n_lines && l->kind < FRAME_KIND_COUNT &&
		      l->first_line + l->n_lines <= d->lines.len);
	vec_for_each (l, &d->lines)
		CHECK(l->function < d->functions.len);
	for (size_t i = 1; i < d->nodes.len; i++)
		CHECK(d->nodes.data[i].parent < i && d->nodes.data[i].location < d->locations.len);
	vec_for_each (f, &d->functions)
		CHECK(f->name < d->strings.entries.len && f->file < d->strings.entries.len);
	vec_for_each (s, &d->series)
		CHECK(s->kind < d->kinds.len && s->first_label + s->n_labels <= d->labels.len);
	vec_for_each (k, &d->kinds)
		CHECK(k->n_types && k->n_types <= PROFILE_MAX_TYPES &&
		      k->default_type < k->n_types);
}

static void read_blocks(void)
{
	struct segment_file file;
	struct columns columns = {0};
	struct block block = {0};
	struct dict dict;
	__u64 at = SEGMENT_FILE_HEAD;
	int err;

	CHECK(!segment_file_open(folder, 1, &file) && !dict_init(&dict, DICT_BYTES));
	while (!(err = segment_file_read(&file, at, &block)) || (err == -EBADMSG && block.end)) {
		struct cursor in = cursor_of(block.raw.data, block.raw.len);

		CHECK(block.end > at && block.end <= file.bytes);
		at = block.end;
		if (!err && block.kind == BLOCK_DICT) {
			if (!dict_decode(&dict, in))
				CHECK(dict_bytes(&dict) <= DICT_BYTES);
			check_dict(&dict);
		} else if (!err) {
			columns.entries.len = 0;
			if (!columns_decode(&columns, &dict, in))
				columns_combine(&columns);
			vec_for_each (e, &columns.entries)
				CHECK(e->series < dict.series.len && e->node < dict.nodes.len &&
				      e->thread < dict.threads.len && e->values[0] >= 0);
		}
	}
	CHECK(err == -ENODATA || err == -EBADMSG);
	dict_fini(&dict);
	columns_fini(&columns);
	block_fini(&block);
	segment_file_close(&file);
}

/* What is there of a kind, as one profile; its samples. */
static __u64 ask(const char *kind, enum store_group group, struct store_result *result)
{
	struct store_choice choice = {.kind = kind, .to_ns = ~0ull, .group = group};
	struct profile_limits limits = {.max_bytes = 4 << 20};
	struct store_reader *reader = store_reader_new(fuzz_folder());
	struct profile *p = profile_new(&limits);
	__u64 total;

	CHECK(reader && p && !store_read_profile(reader, &choice, p, result));
	vec_for_each (s, &p->samples)
		CHECK(s->stack < p->stacks.len && s->labels < p->label_sets.len);
	vec_for_each (s, &p->stacks)
		for (__u32 i = 0; i < s->n_frames; i++)
			CHECK(s->frames[i] < p->locations.len);
	total = profile_total(p, 0);
	profile_free(p);
	store_reader_free(reader);
	return total;
}

static struct store *open_store(struct store_report *report)
{
	static const struct store_limits limits = {.retention_ns = ~0ull >> 2,
						   .max_bytes = 1ull << 30};
	struct store *store;
	char error[512];

	CHECK(!store_open(fuzz_folder(), &limits, &store, report, error, sizeof(error)));
	return store;
}

/* A window of one sample of the kind `mine`. */
static void put_window(struct store *store, __u64 start_ns)
{
	struct dict_label_text label = {"service_name", "s"};
	struct facts facts = {.start_ns = start_ns, .end_ns = start_ns + NS_PER_S, .samples = 1};
	struct profile *p = profile_new(NULL);
	__u32 frame;

	CHECK(p);
	profile_add_type(p, "samples", "count");
	profile_set_period(p, "cpu", "nanoseconds", 1);
	p->name = profile_cstring(p, "mine");
	frame = profile_named_location(p, FRAME_NATIVE, "f");
	profile_add(p, profile_stack(p, &frame, 1), 0, (__s64[]){5});
	CHECK(!store_begin(store, &facts) && !store_add(store, &label, 1, p) && !store_end(store));
	profile_free(p);
}

static void open_read_write(unsigned flags)
{
	struct store_report report, again;
	struct store_result result;
	struct store *store = open_store(&report);

	ask("cpu", flags & BY_THREAD ? STORE_GROUP_TID : STORE_GROUP_NONE, &result);
	CHECK(!result.skipped_blocks || report.dropped_blocks);
	put_window(store, flags & EARLIER ? T0 - 7200 * NS_PER_S : T0);
	if (flags & AGAIN)
		put_window(store, T0 + 70 * NS_PER_S);
	CHECK(ask("mine", STORE_GROUP_NONE, &result) % 5 == 0);
	store_close(store);
	store = open_store(&again);
	CHECK(!again.index_made && !again.recovered_blocks && again.n_segments);
	CHECK(ask("mine", STORE_GROUP_NONE, &result) >= 5);
	store_close(store);
}

static void empty_folder(void)
{
	static const char *const names[] = {STORE_INDEX_NAME, STORE_INDEX_NAME "-wal",
					    STORE_INDEX_NAME "-shm", STORE_DAMAGED_INDEX};
	char name[SEGMENT_FILE_NAME];

	for (__u64 id = 1; id < 8; id++) {
		segment_file_name(id, name);
		unlinkat(folder, name, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(folder, names[i], 0);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned flags = cursor_u8(&c);

	if (folder < 0)
		folder = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(folder >= 0);
	write_segment(&c);
	read_blocks();
	if (flags & OPEN_IT)
		open_read_write(flags);
	empty_folder();
	return 0;
}
