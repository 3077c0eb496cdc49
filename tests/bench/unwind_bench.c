// SPDX-License-Identifier: Apache-2.0
/*
 * How fast unwind rows are compiled, on one core, and how large they are: unwind_bench FILE...
 * Each file is compiled until it has taken a tenth of a second. Printed, never asserted.
 */
#include <stdio.h>

#include "profiler/base/clock.h"
#include "symbolize/elf.h"
#include "symbolize/unwind.h"

#define MIN_NS (NS_PER_S / 10)

struct totals {
	double rows, raw_rows, seconds, bytes, files;
};

/* Adds the mean of some rounds; false when the file has no rows. */
static bool bench_file(const char *path, struct totals *totals)
{
	enum elf_refusal refusal;
	enum unwind_skip skip;
	struct elf *elf = elf_open_path(path, &refusal);
	__u64 began = clock_thread_cpu_ns(), took = 0;
	struct unwind_table *table = NULL;
	unsigned rounds = 0;

	while (elf && took < MIN_NS) {
		unwind_table_free(table);
		table = unwind_compile(elf, UNWIND_DERIVED, &skip);
		if (!table)
			break;
		rounds++;
		took = clock_thread_cpu_ns() - began;
	}
	if (table) {
		totals->rows += (double)table->n_rows;
		totals->raw_rows += (double)table->n_raw_rows;
		totals->seconds += (double)took / 1e9 / rounds;
		totals->bytes += (double)unwind_table_bytes(table);
		totals->files++;
	}
	unwind_table_free(table);
	elf_free(elf);
	return table != NULL;
}

int main(int argc, char **argv)
{
	struct totals t = {0};

	for (int i = 1; i < argc; i++)
		if (!bench_file(argv[i], &t))
			fprintf(stderr, "%s: no rows\n", argv[i]);
	if (!t.files) {
		fprintf(stderr, "usage: unwind_bench FILE...\n");
		return 2;
	}
	/* Gaps are rows, too, so there may be more than the CFI has. */
	printf("compile: %.2f M rows/s, %.0f files, %.2f M rows of CFI into %.2f M, %.2f bytes "
	       "each\n",
	       t.raw_rows / t.seconds / 1e6, t.files, t.raw_rows / 1e6, t.rows / 1e6,
	       t.bytes / t.rows);
	return 0;
}
