// SPDX-License-Identifier: Apache-2.0
// The picture: a function of (layout, view, theme, state) onto a 2D context; it keeps nothing but
// text widths. What is outside the view is never touched, and frames narrower than half a pixel are
// drawn as one, so the cost goes by pixels, not by nodes.
//
//	view   x0, x1: shown range of the value; width, height; rowHeight; pixel: one of the screen;
//	       top: pixels scrolled off above; flip: root at the bottom; ends: names lose their front
//	state  match    marks by frame, or null          zoom   node that fills the width

import {formatChange, placeOf} from './format.js';
import {firstEndingAfter} from './layout.js';
import {GONE} from './nodes.js';
import {FADE, mix} from './theme.js';

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const ELLIPSIS = '…',
  PAD = 5,
  MIN_TEXT = 22,
  MIN_CUT = 12; // characters: with fewer, a beginning and an end are no name
const QUALIFIER = /::|\/|\.(?=[A-Za-z_$(<])/g;

// Text that fits a width. Widths of characters are measured once; strings are sums of them, since
// measuring thousands of labels per picture is what makes canvases slow.
export class TextFitter {
  constructor(context) {
    context.font = FONT;
    this.context = context;
    this.widths = new Map();
  }

  char(c) {
    let width = this.widths.get(c);
    if (width === undefined) this.widths.set(c, (width = this.context.measureText(c).width));
    return width;
  }

  width(text, max = Infinity) {
    let sum = 0;
    for (const c of text) {
      sum += this.char(c);
      if (sum > max) return Infinity;
    }
    return sum;
  }

  // The name of a function: in a narrow box it says more without its qualifiers, `…burn` of
  // `work::circle::burn`.
  fitName(name, max, ends) {
    const fitted = this.fit(name, max, ends);
    if (ends || fitted === name || fitted.length >= MIN_CUT) return fitted;
    if (name.length > 2000 || name.includes('+0x')) return fitted;
    let last = 0;
    for (const at of name.matchAll(QUALIFIER)) {
      last = at.index + at[0].length;
      const rest = ELLIPSIS + name.slice(last);
      if (this.width(rest, max) <= max) return rest;
    }
    return (last && this.fit(name.slice(last), max, ends)) || fitted;
  }

  // Cut in the middle, so that the end of the name stays; with `ends`, only the end stays.
  fit(text, max, ends) {
    if (this.width(text, max) <= max) return text;
    const chars = Array.from(text.length > 2000 ? text.slice(0, 1000) + text.slice(-1000) : text);
    let left = max - this.char(ELLIPSIS),
      i = 0,
      j = chars.length,
      head = '',
      tail = '';
    for (let step = 0; i < j; step++) {
      const front = !ends && step % 2 === 0,
        c = front ? chars[i] : chars[j - 1];
      left -= this.char(c);
      if (left < 0) break;
      if (front) {
        head += c;
        i++;
      } else {
        tail = c + tail;
        j--;
      }
    }
    return head.length + tail.length < (ends ? 2 : 3) ? '' : head + ELLIPSIS + tail;
  }
}

// y of a storey's top edge.
export function rowTop(l, view, row) {
  const at = view.flip ? l.nRows - 1 - row : row;
  return at * view.rowHeight - view.top;
}

// The storey at y; may be out of range.
export function rowAt(l, view, y) {
  const at = Math.floor((y + view.top) / view.rowHeight);
  return view.flip ? l.nRows - 1 - at : at;
}

// Edges of a node in pixels, cut to the view; null when it is outside.
export function edges(l, view, node) {
  const scale = view.width / (view.x1 - view.x0),
    start = (l.x0[node] - view.x0) * scale;
  const end = start + l.tree.total[node] * scale;
  if (end <= 0 || start >= view.width) return null;
  return {left: Math.max(start, 0), right: Math.min(end, view.width)};
}

export function draw(context, l, view, theme, state, fitter, labels) {
  context.fillStyle = theme.page;
  context.fillRect(0, 0, view.width, view.height);
  context.font = FONT;
  context.textBaseline = 'middle';
  for (let row = 0; row < l.nRows; row++) {
    const y = rowTop(l, view, row);
    if (y > -view.rowHeight && y < view.height)
      drawRow(context, l, view, theme, state, fitter, labels, row, y);
  }
}

const fillOf = (l, theme, node) =>
  l.tree.diff ? theme.diff[l.tree.diff.tone[node] - GONE] : theme.fill[l.tree.frame[node]];
const fadedOf = (l, theme, node) =>
  l.tree.diff ? mix(fillOf(l, theme, node), theme.page, FADE) : theme.faded[l.tree.frame[node]];

function drawRow(context, l, view, theme, state, fitter, labels, row, y) {
  const scale = view.width / (view.x1 - view.x0),
    end = l.rowStart[row + 1];
  const zoomDepth = state.zoom > 0 ? l.depth[state.zoom] : 0;
  for (let i = firstEndingAfter(l, row, view.x0); i < end; i++) {
    const node = l.rows[i],
      left = (l.x0[node] - view.x0) * scale;
    const width = l.tree.total[node] * scale;
    if (l.x0[node] >= view.x1) break; // not by `left`: rounded, it may stand inside
    if (width < 0.5) {
      i = drawSlivers(context, l, view, theme, state, i, y) - 1;
      continue;
    }
    const x = Math.max(left, 0),
      w = Math.min(left + width, view.width) - x;
    drawFrame(context, l, view, theme, state, node, x, y, w, row < zoomDepth);
    if (w >= MIN_TEXT) drawLabel(context, l, view, theme, state, fitter, labels, node, x, y, w);
  }
}

// A run of frames under half a pixel: columns of a screen pixel, each in the colour of its first
// frame (or of a match in it), neighbours of one colour in one stroke. Returns the first frame
// after the run.
function drawSlivers(context, l, view, theme, state, from, y) {
  const scale = view.width / (view.x1 - view.x0),
    end = l.rowStart[l.depth[l.rows[from]] + 1];
  const right = view.x1,
    pixel = view.pixel ?? 1;
  let i = from,
    start = 0,
    stop = 0,
    colour = null;
  const flush = () => {
    context.fillStyle = colour;
    context.fillRect(start, y, stop - start, view.rowHeight - 1);
  };
  while (i < end && l.x0[l.rows[i]] < right && l.tree.total[l.rows[i]] * scale < 0.5) {
    const left = (l.x0[l.rows[i]] - view.x0) * scale,
      column = Math.floor(left / pixel) * pixel;
    const next = firstEndingAfter(
      l,
      l.depth[l.rows[from]],
      view.x0 + (column + pixel) / scale,
      i + 1,
    );
    const fill = sliverColour(l, theme, state, i, next);
    if (fill !== colour || column > stop) {
      if (colour) flush();
      colour = fill;
      start = column;
    }
    stop = column + pixel;
    i = next;
  }
  flush();
  return i;
}

function sliverColour(l, theme, state, from, to) {
  if (!state.match) return fillOf(l, theme, l.rows[from]);
  for (let i = from; i < to; i++) if (state.match[l.tree.frame[l.rows[i]]]) return theme.match;
  return fadedOf(l, theme, l.rows[from]);
}

function drawFrame(context, l, view, theme, state, node, x, y, w, above) {
  const frame = l.tree.frame[node];
  const hit = state.match && state.match[frame];
  const gap = w > 3 ? 1 : w > 1 ? 0.4 : 0;
  context.fillStyle = hit
    ? theme.match
    : above || state.match
      ? fadedOf(l, theme, node)
      : fillOf(l, theme, node);
  context.fillRect(x, y, w - gap, view.rowHeight - 1);
  if (l.tree.diff?.tone[node] === GONE && w > 3 && !hit) {
    // hollow
    context.strokeStyle = theme.dim;
    context.lineWidth = 1;
    context.strokeRect(x + 0.5, y + 0.5, w - gap - 1, view.rowHeight - 2);
  }
  if (l.tree.frames.inlined[frame] && w > 8) {
    context.fillStyle = hit ? theme.matchText : theme.bar[frame];
    context.fillRect(x, y, 2, view.rowHeight - 1);
  }
}

// The name, cut if it must be; behind it the module where there is room.
function drawLabel(context, l, view, theme, state, fitter, labels, node, x, y, w) {
  const frame = l.tree.frame[node],
    {frames, collapsed} = l.tree;
  const hit = state.match && state.match[frame];
  const times = collapsed && collapsed[node] ? ` ×${collapsed[node] + 1}` : '';
  const name = labels(frame) + times,
    room = w - 2 * PAD;
  const text = fitter.fitName(name, room, view.ends),
    middle = y + (view.rowHeight - 1) / 2 + 0.5;
  if (!text) return;
  context.fillStyle = hit ? theme.matchText : theme.text;
  context.fillText(text, x + PAD, middle);
  if (text !== name) return;
  const where = l.tree.diff ? changeOf(l.tree.diff, node) : placeOf(frames, frame),
    at = fitter.width(name) + 8;
  if (!l.tree.diff && where === placeOf(frames, l.tree.frame[l.tree.parent[node]]))
    // the caller has said it
    return;
  if (!where || fitter.width(where, room - at) > room - at) return;
  context.fillStyle = hit ? theme.matchText : theme.dim;
  context.fillText(where, x + PAD + at, middle);
}

const changeOf = ({now, base}, node) => formatChange(now.total[node], base.total[node]);

// An outline around a node, as wide as it is in the view.
export function outline(context, l, view, node, colour, width) {
  const at = edges(l, view, node),
    y = rowTop(l, view, l.depth[node]);
  if (!at || y < -view.rowHeight || y > view.height) return;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.strokeRect(
    at.left + width / 2,
    y + width / 2,
    Math.max(at.right - at.left - width - 1, 1),
    view.rowHeight - 1 - width,
  );
}

// Storeys that hold more than `least` of the value.
function storeysOf(l, least) {
  for (let row = 0; row < l.nRows; row++) {
    let sum = 0;
    for (let i = l.rowStart[row]; i < l.rowStart[row + 1]; i++) sum += l.tree.total[l.rows[i]];
    if (sum < least) return Math.max(row, 4);
  }
  return Math.max(l.nRows, 4);
}

// The whole graph in a strip: its upper storeys, down to where little is left of the total.
export function drawOverview(context, l, width, height, theme, state) {
  const total = l.tree.total[0] || 1,
    deep = storeysOf(l, 0.15 * total);
  const step = Math.max(1, deep / (height * 2)),
    h = Math.max(height / deep, 0.5);
  context.fillStyle = theme.page;
  context.fillRect(0, 0, width, height);
  for (let row = 0; row < deep; row += step) {
    const r = Math.floor(row),
      y = (row / deep) * height;
    if (r >= l.nRows) break;
    for (let i = l.rowStart[r]; i < l.rowStart[r + 1];) {
      const node = l.rows[i],
        left = (l.x0[node] / total) * width;
      const w = (l.tree.total[node] / total) * width,
        frame = l.tree.frame[node];
      const hit = state.match && state.match[frame];
      context.fillStyle = hit
        ? theme.match
        : state.match
          ? fadedOf(l, theme, node)
          : fillOf(l, theme, node);
      context.fillRect(left, y, Math.max(w - (w > 3 ? 0.5 : 0), 0.5), h);
      i = w < 0.5 ? firstEndingAfter(l, r, ((left + 0.5) / width) * total, i + 1) : i + 1;
    }
  }
}
