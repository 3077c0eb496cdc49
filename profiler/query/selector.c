// SPDX-License-Identifier: Apache-2.0
/* Choices of series, see selector.h. */
#include "profiler/query/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/buf.h"
#include "profiler/base/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT    50000 /* steps of one match: about 0.4 ms */
#define HEAP_LIMIT_KIB 256
#define MAX_CODE_BYTES 65536 /* of a compiled expression */
#define MAX_VALUE      1024

enum operator{ EQUAL, NOT_EQUAL, LIKE, NOT_LIKE };

struct matcher {
	char *name, *value;
	enum operator op;
	pcre2_code *code; /* of LIKE and NOT_LIKE */
	bool of_thread;
};

struct selector {
	struct matcher matchers[SELECTOR_MAX_MATCHERS];
	size_t n;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	int err;	  /* of a match: no answer of it is whole */
	struct buf clean; /* the value at hand, when it is not UTF-8 */
};

struct parser {
	const char *start, *p;
	char *error;
	size_t size, at;
};

PRINTF(3, 4) static int fail(struct parser *parser, const char *at, const char *fmt, ...)
{
	va_list args;
	int n;

	parser->at = (size_t)(at - parser->start);
	n = snprintf(parser->error, parser->size, "at character %zu: ", parser->at + 1);
	if (n > 0 && (size_t)n < parser->size) {
		va_start(args, fmt);
		vsnprintf(parser->error + n, parser->size - (size_t)n, fmt, args);
		va_end(args);
	}
	return -EINVAL;
}

static void skip_space(struct parser *parser)
{
	parser->p += strspn(parser->p, " \t\r\n");
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10
					    : -1;
}

/* What stands after a backslash; the bytes of it that were used, 0 for none that is known. */
static size_t unescape(const char *p, char *ret)
{
	switch (*p) {
	case 'n':
		*ret = '\n';
		return 1;
	case 't':
		*ret = '\t';
		return 1;
	case '\\':
	case '"':
	case '\'':
		*ret = *p;
		return 1;
	case 'x':
		if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
			return 0;
		*ret = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
		return *ret ? 3 : 0;
	default:
		return 0;
	}
}

static int parse_string(struct parser *parser, char **ret_value)
{
	const char *p = parser->p, quote = *p;
	char value[MAX_VALUE + 1];
	size_t n = 0;

	if (quote != '"' && quote != '\'' && quote != '`')
		return fail(parser, p, "a value in quotes is missing");
	for (p++; *p && *p != quote; p++) {
		char c = *p;

		if (c == '\\' && quote != '`') {
			size_t used = unescape(p + 1, &c);

			if (!used)
				return fail(parser, p, "'\\%c' means nothing here: write '\\\\%c'",
					    p[1] ?: ' ', p[1] ?: ' ');
			p += used;
		}
		if (n == MAX_VALUE)
			return fail(parser, p, "the value is longer than %d bytes", MAX_VALUE);
		value[n++] = c;
	}
	if (!*p)
		return fail(parser, parser->p, "the value has no closing %c", quote);
	value[n] = 0;
	parser->p = p + 1;
	*ret_value = strdup(value);
	return *ret_value ? 0 : -ENOMEM;
}

static int parse_name(struct parser *parser, struct matcher *m)
{
	static const char *const of_thread[] = {"pid", "tid", "comm"};
	const char *p = parser->p;
	size_t n = 0;

	if (isalpha((unsigned char)*p) || *p == '_')
		while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == '.')
			n++;
	if (!n)
		return fail(parser, p,
			    *p ? "a label's name is missing before '%c'" : "a '}' is missing%c",
			    *p);
	m->name = strndup(p, n);
	if (!m->name)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(of_thread); i++)
		m->of_thread |= !strcmp(m->name, of_thread[i]);
	parser->p += n;
	return 0;
}

