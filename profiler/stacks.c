// SPDX-License-Identifier: Apache-2.0
/*
 * Taking the stacks of a process, see stacks.h: which process it is, the rounds over its threads,
 * and their names, which come by the road of record (a capture with one entry a thread, naming.h).
 *
 * A round looks at all threads, believes what was unwound since the last look of those that did not
 * run in between, and unwinds the others anew; one that runs is sampled. Each round has fewer
 * threads and takes less time, so also threads that often wake up for a moment are caught asleep.
 */
#include "profiler/stacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/naming.h"
#include "profiler/rights.h"
#include "profiler/stacks_internal.h"
#include "profiler/thread_regs.h"

#define MAX_ATTEMPTS   3 /* with mappings read anew, when they changed meanwhile */
#define MAX_ROUNDS     12
#define SAMPLE_MS      20 /* to wait for a running thread in a round */
#define LAST_SAMPLE_MS 100
#define SAMPLES_NS     (3 * NS_PER_S) /* all waits together */
#define KERNEL_BYTES   8192	      /* of a stack file */
#define KERNEL_TEXTS   (64u << 20)
#define PF_KTHREAD     0x00200000u /* include/linux/sched.h */

/* A thread in work; the public one beside it has the same index. */
struct work {
	const struct stack *stack; /* referenced */
	__u64 switches;
	bool candidate; /* unwound, to be believed at the next look */
	bool done, gone;
};

struct taking {
	const struct stacks_options *o;
	struct stacks *s;
	__u32 via; /* a thread that has the address space */
	bool kernel_thread;
	struct space *space;
	struct walk *walk;
	struct work *work;
	__u32 *tids;
	__u64 waited_ns; /* for samples */
	int sample_err;	 /* events are refused: not asked again */
	struct sampled sampled;
	char **ret_why;
};

static int fail(struct taking *t, int err, const char *fmt, ...) PRINTF(3, 4);
static int fail(struct taking *t, int err, const char *fmt, ...)
{
	va_list args;

	free(*t->ret_why);
	va_start(args, fmt);
	if (vasprintf(t->ret_why, fmt, args) < 0)
		*t->ret_why = NULL;
	va_end(args);
	return err;
}

/* ---- the process and its threads ------------------------------------------------------------- */

static bool read_stat(__u32 pid, __u32 tid, struct thread_stat *ret_stat)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", pid, tid);
	return fs_read_small(AT_FDCWD, path, text, sizeof(text)) > 0 &&
	       thread_stat_parse(text, ret_stat);
}

/* The process of a thread; 0 when there is none. */
static __u32 process_of(pid_t tid)
{
	char path[32], text[4096];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nTgid:");
	return line ? (__u32)strtoul(line + 6, NULL, 10) : 0;
}

static int by_number(const void *pa, const void *pb)
{
	__u32 a = *(const __u32 *)pa, b = *(const __u32 *)pb;

	return a < b ? -1 : a > b;
}

static int list_threads(struct taking *t)
{
	VEC(__u32) tids = {0};
	struct stacks *s = t->s;
	char path[64];
	struct dirent *d;
	DIR *dir;
	__u64 tid;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%u/task", s->pid);
	dir = opendir(path);
	while (dir && !err && (d = readdir(dir))) {
		if (units_parse_u64(d->d_name, &tid))
			continue;
		if (tids.len < STACKS_MAX_THREADS)
			err = vec_push(&tids, (__u32)tid);
		else
			s->n_beyond++;
	}
	if (dir)
		closedir(dir);
	free(t->tids);
	t->tids = tids.data;
	if (err || !tids.len)
		return err ? err : -ESRCH;
	qsort(tids.data, tids.len, sizeof(*tids.data), by_number);
	free(s->threads);
	free(t->work);
	s->n = tids.len;
	s->threads = calloc(s->n, sizeof(*s->threads));
	t->work = calloc(s->n, sizeof(*t->work));
	if (!s->threads || !t->work)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		s->threads[i].tid = tids.data[i];
		s->threads[i].kernel_stack = "";
	}
	return 0;
}

