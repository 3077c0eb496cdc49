/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML half of config.c: walks libyaml's events and hands over one (section, key, value) at a
 * time with its position; knows nothing of rows and types. Errors of syntax and structure it
 * reports itself; those of meaning come back from the callbacks and are reported at the value's
 * position.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/buf.h"
#include "profiler/base/check.h"

struct config_errors {
	struct buf *out;
	const char *file;
	unsigned n;
};
/* Add FILE:LINE:COLUMN: text; counts beyond CONFIG_MAX_ERRORS are only counted. Line 0: none. */
void config_error(struct config_errors *errors, size_t line, size_t column, const char *fmt, ...)
	PRINTF(4, 5);

/* What may stand under a key; SOME_ITEMS: at least one. */
enum config_shape {
	CONFIG_SCALAR,
	CONFIG_ITEMS,
	CONFIG_SOME_ITEMS,
	CONFIG_NAMES,
	CONFIG_UNKNOWN,
};

/* Each answers 0, or -1 with a sentence in error (then the node below it is skipped). */
struct config_walk {
	void *arg;
	int (*section)(void *arg, const char *name, size_t line, char *error, size_t size);
	int (*key)(void *arg, const char *key, size_t line, enum config_shape *ret_shape,
		   char *error, size_t size);
	/* A value, an item of a list, or a named value of a map (name else NULL). */
	int (*value)(void *arg, const char *name, const char *text, char *error, size_t size);
};

/* Walk one document. Problems are in errors. */
void config_walk_yaml(const void *data, size_t len, const struct config_walk *walk,
		      struct config_errors *errors);
