// SPDX-License-Identifier: Apache-2.0
#include "profiler/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "tests/unit/test.h"

#define T0 (1000000 * NS_PER_S)

static const struct spool_limits wide = {.max_bytes = 64 << 20, .max_age_ns = 3600 * NS_PER_S};
static char error[512];

static const char *dir_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
	return path;
}

static struct spool *open_it(const char *name, const struct spool_limits *limits)
{
	struct spool *spool = NULL;

	if (spool_open(dir_of(name), limits, &spool, error, sizeof(error)))
		ASSERT_STR(error, "");
	CU_ASSERT_FATAL(spool != NULL);
	return spool;
}

static int add(struct spool *spool, __u64 time_ns, const char *text)
{
	struct iovec pieces[2] = {{(void *)(uintptr_t) "<", 1},
				  {(void *)(uintptr_t)text, strlen(text)}};

	return spool_add(spool, time_ns, pieces, 2);
}

/* The next record's text, "" for none; it is done when `done`. */
static const char *next(struct spool *spool, bool done)
{
	static struct buf out;
	struct spool_place place;
	__u64 time_ns;
	int err = spool_peek(spool, T0 + 60 * NS_PER_S, &out, &time_ns, &place);

	if (err == -ENOENT)
		return "";
	ASSERT_INT(err, 0);
	if (done)
		ASSERT_INT(spool_done(spool, &place), 0);
	return out.data;
}

static struct spool_stats stats_of(const struct spool *spool)
{
	struct spool_stats stats;

	spool_stats(spool, &stats);
	return stats;
}

static void first_in_first_out(void)
{
	struct spool *spool = open_it("a", &wide);
	struct stat st;
	char text[32];

	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(add(spool, T0, "one"), 0);
	ASSERT_INT(add(spool, T0, ""), 0);
	ASSERT_INT(add(spool, T0, "three"), 0);
	ASSERT_INT(stats_of(spool).records, 3);
	CU_ASSERT(stat(dir_of("a/0000000000000001.spool"), &st) == 0 &&
		  (st.st_mode & 0777) == 0600);
	ASSERT_STR(next(spool, false), "<one");
	ASSERT_STR(next(spool, true), "<one");
	ASSERT_STR(next(spool, true), "<");
	ASSERT_INT(add(spool, T0, "four"), 0);
	ASSERT_STR(next(spool, true), "<three");
	ASSERT_STR(next(spool, true), "<four");
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(stats_of(spool).records, 0);
	ASSERT_INT(stats_of(spool).bytes, 0); /* empty: nothing on disk */
	CU_ASSERT(stat(dir_of("a/0000000000000001.spool"), &st) != 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ASSERT_INT(add(spool, T0, text), 0);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "<%d", i);
		ASSERT_STR(next(spool, true), text);
	}
	snprintf(text, sizeof(text), "%s", "");
	CU_ASSERT(stat(dir_of("a"), &st) == 0 && (st.st_mode & 0777) == 0700);
	CU_ASSERT(stat(dir_of("a/ack"), &st) == 0 && (st.st_mode & 0777) == 0600);
	spool_close(spool);
}

static void restarts(void)
{
	struct spool *spool = open_it("b", &wide), *second = NULL;

	ASSERT_INT(add(spool, T0, "one"), 0);
	ASSERT_INT(add(spool, T0, "two"), 0);
	ASSERT_STR(next(spool, true), "<one");
	ASSERT_INT(spool_open(dir_of("b"), &wide, &second, error, sizeof(error)), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "in use by another agent"));
	spool_close(spool);
	for (int i = 0; i < 3; i++) { /* what is not done comes again, what is does not */
		spool = open_it("b", &wide);
		ASSERT_INT(stats_of(spool).records, 1);
		ASSERT_STR(next(spool, false), "<two");
		spool_close(spool);
	}
	spool = open_it("b", &wide);
	ASSERT_INT(add(spool, T0, "three"), 0);
	ASSERT_STR(next(spool, true), "<two");
	spool_close(spool);
	spool = open_it("b", &wide);
	ASSERT_STR(next(spool, true), "<three");
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(stats_of(spool).dropped_damaged, 0);
	spool_close(spool);
	spool = open_it("b", &wide);
	ASSERT_INT(stats_of(spool).bytes, 0);
	spool_close(spool);
}

