// SPDX-License-Identifier: Apache-2.0
/*
 * Loading and attaching the kernel side, see sampler.h. perf_event_open(2): cycles when there is a
 * PMU, else cpu-clock (an hrtimer), both by frequency, idle excluded.
 */
#include "profiler/sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/profile.skel.h"
#include "bpf/unwind.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/cpus.h"
#include "profiler/ring.h"
#include "profiler/sideband.h"
#include "profiler/verifier_log.h"

#define RING_BYTES	 (256u << 10)
#define RING_BYTES_SMALL (128u << 10)
#define RINGS_MAX_BYTES	 (8u << 20) /* all together, up to 64 CPUs */
#define SIDEBAND_PAGES	 32u
#define COPIES_PER_HZ	 4u /* stack copies per second and CPU, as a multiple of the rate */
#define MIN_COPIES	 100u
#define MIN_PID_COPIES	 64u

struct cpu {
	int event_fd, ring_fd; /* -1: none */
	struct ring *ring;
	struct sideband *sideband;
	__u64 ring_map_bytes; /* memlock */
	__u64 counted;	      /* by events of this CPU that are closed */
	__u64 enabled_ns;     /* of the open event, when it was last looked at */
};

/* What read(2) gives of an event. */
struct event_count {
	__u64 count, enabled_ns; /* TOTAL_TIME_ENABLED: stands still once its CPU was offline */
};

struct sampler {
	struct profile_bpf *skel;
	struct sampler *base; /* of a request with its own rate; NULL: this is it */
	struct sampler_options o;
	pthread_mutex_t lock; /* of cpus, o.hz, enabled, demand_hz and copies */
	struct cpu *cpus;
	unsigned n_cpus; /* possible */
	unsigned round;	 /* of looking for events that stand still */
	__u32 ring_bytes;
	__u64 map_bytes; /* memlock of the maps but the rings; they are allocated at once */
	bool has_pmu, enabled;
	unsigned demand_hz; /* of the requests over its maps, together */
	double copies;	    /* sampler_set_copies */
	__u64 *known;
};

/* What the verifier said last; loading happens on one thread at a time. */
static char refusal[200];

static PRINTF(2, 0) int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	_free_ char *text = NULL;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, args) < 0)
		return 0;
	verifier_last_line(text, refusal, sizeof(refusal));
	log_debug(bpf, "%s", text);
	return 0;
}

/* What a refusal means and what to do about it; NULL when memory ends. */
static char *explain(const char *what, int err)
{
	const char *hint = "";
	char *text = NULL;

	if (err == -EPERM || err == -EACCES)
		hint = "; run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE (before "
		       "kernel 5.11 "
		       "also a raised memlock limit); bianque check says what is missing";
	else if (err == -ENOENT || err == -ESRCH)
		hint = "; this kernel has no BTF (CONFIG_DEBUG_INFO_BTF); bianque check says more";
	else if (err == -ENOMEM)
		hint = "; raise the memory or memlock limit";
	if (asprintf(&text, "%s: %s%s%s%s%s", what, strerror(-err), *refusal ? " (verifier: " : "",
		     refusal, *refusal ? ")" : "", hint) < 0)
		return NULL;
	return text;
}

/* ---- the object ------------------------------------------------------------------------------ */

static __u32 ring_bytes_for(unsigned n_cpus)
{
	return n_cpus * RING_BYTES <= RINGS_MAX_BYTES ? RING_BYTES : RING_BYTES_SMALL;
}

static void fill_config(struct sampler *s)
{
	struct bpf_config *config = (struct bpf_config *)&s->skel->rodata->config;

	config->source = s->o.source;
	config->target = s->o.target;
	config->hierarchy = s->o.hierarchy;
	config->max_frames = s->o.max_frames;
	config->wakeup_bytes = s->ring_bytes / 4;
	config->copies_bytes = s->ring_bytes / 4 * 3;
}

static int size_maps(struct sampler *s)
{
	int err = bpf_map__set_max_entries(s->skel->maps.rings, s->n_cpus);

	if (!err)
		err = bpf_map__set_max_entries(s->skel->maps.segments,
					       MIN(s->o.max_segments, UNW_MAX_SEGMENTS));
	if (!err)
		err = bpf_map__set_max_entries(s->skel->maps.procs, s->o.max_processes);
	return err;
}

