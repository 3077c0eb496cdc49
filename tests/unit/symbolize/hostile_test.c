// SPDX-License-Identifier: Apache-2.0
/* Files whose headers ask for more work than their bytes are worth: a reader that has a budget ends
 * early and says so, and what honest files cost does not change. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "profiler/base/fs.h"
#include "symbolize/debug_file.h"
#include "symbolize/dwarf_ops.h"
#include "symbolize/index_cache.h"
#include "symbolize/inflate.h"
#include "symbolize/symbol.h"
#include "symbolize/symtab.h"
#include "symbolize/unnamed.h"
#include "tests/support/elf_image.h"
#include "tests/unit/test.h"

#define TEXT 0x1000u

static void add_text(struct elf_image *i)
{
	static const __u8 code[4096];

	elf_image_section(i, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, code, sizeof(code))
		->sh_addr = TEXT;
}

static struct elf *open_image(struct elf_image *i, struct work *work)
{
	struct elf *elf = elf_image_open(i, work);

	CU_ASSERT_FATAL(elf != NULL);
	return elf;
}

/* ---- the key of the cache -------------------------------------------------------------------- */

static void key_takes_each_byte_once(void)
{
	static const struct index_cache cache;
	static struct elf_image i;
	static __u8 data[256 << 10];
	__u8 first[INDEX_KEY_BYTES], second[INDEX_KEY_BYTES];
	struct work work = {0};
	struct elf *elf;

	elf_image_init(&i);
	add_text(&i);
	elf_image_section(&i, ".debug_info", SHT_PROGBITS, 0, data, sizeof(data));
	for (unsigned n = 0; n < 1000; n++) /* the same bytes, from other places on */
		elf_image_section(&i, "", SHT_PROGBITS, 0, NULL, 0);
	for (unsigned n = 3; n < i.n_sections; n++) {
		i.sections[n].sh_offset = i.sections[2].sh_offset + n;
		i.sections[n].sh_size = sizeof(data) - n;
	}
	elf = open_image(&i, &work);
	work.left =
		2 * elf->size / 64; /* each byte once and the table; a thousand times it is not */
	ASSERT_INT(index_cache_key(&cache, (const struct elf *[]){elf}, 1, first), 0);
	CU_ASSERT(work.left > 0);
	i.bytes.data[i.sections[2].sh_offset + sizeof(data) - 1] ^= 1;
	elf->work = NULL;
	ASSERT_INT(index_cache_key(&cache, (const struct elf *[]){elf}, 1, second), 0);
	CU_ASSERT(memcmp(first, second, sizeof(first)) != 0);
	i.bytes.data[i.sections[2].sh_offset + sizeof(data) - 1] ^= 1;
	ASSERT_INT(index_cache_key(&cache, (const struct elf *[]){elf}, 1, second), 0);
	CU_ASSERT(memcmp(first, second, sizeof(first)) == 0);
	elf->work = &work;
	work.left = 100;
	ASSERT_INT(index_cache_key(&cache, (const struct elf *[]){elf}, 1, second), -ECANCELED);
	elf_image_close(&i, elf);
}

/* ---- compressed sections ---------------------------------------------------------------------- */

static void inflates_within_its_work(void)
{
	static struct elf_image i;
	static __u8 plain[4 << 20];
	__u8 packed[sizeof(Elf64_Chdr) + 16384];
	Elf64_Chdr head = {
		.ch_type = ELFCOMPRESS_ZLIB, .ch_size = sizeof(plain), .ch_addralign = 1};
	uLongf len = sizeof(packed) - sizeof(head);
	struct work work = {.left = 1000};
	struct cursor c;
	struct elf *elf;
	int err;

	memcpy(packed, &head, sizeof(head));
	ASSERT_INT(compress(packed + sizeof(head), &len, plain, sizeof(plain)), Z_OK);
	elf_image_init(&i);
	elf_image_section(&i, ".debug_info", SHT_PROGBITS, SHF_COMPRESSED, packed,
			  sizeof(head) + len);
	elf = open_image(&i, &work);
	c = elf_debug_data(elf, "debug_info", &err);
	ASSERT_INT(cursor_left(&c), 0);
	ASSERT_INT(err, -ECANCELED);
	ASSERT_INT(work.left, 0);
	work.left = sizeof(plain) / 32;
	c = elf_debug_data(elf, "debug_info", &err);
	ASSERT_INT(cursor_left(&c), sizeof(plain));
	ASSERT_INT(err, 0);
	elf_image_close(&i, elf);
}

/* Input that gives nothing: a frame of empty blocks, as a file of holes is one. */
static void takes_for_input_too(void)
{
	static __u8 blocks[8 << 20] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58};
	struct work work = {.left = sizeof(blocks) / 128};

	ASSERT_INT(inflate_stream(2, blocks, sizeof(blocks), 1 << 20, NULL, NULL, NULL), -EINVAL);
	ASSERT_INT(inflate_stream(2, blocks, sizeof(blocks), 1 << 20, &work, NULL, NULL),
		   -ECANCELED);
}