static int parse_operator(struct parser *parser, struct matcher *m)
{
	static const struct {
		const char *text;
		enum operator op;
	} operators[] = {{"=~", LIKE}, {"!~", NOT_LIKE}, {"!=", NOT_EQUAL}, {"=", EQUAL}};

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		size_t n = strlen(operators[i].text);

		if (strncmp(parser->p, operators[i].text, n))
			continue;
		m->op = operators[i].op;
		parser->p += n;
		return 0;
	}
	return fail(parser, parser->p, "one of =, !=, =~ and !~ is missing after '%s'", m->name);
}

static int compile(struct parser *parser, const char *at, struct matcher *m)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	PCRE2_UCHAR why[128];
	size_t bytes = 0, where;
	int code;

	if (!context)
		return -ENOMEM;
	pcre2_set_max_pattern_length(context, MAX_VALUE);
	pcre2_set_parens_nest_limit(context, 50);
	m->code = pcre2_compile((PCRE2_SPTR)m->value, PCRE2_ZERO_TERMINATED,
				PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_UTF |
					PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
				&code, &where, context);
	pcre2_compile_context_free(context);
	if (!m->code) {
		pcre2_get_error_message(code, why, sizeof(why));
		return fail(parser, at, "'%s' is no regular expression: %s (its character %zu)",
			    m->value, (const char *)why, where + 1);
	}
	pcre2_pattern_info(m->code, PCRE2_INFO_SIZE, &bytes);
	if (bytes > MAX_CODE_BYTES)
		return fail(parser, at, "'%s' is too complex", m->value);
	return 0;
}

static int parse_matcher(struct parser *parser, struct matcher *m)
{
	const char *at;
	int err = parse_name(parser, m);

	skip_space(parser);
	if (!err)
		err = parse_operator(parser, m);
	skip_space(parser);
	at = parser->p;
	if (!err)
		err = parse_string(parser, &m->value);
	if (!err && (m->op == LIKE || m->op == NOT_LIKE))
		err = compile(parser, at, m);
	skip_space(parser);
	return err;
}

static int parse_all(struct parser *parser, struct selector *s)
{
	int err = 0;

	skip_space(parser);
	if (*parser->p != '{')
		return fail(parser, parser->p,
			    "a selector begins with '{', as in {} or "
			    "{service_name=\"nginx\"}");
	parser->p++;
	skip_space(parser);
	while (*parser->p != '}') {
		if (s->n == SELECTOR_MAX_MATCHERS)
			return fail(parser, parser->p, "more than %d matchers",
				    SELECTOR_MAX_MATCHERS);
		err = parse_matcher(parser, &s->matchers[s->n++]);
		if (err)
			return err;
		if (*parser->p == ',')
			parser->p++;
		else if (*parser->p != '}')
			return fail(parser, parser->p,
				    *parser->p ? "',' or '}' is missing before '%c'"
					       : "a '}' is missing%c",
				    *parser->p);
		skip_space(parser);
	}
	parser->p++;
	skip_space(parser);
	return *parser->p ? fail(parser, parser->p, "nothing may follow the '}'") : 0;
}

int selector_parse(const char *text, struct selector **ret_selector, char *error, size_t size,
		   size_t *ret_at)
{
	struct parser parser = {.start = text, .p = text, .error = error, .size = size};
	struct selector *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		return err;
	s->data = pcre2_match_data_create(1, NULL);
	s->limits = pcre2_match_context_create(NULL);
	if (s->data && s->limits) {
		pcre2_set_match_limit(s->limits, MATCH_LIMIT);
		pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
		err = strlen(text) > SELECTOR_MAX_TEXT
			      ? fail(&parser, text, "longer than %d bytes", SELECTOR_MAX_TEXT)
			      : parse_all(&parser, s);
	}
	if (err) {
		selector_free(s);
		if (err == -EINVAL && ret_at)
			*ret_at = parser.at;
		return err;
	}
	*ret_selector = s;
	return 0;
}

