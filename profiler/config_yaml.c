// SPDX-License-Identifier: Apache-2.0
/* libyaml's events to (section, key, value), see config_yaml.h. */
#include "profiler/config_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "profiler/base/plain.h"
#include "profiler/config.h"

#define MAX_DEPTH 8

struct walker {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool failed;	    /* the stream cannot go on */
	const char *text;   /* the whole document, to name what a syntax error stands on */
	size_t len;
	const struct config_walk *walk;
	struct config_errors *errors;
};

void config_error(struct config_errors *errors, size_t line, size_t column, const char *fmt, ...)
{
	size_t start = errors->out->len;
	va_list args;

	if (++errors->n > CONFIG_MAX_ERRORS)
		return;
	if (line)
		buf_printf(errors->out, "%s:%zu:%zu: ", errors->file, line, column);
	else
		buf_printf(errors->out, "%s: ", errors->file);
	va_start(args, fmt);
	buf_vprintf(errors->out, fmt, args);
	va_end(args);
	/* Quoted names come from the file: no control character may reach the terminal. */
	if (errors->out->len > start) {
		char *text = errors->out->data + start;

		errors->out->len = start + plain_text(text, text, errors->out->len - start);
	}
	buf_char(errors->out, '\n');
}

/* Report at the current event. */
static void complain(struct walker *w, const char *why)
{
	config_error(w->errors, w->event.start_mark.line + 1, w->event.start_mark.column + 1, "%s",
		     why);
}

