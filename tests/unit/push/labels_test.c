// SPDX-License-Identifier: Apache-2.0
#include "profiler/push/push_labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/utf8.h"
#include "tests/unit/test.h"

static struct arena arena;

/* name=value pairs, joined. */
static const char *join(const struct push_label_set *set)
{
	static struct buf out;

	buf_reset(&out);
	buf_str(&out, "");
	for (size_t i = 0; i < set->n; i++)
		buf_printf(&out, "%s=%s ", set->labels[i].name, set->labels[i].value);
	return out.data;
}

static void usual(void)
{
	struct push_label own[] = {{"service_name", "postgres"}, {"pid", "7"}, {"empty", ""}};
	struct push_label common[] = {{"host", "h1"}, {"pid", "9"}, {"env", "prod"}};
	struct push_label_set set, other;

	ASSERT_INT(push_labels_make("process_cpu", own, 3, common, 3, &arena, &set), 0);
	ASSERT_STR(join(&set),
		   "__name__=process_cpu env=prod host=h1 pid=7 service_name=postgres ");
	ASSERT_INT(set.changes[PUSH_LABEL_DUPLICATE], 1);
	/* The order in which labels come is no part of the set. */
	own[0] = (struct push_label){"env", "prod"};
	own[2] = (struct push_label){"service_name", "postgres"};
	ASSERT_INT(push_labels_make("process_cpu", own, 3, common, 1, &arena, &other), 0);
	CU_ASSERT(other.hash == set.hash);
	ASSERT_INT(push_labels_make("process_cpu", own, 3, NULL, 0, &arena, &other), 0);
	CU_ASSERT(other.hash != set.hash);
	ASSERT_INT(push_labels_make("memory", NULL, 0, NULL, 0, &arena, &set), 0);
	ASSERT_STR(join(&set), "__delta__=false __name__=memory service_name=unknown_service ");
	ASSERT_INT(push_labels_make("", NULL, 0, NULL, 0, &arena, &set), -EINVAL);
	arena_fini(&arena);
}

static void rewritten(void)
{
	struct push_label own[] = {{"app.kubernetes.io/name", "a"},
				   {"1st", "b"},
				   {"__session_id__", "c"},
				   {"caf\xc3\xa9", "d"},
				   {"app_kubernetes_io_name", "e"},
				   {"bytes", "a\xff"
					     "b"}};
	struct push_label_set set;

	ASSERT_INT(push_labels_make("off_cpu", own, 6, NULL, 0, &arena, &set), 0);
	ASSERT_STR(join(&set), "_1st=b __name__=off_cpu app_kubernetes_io_name=a "
			       "bytes=a\xef\xbf\xbd"
			       "b caf__=d service_name=unknown_service ");
	ASSERT_INT(set.changes[PUSH_LABEL_NAME], 3);
	ASSERT_INT(set.changes[PUSH_LABEL_VALUE], 1);
	ASSERT_INT(set.changes[PUSH_LABEL_RESERVED], 1);
	ASSERT_INT(set.changes[PUSH_LABEL_DUPLICATE], 1);
	arena_fini(&arena);
}

static void limits(void)
{
	struct push_label many[40];
	char names[40][8], *huge = malloc(10001);
	struct push_label_set set;
	bool service = false;

	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "l%02d", i);
		many[i] = (struct push_label){names[i], "v"};
	}
	ASSERT_INT(push_labels_make("process_cpu", many, 40, NULL, 0, &arena, &set), 0);
	ASSERT_INT(set.n, PUSH_MAX_LABELS);
	for (size_t i = 0; i < set.n; i++)
		service |= !strcmp(set.labels[i].name, "service_name");
	CU_ASSERT(service);
	ASSERT_INT(set.changes[PUSH_LABEL_LIMIT], 12);
	/* A value is cut between characters, a name simply. */
	for (int i = 0; i < 10000; i++)
		huge[i] = "\xe6\x9b\xb2"[i % 3];
	huge[10000] = 0;
	many[0] = (struct push_label){"v", huge};
	ASSERT_INT(push_labels_make("x", many, 1, NULL, 0, &arena, &set), 0);
	ASSERT_INT(strlen(set.labels[2].value), 2046);
	memset(huge, 'n', 9999);
	huge[9999] = 0;
	many[0] = (struct push_label){huge, "v"};
	ASSERT_INT(push_labels_make("x", many, 1, NULL, 0, &arena, &set), 0);
	ASSERT_INT(strlen(set.labels[1].name), PUSH_MAX_LABEL_NAME);
	free(huge);
	arena_fini(&arena);
}

SUITE(push_labels, {"usual", usual}, {"rewritten", rewritten}, {"limits", limits});
