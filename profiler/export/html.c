// SPDX-License-Identifier: Apache-2.0
/*
 * The flame graph as a page in one file: what was measured as text, the node table of json_write as
 * data, the modules of profiler/web joined as its script. Nothing is fetched; a content security
 * policy allows that script and that style by their hashes and nothing else. Foreign names cannot
 * end the data block, since every `<` in it is written as \u003c (in JSON it only occurs in
 * strings).
 */
#include <errno.h>

#include "profiler/export/sink.h"
#include "profiler/export/summary.h"
#include "profiler/web/web.h"

static void add_html(struct sink *sink, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<':
			sink_str(sink, "&lt;");
			break;
		case '>':
			sink_str(sink, "&gt;");
			break;
		case '&':
			sink_str(sink, "&amp;");
			break;
		case '"':
			sink_str(sink, "&quot;");
			break;
		default:
			sink_char(sink, (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
		}
	}
}

/* ---- JSON inside a script element ------------------------------------------------------------ */
struct sink_script {
	struct sink sink;
	struct sink *next;
};

static int script_write(struct sink *sink, const void *data, size_t len)
{
	struct sink *next = container_of(sink, struct sink_script, sink)->next;
	const char *p = data, *end = p + len;

	while (p < end) {
		const char *less = memchr(p, '<', (size_t)(end - p));

		sink_add(next, p, (size_t)((less ? less : end) - p));
		if (less)
			sink_str(next, "\\u003c");
		p = less ? less + 1 : end;
	}
	return next->err;
}

static int write_data(const struct profile *profile, const struct export_options *options,
		      struct sink *sink)
{
	struct sink_script script;
	int err;

	sink_null_init(&script.sink);
	script.sink.write = script_write;
	script.next = sink;
	err = json_write(profile, options, &script.sink);
	return err ? err : sink_finish(&script.sink);
}

/* ---- the page -------------------------------------------------------------------------------- */
static void write_head(struct sink *sink, const struct summary *s, const struct web_file *style,
		       const struct web_file *script)
{
	sink_str(sink, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
	sink_printf(sink,
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		    "script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; "
		    "form-action 'none'\">\n",
		    script->sha256, style->sha256);
	sink_str(sink,
		 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		 "<meta name=\"referrer\" content=\"no-referrer\">\n"
		 "<meta name=\"generator\" content=\"bianque " BIANQUE_VERSION "\">\n<title>");
	add_html(sink, s->title);
	if (*s->host) {
		sink_str(sink, " \xc2\xb7 ");
		add_html(sink, s->host);
	}
	sink_str(sink, "</title>\n<style>");
	sink_add(sink, style->data, style->len);
	sink_str(sink, "</style>\n</head>\n<body>\n<header class=\"head\"><span class=\"brand\">"
		       "Bianque</span><h1>");
	add_html(sink, s->title);
	sink_str(sink, "</h1>");
	if (*s->host) {
		sink_str(sink, "<span class=\"host\">");
		add_html(sink, s->host);
		sink_str(sink, "</span>");
	}
}

/* `<span><b>12,480</b> samples</span>`; takes the figure from the buf and empties it. */
static void write_figure(struct sink *sink, struct buf *figure, const char *what, bool warn)
{
	sink_printf(sink, "<span%s><b>%s</b> ", warn ? " class=\"warn\"" : "",
		    figure->data ? figure->data : "");
	add_html(sink, what);
	sink_str(sink, "</span>\n");
	buf_reset(figure);
}

static void write_figures(struct sink *sink, const struct summary *s)
{
	struct buf figure = {0};

	if (s->n_samples) {
		summary_count(&figure, s->n_samples);
		write_figure(sink, &figure, "samples", false);
	}
	if (!s->n_samples || strcmp(s->type, "samples")) {
		summary_value(&figure, s->total, s->unit);
		write_figure(sink, &figure, s->type, false);
	}
	if (summary_cores(&figure, s))
		write_figure(sink, &figure, "cores", false);
	if (s->n_samples) {
		summary_share(&figure, s->n_whole, s->n_samples);
		write_figure(sink, &figure, "whole stacks", s->n_whole < s->n_samples / 100 * 97);
	}
	summary_count(&figure, s->profile->lost_total);
	write_figure(sink, &figure, summary_lost_word(s), s->profile->lost_total > 0);
	buf_fini(&figure);
}

static void write_foot(struct sink *sink, const struct summary *s)
{
	struct buf share = {0};

	sink_str(sink, "<footer class=\"foot\">\n");
	write_figures(sink, s);
	for (unsigned i = 0; i < s->profile->n_comments; i++) {
		sink_str(sink, "<span>");
		add_html(sink, profile_str(s->profile, s->profile->comments[i]));
		sink_str(sink, "</span>\n");
	}
	sink_str(sink, "<span class=\"kinds\">");
	for (unsigned k = 0; k < FRAME_KIND_COUNT; k++) {
		const char *name = frame_kind_name((enum frame_kind)k);

		if (!s->by_kind[k])
			continue;
		buf_reset(&share);
		summary_share(&share, s->by_kind[k], s->total);
		sink_printf(sink, "<span data-kind=\"%s\">%s %s</span> ", name, name, share.data);
	}
	buf_fini(&share);
	sink_str(sink, "</span>\n</footer>\n");
}

int html_write(const struct profile *profile, const struct export_options *options,
	       struct sink *sink)
{
	const struct web_file *style = web_file_find("flame.css");
	const struct web_file *script = web_file_find("snapshot.bundle.js");
	unsigned type = options->type >= 0 && (unsigned)options->type < profile->n_types
				? (unsigned)options->type
				: profile->default_type;
	struct summary s = summary_of(profile, options, type);
	struct buf time = {0};
	int err;

	if (!style || !script)
		return -ENOENT;
	write_head(sink, &s, style, script);
	summary_time(&time, &s);
	sink_printf(sink, "<span class=\"time\">%s</span></header>\n", time.data ? time.data : "");
	buf_fini(&time);
	sink_str(sink,
		 "<main id=\"view\"><noscript><p class=\"broken\">The flame graph is drawn by the "
		 "script in this file, which this viewer does not run. `bianque record -f text` "
		 "and `-f svg` need none.</p></noscript></main>\n");
	write_foot(sink, &s);
	sink_str(sink, "<script type=\"application/json\" id=\"data\">");
	err = write_data(profile, options, sink);
	sink_str(sink, "</script>\n<script type=\"module\">");
	sink_add(sink, script->data, script->len);
	sink_str(sink, "</script>\n</body>\n</html>\n");
	return err ? err : sink->err;
}
