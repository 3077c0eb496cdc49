// SPDX-License-Identifier: Apache-2.0
/* What the agent says of itself at /metrics and /debug/state: sampling, tables, naming, budget. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "profiler/agent_internal.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/engine.h"
#include "profiler/metric.h"
#include "profiler/ring.h"
#include "profiler/segment.h"
#include "profiler/self_metrics.h"

METRIC(samples_total, COUNTER, "bianque_profile_samples_total", NULL, "Samples taken, by CPU");
METRIC(stacks_total, COUNTER, "bianque_profile_stacks_total", NULL,
       "Samples by the language of their user stack and whether it reaches its root");
METRIC(lost_total, COUNTER, "bianque_lost_total", NULL,
       "Records and samples lost, by reason (not_run is an estimate)");
METRIC(stops_total, COUNTER, "bianque_unwind_stops_total", NULL,
       "Where the unwinding of user stacks ended; root, no_user and exec are whole stacks");
METRIC(copies_total, COUNTER, "bianque_profile_copied_stacks_total", NULL,
       "Stacks copied for unwinding in user space, since their process was not loaded yet");
METRIC(frames_total, COUNTER, "bianque_unwind_frames_total", NULL,
       "User frames walked in the kernel");
METRIC(new_stacks_total, COUNTER, "bianque_profile_distinct_stacks_total", NULL,
       "Stacks sent to user space, each once as long as it is remembered");
METRIC(map_entries, GAUGE, "bianque_map_entries", NULL, "Entries in use, by table");
METRIC(map_max, GAUGE, "bianque_map_max_entries", NULL, "Entries that a table may have");
METRIC(map_refused, COUNTER, "bianque_map_refused_total", NULL,
       "Entries that a table refused, being full; processes count their mappings, too");
METRIC(lost_exits, COUNTER, "bianque_process_lost_exits_total", NULL,
       "Processes found gone whose end no event had told");
METRIC(map_bytes, GAUGE, "bianque_bpf_map_memory_bytes", "bytes",
       "Kernel memory of all BPF maps, unwind rows included");
METRIC(rows_bytes, GAUGE, "bianque_unwind_rows_bytes", "bytes", "Unwind rows and map sets in use");
METRIC(bpf_seconds, COUNTER, "bianque_bpf_run_seconds_total", "seconds",
       "Time in the sampling program (0 unless kernel.bpf_stats_enabled)");
METRIC(bpf_runs, COUNTER, "bianque_bpf_runs_total", NULL,
       "Runs of the sampling program (0 unless kernel.bpf_stats_enabled)");
METRIC(rate, GAUGE, "bianque_profile_rate_hertz", "hertz", "Samples a second on each CPU now");
METRIC(router_seconds, COUNTER, "bianque_router_cpu_seconds_total", "seconds",
       "CPU time of the thread that reads the rings");
METRIC(router_records, COUNTER, "bianque_router_records_total", NULL,
       "Records read from all rings");
METRIC(builder_seconds, COUNTER, "bianque_builder_cpu_seconds_total", "seconds",
       "CPU time of the thread that names and encodes");
METRIC(query_seconds, COUNTER, "bianque_query_cpu_seconds_total", "seconds",
       "CPU time for who asks: queries, profiles and lists on demand; not in agent.cpu_budget_pct");
METRIC(builder_queue, GAUGE, "bianque_builder_queued_jobs", NULL, "Profiles waiting to be named");
METRIC(windows_total, COUNTER, "bianque_profile_windows_total", NULL,
       "Windows of the continuous profile that ended");
METRIC(window_samples, COUNTER, "bianque_profile_window_samples_total", NULL,
       "Samples in these windows");
METRIC(windows_dropped, COUNTER, "bianque_profile_windows_dropped_total", NULL,
       "Windows not taken because naming was behind");
METRIC(windows_overflow, COUNTER, "bianque_profile_overflow_samples_total", NULL,
       "Samples that count in a window's totals without their stack, since it held too many");
METRIC(profiles_total, COUNTER, "bianque_profile_encoded_total", NULL,
       "Profiles encoded for sinks, one per series and window (or part of one)");
METRIC(objects, GAUGE, "bianque_symbol_objects", NULL, "Objects whose symbols are open");
METRIC(objects_lacking, GAUGE, "bianque_symbol_objects_lacking", NULL,
       "Open objects without symbols or with partial ones");
METRIC(symbol_bytes, GAUGE, "bianque_symbol_names_bytes", "bytes",
       "Memory of readable names and of JITs' maps");
METRIC(symbol_evictions, COUNTER, "bianque_symbol_evictions_total", NULL,
       "Symbols and JITs' maps closed to stay in their bounds");
METRIC(jits, GAUGE, "bianque_symbol_jit_maps", NULL, "JITs' maps that are open");
METRIC(jit_lines, COUNTER, "bianque_symbol_jit_lines_dropped_total", NULL,
       "Lines of perf maps without effect: not of the format, or more than a map may have");
METRIC(jit_reads, COUNTER, "bianque_symbol_jit_reads_cut_total", NULL,
       "Reads of perf maps that ended before the file did: too long a file, or no memory left in "
       "the bound (the next read goes on)");
METRIC(jit_restarts, COUNTER, "bianque_symbol_jit_restarts_total", NULL,
       "Perf maps read again from the beginning because they were written anew");
METRIC(jits_refused, COUNTER, "bianque_symbol_jit_maps_refused_total", NULL,
       "Perf maps of processes not opened: somebody else's file, or too many");
METRIC(loads_refused, COUNTER, "bianque_loader_refused_total", NULL,
       "Files and processes not looked at because the loader's queue was full");
METRIC(named_frames, COUNTER, "bianque_symbol_frames_total", NULL, "Frames named, by outcome");
METRIC(budget_limit, GAUGE, "bianque_budget_limit_ratio", "ratio",
       "The agent's own CPU budget in cores");
METRIC(budget_used, GAUGE, "bianque_budget_used_ratio", "ratio",
       "The agent's own CPU use in cores, smoothed");
METRIC(budget_limit_bytes, GAUGE, "bianque_budget_limit_bytes", "bytes",
       "The agent's own memory budget");
METRIC(budget_used_bytes, GAUGE, "bianque_budget_used_bytes", "bytes",
       "The agent's own memory with its kernel maps, smoothed");
METRIC(budget_step, GAUGE, "bianque_budget_step", NULL,
       "Steps that sampling and naming are below what is configured");
METRIC(budget_steps_total, COUNTER, "bianque_budget_steps_total", NULL,
       "Steps taken to stay in the budget, by direction");

static const char *const stop_labels[STOP_COUNT] = {
#define X(name, label, whole) label,
	STOP_LIST(X)
#undef X
};
static const bool stop_whole[STOP_COUNT] = {
#define X(name, label, whole) whole,
	STOP_LIST(X)
#undef X
};
static const char *const loss_labels[LOSS_COUNT] = {
#define X(name, label) label,
	LOSS_LIST(X)
#undef X
};

static void per_cpu(struct sampler *sampler, struct metric_out *out)
{
	unsigned n = sampler_possible_cpus(sampler);
	_free_ struct cpu_counters *counters = calloc(n, sizeof(*counters));

	if (!counters || sampler_counters(sampler, counters))
		return;
	for (unsigned cpu = 0; cpu < n; cpu++) {
		char text[12];

		snprintf(text, sizeof(text), "%u", cpu);
		if (!sampler_ring(sampler, cpu))
			continue;
		metric_out_u64(out, &samples_total, METRIC_LABELS({"kind", "cpu"}, {"cpu", text}),
			       counters[cpu].samples[SOURCE_CPU]);
		for (int why = 0; why < LOSS_COUNT; why++) {
			__u64 lost = 0;

			for (int source = 0; source < SOURCE_COUNT; source++)
				lost += counters[cpu].lost[why][source];
			if (lost || why == LOSS_RING_FULL)
				metric_out_u64(out, &lost_total,
					       METRIC_LABELS({"kind", "cpu"}, {"cpu", text},
							     {"reason", loss_labels[why]}),
					       lost);
		}
	}
}

static void put_map(struct metric_out *out, const char *map, __u64 fill, __u64 cap)
{
	metric_out_u64(out, &map_entries, METRIC_LABELS({"map", map}), fill);
	metric_out_u64(out, &map_max, METRIC_LABELS({"map", map}), cap);
}

static void put_stacks(struct metric_out *out, const struct resolver_stats *r)
{
	__u64 whole = 0, kernel = 0, partial = 0;

	for (int i = 0; i < STOP_COUNT; i++) {
		metric_out_u64(out, &stops_total, METRIC_LABELS({"reason", stop_labels[i]}),
			       r->stops[i]);
		if (i == STOP_NO_USER)
			kernel += r->stops[i];
		else if (stop_whole[i])
			whole += r->stops[i];
		else
			partial += r->stops[i];
	}
	metric_out_u64(out, &stacks_total,
		       METRIC_LABELS({"kind", "cpu"}, {"language", "native"}, {"whole", "true"}),
		       whole);
	metric_out_u64(out, &stacks_total,
		       METRIC_LABELS({"kind", "cpu"}, {"language", "native"}, {"whole", "false"}),
		       partial);
	metric_out_u64(out, &stacks_total,
		       METRIC_LABELS({"kind", "cpu"}, {"language", "kernel"}, {"whole", "true"}),
		       kernel);
}

static void put_router(struct agent *agent, struct metric_out *out)
{
	struct router_stats s = router_stats(engine_router(agent->engine));
	struct segments_stats segments = segments_stats(engine_segments(agent->engine));
	struct loader_stats loader = loader_stats(engine_loader(agent->engine));
	const struct sampler *sampler = engine_sampler(agent->engine);
	__u64 run_ns = 0, runs = 0, insns;

	/* Losses that no CPU owns. */
	for (int why = 0; why < LOSS_COUNT; why++)
		metric_out_u64(out, &lost_total,
			       METRIC_LABELS({"kind", "cpu"}, {"cpu", "all"},
					     {"reason", loss_labels[why]}),
			       why == LOSS_NOT_RUN ? s.not_run : s.resolver.lost[why]);
	put_stacks(out, &s.resolver);
	metric_out_u64(out, &copies_total, METRIC_LABELS({"kind", "cpu"}), s.resolver.copies_total);
	metric_out_u64(out, &frames_total, NULL, s.kernel.frames_total);
	metric_out_u64(out, &new_stacks_total, NULL, s.kernel.stacks);
	put_map(out, "processes", s.resolver.processes.n, s.resolver.processes.max);
	put_map(out, "objects", s.resolver.objects.n, s.resolver.objects.max);
	metric_out_u64(out, &map_refused, METRIC_LABELS({"map", "processes"}),
		       s.resolver.processes.refused_total);
	metric_out_u64(out, &map_refused, METRIC_LABELS({"map", "objects"}),
		       s.resolver.objects.refused_total);
	metric_out_u64(out, &lost_exits, NULL, s.resolver.processes.lost_exits_total);
	put_map(out, "segments", segments.n_segments, segments.budget / UNW_SEGMENT_BYTES);
	metric_out_u64(out, &jits_refused, NULL, loader.jits_refused_total);
	metric_out_u64(out, &loads_refused, NULL, loader.refused_total);
	metric_out_u64(out, &rows_bytes, NULL, segments.bytes_used);
	metric_out_u64(out, &map_bytes, NULL, sampler_map_bytes(sampler) + segments.bytes_reserved);
	sampler_bpf_stats(sampler, &run_ns, &runs, &insns);
	metric_out_f64(out, &bpf_seconds, METRIC_LABELS({"program", "sample_cpu"}),
		       (double)run_ns / 1e9);
	metric_out_u64(out, &bpf_runs, METRIC_LABELS({"program", "sample_cpu"}), runs);
	metric_out_u64(out, &rate, METRIC_LABELS({"kind", "cpu"}), sampler_hz(sampler));
	metric_out_f64(out, &router_seconds, NULL, (double)s.cpu_ns / 1e9);
	metric_out_u64(out, &router_records, NULL, s.records_total);
}

