// SPDX-License-Identifier: Apache-2.0
// Cores used over time, stacked by a label. A drag selects the range of the graph, with shift the
// baseline of a diff; a name of the legend is a filter.

import {h, refill, sizeCanvas} from './dom.js';
import {formatValue} from './format.js';
import {clock, lengthText, rangeText, ticks} from './state.js';
import {hashOf, SERIES, THEMES} from './theme.js';

const TOP = 8,
  HEIGHT = 92,
  AXIS = 17,
  DRAG_PX = 4,
  OTHER = 'other';

// The largest series and the sum of the others; by series and step the cores, and the highest sum.
export function stackSeries(doc, top = TOP) {
  const whole = doc.series.filter(s => !s.other),
    shown = whole.slice(0, top),
    rest = doc.series.filter(s => !shown.includes(s));
  const perCore = doc.unit === 'nanoseconds' ? doc.step_ms * 1e6 : doc.step_ms / 1000,
    rows = shown.map(s => ({
      name: s.name,
      text: s.process ? `${s.process} (${s.name})` : s.name || `no ${doc.group}`,
      total: s.total,
      values: s.values.map(v => v / perCore),
    }));
  if (rest.length)
    rows.push({
      name: OTHER,
      text: OTHER,
      other: true,
      total: rest.reduce((sum, s) => sum + s.total, 0),
      values: Array.from(
        {length: doc.steps},
        (_, i) => rest.reduce((sum, s) => sum + s.values[i], 0) / perCore,
      ),
    });
  const sums = Array.from({length: doc.steps}, (_, i) =>
    rows.reduce((sum, r) => sum + r.values[i], 0),
  );
  return {rows, sums, max: Math.max(...sums, 0) || 1};
}

// A round number at or above v: 1, 2, 5 times a power of ten.
export function niceAbove(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find(f => f * power >= v * 0.98) * power;
}

export class Timeline {
  // on: select(range, isBase), filter(name)
  constructor(element, on) {
    this.on = on;
    this.theme = 'light';
    this.slots = new Map();
    this.legend = h('div', {class: 'legend', role: 'group', 'aria-label': 'Series'});
    this.said = h('div', {class: 'line-said', 'aria-live': 'polite'});
    this.canvas = h('canvas', {
      class: 'line-canvas',
      tabindex: '0',
      role: 'img',
      'aria-label': 'Time line. Drag to select a range, with shift a baseline.',
    });
    this.tip = h('div', {class: 'tip', hidden: true});
    element.append(h('div', {class: 'line-head'}, this.legend, this.said), this.canvas, this.tip);
    this.canvas.addEventListener('pointerdown', event => this.down(event));
    this.canvas.addEventListener('pointermove', event => this.move(event));
    this.canvas.addEventListener('pointerup', event => this.up(event));
    this.canvas.addEventListener('pointercancel', () => this.drop());
    this.canvas.addEventListener('pointerleave', () => (this.tip.hidden = true));
    this.canvas.addEventListener('dblclick', () => this.on.select(null, false));
    new ResizeObserver(() => this.paint()).observe(this.canvas);
  }

  // marks: {sel, base, utc, now, filtered, baseShown}
  set(doc, marks) {
    Object.assign(this, {stack: stackSeries(doc), doc, marks});
    this.giveColours();
    this.showLegend();
    this.paint();
  }

  setTheme(name) {
    this.theme = name;
    this.showLegend();
    this.paint();
  }

  colour(i) {
    const row = this.stack.rows[i];
    return SERIES[this.theme].at(row.other ? -1 : this.slots.get(row.name));
  }

  // By name, so that two looks agree, and for as long as it is shown.
  giveColours() {
    const names = this.stack.rows.filter(row => !row.other).map(row => row.name),
      kept = names.filter(name => this.slots.has(name)),
      slots = new Map(kept.map(name => [name, this.slots.get(name)])),
      used = new Set(slots.values());
    for (const name of names) {
      if (slots.has(name)) continue;
      let free = hashOf(name) % TOP;
      while (used.has(free)) free = (free + 1) % TOP;
      used.add(free);
      slots.set(name, free);
    }
    this.slots = slots;
  }

