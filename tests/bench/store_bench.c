// SPDX-License-Identifier: Apache-2.0
/*
 * The local store on a made-up day: what a busy host of two CPUs at 19 Hz gives, 570 samples a
 * window of 15 s, by a steep law from a population of stacks. Prints what storing costs, how large
 * the day is, and how long and with how much memory it is read back as one profile.
 *
 *	store_bench DIR [HOURS] [DISTINCT STACKS]
 */
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/profile.h"
#include "profiler/query/query.h"
#include "profiler/store/store.h"
#include "profiler/store/store_read.h"
#include "tests/support/profiles.h"
#include "tests/support/stores.h"

#define WINDOW_NS  (15 * NS_PER_S)
#define SAMPLES	   570
#define N_SERVICES 12
#define N_THREADS  60
#define PERIOD	   52631578

static unsigned state = 1;

static unsigned next_random(void)
{
	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static __u32 copy_string(struct profile *to, const struct profile *from, __u32 id)
{
	return profile_cstring(to, profile_str(from, id));
}

static __u32 copy_location(struct profile *to, const struct profile *from, __u32 id)
{
	const struct profile_location *l = &from->locations.data[id];
	const struct profile_mapping *m = &from->mappings.data[l->mapping];
	struct profile_line lines[PROFILE_MAX_LINES];
	struct profile_mapping mapping = *m;

	mapping.file = copy_string(to, from, m->file);
	mapping.build_id = copy_string(to, from, m->build_id);
	for (__u32 i = 0; i < l->n_lines; i++) {
		struct profile_function f;

		lines[i] = from->lines.data[l->first_line + i];
		f = from->functions.data[lines[i].function];
		f.name = copy_string(to, from, f.name);
		f.system_name = copy_string(to, from, f.system_name);
		f.file = copy_string(to, from, f.file);
		lines[i].function = profile_function(to, &f);
	}
	return profile_location(to, l->kind, l->mapping ? profile_mapping(to, &mapping) : 0,
				l->address, lines, l->n_lines);
}

static __u32 copy_stack(struct profile *to, const struct profile *from, __u32 stack)
{
	const struct profile_stack *s = &from->stacks.data[stack];
	__u32 frames[64];
	__u32 n = MIN(s->n_frames, (__u32)ARRAY_SIZE(frames));

	for (__u32 i = 0; i < n; i++)
		frames[i] = copy_location(to, from, s->frames[i]);
	return profile_stack(to, frames, n);
}

/* One series of a window: samples of the population, in a profile of their own as the agent has. */
static struct profile *draw(const struct profile *all, unsigned service)
{
	unsigned n = SAMPLES / N_SERVICES, n_stacks = (unsigned)all->stacks.len;
	struct profile *p = stores_profile(PERIOD);

	if (!p)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		double u = (next_random() & 0xffff) / 65536.0;
		unsigned stack = 1 + (unsigned)(pow(u, 4) * (n_stacks - 1));
		unsigned thread = next_random() % (N_THREADS / N_SERVICES);
		__s64 values[PROFILE_MAX_TYPES] = {1, PERIOD};

		stack = (stack + service * 7919) % n_stacks;
		profile_add(p, copy_stack(p, all, stack ?: 1),
			    profile_thread_labels(p, "worker", NULL, 1000 + service,
						  2000 + service * 100 + thread),
			    values);
	}
	return p;
}

