/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option rows: a setting is described once, as a row of a table, and everything else comes from the
 * row: its default, its parsing, its range errors, its line in `bianque config`, in --dump and in
 * the errors of a query string. Sections of the configuration file (config.h) and the query keys of
 * HTTP routes (http/http.h) are tables of rows over a plain struct.
 *
 *	struct sampling { __u64 hz; __u64 window_ns; };
 *	static const struct option_row rows[] = {
 *		OPTION_ROW(U64, struct sampling, hz, .def = "19", .min = "1", .max = "997",
 *			   .unit = "Hz", .help = "samples a second on each CPU"),
 *		OPTION_ROW_NAMED(DURATION, struct sampling, window_ns, "window", .def = "15s",
 *				 .min = "1s", .max = "5m", .help = "length of one profile"),
 *		{0},
 *	};
 *
 * Defaults and bounds are text in the user's own notation, read by the parser that reads the user's
 * value; a unit test parses every registered row. Strings, lists and maps live in the caller's
 * arena. No thread of its own; any thread, one struct at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/arena.h"
#include "profiler/base/buf.h"
#include "profiler/base/check.h"

#define OPTION_MAX_TEXT	 4095 /* bytes of one string value */
#define OPTION_MAX_ITEMS 64   /* of a list or map */
#define OPTION_ERROR_MAX 512  /* bytes of an error text, the NUL included */

/* name, field type, what an error calls it */
#define OPTION_TYPES(X)                                                                            \
	X(BOOL, bool, "true or false")                                                             \
	X(INT, __s64, "a whole number")                                                            \
	X(U64, __u64, "a whole number, not negative")                                              \
	X(FLOAT, double, "a number")                                                               \
	X(DURATION, __u64, "a duration such as 500ms, 15s, 5m, 1h or 1d")                          \
	X(SIZE, __u64, "a size in bytes or such as 64KiB, 40MiB or 2GiB")                          \
	X(STRING, const char *, "text")                                                            \
	X(PATH, const char *, "an absolute path")                                                  \
	X(ENUM, int, "one of its names")                                                           \
	X(LIST, struct option_list, "a list")                                                      \
	X(MAP, struct option_map, "names with values")

enum option_type {
#define X(name, type, text) OPTION_##name,
	OPTION_TYPES(X)
#undef X
};

struct option_list {
	const char **items;
	size_t n;
};

struct option_map {
	struct option_pair {
		const char *name, *value;
	} * pairs; /* in the order given */
	size_t n;
};

struct option_row {
	const char *name; /* lower snake; NULL ends the table */
	enum option_type type;
	__u32 offset;	       /* of the field */
	const char *def;       /* default; NULL: false, 0, "", empty. A list's is comma-separated */
	const char *min, *max; /* inclusive; NULL: what the type holds */
	/* Of ENUM (the field holds the index) and of LIST items; ends with NULL. */
	const char *const *choices;
	const char *unit, *help; /* help: one line, lower case, no full stop */
	bool may_be_empty;	 /* a PATH that may be "" (= off) */
	bool is_secret;		 /* a PATH of a file as secret.h reads them; config_load can look */
	bool needs_item;	 /* a LIST that may not be empty; its default is not */
	/* Further checks of a value (of each item or map value): 0, or -EINVAL/-ERANGE with why in
	 * error. check_name: the same for the names of a map. */
	int (*check)(const char *text, char *error, size_t size);
	int (*check_name)(const char *text, char *error, size_t size);
};

/* The field's type is checked against the row's by the compiler. */
#define OPTION_ROW(type_, struct_, field_, ...)                                                    \
	OPTION_ROW_NAMED(type_, struct_, field_, #field_, __VA_ARGS__)
/* For a key that is not called as its field (window of window_ns). */
#define OPTION_ROW_NAMED(type_, struct_, field_, name_, ...)                                       \
	{                                                                                          \
		.name = name_, .type = OPTION_##type_,                                             \
		.offset = OPTION_OFFSET(struct_, field_, option_field_##type_), __VA_ARGS__        \
	}
#define OPTION_OFFSET(struct_, field_, want_)                                                      \
	(offsetof(struct_, field_) +                                                               \
	 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((struct_ *)0)->field_), want_)   \
				 ? 1                                                               \
				 : -1]))
#define X(name, type, text) typedef type option_field_##name;
OPTION_TYPES(X)
#undef X

/* Fill base with the rows' defaults. 0 or -ENOMEM; a default that does not parse is a bug. */
MUST_CHECK int option_defaults(const struct option_row *rows, void *base, struct arena *arena);

/* Parse text into the row's field. A list is comma-separated here; a map is refused. 0, -EINVAL
 * (not of the type, or not a choice), -ERANGE (out of bounds), -ENOMEM; error then holds a sentence
 * part that begins with the value ("'x' is not ..."). The field is untouched on failure. */
MUST_CHECK int option_parse(const struct option_row *row, const char *text, void *base,
			    struct arena *arena, char *error, size_t error_size);
/* Empty a list or map (before the items of a file replace the default). */
void option_clear(const struct option_row *row, void *base);
/* Append to a LIST; errors as above, -E2BIG past OPTION_MAX_ITEMS. */
MUST_CHECK int option_list_add(const struct option_row *row, const char *text, void *base,
			       struct arena *arena, char *error, size_t error_size);
/* Set name in a MAP; errors as above, -EEXIST when it is there and may not be replaced. */
MUST_CHECK int option_map_set(const struct option_row *row, const char *name, const char *text,
			      bool replace, void *base, struct arena *arena, char *error,
			      size_t error_size);

/* The field as text that parses back to the same value; lists and maps in YAML flow style, strings
 * quoted where YAML needs it. */
void option_format(const struct option_row *row, const void *base, struct buf *out);
/* "integer, 1 to 997 Hz, default 19": type, range, unit and default as help prints them. */
void option_describe(const struct option_row *row, struct buf *out);
/* What an error calls the type: "true or false", "a whole number", ... */
const char *option_type_text(enum option_type type);

/* The row of that name, or NULL. */
const struct option_row *option_find(const struct option_row *rows, const char *name);
/* Edits between two names (a swap of neighbours counts one); beyond 64 bytes only equality counts.
 */
unsigned option_distance(const char *a, const char *b);
/* The row whose name is so near that a typing error is likely, or NULL. */
const struct option_row *option_nearest(const struct option_row *rows, const char *name);
/* True when `distance` edits of a name of that length are likely a typing error. */
bool option_is_near(unsigned distance, const char *name);
