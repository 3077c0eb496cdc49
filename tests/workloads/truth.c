// SPDX-License-Identifier: Apache-2.0
/* The frame around every truth program; truth.h says what it does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/workloads/truth.h"

enum { ROUND = 100 };

static double deadline_s;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

bool truth_over(void)
{
	return now_s() >= deadline_s;
}

double truth_left_s(void)
{
	return deadline_s - now_s();
}

/* One round: each unit as often as its share says, in an order of its own. */
static void shuffle(const struct truth *truth, unsigned char *slots, unsigned long *seed)
{
	unsigned n = 0;

	for (unsigned u = 0; u < TRUTH_MAX_UNITS; u++)
		for (unsigned i = 0; i < truth->units[u].share; i++)
			slots[n++] = (unsigned char)u;
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned j;
		unsigned char slot = slots[i];

		TRUTH_STEP(*seed);
		j = (unsigned)(*seed >> 33) % (i + 1);
		slots[i] = slots[j];
		slots[j] = slot;
	}
}

TRUTH_WHOLE int truth_run(const struct truth *truth)
{
	unsigned char slots[ROUND];
	unsigned long x = 1, seed = 1;

	while (!truth_over()) {
		shuffle(truth, slots, &seed);
		for (unsigned i = 0; i < ROUND; i++)
			x = truth->units[slots[i]].run(x);
	}
	return 0;
}

/* Without symbols a frame can have any name; how many there are still counts. */
static void print_chain(const char *chain)
{
#ifdef TRUTH_STRIPPED
	for (const char *p = chain; *p; p++) {
		if (p == chain || p[-1] == ';')
			putchar(*p == '*' && (p[1] == ';' || !p[1]) ? '*' : '?');
		if (*p == ';')
			putchar(';');
	}
#else
	fputs(chain, stdout);
#endif
}

static void print_share(double share)
{
	if (share < 0)
		fputs("- ", stdout);
	else
		printf("%.6g ", share);
	fputs(TRUTH_ROOT ";", stdout);
}

void truth_print(double share, const char *chain)
{
	print_share(share);
	print_chain(chain);
	putchar('\n');
}

void truth_print_repeated(double share, const char *head, const char *frame, unsigned n,
			  const char *tail)
{
	print_share(share);
	print_chain(head);
	for (unsigned i = 0; i < n; i++) {
		if (i || *head)
			putchar(';');
		print_chain(frame);
	}
	if (*tail)
		putchar(';');
	print_chain(tail);
	putchar('\n');
}

static void expect(const char *name, const struct truth *truth)
{
	printf("comm %.15s\nroot %s\n", name, TRUTH_ROOT_FRAME);
	if (truth->expect) {
		truth->expect();
		return;
	}
	for (const struct truth_unit *u = truth->units; u < truth->units + TRUTH_MAX_UNITS; u++) {
		char chain[1024];

		if (!u->run)
			continue;
		snprintf(chain, sizeof(chain), "truth_run;%s", u->chain);
		truth_print(u->share, chain);
	}
}

static const struct truth *find(const struct truth *truths, const char *mode)
{
	for (const struct truth *t = truths; t->units[0].run || t->run; t++)
		if (!t->mode || (mode && !strcmp(t->mode, mode)))
			return t;
	return NULL;
}

static int usage(const char *name, const struct truth *truths)
{
	fprintf(stderr, "usage: %s%s [--seconds N | --expect]\n", name,
		truths->mode ? " MODE" : "");
	for (const struct truth *t = truths; t->mode; t++)
		if (!t->hidden)
			fprintf(stderr, "  %s\n", t->mode);
	return 2;
}

static int list(const struct truth *truths)
{
	for (const struct truth *t = truths; t->units[0].run || t->run; t++)
		if (!t->hidden)
			puts(t->mode ? t->mode : "");
	return 0;
}

TRUTH_WHOLE int truth_main(int argc, char **argv, const struct truth *truths)
{
	const struct truth *truth;
	const char *mode = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
	const char *seconds = "10", *name = strrchr(argv[0], '/');
	bool want_expect = false;
	int status = 0;

	name = name ? name + 1 : argv[0];
	for (int i = mode ? 2 : 1; i < argc; i++) {
		if (!strcmp(argv[i], "--modes"))
			return list(truths);
		if (!strcmp(argv[i], "--expect"))
			want_expect = true;
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc && atof(argv[i + 1]) > 0)
			seconds = argv[++i];
		else
			return usage(name, truths);
	}
	truth = find(truths, mode);
	if (!truth || (mode && !truth->mode))
		return usage(name, truths);
	if (want_expect) {
		expect(name, truth);
		return 0;
	}
	deadline_s = now_s() + atof(seconds);
	if (truth->setup)
		status = truth->setup();
	if (!status)
		status = truth->run ? truth->run() : truth_run(truth);
	return status;
}
