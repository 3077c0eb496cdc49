/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: one YAML file (/etc/bianque/bianque.yaml) with one block per section, and
 * --set SECTION.KEY=VALUE on top of it. A section is a plain struct with option rows (option.h)
 * that its owner registers; nothing lists the sections, so a module brings its own:
 *
 *	struct store_config { __u64 retention_ns; };                    // store.h
 *	extern const struct config_section store_section;
 *	CONFIG_SECTION(store, struct store_config, rows, .help = ...);  // store.c
 *	const struct store_config *c = config_get(config, &store_section);
 *
 * A struct config is immutable once loaded. Reloading parses the whole file into a new one; the
 * caller swaps it in, or keeps the old one when there were errors, so a bad file never half
 * applies. YAML subset: one document, block or flow style, two levels; anchors, aliases, tags and
 * merges are refused by name. Bounds: file 1 MiB, nesting 8, the rows' own limits; 20 errors are
 * shown.
 *
 * Secrets are never values here: their keys end in _file and name a file (secret.h), and an inline
 * one is refused with a pointer to that key. So --dump shows everything.
 *
 * Loading happens on the agent's thread; reading a loaded config from any thread.
 */
#pragma once

#include "profiler/base/arena.h"
#include "profiler/base/buf.h"
#include "profiler/base/registry.h"
#include "profiler/option.h"

#define CONFIG_DEFAULT_PATH "/etc/bianque/bianque.yaml"
#define CONFIG_MAX_BYTES    (1u << 20)
#define CONFIG_MAX_ERRORS   20
#define CONFIG_MAX_SECTIONS 256

struct config_section {
	const char *name;
	const char *help;	       /* one line, lower case, no full stop */
	int order;		       /* in help and dump; equal ones by name */
	const struct option_row *rows; /* ends with an empty row */
	size_t size;		       /* of the section's struct */
	/* Relations between keys, after all of them are known. 0, or -EINVAL with why in error. */
	int (*check)(const void *values, char *error, size_t size);
};

#define CONFIG_SECTION(name_, struct_, rows_, ...)                                                 \
	const struct config_section name_##_section = {                                            \
		.name = #name_, .rows = rows_, .size = sizeof(struct_), __VA_ARGS__};              \
	REGISTER(config_sections, const struct config_section, name_##_section)

/* Where a configuration comes from; kept by the caller for reloading. */
struct config_source {
	const char *path;	 /* NULL: no file, defaults only */
	bool may_be_missing;	 /* a file that does not exist stands for an empty one */
	const char *const *sets; /* SECTION.KEY=VALUE, applied in order after the file */
	size_t n_sets;
	/* Files that *_file keys name must hold a usable secret now (secret_check). The agent does
	 * not ask for it: HTTP refuses to serve without its own, the others may come later. */
	bool check_secrets;
};

struct config;

/* Load all of it. NULL when there is any error; `errors` then holds one line each,
 * FILE:LINE:COLUMN: what and what to do. Free with config_free. */
struct config *config_load(const struct config_source *source, struct buf *errors);
void config_free(struct config *config);

/* The section's struct, valid until config_free. */
const void *config_get(const struct config *config, const struct config_section *section);

/* Every registered section by order; the list is the registry's, in static memory. */
const struct config_section *const *config_sections(size_t *ret_n);

/* The effective values as a YAML file that loads back to the same, each key with its help. */
void config_dump(const struct config *config, struct buf *out);
/* Every key with type, range, unit, default and help, for reading. */
void config_describe(struct buf *out);
