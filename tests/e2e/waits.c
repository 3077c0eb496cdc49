// SPDX-License-Identifier: Apache-2.0
/*
 * What tests/e2e/stacks.py looks at beside the truth programs:
 *
 *	waits [N]	N (100) threads, most of them blocked in different ways below frames of
 *			different shapes, some running; "ready" on stdout once all are there
 *	waits churn	threads that begin and end without pause
 *	waits wakes	threads that wake up a thousand times a second
 *	waits leader	the first thread ends, the others go on
 *	waits exec	becomes itself again and again
 *	waits signals	counts SIGUSR1 to stdout, a number a line
 *	waits zombie	a child that ended and is not reaped; its pid on stdout
 */
#include <alloca.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEEP	  __attribute__((noipa))
#define KINDS	  8
#define STACK_KIB 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t all_there;
static int pipe_fds[2];
static volatile uint64_t sink;

KEEP static void wait_forever(unsigned kind)
{
	char byte;

	switch (kind) {
	case 0: /* futex */
		pthread_mutex_lock(&lock);
		for (;;)
			pthread_cond_wait(&never, &lock);
	case 1:
		for (;;)
			nanosleep(&(struct timespec){.tv_sec = 1000}, NULL);
	case 2:
		for (;;)
			if (read(pipe_fds[0], &byte, 1) < 0 && errno != EINTR)
				abort();
	case 3:
		for (;;)
			poll(&(struct pollfd){.fd = pipe_fds[0], .events = POLLIN}, 1, -1);
	case 4:
		for (;;)
			pause();
	case 5: {
		sigset_t set;
		int sig;

		sigemptyset(&set);
		sigaddset(&set, SIGRTMAX);
		for (;;)
			sigwait(&set, &sig);
	}
	case 6: /* runs, in and out of the kernel */
		for (;;)
			sink += (uint64_t)getppid();
	default: /* runs */
		for (;;)
			for (uint64_t i = 0, x = 1; i < 1000000; i++)
				sink = x = x * 6364136223846793005u + i;
	}
}

/* A frame whose size nobody knows before: its CFA comes from the frame pointer. */
KEEP static void in_alloca(unsigned kind, unsigned bytes)
{
	char *block = alloca(bytes);

	memset(block, (int)kind, bytes);
	wait_forever(kind);
	sink += (uint64_t)block[bytes / 2];
}

/* A frame that is aligned by more than the stack is. */
KEEP static void in_aligned(unsigned kind, unsigned bytes)
{
	char block[64] __attribute__((aligned(64)));

	memset(block, (int)kind, sizeof(block));
	in_alloca(kind, bytes);
	sink += (uint64_t)block[kind];
}

KEEP static void deeper(unsigned kind, unsigned depth)
{
	if (depth)
		deeper(kind, depth - 1);
	else if (kind & 1)
		in_aligned(kind, 100 * kind + 50);
	else
		wait_forever(kind);
	sink++;
}

static void *thread_main(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	/* Two threads in a hundred run, the others wait. */
	unsigned kind = i % 100 == 6 ? 6 : i % 100 == 7 ? 7 : i % 6;

	pthread_barrier_wait(&all_there);
	deeper(kind, i % 40);
	return NULL;
}

static pthread_t start(void *(*run)(void *), uintptr_t arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_KIB << 10);
	if (pthread_create(&thread, &attr, run, (void *)arg))
		abort();
	return thread;
}

static int many(unsigned n)
{
	pthread_barrier_init(&all_there, NULL, n + 1);
	for (unsigned i = 0; i < n; i++)
		start(thread_main, i);
	pthread_barrier_wait(&all_there);
	usleep(200000);
	puts("ready");
	fflush(stdout);
	deeper(1, 3);
	return 0;
}

static void *short_life(void *arg)
{
	for (uintptr_t i = 0; i < 2000 + (uintptr_t)arg * 500; i++)
		sink += i;
	return NULL;
}

static _Noreturn void churn(void)
{
	for (;;) {
		pthread_t threads[8];

		for (uintptr_t i = 0; i < 8; i++)
			threads[i] = start(short_life, i);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
	}
}

static void *waker(void *arg)
{
	for (;;) {
		usleep(1000);
		sink += (uintptr_t)arg;
	}
	return NULL;
}

static int exec_again(char **argv)
{
	usleep(2000);
	execv("/proc/self/exe", argv);
	return 1;
}

static volatile sig_atomic_t n_signals;

static void count(int sig)
{
	(void)sig;
	n_signals++;
}

static _Noreturn void count_signals(void)
{
	int said = -1;

	signal(SIGUSR1, count);
	for (;;) {
		if (n_signals != said) {
			said = n_signals;
			printf("%d\n", said);
			fflush(stdout);
		}
		usleep(1000);
	}
}

static int leave_zombie(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	usleep(100000);
	printf("%d\n", child);
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "100";

	if (pipe(pipe_fds))
		return 1;
	if (!strcmp(mode, "churn"))
		churn();
	if (!strcmp(mode, "exec"))
		return exec_again(argv);
	if (!strcmp(mode, "signals"))
		count_signals();
	if (!strcmp(mode, "zombie"))
		return leave_zombie();
	if (!strcmp(mode, "wakes") || !strcmp(mode, "leader")) {
		for (uintptr_t i = 0; i < 20; i++)
			start(waker, i);
		if (!strcmp(mode, "leader"))
			pthread_exit(NULL);
		waker(NULL);
	}
	return many((unsigned)atoi(mode));
}
