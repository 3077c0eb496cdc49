// SPDX-License-Identifier: Apache-2.0
/*
 * The exec storm: starts RATE small programs a second (storm-a, storm-b, storm-c beside it, in
 * turn), each of which lives one to a few milliseconds, and says how many ran and how long.
 *
 *	storm [--rate 500] [--seconds 10] | --expect | --modes
 *
 * A start is never skipped: one that is late is made at once, and how late the worst was is
 * printed. At most MAX_ALIVE at a time, then the oldest is waited for.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_JOBS = 3, MAX_ALIVE = 64 };

extern char **environ;

static char jobs[N_JOBS][4096];

struct alive {
	pid_t pid;
	double started_s;
};

static struct storm {
	struct alive alive[MAX_ALIVE];
	unsigned n_alive, started, ended, failed;
	double wall_s, max_wall_s, cpu_s, max_late_s;
} storm;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double seconds_of(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec * 1e-6;
}

static int find_jobs(void)
{
	char path[sizeof(jobs[0]) - 16];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (len < 0)
		return -errno;
	path[len] = 0;
	slash = strrchr(path, '/');
	for (int i = 0; i < N_JOBS; i++) {
		snprintf(jobs[i], sizeof(jobs[i]), "%.*s/storm-%c", (int)(slash - path), path,
			 'a' + i);
		if (access(jobs[i], X_OK))
			return -errno;
	}
	return 0;
}

/* Takes in what has ended; with `block` at least one. */
static void reap(int block)
{
	int status;
	struct rusage usage;
	pid_t pid;

	while (storm.n_alive && (pid = wait4(-1, &status, block ? 0 : WNOHANG, &usage)) > 0) {
		double wall_s;

		for (unsigned i = 0; i < storm.n_alive; i++) {
			if (storm.alive[i].pid != pid)
				continue;
			wall_s = now_s() - storm.alive[i].started_s;
			storm.wall_s += wall_s;
			storm.max_wall_s = wall_s > storm.max_wall_s ? wall_s : storm.max_wall_s;
			storm.alive[i] = storm.alive[--storm.n_alive];
		}
		storm.cpu_s += seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
		storm.ended++;
		storm.failed += status != 0;
		block = 0;
	}
}

static int start_one(double due_s)
{
	char *job = jobs[storm.started % N_JOBS];
	char *argv[] = {strrchr(job, '/') + 1, NULL};
	double late_s = now_s() - due_s;
	pid_t pid;
	int err;

	if (storm.n_alive == MAX_ALIVE)
		reap(1);
	storm.max_late_s = late_s > storm.max_late_s ? late_s : storm.max_late_s;
	err = posix_spawn(&pid, job, NULL, NULL, argv, environ);
	if (err) {
		fprintf(stderr, "storm: %s: %s\n", job, strerror(err));
		return -err;
	}
	storm.alive[storm.n_alive++] = (struct alive){pid, now_s()};
	storm.started++;
	return 0;
}

static int run(double rate, double seconds)
{
	double begin_s = now_s(), took_s;

	while (storm.started < rate * seconds) {
		double due_s = begin_s + storm.started / rate, wait_s;

		reap(0);
		wait_s = due_s - now_s();
		if (wait_s > 0)
			nanosleep(&(struct timespec){(time_t)wait_s,
						     (long)((wait_s - (time_t)wait_s) * 1e9)},
				  NULL);
		if (start_one(due_s))
			break;
	}
	took_s = now_s() - begin_s;
	while (storm.n_alive)
		reap(1);
	if (!storm.ended)
		return 1;
	printf("storm: %u ran in %.2f s, %.1f/s of %.1f/s asked; each %.2f ms wall (max %.1f), "
	       "%.2f ms CPU; latest start %.1f ms late; %u failed\n",
	       storm.ended, took_s, storm.ended / took_s, rate, storm.wall_s / storm.ended * 1e3,
	       storm.max_wall_s * 1e3, storm.cpu_s / storm.ended * 1e3, storm.max_late_s * 1e3,
	       storm.failed);
	return storm.failed || storm.started < rate * seconds;
}

static int expect(void)
{
	puts("comm storm-?");
	puts("base known");
	for (char job = 'a'; job < 'a' + N_JOBS; job++)
		printf("- _start;*;main;job_outer_%c;job_inner_%c;job_leaf_%c\n", job, job, job);
	return 0;
}

int main(int argc, char **argv)
{
	double rate = 500, seconds = 10;
	int err;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--modes"))
			return puts("") < 0;
		if (!strcmp(argv[i], "--expect"))
			return expect();
		if (!strcmp(argv[i], "--rate") && i + 1 < argc)
			rate = atof(argv[++i]);
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = atof(argv[++i]);
		else
			rate = 0;
	}
	if (rate <= 0 || seconds <= 0) {
		fprintf(stderr, "usage: storm [--rate N] [--seconds N] | --expect | --modes\n");
		return 2;
	}
	err = find_jobs();
	if (err) {
		fprintf(stderr, "storm: storm-a, storm-b, storm-c beside it: %s\n", strerror(-err));
		return 1;
	}
	return run(rate, seconds);
}