  showLegend() {
    if (!this.doc) return;
    const {marks, stack, doc} = this;
    refill(
      this.legend,
      h('span', {class: 'quiet'}, doc.unit === 'nanoseconds' ? 'cores used' : doc.unit),
      ...stack.rows.map((row, i) => {
        const swatch = h('i', {class: 'swatch'});
        swatch.style.background = this.colour(i);
        if (row.other) return h('span', {class: 'legend-item'}, swatch, row.text);
        return h(
          'button',
          {
            type: 'button',
            class: 'legend-item',
            title: `only ${row.text}: ${formatValue(row.total, doc.unit)}`,
            'aria-pressed': marks.filtered === row.name ? 'true' : 'false',
            onclick: () => this.on.filter(row.name),
          },
          swatch,
          row.text,
        );
      }),
    );
    const say = [];
    if (marks.sel)
      say.push(
        `selected ${rangeText(marks.sel, marks.utc, marks.now)} (${lengthText(marks.sel[1] - marks.sel[0])})`,
      );
    if (marks.base) say.push(`baseline ${rangeText(marks.base, marks.utc, marks.now)}`);
    if (!say.length) say.push('drag to select, shift-drag for a baseline');
    this.said.replaceChildren(say.join(' · '));
    if (marks.sel)
      this.said.append(
        ' ',
        h(
          'button',
          {
            type: 'button',
            class: 'plain',
            title: 'show all of the time line again',
            'aria-label': 'drop the selection',
            onclick: () => this.on.select(null, false),
          },
          '✕',
        ),
      );
  }

  x(ms) {
    const {from_ms: from, to_ms: to} = this.doc;
    return ((ms - from) / (to - from)) * this.canvas.clientWidth;
  }

  ms(x) {
    const {from_ms: from, to_ms: to} = this.doc,
      part = Math.min(1, Math.max(0, x / this.canvas.clientWidth));
    return Math.round(from + part * (to - from));
  }

