// SPDX-License-Identifier: Apache-2.0
/* Selectors: what they choose, and what is said of those that do not parse. */
#include "profiler/query/selector.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/unit/test.h"

static const char *label(void *arg, const char *name)
{
	const char *const *pairs = arg;

	for (; *pairs; pairs += 2)
		if (!strcmp(pairs[0], name))
			return pairs[1];
	return NULL;
}

static int chooses(const char *text)
{
	static const char *labels[] = {"service_name", "nginx", "container", "web-1", "zone",
				       "a\"b",	       "utf",	"h\xc3\xa9", NULL};
	struct selector *s;
	char error[256];
	int found;

	if (selector_parse(text, &s, error, sizeof(error), NULL))
		return -1;
	found = selector_has_series(s, label, labels) && selector_has_thread(s, 42, 43, "worker");
	selector_free(s);
	return found;
}

static void what_is_chosen(void)
{
	static const struct {
		const char *text;
		int found;
	} rows[] = {
		{"{}", 1},
		{" { } ", 1},
		{"{service_name=\"nginx\"}", 1},
		{"{service_name='nginx',}", 1},
		{"{service_name=`nginx` , container=~\"web-.*\"}", 1},
		{"{service_name=\"ngin\"}", 0},
		{"{service_name=~\"ngin\"}", 0},
		{"{service_name=~\"ngin.\"}", 1},
		{"{service_name=~\"a|nginx\"}", 1},
		{"{service_name!~\"a|nginx\"}", 0},
		{"{service_name!=\"nginx\"}", 0},
		{"{pod=\"\"}", 1},
		{"{pod!=\"\"}", 0},
		{"{pod=~\".*\"}", 1},
		{"{pod=~\".+\"}", 0},
		{"{zone=\"a\\\"b\"}", 1},
		{"{zone=\"a\\x22b\"}", 1},
		{"{zone=`a\"b`}", 1},
		{"{utf=~\"h.\"}", 1},
		{"{pid=\"42\"}", 1},
		{"{pid=\"4\"}", 0},
		{"{tid=\"43\",comm=~\"work.*\"}", 1},
		{"{comm!=\"worker\"}", 0},
		{"", -1},
		{"service_name", -1},
		{"{", -1},
		{"{service_name}", -1},
		{"{service_name=}", -1},
		{"{service_name=nginx}", -1},
		{"{service_name=\"nginx}", -1},
		{"{service_name=\"nginx\"", -1},
		{"{service_name=\"nginx\"}}", -1},
		{"{service_name=\"nginx\" container=\"x\"}", -1},
		{"{1x=\"nginx\"}", -1},
		{"{,}", -1},
		{"{a=~\"(\"}", -1},
		{"{a=~\"\\\\C\"}", -1},
		{"{a=\"\\q\"}", -1},
		{"{a=\"\\x00\"}", -1},
		{"{a==\"b\"}", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int found = chooses(rows[i].text);

		if (found != rows[i].found)
			printf("%s: %d\n", rows[i].text, found);
		ASSERT_INT(found, rows[i].found);
	}
}

/* Names of threads may be any bytes: each holds for a matcher or for its opposite, and what a listing
 * shows finds them. */
static void names_that_are_no_utf8(void)
{
	static const struct {
		const char *text, *comm;
		bool holds;
	} rows[] = {
		{"{comm=~\".*\"}", "caf\xe9", true},
		{"{comm=~\"caf.\"}", "caf\xe9", true},
		{"{comm=~\"caf\xef\xbf\xbd\"}", "caf\xe9", true},
		{"{comm=~\"caf..\"}", "caf\xe9", false},
		{"{comm=~\"nginx\"}", "caf\xe9", false},
		{"{comm!~\"nginx\"}", "caf\xe9", true},
		{"{comm!~\".*\"}", "caf\xe9", false},
		{"{comm=\"caf\\xe9\"}", "caf\xe9", true},
		{"{comm=\"caf\xef\xbf\xbd\"}", "caf\xe9", true},
		{"{comm!=\"caf\xef\xbf\xbd\"}", "caf\xe9", false},
		{"{comm!=\"caf\\xe9\"}", "caf\xe9", false},
		{"{comm=\"caf\\xe9\"}", "caf\xe8", false},
		{"{comm=\"caf\xc3\xa9\"}", "caf\xe9", false},
		{"{comm=\"caf\xc3\xa9\"}", "caf\xc3\xa9", true},
		{"{comm=~\"caf.\"}", "caf\xc3\xa9", true},
		{"{comm=~\"\xef\xbf\xbd+b\"}",
		 "\xff\xed\xa0\x80"
		 "b",
		 true}, /* and a surrogate */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct selector *s;
		char error[256];

		CU_ASSERT_FATAL(!selector_parse(rows[i].text, &s, error, sizeof(error), NULL));
		ASSERT_INT(selector_has_thread(s, 1, 1, rows[i].comm), rows[i].holds);
		ASSERT_INT(selector_error(s), 0);
		selector_free(s);
	}
}

static void errors_say_where(void)
{
	static const struct {
		const char *text;
		size_t at;
	} rows[] = {{"x", 0},
		    {"{a", 2},
		    {"{a=\"b\" c", 7},
		    {"{a=\"b\"}  y", 9},
		    {"{a=~\"ok(\"}", 4},
		    {"{a=\"b\\q\"}", 5}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct selector *s;
		char error[256] = "", wanted[32];
		size_t at = 99;

		ASSERT_INT(selector_parse(rows[i].text, &s, error, sizeof(error), &at), -EINVAL);
		ASSERT_INT(at, rows[i].at);
		snprintf(wanted, sizeof(wanted), "at character %zu: ", rows[i].at + 1);
		CU_ASSERT(!strncmp(error, wanted, strlen(wanted)));
	}
}

/* Expressions that take other engines for ever. */
static void hostile_expressions_end(void)
{
	static const char *const texts[] = {
		"{a=~\"(x+x+)+[yz]\"}",
		"{a=~\"(((((x*)*)*)*)*)*[yz]\"}",
		"{a=~\"(x?){500}x{500}\"}",
		"{a=~\"((((x{99}){99}){99}){99})\"}",
	};
	char value[801];
	const char *labels[] = {"a", value, NULL};
	struct timespec a, b;
	int n_errors = 0;

	memset(value, 'x', 800);
	value[800] = 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct selector *s;
		char error[256];

		if (selector_parse(texts[i], &s, error, sizeof(error), NULL))
			continue;
		ASSERT_INT(selector_error(s), 0);
		CU_ASSERT(!selector_has_series(s, label, labels));
		n_errors += selector_error(s) == -EINVAL;
		/* Not even what it could answer: what was asked before lacks something. */
		labels[1] = "xy";
		CU_ASSERT(!selector_error(s) || !selector_has_series(s, label, labels));
		labels[1] = value;
		selector_free(s);
	}
	ASSERT_INT(n_errors, 3);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	CU_ASSERT(b.tv_sec - a.tv_sec < 3);
}