/* Decoding errors carry only a byte offset. */
static void report_encoding(struct walker *w)
{
	size_t at = MIN(w->parser.problem_offset, w->len), line = 1, start = 0;

	for (size_t i = 0; i < at; i++) {
		if (w->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	config_error(w->errors, line, at - start + 1,
		     "not readable as UTF-8 text (%s, byte 0x%02x); save the file as UTF-8",
		     w->parser.problem ? w->parser.problem : "bad byte",
		     at < w->len ? (unsigned char)w->text[at] : 0);
}

static void report_syntax(struct walker *w)
{
	const yaml_parser_t *p = &w->parser;
	const yaml_mark_t *mark = &p->problem_mark;
	bool tab = mark->index < w->len && w->text[mark->index] == '\t';

	w->failed = true;
	if (p->error == YAML_READER_ERROR)
		report_encoding(w);
	else if (p->error == YAML_MEMORY_ERROR)
		config_error(w->errors, 0, 0, "out of memory while parsing");
	else if (tab)
		config_error(w->errors, mark->line + 1, mark->column + 1,
			     "a tab stands here; YAML is indented with spaces");
	else
		config_error(w->errors, mark->line + 1, mark->column + 1, "not valid YAML: %s%s%s",
			     p->problem ? p->problem : "unknown problem", p->context ? " " : "",
			     p->context ? p->context : "");
}

/* Replace w->event by the next one; false when the stream ended in an error. */
static bool next(struct walker *w)
{
	const yaml_event_t *e = &w->event;
	const void *anchor = NULL, *tag = NULL;

	if (w->failed)
		return false;
	yaml_event_delete(&w->event);
	if (!yaml_parser_parse(&w->parser, &w->event)) {
		report_syntax(w);
		return false;
	}
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		anchor = e->data.alias.anchor;
		break;
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (!anchor && !tag)
		return true;
	complain(w, anchor ? "anchors and aliases are not supported; write the value out"
			   : "tags (!...) are not supported; write the plain value");
	w->failed = true;
	return false;
}

static bool is_scalar(const struct walker *w)
{
	return w->event.type == YAML_SCALAR_EVENT;
}

static const char *scalar(const struct walker *w)
{
	return (const char *)w->event.data.scalar.value;
}

/* `key:` with nothing, or ~ or null. A scalar with a NUL inside is no null. */
static bool is_null(const struct walker *w)
{
	const char *s = scalar(w);

	return w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*s || !strcmp(s, "~") || !strcmp(s, "null"));
}

/* A C string stops at a NUL that "\0" may have put in: such a scalar is none of ours. */
static bool has_nul(const struct walker *w)
{
	return strlen(scalar(w)) != w->event.data.scalar.length;
}

/* Step over the node whose first event is current, leaving its last event current. */
static void skip(struct walker *w)
{
	unsigned depth = 0;

	for (;;) {
		switch (w->event.type) {
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			depth++;
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			depth--;
			break;
		default:
			break;
		}
		if (depth == 0)
			return;
		if (depth > MAX_DEPTH) {
			complain(w, "nested too deeply");
			w->failed = true;
			return;
		}
		if (!next(w))
			return;
	}
}

static void take_value(struct walker *w, const char *name)
{
	char error[OPTION_ERROR_MAX];

	if (has_nul(w))
		complain(w, "a value may not contain \\0");
	else if (w->walk->value(w->walk->arg, name, scalar(w), error, sizeof(error)))
		complain(w, error);
}

/* The items of a list. How many there were. */
static size_t walk_items(struct walker *w)
{
	size_t n = 0;

	for (; next(w) && w->event.type != YAML_SEQUENCE_END_EVENT; n++) {
		if (is_scalar(w) && !is_null(w)) {
			take_value(w, NULL);
		} else {
			complain(w, "an item of this list must be a single value");
			skip(w);
		}
	}
	return n;
}

/* The name of the next pair of a mapping, copied; false at the end of the mapping. What is no
 * usable name is reported and stepped over with its value. */
static bool next_name(struct walker *w, const char *what, char *name, size_t size)
{
	for (;;) {
		if (!next(w) || w->event.type == YAML_MAPPING_END_EVENT)
			return false;
		if (is_scalar(w) && !is_null(w) && !has_nul(w) && strlen(scalar(w)) < size) {
			strcpy(name, scalar(w));
			return true;
		}
		config_error(w->errors, w->event.start_mark.line + 1,
			     w->event.start_mark.column + 1, "%s must be a short name", what);
		skip(w);
		if (!next(w))
			return false;
		skip(w);
	}
}

static void walk_names(struct walker *w)
{
	char name[OPTION_ERROR_MAX];

	while (next_name(w, "a name here", name, sizeof(name)) && next(w)) {
		if (is_scalar(w) && !is_null(w)) {
			take_value(w, name);
		} else {
			complain(w, "a single value is needed here");
			skip(w);
		}
	}
}

/* The current event begins the value of `key`. */
static void walk_value(struct walker *w, const char *key, enum config_shape shape)
{
	yaml_mark_t begin = w->event.start_mark;
	bool none = shape != CONFIG_SCALAR && is_scalar(w) && is_null(w);
	bool list = (shape == CONFIG_ITEMS || shape == CONFIG_SOME_ITEMS) &&
		    w->event.type == YAML_SEQUENCE_START_EVENT;

	if (shape == CONFIG_SCALAR && is_scalar(w)) {
		if (is_null(w))
			config_error(w->errors, w->event.start_mark.line + 1,
				     w->event.start_mark.column + 1,
				     "'%s' has no value; give it one, \"\" for none, or remove it",
				     key);
		else
			take_value(w, NULL);
		return;
	}
	if (none || list) { /* `labels:` with nothing below: none */
		if ((none || !walk_items(w)) && shape == CONFIG_SOME_ITEMS && !w->failed)
			config_error(w->errors, begin.line + 1, begin.column + 1,
				     "'%s' needs at least one item; give it one, or remove the key "
				     "for its default",
				     key);
		return;
	}
	if (shape == CONFIG_NAMES && w->event.type == YAML_MAPPING_START_EVENT) {
		walk_names(w);
		return;
	}
	skip(w);
	if (shape != CONFIG_UNKNOWN && !w->failed) /* what does not end is said by the parser */
		config_error(w->errors, begin.line + 1, begin.column + 1, "'%s' needs %s here", key,
			     shape == CONFIG_SCALAR  ? "a single value"
			     : shape == CONFIG_NAMES ? "names with values, like {env: prod},"
						     : "a list, like [a, b],");
}

static void walk_keys(struct walker *w)
{
	char key[128], error[OPTION_ERROR_MAX];

	while (next_name(w, "a key", key, sizeof(key))) {
		enum config_shape shape = CONFIG_UNKNOWN;

		if (w->walk->key(w->walk->arg, key, w->event.start_mark.line + 1, &shape, error,
				 sizeof(error))) {
			complain(w, error);
			shape = CONFIG_UNKNOWN;
		}
		if (!next(w))
			return;
		walk_value(w, key, shape);
	}
}

static void walk_sections(struct walker *w)
{
	char name[128], error[OPTION_ERROR_MAX];

	while (next_name(w, "a section", name, sizeof(name))) {
		int bad = w->walk->section(w->walk->arg, name, w->event.start_mark.line + 1, error,
					   sizeof(error));

		if (bad)
			complain(w, error);
		if (!next(w))
			return;
		if (!bad && w->event.type == YAML_MAPPING_START_EVENT) {
			walk_keys(w);
			continue;
		}
		/* A section whose keys are all commented out is an empty one. */
		if (!bad && !(is_scalar(w) && is_null(w)))
			config_error(w->errors, w->event.start_mark.line + 1,
				     w->event.start_mark.column + 1,
				     "section '%s' needs its keys below it, indented", name);
		skip(w);
	}
}

static void walk_document(struct walker *w)
{
	if (!next(w) || !next(w)) /* stream start, document start or stream end */
		return;
	if (w->event.type == YAML_STREAM_END_EVENT)
		return;
	if (!next(w))
		return;
	if (w->event.type == YAML_MAPPING_START_EVENT) {
		walk_sections(w);
	} else if (!(is_scalar(w) && is_null(w))) {
		complain(w, "sections are needed here, like `profile:` with keys below it");
		skip(w);
	}
	if (!next(w) || !next(w)) /* document end, and what follows it */
		return;
	if (w->event.type != YAML_STREAM_END_EVENT)
		complain(w, "a second document (---) is not supported");
}

void config_walk_yaml(const void *data, size_t len, const struct config_walk *walk,
		      struct config_errors *errors)
{
	struct walker w = {.text = data, .len = len, .walk = walk, .errors = errors};

	if (!yaml_parser_initialize(&w.parser)) {
		config_error(errors, 0, 0, "out of memory while parsing");
		return;
	}
	yaml_parser_set_input_string(&w.parser, data, len);
	walk_document(&w);
	yaml_event_delete(&w.event);
	yaml_parser_delete(&w.parser);
}
