// SPDX-License-Identifier: Apache-2.0
// The two panes that are no flame graph: the heat map of the last minutes (a column a second, rows
// of some milliseconds, so that a spike of 200 ms is seen), and the list of processes. Each asks for
// what it shows: load(asked, signal), with asked = {args, range, hz, utc, now}; the answer that says
// how many samples that rests on is returned, if there is one.

import {getJson} from './api.js';
import {h, refill, sizeCanvas} from './dom.js';
import {formatCount, formatShare, formatValue} from './format.js';
import {clock, iso, lengthText, rangeText, recorded, ticks} from './state.js';
import {mix, THEMES} from './theme.js';

const HEAT_MS = 300000,
  HEAT_STEPS = [20, 25, 40, 50, 100, 125, 200, 250, 500],
  MAX_PROCESSES = 1000, // with figures: the most that the agent lists
  STEP_MS = [100, 86400000];
const HEAT = {light: '#8a1c1c', dark: '#ffb27a'},
  FAINTEST = 0.14, // of HEAT in the shade of one sample among many
  LEGEND = 6, // shades at most
  AXIS = 18;
const MAX_ROWS = 500;

// The colour of n samples where the fullest cell has max: none is the page itself, one is seen, and
// half of the most is clearly paler than the most.
export function heatShade(n, max, theme) {
  const part = n ? FAINTEST + (1 - FAINTEST) * (n / max) ** 1.5 : 0;
  return mix(THEMES[theme].page, HEAT[theme], part);
}

const WAYS = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  PageUp: [-10, 0],
  PageDown: [10, 0],
  Home: [-1e9, 0],
  End: [1e9, 0],
};

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
    this.canvas = h('canvas', {
      tabindex: '0',
      role: 'application',
      'data-own-keys': true,
      'aria-label':
        'Heat map. Arrows move a cell, with shift they widen; Enter or a drag opens the flame graph.',
      onkeydown: event => this.key(event),
      onblur: () => this.drop(),
    });
    this.said = h('span', {'aria-live': 'polite'});
    this.legend = h('span', {class: 'heat-legend', role: 'img'});
    element.append(
      h('div', {class: 'heat-said'}, this.said, this.legend),
      h('div', {class: 'heat-box'}, this.canvas),
    );
    this.canvas.addEventListener('pointerdown', event => {
      if (!this.doc || event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.from = this.to = this.cellAt(event);
      this.pressed = true;
      this.paint();
    });
    this.canvas.addEventListener('pointermove', event => this.move(event));
    this.canvas.addEventListener('pointerup', () => this.pressed && this.take());
    this.canvas.addEventListener('pointercancel', () => this.drop());
    new ResizeObserver(() => this.paint()).observe(this.canvas);
  }

  async load({args, range, hz, utc}, signal) {
    const from = iso(Math.max(range[0], range[1] - HEAT_MS)),
      step = HEAT_STEPS.find(ms => ms * hz >= 1000) ?? HEAT_STEPS.at(-1),
      asked = {...args, from, to: iso(range[1]), step: `${step}ms`},
      doc = await getJson('api/v1/heatmap', 'cells', asked, signal);
    if (signal.aborted) return;
    Object.assign(this, {doc, utc});
    this.drop();
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
        `a column is a second, a row ${lengthText(doc.step_ms)} of it; ` +
        'drag from one moment to another for the flame graph of exactly that';
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect(),
      {doc} = this,
      cell = (at, size, n) => Math.min(n - 1, Math.max(0, Math.floor((at / size) * n)));
    return {
      column: cell(event.clientX - box.left, box.width, doc.columns),
      row: cell(event.clientY - box.top, box.height - AXIS, doc.rows),
    };
  }

  move(event) {
    if (!this.doc) return;
    const cell = this.cellAt(event);
    if (this.pressed) this.to = cell;
    this.describe(this.pressed ? this.from : cell, cell);
    if (this.pressed) this.paint();
  }

  // What is between two cells; of one also its count.
  describe(a, b) {
    const [from, to] = heatRange(this.doc, a, b),
      n = a.column === b.column && a.row === b.row && this.count(b);
    this.say(
      `${clock(from, this.utc).time}.${String(Math.round(from % 1000)).padStart(3, '0')}, ` +
        lengthText(to - from) +
        (n === false ? '' : `: ${formatCount(n)} ${n === 1 ? 'sample' : 'samples'}`),
    );
  }

  count({column, row}) {
    return this.doc.cells[column * this.doc.rows + row];
  }

  // By keyboard: the cell that is at moves, with shift from where it began.
  key(event) {
    const {doc} = this,
      way = WAYS[event.key];
    if (!doc || event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) {
      const at = this.to ?? {column: doc.columns - 1, row: 0},
        within = (v, n) => Math.min(n - 1, Math.max(0, v));
      const to = {
        column: within(at.column + way[0], doc.columns),
        row: within(at.row + way[1], doc.rows),
      };
      this.from = event.shiftKey ? (this.from ?? at) : to;
      this.to = to;
      this.describe(this.from, to);
      this.paint();
    } else if (event.key === 'Enter' && this.from) this.take();
    else if (event.key === 'Escape' && this.from) this.drop();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  take() {
    const {from, to} = this;
    this.drop();
    this.onSelect(heatRange(this.doc, from, to));
  }

  drop() {
    this.from = this.to = null;
    this.pressed = false;
    this.say();
    this.paint();
  }

  paint() {
    const {doc, canvas} = this,
      {clientWidth: width, clientHeight: height} = canvas,
      theme = THEMES[this.theme];
    if (!doc || !width) return;
    const context = sizeCanvas(canvas, width, height),
      w = width / doc.columns,
      high = (height - AXIS) / doc.rows;
    const shades = [],
      shade = n => (shades[n] ??= heatShade(n, doc.max, this.theme));
    context.clearRect(0, 0, width, height);
    for (let c = 0; c < doc.columns; c++)
      for (let r = 0; r < doc.rows; r++) {
        context.fillStyle = shade(doc.cells[c * doc.rows + r]);
        context.fillRect(c * w, r * high, Math.ceil(w), Math.ceil(high));
      }
    // before there were single samples
    const since = (width * (doc.since_ms - doc.from_ms)) / (doc.to_ms - doc.from_ms);
    context.globalAlpha = 0.07;
    context.fillStyle = theme.dim;
    if (since > 0) context.fillRect(0, 0, Math.min(since, width), height - AXIS);
    context.globalAlpha = 1;
    if (this.from) this.paintChosen(context, theme, w, high);
    this.paintAxis(context, theme, width, height);
    this.showLegend(doc.max, shade);
  }

  // Times below.
  paintAxis(context, theme, width, height) {
    const {doc} = this;
    context.clearRect(0, height - AXIS, width, AXIS);
    context.font = '11px system-ui, sans-serif';
    context.fillStyle = theme.dim;
    context.fillRect(0, height - AXIS, width, 1);
    for (const {ms, text} of ticks(doc.from_ms, doc.to_ms, width, this.utc)) {
      const x = ((ms - doc.from_ms) / (doc.to_ms - doc.from_ms)) * width,
        half = context.measureText(text).width / 2;
      context.fillRect(x, height - AXIS, 1, 4);
      if (x > half && x < width - half) context.fillText(text, x - half, height - 4);
    }
  }

  // Which shade is how many samples.
  showLegend(max, shade) {
    const n = Math.min(max, LEGEND),
      counts = Array.from({length: n}, (_, i) =>
        Math.round(1 + ((max - 1) * i) / Math.max(n - 1, 1)),
      );
    this.legend.setAttribute('aria-label', `shades from 1 to ${formatCount(max)} samples`);
    this.legend.replaceChildren(
      ...counts.map(count => {
        const swatch = h('i', {class: 'swatch'});
        swatch.style.background = shade(count);
        return h('span', {}, swatch, formatCount(count));
      }),
      max ? 'samples' : '',
    );
  }

  // From one moment to the other, through whole seconds between.
  paintChosen(context, theme, w, high) {
    const {doc} = this,
      number = cell => cell.column * doc.rows + cell.row,
      [a, b] = [number(this.from), number(this.to)].sort((x, y) => x - y);
    context.fillStyle = context.strokeStyle = theme.select;
    context.lineWidth = 2;
    for (let c = Math.floor(a / doc.rows); c <= Math.floor(b / doc.rows); c++) {
      const top = Math.max(a - c * doc.rows, 0),
        bottom = Math.min(b - c * doc.rows + 1, doc.rows),
        area = [c * w, top * high, w, (bottom - top) * high];
      context.globalAlpha = 0.45;
      context.fillRect(...area);
      context.globalAlpha = 1;
      context.strokeRect(...area);
    }
  }
}

