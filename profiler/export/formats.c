// SPDX-License-Identifier: Apache-2.0
/* The list of formats of export.h. */
#include "profiler/export/export.h"

#include <string.h>

const struct export_format export_formats[] = {
	{"pprof", ".pb.gz", "application/octet-stream", "go tool pprof, Pyroscope, Parca", false,
	 pprof_write},
	{"folded", ".folded", "text/plain; charset=utf-8", "one line per stack: a;b;c COUNT", true,
	 folded_write},
	{"html", ".html", "text/html; charset=utf-8", "flame graph, a page in one file", true,
	 html_write},
	{"svg", ".svg", "image/svg+xml", "flame graph, a picture", true, svg_write},
	{"speedscope", ".speedscope.json", "application/json", "for speedscope.app", true,
	 speedscope_write},
	{"json", ".json", "application/json", "call tree as columns", true, json_write},
	{"text", ".txt", "text/plain; charset=utf-8", "table of functions", true, text_write},
	{0},
};

const struct export_format *export_format_find(const char *name)
{
	for (const struct export_format *f = export_formats; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

const struct export_format *export_format_of_path(const char *path)
{
	const struct export_format *best = NULL;
	size_t len = strlen(path), best_len = 0;

	for (const struct export_format *f = export_formats; f->name; f++) {
		size_t n = strlen(f->ending);

		if (n > best_len && n < len && !strcmp(path + len - n, f->ending)) {
			best = f;
			best_len = n;
		}
	}
	return best;
}
