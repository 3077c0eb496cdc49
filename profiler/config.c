// SPDX-License-Identifier: Apache-2.0
/* Loading, dumping and describing the configuration; see config.h. */
#include "profiler/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/fs.h"
#include "profiler/config_yaml.h"
#include "profiler/secret.h"

#define CONFIG_MAX_MEMORY (16u << 20)

REGISTRY(config_sections, const struct config_section);

struct config {
	struct arena arena; /* every string, list and map */
	void **values;	    /* by index in config_sections() */
};

static int by_order(const void *pa, const void *pb)
{
	const struct config_section *a = *(const struct config_section *const *)pa;
	const struct config_section *b = *(const struct config_section *const *)pb;

	return a->order != b->order ? (a->order < b->order ? -1 : 1) : strcmp(a->name, b->name);
}

const struct config_section *const *config_sections(size_t *ret_n)
{
	static const struct config_section *sorted[CONFIG_MAX_SECTIONS];
	static size_t n;

	if (n == 0) {
		registry_for_each (config_sections, it) {
			BUG_ON(n == CONFIG_MAX_SECTIONS);
			sorted[n++] = *it;
		}
		qsort(sorted, n, sizeof(*sorted), by_order);
	}
	*ret_n = n;
	return sorted;
}

static size_t section_index(const struct config_section *section)
{
	size_t n, i = 0;
	const struct config_section *const *list = config_sections(&n);

	while (i < n && list[i] != section)
		i++;
	BUG_ON(i == n);
	return i;
}

const void *config_get(const struct config *config, const struct config_section *section)
{
	return config->values[section_index(section)];
}

static struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	if (!config)
		return NULL;
	config->arena.limit = CONFIG_MAX_MEMORY;
	config->values = arena_zalloc(&config->arena, (n + 1) * sizeof(*config->values));
	for (size_t i = 0; config->values && i < n; i++) {
		config->values[i] = arena_zalloc(&config->arena, list[i]->size);
		if (!config->values[i] ||
		    option_defaults(list[i]->rows, config->values[i], &config->arena)) {
			config_free(config);
			return NULL;
		}
	}
	if (!config->values) {
		config_free(config);
		return NULL;
	}
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	arena_fini(&config->arena);
	free(config);
}

/* ---- one file ----------------------------------------------------------------------- */

/* Where the walk stands, and on which line each section and key was seen. */
struct loading {
	struct config *config;
	bool check_secrets;
	const struct config_section *section;
	size_t index; /* of the section */
	const struct option_row *row;
	size_t *section_line;
	size_t **row_line;
};

static const struct config_section *find_section(const char *name, size_t *ret_index)
{
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i]->name, name)) {
			*ret_index = i;
			return list[i];
		}
	}
	return NULL;
}

static int unknown_section(const char *name, char *error, size_t size)
{
	const struct config_section *best = NULL;
	unsigned least = UINT32_MAX;
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	for (size_t i = 0; i < n; i++) {
		unsigned d = option_distance(name, list[i]->name);

		if (d < least) {
			least = d;
			best = list[i];
		}
	}
	if (best && option_is_near(least, name)) {
		snprintf(error, size, "unknown section '%.60s'; did you mean '%s'?", name,
			 best->name);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (option_find(list[i]->rows, name)) {
			snprintf(error, size, "'%.60s' is a key of section '%s'; put it below that",
				 name, list[i]->name);
			return -1;
		}
	}
	snprintf(error, size, "unknown section '%.60s'; `bianque config` lists them", name);
	return -1;
}

/* Says what is likely meant: a secret, a key of another section, a typing error. */
static int unknown_key(const struct config_section *section, const char *key, char *error,
		       size_t size)
{
	const struct option_row *near = option_nearest(section->rows, key);
	char file[128];
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	snprintf(file, sizeof(file), "%.100s_file", key);
	if (option_find(section->rows, file)) {
		snprintf(error, size,
			 "secrets are not written here; put it into a file (mode 0600) and name "
			 "that with '%s'",
			 file);
		return -1;
	}
	for (size_t i = 0; i < n && !near; i++) {
		if (option_find(list[i]->rows, key)) {
			snprintf(error, size,
				 "unknown key '%.60s' in section '%s'; section '%s' has it", key,
				 section->name, list[i]->name);
			return -1;
		}
	}
	if (near)
		snprintf(error, size, "unknown key '%.60s' in section '%s'; did you mean '%s'?",
			 key, section->name, near->name);
	else
		snprintf(error, size,
			 "unknown key '%.60s' in section '%s'; `bianque config` lists its keys",
			 key, section->name);
	return -1;
}