/* The folder holds at most max_bytes; the oldest records are the ones that go. */
static void size_limit(void)
{
	struct spool_limits small = {.max_bytes = 12 << 20};
	struct spool *spool = open_it("c", &small);
	char *block = malloc((1 << 20) + 1);
	struct spool_stats stats;
	int first;

	memset(block, 'x', 1 << 20);
	block[1 << 20] = 0;
	for (int i = 0; i < 40; i++) {
		sprintf(block, "%03d", i);
		block[3] = 'x';
		ASSERT_INT(add(spool, T0, block), 0);
		CU_ASSERT(stats_of(spool).bytes <= small.max_bytes);
	}
	stats = stats_of(spool);
	CU_ASSERT(stats.records >= 8 && stats.records <= 11);
	ASSERT_INT(stats.dropped_full, 40 - stats.records);
	first = atoi(next(spool, true) + 1);
	ASSERT_INT(first, 40 - stats.records);
	for (int i = first + 1; i < 40; i++)
		ASSERT_INT(atoi(next(spool, true) + 1), i);
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(spool_add(spool, T0, &(struct iovec){block, SPOOL_MAX_RECORD + 1ul}, 1),
		   -EMSGSIZE);
	spool_close(spool);
	free(block);
}

/* The record in hand may have to give way: done is then about nothing. */
static void gives_way_while_read(void)
{
	struct spool_limits small = {.max_bytes = 8 << 20};
	struct spool *spool = open_it("d", &small);
	char *block = malloc(3 << 20);
	struct spool_place place;
	struct buf out = {0};
	__u64 time_ns;

	memset(block, 'x', 3 << 20);
	block[(3 << 20) - 1] = 0;
	ASSERT_INT(add(spool, T0, block), 0);
	ASSERT_INT(spool_peek(spool, T0, &out, &time_ns, &place), 0);
	CU_ASSERT(time_ns == T0);
	for (int i = 0; i < 3; i++) {
		block[0] = (char)('a' + i);
		ASSERT_INT(add(spool, T0, block), 0);
	}
	ASSERT_INT(spool_done(spool, &place), 0);
	ASSERT_INT(next(spool, true)[1], 'b');
	ASSERT_INT(next(spool, true)[1], 'c');
	ASSERT_STR(next(spool, true), "");
	spool_close(spool);
	buf_fini(&out);
	free(block);
}

static void age_limit(void)
{
	struct spool *spool = open_it("e", &wide);

	ASSERT_INT(add(spool, T0 - 3600 * NS_PER_S, "old"), 0);
	ASSERT_INT(add(spool, T0 + 9999 * NS_PER_S, "from the future"), 0);
	ASSERT_INT(add(spool, T0, "young"), 0);
	ASSERT_STR(next(spool, true), "<from the future");
	ASSERT_STR(next(spool, true), "<young");
	ASSERT_INT(stats_of(spool).dropped_old, 1);
	spool_close(spool);
}

/* Overwrites len bytes of a file of the spool. */
static void damage(const char *name, off_t at, const void *bytes, size_t len)
{
	int fd = open(dir_of(name), O_WRONLY);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(pwrite(fd, bytes, len, at) == (ssize_t)len);
	close(fd);
}

static void fill(const char *name)
{
	struct spool *spool = open_it(name, &wide);

	ASSERT_INT(add(spool, T0, "1111111"), 0); /* 8 bytes: records of 32, at 16, 48, 80 */
	ASSERT_INT(add(spool, T0, "2222222"), 0);
	ASSERT_INT(add(spool, T0, "3333333"), 0);
	spool_close(spool);
}

static void damage_and_torn_ends(void)
{
	struct spool *spool;

	/* A payload: that record is skipped. */
	fill("f");
	damage("f/0000000000000001.spool", 16 + 24 + 3, "X", 1);
	spool = open_it("f", &wide);
	ASSERT_STR(next(spool, true), "<2222222");
	ASSERT_STR(next(spool, true), "<3333333");
	ASSERT_INT(stats_of(spool).dropped_damaged, 1);
	spool_close(spool);
	/* A length: the rest of the segment cannot be found. */
	fill("g");
	damage("g/0000000000000001.spool", 48 + 4, "\xff\xff\xff\xff", 4);
	spool = open_it("g", &wide);
	ASSERT_STR(next(spool, true), "<1111111");
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(stats_of(spool).dropped_damaged, 1);
	spool_close(spool);
	/* Torn in the middle of the last record. */
	for (off_t size = 80; size < 112; size++) {
		fill("h");
		CU_ASSERT(truncate(dir_of("h/0000000000000001.spool"), size) == 0);
		spool = open_it("h", &wide);
		ASSERT_STR(next(spool, true), "<1111111");
		ASSERT_STR(next(spool, true), "<2222222");
		ASSERT_STR(next(spool, true), "");
		ASSERT_INT(stats_of(spool).dropped_damaged, size > 80);
		spool_close(spool);
		unlink(dir_of("h/0000000000000001.spool"));
		unlink(dir_of("h/ack"));
	}
	/* Another version, and no segment at all. */
	fill("i");
	damage("i/0000000000000001.spool", 8, "\x02", 1);
	spool = open_it("i", &wide);
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(stats_of(spool).dropped_damaged, 1);
	ASSERT_INT(access(dir_of("i/0000000000000001.spool"), F_OK), -1);
	spool_close(spool);
	/* Acknowledgements torn: the older slot holds, so at most one record comes again. */
	fill("j");
	spool = open_it("j", &wide);
	ASSERT_STR(next(spool, true), "<1111111");
	ASSERT_STR(next(spool, true), "<2222222");
	spool_close(spool);
	damage("j/ack", 24 + 3, "XXXX", 4);
	spool = open_it("j", &wide);
	ASSERT_STR(next(spool, true), "<2222222");
	ASSERT_STR(next(spool, true), "<3333333");
	spool_close(spool);
}