/* ---- symbols ---------------------------------------------------------------------------------- */

static void builder_of(const struct elf *elf, struct index_builder *b)
{
	ASSERT_INT(index_builder_init(b, NULL), 0);
	ASSERT_INT(symtab_text(elf, b), 0);
}

/* The same table a thousand times. */
static void symbols_within_their_work(void)
{
	static struct elf_image i;
	Elf64_Sym syms[100] = {0};
	struct work work = {.left = 5000};
	struct index_builder b;
	struct elf *elf;

	for (size_t n = 0; n < ARRAY_SIZE(syms); n++)
		syms[n] = (Elf64_Sym){.st_name = 1,
				      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				      .st_shndx = 1,
				      .st_value = TEXT + n};
	elf_image_init(&i);
	add_text(&i);
	elf_image_section(&i, ".strtab", SHT_STRTAB, 0, "\0f", 3);
	elf_image_section(&i, ".symtab", SHT_SYMTAB, 0, syms, sizeof(syms))->sh_link = 2;
	for (unsigned n = 0; n < 1000; n++)
		i.sections[i.n_sections++] = i.sections[3];
	elf = open_image(&i, &work);
	builder_of(elf, &b);
	ASSERT_INT(symtab_read(elf, &b), 0);
	ASSERT_INT(work.left, 0);
	CU_ASSERT(b.symbols.len >= 2000 && b.symbols.len < 5000);
	index_builder_fini(&b);
	elf_image_close(&i, elf);
}

/* One name that is most of the file, for every symbol. */
static void long_names_cost_more(void)
{
	static struct elf_image i;
	static char names[1 << 20];
	Elf64_Sym syms[100] = {0};
	struct work work = {.left = 10 * sizeof(names) / 64};
	struct index_builder b;
	struct elf *elf;

	memset(names, 'x', sizeof(names) - 1);
	for (size_t n = 0; n < ARRAY_SIZE(syms); n++)
		syms[n] = (Elf64_Sym){.st_name = (__u32)n, .st_shndx = 1, .st_value = TEXT + n};
	elf_image_init(&i);
	add_text(&i);
	elf_image_section(&i, ".strtab", SHT_STRTAB, 0, names, sizeof(names));
	elf_image_section(&i, ".symtab", SHT_SYMTAB, 0, syms, sizeof(syms))->sh_link = 2;
	elf = open_image(&i, &work);
	builder_of(elf, &b);
	ASSERT_INT(symtab_read(elf, &b), 0);
	ASSERT_INT(work.left, 0);
	CU_ASSERT(b.symbols.len > 0 && b.symbols.len < 12);
	index_builder_fini(&b);
	elf_image_close(&i, elf);
}

#define GOT	0x100000u
#define N_STUBS 5000u

/* Stubs in the other order than their slots, of which each is relocated twice; the first counts. All
 * against all were quadratic. */
static void stubs_by_their_slots(void)
{
	static struct elf_image i;
	static __u8 plt[N_STUBS][16];
	static Elf64_Rela rela[2 * N_STUBS];
	Elf64_Sym syms[3] = {{0}, {.st_name = 1}, {.st_name = 3}};
	struct work work = {.left = 20 * N_STUBS};
	struct index_builder b;
	__u32 wrong = 0;
	struct elf *elf;
	Elf64_Shdr *s;

	for (__u32 n = 0; n < N_STUBS; n++) {
		__s32 disp = (__s32)(GOT + 8 * (N_STUBS - n) - (TEXT + 16 * n + 6));

		plt[n][0] = 0xff;
		plt[n][1] = 0x25;
		memcpy(plt[n] + 2, &disp, sizeof(disp));
		for (__u32 twice = 0; twice < 2; twice++)
			rela[2 * n + twice] = (Elf64_Rela){
				.r_offset = GOT + 8 * (n + 1),
				.r_info = ELF64_R_INFO(1 + (n + twice) % 2, R_X86_64_JUMP_SLOT)};
	}
	elf_image_init(&i);
	s = elf_image_section(&i, ".plt", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, plt,
			      sizeof(plt));
	s->sh_addr = TEXT;
	elf_image_section(&i, ".dynstr", SHT_STRTAB, SHF_ALLOC, "\0f\0g", 5);
	elf_image_section(&i, ".dynsym", SHT_PROGBITS, SHF_ALLOC, syms, sizeof(syms))->sh_link = 2;
	elf_image_section(&i, ".rela.plt", SHT_RELA, SHF_ALLOC, rela, sizeof(rela))->sh_link = 3;
	elf = open_image(&i, &work);
	builder_of(elf, &b);
	ASSERT_INT(symtab_read(elf, &b), 0);
	CU_ASSERT(work.left > 0);
	ASSERT_INT(b.symbols.len, N_STUBS);
	for (__u32 n = 0; n < N_STUBS && b.symbols.len == N_STUBS; n++) /* "g@plt", then "f@plt" */
		wrong += b.symbols.data[n].name != 1 + n % 2 * sizeof("g@plt");
	ASSERT_INT(wrong, 0);
	index_builder_fini(&b);
	elf_image_close(&i, elf);
}

