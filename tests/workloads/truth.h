/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the truth programs share: work of known cost, a schedule with exact shares, an expectation.
 *
 * A truth program is a table of struct truth (one row per mode), and
 *
 *	PROGRAM [MODE] [--seconds N]	runs the mode for N seconds (10)
 *	PROGRAM [MODE] --expect		prints what a profiler must see
 *	PROGRAM --modes			prints the modes, one per line
 *
 * Exit status 0, 77 when this machine cannot run the mode (the reason is printed), else failed.
 *
 * Work is counted in units, not in time: a unit is TRUTH_STEPS dependent multiplications, so it
 * costs the same in every leaf whatever its alignment, and the shares are exact. The order of the
 * units is shuffled, so that a sampler of constant period does not beat with them. Every function
 * of a chain is TRUTH_WHOLE and nothing is tail-called unless a chain says so: the frames are
 * exactly those written.
 *
 * The expectation, one fact per line (read by tests/e2e/check_folded.py):
 *
 *	SHARE FRAME;FRAME;...;LEAF	root first. SHARE: percent of the samples whose leaf this
 *					is, or - where only the chain is known
 *	comm GLOB			the threads meant; the last line counts
 *	root GLOB			a frame that a whole stack may begin with; default _start
 *	base known			shares are of the samples with a known leaf (programs whose
 *					start and end are not small beside their work)
 *
 * In a chain, a frame `*` stands for any number of frames, `?` for one of any name, and within a
 * frame * for any characters; `_[i]` at its end says that it is inlined. Text from a `#` on is a
 * comment.
 */
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRUTH_STEPS	20000 /* of 4-5 cycles: about 30 us */
#define TRUTH_MAX_UNITS 4

/* How every chain begins; builds without symbols, or whose libc has no unwind rows (musl), set
 * their own. */
#ifndef TRUTH_ROOT
#define TRUTH_ROOT	 "_start;*;main;truth_main"
#define TRUTH_ROOT_FRAME "_start"
#else
#define TRUTH_ROOT_FRAME "*"
#endif

/* A function that keeps its name, its frame and its convention. */
#ifdef __clang__
#define TRUTH_WHOLE __attribute__((noinline))
#else
#define TRUTH_WHOLE __attribute__((noipa))
#endif
#define TRUTH_FRAME static TRUTH_WHOLE

/* A leaf without a frame that burns one unit. */
#define TRUTH_LEAF(name)                                                                           \
	TRUTH_FRAME unsigned long name(unsigned long x)                                            \
	{                                                                                          \
		for (unsigned i = 0; i < TRUTH_STEPS; i++)                                         \
			TRUTH_STEP(x);                                                             \
		return x;                                                                          \
	}
#define TRUTH_STEP(x)                                                                              \
	do {                                                                                       \
		(x) = (x)*6364136223846793005UL + 1442695040888963407UL;                           \
		__asm__ volatile("" : "+r"(x));                                                    \
	} while (0)
/* A caller whose frame is only its return address and alignment. */
#define TRUTH_CALL(name, callee)                                                                   \
	TRUTH_FRAME unsigned long name(unsigned long x)                                            \
	{                                                                                          \
		return callee(x + 1) ^ 1;                                                          \
	}
/* A caller that saves all callee-saved registers and uses rbp for data: following rbp is wrong. */
#define TRUTH_BUSY(name, callee)                                                                   \
	TRUTH_FRAME unsigned long name(unsigned long x)                                            \
	{                                                                                          \
		unsigned long a = x * 3, b = x * 5, c = x * 7, d = x * 11, e = x * 13, f = x * 17; \
                                                                                                   \
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));       \
		x = callee(x);                                                                     \
		return x + a + b * c + d * e * f;                                                  \
	}

struct truth_unit {
	unsigned share; /* percent of the units; a mode's shares add up to 100 */
	unsigned long (*run)(unsigned long x);
	const char *chain; /* its frames, after truth_run */
};

struct truth {
	const char *mode; /* NULL: the program's only one */
	struct truth_unit units[TRUTH_MAX_UNITS];
	int (*setup)(void);   /* before the first unit; an exit status */
	int (*run)(void);     /* instead of units: until truth_over(); an exit status */
	void (*expect)(void); /* instead of the units' chains; uses the printers below */
	bool hidden;	      /* not listed: a part of another mode */
};

/* The whole program. `truths` ends with a row that has neither units nor run. */
int truth_main(int argc, char **argv, const struct truth *truths);
/* Runs units in shuffled order until the time is over. */
int truth_run(const struct truth *truth);
bool truth_over(void);
/* Seconds left: for a program that starts another. */
double truth_left_s(void);

/* "SHARE ROOT;CHAIN"; share < 0: "-". */
void truth_print(double share, const char *chain);
/* The same with `frame` n times between the two parts (either may be ""). */
void truth_print_repeated(double share, const char *head, const char *frame, unsigned n,
			  const char *tail);

#ifdef __cplusplus
}
#endif