static bool lives(struct taking *t, __u32 tid, struct thread_stat *ret_stat)
{
	if (!read_stat(t->s->pid, tid, ret_stat))
		return false;
	t->kernel_thread = ret_stat->flags & PF_KTHREAD;
	t->via = tid;
	return ret_stat->state != 'Z' && ret_stat->state != 'X';
}

/* The first thread or, as it has ended and has no address space any more, another one. */
static int find_living(struct taking *t)
{
	struct thread_stat stat = {0};
	bool found = lives(t, t->s->pid, &stat);
	__u32 parent = stat.parent;

	for (size_t i = 0; !found && i < t->s->n; i++)
		found = lives(t, t->s->threads[i].tid, &stat);
	if (found)
		return 0;
	if (!parent)
		return -ESRCH;
	return fail(
		t, -ESRCH,
		"process %u has ended and waits for its parent, process %u, to take note: it has "
		"no stacks any more",
		t->s->pid, parent);
}

static int find_process(struct taking *t)
{
	int err;

	t->s->pid = process_of(t->o->pid);
	if (!t->s->pid)
		return fail(t, -ESRCH, "there is no process %d", t->o->pid);
	err = list_threads(t);
	if (!err)
		err = find_living(t);
	if (err == -ESRCH && !*t->ret_why)
		return fail(t, err, "process %u ended meanwhile", t->s->pid);
	return err;
}

static int load_space(struct taking *t)
{
	int err = space_load(t->space, t->via);

	if (err == -ESRCH)
		return fail(t, err, "process %u ended meanwhile", t->s->pid);
	if (err == -EACCES || err == -EPERM)
		return fail(t, err, "the mappings of process %u may not be read: %s", t->s->pid,
			    rights_why_no_process());
	if (err)
		return fail(t, err, "the mappings of process %u cannot be loaded: %s", t->s->pid,
			    strerror(-err));
	return 0;
}

/* ---- one thread ------------------------------------------------------------------------------ */

static void drop(struct work *w)
{
	stack_unref(w->stack);
	w->stack = NULL;
	w->candidate = false;
}

static void keep(struct work *w, struct stacks_thread *thread, const struct stack *stack)
{
	drop(w);
	w->stack = stack ? stack_ref(stack) : NULL;
	thread->stop = stack ? stack->stop : STOP_NOT_LOADED;
}

/* What the kernel was doing for it; only root may know. */
static void read_kernel_stack(struct taking *t, struct stacks_thread *thread)
{
	char path[64], text[KERNEL_BYTES];
	ssize_t n;

	thread->kernel_stack = "";
	if (t->s->no_kernel)
		return;
	snprintf(path, sizeof(path), "/proc/%u/task/%u/stack", t->s->pid, thread->tid);
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (n > 0)
		thread->kernel_stack = strtab_get(t->s->kernel_texts,
						  strtab_id(t->s->kernel_texts, text, (size_t)n));
	else if (n != -ESRCH && n != -ENOENT && n < 0)
		t->s->no_kernel = true;
}

/* Unwind a thread that did not run at the look; the next look says whether it counts. */
static void take_blocked(struct taking *t, size_t i, const struct thread_record *r)
{
	struct stacks_thread *thread = &t->s->threads[i];
	struct thread_view view = {.no_user = r->flags & THREAD_NO_USER || t->kernel_thread};
	struct work *w = &t->work[i];

	if (!view.no_user && r->flags & THREAD_PC_SP)
		thread_regs_from_pc_sp(r->regs[0], r->regs[1], view.regs);
	else if (!view.no_user)
		view.is_32bit = !thread_regs_from_entry(r->regs, view.regs);
	read_kernel_stack(t, thread);
	keep(w, thread, space_unwind(t->space, &view));
	w->switches = r->switches;
	w->candidate = true;
}

