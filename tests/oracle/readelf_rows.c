// SPDX-License-Identifier: Apache-2.0
/*
 * Every row of every ELF file against an interpreter that nobody here wrote: the compiled table of
 * symbolize/unwind.h beside `readelf --debug-dump=frames-interp`, over the whole root file system
 * (or the paths given), in parallel. Printed: files, rows, skips by reason, speed; every difference
 * with its file, address and both texts. Exit 1 when a difference is not in the table of
 * tests/oracle/readelf_rows.expected (file pattern, kind, at most so many, why).
 *
 *	readelf_rows [-j JOBS] [-e EXPECTED] [PATH...]
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/vec.h"
#include "profiler/object_load.h"
#include "symbolize/unwind.h"

#define MAX_RULE_TEXT	  64
#define MAX_EXPECTED	  64
#define SHOWN_PER_FILE	  5
#define MAX_WORK_PERMILLE 100 /* of its budget: see check_work */

#define SKIP_SLOTS 32

/* Shared by the workers; every field is added to with atomics. */
static struct totals {
	_Atomic uint64_t next, files, changed, compiled, readelf_rows, compared, differences,
		unexpected;
	_Atomic uint64_t rows, table_bytes, compile_ns, derive_ns, derived_rows, derived_bytes,
		derived_only, eh_fdes, overlaps, max_rules;
	_Atomic uint64_t inline_rows, rule_rows;
	_Atomic uint64_t max_work_permille;
	_Atomic uint64_t skips[SKIP_SLOTS], refusals[SKIP_SLOTS], faults[UNWIND_FAULT_COUNT];
	_Atomic uint64_t expected_used[MAX_EXPECTED];
} * totals;

struct expected {
	char pattern[256], kind[32], reason[256];
	uint64_t count;
};
static VEC(struct expected) expected;
static VEC(char *) paths;

struct row {
	uint64_t start, end;
	char text[MAX_RULE_TEXT];
};
typedef VEC(struct row) rows_t;

/* ---- readelf's side -------------------------------------------------------------------------- */

struct parse {
	rows_t rows;
	VEC(struct cie {
		uint64_t offset;
		char text[MAX_RULE_TEXT];
	})
	cies;
	size_t section_first_cie; /* CIE offsets repeat in .debug_frame */
	int col_rbp, col_ra;	  /* column of each after CFA; -1: absent */
	bool in_cie, in_fde, fde_has_rows;
	uint64_t fde_start, fde_end;
	size_t fde_cie;
};

static void rule_text(const char *cfa, const char *rbp, const char *ra, char *out)
{
	char b[16], r[16];

	/* readelf writes c-16 and v+8 where we write CFA-16 and vCFA+8 */
	snprintf(b, sizeof(b), "%s%s%s", *rbp == 'v' && rbp[1] != 'e' ? "v" : "",
		 (*rbp == 'c' || (*rbp == 'v' && rbp[1] != 'e')) ? "CFA" : "",
		 (*rbp == 'c' || (*rbp == 'v' && rbp[1] != 'e')) ? rbp + 1 : rbp);
	snprintf(r, sizeof(r), "%s%s%s", *ra == 'v' && ra[1] != 'e' ? "v" : "",
		 (*ra == 'c' || (*ra == 'v' && ra[1] != 'e')) ? "CFA" : "",
		 (*ra == 'c' || (*ra == 'v' && ra[1] != 'e')) ? ra + 1 : ra);
	snprintf(out, MAX_RULE_TEXT, "CFA=%.15s rbp=%s ra=%s", cfa, b, r);
}

static void end_fde(struct parse *p)
{
	if (p->in_fde && !p->fde_has_rows && p->fde_cie < p->cies.len &&
	    p->fde_start < p->fde_end) {
		struct row row = {.start = p->fde_start, .end = p->fde_end};

		memcpy(row.text, p->cies.data[p->fde_cie].text, sizeof(row.text));
		if (vec_push(&p->rows, row))
			abort();
	}
	p->in_fde = p->in_cie = false;
}

static void parse_columns(struct parse *p, char *line)
{
	int col = 0;

	p->col_rbp = p->col_ra = -1;
	for (char *s = strtok(line, " \n"); s; s = strtok(NULL, " \n"), col++) {
		if (!strcmp(s, "rbp") || !strcmp(s, "x29")) /* of arm64 */
			p->col_rbp = col;
		else if (!strcmp(s, "ra"))
			p->col_ra = col;
	}
}