/* A full disk, played by the limit on file sizes: nothing half-written stays. */
static void full_disk(void)
{
	struct rlimit before, low = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
	struct spool *spool = open_it("k", &wide);
	char block[3000];

	signal(SIGXFSZ, SIG_IGN);
	memset(block, 'x', sizeof(block) - 1);
	block[sizeof(block) - 1] = 0;
	ASSERT_INT(add(spool, T0, block), 0);
	CU_ASSERT(getrlimit(RLIMIT_FSIZE, &before) == 0);
	low.rlim_max = before.rlim_max;
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &low) == 0);
	ASSERT_INT(add(spool, T0, block), -EFBIG);
	ASSERT_INT(add(spool, T0, block), -EFBIG);
	ASSERT_INT(add(spool, T0, "small"), 0);
	CU_ASSERT(setrlimit(RLIMIT_FSIZE, &before) == 0);
	ASSERT_INT(add(spool, T0, "after"), 0);
	spool_close(spool);
	spool = open_it("k", &wide);
	ASSERT_INT(stats_of(spool).dropped_damaged, 0);
	ASSERT_INT(strlen(next(spool, true)), 3000);
	ASSERT_STR(next(spool, true), "<small");
	ASSERT_STR(next(spool, true), "<after");
	spool_close(spool);
}

/* What a life that is killed does: it takes what there is, saying what it took, and adds one. */
static void take_and_add(int said, int life)
{
	struct spool *spool = open_it("l", &wide);
	const char *text;
	char word[32];

	for (int i = 0;; i++) {
		while (*(text = next(spool, true)))
			if (write(said, &(int){atoi(text + 1)}, sizeof(int)) < 0)
				_exit(1);
		snprintf(word, sizeof(word), "%d", life * 1000000 + i);
		if (add(spool, T0, word))
			_exit(1);
	}
}

/* A child takes, acknowledges and adds, and is killed at any moment, fifty times: no record that it
 * said to be done comes again, the order stays, and at most the one last added is left. */
static void killed(void)
{
	int n_again = 0, last = -1, said;
	struct spool *spool;

	for (int life = 0; life < 50; life++) {
		int done[2];
		pid_t pid;

		CU_ASSERT_FATAL(pipe(done) == 0);
		pid = fork();
		if (pid == 0)
			take_and_add(done[1], life);
		close(done[1]);
		/* Every other life comes to its own records, however slow the machine. */
		for (int i = 0; i < 2 * (life % 2); i++) {
			CU_ASSERT_FATAL(read(done[0], &said, sizeof(said)) == sizeof(said));
			n_again += said <= last;
			last = MAX(said, last);
		}
		usleep((useconds_t)(1000 + life * 300));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(done[0], &said, sizeof(said)) == sizeof(said)) {
			n_again += said <= last;
			last = MAX(said, last);
		}
		close(done[0]);
	}
	ASSERT_INT(n_again, 0);
	CU_ASSERT(last >= 49000000);
	spool = open_it("l", &wide);
	next(spool, true);
	ASSERT_STR(next(spool, true), "");
	ASSERT_INT(stats_of(spool).dropped_full + stats_of(spool).dropped_old, 0);
	spool_close(spool);
}

SUITE(spool, {"first in, first out", first_in_first_out}, {"restarts", restarts},
      {"size limit", size_limit}, {"gives way while read", gives_way_while_read},
      {"age limit", age_limit}, {"damage and torn ends", damage_and_torn_ends},
      {"full disk", full_disk}, {"killed", killed});