static void take_running(struct taking *t, size_t i, unsigned wait_ms)
{
	struct stacks_thread *thread = &t->s->threads[i];
	__u64 start_ns = clock_monotonic_ns();
	int err;

	if (t->sample_err || t->waited_ns > SAMPLES_NS)
		return;
	err = sample_thread(thread->tid, wait_ms, &t->sampled);
	t->waited_ns += clock_monotonic_ns() - start_ns;
	if (err && err != -EAGAIN && err != -ESRCH)
		t->sample_err = err;
	if (err)
		return;
	thread->kernel_stack = "";
	keep(&t->work[i], thread, space_unwind(t->space, &t->sampled.view));
	thread->how = STACKS_SAMPLED;
	t->work[i].done = true;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* What a look says of a thread. True when it is settled. */
static bool settle(struct taking *t, size_t i, const struct thread_record *r)
{
	struct stacks_thread *thread = &t->s->threads[i];
	struct work *w = &t->work[i];

	if (!read_stat(t->s->pid, thread->tid, &thread->stat) || !r) {
		drop(w);
		w->gone = w->done = true;
		return true;
	}
	if (thread->stat.state == 'Z' || thread->stat.state == 'X') {
		drop(w);
		thread->how = STACKS_ENDED;
		thread->stop = STOP_NO_USER;
		w->done = true;
		return true;
	}
	if (w->candidate && !(r->flags & THREAD_ON_CPU) && r->switches == w->switches) {
		thread->how = r->flags & THREAD_PC_SP ? STACKS_PC_SP : STACKS_OFF_CPU;
		w->done = true;
		return true;
	}
	drop(w);
	return false;
}

/* Tids and records both ascend. */
static size_t round_of(struct taking *t, const struct thread_record *records, size_t n, bool last)
{
	size_t left = 0, at = 0;

	for (size_t i = 0; i < t->s->n; i++) {
		const struct thread_record *r = NULL;
		__u32 tid = t->s->threads[i].tid;

		while (at < n && records[at].tid < tid)
			at++;
		if (at < n && records[at].tid == tid)
			r = &records[at];
		if (t->work[i].done || settle(t, i, r))
			continue;
		if (last)
			take_running(t, i, LAST_SAMPLE_MS);
		else if (r->flags & THREAD_ON_CPU)
			take_running(t, i, SAMPLE_MS);
		else
			take_blocked(t, i, r);
		left += !t->work[i].done;
	}
	return left;
}

static int take_rounds(struct taking *t)
{
	const struct thread_record *records;
	size_t n = 0, left = 1;
	int err = 0;

	for (int i = 0; i < MAX_ROUNDS && left; i++) {
		err = walk_look(t->walk, t->tids, t->s->n, &records, &n);
		if (err)
			return fail(t, err, "the threads of process %u cannot be read: %s",
				    t->s->pid, strerror(-err));
		left = round_of(t, records, n, i == MAX_ROUNDS - 1);
	}
	return 0;
}

static int take_stopped(struct taking *t)
{
	__u64 pcs[USER_FRAMES_MAX];
	bool exact[USER_FRAMES_MAX];
	struct stopped *stopped;
	int err;

	for (size_t i = 0; i < t->s->n; i++)
		t->work[i].gone =
			!read_stat(t->s->pid, t->s->threads[i].tid, &t->s->threads[i].stat);
	err = stop_process(t->s->pid, &stopped);
	if (err)
		return fail(t, err, "process %u cannot be stopped: %s%s", t->s->pid, strerror(-err),
			    err == -EPERM ? "; run it as root, and end what else traces the process"
					  : "");
	for (size_t i = 0; i < t->s->n; i++) {
		struct stacks_thread *thread = &t->s->threads[i];
		__u8 stop;
		size_t n = stop_unwind(stopped, thread->tid, pcs, exact, USER_FRAMES_MAX, &stop);

		if (!n)
			continue;
		keep(&t->work[i], thread, space_stack_of(t->space, pcs, exact, n, stop));
		thread->how = STACKS_STOPPED;
	}
	stop_release(stopped);
	return 0;
}

/* All threads with one reading of the mappings. 1: they changed meanwhile, 0, or -errno. */
static int attempt(struct taking *t)
{
	int err = 0;

	for (size_t i = 0; i < t->s->n; i++)
		drop(&t->work[i]);
	err = list_threads(t);
	if (!err)
		err = find_living(t);
	if (!err)
		err = load_space(t);
	if (!err)
		err = t->o->stop ? take_stopped(t) : take_rounds(t);
	if (err == -ESRCH && !*t->ret_why)
		return fail(t, err, "process %u ended meanwhile", t->s->pid);
	if (err)
		return err;
	err = space_memory(t->space)->err;
	if (err)
		return fail(
			t, err,
			"the memory of process %u may not be read: %s; kernel.yama.ptrace_scope "
			"may limit it, too",
			t->s->pid, rights_why_no_process());
	return space_changed(t->space);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int capture_stacks(struct taking *t, struct capture *capture)
{
	for (size_t i = 0; i < t->s->n; i++) {
		const struct stack *stack = t->work[i].stack;
		struct capture_entry e = {
			.image = space_image(t->space), .stack = stack, .samples = 1};

		if (!stack || (!stack->n_user && !stack->n_kernel))
			continue;
		e.tid = t->s->threads[i].tid;
		if (vec_push(&capture->entries, e))
			return -ENOMEM;
		image_ref(e.image);
		stack_ref(stack);
	}
	return 0;
}

/* Samples stand in the order of the entries, one a thread, told apart by their tid. */
static void take_profile_stacks(struct stacks *s)
{
	const struct profile *p = s->profile;
	size_t at = 0;

	for (size_t k = 0; k < p->samples.len; k++) {
		const struct profile_label *tid =
			profile_label_find(p, p->samples.data[k].labels, PROFILE_STR_TID);

		while (tid && at < s->n && s->threads[at].tid < (__u64)tid->num)
			at++;
		if (tid && at < s->n && s->threads[at].tid == (__u64)tid->num)
			s->threads[at].profile_stack = p->samples.data[k].stack;
	}
}

static int name(struct taking *t)
{
	struct naming_options options = {.cache_dir = t->o->cache_dir};
	struct capture_options by_thread = {.by_thread = true};
	struct naming_labels labels = {.tid = true};
	struct capture *capture = capture_new(&by_thread, 1);
	struct naming *naming = naming_new(&options);
	int err = -ENOMEM;

	if (capture && naming)
		err = capture_stacks(t, capture);
	if (!err) {
		t->s->profile = naming_profile(naming, capture, &labels);
		err = t->s->profile ? 0 : -ENOMEM;
	}
	naming_free(naming);
	capture_free(capture);
	if (!err)
		take_profile_stacks(t->s);
	return err;
}

/* Threads that were gone before they could be read leave the list; the others are counted. */
static void sum_up(struct taking *t)
{
	struct stacks *s = t->s;
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (t->work[i].gone) {
			s->n_ended++;
			continue;
		}
		s->n_none += s->threads[i].how == STACKS_NONE;
		s->threads[kept++] = s->threads[i];
	}
	s->n = kept;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int take_all(struct taking *t)
{
	int err = find_process(t);

	if (!err)
		err = space_open(t->s->pid, t->o->cache_dir, &t->space);
	if (!err && !t->o->stop)
		err = walk_open(t->s->pid, &t->walk, &t->s->note);
	if (err)
		return err;
	err = 1;
	for (int i = 0; err > 0 && i < MAX_ATTEMPTS; i++)
		err = attempt(t);
	if (err < 0)
		return err;
	if (err > 0)
		t->s->note = "the process changed its mappings all the time; frames may be missing";
	err = name(t);
	for (size_t i = 0; i < t->s->n; i++)
		drop(&t->work[i]);
	sum_up(t);
	return err;
}

int stacks_take(const struct stacks_options *options, struct stacks **ret_stacks, char **ret_why)
{
	struct taking *t = calloc(1, sizeof(*t));
	struct stacks *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	*ret_why = NULL;
	if (s)
		s->kernel_texts = calloc(1, sizeof(*s->kernel_texts));
	if (t && s && s->kernel_texts && !strtab_init(s->kernel_texts, KERNEL_TEXTS)) {
		t->o = options;
		t->s = s;
		t->ret_why = ret_why;
		err = take_all(t);
	}
	if (t) {
		for (size_t i = 0; err && t->work && i < s->n; i++)
			drop(&t->work[i]);
		walk_close(t->walk);
		space_close(t->space);
		free(t->work);
		free(t->tids);
	}
	free(t);
	if (err)
		stacks_free(s);
	else
		*ret_stacks = s;
	return err;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	profile_free(s->profile);
	if (s->kernel_texts)
		strtab_fini(s->kernel_texts);
	free(s->kernel_texts);
	free(s->threads);
	free(s);
}
