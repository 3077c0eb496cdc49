// SPDX-License-Identifier: Apache-2.0
/*
 * The life of the agent, see agent.h: what starts and ends in which order, signals, reload, the
 * budget. What cannot start is degraded or off with its reason; the rest runs on and it is tried
 * again.
 */
#include "profiler/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "profiler/agent_internal.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/base/thread.h"
#include "profiler/collector.h"
#include "profiler/engine.h"
#include "profiler/http/http.h"
#include "profiler/http/http_config.h"
#include "profiler/notify.h"
#include "profiler/on_demand.h"
#include "profiler/query/query.h"
#include "profiler/recorder.h"
#include "profiler/window.h"

#define RETRY_NS	 (60 * NS_PER_S) /* until sampling is tried again */
#define TICK_NS		 NS_PER_S
#define STOP_WINDOWS_NS	 (700 * NS_PER_MS) /* SIGTERM flushes within a second */
#define STOP_PUSH_NS	 (200 * NS_PER_MS)
#define ERROR_BYTES	 512
#define HEAP_LARGE_BYTES (256 << 10)
#define NAMES_SHARE	 4 /* names and JITs' maps: that part of the memory budget */

const struct config *agent_config(const struct agent *agent)
{
	return agent->config;
}

struct loop *agent_loop(const struct agent *agent)
{
	return agent->loop;
}

struct parts *agent_parts(struct agent *agent)
{
	return &agent->parts;
}

struct engine *agent_engine(const struct agent *agent)
{
	return agent->engine;
}

struct builder *agent_builder(const struct agent *agent)
{
	return agent->builder;
}

struct builder *agent_lister(const struct agent *agent)
{
	return agent->lister;
}

struct budget *agent_budget(const struct agent *agent)
{
	return (struct budget *)(uintptr_t)&agent->budget;
}

struct windows *agent_windows(const struct agent *agent)
{
	return agent->windows;
}

struct on_demands *agent_on_demands(const struct agent *agent)
{
	return agent->on_demands;
}

struct agent_store *agent_store(const struct agent *agent)
{
	return agent->store;
}

struct recorder *agent_recorder(const struct agent *agent)
{
	return agent->recorder;
}

struct queries *agent_queries(const struct agent *agent)
{
	return agent->queries;
}

const char *agent_host(const struct agent *agent)
{
	return agent->host;
}

__u64 agent_start_ns(const struct agent *agent)
{
	return agent->start_ns;
}

static const struct agent_config *agent_values(const struct agent *agent)
{
	return config_get(agent->config, &agent_section);
}

static const struct profile_config *profile_values(const struct agent *agent)
{
	return config_get(agent->config, &profile_section);
}

/* ---- the budget ------------------------------------------------------------------------------ */

static unsigned wanted_hz(const struct agent *agent)
{
	return budget_hz(&agent->budget, (unsigned)profile_values(agent)->hz);
}

/* RssAnon and RssShmem of this process, with the kernel's maps, which are not in it. */
static __u64 memory_used(const struct agent *agent)
{
	__u64 bytes =
		agent->engine
			? sampler_map_bytes(engine_sampler(agent->engine)) +
				  segments_stats(engine_segments(agent->engine)).bytes_reserved
			: 0;
	static const char *const lines[] = {"RssAnon:", "RssShmem:"};
	char text[4096];

	if (fs_read_small(AT_FDCWD, "/proc/self/status", text, sizeof(text)) <= 0)
		return bytes;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *line = strstr(text, lines[i]);

		if (line)
			bytes += strtoull(line + strlen(lines[i]), NULL, 10) << 10;
	}
	return bytes;
}

__u64 agent_answers_cpu_ns(struct agent *agent)
{
	__u64 ns = agent->queries ? queries_cpu_ns(agent->queries) : 0;

	return ns + builder_stats(agent->builder).urgent_cpu_ns +
	       builder_stats(agent->lister).urgent_cpu_ns;
}

/* What observing takes. Answers are left out: who asks much is not to slow the sampling down; they
 * are bounded by how many there may be at a time and by their deadlines. */
