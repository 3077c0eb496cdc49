// SPDX-License-Identifier: Apache-2.0
#include "profiler/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "tests/unit/test.h"

static char path[256], error[512];

static int open_with(struct secret *secret, const void *data, size_t len)
{
	snprintf(path, sizeof(path), "%s/token", test_dir());
	ASSERT_INT(fs_replace(path, data, len), 0);
	return secret_open(secret, path, error, sizeof(error));
}

static void reading(void)
{
	static char big[SECRET_MAX_BYTES + 1];
	struct secret s = {0};

	ASSERT_INT(open_with(&s, "t0ken with space\r\n", 18), 0);
	CU_ASSERT(secret_equals(&s, "t0ken with space", 16));
	CU_ASSERT(!secret_equals(&s, "t0ken with spacf", 16));
	CU_ASSERT(!secret_equals(&s, "t0ken with space ", 17));
	CU_ASSERT(!secret_equals(&s, "t0ken", 5));
	CU_ASSERT(!secret_equals(&s, "", 0));
	secret_close(&s);
	ASSERT_INT(open_with(&s, "\n\n", 2), -ENODATA);
	ASSERT_INT(open_with(&s, "a\nb", 3), -EINVAL);
	ASSERT_INT(open_with(&s, "a\0b", 3), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "it is not one line of text"));
	memset(big, 'a', sizeof(big));
	ASSERT_INT(open_with(&s, big, sizeof(big)), -EFBIG);
	ASSERT_INT(open_with(&s, big, sizeof(big) - 1), 0);
	secret_close(&s);
	ASSERT_INT(secret_open(&s, "/nonexistent", error, sizeof(error)), -ENOENT);
	CU_ASSERT_PTR_NULL(s.path);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "there is no such file"));
}

static void open_to_everybody(void)
{
	struct secret s = {0};
	__u64 now = NS_PER_S;

	ASSERT_INT(log_set_level("config", "error"), 0);
	ASSERT_INT(open_with(&s, "t0ken", 5), 0);
	ASSERT_INT(chmod(path, 0640), 0); /* a group of the host's is fine */
	ASSERT_INT(secret_check(path, error, sizeof(error)), 0);
	for (mode_t mode = 1; mode < 8; mode++) {
		ASSERT_INT(chmod(path, 0600 | mode), 0);
		ASSERT_INT(secret_check(path, error, sizeof(error)), mode & 6 ? -EPERM : 0);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "chmod it to 0600"));
	/* One that comes to be so while it is in use is not taken. */
	ASSERT_INT(fs_replace(path, "another", 7), 0);
	ASSERT_INT(chmod(path, 0604), 0);
	CU_ASSERT(!secret_refresh(&s, now));
	ASSERT_STR(s.value, "t0ken");
	ASSERT_INT(chmod(path, 0600), 0);
	CU_ASSERT(secret_refresh(&s, now + NS_PER_S));
	ASSERT_STR(s.value, "another");
	secret_close(&s);
}

static void refreshing(void)
{
	struct secret s = {0};
	__u64 now = 100 * NS_PER_S;

	ASSERT_INT(log_set_level("config", "error"), 0);
	ASSERT_INT(open_with(&s, "one", 3), 0);
	CU_ASSERT(!secret_refresh(&s, now));
	ASSERT_INT(fs_replace(path, "two", 3), 0);
	CU_ASSERT(!secret_refresh(&s, now + 1)); /* at most once a second */
	CU_ASSERT(secret_refresh(&s, now += NS_PER_S));
	ASSERT_STR(s.value, "two");
	unlink(path);
	CU_ASSERT(!secret_refresh(&s, now += NS_PER_S));
	ASSERT_STR(s.value, "two");
	ASSERT_INT(fs_replace(path, "", 0), 0);
	CU_ASSERT(!secret_refresh(&s, now += NS_PER_S));
	ASSERT_STR(s.value, "two");
	ASSERT_INT(fs_replace(path, "three", 5), 0);
	CU_ASSERT(secret_refresh(&s, now += NS_PER_S));
	ASSERT_STR(s.value, "three");
	secret_close(&s);
}

static void awaited(void)
{
	struct secret s;
	__u64 now = NS_PER_S;

	snprintf(path, sizeof(path), "%s/awaited", test_dir());
	ASSERT_INT(secret_await(&s, path), 0);
	CU_ASSERT(!s.value && !secret_equals(&s, "", 0));
	CU_ASSERT(!secret_refresh(&s, now));
	ASSERT_INT(fs_replace(path, "late\n", 5), 0);
	CU_ASSERT(!secret_refresh(&s, now + 1));
	CU_ASSERT(secret_refresh(&s, now + NS_PER_S));
	ASSERT_STR(s.value, "late");
	secret_close(&s);
}

SUITE(secret, {"reading", reading}, {"open to everybody", open_to_everybody},
      {"refreshing", refreshing}, {"awaited", awaited});
