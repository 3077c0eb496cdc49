// SPDX-License-Identifier: Apache-2.0
// The two panes that are no flame graph: the heat map of the last minutes (a column a second, rows
// of some milliseconds, so that a spike of 200 ms is seen), and the list of processes. Each asks for
// what it shows: load(asked, signal), with asked = {args, range, hz, utc, now}; the answer that says
// how many samples that rests on is returned, if there is one.

import {getJson} from './api.js';
import {h, sizeCanvas} from './dom.js';
import {formatCount, formatShare, formatValue} from './format.js';
import {clock, iso, rangeText} from './state.js';
import {mix, THEMES} from './theme.js';

const HEAT_MS = 300000,
  HEAT_STEPS = [20, 25, 40, 50, 100, 125, 200, 250, 500],
  MAX_PROCESSES = 1000, // with figures: the most that the agent lists
  STEP_MS = [100, 86400000];
const HEAT = {light: '#8a1c1c', dark: '#ffb27a'};
const MAX_ROWS = 500;

// The moments a drag from one cell to another means, in time's order: [from, to) in ms.
export function heatRange(doc, a, b) {
  const at = cell => doc.from_ms + cell.column * 1000 + cell.row * doc.step_ms,
    [first, last] = [at(a), at(b)].sort((x, y) => x - y);
  return [first, last + doc.step_ms];
}

export class HeatMap {
  constructor(element, onSelect) {
    this.onSelect = onSelect;
    this.theme = 'light';
    this.canvas = h('canvas', {role: 'img', 'aria-label': 'Heat map; drag to select'});
    this.said = h('div', {class: 'heat-said', 'aria-live': 'polite'});
    element.append(this.said, h('div', {class: 'heat-box'}, this.canvas));
    this.canvas.addEventListener('pointerdown', event => {
      if (!this.doc || event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.from = this.to = this.cellAt(event);
      this.paint();
    });
    this.canvas.addEventListener('pointermove', event => this.move(event));
    this.canvas.addEventListener('pointerup', () => {
      const {from, to} = this;
      this.from = null;
      if (from) this.onSelect(heatRange(this.doc, from, to));
    });
    new ResizeObserver(() => this.paint()).observe(this.canvas);
  }

  async load({args, range, hz, utc}, signal) {
    const from = iso(Math.max(range[0], range[1] - HEAT_MS)),
      step = HEAT_STEPS.find(ms => ms * hz >= 1000) ?? HEAT_STEPS.at(-1),
      asked = {...args, from, to: iso(range[1]), step: `${step}ms`},
      doc = await getJson('api/v1/heatmap', 'cells', asked, signal);
    if (signal.aborted) return;
    Object.assign(this, {doc, utc});
    this.say();
    this.paint();
    return {samples: doc.samples};
  }

  setTheme(name) {
    this.theme = name;
    this.paint();
  }

  say(text = '') {
    if (!this.doc) return;
    const {doc} = this;
    if (doc.since_ms >= doc.to_ms) {
      const since = clock(doc.since_ms, this.utc).time;
      this.said.textContent = `Single samples are kept since ${since} only: this range is older.`;
      return;
    }
    this.said.textContent =
      text ||
      (doc.since_ms > doc.from_ms
        ? `single samples since ${clock(doc.since_ms, this.utc).time}; `
        : '') +
        `a column is a second, a row ${doc.step_ms} ms; darkest ${formatCount(doc.max)} samples; ` +
        'drag from one moment to another for the flame graph of exactly that';
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect(),
      {doc} = this,
      cell = (at, size, n) => Math.min(n - 1, Math.max(0, Math.floor((at / size) * n)));
    return {
      column: cell(event.clientX - box.left, box.width, doc.columns),
      row: cell(event.clientY - box.top, box.height, doc.rows),
    };
  }

  move(event) {
    if (!this.doc) return;
    const cell = this.cellAt(event),
      n = this.doc.cells[cell.column * this.doc.rows + cell.row],
      [from, to] = heatRange(this.doc, this.from ?? cell, cell);
    this.to = cell;
    this.say(
      `${clock(from, this.utc).time}.${String(Math.round(from % 1000)).padStart(3, '0')}, ` +
        `${to - from} ms${this.from ? '' : `: ${formatCount(n)} samples`}`,
    );
    if (this.from) this.paint();
  }

  paint() {
    const {doc, canvas} = this,
      {clientWidth: width, clientHeight: height} = canvas,
      theme = THEMES[this.theme];
    if (!doc || !width) return;
    const context = sizeCanvas(canvas, width, height),
      w = width / doc.columns,
      high = height / doc.rows;
    const shades = Array.from({length: 33}, (_, i) =>
      mix(theme.page, HEAT[this.theme], Math.sqrt(i / 32)),
    );
    for (let c = 0; c < doc.columns; c++)
      for (let r = 0; r < doc.rows; r++) {
        const n = doc.cells[c * doc.rows + r];
        context.fillStyle = shades[n ? Math.max(3, Math.round((32 * n) / doc.max)) : 0];
        context.fillRect(c * w, r * high, Math.ceil(w), Math.ceil(high));
      }
    if (this.from) this.paintChosen(context, theme, w, high);
  }

  // From one moment to the other, through whole seconds between.
  paintChosen(context, theme, w, high) {
    const {doc} = this,
      number = cell => cell.column * doc.rows + cell.row,
      [a, b] = [number(this.from), number(this.to)].sort((x, y) => x - y);
    context.fillStyle = theme.select;
    context.globalAlpha = 0.45;
    for (let c = Math.floor(a / doc.rows); c <= Math.floor(b / doc.rows); c++) {
      const top = Math.max(a - c * doc.rows, 0),
        bottom = Math.min(b - c * doc.rows + 1, doc.rows);
      context.fillRect(c * w, top * high, w, (bottom - top) * high);
    }
    context.globalAlpha = 1;
  }
}

// Processes with what they used: rows of the agent's list, joined by pid with the sums of a time line
// by pid. Those that have gone have a row too.
export function joinProcesses({processes}, {series}) {
  const byPid = new Map(processes.map(p => [p.pid, {...p, value: 0}]));
  for (const {name, process, total, other} of series) {
    const pid = Number(name);
    if (other) continue;
    if (!byPid.has(pid))
      byPid.set(pid, {pid, comm: process, service_name: '', container: '', gone: true});
    byPid.get(pid).value = total;
  }
  return [...byPid.values()];
}

const COLUMNS = [
  ['pid', 'pid', 'n'],
  ['comm', 'name', ''],
  ['value', 'used', 'n'],
  ['cores', 'cores', 'n wide'],
  ['share', 'share', 'n'],
  ['bar', '', 'bar-cell wide'],
  ['service_name', 'service', 'wide'],
  ['container', 'container', 'wide'],
];

export class Processes {
  // on: process(pid), threads(pid)
  constructor(element, on) {
    Object.assign(this, {on, sort: 'value', said: h('div', {class: 'heat-said'})});
    this.box = h('div', {class: 'list', 'data-own-keys': true});
    element.append(this.said, this.box);
  }