static __u64 cpu_used(struct agent *agent)
{
	struct program_counts now = {0};
	struct router_stats stats;
	__u64 insns, process_ns = clock_process_cpu_ns();

	if (agent->engine) {
		sampler_bpf_stats(engine_sampler(agent->engine), &now.run_ns, &now.run_count,
				  &insns);
		stats = router_stats(engine_router(agent->engine));
		for (int source = 0; source < SOURCE_COUNT; source++)
			now.runs += stats.kernel.runs[source];
		now.frames = stats.kernel.frames_total;
	}
	process_ns -= MIN(process_ns, agent_answers_cpu_ns(agent));
	return process_ns + program_time_add(&agent->program_time, &now);
}

/* The recorder's samples are worth what they were when they were taken. */
static void note_rate(struct agent *agent, __u64 from_ns, unsigned hz)
{
	if (agent->recorder)
		recorder_set_hz(agent->recorder, from_ns, hz);
}

static void apply_budget(struct agent *agent)
{
	struct budget_step step = budget_now(&agent->budget);

	builder_set_share(agent->builder, agent_values(agent)->cpu_budget_pct / 100 * step.symbols);
	if (!agent->engine)
		return;
	router_set_limits(engine_router(agent->engine), (size_t)(ENGINE_STACKS_BYTES * step.tables),
			  (size_t)(ENGINE_IDLE_ROWS_BYTES * step.tables));
	if (wanted_hz(agent) != sampler_hz(engine_sampler(agent->engine))) {
		/* One window has one rate. */
		if (sampler_set_hz(engine_sampler(agent->engine), wanted_hz(agent)))
			log_warn(agent, "the sampling rate cannot be changed");
		note_rate(agent, clock_monotonic_ns(), sampler_hz(engine_sampler(agent->engine)));
		windows_turn(agent->windows);
	}
	sampler_set_copies(engine_sampler(agent->engine), step.copies); /* they follow the rate */
	if (step.tables < 1)
		malloc_trim(0);
}

/* At /readyz. */
static void say_budget(struct agent *agent)
{
	const struct budget_lane *lanes = agent->budget.lanes;
	const struct budget_lane *cpu = &lanes[BUDGET_CPU], *memory = &lanes[BUDGET_MEMORY];

	if (cpu->step)
		part_set_state(&agent->self, PART_DEGRADED,
			       "own CPU was above agent.cpu_budget_pct (%g %% of a core): step %u "
			       "of %u down, %u samples a second; /api/v1/status has the figures",
			       cpu->limit, cpu->step, budget_steps(BUDGET_CPU), wanted_hz(agent));
	else if (memory->step)
		part_set_state(&agent->self, PART_DEGRADED,
			       "own memory was above agent.memory_budget_bytes (%.0f MiB): step %u "
			       "of %u down; /api/v1/status has the figures",
			       memory->limit / (1 << 20), memory->step,
			       budget_steps(BUDGET_MEMORY));
	else
		part_set_state(&agent->self, PART_OK, NULL);
}

static void keep_budget(struct agent *agent, __u64 now_ns)
{
	struct budget *b = &agent->budget;

	if (now_ns < b->last_ns + BUDGET_PERIOD_NS ||
	    !budget_measure(b, now_ns, cpu_used(agent), memory_used(agent)))
		return;
	apply_budget(agent);
	say_budget(agent);
	budget_log(b);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static bool has(const struct option_list *list, const char *item)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->items[i], item))
			return true;
	return false;
}

static struct windows_options window_options(struct agent *agent)
{
	const struct profile_config *profile = profile_values(agent);

	return (struct windows_options){
		.window_ns = profile->window_ns,
		.by_pid = has(&profile->labels, "pid"),
		.by_comm = has(&profile->labels, "comm"),
		.by_thread = agent->store != NULL,
		.sink = agent_window_sink(agent),
	};
}

