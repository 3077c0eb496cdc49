// SPDX-License-Identifier: Apache-2.0
// The functions of what the flame graph shows: self, total, share. It follows the graph's focus and
// filters, and narrows to the matches of a search. Headers sort; a row highlights its function.

import {h, narrow} from './dom.js';
import {formatChange, formatCount, formatShare, formatValue, placeOf} from './format.js';

const MAX_TABLE_ROWS = 200,
  NUMBER_PX = 78; // as flame.css
const SCALE = 12 / 13; // of the canvas font to the table's

export class Table {
  constructor(element, flame) {
    this.flame = flame;
    this.sort = 'self';
    this.isDiff = false;
    this.body = h('tbody');
    this.foot = h('div', {class: 'table-foot'});
    this.heads = Object.fromEntries(
      [
        ['name', 'function'],
        ['self', 'self'],
        ['total', 'total'],
        ['share', 'share'],
      ].map(([key, text]) => [
        key,
        h(
          'th',
          {scope: 'col', class: key},
          h('button', {type: 'button', onclick: () => this.sortBy(key)}, text),
        ),
      ]),
    );
    this.element = element;
    this.element.append(
      h(
        'div',
        {class: 'table-scroll'},
        h('table', {}, h('thead', {}, h('tr', {}, ...Object.values(this.heads))), this.body),
      ),
      this.foot,
    );
    flame.element.addEventListener('change', () => this.update());
    this.update();
  }

  sortBy(key) {
    this.sort = key;
    this.update();
  }

  // Numbers of the frames to show, in order.
  rows() {
    const {totals, base, match} = this.flame,
      {rank} = base.frames,
      list = [];
    for (let f = 2; f < base.frames.n; f++)
      if (
        totals.count[f] &&
        base.frames.kinds[base.frames.kind[f]] !== 'group' &&
        (!match || match[f])
      )
        list.push(f);
    const by = {
      name: () => 0,
      self: (a, b) => totals.self[b] - totals.self[a] || totals.total[b] - totals.total[a],
      total: (a, b) => totals.total[b] - totals.total[a],
    };
    const {now, base: before} = totals;
    if (now) {
      by.self = (a, b) => before[b] - before[a];
      by.total = (a, b) => now[b] - now[a];
      by.share = (a, b) => Math.abs(now[b] - before[b]) - Math.abs(now[a] - before[a]);
    }
    const compare = by[this.sort] ?? by.total;
    return list.sort((a, b) => compare(a, b) || rank[a] - rank[b]);
  }

  update() {
    if (!this.element.clientWidth) return; // not shown
    const rows = this.rows(),
      shown = rows.slice(0, MAX_TABLE_ROWS);
    const isDiff = !!this.flame.tree.diff;
    if (isDiff !== this.isDiff) {
      this.isDiff = isDiff;
      this.sort = isDiff ? 'share' : 'self';
      const texts = isDiff ? ['baseline', 'now', 'change'] : ['self', 'total', 'share'];
      ['self', 'total', 'share'].forEach(
        (key, i) => (this.heads[key].firstChild.textContent = texts[i]),
      );
      this.update();
      return;
    }
    for (const [key, head] of Object.entries(this.heads))
      head.setAttribute(
        'aria-sort',
        key === this.sort ? (key === 'name' ? 'ascending' : 'descending') : 'none',
      );
    this.room = this.body.parentElement.clientWidth - (narrow() ? 0 : 3 * NUMBER_PX) - 24;
    const focused =
      this.body.contains(document.activeElement) && document.activeElement.dataset.frame;
    this.body.replaceChildren(...shown.map(f => this.row(f)));
    if (focused) this.body.querySelector(`[data-frame="${focused}"]`)?.focus();
    const {tree, totals} = this.flame,
      rest = totals.total[1]; // of the frame `other`
    this.foot.replaceChildren(
      rows.length > shown.length
        ? `${formatCount(shown.length)} of ${formatCount(rows.length)} functions; search for others`
        : `${formatCount(rows.length)} ${rows.length === 1 ? 'function' : 'functions'}`,
      rest > 0
        ? h('div', {}, `${formatShare(rest, tree.total[0])} is in small stacks, not listed`)
        : '',
    );
  }

  // Beside a sandwich a row is its function, else it is searched for.
  choose(name) {
    const beside = this.element.closest('[data-show]')?.dataset.show === 'sandwich';
    this.flame.tell(beside ? 'ask-sandwich' : 'ask-search', beside ? name : `"${name}"`);
  }

  row(frame) {
    const {totals, base, tree, fitter} = this.flame,
      {frames} = base,
      all = tree.total[0];
    const label = fitter.fitName(
      this.flame.labelOf(frame),
      this.room * SCALE,
      this.flame.asked.ends,
    );
    const left = this.room * SCALE - fitter.width(label) - 10,
      module = placeOf(frames, frame);
    const key = this.sort === 'self' ? totals.self[frame] : totals.total[frame];
    const bar = h('span', {class: 'bar'}),
      name = h(
        'button',
        {
          type: 'button',
          'data-frame': frame,
          title: `${frames.name[frame]}\n${frames.module[frame]}`,
          onclick: () => this.choose(frames.name[frame]),
        },
        label,
      );
    bar.style.width = `${all ? (100 * key) / all : 0}%`;
    return h(
      'tr',
      {},
      h(
        'td',
        {class: 'name'},
        bar,
        name,
        left > 40 && h('span', {class: 'module'}, fitter.fit(module, left * 0.95, false)),
      ),
      ...this.figures(frame, key, all).map(text => h('td', {}, text)),
    );
  }

  figures(frame, key, all) {
    const {totals, base} = this.flame,
      {unit} = base.about,
      value = v => formatValue(v, unit);
    if (!this.isDiff)
      return [value(totals.self[frame]), value(totals.total[frame]), formatShare(key, all)];
    const now = totals.now[frame],
      before = totals.base[frame];
    return [value(before), value(now), formatChange(now, before)];
  }
}
