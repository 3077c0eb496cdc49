// SPDX-License-Identifier: Apache-2.0
/*
 * A flame graph as a still picture: root on top, width is the value, children by name. Each frame
 * has its full text and figures as <title>; no script, no links, nothing from outside. Colours are
 * those of profiler/web/theme.js (tests/web compares them), dark where the viewer prefers it.
 */
#include "profiler/base/cleanup.h"
#include "profiler/base/utf8.h"
#include "profiler/export/sink.h"
#include "profiler/export/summary.h"
#include "profiler/export/tree.h"

enum {
	WIDTH = 1200,
	MARGIN = 10,
	ROW = 18,
	HEAD = 58,
	FOOT = 26,
	STEPS = 4,
	MAX_DEPTH = 600, /* storeys drawn; deeper ones are said in the foot */
	MAX_TITLE = 400, /* bytes of a name in a tool tip */
};
#define GLYPH_WIDTH 7.0 /* of the 11 px font, on the safe side */
#define MIN_WIDTH   0.25

static const char *const light[FRAME_KIND_COUNT][STEPS] = {
	[FRAME_NATIVE] = {"#b5e2fd", "#a2dbfd", "#8fd5fd", "#83cdf7"},
	[FRAME_KERNEL] = {"#ffca9c", "#fdbf89", "#f5b781", "#ecaf79"},
	[FRAME_JIT] = {"#d3d3fe", "#cacafc", "#c1c0fd", "#b9b8f5"},
	[FRAME_PYTHON] = {"#eeea8d", "#e6e185", "#ded97d", "#d6d175"},
	[FRAME_JAVA] = {"#fec7e0", "#ffb9d9", "#f7b1d1", "#eea9c9"},
	[FRAME_GPU] = {"#9fefc9", "#97e7c1", "#8fdeb9", "#87d6b1"},
	[FRAME_MARK] = {"#d7dbe0", "#cfd3d8", "#c7cbd0", "#bfc3c8"},
	[FRAME_GROUP] = {"#d7dfe7", "#cfd7df", "#c7cfd7", "#bfc7cf"},
};
static const char *const dark[FRAME_KIND_COUNT][STEPS] = {
	[FRAME_NATIVE] = {"#275872", "#20516b", "#184a64", "#0e425c"},
	[FRAME_KERNEL] = {"#6c4723", "#65401d", "#5e3915", "#56320c"},
	[FRAME_JIT] = {"#4d4c71", "#47466a", "#403f63", "#39375b"},
	[FRAME_PYTHON] = {"#5b5818", "#555110", "#4e4a04", "#464200"},
	[FRAME_JAVA] = {"#6c4256", "#653c50", "#5e3549", "#562e41"},
	[FRAME_GPU] = {"#295e47", "#225741", "#1a503a", "#104833"},
	[FRAME_MARK] = {"#505255", "#494c4e", "#424547", "#3b3d40"},
	[FRAME_GROUP] = {"#4f5459", "#484d52", "#42464b", "#3a3f43"},
};

struct picture {
	struct tree tree;
	struct sink *sink;
	double *x; /* left edge of each node, in the value's unit */
	__u16 *depth;
	__u64 total;
	unsigned n_rows; /* drawn */
	unsigned n_deep; /* storeys that are not */
};

/* ---- text ------------------------------------------------------------------------------------ */
/* XML text: markup escaped, what XML 1.0 cannot hold and other controls become a space. */
static void add_xml(struct sink *sink, const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(s + i, len - i);
		if (!n || utf8_is_control(s + i) ||
		    (n == 3 && !memcmp(s + i, "\xef\xbf", 2) && (unsigned char)s[i + 2] >= 0xbe)) {
			sink_char(sink, ' ');
			n = n ? n : 1;
		} else if (s[i] == '<') {
			sink_str(sink, "&lt;");
		} else if (s[i] == '>') {
			sink_str(sink, "&gt;");
		} else if (s[i] == '&') {
			sink_str(sink, "&amp;");
		} else if (s[i] == '"') {
			sink_str(sink, "&quot;");
		} else {
			sink_add(sink, s + i, n);
		}
	}
}