static void free_matcher(struct matcher *m)
{
	free(m->name);
	free(m->value);
	pcre2_code_free(m->code);
}

void selector_free(struct selector *selector)
{
	if (!selector)
		return;
	for (size_t i = 0; i < selector->n; i++)
		free_matcher(&selector->matchers[i]);
	pcre2_match_data_free(selector->data);
	pcre2_match_context_free(selector->limits);
	buf_fini(&selector->clean);
	free(selector);
}

/* The value as listings show it: itself when it is UTF-8. */
static const char *shown(struct selector *s, const char *value)
{
	size_t len = strlen(value), i = 0, n;

	while (i < len && (n = utf8_len(value + i, len - i)))
		i += n;
	if (i == len)
		return value;
	buf_reset(&s->clean);
	if (buf_reserve(&s->clean, 3 * len)) {
		s->err = -ENOMEM;
		return value;
	}
	utf8_clean(s->clean.data, value, len);
	return s->clean.data;
}

static bool is_equal(struct selector *s, const char *value, const char *wanted)
{
	return !strcmp(value, wanted) || !strcmp(shown(s, value), wanted);
}

static bool holds(struct selector *s, const struct matcher *m, const char *value)
{
	int n;

	if (s->err)
		return false;
	switch (m->op) {
	case EQUAL:
		return is_equal(s, value, m->value);
	case NOT_EQUAL:
		return !is_equal(s, value, m->value) && !s->err;
	default:
		value = shown(s, value);
		n = pcre2_match(m->code, (PCRE2_SPTR)value, strlen(value), 0, 0, s->data,
				s->limits);
		/* Beyond a limit it neither matches nor does it not. */
		if (n < 0 && n != PCRE2_ERROR_NOMATCH)
			s->err = n == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
		if (s->err)
			return false;
		return (n >= 0) == (m->op == LIKE);
	}
}

int selector_and(struct selector *selector, struct selector *more)
{
	if (selector->n + more->n > SELECTOR_MAX_MATCHERS)
		return -E2BIG;
	memcpy(&selector->matchers[selector->n], more->matchers, more->n * sizeof(*more->matchers));
	selector->n += more->n;
	more->n = 0; /* they are the other's now */
	selector_free(more);
	return 0;
}

bool selector_decide(struct selector *selector, const char *(*label)(void *arg, const char *name),
		     void *arg)
{
	bool all = true;
	size_t n = 0;

	for (size_t i = 0; i < selector->n; i++) {
		struct matcher *m = &selector->matchers[i];
		const char *value = label(arg, m->name);

		if (!value) {
			selector->matchers[n++] = *m;
			continue;
		}
		all &= holds(selector, m, value);
		free_matcher(m);
	}
	selector->n = n;
	return all;
}

bool selector_has_series(struct selector *selector,
			 const char *(*label)(void *arg, const char *name), void *arg)
{
	for (size_t i = 0; selector && i < selector->n; i++) {
		const struct matcher *m = &selector->matchers[i];
		const char *value = m->of_thread ? NULL : label(arg, m->name);

		if (!m->of_thread && !holds(selector, m, value ? value : ""))
			return false;
	}
	return true;
}

bool selector_has_thread(struct selector *selector, __u32 pid, __u32 tid, const char *comm)
{
	for (size_t i = 0; selector && i < selector->n; i++) {
		const struct matcher *m = &selector->matchers[i];
		__u32 id = m->name[0] == 'p' ? pid : tid;
		char text[16] = "";

		if (!m->of_thread)
			continue;
		if (id)
			snprintf(text, sizeof(text), "%u", id);
		if (!holds(selector, m, m->name[0] == 'c' ? comm : text))
			return false;
	}
	return true;
}

int selector_error(const struct selector *selector)
{
	return selector ? selector->err : 0;
}

bool selector_wants_thread(const struct selector *selector)
{
	for (size_t i = 0; selector && i < selector->n; i++)
		if (selector->matchers[i].of_thread)
			return true;
	return false;
}