static int sampling_metrics(void *self, struct metric_out *out)
{
	struct agent *agent = self;

	if (!agent->engine)
		return -ENODEV;
	per_cpu(engine_sampler(agent->engine), out);
	put_router(agent, out);
	if (agent->windows) {
		struct windows_stats w = windows_stats(agent->windows);

		metric_out_u64(out, &windows_total, NULL, w.windows_total);
		metric_out_u64(out, &window_samples, NULL, w.samples_total);
		metric_out_u64(out, &windows_dropped, NULL, w.dropped_total);
		metric_out_u64(out, &windows_overflow, NULL, w.overflow_total);
		metric_out_u64(out, &profiles_total, NULL, w.profiles_total);
	}
	return 0;
}

static void sampling_tables(void *self, struct table_out *out)
{
	struct agent *agent = self;
	struct router_stats s;
	struct loader_stats loader;
	struct segments_stats segments;

	if (!agent->engine)
		return;
	s = router_stats(engine_router(agent->engine));
	loader = loader_stats(engine_loader(agent->engine));
	segments = segments_stats(engine_segments(agent->engine));
	table_out_add(out, "processes", s.resolver.processes.n, s.resolver.processes.max,
		      "entries");
	table_out_add(out, "objects", s.resolver.objects.n, s.resolver.objects.max, "entries");
	table_out_add(out, "stacks", s.resolver.stacks.bytes, s.resolver.stacks.max_bytes, "bytes");
	table_out_add(out, "pending_copies", s.resolver.pending_bytes, PENDING_BYTES, "bytes");
	table_out_add(out, "loader_requests", loader.queued, LOADER_MAX_QUEUED, "entries");
	table_out_add(out, "loader_slow_files", loader.slow, LOADER_MAX_SLOW, "entries");
	table_out_add(out, "segments", segments.bytes_used, segments.budget, "bytes");
	for (unsigned cpu = 0; cpu < sampler_possible_cpus(engine_sampler(agent->engine)); cpu++) {
		struct ring *ring = sampler_ring(engine_sampler(agent->engine), cpu);
		char name[24];

		snprintf(name, sizeof(name), "ring_%u", cpu);
		if (ring)
			table_out_add(out, name, ring_fill(ring), ring_size(ring), "bytes");
	}
}

