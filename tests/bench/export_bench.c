// SPDX-License-Identifier: Apache-2.0
/*
 * Time and memory of every encoder for a large profile, and of protobuf-c for the same pprof:
 *	whole tree   every message of the profile in memory, one pack
 *	by message   each sample and location filled into one message and packed on its own
 * export_bench [STACKS [DEPTH]], 100,000 and 40. Each row runs in a child, so that its peak is its
 * own: `peak` is what the child's resident memory grew by beyond the profile's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/export/export.h"
#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"

static const struct profile *profile;

/* ---- protobuf-c, whole tree ------------------------------------------------------------------ */
static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

static void fill_sample(Pprof__Sample *out, const struct profile_sample *s, uint64_t *ids,
			int64_t *values)
{
	const struct profile_stack *stack = &profile->stacks.data[s->stack];

	for (__u32 i = 0; i < stack->n_frames; i++)
		ids[i] = stack->frames[i] + 1;
	for (unsigned t = 0; t < profile->n_types; t++)
		values[t] = s->values[t];
	out->n_location_id = stack->n_frames;
	out->location_id = ids;
	out->n_value = profile->n_types;
	out->value = values;
}

static Pprof__Sample *make_sample(const struct profile_sample *s)
{
	Pprof__Sample *out = allocate(1, sizeof(*out));

	pprof__sample__init(out);
	fill_sample(out, s,
		    allocate(profile->stacks.data[s->stack].n_frames, sizeof(*out->location_id)),
		    allocate(profile->n_types, sizeof(*out->value)));
	return out;
}

static void fill_location(Pprof__Location *out, __u32 i, Pprof__Line *lines, Pprof__Line **list)
{
	const struct profile_location *l = &profile->locations.data[i];

	out->id = i + 1;
	out->mapping_id = l->mapping;
	out->address = l->address;
	for (__u32 k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &profile->lines.data[l->first_line + k];

		pprof__line__init(&lines[k]);
		lines[k].function_id = line->function + 1;
		lines[k].line = line->line;
		list[k] = &lines[k];
	}
	out->n_line = l->n_lines;
	out->line = list;
}

static Pprof__Location *make_location(__u32 i)
{
	__u32 n = profile->locations.data[i].n_lines;
	Pprof__Location *out = allocate(1, sizeof(*out));

	pprof__location__init(out);
	fill_location(out, i, allocate(n, sizeof(Pprof__Line)), allocate(n, sizeof(Pprof__Line *)));
	return out;
}

static Pprof__Function *make_function(__u32 i)
{
	const struct profile_function *f = &profile->functions.data[i];
	Pprof__Function *out = allocate(1, sizeof(*out));

	pprof__function__init(out);
	out->id = i + 1;
	out->name = f->name;
	out->system_name = f->system_name;
	out->filename = f->file;
	out->start_line = f->start_line;
	return out;
}

static int whole_tree(struct sink *sink)
{
	Pprof__Profile out = PPROF__PROFILE__INIT;
	uint8_t *packed;
	size_t len;

	out.n_sample = profile->samples.len;
	out.sample = allocate(out.n_sample, sizeof(*out.sample));
	for (size_t i = 0; i < out.n_sample; i++)
		out.sample[i] = make_sample(&profile->samples.data[i]);
	out.n_location = profile->locations.len;
	out.location = allocate(out.n_location, sizeof(*out.location));
	for (__u32 i = 0; i < out.n_location; i++)
		out.location[i] = make_location(i);
	out.n_function = profile->functions.len;
	out.function = allocate(out.n_function, sizeof(*out.function));
	for (__u32 i = 0; i < out.n_function; i++)
		out.function[i] = make_function(i);
	out.n_string_table = profile->strings.entries.len;
	out.string_table = allocate(out.n_string_table, sizeof(*out.string_table));
	for (__u32 i = 0; i < out.n_string_table; i++)
		out.string_table[i] = (char *)(uintptr_t)profile_str(profile, i);
	len = pprof__profile__get_packed_size(&out);
	packed = allocate(1, len);
	pprof__profile__pack(&out, packed);
	sink_add(sink, packed, len);
	return sink_finish(sink);
}

