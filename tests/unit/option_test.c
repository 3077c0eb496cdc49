// SPDX-License-Identifier: Apache-2.0
#include "profiler/option.h"

#include <errno.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "tests/unit/test.h"

static const char *const colours[] = {"red", "green", NULL};

struct sample {
	bool b;
	__s64 i;
	__u64 u;
	double f;
	__u64 window_ns, bytes;
	const char *text, *path;
	int colour;
	struct option_list list;
	struct option_map map;
};

static int no_x(const char *text, char *error, size_t size)
{
	if (!strchr(text, 'x'))
		return 0;
	snprintf(error, size, "'%s' has an x", text);
	return -EINVAL;
}

static const struct option_row rows[] = {
	OPTION_ROW(BOOL, struct sample, b, .def = "true", .help = "h"),
	OPTION_ROW(INT, struct sample, i, .def = "-3", .min = "-5", .max = "5", .help = "h"),
	OPTION_ROW(U64, struct sample, u, .def = "19", .min = "1", .max = "997", .unit = "Hz",
		   .help = "h"),
	OPTION_ROW(FLOAT, struct sample, f, .def = "0.1", .max = "1e3", .help = "h"),
	OPTION_ROW_NAMED(DURATION, struct sample, window_ns, "window", .def = "15s", .min = "1s",
			 .max = "5m", .help = "h"),
	OPTION_ROW(SIZE, struct sample, bytes, .def = "2MiB", .help = "h"),
	OPTION_ROW(STRING, struct sample, text, .check = no_x, .help = "h"),
	OPTION_ROW(PATH, struct sample, path, .def = "/tmp", .help = "h"),
	OPTION_ROW(ENUM, struct sample, colour, .choices = colours, .def = "green", .help = "h"),
	OPTION_ROW(LIST, struct sample, list, .choices = colours, .def = "red", .help = "h"),
	OPTION_ROW(MAP, struct sample, map, .help = "h"),
	{0},
};

static struct arena arena;
static struct sample s;
static char error[OPTION_ERROR_MAX];

static int set(const char *name, const char *text)
{
	error[0] = 0;
	return option_parse(option_find(rows, name), text, &s, &arena, error, sizeof(error));
}

static void begin(void)
{
	memset(&s, 0, sizeof(s));
	ASSERT_INT(option_defaults(rows, &s, &arena), 0);
}

static void defaults(void)
{
	begin();
	CU_ASSERT(s.b && s.i == -3 && s.u == 19 && s.f == 0.1);
	CU_ASSERT(s.window_ns == 15 * NS_PER_S && s.bytes == 2 << 20 && s.colour == 1);
	ASSERT_STR(s.text, "");
	ASSERT_STR(s.path, "/tmp");
	ASSERT_INT(s.list.n, 1);
	ASSERT_STR(s.list.items[0], "red");
	ASSERT_INT(s.map.n, 0);
	arena_fini(&arena);
}

static void numbers(void)
{
	begin();
	ASSERT_INT(set("b", "false"), 0);
	ASSERT_INT(set("b", "yes"), -EINVAL);
	ASSERT_STR(error, "'yes' is not true or false");
	ASSERT_INT(set("i", "-6"), -ERANGE);
	ASSERT_INT(set("i", "-5"), 0);
	ASSERT_INT(set("i", "--5"), -EINVAL);
	ASSERT_INT(set("i", "-9223372036854775809"), -ERANGE);
	ASSERT_INT(set("u", "997"), 0);
	ASSERT_INT(set("u", "998"), -ERANGE);
	ASSERT_STR(error, "'998' is out of range: 1 to 997 Hz");
	ASSERT_INT(set("u", "-1"), -EINVAL);
	ASSERT_INT(set("u", "99999999999999999999"), -ERANGE);
	ASSERT_INT(set("f", "1e3"), 0);
	for (const char *const *bad = (const char *const[]){"", "nan", "inf", "0x1p3", "1,5",
							    "1.5.", "1e", "-", NULL};
	     *bad; bad++)
		ASSERT_INT(set("f", *bad), -EINVAL);
	ASSERT_INT(set("f", "1e999"), -ERANGE);
	ASSERT_INT(set("window", "5m"), 0);
	ASSERT_INT(set("window", "301"), -ERANGE);
	ASSERT_INT(set("window", "1w"), -EINVAL);
	ASSERT_INT(set("bytes", "3MB"), -EINVAL);
	ASSERT_INT(set("colour", "blue"), -EINVAL);
	ASSERT_STR(error, "'blue' is not one of red, green");
	CU_ASSERT(!s.b && s.i == -5 && s.u == 997 && s.window_ns == 300 * NS_PER_S);
	arena_fini(&arena);
}