/* A request's instance works on the maps of the base; only its own targets are its own. */
static int share_maps(struct sampler *s)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, s->skel->obj)
	{
		const struct bpf_map *theirs;

		if (map == s->skel->maps.targets || map == s->skel->maps.rodata)
			continue;
		theirs = bpf_object__find_map_by_name(s->base->skel->obj, bpf_map__name(map));
		if (theirs)
			err = bpf_map__reuse_fd(map, bpf_map__fd(theirs));
		if (err)
			return err;
	}
	bpf_program__set_autoload(s->skel->progs.process_fork, false);
	bpf_program__set_autoload(s->skel->progs.process_exec, false);
	bpf_program__set_autoload(s->skel->progs.process_exit, false);
	return 0;
}

static int load(struct sampler *s, char **ret_why)
{
	int err;

	libbpf_set_print(quiet);
	*refusal = 0;
	s->skel = profile_bpf__open();
	if (!s->skel) {
		err = -errno;
		*ret_why = explain("the BPF programs cannot be opened", err);
		return err;
	}
	fill_config(s);
	err = s->base ? share_maps(s) : size_maps(s);
	if (!err)
		err = profile_bpf__load(s->skel);
	if (err)
		*ret_why = explain("the BPF programs cannot be loaded", err);
	*refusal = 0;
	for (size_t i = 0; !err && i < s->o.n_targets; i++) {
		err = sampler_set_target(s, s->o.targets[i], true);
		if (err)
			*ret_why = explain("the targets cannot be set", err);
	}
	return err;
}

static int attach_process_programs(struct sampler *s, char **ret_why)
{
	int err = 0;

	s->skel->links.process_fork = bpf_program__attach(s->skel->progs.process_fork);
	s->skel->links.process_exec = bpf_program__attach(s->skel->progs.process_exec);
	s->skel->links.process_exit = bpf_program__attach(s->skel->progs.process_exit);
	if (!s->skel->links.process_fork || !s->skel->links.process_exec ||
	    !s->skel->links.process_exit) {
		err = -errno;
		*ret_why = explain("the process tracepoints cannot be attached", err);
	}
	return err;
}

static int map_known(struct sampler *s)
{
	size_t bytes = (size_t)bpf_map__max_entries(s->skel->maps.known) * sizeof(__u64);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(s->skel->maps.known), 0);

	if (p == MAP_FAILED)
		return -errno;
	s->known = p;
	return 0;
}

/* ---- CPUs ------------------------------------------------------------------------------------ */

static int open_event(const struct sampler *s, unsigned cpu, bool pmu)
{
	struct perf_event_attr attr = {
		.type = pmu ? PERF_TYPE_HARDWARE : PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = pmu ? PERF_COUNT_HW_CPU_CYCLES : PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = s->o.hz,
		.freq = 1,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED,
		.exclude_idle = 1,
		.exclude_guest = pmu,
		.disabled = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_sampling(struct sampler *s, unsigned cpu)
{
	struct cpu *c = &s->cpus[cpu];
	int fd = open_event(s, cpu, s->has_pmu);

	if (fd < 0)
		return fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, bpf_program__fd(s->skel->progs.sample_cpu)) ||
	    (s->enabled && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))) {
		int err = -errno;

		close(fd);
		return err;
	}
	c->event_fd = fd;
	return 0;
}

static bool read_event(const struct cpu *c, struct event_count *out)
{
	return c->event_fd >= 0 && read(c->event_fd, out, sizeof(*out)) == sizeof(*out);
}

static void close_event(struct cpu *c)
{
	struct event_count last;

	if (read_event(c, &last))
		c->counted += last.count;
	if (c->event_fd >= 0)
		close(c->event_fd);
	c->event_fd = -1;
	c->enabled_ns = 0;
}

static void close_ring(struct cpu *c)
{
	ring_close(c->ring);
	if (c->ring_fd >= 0)
		close(c->ring_fd);
	c->ring = NULL;
	c->ring_fd = -1;
}

/* memlock of a map as /proc/self/fdinfo tells it; 0 when it does not. */
static __u64 map_memlock(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

static __u64 maps_memlock(const struct sampler *s)
{
	struct bpf_map *map;
	__u64 bytes = 0;

	bpf_object__for_each_map(map, s->skel->obj) bytes += map_memlock(bpf_map__fd(map));
	return bytes;
}

static int open_ring(struct cpu *c, __u32 bytes)
{
	c->ring_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, bytes, NULL);
	if (c->ring_fd < 0)
		return -errno;
	c->ring_map_bytes = map_memlock(c->ring_fd);
	return ring_open(c->ring_fd, bytes, &c->ring);
}

/*
 * Makes the rings of these CPUs and tells the programs. The kernel waits after each such change
 * until no program runs that may see what was there before, 10-25 ms (kernel/bpf/syscall.c,
 * maybe_wait_bpf_programs): so it is one change for all where the kernel can do that.
 */