// Processes with what they used: rows of the agent's list, joined by pid with the sums of a time line
// by pid. Those that have gone have a row too. all: also those that used nothing.
export function joinProcesses({processes}, {series}, all = true) {
  const byPid = new Map(processes.map(p => [p.pid, {...p, value: 0}]));
  for (const {name, process, service_name = '', container = '', total, other} of series) {
    const pid = Number(name);
    if (other) continue;
    if (!byPid.has(pid)) byPid.set(pid, {pid, comm: process, service_name, container, gone: true});
    byPid.get(pid).value = total;
  }
  return [...byPid.values()].filter(p => all || p.value > 0);
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
      rows = joinProcesses(list, doc, !args.match),
      rest = sum(doc.series.filter(s => s.other));
    Object.assign(this, {rows, unit: doc.unit, all: sum(doc.series)});
    this.seconds = recorded(range, doc) / 1000;
    this.said.textContent =
      `${formatCount(rows.length)} ${rows.length === 1 ? 'process' : 'processes'}` +
      `${args.match ? ' that the filters let through' : ''}, ${rangeText(range, utc, now)}; ` +
      (rest ? `smaller ones used ${formatValue(rest, doc.unit)} together; ` : '') +
      'a name opens its flame graph, a share its threads';
    this.show();
    // The answer counts the host's samples, filtered or not.
    return args.match ? {samples: this.all > 0 ? undefined : 0} : doc;
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
    refill(
      this.box,
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
    const name = button(p.comm, `flame graph of ${p.comm} (${p.pid})`, () =>
      this.on.process(p.pid),
    );
    const cells = {
      pid: p.pid,
      comm: h('span', {}, name, p.gone && h('span', {class: 'quiet'}, ' gone')),
      value: p.value ? formatValue(p.value, unit) : '',
      cores: p.value ? (p.value / 1e9 / this.seconds).toFixed(2) : '',
      share: p.value
        ? button(formatShare(p.value, all), 'by thread', () => this.on.threads(p.pid))
        : '',
      bar,
      service_name: p.service_name,
      container: (p.container ?? '').slice(0, 12),
    };
    return h('tr', {}, ...COLUMNS.map(([id, , type]) => h('td', {class: type}, cells[id])));
  }
}
