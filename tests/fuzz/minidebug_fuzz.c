// SPDX-License-Identifier: Apache-2.0
/* By the first byte: MiniDebugInfo as it stands in a file (xz), a whole ELF file's symbols and its
 * functions without one, or its links to debug files (looked for in an empty root). */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "symbolize/debug_file.h"
#include "symbolize/symtab.h"
#include "symbolize/unnamed.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static void build(struct index_builder *b, struct elf *elf, bool mini)
{
	struct index_range text = {0x1000, 0x100000};
	int fd = scratch_open(SCRATCH_IN_MEMORY, NULL);

	if (symtab_text(elf, b)) {
		b->text.len = 0;
		if (index_builder_text(b, &text, 1))
			abort();
	}
	if (mini ? symtab_read_mini(elf, b) : symtab_read(elf, b) || unnamed_read(elf, b))
		abort();
	if (index_builder_finish(b, fd))
		abort();
	close(fd);
}

static void find_files(const struct elf *elf)
{
	struct debug_root root = {.path = "/bin/fuzz"};
	char path[PATH_MAX];
	enum debug_miss why;

	root.fd = open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	elf_free(debug_file_open(&root, elf, path, &why));
	elf_free(debug_alt_open(&root, elf, "/bin/fuzz"));
	close(root.fd);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct elf_section section = {.name = ".gnu_debugdata", .type = SHT_PROGBITS};
	struct elf mini = {.machine = EM_X86_64, .sections = &section, .n_sections = 1};
	struct index_builder b;
	enum elf_refusal why;
	struct elf *elf;

	if (size < 2 || index_builder_init(&b, SCRATCH_IN_MEMORY))
		return 0;
	mini.data = data + 1;
	mini.size = section.size = size - 1;
	if (data[0] % 3 == 0) {
		build(&b, &mini, true);
	} else if (data[0] % 3 == 1) {
		elf = elf_open_memory(data + 1, size - 1, &why);
		if (elf) {
			build(&b, elf, false);
			find_files(elf);
		}
		elf_free(elf);
	} else {
		section.name = data[0] & 4 ? ".gnu_debuglink" : ".gnu_debugaltlink";
		find_files(&mini);
	}
	index_builder_fini(&b);
	return 0;
}