static int open_rings(const struct sampler *s, const __u32 *cpus, __u32 n)
{
	int map = bpf_map__fd(s->skel->maps.rings), err = 0;
	_free_ __u32 *fds = calloc(n + 1, sizeof(*fds));
	__u32 entered = n;

	if (!fds)
		return -ENOMEM;
	for (__u32 i = 0; !err && i < n; i++) {
		err = open_ring(&s->cpus[cpus[i]], s->ring_bytes);
		fds[i] = (__u32)s->cpus[cpus[i]].ring_fd;
	}
	if (!err && n > 1 && !bpf_map_update_batch(map, cpus, fds, &entered, NULL))
		return 0;
	for (__u32 i = 0; !err && i < n; i++)
		if (bpf_map_update_elem(map, &cpus[i], &fds[i], BPF_ANY))
			err = -errno;
	for (__u32 i = 0; err && i < n; i++)
		close_ring(&s->cpus[cpus[i]]);
	return err;
}

static void close_cpu(struct cpu *c)
{
	sideband_close(c->sideband);
	close_ring(c);
	close_event(c);
	*c = (struct cpu){.event_fd = -1, .ring_fd = -1};
}

/* What fills its ring, which is there. */
static int open_cpu(struct sampler *s, unsigned cpu)
{
	struct cpu *c = &s->cpus[cpu];
	int err = 0;

	sideband_close(c->sideband); /* of its last time online: read since */
	c->sideband = NULL;
	if (!s->base)
		err = sideband_open((int)cpu, SIDEBAND_PAGES, &c->sideband);
	if (!err)
		err = open_sampling(s, cpu);
	if (err) {
		sideband_close(c->sideband);
		c->sideband = NULL;
	}
	return err;
}

static bool probe_pmu(const struct sampler *s, const bool *online)
{
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++) {
		int fd;

		if (!online[cpu])
			continue;
		fd = open_event(s, cpu, true);
		if (fd >= 0)
			close(fd);
		return fd >= 0;
	}
	return false;
}

static int open_cpus(struct sampler *s, char **ret_why)
{
	_free_ bool *online = calloc(s->n_cpus, sizeof(*online));
	_free_ __u32 *cpus = calloc(s->n_cpus, sizeof(*cpus));
	__u32 n = 0;
	int err = 0;

	if (!online || !cpus)
		return -ENOMEM;
	cpus_online(s->o.online_path, online, s->n_cpus);
	s->has_pmu = s->base ? s->base->has_pmu : probe_pmu(s, online);
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		if (online[cpu])
			cpus[n++] = cpu;
	if (!s->base)
		err = open_rings(s, cpus, n);
	if (err)
		*ret_why = explain("the rings cannot be made", err);
	for (__u32 i = 0; !err && i < n; i++) {
		err = open_cpu(s, cpus[i]);
		if (err)
			*ret_why = explain("perf events cannot be opened", err);
	}
	return err;
}

/* An event dies with its CPU and does not come back with it: one that should run and whose time
 * stands still is such a one. */
static bool stands_still(const struct sampler *s, struct cpu *c)
{
	struct event_count now;
	bool still;

	if (!s->enabled || !read_event(c, &now))
		return false;
	still = c->enabled_ns && now.enabled_ns == c->enabled_ns;
	c->enabled_ns = now.enabled_ns;
	return still;
}

/* A ring outlives its CPU's offline time: it may hold records. */
static bool bring_up(struct sampler *s, unsigned cpu)
{
	int err = 0;

	close_event(&s->cpus[cpu]);
	if (!s->base && !s->cpus[cpu].ring)
		err = open_rings(s, &cpu, 1);
	if (!err)
		err = open_cpu(s, cpu);
	if (err)
		log_limited(ring, LOG_LEVEL_WARN, "CPU %u came online and is not sampled: %s", cpu,
			    strerror(-err));
	return true; /* whatever of it was opened before is closed */
}

/* The side-band stays until the next round, so that what it holds is read. */
static bool take_down(struct cpu *c)
{
	bool changed = c->event_fd < 0 && c->sideband;

	if (changed) {
		sideband_close(c->sideband);
		c->sideband = NULL;
	}
	close_event(c);
	return changed;
}

