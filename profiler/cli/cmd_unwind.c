// SPDX-License-Identifier: Apache-2.0
/* bianque unwind: the compiled unwind rows of a file, in the shape of DESIGN's interface chapter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/cli/cli.h"
#include "symbolize/unwind.h"

struct print {
	const struct unwind_table *table;
	bool gap; /* the last line said `none` */
	char last[128];
	__u64 find, start; /* with an ADDRESS: what is looked for, and the start of its row */
	bool only_find, derived;
};

enum { ROW_DERIVED };
static const struct cli_option option_rows[] = {
	[ROW_DERIVED] = {0, "derived", NULL, "rows that are not from CFI, too"},
	{0},
};

static int print_row(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct print *p = arg;
	struct unw_rule rule;
	char text[128] = "none";

	if (code == UNW_CODE_ENTRY && p->derived)
		snprintf(text, sizeof(text), "entry");
	else if (unwind_rule_of(part, p->table->machine, code, &rule))
		unwind_rule_text(p->table->machine, &rule, text, sizeof(text));
	if (!strcmp(text, p->last))
		return 0;
	if (p->only_find && vaddr > p->find)
		return 1;
	p->start = vaddr;
	snprintf(p->last, sizeof(p->last), "%s", text);
	if (!p->only_find)
		printf("0x%llx %s\n", (unsigned long long)vaddr, text);
	return 0;
}

static int run_unwind(struct cli *cli)
{
	struct print print = {.last = "none"};
	_close_ int fd = -1;
	enum elf_refusal refusal;
	enum unwind_skip skip;
	struct unwind_table *table;
	struct elf *elf;
	const char *file;
	enum unwind_scope scope = UNWIND_CFI;
	int opt;

	while ((opt = cli_next(cli)) != CLI_END) {
		if (opt != CLI_LONG(ROW_DERIVED))
			return opt == CLI_HELP ? EXIT_OK : EXIT_USAGE;
		scope = UNWIND_DERIVED;
		print.derived = true;
	}
	if (cli->argc - cli->index < 1 || cli->argc - cli->index > 2)
		return cli_bad_usage(cli, "one FILE and at most one ADDRESS are needed");
	file = cli->argv[cli->index];
	if (cli->argc - cli->index == 2) {
		if (units_parse_hex(cli->argv[cli->index + 1], &print.find))
			return cli_bad_usage(cli, "'%s' is not a hexadecimal address",
					     cli->argv[cli->index + 1]);
		print.only_find = true;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cli_fail("cannot open '%s': %s", file, strerror(errno));
	elf = elf_open(fd, &refusal);
	if (!elf)
		return cli_fail("'%s': %s", file, elf_refusal_text(refusal));
	table = unwind_compile(elf, scope, &skip);
	elf_free(elf);
	if (!table)
		return cli_fail("'%s' has no unwind rows: %s", file, unwind_skip_text(skip));
	print.table = table;
	unwind_each_row(table, print_row, &print);
	if (print.only_find)
		printf("0x%llx %s\n", (unsigned long long)print.start, print.last);
	unwind_table_free(table);
	return EXIT_OK;
}

COMMAND(unwind, .args = "FILE [ADDRESS]", .order = 50, .options = option_rows,
	.summary = "print the compiled unwind rows of an ELF file",
	.details = "One row a line: start address, CFA rule, frame pointer rule, return address "
		   "rule, in the\n"
		   "names of readelf --debug-dump=frames-interp; `none` where a gap begins. "
		   "Addresses are ELF\n"
		   "virtual addresses. With ADDRESS only the row in force there.\n"
		   "\n"
		   "With --derived what the profiler unwinds by: Go's stack deltas and rows read "
		   "from code\n"
		   "that no CFI describes, too; `entry` where a stack begins.\n",
	.run = run_unwind);