  async load({args, range, utc, now}, signal) {
    const length = range[1] - range[0],
      step = `${Math.ceil(Math.min(Math.max(length, STEP_MS[0]), STEP_MS[1]))}ms`,
      asked = {...args, group: 'pid', limit: MAX_PROCESSES, step};
    const [list, doc] = await Promise.all([
      getJson('api/v1/processes', 'processes', {}, signal),
      getJson('api/v1/series', 'series', asked, signal),
    ]);
    if (signal.aborted) return null;
    const sum = series => series.reduce((all, s) => all + s.total, 0),
      rows = joinProcesses(list, doc),
      rest = sum(doc.series.filter(s => s.other));
    Object.assign(this, {rows, unit: doc.unit, all: sum(doc.series), seconds: length / 1000});
    this.said.textContent =
      `${formatCount(rows.length)} processes, ${rangeText(range, utc, now)}; ` +
      (rest ? `those without a figure used ${formatValue(rest, doc.unit)} together; ` : '') +
      'a name opens its flame graph';
    this.show();
    return doc;
  }

  show() {
    const key = {cores: 'value', share: 'value', bar: 'value'}[this.sort] ?? this.sort,
      text = key !== 'pid' && key !== 'value',
      order = (a, b) =>
        text ? (a[key] || '~').localeCompare(b[key] || '~') : key === 'pid' ? a.pid - b.pid : 0,
      rows = [...this.rows].sort((a, b) => order(a, b) || b.value - a.value || a.pid - b.pid);
    const head = ([id, name, type]) =>
      h(
        'th',
        {class: type, scope: 'col', 'aria-sort': this.sort === id ? 'other' : null},
        name && h('button', {type: 'button', onclick: () => this.sortBy(id)}, name),
      );
    this.box.replaceChildren(
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, ...COLUMNS.map(head))),
        h('tbody', {}, ...rows.slice(0, MAX_ROWS).map(row => this.row(row))),
      ),
      (rows.length > MAX_ROWS && h('p', {}, `${formatCount(rows.length - MAX_ROWS)} more`)) || '',
    );
  }

  sortBy(key) {
    this.sort = key;
    this.show();
  }

  row(p) {
    const {unit, all} = this,
      bar = h('i');
    bar.style.width = `${all ? (100 * p.value) / all : 0}%`;
    const button = (text, title, act) => h('button', {type: 'button', title, onclick: act}, text);
    const cells = {
      pid: p.pid,
      comm: button(p.comm, `flame graph of ${p.comm} (${p.pid})`, () => this.on.process(p.pid)),
      value: p.value ? formatValue(p.value, unit) : '',
      cores: p.value ? (p.value / 1e9 / this.seconds).toFixed(2) : '',
      share: p.value
        ? button(formatShare(p.value, all), 'by thread', () => this.on.threads(p.pid))
        : '',
      bar,
      service_name: p.gone ? 'gone' : p.service_name,
      container: (p.container ?? '').slice(0, 12),
    };
    return h('tr', {}, ...COLUMNS.map(([id, , type]) => h('td', {class: type}, cells[id])));
  }
}