static int naming_metrics(void *self, struct metric_out *out)
{
	struct agent *agent = self;
	struct builder_stats s = builder_stats(agent->builder);
	__u64 unknown = s.naming.unknown_total;

	metric_out_f64(out, &builder_seconds, NULL, (double)s.cpu_ns / 1e9);
	metric_out_f64(out, &query_seconds, NULL, (double)agent_answers_cpu_ns(agent) / 1e9);
	metric_out_u64(out, &builder_queue, NULL, s.queued);
	metric_out_u64(out, &objects, NULL, s.naming.n_objects);
	metric_out_u64(out, &objects_lacking, NULL, s.n_lacking);
	metric_out_u64(out, &symbol_bytes, NULL, s.naming.bytes);
	metric_out_u64(out, &symbol_evictions, NULL, s.naming.evicted_total);
	metric_out_u64(out, &jits, NULL, s.naming.n_jits);
	metric_out_u64(out, &jit_lines, METRIC_LABELS({"reason", "malformed"}),
		       s.naming.jits.bad_lines_total);
	metric_out_u64(out, &jit_lines, METRIC_LABELS({"reason", "map_full"}),
		       s.naming.jits.dropped_total);
	metric_out_u64(out, &jit_reads, METRIC_LABELS({"reason", "file_size"}),
		       s.naming.jits.cut_total);
	metric_out_u64(out, &jit_reads, METRIC_LABELS({"reason", "memory"}),
		       s.naming.jits.deferred_total);
	metric_out_u64(out, &jit_restarts, NULL, s.naming.jits.restarts_total);
	metric_out_u64(out, &named_frames, METRIC_LABELS({"outcome", "named"}),
		       s.naming.frames_total - MIN(unknown, s.naming.frames_total));
	metric_out_u64(out, &named_frames, METRIC_LABELS({"outcome", "unknown"}), unknown);
	return 0;
}