static void parse_row(struct parse *p, char *line)
{
	const char *cfa = "", *rbp = "u", *ra = "u";
	uint64_t addr = 0;
	int col = 0;
	char text[MAX_RULE_TEXT];

	for (char *s = strtok(line, " \n"); s; s = strtok(NULL, " \n"), col++) {
		char *close = strchr(s, ')');

		if (*s == '(' &&
		    close) { /* a register's number is followed by its name: r2 (rcx) */
			*close = 0;
			col--;
			if (col == 1)
				cfa = s + 1;
			else if (col == p->col_rbp)
				rbp = s + 1;
			else if (col == p->col_ra)
				ra = s + 1;
		} else if (col == 0)
			addr = strtoull(s, NULL, 16);
		else if (col == 1)
			cfa = s;
		else if (col == p->col_rbp)
			rbp = s;
		else if (col == p->col_ra)
			ra = s;
	}
	rule_text(cfa, rbp, ra, text);
	if (p->in_cie) {
		memcpy(p->cies.data[p->cies.len - 1].text, text, sizeof(text));
		return;
	}
	if (p->fde_has_rows) {
		struct row *last = &p->rows.data[p->rows.len - 1];

		last->end = addr;
	}
	if (vec_push(&p->rows, (struct row){.start = addr, .end = p->fde_end}))
		abort();
	memcpy(p->rows.data[p->rows.len - 1].text, text, sizeof(text));
	p->fde_has_rows = true;
}

static void parse_line(struct parse *p, char *line)
{
	uint64_t offset, len, id, start, end;
	char what[8];

	if (strstr(line, "ZERO terminator")) {
		end_fde(p);
		return;
	}
	if (!strncmp(line, "Contents of", 11)) {
		end_fde(p);
		p->section_first_cie = p->cies.len;
	} else if (!strncmp(line, "   LOC", 6)) {
		parse_columns(p, line);
	} else if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %7s", &offset, &len, &id,
			  what) == 4 &&
		   (!strcmp(what, "CIE") || !strcmp(what, "FDE"))) {
		char *at = strstr(line, " cie="), *pc = strstr(line, " pc=");

		end_fde(p);
		if (*what == 'C') {
			p->in_cie = true;
			if (vec_push(&p->cies, (struct cie){.offset = offset}))
				abort();
			rule_text("rsp+0", "u", "u", p->cies.data[p->cies.len - 1].text);
			return;
		}
		if (!at || !pc || sscanf(pc, " pc=%" SCNx64 "..%" SCNx64, &start, &end) != 2)
			return;
		id = strtoull(at + 5, NULL, 16);
		p->fde_cie = p->section_first_cie;
		while (p->fde_cie < p->cies.len && p->cies.data[p->fde_cie].offset != id)
			p->fde_cie++;
		p->in_fde = true;
		p->fde_has_rows = false;
		p->fde_start = start;
		p->fde_end = end;
		totals->eh_fdes++;
	} else if (p->in_cie || p->in_fde) {
		if (strspn(line, "0123456789abcdef") == 16)
			parse_row(p, line);
	}
}

