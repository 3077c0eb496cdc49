// SPDX-License-Identifier: Apache-2.0
/*
 * Signal handlers that burn CPU: the stack must pass through the signal frame to the interrupted
 * function, whose rows are exact at the interrupted instruction (no call was made there).
 *
 *	alt, normal		a timer interrupts a frameless leaf anywhere; handler on an
 *				alternate or on the normal stack
 *	self			the thread signals itself with a bare syscall in the middle of a
 *				leaf: handler and leaf burn equal shares,
 *				another leaf the rest
 *	nested			the handler of one signal, on the alternate stack, is interrupted
 *				by another
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/workloads/truth.h"

enum { ALT_STACK = 65536, PERIOD_US = 500, SELF_UNITS = 10 };

static long own_pid, own_tid;
static unsigned handler_units = 1;
static unsigned long burnt;

TRUTH_LEAF(handler_leaf)

TRUTH_FRAME unsigned long handler_burn(unsigned long x)
{
	for (unsigned i = 0; i < handler_units; i++)
		x = handler_leaf(x);
	return x + 1;
}

TRUTH_FRAME void on_signal(int sig)
{
	(void)sig;
	burnt = handler_burn(burnt + 1) + 1;
}

__attribute__((always_inline)) static inline void signal_self(long sig)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"((long)SYS_tgkill), "D"(own_pid), "S"(own_tid), "d"(sig)
			 : "rcx", "r11", "memory");
}

TRUTH_FRAME void on_outer_signal(int sig)
{
	(void)sig;
	signal_self(SIGUSR2);
	burnt++;
}

/* A leaf that burns SELF_UNITS units, in two halves with a signal between: many, so that the
 * kernel's part of the signal is small beside them. */
TRUTH_FRAME unsigned long victim_self(unsigned long x)
{
	for (unsigned i = 0; i < SELF_UNITS * TRUTH_STEPS / 2; i++)
		TRUTH_STEP(x);
	signal_self(SIGUSR1);
	for (unsigned i = 0; i < SELF_UNITS * TRUTH_STEPS / 2; i++)
		TRUTH_STEP(x);
	return x;
}

TRUTH_LEAF(victim_leaf)
TRUTH_BUSY(victim_outer, victim_leaf)
TRUTH_BUSY(victim_self_outer, victim_self)

static int catch (int sig, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_RESTART};

	return sigaction(sig, &action, NULL);
}

static int set_up(int flags, void (*on_usr1)(int))
{
	stack_t stack = {.ss_sp = malloc(ALT_STACK), .ss_size = ALT_STACK};

	own_pid = getpid();
	own_tid = syscall(SYS_gettid);
	if (!stack.ss_sp || sigaltstack(&stack, NULL) || catch (SIGALRM, on_signal, flags) ||
	    catch (SIGUSR1, on_usr1, flags) || catch (SIGUSR2, on_signal, flags)) {
		perror("signals");
		return 1;
	}
	return 0;
}

static int start_timer(void)
{
	struct itimerval every = {{0, PERIOD_US}, {0, PERIOD_US}};

	return setitimer(ITIMER_REAL, &every, NULL) ? 1 : 0;
}

static int set_up_alt(void)
{
	return set_up(SA_ONSTACK, on_signal) || start_timer();
}

static int set_up_normal(void)
{
	return set_up(0, on_signal) || start_timer();
}

static int set_up_self(void)
{
	handler_units = SELF_UNITS;
	return set_up(SA_ONSTACK, on_signal);
}

static int set_up_nested(void)
{
	handler_units = SELF_UNITS;
	return set_up(SA_ONSTACK, on_outer_signal);
}

/* Of a round of 10 * SELF_UNITS units, as many of the handler, and 90. */
#define SELF                                                                                       \
	{                                                                                          \
		{10, victim_self_outer, ""},                                                       \
		{                                                                                  \
			90, victim_outer, ""                                                       \
		}                                                                                  \
	}
#define SELF_PCT  (100.0 * 10 * SELF_UNITS / (2 * 10 * SELF_UNITS + 90))
#define PLAIN_PCT (100.0 - 2 * SELF_PCT)

/* The frame of libc's restorer has a name only where libc has symbols. */
static void expect_timer(void)
{
	truth_print(-1, "truth_run;victim_outer;victim_leaf");
	truth_print(-1, "truth_run;victim_outer;victim_leaf;?;on_signal;handler_burn;handler_leaf");
}

static void expect_self(void)
{
	puts("base known"); /* the rest is in the system calls */
	truth_print(PLAIN_PCT, "truth_run;victim_outer;victim_leaf");
	truth_print(SELF_PCT, "truth_run;victim_self_outer;victim_self");
	truth_print(SELF_PCT, "truth_run;victim_self_outer;victim_self;?;on_signal;handler_burn;"
			      "handler_leaf");
}

static void expect_nested(void)
{
	puts("base known"); /* the rest is in the system calls */
	truth_print(PLAIN_PCT, "truth_run;victim_outer;victim_leaf");
	truth_print(SELF_PCT, "truth_run;victim_self_outer;victim_self");
	truth_print(SELF_PCT,
		    "truth_run;victim_self_outer;victim_self;?;on_outer_signal;?;on_signal;"
		    "handler_burn;handler_leaf");
}

/* 25 + 25 units of the handler + 75. */
#define SELF_UNITS                                                                                 \
	{                                                                                          \
		{25, victim_self_outer, ""},                                                       \
		{                                                                                  \
			75, victim_outer, ""                                                       \
		}                                                                                  \
	}
static const struct truth truths[] = {
	{"alt", {{100, victim_outer, ""}}, .setup = set_up_alt, .expect = expect_timer},
	{"normal", {{100, victim_outer, ""}}, .setup = set_up_normal, .expect = expect_timer},
	{"self", SELF, .setup = set_up_self, .expect = expect_self},
	{"nested", SELF, .setup = set_up_nested, .expect = expect_nested},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