static int agent_self_metrics(void *self, struct metric_out *out)
{
	struct agent *agent = self;
	const struct budget *b = &agent->budget;

	metric_out_f64(out, &budget_limit, NULL, b->lanes[BUDGET_CPU].limit / 100);
	metric_out_f64(out, &budget_used, NULL, b->lanes[BUDGET_CPU].used / 100);
	metric_out_f64(out, &budget_limit_bytes, NULL, b->lanes[BUDGET_MEMORY].limit);
	metric_out_f64(out, &budget_used_bytes, NULL, b->lanes[BUDGET_MEMORY].used);
	for (int i = 0; i < BUDGET_KINDS; i++) {
		const char *kind = budget_kind_name((enum budget_kind)i);

		metric_out_u64(out, &budget_step, METRIC_LABELS({"budget", kind}),
			       b->lanes[i].step);
		metric_out_u64(out, &budget_steps_total,
			       METRIC_LABELS({"budget", kind}, {"direction", "down"}),
			       b->lanes[i].downs_total);
		metric_out_u64(out, &budget_steps_total,
			       METRIC_LABELS({"budget", kind}, {"direction", "up"}),
			       b->lanes[i].ups_total);
	}
	return self_metrics(NULL, out);
}

int agent_add_parts(struct agent *agent)
{
	int err;

	agent->self = (struct part){.name = "agent", .self = agent, .metrics = agent_self_metrics};
	agent->sampling = (struct part){
		.name = "sampling",
		.self = agent,
		.required = true,
		.metrics = sampling_metrics,
		.tables = sampling_tables,
	};
	agent->naming = (struct part){.name = "naming", .self = agent, .metrics = naming_metrics};
	err = parts_add(&agent->parts, &agent->self);
	if (!err)
		err = parts_add(&agent->parts, &agent->sampling);
	if (!err)
		err = parts_add(&agent->parts, &agent->naming);
	if (err)
		return err;
	part_set_state(&agent->self, PART_OK, NULL);
	part_set_state(&agent->naming, PART_OK, NULL);
	return 0;
}

void agent_del_parts(struct agent *agent)
{
	parts_del(&agent->self);
	parts_del(&agent->sampling);
	parts_del(&agent->naming);
}
