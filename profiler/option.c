// SPDX-License-Identifier: Apache-2.0
/* Option rows, see option.h. One parser a type; bounds and defaults go through the same parser. */
#include "profiler/option.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/utf8.h"

/* A scalar of any type but STRING, PATH, LIST and MAP. */
union number {
	bool b;
	__s64 i;
	__u64 u;
	double f;
};

const char *option_type_text(enum option_type type)
{
	static const char *const texts[] = {
#define X(name, field, text) text,
		OPTION_TYPES(X)
#undef X
	};

	return texts[type];
}

static int parse_bool(const char *text, bool *ret_value)
{
	if (strcmp(text, "true") && strcmp(text, "false"))
		return -EINVAL;
	*ret_value = text[0] == 't';
	return 0;
}

static int parse_int(const char *text, __s64 *ret_value)
{
	bool negative = text[0] == '-';
	__u64 value;
	int err = units_parse_u64(text + negative, &value);

	if (err)
		return err;
	if (value > (__u64)INT64_MAX + negative)
		return -ERANGE;
	*ret_value = negative ? (__s64)(0 - value) : (__s64)value;
	return 0;
}

/* Plain decimals only: strtod alone would also take "inf", "0x1p3" and the locale's comma. */
static int parse_float(const char *text, double *ret_value)
{
	size_t len = strspn(text, "0123456789+-.eE");
	char *end;
	double value;

	if (!len || text[len] || len > 64)
		return -EINVAL;
	value = strtod(text, &end);
	if (*end)
		return -EINVAL;
	if (!isfinite(value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static int parse_choice(const struct option_row *row, const char *text, __s64 *ret_index)
{
	for (__s64 i = 0; row->choices[i]; i++) {
		if (!strcmp(row->choices[i], text)) {
			*ret_index = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const struct option_row *row, const char *text, union number *ret_value)
{
	switch (row->type) {
	case OPTION_BOOL:
		return parse_bool(text, &ret_value->b);
	case OPTION_INT:
		return parse_int(text, &ret_value->i);
	case OPTION_U64:
		return units_parse_u64(text, &ret_value->u);
	case OPTION_FLOAT:
		return parse_float(text, &ret_value->f);
	case OPTION_DURATION:
		return units_parse_duration(text, &ret_value->u);
	case OPTION_SIZE:
		return units_parse_size(text, &ret_value->u);
	case OPTION_ENUM:
		return parse_choice(row, text, &ret_value->i);
	default:
		return -EINVAL;
	}
}

/* -1, 0, 1 as a is below, equal to or above b. */
static int compare(enum option_type type, const union number *a, const union number *b)
{
	switch (type) {
	case OPTION_INT:
		return (a->i > b->i) - (a->i < b->i);
	case OPTION_FLOAT:
		return (a->f > b->f) - (a->f < b->f);
	default:
		return (a->u > b->u) - (a->u < b->u);
	}
}

static bool has_bounds(enum option_type type)
{
	return type == OPTION_INT || type == OPTION_U64 || type == OPTION_FLOAT ||
	       type == OPTION_DURATION || type == OPTION_SIZE;
}

static bool in_bounds(const struct option_row *row, const union number *value)
{
	union number bound;

	if (!has_bounds(row->type))
		return true;
	if (row->min) {
		BUG_ON(parse_number(row, row->min, &bound));
		if (compare(row->type, value, &bound) < 0)
			return false;
	}
	if (row->max) {
		BUG_ON(parse_number(row, row->max, &bound));
		if (compare(row->type, value, &bound) > 0)
			return false;
	}
	return true;
}

static void add_choices(const struct option_row *row, struct buf *out)
{
	for (size_t i = 0; row->choices[i]; i++) {
		if (i)
			buf_str(out, ", ");
		buf_str(out, row->choices[i]);
	}
}

static void add_range(const struct option_row *row, struct buf *out)
{
	const char *unit = row->unit ? row->unit : "";

	if (row->min && row->max)
		buf_printf(out, "%s to %s", row->min, row->max);
	else if (row->min)
		buf_printf(out, "at least %s", row->min);
	else if (row->max)
		buf_printf(out, "at most %s", row->max);
	else
		return;
	if (*unit)
		buf_printf(out, " %s", unit);
}

/* The value is quoted shortened: it may be a page long. */
static int fail(char *error, size_t size, int err, const char *text, const char *why)
{
	snprintf(error, size, "'%.60s%s' %s", text, strlen(text) > 60 ? "..." : "", why);
	return err;
}

static int fail_type(const struct option_row *row, const char *text, char *error, size_t size)
{
	struct buf why = {.limit = OPTION_ERROR_MAX};

	buf_str(&why, "is not ");
	if (row->choices) {
		buf_str(&why, "one of ");
		add_choices(row, &why);
	} else {
		buf_str(&why, option_type_text(row->type));
	}
	fail(error, size, -EINVAL, text, why.data ? why.data : "is wrong");
	buf_fini(&why);
	return -EINVAL;
}

static int fail_range(const struct option_row *row, const char *text, char *error, size_t size)
{
	struct buf why = {.limit = OPTION_ERROR_MAX};

	buf_str(&why, "is out of range: ");
	if (row->min || row->max)
		add_range(row, &why);
	else
		buf_str(&why, "too large");
	fail(error, size, -ERANGE, text, why.data ? why.data : "is out of range");
	buf_fini(&why);
	return -ERANGE;
}

/* What every string must be, whatever it is for: UTF-8 without control characters, bounded. */
static int check_text(const char *text, char *error, size_t size)
{
	size_t left = strlen(text);

	if (left > OPTION_MAX_TEXT)
		return fail(error, size, -ERANGE, text, "is longer than 4095 bytes");
	for (const char *p = text; left;) {
		size_t n = utf8_len(p, left);

		if (n == 0)
			return fail(error, size, -EINVAL, "...", "is not UTF-8 text");
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fail(error, size, -EINVAL, "...", "contains a control character");
		p += n;
		left -= n;
	}
	return 0;
}

static int check_string(const struct option_row *row, const char *text, char *error, size_t size)
{
	int err = check_text(text, error, size);

	if (err)
		return err;
	if (row->type == OPTION_PATH && text[0] != '/' && !(row->may_be_empty && !*text))
		return fail(error, size, -EINVAL, text, "is not an absolute path");
	if (row->type == OPTION_LIST && row->choices) {
		__s64 index;

		if (parse_choice(row, text, &index))
			return fail_type(row, text, error, size);
	}
	return row->check ? row->check(text, error, size) : 0;
}

static void store(const struct option_row *row, const union number *value, void *base)
{
	void *field = (char *)base + row->offset;

	switch (row->type) {
	case OPTION_BOOL:
		*(bool *)field = value->b;
		break;
	case OPTION_INT:
		*(__s64 *)field = value->i;
		break;
	case OPTION_FLOAT:
		*(double *)field = value->f;
		break;
	case OPTION_ENUM:
		*(int *)field = (int)value->i;
		break;
	default:
		*(__u64 *)field = value->u;
		break;
	}
}

static int parse_list(const struct option_row *row, const char *text, void *base,
		      struct arena *arena, char *error, size_t error_size)
{
	struct option_list *field = (struct option_list *)((char *)base + row->offset);
	struct option_list before = *field;
	char item[OPTION_MAX_TEXT + 1];
	int err = 0;

	if (!*text && row->needs_item)
		return fail(error, error_size, -EINVAL, text,
			    "is an empty list: it needs at least one item");
	option_clear(row, base);
	while (*text && !err) {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(item)) {
			err = fail(error, error_size, -ERANGE, text, "is longer than 4095 bytes");
			break;
		}
		memcpy(item, text, len);
		item[len] = 0;
		err = option_list_add(row, item, base, arena, error, error_size);
		text += len;
		if (*text == ',' && !*++text && !err)
			err = fail(error, error_size, -EINVAL, "", "is an empty item");
	}
	if (err)
		*field = before;
	return err;
}

int option_parse(const struct option_row *row, const char *text, void *base, struct arena *arena,
		 char *error, size_t error_size)
{
	union number value;
	int err;

	if (row->type == OPTION_LIST)
		return parse_list(row, text, base, arena, error, error_size);
	if (row->type == OPTION_MAP)
		return fail(error, error_size, -EINVAL, text, "is not names with values");
	if (row->type == OPTION_STRING || row->type == OPTION_PATH) {
		char *copy;

		err = check_string(row, text, error, error_size);
		if (err)
			return err;
		copy = arena_strndup(arena, text, strlen(text));
		if (!copy)
			return fail(error, error_size, -ENOMEM, text, "does not fit into memory");
		*(const char **)((char *)base + row->offset) = copy;
		return 0;
	}
	err = parse_number(row, text, &value);
	if (err == -EINVAL)
		return fail_type(row, text, error, error_size);
	if (err == -ERANGE || !in_bounds(row, &value))
		return fail_range(row, text, error, error_size);
	err = row->check ? row->check(text, error, error_size) : 0;
	if (!err)
		store(row, &value, base);
	return err;
}

void option_clear(const struct option_row *row, void *base)
{
	void *field = (char *)base + row->offset;

	if (row->type == OPTION_LIST)
		((struct option_list *)field)->n = 0;
	else if (row->type == OPTION_MAP)
		((struct option_map *)field)->n = 0;
	else
		BUG_ON(true);
}

int option_list_add(const struct option_row *row, const char *text, void *base, struct arena *arena,
		    char *error, size_t error_size)
{
	struct option_list *list = (struct option_list *)((char *)base + row->offset);
	const char **items;
	char *copy;
	int err = check_string(row, text, error, error_size);

	if (err)
		return err;
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->items[i], text))
			return fail(error, error_size, -EINVAL, text, "is there twice");
	if (list->n == OPTION_MAX_ITEMS)
		return fail(error, error_size, -E2BIG, text, "is one item too many: at most 64");
	/* A block of its own each time: the items of an earlier state stay valid in the arena. */
	items = arena_alloc(arena, (list->n + 1) * sizeof(*items));
	copy = arena_strndup(arena, text, strlen(text));
	if (!items || !copy)
		return fail(error, error_size, -ENOMEM, text, "does not fit into memory");
	if (list->n)
		memcpy(items, list->items, list->n * sizeof(*items));
	items[list->n] = copy;
	*list = (struct option_list){.items = items, .n = list->n + 1};
	return 0;
}

int option_map_set(const struct option_row *row, const char *name, const char *text, bool replace,
		   void *base, struct arena *arena, char *error, size_t error_size)
{
	struct option_map *map = (struct option_map *)((char *)base + row->offset);
	struct option_pair pair, *pairs;
	size_t at = 0;
	int err = check_text(name, error, error_size);

	if (!err && row->check_name)
		err = row->check_name(name, error, error_size);
	if (!err)
		err = check_string(row, text, error, error_size);
	if (err)
		return err;
	while (at < map->n && strcmp(map->pairs[at].name, name))
		at++;
	if (at < map->n && !replace)
		return fail(error, error_size, -EEXIST, name, "is there twice");
	if (at == OPTION_MAX_ITEMS)
		return fail(error, error_size, -E2BIG, name, "is one name too many: at most 64");
	pair.name = arena_strndup(arena, name, strlen(name));
	pair.value = arena_strndup(arena, text, strlen(text));
	pairs = arena_alloc(arena, (map->n + 1) * sizeof(*pairs));
	if (!pair.name || !pair.value || !pairs)
		return fail(error, error_size, -ENOMEM, name, "does not fit into memory");
	if (map->n)
		memcpy(pairs, map->pairs, map->n * sizeof(*pairs));
	pairs[at] = pair;
	*map = (struct option_map){.pairs = pairs, .n = MAX(map->n, at + 1)};
	return 0;
}

int option_defaults(const struct option_row *rows, void *base, struct arena *arena)
{
	char error[OPTION_ERROR_MAX];

	for (const struct option_row *row = rows; row->name; row++) {
		const char *def = row->def;
		int err;

		if (row->type == OPTION_MAP) {
			BUG_ON(def != NULL);
			option_clear(row, base);
			continue;
		}
		if (row->type == OPTION_STRING || row->type == OPTION_PATH ||
		    row->type == OPTION_LIST)
			def = def ? def : "";
		else if (!def)
			continue; /* the struct is zero already */
		err = option_parse(row, def, base, arena, error, sizeof(error));
		if (err == -ENOMEM)
			return err;
		if (err)
			fprintf(stderr, "bianque: default of '%s': %s\n", row->name, error);
		BUG_ON(err);
	}
	return 0;
}

/* Whether YAML reads the text as the same string without quotes. */
static bool is_plain(const char *s)
{
	static const char *const reserved[] = {"true", "false", "null", "yes", "no",
					       "on",   "off",	"y",	"n",   "~"};
	size_t len = strlen(s);

	if (!len || strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			      "_/.-") != len)
		return false;
	if (s[0] == '-' || s[0] == '.' || (s[0] >= '0' && s[0] <= '9'))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (!strcasecmp(s, reserved[i]))
			return false;
	return true;
}

static void add_yaml_string(const char *s, struct buf *out)
{
	if (is_plain(s)) {
		buf_str(out, s);
		return;
	}
	buf_char(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_char(out, '\\');
		buf_char(out, *s);
	}
	buf_char(out, '"');
}

static void add_yaml_float(double value, struct buf *out)
{
	char text[32];

	/* The shortest form that reads back as the same number. */
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_str(out, text);
}

static void add_yaml_items(const struct option_row *row, const void *field, struct buf *out)
{
	const struct option_list *list = field;
	const struct option_map *map = field;
	bool is_list = row->type == OPTION_LIST;
	size_t n = is_list ? list->n : map->n;

	buf_char(out, is_list ? '[' : '{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_str(out, ", ");
		add_yaml_string(is_list ? list->items[i] : map->pairs[i].name, out);
		if (!is_list) {
			buf_str(out, ": ");
			add_yaml_string(map->pairs[i].value, out);
		}
	}
	buf_char(out, is_list ? ']' : '}');
}

void option_format(const struct option_row *row, const void *base, struct buf *out)
{
	const void *field = (const char *)base + row->offset;
	char text[32];

	switch (row->type) {
	case OPTION_BOOL:
		buf_str(out, *(const bool *)field ? "true" : "false");
		break;
	case OPTION_INT:
		buf_printf(out, "%lld", *(const __s64 *)field);
		break;
	case OPTION_U64:
		buf_u64(out, *(const __u64 *)field);
		break;
	case OPTION_FLOAT:
		add_yaml_float(*(const double *)field, out);
		break;
	case OPTION_DURATION:
		units_format_duration(*(const __u64 *)field, text, sizeof(text));
		buf_str(out, text);
		break;
	case OPTION_SIZE:
		units_format_size(*(const __u64 *)field, text, sizeof(text));
		buf_str(out, text);
		break;
	case OPTION_STRING:
	case OPTION_PATH:
		add_yaml_string(*(const char *const *)field, out);
		break;
	case OPTION_ENUM:
		buf_str(out, row->choices[*(const int *)field]);
		break;
	case OPTION_LIST:
	case OPTION_MAP:
		add_yaml_items(row, field, out);
		break;
	}
}

void option_describe(const struct option_row *row, struct buf *out)
{
	static const char *const names[] = {
		[OPTION_BOOL] = "true or false",    [OPTION_INT] = "integer",
		[OPTION_U64] = "integer",	    [OPTION_FLOAT] = "number",
		[OPTION_DURATION] = "duration",	    [OPTION_SIZE] = "size",
		[OPTION_STRING] = "text",	    [OPTION_PATH] = "path",
		[OPTION_ENUM] = "one of ",	    [OPTION_LIST] = "list",
		[OPTION_MAP] = "names with values",
	};
	bool ranged = row->min || row->max;

	buf_str(out, names[row->type]);
	if (row->choices) {
		if (row->type == OPTION_LIST)
			buf_str(out, " of ");
		add_choices(row, out);
	}
	if (row->needs_item)
		buf_str(out, ", not empty");
	if (ranged) {
		buf_str(out, ", ");
		add_range(row, out);
	} else if (row->unit) {
		buf_printf(out, " in %s", row->unit);
	}
	buf_str(out, ", default ");
	if (row->type == OPTION_LIST || row->type == OPTION_MAP)
		buf_str(out, row->def && *row->def ? row->def : "empty");
	else if (row->type == OPTION_BOOL)
		buf_str(out, row->def ? row->def : "false");
	else if (row->type == OPTION_STRING || row->type == OPTION_PATH)
		buf_str(out, row->def && *row->def ? row->def : "none");
	else if (row->type == OPTION_ENUM)
		buf_str(out, row->def ? row->def : row->choices[0]);
	else
		buf_str(out, row->def ? row->def : "0");
}

const struct option_row *option_find(const struct option_row *rows, const char *name)
{
	for (; rows->name; rows++)
		if (!strcmp(rows->name, name))
			return rows;
	return NULL;
}

/* Damerau-Levenshtein, adjacent swaps only ("optimal string alignment"). */
unsigned option_distance(const char *a, const char *b)
{
	enum { MAX_LEN = 64 };
	unsigned rows[3][MAX_LEN + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > MAX_LEN || nb > MAX_LEN)
		return strcmp(a, b) ? UINT32_MAX : 0;
	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = rows[i % 3];
		const unsigned *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, up[j] + 1);
			d = MIN(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, up2[j - 2] + 1);
			now[j] = d;
		}
	}
	return rows[na % 3][nb];
}

bool option_is_near(unsigned distance, const char *name)
{
	return distance <= 1 + strlen(name) / 4;
}

const struct option_row *option_nearest(const struct option_row *rows, const char *name)
{
	const struct option_row *best = NULL;
	unsigned least = UINT32_MAX;

	for (; rows->name; rows++) {
		unsigned d = option_distance(name, rows->name);

		if (d < least) {
			least = d;
			best = rows;
		}
	}
	return best && option_is_near(least, name) ? best : NULL;
}