static int on_section(void *arg, const char *name, size_t line, char *error, size_t size)
{
	struct loading *l = arg;

	l->section = find_section(name, &l->index);
	if (!l->section)
		return unknown_section(name, error, size);
	if (l->section_line[l->index]) {
		snprintf(error, size, "section '%s' is there twice, first on line %zu", name,
			 l->section_line[l->index]);
		return -1;
	}
	l->section_line[l->index] = line;
	return 0;
}

static int on_key(void *arg, const char *key, size_t line, enum config_shape *ret_shape,
		  char *error, size_t size)
{
	struct loading *l = arg;
	size_t *seen;

	l->row = option_find(l->section->rows, key);
	if (!l->row)
		return unknown_key(l->section, key, error, size);
	seen = &l->row_line[l->index][l->row - l->section->rows];
	if (*seen) {
		snprintf(error, size, "key '%s' is there twice, first on line %zu", key, *seen);
		return -1;
	}
	*seen = line;
	*ret_shape = l->row->needs_item		   ? CONFIG_SOME_ITEMS
		     : l->row->type == OPTION_LIST ? CONFIG_ITEMS
		     : l->row->type == OPTION_MAP  ? CONFIG_NAMES
						   : CONFIG_SCALAR;
	if (*ret_shape != CONFIG_SCALAR)
		option_clear(l->row, l->config->values[l->index]);
	return 0;
}

/* One value that is neither an item nor named. */
static int set_value(const struct loading *l, const char *text, char *error, size_t size)
{
	int err = option_parse(l->row, text, l->config->values[l->index], &l->config->arena, error,
			       size);

	if (!err && l->check_secrets && l->row->is_secret && *text)
		err = secret_check(text, error, size);
	return err;
}

static int on_value(void *arg, const char *name, const char *text, char *error, size_t size)
{
	struct loading *l = arg;
	void *base = l->config->values[l->index];
	char why[OPTION_ERROR_MAX];
	int err;

	if (name)
		err = option_map_set(l->row, name, text, false, base, &l->config->arena, why,
				     sizeof(why));
	else if (l->row->type == OPTION_LIST)
		err = option_list_add(l->row, text, base, &l->config->arena, why, sizeof(why));
	else
		err = set_value(l, text, why, sizeof(why));
	if (err)
		snprintf(error, size, "%s.%s: %.400s", l->section->name, l->row->name, why);
	return err ? -1 : 0;
}

/* The tables of lines seen; NULL-safe frees are the arena's. */
static bool loading_init(struct loading *l, struct config *config, struct arena *scratch)
{
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	l->config = config;
	l->section_line = arena_zalloc(scratch, (n + 1) * sizeof(*l->section_line));
	l->row_line = arena_zalloc(scratch, (n + 1) * sizeof(*l->row_line));
	for (size_t i = 0; l->row_line && i < n; i++) {
		size_t rows = 0;

		while (list[i]->rows[rows].name)
			rows++;
		l->row_line[i] = arena_zalloc(scratch, (rows + 1) * sizeof(**l->row_line));
		if (!l->row_line[i])
			return false;
	}
	return l->section_line && l->row_line;
}

static void load_file(struct config *config, const struct config_source *source,
		      struct config_errors *errors)
{
	struct loading l = {.check_secrets = source->check_secrets};
	struct config_walk walk = {
		.arg = &l, .section = on_section, .key = on_key, .value = on_value};
	struct arena scratch = {0};
	struct buf text = {0};
	int err = fs_read(AT_FDCWD, source->path, CONFIG_MAX_BYTES, &text);

	if (err == -ENOENT && source->may_be_missing)
		err = 0;
	else if (err == -EFBIG)
		config_error(errors, 0, 0, "larger than 1 MiB; this is no configuration of ours");
	else if (err == -EACCES || err == -EPERM)
		config_error(errors, 0, 0, "cannot be read: %s; run as root or change its owner",
			     strerror(-err));
	else if (err)
		config_error(errors, 0, 0, "cannot be read: %s", strerror(-err));
	else if (!loading_init(&l, config, &scratch))
		config_error(errors, 0, 0, "out of memory");
	else
		config_walk_yaml(text.data ? text.data : "", text.len, &walk, errors);
	arena_fini(&scratch);
	buf_fini(&text);
}

