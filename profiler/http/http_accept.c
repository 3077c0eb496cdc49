// SPDX-License-Identifier: Apache-2.0
/* Accept, Accept-Encoding and If-None-Match, see http_accept.h. */
#include "profiler/http/http_accept.h"

#include <string.h>
#include <strings.h>

/* A piece of a header value: [s, s + len), spaces around it cut. */
struct span {
	const char *s;
	size_t len;
};

static struct span trimmed(const char *s, size_t len)
{
	while (len && (*s == ' ' || *s == '\t')) {
		s++;
		len--;
	}
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return (struct span){s, len};
}

/* Bytes up to a separator that stands outside quotes. */
static size_t until(const char *s, size_t len, char separator)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < len && (quoted || s[i] != separator); i++) {
		if (s[i] == '"')
			quoted = !quoted;
		else if (quoted && s[i] == '\\' && i + 1 < len)
			i++;
	}
	return i;
}

/* The next piece before a separator; false at the end. */
static bool next_piece(const char **s, size_t *left, char separator, struct span *ret_piece)
{
	size_t len;

	if (!*left)
		return false;
	len = until(*s, *left, separator);
	*ret_piece = trimmed(*s, len);
	len += len < *left;
	*s += len;
	*left -= len;
	return true;
}

static bool is(struct span span, const char *text)
{
	return span.len == strlen(text) && !strncasecmp(span.s, text, span.len);
}

/* "0.75" -> 750; anything malformed counts as 0: not wanted. */
static unsigned parse_weight(struct span span)
{
	unsigned value, scale = 100;

	if (!span.len || (span.s[0] != '0' && span.s[0] != '1'))
		return 0;
	value = span.s[0] == '1' ? 1000 : 0;
	if (span.len == 1)
		return value;
	if (span.s[1] != '.')
		return 0;
	for (size_t i = 2; i < span.len; i++) {
		if (span.s[i] < '0' || span.s[i] > '9' || i > 4)
			return 0;
		value += (unsigned)(span.s[i] - '0') * scale;
		scale /= 10;
	}
	return MIN(value, 1000u);
}

static struct span unquoted(struct span span)
{
	if (span.len >= 2 && span.s[0] == '"' && span.s[span.len - 1] == '"')
		return (struct span){span.s + 1, span.len - 2};
	return span;
}

/* Reads ;a=b parameters: the weight, and whether a version fits. */
static bool read_parameters(const char *s, size_t left, const char *version, unsigned *ret_weight)
{
	struct span p;
	bool fits = true;

	*ret_weight = 1000;
	while (next_piece(&s, &left, ';', &p)) {
		size_t name_len = until(p.s, p.len, '=');
		struct span name = trimmed(p.s, name_len);
		struct span value = name_len < p.len
					    ? trimmed(p.s + name_len + 1, p.len - name_len - 1)
					    : (struct span){"", 0};

		if (is(name, "q"))
			*ret_weight = parse_weight(value);
		else if (version && is(name, "version") && !is(unquoted(value), version))
			fits = false;
	}
	return fits;
}

/* 3 named, 2 its type with any subtype, 1 anything, 0 something else. */
static unsigned specificity(struct span range, const char *type)
{
	size_t major = strcspn(type, "/") + 1;

	if (is(range, type))
		return 3;
	if (range.len == major + 1 && range.s[major] == '*' && !strncasecmp(range.s, type, major))
		return 2;
	return is(range, "*/*") ? 1 : 0;
}

unsigned http_accept_weight(const char *accept, const char *type, const char *version,
			    bool *ret_exact)
{
	unsigned best = 0, best_weight = 0;
	size_t left = accept ? strlen(accept) : 0;
	struct span range;

	*ret_exact = false;
	if (!accept)
		return 1000;
	while (next_piece(&accept, &left, ',', &range)) {
		size_t name_len = until(range.s, range.len, ';');
		unsigned how = specificity(trimmed(range.s, name_len), type), weight;

		if (!how || how < best)
			continue;
		name_len += name_len < range.len;
		if (!read_parameters(range.s + name_len, range.len - name_len, version, &weight))
			continue;
		best_weight = how > best ? weight : MAX(best_weight, weight);
		best = how;
	}
	*ret_exact = best == 3;
	return best_weight;
}

bool http_wants_openmetrics(const char *accept)
{
	bool om_exact, text_exact;
	unsigned om =
		http_accept_weight(accept, "application/openmetrics-text", "1.0.0", &om_exact);
	unsigned text = http_accept_weight(accept, "text/plain", "0.0.4", &text_exact);

	/* Only a client that names it knows it. */
	return om_exact && om && om >= text;
}

bool http_accepts_gzip(const char *accept_encoding)
{
	size_t left = accept_encoding ? strlen(accept_encoding) : 0;
	struct span coding;
	int named = -1, any = -1;

	while (next_piece(&accept_encoding, &left, ',', &coding)) {
		size_t name_len = until(coding.s, coding.len, ';');
		struct span name = trimmed(coding.s, name_len);
		unsigned weight;

		name_len += name_len < coding.len;
		read_parameters(coding.s + name_len, coding.len - name_len, NULL, &weight);
		if (is(name, "gzip") || is(name, "x-gzip"))
			named = (int)weight;
		else if (is(name, "*"))
			any = (int)weight;
	}
	return named >= 0 ? named > 0 : any > 0;
}

bool http_etag_matches(const char *if_none_match, const char *etag)
{
	size_t left = if_none_match ? strlen(if_none_match) : 0;
	struct span tag;

	while (next_piece(&if_none_match, &left, ',', &tag)) {
		if (tag.len > 2 && tag.s[0] == 'W' && tag.s[1] == '/')
			tag = (struct span){tag.s + 2, tag.len - 2};
		if (is(tag, "*") || (tag.len == strlen(etag) && !memcmp(tag.s, etag, tag.len)))
			return true;
	}
	return false;
}