/* The open file is read, so that one that goes away meanwhile is still the same. */
static bool readelf_rows(int fd, rows_t *ret_rows)
{
	struct parse p = {0};
	char *line = NULL;
	size_t cap = 0;
	int out[2];
	FILE *f;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return false;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(out[1], 1);
		dup2(null, 2);
		dup2(fd, 0);
		execlp("readelf", "readelf", "-W", "--debug-dump=no-follow-links,frames-interp",
		       "/proc/self/fd/0", NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (getline(&line, &cap, f) > 0)
		parse_line(&p, line);
	end_fde(&p);
	fclose(f);
	free(line);
	waitpid(pid, NULL, 0);
	free(p.cies.data);
	ret_rows->data = p.rows.data;
	ret_rows->len = p.rows.len;
	return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int by_start(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Stable order, first claim wins, neighbours with one text merge: the shape of our table. */
static void normalise(rows_t *rows, const struct elf *elf)
{
	uint64_t covered = 0;
	size_t n = 0;

	/* glibc's qsort is a merge sort (stable) up to a quarter of memory */
	qsort(rows->data, rows->len, sizeof(*rows->data), by_start);
	for (size_t i = 0; i < rows->len; i++) {
		struct row r = rows->data[i];

		if (r.start >= r.end || !elf_is_text(elf, r.start, r.end))
			continue;
		if (r.start < covered) {
			totals->overlaps++;
			r.start = covered;
		}
		if (r.start >= r.end)
			continue;
		covered = r.end;
		if (n && rows->data[n - 1].end == r.start &&
		    !strcmp(rows->data[n - 1].text, r.text))
			rows->data[n - 1].end = r.end;
		else
			rows->data[n++] = r;
	}
	rows->len = n;
}

struct ours {
	rows_t rows;
	const struct unwind_table *table;
	char last[MAX_RULE_TEXT];
};

static int take_row(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct ours *o = arg;
	struct unw_rule rule;
	char text[128], *fp;

	if (o->rows.len && o->rows.data[o->rows.len - 1].end == UINT64_MAX)
		o->rows.data[o->rows.len - 1].end = vaddr;
	if (!unwind_rule_of(part, o->table->machine, code, &rule))
		return 0;
	if (code & UNW_CODE_RULE)
		totals->rule_rows++;
	else
		totals->inline_rows++;
	unwind_rule_text(o->table->machine, &rule, text, sizeof(text));
	fp = strstr(text, " x29="); /* here the frame pointer of every machine is called rbp */
	if (fp)
		memcpy(fp, " rbp=", 5);
	/* Two rules that readelf prints alike (unspecified and undefined) are one row for it. */
	if (o->rows.len && o->rows.data[o->rows.len - 1].end == vaddr &&
	    !strcmp(o->rows.data[o->rows.len - 1].text, text)) {
		o->rows.data[o->rows.len - 1].end = UINT64_MAX;
		return 0;
	}
	if (vec_push(&o->rows, (struct row){.start = vaddr, .end = UINT64_MAX}))
		abort();
	snprintf(o->rows.data[o->rows.len - 1].text, MAX_RULE_TEXT, "%.63s", text);
	return 0;
}

static bool is_expected(const char *path, const char *kind, uint64_t nth)
{
	for (size_t i = 0; i < expected.len; i++) {
		const struct expected *e = &expected.data[i];

		if (fnmatch(e->pattern, path, 0) || strcmp(e->kind, kind) || nth > e->count)
			continue;
		totals->expected_used[i]++;
		return true;
	}
	return false;
}

static const char *row_text(const struct row *r)
{
	return r ? r->text : "none";
}

static void differ(const char *path, uint64_t at, const struct row *ours, const struct row *theirs,
		   uint64_t *nth)
{
	const char *kind = !ours ? "missing" : !theirs ? "extra" : "rule";
	bool known;

	++*nth;
	known = is_expected(path, kind, *nth);
	totals->differences++;
	if (!known)
		totals->unexpected++;
	if (!known && *nth <= SHOWN_PER_FILE)
		printf("%s: %s at 0x%" PRIx64 ": ours %s, readelf %s\n", path, kind, at,
		       row_text(ours), row_text(theirs));
}

/* Walk both lists as functions of the address; every stretch with one text on each side is
 * compared. */
static void compare(const char *path, const rows_t *a, const rows_t *b)
{
	size_t i = 0, j = 0;
	uint64_t at = 0, nth = 0;

	while (i < a->len || j < b->len) {
		const struct row *ours = i < a->len ? &a->data[i] : NULL;
		const struct row *theirs = j < b->len ? &b->data[j] : NULL;
		uint64_t next = UINT64_MAX;

		at = MAX(at,
			 MIN(ours ? ours->start : UINT64_MAX, theirs ? theirs->start : UINT64_MAX));
		if (ours)
			next = MIN(next, ours->start > at ? ours->start : ours->end);
		if (theirs)
			next = MIN(next, theirs->start > at ? theirs->start : theirs->end);
		if (ours && ours->start > at)
			ours = NULL;
		if (theirs && theirs->start > at)
			theirs = NULL;
		totals->compared++;
		if (strcmp(row_text(ours), row_text(theirs)) != 0)
			differ(path, at, ours, theirs, &nth);
		at = next;
		if (ours && ours->end <= at)
			i++;
		if (theirs && theirs->end <= at)
			j++;
	}
}

/* What is derived fills gaps and replaces special stretches: everywhere else it is the same rows.
 */
struct derived {
	const struct unwind_table *exact, *table;
	const char *path;
	uint64_t wrong;
};

static bool is_special(const struct unwind_table *table, uint64_t vaddr)
{
	for (size_t i = 0; i < table->n_specials; i++)
		if (vaddr >= table->specials[i].start && vaddr < table->specials[i].end)
			return true;
	return false;
}

static int check_derived_row(void *arg, __u64 vaddr, const struct unwind_part *part, __u32 code)
{
	struct derived *d = arg;
	const struct unwind_part *other = NULL;
	struct unw_rule exact, derived;
	__u32 found = unwind_find(d->table, vaddr, &other);

	if (!unwind_rule_of(part, d->exact->machine, code, &exact) || is_special(d->table, vaddr))
		return 0;
	if (other && unwind_rule_of(other, d->exact->machine, found, &derived) &&
	    !memcmp(&exact, &derived, sizeof(exact)))
		return 0;
	if (d->wrong++ < SHOWN_PER_FILE)
		printf("%s: 0x%llx: the derived table has another row than the exact one\n",
		       d->path, vaddr);
	return 0;
}

/* An honest file takes little of what the loader would grant it. */
static void check_work(const char *path, struct elf *elf, uint64_t taken)
{
	struct work granted = {0};
	uint64_t permille, max = totals->max_work_permille;

	work_grow(&granted, elf->size);
	permille = taken * 1000 / MIN(granted.left, OBJECT_WORK_MAX);
	while (permille > max &&
	       !atomic_compare_exchange_weak(&totals->max_work_permille, &max, permille))
		;
	if (permille <= MAX_WORK_PERMILLE)
		return;
	printf("%s: its compilation took %" PRIu64 " units of work, %" PRIu64
	       " per mille of what it may\n",
	       path, taken, permille);
	totals->unexpected++;
}

static void check_derived(const char *path, struct elf *elf, const struct unwind_table *exact)
{
	uint64_t before = clock_thread_cpu_ns();
	struct derived d = {.exact = exact, .path = path};
	struct work work = {.left = UINT64_MAX};
	enum unwind_skip skip;
	struct unwind_table *table;

	elf->work = &work;
	table = unwind_compile(elf, UNWIND_DERIVED, &skip);
	check_work(path, elf, UINT64_MAX - work.left);
	totals->derive_ns += clock_thread_cpu_ns() - before;
	if (!table) {
		totals->unexpected += exact != NULL;
		return;
	}
	totals->derived_bytes += unwind_table_bytes(table);
	totals->derived_rows += table->n_raw_rows;
	d.table = table;
	if (exact && unwind_each_row(exact, check_derived_row, &d))
		abort();
	totals->unexpected += d.wrong;
	totals->derived_only += !exact;
	unwind_table_free(table);
}

/* Written to since it was opened: the two readers saw different files. */
static bool has_changed(int fd, const struct stat *before)
{
	struct stat now;

	return fstat(fd, &now) || now.st_size != before->st_size ||
	       now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

static void check_elf(const char *path, int fd, struct elf *elf)
{
	uint64_t before = clock_thread_cpu_ns();
	struct unwind_table *table;
	struct ours ours = {0};
	rows_t theirs = {0};
	enum unwind_skip skip;
	struct stat stat;

	if (fstat(fd, &stat))
		abort();
	table = unwind_compile(elf, UNWIND_CFI, &skip);
	totals->compile_ns += clock_thread_cpu_ns() - before;
	if (!table) {
		totals->skips[skip]++;
		if (skip == UNWIND_SKIP_EMPTY)
			printf("%s: %s\n", path, unwind_skip_text(skip));
		check_derived(path, elf, NULL);
		return;
	}
	totals->compiled++;
	totals->rows += table->n_raw_rows;
	totals->table_bytes += unwind_table_bytes(table);
	for (int i = 0; i < UNWIND_FAULT_COUNT; i++) {
		totals->faults[i] += table->faults[i];
		if (table->faults[i] && i != UNWIND_FAULT_OUTSIDE)
			printf("%s: %s: %llu\n", path, unwind_fault_text(i), table->faults[i]);
	}
	ours.table = table;
	if (unwind_each_row(table, take_row, &ours) || !readelf_rows(fd, &theirs))
		abort();
	totals->readelf_rows += theirs.len;
	normalise(&theirs, elf);
	if (has_changed(fd, &stat))
		totals->changed++;
	else
		compare(path, &ours.rows, &theirs);
	check_derived(path, elf, table);
	free(ours.rows.data);
	free(theirs.data);
	unwind_table_free(table);
}

static void check_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum elf_refusal refusal;
	struct elf *elf;

	if (fd < 0) {
		totals->changed++;
		return;
	}
	elf = elf_open(fd, &refusal);
	totals->files++;
	if (elf)
		check_elf(path, fd, elf);
	else
		totals->refusals[refusal]++;
	elf_free(elf);
	close(fd);
}

/* ---- the whole system ------------------------------------------------------------------------ */

static bool is_elf(const char *path)
{
	char magic[4];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool yes = fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "\177ELF", 4);

	if (fd >= 0)
		close(fd);
	return yes;
}

static void find_files(char **roots)
{
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while ((e = fts_read(fts))) {
		if (e->fts_info == FTS_D &&
		    (!strcmp(e->fts_path, "/proc") || !strcmp(e->fts_path, "/sys")))
			fts_set(fts, e, FTS_SKIP);
		/* hard links once: only the first of an inode with several names would need a set;
		 * a few repeats cost less */
		if (e->fts_info == FTS_F && e->fts_statp->st_size >= 64 && is_elf(e->fts_path) &&
		    vec_push(&paths, strdup(e->fts_path)))
			abort();
	}
	fts_close(fts);
}

static void read_expected(const char *file)
{
	FILE *f = fopen(file, "r");
	char line[1024];

	if (!f) {
		perror(file);
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		struct expected e;

		if (*line == '#' || *line == '\n')
			continue;
		if (sscanf(line, "%255s %31s %" SCNu64 " %255[^\n]", e.pattern, e.kind, &e.count,
			   e.reason) != 4 ||
		    expected.len == MAX_EXPECTED || vec_push(&expected, e)) {
			fprintf(stderr, "%s: bad line: %s", file, line);
			exit(2);
		}
	}
	fclose(f);
}

static void worker(void)
{
	uint64_t i;

	while ((i = totals->next++) < paths.len)
		check_file(paths.data[i]);
	fflush(stdout);
	_exit(0);
}

static void print_totals(double wall_s)
{
	double compile_s = (double)totals->compile_ns / 1e9;

	printf("%" PRIu64 " ELF files, %" PRIu64 " compiled\n", totals->files, totals->compiled);
	for (int i = 0; i < SKIP_SLOTS; i++) {
		if (totals->refusals[i])
			printf("  %6" PRIu64 " refused: %s\n", totals->refusals[i],
			       elf_refusal_text(i));
		if (totals->skips[i])
			printf("  %6" PRIu64 " skipped: %s\n", totals->skips[i],
			       unwind_skip_text(i));
	}
	printf("  %6" PRIu64 " changed or gone while they were read\n", totals->changed);
	for (int i = 0; i < UNWIND_FAULT_COUNT; i++)
		if (totals->faults[i])
			printf("  %6" PRIu64 " passed over: %s\n", totals->faults[i],
			       unwind_fault_text(i));
	printf("%" PRIu64 " FDEs, %" PRIu64 " rows of readelf, %" PRIu64
	       " stretches compared, %" PRIu64 " overlapping rows\n",
	       totals->eh_fdes, totals->readelf_rows, totals->compared, totals->overlaps);
	printf("compiled %" PRIu64
	       " rows in %.2f CPU s: %.1f M rows/s/core; tables %.1f MB; %.2f %% "
	       "of the rows inline\n",
	       totals->rows, compile_s, (double)totals->rows / compile_s / 1e6,
	       (double)totals->table_bytes / 1e6,
	       100.0 * (double)totals->inline_rows /
		       (double)(totals->inline_rows + totals->rule_rows));
	printf("with what is derived %" PRIu64 " rows in %.2f CPU s, tables %.1f MB; %" PRIu64
	       " files have derived rows only\n",
	       totals->derived_rows, (double)totals->derive_ns / 1e9,
	       (double)totals->derived_bytes / 1e6, totals->derived_only);
	printf("at most %.1f %% of a file's budget of work was taken\n",
	       (double)totals->max_work_permille / 10);
	for (size_t i = 0; i < expected.len; i++)
		if (totals->expected_used[i])
			printf("  explained %" PRIu64 ": %s %s: %s\n", totals->expected_used[i],
			       expected.data[i].pattern, expected.data[i].kind,
			       expected.data[i].reason);
	printf("%" PRIu64 " differences, %" PRIu64 " not explained; %.0f s\n", totals->differences,
	       totals->unexpected, wall_s);
	/* The last line counts files; a difference that is not explained counts as a file. */
	printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n",
	       totals->compiled - MIN(totals->unexpected, totals->compiled), totals->unexpected);
}

int main(int argc, char **argv)
{
	uint64_t start = clock_monotonic_ns();
	char *root[] = {(char *)"/", NULL};
	long jobs = sysconf(_SC_NPROCESSORS_ONLN);
	int opt, failed = 0, status;

	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "j:e:")) != -1) {
		if (opt == 'j')
			jobs = atol(optarg);
		else if (opt == 'e')
			read_expected(optarg);
		else
			return 2;
	}
	find_files(argv[optind] ? argv + optind : root);
	for (long i = 0; i < jobs; i++)
		if (fork() == 0)
			worker();
	while (wait(&status) > 0)
		failed |= status;
	print_totals((double)(clock_monotonic_ns() - start) / 1e9);
	if (failed)
		puts("a worker died");
	return failed || totals->unexpected ? 1 : 0;
}