/* ---- call frame information ------------------------------------------------------------------- */

static void add_word(struct buf *out, __u32 word)
{
	buf_add(out, &word, sizeof(word));
}

/* CIEs of which each one's program goes to the end of the section, over all CIEs behind it, and an
 * FDE for each. */
static struct buf nested_cies(__u32 n)
{
	/* version 1, no augmentation, alignments 1 and -8, RA in 16; then an expression for
	 * register 3 that spans the next one's head */
	__u8 head[] = {1, 0, 1, 0x78, 16, DW_CFA_val_expression, 3, 13};
	struct buf out = {0};
	__u32 end = n * 16;

	for (__u32 i = 0; i < n; i++) {
		add_word(&out, end - i * 16 - 4);
		add_word(&out, 0);
		if (i == n - 1)
			memset(head + 5, DW_CFA_nop, 3);
		buf_add(&out, head, sizeof(head));
	}
	for (__u32 i = 0; i < n; i++) {
		add_word(&out, 20);
		add_word(&out, (__u32)out.len - i * 16);
		buf_add(&out, (__u64[]){TEXT + i, 1}, 16);
	}
	return out;
}

static size_t unnamed_of(const void *eh_frame, size_t len, struct work *work)
{
	static struct elf_image i;
	struct index_builder b;
	struct elf *elf;
	size_t n;

	elf_image_init(&i);
	add_text(&i);
	elf_image_section(&i, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, eh_frame, len);
	elf = open_image(&i, work);
	builder_of(elf, &b);
	ASSERT_INT(unnamed_read(elf, &b), 0);
	n = b.unnamed.len;
	index_builder_fini(&b);
	elf_image_close(&i, elf);
	return n;
}

static void functions_within_their_work(void)
{
	static const __u8 holes[1 << 20];
	struct buf cies = nested_cies(200);
	struct work work = {.left = 1000};

	ASSERT_INT(unnamed_of(holes, sizeof(holes), &work), 0);
	ASSERT_INT(work.left, 0);
	ASSERT_INT(unnamed_of(cies.data, cies.len, NULL), 200);
	work.left = 5 * 200 * 16;
	CU_ASSERT(unnamed_of(cies.data, cies.len, &work) < 10);
	ASSERT_INT(work.left, 0);
	buf_fini(&cies);
}

/* ---- holes ------------------------------------------------------------------------------------ */

#define HOLE ((__u64)15 << 30)

/* A file of a few blocks that says it has 15 GiB of symbols: it is worth its blocks. */
static void holes_grant_no_work(void)
{
	static const struct symbol_options options;
	static struct elf_image i;
	char path[300];
	enum elf_refusal why;
	struct symbol_object *symbols;
	struct symbol_info info;
	struct work work = {0};
	struct elf *elf;
	Elf64_Shdr *s;
	int fd;

	elf_image_init(&i);
	add_text(&i);
	s = elf_image_section(&i, ".symtab", SHT_SYMTAB, 0, NULL, 0);
	s->sh_offset = 1 << 20;
	s->sh_size = HOLE;
	elf_image_finish(&i);
	snprintf(path, sizeof(path), "%s/holes", test_dir());
	ASSERT_INT(fs_replace(path, i.bytes.data, i.bytes.len), 0);
	elf_image_close(&i, NULL);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	if (ftruncate(fd, (1 << 20) + HOLE) || fs_data_bytes(fd, HOLE) == HOLE) {
		close(fd);
		SKIP("this file system has no holes");
	}
	elf = elf_open(fd, &why);
	CU_ASSERT_FATAL(elf != NULL);
	elf_set_work(elf, &work);
	CU_ASSERT(elf->size > HOLE && work.left > 0 && work.left < 4 << 20);
	elf_free(elf);
	ASSERT_INT(symbol_object_open(fd, path, DEBUG_ROOT_NONE, &options, &symbols, &why), 0);
	symbol_object_info(symbols, &info);
	CU_ASSERT(info.flags & INDEX_CUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(info.note, "work limit"));
	symbol_object_free(symbols);
	close(fd);
}

SUITE(hostile, {"the key takes each byte once", key_takes_each_byte_once},
      {"inflates within its work", inflates_within_its_work},
      {"takes for input, too", takes_for_input_too},
      {"symbols within their work", symbols_within_their_work},
      {"long names cost more", long_names_cost_more},
      {"stubs by their slots", stubs_by_their_slots},
      {"functions within their work", functions_within_their_work},
      {"holes grant no work", holes_grant_no_work});