static void strings(void)
{
	static char longest[OPTION_MAX_TEXT + 2];

	begin();
	ASSERT_INT(set("text", "h\xc3\xa9"), 0);
	ASSERT_STR(s.text, "h\xc3\xa9");
	ASSERT_INT(set("text", "axb"), -EINVAL);
	ASSERT_STR(error, "'axb' has an x");
	ASSERT_INT(set("text", "\xff"), -EINVAL);
	ASSERT_INT(set("text", "a\nb"), -EINVAL);
	ASSERT_INT(set("path", "tmp"), -EINVAL);
	ASSERT_INT(set("path", ""), -EINVAL);
	memset(longest, 'a', sizeof(longest) - 1);
	ASSERT_INT(set("text", longest), -ERANGE);
	longest[OPTION_MAX_TEXT] = 0;
	ASSERT_INT(set("text", longest), 0);
	CU_ASSERT(strlen(error) < sizeof(error));
	arena_fini(&arena);
}

static void lists_and_maps(void)
{
	char name[16];
	int err = 0;

	begin();
	ASSERT_INT(set("list", "red,green"), 0);
	ASSERT_INT(s.list.n, 2);
	for (const char *const *bad =
		     (const char *const[]){"red,", ",red", "red,red", "red,blue", NULL};
	     *bad; bad++)
		ASSERT_INT(set("list", *bad), -EINVAL);
	ASSERT_INT(s.list.n, 2);
	ASSERT_STR(s.list.items[1], "green");
	ASSERT_INT(set("list", ""), 0);
	ASSERT_INT(s.list.n, 0);
	ASSERT_INT(set("map", "a"), -EINVAL);
	for (int i = 0; !err; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		err = option_map_set(option_find(rows, "map"), name, "v", false, &s, &arena, error,
				     sizeof(error));
	}
	ASSERT_INT(err, -E2BIG);
	ASSERT_INT(s.map.n, OPTION_MAX_ITEMS);
	ASSERT_INT(option_map_set(option_find(rows, "map"), "n0", "w", false, &s, &arena, error,
				  sizeof(error)),
		   -EEXIST);
	ASSERT_INT(option_map_set(option_find(rows, "map"), "n0", "w", true, &s, &arena, error,
				  sizeof(error)),
		   0);
	ASSERT_STR(s.map.pairs[0].value, "w");
	ASSERT_INT(s.map.n, OPTION_MAX_ITEMS);
	arena_fini(&arena);
}

static void formats(void)
{
	struct buf out = {0};

	begin();
	ASSERT_INT(set("text", "say \"\\\""), 0);
	ASSERT_INT(option_map_set(option_find(rows, "map"), "on", "1", false, &s, &arena, error,
				  sizeof(error)),
		   0);
	for (const struct option_row *row = rows; row->name; row++) {
		option_format(row, &s, &out);
		buf_char(&out, '|');
	}
	ASSERT_STR(out.data, "true|-3|19|0.1|15s|2MiB|\"say \\\"\\\\\\\"\"|/tmp|green|[red]|"
			     "{\"on\": \"1\"}|");
	buf_reset(&out);
	option_describe(option_find(rows, "u"), &out);
	ASSERT_STR(out.data, "integer, 1 to 997 Hz, default 19");
	buf_reset(&out);
	option_describe(option_find(rows, "list"), &out);
	ASSERT_STR(out.data, "list of red, green, default red");
	buf_fini(&out);
	arena_fini(&arena);
}

static void nearest(void)
{
	ASSERT_INT(option_distance("window", "widnow"), 1);
	ASSERT_INT(option_distance("", "abc"), 3);
	ASSERT_INT(option_distance("kitten", "sitting"), 3);
	ASSERT_STR(option_nearest(rows, "widnow")->name, "window");
	ASSERT_STR(option_nearest(rows, "colours")->name, "colour");
	CU_ASSERT_PTR_NULL(option_nearest(rows, "retention"));
}

SUITE(option, {"defaults", defaults}, {"numbers", numbers}, {"strings", strings},
      {"lists and maps", lists_and_maps}, {"formats", formats}, {"nearest", nearest});