static int start_sampling(struct agent *agent)
{
	const struct agent_config *values = agent_values(agent);
	struct engine_options options = {
		.sampler =
			{
				.hz = wanted_hz(agent),
				.max_frames = (__u32)profile_values(agent)->max_frames,
			},
		.cache_dir = values->cache_dir,
		.controller_auto = true,
		.scan = true,
		.collectors = agent->collectors,
	};
	struct windows_options windows = window_options(agent);
	char *why = NULL;
	int err;

	/* Without one nothing can be asked for that is not stored yet. */
	options.recorder = agent->recorder = recorder_new(RECORDER_MAX_AGE_NS, RECORDER_MAX_BYTES);
	note_rate(agent, 0, options.sampler.hz);
	err = engine_start(&options, &agent->engine, &why);
	if (!err)
		err = windows_start(agent, &windows, &agent->windows);
	if (err) {
		const char *text = why ? why : strerror(-err);

		if (!agent->sampling_failed)
			log_error(agent, "%s; sampling is off, tried again every minute", text);
		agent->sampling_failed = true;
		part_set_state(&agent->sampling, PART_OFF, "%s", text);
		if (agent->engine)
			engine_halt(agent->engine);
		recorder_free(agent->recorder);
		agent->recorder = NULL;
		engine_stop(agent->engine);
		agent->engine = NULL;
		loop_timer_set(agent->loop, &agent->retry, clock_monotonic_ns() + RETRY_NS);
	} else {
		const struct sampler *sampler = engine_sampler(agent->engine);

		log_info(agent, "sampling %u times a second on each CPU (%s)", sampler_hz(sampler),
			 sampler_event(sampler));
		agent->sampling_failed = false;
		apply_budget(agent);
		if (sampler_has_pmu(sampler))
			part_set_state(&agent->sampling, PART_OK, NULL);
		else
			part_set_state(
				&agent->sampling, PART_DEGRADED,
				"no hardware counter: samples by cpu-clock, which cannot see "
				"code that runs with interrupts off");
	}
	free(why);
	return err;
}

static void retry_sampling(void *arg)
{
	struct agent *agent = arg;

	if (!agent->engine && start_sampling(agent)) {
		/* said at /readyz; tried again */
	}
}