static struct selector *parse(const char *text)
{
	struct selector *s;
	char error[256];

	CU_ASSERT_FATAL(!selector_parse(text, &s, error, sizeof(error), NULL));
	return s;
}

static void both_must_hold(void)
{
	static const char *labels[] = {"a", "1", "b", "2", NULL};
	char many[SELECTOR_MAX_TEXT] = "{";
	struct selector *s = parse("{a=\"1\"}"), *more;

	ASSERT_INT(selector_and(s, parse("{b=~\"2|3\"}")), 0);
	CU_ASSERT(selector_has_series(s, label, labels));
	ASSERT_INT(selector_and(s, parse("{b!=\"2\"}")), 0);
	CU_ASSERT(!selector_has_series(s, label, labels));
	for (size_t i = 0; i < SELECTOR_MAX_MATCHERS - 2; i++)
		strcat(many, "a=\"1\",");
	more = parse(strcat(many, "}"));
	ASSERT_INT(selector_and(s, more), -E2BIG);
	selector_free(more);
	selector_free(s);
}

static void known_labels_are_decided(void)
{
	static const char *known[] = {"type", "cpu", "unit", "", NULL};
	static const char *labels[] = {"type", "other", "a", "1", NULL};
	struct selector *s = parse("{type=\"cpu\",a=\"1\",unit=~\".*\"}");

	CU_ASSERT(selector_decide(s, label, known));
	CU_ASSERT(selector_has_series(s, label, labels)); /* of type nothing is asked any more */
	labels[3] = "2";
	CU_ASSERT(!selector_has_series(s, label, labels));
	selector_free(s);
	s = parse("{a=\"2\",type!~\"c.*\"}");
	CU_ASSERT(!selector_decide(s, label, known));
	CU_ASSERT(selector_has_series(s, label, labels));
	CU_ASSERT(selector_decide(s, label, known));
	selector_free(s);
}

SUITE(selector, {"what is chosen", what_is_chosen}, {"both must hold", both_must_hold},
      {"known labels are decided", known_labels_are_decided},
      {"errors say where", errors_say_where}, {"names that are no UTF-8", names_that_are_no_utf8},
      {"hostile expressions end", hostile_expressions_end});