bool sampler_update_cpus(struct sampler *s)
{
	_free_ bool *online = calloc(s->n_cpus, sizeof(*online));
	bool changed = false;

	if (!online)
		return false;
	cpus_online(s->o.online_path, online, s->n_cpus);
	pthread_mutex_lock(&s->lock);
	s->round++;
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++) {
		struct cpu *c = &s->cpus[cpu];

		if (!online[cpu])
			changed |= take_down(c);
		else if (c->event_fd < 0 ||
			 ((cpu + s->round) % SAMPLER_ROUNDS == 0 && stands_still(s, c)))
			changed |= bring_up(s, cpu);
	}
	pthread_mutex_unlock(&s->lock);
	return changed;
}

/* ---- limits of stack copies ------------------------------------------------------------------ */

/* At factor 1 every sample of one process may be a copy: one that loads and unloads code all the
 * time is always a moment ahead of us. Under lock. */
static void limit_copies(struct sampler *s)
{
	unsigned hz = s->o.hz + s->demand_hz;

	s->skel->bss->knobs.copies_per_s = (__u32)(MAX(COPIES_PER_HZ * hz, MIN_COPIES) * s->copies);
	s->skel->bss->knobs.copies_per_pid = (__u32)(MAX(hz, MIN_PID_COPIES) * s->copies);
}

void sampler_set_copies(struct sampler *s, double factor)
{
	pthread_mutex_lock(&s->lock);
	s->copies = factor;
	limit_copies(s);
	pthread_mutex_unlock(&s->lock);
}

/* The requests of a base share its limits. */
static void add_demand(struct sampler *base, int hz)
{
	pthread_mutex_lock(&base->lock);
	base->demand_hz += (unsigned)hz;
	limit_copies(base);
	pthread_mutex_unlock(&base->lock);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_sampler(struct sampler *base, const struct sampler_options *options,
			struct sampler **ret_sampler, char **ret_why)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int err, n_cpus = libbpf_num_possible_cpus();

	*ret_why = NULL;
	if (!s || n_cpus <= 0) {
		free(s);
		return s ? n_cpus : -ENOMEM;
	}
	s->base = base;
	s->o = *options;
	if (base) {
		s->o.online_path = base->o.online_path;
		s->o.max_frames = base->o.max_frames;
		s->o.hierarchy = base->o.hierarchy;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->n_cpus = (unsigned)n_cpus;
	s->ring_bytes = ring_bytes_for(s->n_cpus);
	s->enabled = !options->paused;
	s->cpus = calloc(s->n_cpus, sizeof(*s->cpus));
	if (!s->cpus) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return -ENOMEM;
	}
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		s->cpus[cpu] = (struct cpu){.event_fd = -1, .ring_fd = -1};
	if (base)
		add_demand(base, (int)s->o.hz);
	err = load(s, ret_why);
	if (!err && !base) {
		sampler_set_copies(s, 1);
		err = map_known(s);
	}
	if (!err) {
		s->map_bytes = maps_memlock(s);
		err = open_cpus(s, ret_why);
	}
	if (!err && !base)
		err = attach_process_programs(s, ret_why);
	s->o.targets = NULL; /* the caller's; they are in the map now */
	s->o.n_targets = 0;
	if (err) {
		sampler_close(s);
		return err;
	}
	*ret_sampler = s;
	return 0;
}

int sampler_open(const struct sampler_options *options, struct sampler **ret_sampler,
		 char **ret_why)
{
	return open_sampler(NULL, options, ret_sampler, ret_why);
}

int sampler_open_on_demand(struct sampler *base, const struct sampler_options *options,
			   struct sampler **ret_sampler, char **ret_why)
{
	return open_sampler(base, options, ret_sampler, ret_why);
}

int sampler_try_load(__u64 *ret_insns, char **ret_why)
{
	struct sampler s = {
		.o = {.hz = 1,
		      .max_frames = USER_FRAMES_MAX,
		      .max_segments = 1,
		      .max_processes = 1},
		.n_cpus = 1,
		.ring_bytes = RING_BYTES_SMALL,
	};
	__u64 run_ns, count;
	int err;

	*ret_why = NULL;
	err = load(&s, ret_why);
	*ret_insns = 0;
	if (!err)
		sampler_bpf_stats(&s, &run_ns, &count, ret_insns);
	profile_bpf__destroy(s.skel);
	return err;
}

int sampler_try_event(bool *ret_has_pmu)
{
	struct sampler s = {.o = {.hz = 1}};
	int fd = open_event(&s, 0, true);

	*ret_has_pmu = fd >= 0;
	if (fd < 0)
		fd = open_event(&s, 0, false);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		close_cpu(&s->cpus[cpu]);
	if (s->base)
		add_demand(s->base, -(int)s->o.hz);
	if (s->known)
		munmap(s->known, (size_t)bpf_map__max_entries(s->skel->maps.known) * sizeof(__u64));
	profile_bpf__destroy(s->skel);
	pthread_mutex_destroy(&s->lock);
	free(s->cpus);
	free(s);
}

