// SPDX-License-Identifier: Apache-2.0
/*
 * One recording: start the engine, wait (for time, a signal, or the command), end the capture, name
 * it, write it. The first SIGINT, SIGTERM or SIGHUP (the terminal was closed) ends the recording and
 * writes what there is; one more SIGINT or SIGTERM gives up. Everything that can fail early (the
 * output, the command, privileges) fails before the wait.
 */
#include "profiler/cli/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "profiler/base/buf.h"
#include "profiler/base/clock.h"
#include "profiler/base/cleanup.h"
#include "profiler/cgroup.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/output_file.h"
#include "profiler/engine.h"
#include "profiler/export/export.h"
#include "profiler/export/sink.h"
#include "profiler/naming.h"
#include "profiler/profile.h"

#define POLL_NS		(200 * NS_PER_MS)
#define CGROUP_POLL_NS	(1 * NS_PER_S)
#define BAR_WIDTH	30
#define END_WAIT_S	5
#define MAX_TITLE	200u
#define DEFAULT_COLUMNS 80 /* of a terminal that does not say */

struct recording {
	const struct record_request *request;
	struct engine *engine;
	struct capture *capture;
	pid_t child;
	int go; /* a byte lets the command start, its end lets it go; -1: none */
	int child_status;
	bool child_done;
	sigset_t signals;
	__u64 start_ns;
	struct output_file output;
	bool tty;
	size_t n_refused; /* cgroups beyond what can be followed */
	/* the router's answer */
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
};

static atomic_int interrupts; /* SIGINT and SIGTERM seen while naming and writing */

/* 0: no terminal. */
static unsigned terminal_columns(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col ? DEFAULT_COLUMNS : size.ws_col;
}

/* `cpu of pid 12, 34`: what tells saved files apart. */
static void write_title(const struct record_request *q, struct buf *title)
{
	buf_str(title, "cpu");
	if (q->target == TARGET_TREE)
		for (char **arg = q->command; *arg; arg++)
			buf_printf(title, "%s%s", arg == q->command ? " of " : " ", *arg);
	else if (q->target == TARGET_CGROUP)
		buf_printf(title, " of cgroup %s", q->cgroup);
	else if (q->target == TARGET_PIDS)
		for (size_t i = 0; i < q->n_keys; i++)
			buf_printf(title, "%s%llu", i ? ", " : " of pid ",
				   (unsigned long long)q->keys[i]);
}