static int write_day(const char *dir, unsigned hours, const struct profile *all, __u64 t0)
{
	struct store_limits limits = {.retention_ns = ~0ull >> 2, .max_bytes = 1ull << 40};
	struct store_report report;
	struct store *store;
	struct store_stats stats;
	char error[512];
	__u64 cpu_ns = 0, worst_ns = 0;
	unsigned n = hours * 240;
	int err = store_open(dir, &limits, &store, &report, error, sizeof(error));

	if (err) {
		fprintf(stderr, "%s\n", error);
		return err;
	}
	for (unsigned i = 0; i < n && !err; i++) {
		struct facts facts = {.start_ns = t0 + i * WINDOW_NS,
				      .end_ns = t0 + (i + 1) * WINDOW_NS,
				      .samples = SAMPLES,
				      .whole = SAMPLES};
		__u64 start_ns = clock_thread_cpu_ns(), used_ns;

		err = store_begin(store, &facts);
		used_ns = clock_thread_cpu_ns() - start_ns;
		for (unsigned service = 0; service < N_SERVICES && !err; service++) {
			struct profile *p = draw(all, service);
			char name[16];
			struct dict_label_text labels[] = {{"host", "bench"},
							   {"service_name", name}};

			snprintf(name, sizeof(name), "service-%u", service);
			start_ns = clock_thread_cpu_ns();
			err = p ? store_add(store, labels, 2, p) : -ENOMEM;
			used_ns += clock_thread_cpu_ns() - start_ns;
			profile_free(p);
		}
		start_ns = clock_thread_cpu_ns();
		if (!err)
			err = store_end(store);
		used_ns += clock_thread_cpu_ns() - start_ns;
		cpu_ns += used_ns;
		worst_ns = MAX(worst_ns, used_ns);
	}
	stats = store_stats(store);
	if (err)
		fprintf(stderr, "%s\n", store_error(store));
	store_close(store);
	printf("stored_windows %u\nstore_cpu_pct %.4f\nstore_worst_ms %.1f\nstore_mib %.1f\n", n,
	       100.0 * (double)cpu_ns / ((double)n * WINDOW_NS), (double)worst_ns / 1e6,
	       (double)stats.bytes / (1 << 20));
	return err;
}

static size_t peak_bytes(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss << 10;
}

static int read_range(const char *dir, const char *name, __u64 from_ns, __u64 to_ns,
		      enum store_group group)
{
	pid_t pid;
	int status = 0;

	fflush(stdout);
	pid = fork();
	if (pid) {
		waitpid(pid, &status, 0);
		return status;
	}
	malloc_trim(0);
	{
		struct profile_limits limits = {.max_bytes = QUERY_PROFILE_BYTES};
		struct store_reader *reader = store_reader_new(dir);
		struct profile *p = profile_new(&limits);
		struct store_choice choice = {
			.kind = "cpu", .from_ns = from_ns, .to_ns = to_ns, .group = group};
		struct store_result result;
		size_t before = peak_bytes();
		__u64 start_ns = clock_thread_cpu_ns();
		int err = store_read_profile(reader, &choice, p, &result);

		printf("%s_cpu_ms %.0f\n%s_mib %.1f\n%s_blocks %u\n%s_stacks %zu\n%s_samples %llu\n"
		       "%s_refused %llu\n%s_folded_ppm %.1f\n",
		       name, (double)(clock_thread_cpu_ns() - start_ns) / 1e6, name,
		       (double)(peak_bytes() - before) / (1 << 20), name, result.n_blocks, name,
		       p->stacks.len, name, (unsigned long long)profile_total(p, 0), name,
		       (unsigned long long)p->refused_total[PROFILE_TABLE_stacks], name,
		       1e6 * (double)p->folded_below /
			       (double)MAX(profile_total(p, p->default_type), 1ull));
		fflush(stdout);
		_exit(err != 0);
	}
}

int main(int argc, char **argv)
{
	__u64 t0 = 1700000000 / 3600 * 3600 * NS_PER_S;
	unsigned hours = argc > 2 ? (unsigned)atoi(argv[2]) : 24;
	unsigned stacks = argc > 3 ? (unsigned)atoi(argv[3]) : 20000;
	struct profile *p;
	int err;

	if (argc < 2) {
		fprintf(stderr, "usage: store_bench DIR [HOURS] [STACKS]\n");
		return 2;
	}
	p = profile_made_up(stacks, 30);
	if (!p)
		return 1;
	err = getenv("READ_ONLY") ? 0 : write_day(argv[1], hours, p, t0);
	profile_free(p);
	if (err)
		return 1;
	err |= read_range(argv[1], "day", t0, t0 + hours * 3600 * NS_PER_S, STORE_GROUP_NONE);
	err |= read_range(argv[1], "day_edges", t0 + 40 * NS_PER_S,
			  t0 + (hours * 3600 - 50) * NS_PER_S, STORE_GROUP_NONE);
	err |= read_range(argv[1], "day_threads", t0, t0 + hours * 3600 * NS_PER_S,
			  STORE_GROUP_TID);
	err |= read_range(argv[1], "minutes15", t0 + 3600 * NS_PER_S, t0 + 4500 * NS_PER_S,
			  STORE_GROUP_NONE);
	return err != 0;
}
