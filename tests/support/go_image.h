/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Go program without CFI, in memory: code at GO_TEXT and a pclntab of Go 1.20's layout with names
 * and stack deltas, for the unit test of unwind_go.c and its fuzzer.
 */
#pragma once

#include <string.h>

#include "profiler/base/buf.h"
#include "symbolize/gopclntab.h"

#define GO_TEXT	     0x400000u
#define GO_ALIGN     32u
#define GO_MAX_FUNCS 32u

struct go_image_delta {
	__s32 value;
	__u32 len; /* bytes of code; 0: to the function's end */
};

struct go_image_func {
	const char *name;
	const __u8 *code;
	size_t n;
	struct go_image_delta deltas[4]; /* the last of those used has len 0 */
};

struct go_image {
	struct buf bytes;
	struct elf_section sections[2];
	struct elf_segment segments[1];
	struct elf elf;
};

static inline void go_image_u32(struct buf *b, __u32 value)
{
	buf_add(b, &value, 4);
}

static inline void go_image_uleb(struct buf *b, __u32 value)
{
	for (; value > 0x7f; value >>= 7)
		buf_add(b, &(__u8){(__u8)(value | 0x80)}, 1);
	buf_add(b, &(__u8){(__u8)value}, 1);
}

static inline void go_image_deltas(struct buf *b, const struct go_image_func *f, size_t room)
{
	__s32 last = -1;
	__u32 done = 0;

	for (unsigned i = 0; i < 4 && done < room; i++) {
		__u32 len = f->deltas[i].len ? f->deltas[i].len : (__u32)room - done;
		__s32 change = f->deltas[i].value - last;

		go_image_uleb(b, (__u32)change << 1 ^ (__u32)(change >> 31));
		go_image_uleb(b, len);
		last = f->deltas[i].value;
		done += len;
	}
	go_image_uleb(b, 0);
}

/* Up to GO_MAX_FUNCS functions, one behind the other. */
static inline void go_image_init(struct go_image *image, const struct go_image_func *funcs,
				 size_t n_funcs)
{
	struct buf names = {0}, pcs = {0}, tab = {0}, descs = {0}, *out = &image->bytes;
	__u32 header[18] = {0xfffffff1u, 0x08010000u, (__u32)n_funcs};
	__u32 starts[GO_MAX_FUNCS + 1], text, tab_bytes = (__u32)n_funcs * 8 + 8;

	*image = (struct go_image){0};
	buf_add(&pcs, "", 1); /* offset 0 is none */
	for (size_t i = 0; i < n_funcs; i++) {
		static const __u8 padding[GO_ALIGN] = {0xcc, 0xcc};
		size_t room = ALIGN_UP(funcs[i].n ? funcs[i].n : 1, GO_ALIGN);
		__u32 desc[11] = {(__u32)out->len, (__u32)names.len, 0, 0, (__u32)pcs.len};

		starts[i] = (__u32)out->len;
		go_image_u32(&tab, starts[i]);
		go_image_u32(&tab, tab_bytes + (__u32)descs.len);
		buf_add(&descs, desc, sizeof(desc));
		buf_add(&names, funcs[i].name, strlen(funcs[i].name) + 1);
		go_image_deltas(&pcs, &funcs[i], room);
		buf_add(out, funcs[i].code, funcs[i].n);
		buf_add(out, padding, room - funcs[i].n);
	}
	text = (__u32)out->len;
	go_image_u32(&tab, text);
	go_image_u32(&tab, 0);
	header[6] = GO_TEXT;
	header[8] = sizeof(header);
	header[14] = header[8] + (__u32)names.len;
	header[16] = header[14] + (__u32)pcs.len;
	buf_add(out, header, sizeof(header));
	buf_add(out, names.data, names.len);
	buf_add(out, pcs.data, pcs.len);
	buf_add(out, tab.data, tab.len);
	buf_add(out, descs.data, descs.len);
	image->sections[0] = (struct elf_section){.name = ".text",
						  .type = SHT_PROGBITS,
						  .flags = SHF_ALLOC | SHF_EXECINSTR,
						  .addr = GO_TEXT,
						  .size = text};
	image->sections[1] = (struct elf_section){.name = ".gopclntab",
						  .type = SHT_PROGBITS,
						  .addr = GO_TEXT + text,
						  .offset = text,
						  .size = out->len - text};
	image->segments[0] = (struct elf_segment){.type = PT_LOAD,
						  .flags = PF_R | PF_X,
						  .vaddr = GO_TEXT,
						  .filesz = text,
						  .memsz = text};
	image->elf = (struct elf){.data = (const __u8 *)out->data,
				  .size = out->len,
				  .type = ET_EXEC,
				  .machine = EM_X86_64,
				  .sections = image->sections,
				  .n_sections = 2,
				  .segments = image->segments,
				  .n_segments = 1};
	buf_fini(&names);
	buf_fini(&pcs);
	buf_fini(&tab);
	buf_fini(&descs);
}

static inline void go_image_fini(struct go_image *image)
{
	buf_fini(&image->bytes);
}