static int write_profile(struct recording *r, const struct profile *profile)
{
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	char host[HOST_NAME_MAX + 1] = "";
	struct sink_fd sink;
	struct buf title = {0};
	int err;

	write_title(r->request, &title);
	if (title.len > MAX_TITLE)
		title.data[MAX_TITLE] = 0;
	options.title = title.err ? NULL : title.data;
	if (!gethostname(host, sizeof(host) - 1))
		options.host = host;
	options.string_labels = true;
	options.columns = terminal_columns(r->output.fd);
	sink_fd_init(&sink, r->output.fd);
	err = r->request->format->write(profile, &options, &sink.sink);
	if (!err)
		err = sink_finish(&sink.sink);
	buf_fini(&title);
	return err;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* In the child: wait for the go, become the command, or say why not. */
static _Noreturn void run_command(char **command, int parent)
{
	sigset_t none;
	char byte;
	int why;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (read(parent, &byte, 1) != 1)
		_exit(127); /* nothing is recorded */
	execvp(command[0], command);
	why = errno;
	_exit(write(parent, &why, sizeof(why)) == sizeof(why) ? 127 : 126);
}

/* Fork the command and hold it before its exec, so that nothing of it is missed. */
static int spawn_command(struct recording *r)
{
	int ends[2], err;

	if (!r->request->command)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	r->child = fork();
	if (r->child == 0) {
		close(ends[0]);
		run_command(r->request->command, ends[1]);
	}
	err = r->child < 0 ? -errno : 0;
	close(ends[1]);
	if (err)
		close(ends[0]);
	else
		r->go = ends[0];
	return err;
}

/* Let it start. 0, or why it cannot be run: the socket closes when it is. */
static int release_command(struct recording *r)
{
	int why = 0;

	if (r->go < 0)
		return 0;
	if (send(r->go, "", 1, MSG_NOSIGNAL) != 1 || read(r->go, &why, sizeof(why)) != sizeof(why))
		why = 0; /* it runs, or was killed: waitpid tells */
	close(r->go);
	r->go = -1;
	return -why;
}

static void reap_command(struct recording *r)
{
	if (r->child > 0 && !r->child_done &&
	    waitpid(r->child, &r->child_status, WNOHANG) == r->child)
		r->child_done = true;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void show_progress(const struct recording *r, __u64 now_ns)
{
	struct router_stats stats = router_stats(engine_router(r->engine));
	double elapsed = (double)(now_ns - r->start_ns) / 1e9;
	double total = (double)r->request->duration_ns / 1e9;
	unsigned long long samples = stats.resolver.samples_total;
	char bar[BAR_WIDTH + 1];
	int filled;

	if (!r->tty)
		return;
	if (!r->request->duration_ns) {
		fprintf(stderr, "\r%6.1f s  %llu samples ", elapsed, samples);
		return;
	}
	filled = (int)(elapsed / total * BAR_WIDTH);
	filled = MIN(filled, BAR_WIDTH);
	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '=', (size_t)filled);
	bar[BAR_WIDTH] = 0;
	fprintf(stderr, "\r[%s] %5.1f / %.0f s  %llu samples ", bar, elapsed, total, samples);
}

static void clear_progress(const struct recording *r)
{
	if (r->tty)
		fprintf(stderr, "\r%78s\r", "");
}

/* New cgroups below the one that is recorded. */
static void follow_cgroup(struct recording *r)
{
	static __u64 ids[SAMPLER_MAX_TARGETS];
	int found = cgroup_tree_ids(r->request->cgroup, ids, SAMPLER_MAX_TARGETS), set = 0;

	while (set < found && set < SAMPLER_MAX_TARGETS &&
	       !sampler_set_target(engine_sampler(r->engine), ids[set], true))
		set++;
	r->n_refused = (size_t)MAX(found - set, (int)r->n_refused);
}

/* Until the time is up, a signal comes or the command ends. */
static void wait_for_end(struct recording *r)
{
	__u64 end_ns = r->request->duration_ns ? r->start_ns + r->request->duration_ns : UINT64_MAX;
	__u64 cgroup_ns = r->start_ns;

	for (;;) {
		__u64 now_ns = clock_monotonic_ns(), step_ns = POLL_NS;
		struct timespec ts;
		int sig;

		reap_command(r);
		if (now_ns >= end_ns || r->child_done)
			break;
		step_ns = MIN(step_ns, end_ns - now_ns);
		ts = (struct timespec){.tv_nsec = (long)step_ns};
		sig = sigtimedwait(&r->signals, NULL, &ts);
		if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
			break;
		show_progress(r, now_ns);
		if (r->request->target == TARGET_CGROUP && now_ns > cgroup_ns + CGROUP_POLL_NS) {
			follow_cgroup(r);
			cgroup_ns = now_ns;
		}
	}
	clear_progress(r);
}

static void capture_done(void *arg, struct capture *capture UNUSED)
{ /* the same capture as r->capture: it is ours again */
	struct recording *r = arg;

	pthread_mutex_lock(&r->lock);
	r->done = true;
	pthread_cond_signal(&r->done_cond);
	pthread_mutex_unlock(&r->lock);
}

static bool wait_for_capture(struct recording *r)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_WAIT_S;
	pthread_mutex_lock(&r->lock);
	while (!r->done && !pthread_cond_timedwait(&r->done_cond, &r->lock, &until))
		;
	done = r->done;
	pthread_mutex_unlock(&r->lock);
	return done;
}

/* ---- naming and writing ---------------------------------------------------------------------- */

static void on_signal(int sig UNUSED)
{
	if (atomic_fetch_add(&interrupts, 1) >= 1) {
		output_file_abandon();
		_exit(EXIT_FAILED);
	}
}

/* From here on the first signal was taken (or none came): one more ends it. Not SIGHUP: the kernel
 * and the shell both send it when a terminal is closed. */
static void arm_abort(const struct recording *r, bool interrupted)
{
	struct sigaction action = {.sa_handler = on_signal};

	atomic_store(&interrupts, interrupted);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &r->signals, NULL);
}

/* What was asked for and could not be followed: the profile lacks it. */
static void warn_refused(const struct recording *r)
{
	struct router_stats stats = router_stats(engine_router(r->engine));
	__u64 forks = 0;

	if (r->request->target == TARGET_TREE)
		for (int source = 0; source < SOURCE_COUNT; source++)
			forks += stats.kernel.lost[LOSS_TABLE_FULL][source];
	if (r->n_refused)
		fprintf(stderr,
			"bianque: %zu cgroups are not in it: at most %d are followed; give one "
			"further down\n",
			r->n_refused, SAMPLER_MAX_TARGETS);
	if (forks)
		fprintf(stderr,
			"bianque: %llu processes are not in it: at most %d are followed at a "
			"time; -a takes all\n",
			(unsigned long long)forks, SAMPLER_MAX_TARGETS);
}

static void say_how_it_ended(const struct recording *r)
{
	int status = r->child_status;

	if (r->child <= 0)
		return;
	if (!r->child_done)
		fprintf(stderr, "bianque: the command goes on as pid %d\n", r->child);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "bianque: the command was killed by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fprintf(stderr, "bianque: the command ended with %d\n", WEXITSTATUS(status));
}