/* ---- --set ----------------------------------------------------------------------- */

/* SECTION.KEY=VALUE, or SECTION.KEY.NAME=VALUE for a map. 0 or -1 with why in error. */
static int apply_set(struct config *config, const struct config_source *source, const char *set,
		     char *error, size_t size)
{
	const char *equals = strchr(set, '='), *dot = strchr(set, '.');
	struct loading l = {.config = config, .check_secrets = source->check_secrets};
	char path[256], why[OPTION_ERROR_MAX];
	char *key, *name;
	int err;

	if (!equals || !dot || dot > equals || (size_t)(equals - set) >= sizeof(path)) {
		snprintf(error, size, "SECTION.KEY=VALUE is needed, like profile.hz=99");
		return -1;
	}
	snprintf(path, sizeof(path), "%.*s", (int)(equals - set), set);
	key = path + (dot - set);
	*key++ = 0;
	l.section = find_section(path, &l.index);
	if (!l.section)
		return unknown_section(path, error, size);
	name = strchr(key, '.');
	if (name)
		*name++ = 0;
	l.row = option_find(l.section->rows, key);
	if (!l.row)
		return unknown_key(l.section, key, error, size);
	if (!!name != (l.row->type == OPTION_MAP)) {
		snprintf(error, size, "%s.%s %s", l.section->name, key,
			 name ? "has no names below it"
			      : "needs a name too, like agent.labels.env=prod");
		return -1;
	}
	if (name)
		err = option_map_set(l.row, name, equals + 1, true, config->values[l.index],
				     &config->arena, why, sizeof(why));
	else
		err = set_value(&l, equals + 1, why, sizeof(why));
	if (err)
		snprintf(error, size, "%s.%s: %.400s", l.section->name, key, why);
	return err ? -1 : 0;
}

/* ---- the whole ----------------------------------------------------------------------- */

static void check_relations(const struct config *config, struct config_errors *errors)
{
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	for (size_t i = 0; i < n; i++) {
		char error[OPTION_ERROR_MAX];

		if (list[i]->check && list[i]->check(config->values[i], error, sizeof(error)))
			config_error(errors, 0, 0, "section '%s': %s", list[i]->name, error);
	}
}

struct config *config_load(const struct config_source *source, struct buf *errors)
{
	struct config_errors e = {.out = errors, .file = source->path ? source->path : "--set"};
	struct config *config = config_new();

	if (!config) {
		config_error(&e, 0, 0, "out of memory");
		return NULL;
	}
	if (source->path)
		load_file(config, source, &e);
	for (size_t i = 0; i < source->n_sets; i++) {
		char error[OPTION_ERROR_MAX];
		struct config_errors at = {.out = errors, .file = "--set", .n = e.n};

		if (apply_set(config, source, source->sets[i], error, sizeof(error)))
			config_error(&at, 0, 0, "'%.100s': %s", source->sets[i], error);
		e.n = at.n;
	}
	if (e.n == 0)
		check_relations(config, &e);
	if (e.n > CONFIG_MAX_ERRORS)
		buf_printf(errors, "%s: %u more errors\n", e.file, e.n - CONFIG_MAX_ERRORS);
	if (e.n) {
		config_free(config);
		return NULL;
	}
	return config;
}

void config_dump(const struct config *config, struct buf *out)
{
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	buf_str(out, "# Bianque's configuration, with the values in force.\n");
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "\n# %s\n%s:\n", list[i]->help, list[i]->name);
		for (const struct option_row *row = list[i]->rows; row->name; row++) {
			buf_printf(out, "  # %s (", row->help);
			option_describe(row, out);
			buf_printf(out, ")\n  %s: ", row->name);
			option_format(row, config->values[i], out);
			buf_char(out, '\n');
		}
	}
}

void config_describe(struct buf *out)
{
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s%s: %s\n", i ? "\n" : "", list[i]->name, list[i]->help);
		for (const struct option_row *row = list[i]->rows; row->name; row++) {
			buf_printf(out, "  %-20s ", row->name);
			option_describe(row, out);
			buf_printf(out, "\n  %-20s %s\n", "", row->help);
		}
	}
}