/* ---- protobuf-c, message by message ---------------------------------------------------------- */
static void put(struct sink *sink, char field, const ProtobufCMessage *message)
{
	static uint8_t packed[1 << 20];
	size_t len = protobuf_c_message_pack(message, packed), n = len;

	sink_char(sink, (char)(field << 3 | 2));
	for (; n >= 0x80; n >>= 7)
		sink_char(sink, (char)(n | 0x80));
	sink_char(sink, (char)n);
	sink_add(sink, packed, len);
}

static int by_message(struct sink *sink)
{
	static uint64_t ids[PROFILE_MAX_FRAMES];
	static Pprof__Line lines[PROFILE_MAX_LINES], *list[PROFILE_MAX_LINES];
	int64_t values[PROFILE_MAX_TYPES];

	for (size_t i = 0; i < profile->samples.len; i++) {
		Pprof__Sample sample = PPROF__SAMPLE__INIT;

		fill_sample(&sample, &profile->samples.data[i], ids, values);
		protobuf_c_message_get_packed_size(&sample.base); /* to know if it fits */
		put(sink, 2, &sample.base);
	}
	for (__u32 i = 0; i < profile->locations.len; i++) {
		Pprof__Location location = PPROF__LOCATION__INIT;

		fill_location(&location, i, lines, list);
		protobuf_c_message_get_packed_size(&location.base);
		put(sink, 4, &location.base);
	}
	for (__u32 i = 0; i < profile->functions.len; i++) {
		Pprof__Function *f = make_function(i);

		put(sink, 5, &f->base);
		free(f);
	}
	for (__u32 i = 0; i < profile->strings.entries.len; i++) {
		const struct strtab_entry *e = &profile->strings.entries.data[i];

		sink_add(sink, e->s, e->len);
		sink_add(sink, "\x32\x20", 2);
	}
	return sink_finish(sink);
}

/* ---- rows ------------------------------------------------------------------------------------ */
static int pprof_plain(struct sink *sink)
{
	return pprof_write(profile, &(struct export_options){.gzip_level = -1}, sink);
}

static long resident_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

struct result {
	__u64 ns, bytes;
	long kib;
	int err;
};

static struct result measure(int (*write)(struct sink *), const struct export_format *format)
{
	struct result r = {0};
	struct sink sink;
	long before = resident_kib();
	__u64 start = clock_process_cpu_ns();

	sink_null_init(&sink);
	r.err = write ? write(&sink) : format->write(profile, &EXPORT_OPTIONS_DEFAULT, &sink);
	if (!r.err)
		r.err = sink_finish(&sink);
	r.ns = clock_process_cpu_ns() - start;
	r.bytes = sink.n_bytes;
	r.kib = peak_kib() - before;
	return r;
}

static void row(const char *name, int (*write)(struct sink *), const struct export_format *format)
{
	struct result r = {0};
	int fds[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) || (pid = fork()) < 0)
		abort();
	if (!pid) {
		r = measure(write, format);
		_exit(r.err || fwrite(&r, sizeof(r), 1, fdopen(fds[1], "w")) != 1 || fflush(NULL));
	}
	close(fds[1]);
	if (read(fds[0], &r, sizeof(r)) != sizeof(r))
		r.err = 1;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	printf("%-28s %8.1f ms %10.2f MiB out %10.2f MiB peak%s\n", name, (double)r.ns / 1e6,
	       (double)r.bytes / (1 << 20), (double)r.kib / 1024, r.err ? "  FAILED" : "");
}

int main(int argc, char **argv)
{
	__u32 stacks = argc > 1 ? (__u32)atoi(argv[1]) : 100000;
	__u32 depth = argc > 2 ? (__u32)atoi(argv[2]) : 40;
	__u64 start = clock_process_cpu_ns();
	struct profile *made = profile_made_up(stacks, depth);

	if (!made)
		return 1;
	profile = made;
	printf("%u stacks of %u frames, %zu samples, %zu locations, %zu functions: %.1f MiB, made "
	       "in %.0f ms\n",
	       stacks, depth, made->samples.len, made->locations.len, made->functions.len,
	       (double)profile_bytes(made) / (1 << 20),
	       (double)(clock_process_cpu_ns() - start) / 1e6);
	row("pprof, not compressed", pprof_plain, NULL);
	row("  protobuf-c, whole tree", whole_tree, NULL);
	row("  protobuf-c, by message", by_message, NULL);
	for (const struct export_format *f = export_formats; f->name; f++)
		row(f->name, NULL, f);
	profile_free(made);
	return 0;
}
