// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel side's unwinder, natively, over rows, rules, registers and memory of anybody's making:
 * it ends, within its frames, with a reason, and reads nothing outside its segment.
 *
 * Input: u8 mappings, for each {u8 kind, u8 pages, u8 place of its rows, u8 shift}; u8 registers
 * for sp, fp and pc; then words of rows and rules, and the rest is the stack.
 */
#include "profiler/copy_unwind.h"

#include "bpf/reason.h"
#include "profiler/map_list.h"
#include "tests/fuzz/fuzz.h"

#define CODE_BASE  0x400000ull
#define STACK_BASE 0x7ffd0000ull
#define MAP_BYTES  0x1000u
#define MAX_MAPS   16u
#define ROW_WORDS  1024u
#define DIR_WORDS  64u
#define SET_AT	   0u
#define ROWS_AT	   2048u

#define USED_WORDS (ROWS_AT + DIR_WORDS + ROW_WORDS)

static unsigned reads;
static struct segments *segments;
static struct map_list list;
static __u64 frames[USER_FRAMES_MAX];

static void open_segment(void)
{
	segments = segments_new(-1, 1u << 20);
	CHECK(segments && !segments_alloc(segments, UNW_SEGMENT_WORDS, &list.blob));
}

static int read_memory(void *arg UNUSED, void *dst, size_t len, __u64 addr)
{
	reads++;
	if (addr < CODE_BASE || addr > CODE_BASE + 0x100000)
		return 1;
	memset(dst, (int)(addr >> 4), len);
	return 0;
}

static void put_mappings(struct cursor *c, __u32 *words, unsigned n)
{
	__u64 *starts = (__u64 *)(words + SET_AT);
	struct unw_mapping *maps = (struct unw_mapping *)(starts + n);

	for (unsigned i = 0; i < n; i++) {
		__u8 kind = cursor_u8(c), pages = cursor_u8(c), place = cursor_u8(c),
		     shift = cursor_u8(c);

		starts[i] = CODE_BASE + (__u64)i * MAP_BYTES * 2;
		maps[i] = (struct unw_mapping){
			.end = starts[i] + MAP_BYTES,
			.bias = CODE_BASE,
			.base = starts[i],
			.file = i + 1,
			.n_pages = pages,
			.dir = ROWS_AT + place % 16 * 4,
			.rows = ROWS_AT + DIR_WORDS + place / 16 * 8,
			.rules = ROWS_AT + DIR_WORDS + ROW_WORDS / 2,
			.kind = kind % (UNW_KIND_GONE + 1),
			.shift = shift,
		};
		if (kind & 0x80) { /* nothing is where it should be */
			maps[i].dir = maps[i].rows = UNW_SEGMENT_WORDS - place;
			maps[i].rules = UNW_SEGMENT_WORDS - 1;
			maps[i].segment = place & 3;
		}
	}
}

static void put_registers(struct cursor *c, __u64 regs[DWARF_REGS])
{
	for (int i = 0; i < DWARF_REGS; i++)
		regs[i] = STACK_BASE + (__u64)i * 24;
	regs[7] = STACK_BASE + cursor_u8(c) % 8;	/* x86-64's stack pointer */
	regs[6] = STACK_BASE + (__u64)cursor_u8(c) * 4; /* its frame pointer */
	regs[31] = regs[7];				/* arm64's */
	regs[29] = regs[6];
	regs[DWARF_PC] = CODE_BASE + (__u64)cursor_u8(c) * 64;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	__u64 regs[DWARF_REGS];
	struct copy_source source = {.regs = regs, .maps = &list};
	unsigned n_maps = cursor_u8(&c) % (MAX_MAPS + 1);
	size_t n, rows;
	__u32 *words;
	__u8 stop;

	if (!segments)
		open_segment();
	source.segments = segments;
	words = segments_words(segments, &list.blob);
	memset(words, 0, USED_WORDS * 4);
	put_mappings(&c, words, n_maps);
	put_registers(&c, regs);
	source.max_frames = 1 + cursor_u8(&c) * 4;
	source.read = cursor_u8(&c) & 1 ? read_memory : NULL;
	rows = MIN(cursor_left(&c) / 2 & ~(size_t)3, (DIR_WORDS + ROW_WORDS) * (size_t)4);
	memcpy(words + ROWS_AT, cursor_bytes(&c, rows), rows);
	list.n_published = n_maps;
	source.stack_bytes = cursor_left(&c);
	source.stack = cursor_bytes(&c, source.stack_bytes);
	reads = 0;
	n = copy_unwind(&source, frames, &stop);
	CHECK(n <= source.max_frames && n <= USER_FRAMES_MAX && stop < STOP_COUNT);
	CHECK(reads <= 8 * (n + 1));
	for (size_t i = 0; i < n; i++)
		CHECK(frames[i] >> FRAME_KIND_SHIFT <= FRAME_FILE);
	return 0;
}