static void summarise(const struct recording *r)
{
	const struct capture *c = r->capture;
	const struct capture_counts *n = &c->counts;
	double seconds = (double)(c->end_ns - c->start_ns) / 1e9;

	if (r->request->quiet)
		return;
	fprintf(stderr, "bianque: %llu samples in %.1f s at %u Hz, ",
		(unsigned long long)n->samples_total, seconds, c->hz);
	if (n->samples_total)
		fprintf(stderr, "%.1f %% whole stacks, ",
			100.0 * (double)n->whole_total / (double)n->samples_total);
	fprintf(stderr, "%llu lost", (unsigned long long)n->lost_total);
	if (n->not_run_total)
		fprintf(stderr, ", about %llu not taken", (unsigned long long)n->not_run_total);
	if (strcmp(r->request->output, "-") != 0)
		fprintf(stderr, ": %s", r->request->output);
	fputc('\n', stderr);
	if (!n->samples_total)
		fprintf(stderr, "bianque: nothing ran on a CPU in that time%s\n",
			r->request->target == TARGET_ALL ? "" : " of what was asked for");
	warn_refused(r);
	say_how_it_ended(r);
}

static int name_and_write(struct recording *r)
{
	struct naming_options options = {.cache_dir = r->request->cache_dir};
	struct naming_labels labels = {.comm = true, .pid = true, .tid = true};
	struct naming *naming = naming_new(&options);
	struct profile *profile = NULL;
	int err = -ENOMEM;

	if (r->tty)
		fprintf(stderr, "naming...");
	if (naming)
		profile = naming_profile(naming, r->capture, &labels);
	clear_progress(r);
	if (profile)
		err = write_profile(r, profile);
	reap_command(r); /* a Ctrl-C is for the command, too */
	if (!err)
		err = output_file_close(&r->output, true);
	if (err)
		cli_fail("'%s' cannot be written: %s", r->request->output, strerror(-err));
	else
		summarise(r);
	profile_free(profile);
	naming_free(naming);
	return err;
}

/* ---- the run --------------------------------------------------------------------------------- */

static int start(struct recording *r)
{
	const struct record_request *q = r->request;
	struct engine_options options = {
		.sampler =
			{
				.hz = q->hz,
				.target = q->target,
				.hierarchy = q->hierarchy,
				.targets = q->keys,
				.n_targets = q->n_keys,
				.paused = true,
			},
		.cache_dir = q->cache_dir,
		.controller_auto = !q->hierarchy_given,
		.scan = q->target == TARGET_ALL || q->target == TARGET_CGROUP,
	};
	struct capture_options all = {.by_thread = true};
	__u64 child = (__u64)r->child;
	char *why = NULL;
	int err;

	if (r->child > 0) {
		options.sampler.targets = &child;
		options.sampler.n_targets = 1;
	}
	err = engine_start(&options, &r->engine, &why);
	if (err) {
		cli_fail("%s", why ? why : strerror(-err));
		free(why);
		return err;
	}
	r->capture = capture_new(&all, q->hz);
	if (!r->capture ||
	    router_add_capture(engine_router(r->engine), r->capture, capture_done, r)) {
		capture_free(r->capture);
		r->capture = NULL;
		return -ENOMEM;
	}
	sampler_enable(engine_sampler(r->engine), true);
	return 0;
}

static int record(struct recording *r)
{
	bool interrupted;
	int err;

	err = output_file_open(&r->output, r->request->output);
	if (err)
		return cli_fail("'%s' cannot be written: %s", r->request->output, strerror(-err));
	err = spawn_command(r);
	if (err)
		return cli_fail("the command cannot be started: %s", strerror(-err));
	if (start(r))
		return EXIT_FAILED;
	err = release_command(r);
	if (err) {
		router_end_capture(engine_router(r->engine), r->capture, true);
		return cli_fail("'%s' cannot be run: %s", r->request->command[0], strerror(-err));
	}
	r->start_ns = clock_monotonic_ns();
	if (r->request->target == TARGET_CGROUP)
		follow_cgroup(r); /* those that did not fit the request, too */
	wait_for_end(r);
	interrupted =
		!r->child_done && (!r->request->duration_ns ||
				   clock_monotonic_ns() < r->start_ns + r->request->duration_ns);
	router_end_capture(engine_router(r->engine), r->capture, false);
	if (!wait_for_capture(r))
		return cli_fail("the recording does not end; please report this");
	sampler_enable(engine_sampler(r->engine), false);
	arm_abort(r, interrupted);
	if (name_and_write(r))
		return EXIT_FAILED;
	return EXIT_OK;
}

static void block_signals(struct recording *r)
{
	struct sigaction hangup;

	sigemptyset(&r->signals);
	sigaddset(&r->signals, SIGINT);
	sigaddset(&r->signals, SIGTERM);
	sigaddset(&r->signals, SIGCHLD);
	/* Under nohup it stays ignored: one that is blocked would be kept for us. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(&r->signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &r->signals, NULL);
}

int record_run(const struct record_request *request)
{
	struct recording r = {
		.request = request,
		.go = -1,
		.output.fd = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done_cond = PTHREAD_COND_INITIALIZER,
		.tty = isatty(STDERR_FILENO) && !request->quiet,
	};
	int status;

	block_signals(&r);
	status = record(&r);
	if (r.go >= 0)
		close(r.go); /* never started: it waits for the go, and ends */
	if (r.done)
		capture_free(r.capture); /* its objects live in the engine */
	engine_stop(r.engine);
	if (output_file_close(&r.output, false))
		status = EXIT_FAILED;
	return status;
}