  paint() {
    if (this.waiting || !this.doc) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paintNow();
    });
  }

  paintNow() {
    const {canvas, doc, stack, marks} = this,
      width = canvas.clientWidth,
      theme = THEMES[this.theme];
    if (!width) return;
    const context = sizeCanvas(canvas, width, HEIGHT + AXIS),
      top = niceAbove(stack.max),
      y = cores => HEIGHT - (cores / top) * (HEIGHT - 14);
    context.clearRect(0, 0, width, HEIGHT + AXIS);
    this.paintBars(context, y);
    context.font = '11px system-ui, sans-serif';
    context.fillStyle = theme.dim;
    context.fillText(`${+top.toPrecision(2)}`, 2, 11);
    context.fillRect(0, HEIGHT, width, 1);
    for (const {ms, text} of ticks(doc.from_ms, doc.to_ms, width, marks.utc)) {
      const x = this.x(ms),
        half = context.measureText(text).width / 2;
      if (x > half && x < width - half) context.fillText(text, x - half, HEIGHT + 13);
    }
    const drag = this.drag && [this.drag.a, this.drag.b].sort((a, b) => a - b);
    if (marks.base && !(drag && this.drag.isBase)) this.frame(context, marks.base, theme.dim, true);
    if (marks.sel && !(drag && !this.drag.isBase))
      this.frame(context, marks.sel, theme.select, false);
    if (drag) this.frame(context, drag, theme.select, this.drag.isBase);
    const shade = (...args) => this.shade(context, theme, ...args);
    if (doc.since_ms > doc.from_ms)
      shade(doc.from_ms, doc.since_ms, 0.07, 'nothing kept from before here');
    for (const [from, to] of doc.gaps ?? []) shade(from, to, 0.2, 'nothing recorded');
  }

  paintBars(context, y) {
    const {doc, stack} = this,
      apart = (this.x(doc.from_ms + doc.step_ms) - this.x(doc.from_ms)) * 1;
    for (let i = 0; i < doc.steps; i++) {
      let at = 0;
      const x = Math.round(i * apart),
        w = Math.max(1, Math.round((i + 1) * apart) - x - (apart > 4 ? 1 : 0));
      stack.rows.forEach((row, r) => {
        const high = at + row.values[i];
        context.fillStyle = this.colour(r);
        if (row.values[i] > 0) context.fillRect(x, y(high), w, y(at) - y(high));
        at = high;
      });
    }
  }

  frame(context, [from, to], colour, dashed) {
    const left = this.x(from),
      right = this.x(to);
    context.save();
    context.fillStyle = context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.setLineDash(dashed ? [4, 3] : []);
    context.globalAlpha = dashed ? 0.05 : 0.13;
    context.fillRect(left, 0, right - left, HEIGHT);
    context.globalAlpha = 1;
    context.strokeRect(left, 1, Math.max(right - left, 2), HEIGHT - 1);
    context.restore();
  }

  // Time of which there is nothing, and why.
  shade(context, theme, from, to, alpha, text) {
    const left = Math.max(this.x(from), 0),
      width = Math.min(this.x(to), this.canvas.clientWidth) - left,
      room = width - context.measureText(text).width;
    context.save();
    context.fillStyle = theme.dim;
    context.globalAlpha = alpha;
    context.fillRect(left, 0, Math.max(width, 1), HEIGHT);
    context.globalAlpha = 1;
    if (room > 16) context.fillText(text, left + room / 2, HEIGHT / 2);
    context.restore();
  }

  // What is said of a step: its cores, unless there was nobody to count them at `at`.
  sumText(step, at) {
    const gap = this.doc.gaps?.some(([from, to]) => from <= at && at < to);
    return gap ? 'nothing was recorded: no agent ran' : `${this.stack.sums[step].toFixed(2)} cores`;
  }

  at(event) {
    return this.ms(event.clientX - this.canvas.getBoundingClientRect().left);
  }

  down(event) {
    if (!this.doc || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const a = this.at(event);
    this.drag = {x: event.clientX, a, b: a, isBase: event.shiftKey};
  }

  move(event) {
    if (!this.doc) return;
    if (this.drag) {
      this.drag.b = this.at(event);
      this.paint();
    }
    this.hover(event);
  }

  up(event) {
    const {drag} = this;
    this.drop();
    if (!drag || Math.abs(event.clientX - drag.x) < DRAG_PX) return;
    const [a, b] = [drag.a, drag.b].sort((x, y) => x - y);
    if (b - a >= 100) this.on.select([a, b], drag.isBase);
  }

  drop() {
    this.drag = null;
    this.paint();
  }

  hover(event) {
    const {doc, stack, marks} = this,
      at = this.at(event),
      step = Math.min(doc.steps - 1, Math.floor((at - doc.from_ms) / doc.step_ms));
    if (step < 0) return;
    const rows = stack.rows
      .map((row, i) => ({row, i, v: row.values[step]}))
      .filter(r => r.v >= 0.0005)
      .sort((a, b) => b.v - a.v);
    this.tip.replaceChildren(
      h('b', {}, clock(doc.from_ms + step * doc.step_ms, marks.utc).time),
      ` ${this.sumText(step, at)}`,
      h(
        'table',
        {},
        ...rows.slice(0, TOP + 1).map(({row, i, v}) => {
          const swatch = h('i', {class: 'swatch'});
          swatch.style.background = this.colour(i);
          return h('tr', {}, h('th', {scope: 'row'}, swatch, row.text), h('td', {}, v.toFixed(2)));
        }),
      ),
    );
    const box = this.canvas.getBoundingClientRect();
    this.tip.hidden = false;
    this.tip.style.top = `${box.bottom + 4}px`;
    const {width} = this.tip.getBoundingClientRect();
    this.tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
  }
}
