// SPDX-License-Identifier: Apache-2.0
/* Pictures, see picture.h. */
#include "tests/bpf/picture.h"

#include <stdlib.h>
#include <string.h>

#define VADDR 0x1000u /* where each file's ELF addresses begin */

/* What the step reads; it has no context, since in BPF there is none. */
static struct picture *walked;

static const __u32 *unw_segment(__u32 i)
{
	return segments_base(walked->segments, i);
}

static int unw_read(void *dst, __u32 len, __u64 addr)
{
	walked->reads++;
	for (size_t i = 0; i < walked->n_regions; i++) {
		const struct picture_region *r = &walked->regions[i];

		if (addr < r->start || addr - r->start > r->len || len > r->len - (addr - r->start))
			continue;
		memcpy(dst, r->bytes + (addr - r->start), len);
		return 0;
	}
	memset(dst, 0, len); /* as bpf_probe_read_user does */
	return 1;
}

static __u64 unw_thread_pointer(void)
{
	return walked->thread_pointer;
}

#include "bpf/unwind.bpf.h"

static inline int unw_near(struct unw_state *s UNUSED, __u64 *value, __u64 addr)
{
	return unw_read(value, sizeof(*value), addr);
}

void picture_init(struct picture *picture)
{
	*picture = (struct picture){.segments = segments_new(-1, 8u << 20)};
	BUG_ON(!picture->segments);
	BUG_ON(segments_alloc(picture->segments,
			      PICTURE_MAPPINGS * (8 + sizeof(struct unw_mapping)) / 4,
			      &picture->set));
}

void picture_fini(struct picture *picture)
{
	for (size_t i = 0; i < picture->n_regions; i++)
		free(picture->regions[i].bytes);
	segments_free(picture->segments);
}

static struct picture_mapping *add(struct picture *picture, __u64 start, __u64 end,
				   enum unw_kind kind)
{
	struct picture_mapping *map = &picture->maps[picture->n_maps++];

	BUG_ON(picture->n_maps > PICTURE_MAPPINGS);
	*map = (struct picture_mapping){
		.start = start,
		.end = end,
		.m = {.end = end, .bias = start - VADDR, .base = start, .kind = (__u8)kind},
	};
	map->m.file = (__u32)picture->n_maps;
	return map;
}

void picture_map_kind(struct picture *picture, __u64 start, __u64 end, enum unw_kind kind)
{
	struct picture_mapping *map = add(picture, start, end, kind);

	if (kind == UNW_KIND_ANON)
		map->m.file = 0;
}

void picture_map_rows(struct picture *picture, __u64 start, __u64 end,
		      const struct picture_row *rows, size_t n_rows, const struct unw_rule *rules,
		      size_t n_rules)
{
	__u32 pages = (__u32)((end - start + 0xffff) >> 16), at = ALIGN_UP((pages + 1) * 2, 8) / 4;
	__u32 rules_at = ALIGN_UP(at + (__u32)n_rows, 2), *words;
	struct picture_mapping *map = add(picture, start, end, UNW_KIND_ROWS);
	size_t row = 0;

	BUG_ON(segments_alloc(picture->segments,
			      rules_at + (__u32)(n_rules * sizeof(*rules) / 4) + 2, &map->blob));
	words = segments_words(picture->segments, &map->blob);
	for (__u32 page = 0; page <= pages; page++) {
		while (row < n_rows && rows[row].offset >> 16 < page)
			row++;
		((__u16 *)words)[page] = (__u16)row;
	}
	for (size_t i = 0; i < n_rows; i++)
		words[at + i] = rows[i].offset << 16 | rows[i].code;
	if (n_rules)
		memcpy(words + rules_at, rules, n_rules * sizeof(*rules));
	map->m.n_pages = pages;
	map->m.shift = 16;
	map->m.segment = (__u16)map->blob.segment;
	map->m.dir = map->blob.offset;
	map->m.rows = map->blob.offset + at;
	map->m.rules = map->blob.offset + rules_at;
}

void picture_memory(struct picture *picture, __u64 start, __u64 len)
{
	struct picture_region *r = &picture->regions[picture->n_regions++];

	BUG_ON(picture->n_regions > PICTURE_REGIONS);
	*r = (struct picture_region){start, len, calloc(1, len)};
	BUG_ON(!r->bytes);
}

void picture_put(struct picture *picture, __u64 addr, __u64 word)
{
	for (size_t i = 0; i < picture->n_regions; i++) {
		struct picture_region *r = &picture->regions[i];

		if (addr >= r->start && addr + 8 <= r->start + r->len) {
			memcpy(r->bytes + (addr - r->start), &word, 8);
			return;
		}
	}
	BUG_ON(1); /* the test writes where it mapped nothing */
}

/* Anew each time: tests change mappings between two walks. */
static void publish(struct picture *picture)
{
	__u64 *starts = (__u64 *)segments_words(picture->segments, &picture->set);
	struct unw_mapping *maps = (struct unw_mapping *)(starts + picture->n_maps);

	for (size_t i = 0; i < picture->n_maps; i++) {
		starts[i] = picture->maps[i].start;
		maps[i] = picture->maps[i].m;
	}
}

size_t picture_unwind(struct picture *picture, const __u64 regs[DWARF_REGS], __u32 max_frames,
		      __u64 *frames, __u8 *ret_stop)
{
	struct unw_state s = {
		.pc = regs[DWARF_PC],
		.sp = regs[UNW_DWARF_SP],
		.fp = regs[UNW_DWARF_FP],
		.leaf = 1,
		.exact = 1,
		.max_frames = max_frames,
		.stop = STOP_COUNT,
	};
	size_t n = 0;

	publish(picture);
	walked = picture;
	s.set_segment = picture->set.segment;
	s.set_offset = picture->set.offset;
	s.set_n = (__u32)picture->n_maps;
	memcpy(s.regs, regs, sizeof(s.regs));
	for (int i = 0; i <= USER_FRAMES_MAX; i++) {
		int ended = unw_step(&s);

		if (s.frame && n < USER_FRAMES_MAX)
			frames[n++] = s.frame;
		if (ended)
			break;
	}
	*ret_stop = s.stop;
	return n;
}

__u64 picture_frame_addr(const struct picture *picture, __u64 frame)
{
	__u64 file = frame >> FRAME_ADDR_BITS & FRAME_FILE_MASK;

	if (frame >> FRAME_KIND_SHIFT == FRAME_ADDR)
		return frame;
	return file && file <= picture->n_maps
		       ? (frame & FRAME_ADDR_MASK) + picture->maps[file - 1].m.bias
		       : 0;
}
