// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the registered suites, each forked with a time limit, over CUnit's registry; prints failures
 * as they are and at the end `N passed, N failed, N skipped` (cases). Arguments select suites by
 * prefix; -l lists them. Exit 1 when anything failed (CUnit's own return value does not tell).
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CUnit/TestRun.h>

#include "profiler/base/check.h"
#include "tests/unit/test.h"

#define DEFAULT_TIMEOUT_S 60
#define DIR_PATTERN	  "/tmp/bianque-test-XXXXXX" /* in_folder.py knows the name */

REGISTRY(suites, const struct suite);

struct totals {
	unsigned passed, failed, skipped;
};

static volatile sig_atomic_t interrupted; /* the signal that ends us */
static volatile pid_t child;
static unsigned skipped;
static char dir[sizeof(DIR_PATTERN)];

void test_skip(const char *fmt, ...)
{
	va_list args;

	skipped++;
	printf("  skipped %s: ", CU_get_current_test()->pName);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void test_int(long long actual, long long expected, const char *what, const char *file, int line)
{
	if (actual != expected)
		printf("  %s:%d: %s is %lld (0x%llx), expected %lld (0x%llx)\n", file, line, what,
		       actual, actual, expected, expected);
	CU_assertImplementation(actual == expected, (unsigned)line, what, file, "", CU_FALSE);
}

void test_str(const char *actual, const char *expected, const char *what, const char *file,
	      int line)
{
	bool equal = actual && expected ? !strcmp(actual, expected) : actual == expected;

	if (!equal)
		printf("  %s:%d: %s is\n    \"%s\"\n  expected\n    \"%s\"\n", file, line, what,
		       actual ? actual : "(null)", expected ? expected : "(null)");
	CU_assertImplementation(equal, (unsigned)line, what, file, "", CU_FALSE);
}

const char *test_dir(void)
{
	return dir;
}

static void run_suite(const struct suite *suite, int report)
{
	struct totals totals = {0};
	CU_pSuite cu;

	if (CU_initialize_registry() != CUE_SUCCESS)
		exit(2);
	cu = CU_add_suite(suite->name, NULL, NULL);
	for (const struct test_case *c = suite->cases; c->run; c++)
		CU_add_test(cu, c->name, c->run);
	CU_run_all_tests();
	for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
		printf("  FAILED %s/%s: %s:%u: %s\n", suite->name, f->pTest ? f->pTest->pName : "?",
		       f->strFileName, f->uiLineNumber, f->strCondition);
	totals.failed = CU_get_number_of_tests_failed();
	totals.skipped = skipped;
	totals.passed = CU_get_number_of_tests_run() - totals.failed - skipped;
	fflush(stdout);
	if (write(report, &totals, sizeof(totals)) != sizeof(totals))
		exit(2);
	CU_cleanup_registry();
	exit(0);
}

static void remove_dir(void)
{
	char command[sizeof(dir) + 16];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", dir);
}

/* The suite ends, then fork_suite removes its folder. */
static void on_signal(int sig)
{
	interrupted = sig;
	if (child > 0)
		kill(child, SIGKILL);
}

/* Not those that are ignored, as nohup does. */
static void take_signals(void (*handler)(int))
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART: read() is to end */

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction before;

		if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static struct totals fork_suite(const struct suite *suite)
{
	struct totals totals = {.failed = 1};
	int report[2], status;
	pid_t pid;

	/* The parent makes the folder, so that it can remove it after a crash too. */
	strcpy(dir, DIR_PATTERN);
	if (!mkdtemp(dir) || pipe(report))
		exit(2);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		exit(2);
	if (pid == 0) {
		take_signals(SIG_DFL);
		close(report[0]);
		alarm(suite->timeout_s ? suite->timeout_s : DEFAULT_TIMEOUT_S);
		run_suite(suite, report[1]);
	}
	child = pid;
	if (interrupted) /* before the handler knew the child */
		kill(pid, SIGKILL);
	close(report[1]);
	if (read(report[0], &totals, sizeof(totals)) != sizeof(totals))
		totals = (struct totals){.failed = 1};
	close(report[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	if (WIFSIGNALED(status)) {
		printf("  FAILED %s: %s\n", suite->name,
		       WTERMSIG(status) == SIGALRM ? "time limit" : strsignal(WTERMSIG(status)));
		totals.failed = totals.failed ? totals.failed : 1;
	} else if (WEXITSTATUS(status)) {
		printf("  FAILED %s: exit status %d\n", suite->name, WEXITSTATUS(status));
		totals.failed = totals.failed ? totals.failed : 1;
	}
	remove_dir();
	return totals;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct suite *const *)a)->name,
		      (*(const struct suite *const *)b)->name);
}

static bool selected(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return true;
	for (int i = 1; i < argc; i++)
		if (!strncmp(name, argv[i], strlen(argv[i])))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	size_t n = registry_len(suites);
	const struct suite **sorted = calloc(n + 1, sizeof(*sorted));
	struct totals all = {0};
	size_t i = 0;

	registry_for_each (suites, s)
		sorted[i++] = *s;
	qsort(sorted, n, sizeof(*sorted), by_name);
	take_signals(on_signal);
	for (i = 0; i < n && !interrupted; i++) {
		struct totals t;

		if (argc == 2 && !strcmp(argv[1], "-l")) {
			puts(sorted[i]->name);
			continue;
		}
		if (!selected(sorted[i]->name, argc, argv))
			continue;
		t = fork_suite(sorted[i]);
		printf("%s %s: %u passed, %u failed, %u skipped\n", t.failed ? "FAIL" : "ok  ",
		       sorted[i]->name, t.passed, t.failed, t.skipped);
		all.passed += t.passed;
		all.failed += t.failed;
		all.skipped += t.skipped;
	}
	free(sorted);
	printf("\n%u passed, %u failed, %u skipped\n", all.passed, all.failed, all.skipped);
	return interrupted ? 128 + interrupted : all.failed ? 1 : 0;
}