/* Start of the character that holds byte `at`. */
static size_t char_start(const char *s, size_t at)
{
	while (at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* At most max bytes: head and tail around an ellipsis. */
static void add_cut(struct sink *sink, const char *s, size_t max)
{
	size_t len = strlen(s), head, tail;

	if (len <= max) {
		add_xml(sink, s, len);
		return;
	}
	head = char_start(s, max / 2);
	tail = char_start(s, len - (max - max / 2 - 1));
	add_xml(sink, s, head);
	sink_str(sink, "\xe2\x80\xa6");
	add_xml(sink, s + tail, len - tail);
}

/* ---- layout ---------------------------------------------------------------------------------- */
static int lay_out(struct picture *pic)
{
	size_t n = pic->tree.nodes.len;
	_free_ double *next = calloc(n, sizeof(*next)); /* where the next child begins */

	pic->x = calloc(n, sizeof(*pic->x));
	pic->depth = calloc(n, sizeof(*pic->depth));
	if (!next || !pic->x || !pic->depth)
		return -ENOMEM;
	pic->total = pic->tree.nodes.data[0].weight.total;
	for (size_t i = 0; i < n; i++) {
		const struct tree_node *node = &pic->tree.nodes.data[i];

		if (i) {
			pic->x[i] = next[node->parent];
			next[node->parent] += (double)node->weight.total;
			pic->depth[i] = (__u16)MIN(pic->depth[node->parent] + 1, UINT16_MAX);
		}
		next[i] = pic->x[i];
	}
	return 0;
}

static double to_px(const struct picture *pic, double value)
{
	return pic->total ? value / (double)pic->total * (WIDTH - 2 * MARGIN) : 0;
}

static bool is_drawn(struct picture *pic, size_t i)
{
	double width = to_px(pic, (double)pic->tree.nodes.data[i].weight.total);

	if (i && width < MIN_WIDTH)
		return false;
	if (pic->depth[i] >= MAX_DEPTH) {
		pic->n_deep = MAX(pic->n_deep, pic->depth[i] + 1u - MAX_DEPTH);
		return false;
	}
	pic->n_rows = MAX(pic->n_rows, pic->depth[i] + 1u);
	return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */
/* Modules are steps of lightness within a kind's hue: FNV-1a of the module, else of the file. */
static unsigned step_of(const struct frame *frame)
{
	const char *s = *frame->module ? frame->module : frame->file;
	__u32 hash = 2166136261u;

	for (; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 16777619u;
	return (hash ^ hash >> 16) % STEPS;
}

static void write_title(struct picture *pic, const struct tree_node *node, const char *unit)
{
	const struct tree_node *parent = &pic->tree.nodes.data[node->parent];
	struct buf line = {0};

	sink_str(pic->sink, "<title>");
	add_cut(pic->sink, tree_node_name(&pic->tree, node), MAX_TITLE);
	if (node->frame < TREE_OTHER) {
		const struct frame *frame = &pic->tree.frames.list.data[node->frame];

		if (frame->inlined)
			sink_str(pic->sink, " (inlined)");
		if (*frame->module) {
			sink_char(pic->sink, '\n');
			add_cut(pic->sink, frame->module, MAX_TITLE);
		}
		if (*frame->file) {
			sink_char(pic->sink, '\n');
			add_cut(pic->sink, frame->file, MAX_TITLE);
			if (frame->line)
				sink_printf(pic->sink, ":%u", frame->line);
		}
	}
	buf_str(&line, "\ntotal ");
	summary_value(&line, node->weight.total, unit);
	buf_str(&line, ", ");
	summary_share(&line, node->weight.total, pic->total);
	buf_str(&line, " of all, ");
	summary_share(&line, node->weight.total, parent->weight.total);
	buf_str(&line, " of parent\nself ");
	summary_value(&line, node->weight.self, unit);
	buf_str(&line, ", ");
	summary_share(&line, node->weight.self, pic->total);
	sink_add(pic->sink, line.data, line.len);
	buf_fini(&line);
	sink_str(pic->sink, "</title>");
}

static void write_frame(struct picture *pic, size_t i, const char *unit)
{
	const struct tree_node *node = &pic->tree.nodes.data[i];
	const struct frame *frame =
		node->frame < TREE_OTHER ? &pic->tree.frames.list.data[node->frame] : NULL;
	double x = MARGIN + to_px(pic, pic->x[i]), width = to_px(pic, (double)node->weight.total);
	unsigned y = HEAD + pic->depth[i] * ROW;
	double chars = (width - 6) / GLYPH_WIDTH;

	sink_printf(pic->sink,
		    "<g><rect class=\"k%u%u\" x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%u\"/>",
		    frame ? frame->kind : FRAME_GROUP, frame ? step_of(frame) : 0, x, y,
		    MAX(width - 0.4, 0.2), ROW - 1);
	if (frame && frame->inlined && width > 4)
		sink_printf(pic->sink,
			    "<rect class=\"bar\" x=\"%.2f\" y=\"%u\" width=\"2\" height=\"%u\"/>",
			    x, y, ROW - 1);
	if (chars >= 3) {
		sink_printf(pic->sink, "<text x=\"%.2f\" y=\"%u\">", x + 4, y + 13);
		add_cut(pic->sink, tree_node_name(&pic->tree, node), (size_t)chars);
		sink_str(pic->sink, "</text>");
	}
	write_title(pic, node, unit);
	sink_str(pic->sink, "</g>\n");
}

/* ---- the page -------------------------------------------------------------------------------- */
static void write_colours(struct sink *sink, const char *const colours[][STEPS])
{
	for (unsigned k = 0; k < FRAME_KIND_COUNT; k++)
		for (unsigned s = 0; s < STEPS; s++)
			sink_printf(sink, ".k%u%u{fill:%s}", k, s, colours[k][s]);
}

static void write_style(struct sink *sink)
{
	sink_str(sink,
		 "<style>text{font:11px system-ui,sans-serif;fill:#1b1f24;pointer-events:none}"
		 ".h{font-size:15px;font-weight:600}.n{fill:#57606a}.bg{fill:#fff}"
		 ".bar{fill:#1b1f24;opacity:.55}g:hover>rect{stroke:#1b1f24}");
	write_colours(sink, light);
	sink_str(sink, "@media(prefers-color-scheme:dark){text{fill:#eef0f2}.n{fill:#a3abb3}"
		       ".bg{fill:#15181b}.bar{fill:#eef0f2}g:hover>rect{stroke:#eef0f2}");
	write_colours(sink, dark);
	sink_str(sink, "}</style>\n");
}

static void write_note(struct sink *sink, unsigned y, const char *class, const char *text)
{
	sink_printf(sink, "<text class=\"%s\" x=\"%d\" y=\"%u\">", class, MARGIN, y);
	add_cut(sink, text, 180);
	sink_str(sink, "</text>\n");
}

static void write_picture(struct picture *pic, const struct summary *s)
{
	struct sink *sink = pic->sink;
	struct buf line = {0};
	unsigned height;

	for (size_t i = 0; i < pic->tree.nodes.len; i++)
		is_drawn(pic, i);
	height = HEAD + pic->n_rows * ROW + FOOT;
	sink_printf(sink,
		    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "
		    "xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" width=\"%d\" "
		    "height=\"%u\" role=\"img\">\n<title>",
		    WIDTH, height, WIDTH, height);
	add_cut(sink, s->title, MAX_TITLE);
	sink_str(sink, "</title>\n");
	write_style(sink);
	sink_printf(sink, "<rect class=\"bg\" width=\"100%%\" height=\"100%%\"/>\n");
	buf_printf(&line, "%.300s%s%.100s", s->title, *s->host ? " \xc2\xb7 " : "", s->host);
	write_note(sink, 22, "h", line.data ? line.data : "");
	buf_reset(&line);
	summary_time(&line, s);
	if (line.len)
		buf_str(&line, "  \xc2\xb7  ");
	summary_line(&line, s);
	write_note(sink, 42, "n", line.data ? line.data : "");
	for (size_t i = 0; i < pic->tree.nodes.len; i++)
		if (is_drawn(pic, i))
			write_frame(pic, i, s->unit);
	buf_reset(&line);
	summary_kinds(&line, s);
	if (pic->n_deep)
		buf_printf(&line, "  \xc2\xb7  %u deeper rows are not drawn", pic->n_deep);
	write_note(sink, height - 9, "n", line.data ? line.data : "");
	buf_fini(&line);
	sink_str(sink, "</svg>\n");
}

int svg_write(const struct profile *profile, const struct export_options *options,
	      struct sink *sink)
{
	struct picture pic = {.sink = sink};
	int err = tree_open(&pic.tree, profile, options);

	if (!err)
		err = lay_out(&pic);
	if (!err) {
		struct summary s = summary_of(profile, options, pic.tree.frames.type);

		write_picture(&pic, &s);
	}
	free(pic.x);
	free(pic.depth);
	tree_close(&pic.tree);
	return err ? err : sink->err;
}