void sampler_enable(struct sampler *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->enabled = on;
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		if (s->cpus[cpu].event_fd >= 0 &&
		    ioctl(s->cpus[cpu].event_fd,
			  on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0))
			log_limited(ring, LOG_LEVEL_WARN, "perf event of CPU %u: %s", cpu,
				    strerror(errno));
	pthread_mutex_unlock(&s->lock);
}

int sampler_set_hz(struct sampler *s, unsigned hz)
{
	/* cpu-clock has forgotten that it was asked for a frequency (kernel/events/core.c,
	 * perf_swevent_init_hrtimer): what it takes is a period. */
	__u64 value = s->has_pmu ? hz : NS_PER_S / hz;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++) {
		if (s->cpus[cpu].event_fd < 0)
			continue;
		if (ioctl(s->cpus[cpu].event_fd, PERF_EVENT_IOC_PERIOD, &value))
			err = -errno;
		else
			s->o.hz = hz; /* what the other CPUs follow when they come */
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

int sampler_set_target(struct sampler *s, __u64 key, bool wanted)
{
	int fd = bpf_map__fd(s->skel->maps.targets), err;
	__u32 one = 1;

	err = wanted ? bpf_map_update_elem(fd, &key, &one, BPF_ANY) : bpf_map_delete_elem(fd, &key);
	return err ? -errno : 0;
}

/* ---- telling --------------------------------------------------------------------------------- */

unsigned sampler_hz(const struct sampler *s)
{
	return s->o.hz;
}

bool sampler_has_pmu(const struct sampler *s)
{
	return s->has_pmu;
}

const char *sampler_event(const struct sampler *s)
{
	return s->has_pmu ? "cycles" : "cpu-clock";
}

unsigned sampler_possible_cpus(const struct sampler *s)
{
	return s->n_cpus;
}

struct ring *sampler_ring(struct sampler *s, unsigned cpu)
{
	struct ring *ring;

	pthread_mutex_lock(&s->lock);
	ring = s->cpus[cpu].ring;
	pthread_mutex_unlock(&s->lock);
	return ring;
}

int sampler_ring_fd(const struct sampler *s, unsigned cpu)
{
	return s->cpus[cpu].ring_fd;
}

struct sideband *sampler_sideband(const struct sampler *s, unsigned cpu)
{
	return s->cpus[cpu].sideband;
}

int sampler_segments_fd(const struct sampler *s)
{
	return bpf_map__fd(s->skel->maps.segments);
}

int sampler_procs_fd(const struct sampler *s)
{
	return bpf_map__fd(s->skel->maps.procs);
}

void sampler_set_first_wakes(struct sampler *s, bool on)
{
	/* In order with what the caller looks at afterwards. */
	__atomic_store_n(&s->skel->bss->knobs.first_wakes, on, __ATOMIC_SEQ_CST);
}

__u64 *sampler_known(const struct sampler *s, size_t *ret_n)
{
	*ret_n = bpf_map__max_entries(s->skel->maps.known);
	return s->known;
}

int sampler_counters(const struct sampler *s, struct cpu_counters *out)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counters), &zero, out) ? -errno : 0;
}

int sampler_event_count(struct sampler *s, unsigned cpu, __u64 *ret_count)
{
	const struct cpu *c = &s->cpus[cpu];
	struct event_count now = {0};
	int err = 0;

	pthread_mutex_lock(&s->lock);
	if (c->event_fd < 0)
		err = c->counted ? 0 : -ENODEV;
	else if (!read_event(c, &now))
		err = -EIO;
	if (!err)
		*ret_count = c->counted + now.count;
	pthread_mutex_unlock(&s->lock);
	return err;
}

bool sampler_bpf_stats(const struct sampler *s, __u64 *ret_run_ns, __u64 *ret_run_count,
		       __u64 *ret_verified_insns)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(s->skel->progs.sample_cpu), &info, &len))
		return false;
	*ret_run_ns = info.run_time_ns;
	*ret_run_count = info.run_cnt;
	*ret_verified_insns = info.verified_insns;
	return info.run_cnt > 0;
}

__u64 sampler_map_bytes(const struct sampler *s)
{
	__u64 bytes = s->map_bytes;

	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		if (s->cpus[cpu].ring_fd >= 0)
			bytes += s->cpus[cpu].ring_map_bytes;
	return bytes;
}