static void tick(void *arg)
{
	struct agent *agent = arg;
	__u64 now_ns = clock_monotonic_ns();

	keep_budget(agent, now_ns);
	notify_watchdog();
	loop_timer_set(agent->loop, &agent->tick, now_ns + TICK_NS);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static bool stored(const struct config *config)
{
	const struct store_config *store = config_get(config, &store_section);

	return store->enabled;
}

/* What a reload cannot change: it says so instead of nothing. */
static void say_what_waits(const struct config *old, const struct config *fresh)
{
	const struct agent_config *a = config_get(old, &agent_section);
	const struct agent_config *b = config_get(fresh, &agent_section);
	const struct profile_config *p = config_get(old, &profile_section);
	const struct profile_config *q = config_get(fresh, &profile_section);

	if (strcmp(a->state_dir, b->state_dir))
		log_warn(config, "agent.state_dir counts from the next start");
	if (strcmp(a->cache_dir, b->cache_dir))
		log_warn(config, "agent.cache_dir counts from the next start");
	if (stored(old) != stored(fresh))
		log_warn(config, "store.enabled counts from the next start");
	if (p->max_frames != q->max_frames)
		log_warn(config, "profile.max_frames counts from the next start");
}

static void reload(struct agent *agent)
{
	struct buf errors = {0};
	struct config *fresh = config_load(agent->source, &errors), *old = agent->config;
	char error[ERROR_BYTES];

	if (!fresh) {
		log_error(config, "the configuration is not reloaded, the old one goes on:");
		for (char *rest, *line = strtok_r(errors.data, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			log_error(config, "%s", line);
		buf_fini(&errors);
		return;
	}
	buf_fini(&errors);
	agent->config = fresh;
	if (http_server_reload(agent->http, config_get(fresh, &http_section), error, sizeof(error)))
		log_error(http, "%s; the old settings go on", error);
	agent_reload_sinks(agent);
	budget_set_limits(&agent->budget, agent_values(agent)->cpu_budget_pct,
			  agent_values(agent)->memory_budget_bytes);
	if (agent->windows) {
		struct windows_options windows = window_options(agent);

		windows_reload(agent->windows, &windows);
	}
	apply_budget(agent);
	say_budget(agent);
	say_what_waits(old, fresh);
	config_free(old);
	log_info(config, "the configuration is reloaded");
}

static void on_signal(void *arg, __u32 events UNUSED)
{
	struct agent *agent = arg;
	struct signalfd_siginfo info;

	while (read(agent->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			reload(agent);
			continue;
		}
		log_info(agent, "%s: ending", strsignal((int)info.ssi_signo));
		loop_stop(agent->loop);
	}
}

/* ---- start and end --------------------------------------------------------------------------- */

static int take_signals(struct agent *agent)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	agent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->signal_fd < 0)
		return -errno;
	return loop_add(agent->loop, agent->signal_fd, EPOLLIN, on_signal, agent,
			&agent->signal_watch);
}

/* One agent a host: two would count everything twice. */
static int lock_state(struct agent *agent)
{
	const char *dir = agent_values(agent)->state_dir;
	char path[4096], pid[32] = "";
	int err = fs_mkdirs(dir);

	if (!err && (size_t)snprintf(path, sizeof(path), "%s/lock", dir) >= sizeof(path))
		err = -ENAMETOOLONG;
	if (!err) {
		agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (agent->lock_fd < 0)
			err = -errno;
	}
	if (err) {
		log_error(agent, "'%s' cannot be used: %s; %s", dir, strerror(-err),
			  err == -EACCES && geteuid()
				  ? "run it as root"
				  : "set agent.state_dir to a folder that can be written");
		return err;
	}
	if (flock(agent->lock_fd, LOCK_EX | LOCK_NB)) {
		fs_read_small(AT_FDCWD, path, pid, sizeof(pid));
		log_error(agent,
			  "another agent runs on this host (pid %.*s, state in '%s'); stop it, "
			  "or give this one an agent.state_dir of its own",
			  (int)strcspn(pid, "\n"), pid, dir);
		return -EBUSY;
	}
	/* The pid is only for people; the disk may be full. */
	if (ftruncate(agent->lock_fd, 0) || dprintf(agent->lock_fd, "%d\n", getpid()) < 0)
		log_warn(agent, "'%s' cannot be written: %s; going on without", path,
			 strerror(errno));
	return 0;
}

static int open_http(struct agent *agent)
{
	struct http_server_args args = {
		.config = config_get(agent->config, &http_section),
		.loop = agent->loop,
		.parts = &agent->parts,
		.agent = agent,
	};
	char error[ERROR_BYTES];
	int err = http_server_open(&args, &agent->http, error, sizeof(error));

	if (err)
		log_error(http, "%s", error);
	return err;
}

/* libdebuginfod takes its servers and limits from the environment alone; what is there already but
 * the servers stays. Before any thread runs. */
static int set_debuginfod(const struct agent *agent, const struct option_list *urls)
{
	struct buf text = {0};
	int err;

	if (!urls->n)
		return 0;
	for (size_t i = 0; i < urls->n; i++)
		buf_printf(&text, "%s%s", i ? " " : "", urls->items[i]);
	err = text.err;
	if (!err &&
	    (setenv("DEBUGINFOD_URLS", text.data, 1) || setenv("DEBUGINFOD_TIMEOUT", "10", 0) ||
	     setenv("DEBUGINFOD_MAXTIME", "60", 0)))
		err = -ENOMEM;
	buf_reset(&text);
	buf_printf(&text, "%s/debuginfod", agent_values(agent)->cache_dir);
	if (!err)
		err = text.err;
	if (!err && setenv("DEBUGINFOD_CACHE_PATH", text.data, 0))
		err = -ENOMEM;
	buf_fini(&text);
	return err;
}

/* nice: what threads started here are to have. */
static int start(struct agent *agent, int nice)
{
	const struct agent_config *values = agent_values(agent);
	const struct symbols_config *symbols = config_get(agent->config, &symbols_section);
	struct naming_options naming = {
		.cache_dir = values->cache_dir,
		.cache_bytes = symbols->cache_bytes,
		.debug_dirs = (const char *const *)symbols->debug_dirs.items,
		.n_debug_dirs = symbols->debug_dirs.n,
		.debuginfod = symbols->debuginfod_urls.n > 0,
		.no_inlines = !symbols->inlines,
		.max_bytes = values->memory_budget_bytes / NAMES_SHARE,
	};
	int err = set_debuginfod(agent, &symbols->debuginfod_urls);

	if (err)
		return err;
	agent->loop = loop_new();
	if (!agent->loop)
		return -errno;
	err = take_signals(agent);
	if (!err)
		err = lock_state(agent);
	if (!err) {
		agent->on_demands = on_demands_new(agent);
		err = agent->on_demands ? 0 : -ENOMEM;
	}
	if (!err)
		err = open_http(agent);
	thread_set_nice(nice);
	if (!err)
		err = builder_start(agent->loop, "builder", &naming, &agent->builder);
	if (!err)
		err = builder_start(agent->loop, "lister", NULL, &agent->lister);
	if (!err)
		err = agent_add_parts(agent);
	if (!err)
		err = agent_open_sinks(agent);
	if (!err) {
		agent->queries = queries_new(agent);
		err = agent->queries ? 0 : -ENOMEM;
	}
	if (!err) {
		agent->collectors = collectors_start(agent->loop, &agent->parts, agent->config);
		err = agent->collectors ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	budget_init(&agent->budget, values->cpu_budget_pct, values->memory_budget_bytes);
	apply_budget(agent);
	agent->retry = (struct loop_timer){.fn = retry_sampling, .arg = agent};
	agent->tick = (struct loop_timer){.fn = tick, .arg = agent};
	if (start_sampling(agent)) {
		/* degraded: said, and tried again */
	}
	loop_timer_set(agent->loop, &agent->tick, clock_monotonic_ns() + TICK_NS);
	notify_ready();
	return 0;
}

static void stop(struct agent *agent)
{
	notify_stopping();
	if (agent->loop) {
		loop_timer_stop(agent->loop, &agent->tick);
		loop_timer_stop(agent->loop, &agent->retry);
	}
	http_server_close(agent->http); /* cancels the profiles that run */
	queries_stop(agent->queries);
	if (agent->builder)
		builder_hurry(agent->builder);
	on_demands_free(agent->on_demands, STOP_WINDOWS_NS);
	windows_stop(agent->windows, STOP_WINDOWS_NS);
	if (agent->engine) /* a capture that ends late is given to the builder, so that goes after
			      it */
		engine_halt(agent->engine);
	builder_stop(agent->builder);
	builder_stop(agent->lister);
	queries_free(agent->queries);
	agent_close_sinks(agent, STOP_PUSH_NS);
	recorder_free(agent->recorder);
	engine_stop(agent->engine);
	collectors_stop(agent->collectors);
	agent_del_parts(agent);
	parts_fini(&agent->parts);
	if (agent->loop)
		loop_del(agent->loop, agent->signal_watch);
	loop_free(agent->loop);
	if (agent->signal_fd >= 0)
		close(agent->signal_fd);
	if (agent->lock_fd >= 0)
		close(agent->lock_fd);
	config_free(agent->config);
	free(agent);
}

/* Large blocks have mappings of their own, which go back to the system when they are freed, and the
 * free end of a thread's arena is small. Both are set for good: else glibc raises them to tens of MiB
 * once a large block was freed (malloc.c, "dynamic mmap threshold"), for each of the threads, and
 * malloc_trim leaves the ends of other threads' arenas as they are. */
static void keep_heap_small(void)
{
	mallopt(M_MMAP_THRESHOLD, HEAP_LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, HEAP_LARGE_BYTES);
}

int agent_run(const struct config_source *source)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	struct buf errors = {0};
	int err = -ENOMEM, nice = thread_raise();

	if (!agent)
		return 1;
	keep_heap_small();
	agent->source = source;
	agent->signal_fd = agent->lock_fd = -1;
	agent->start_ns = clock_monotonic_ns();
	gethostname(agent->host, sizeof(agent->host) - 1);
	parts_init(&agent->parts);
	agent->config = config_load(source, &errors);
	if (agent->config) {
		err = start(agent, nice);
		if (!err)
			err = loop_run(agent->loop);
	} else {
		fputs(errors.data ? errors.data : "out of memory\n", stderr);
	}
	buf_fini(&errors);
	stop(agent);
	return err ? 1 : 0;
}
