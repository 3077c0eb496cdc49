// SPDX-License-Identifier: Apache-2.0
// What is known about one frame: the tool tip beside it, and the sentence for screen readers.

import {h} from './dom.js';
import {formatChange, formatCount, formatShare, formatValue} from './format.js';

// Where a frame's code is: file:line, object, kind; what is not known is left out.
export function whereOf(frames, frame) {
  const file = frames.file[frame],
    line = frames.line[frame];
  const kind = frames.kinds[frames.kind[frame]];
  return [
    file && (line ? `${file}:${line}` : file),
    frames.module[frame],
    frame > 1 ? kind : '',
  ].filter((part, i, all) => part && all.indexOf(part) === i);
}

// The nearest caller that is not inlined itself.
export function inlinedInto(tree, node) {
  let up = tree.parent[node];
  while (up > 0 && tree.frames.inlined[tree.frame[up]]) up = tree.parent[up];
  return tree.frames.name[tree.frame[up]];
}

export function fillTip(element, tree, totals, node, {type, unit}) {
  const frame = tree.frame[node],
    all = tree.total[0],
    self = tree.self[node],
    total = tree.total[node];
  const places = totals.count[frame],
    row = (name, a, b) =>
      h('tr', {}, h('th', {scope: 'row'}, name), h('td', {}, a), h('td', {}, b));
  const table = h(
    'table',
    {},
    h('tr', {}, h('td'), h('th', {scope: 'col'}, 'self'), h('th', {scope: 'col'}, 'total')),
    row(type, formatValue(self, unit), formatValue(total, unit)),
    row('of all', formatShare(self, all), formatShare(total, all)),
  );
  if (node > 0)
    table.append(row('of parent', '–', formatShare(total, tree.total[tree.parent[node]])));
  if (places > 1)
    table.append(
      row(
        `in ${formatCount(places)} places`,
        formatShare(totals.self[frame], all),
        formatShare(totals.total[frame], all),
      ),
    );
  if (tree.diff) fillDiff(table, tree.diff, node, type, unit);
  element.replaceChildren(
    h(
      'div',
      {class: 'tip-name'},
      tree.frames.name[frame],
      tree.frames.inlined[frame] > 0 &&
        h('span', {class: 'tip-note'}, ` [inlined into ${inlinedInto(tree, node)}]`),
      tree.collapsed?.[node] > 0 &&
        h(
          'span',
          {class: 'tip-note'},
          ` [up to ${formatCount(tree.collapsed[node] + 1)} calls deep, collapsed]`,
        ),
    ),
    h('div', {class: 'tip-where'}, whereOf(tree.frames, frame).join(' · ')),
    table,
  );
}

// Now, the baseline at the same length, and the change.
function fillDiff(table, {now, base}, node, type, unit) {
  const line = (name, ...texts) =>
    h('tr', {}, h('th', {scope: 'row'}, name), ...texts.map(text => h('td', {}, text)));
  table.replaceChildren(
    h('tr', {}, h('td'), ...['self', 'total'].map(t => h('th', {scope: 'col'}, t))),
    ...[
      [`${type} now`, now],
      ['baseline', base],
    ].map(([name, of]) =>
      line(name, formatValue(of.self[node], unit), formatValue(of.total[node], unit)),
    ),
    line(
      'change',
      formatChange(now.self[node], base.self[node]),
      formatChange(now.total[node], base.total[node]),
    ),
    line(
      'of all',
      formatShare(now.self[node], now.total[0]),
      formatShare(now.total[node], now.total[0]),
    ),
  );
}

export function sentence(tree, node, {unit}) {
  const frame = tree.frame[node];
  return (
    `${tree.frames.name[frame]}, ${formatValue(tree.total[node], unit)}, ` +
    `${formatShare(tree.total[node], tree.total[0])} of all, ` +
    `self ${formatValue(tree.self[node], unit)}` +
    (tree.diff
      ? `, ${formatChange(tree.diff.now.total[node], tree.diff.base.total[node])} against the baseline`
      : '')
  );
}

// Beside the pointer, inside the window, never under the pointer.
export function placeTip(element, x, y) {
  element.hidden = false;
  const {width, height} = element.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - width - 12 : x + 16;
  const top = y + 18 + height > innerHeight ? y - height - 12 : y + 18;
  element.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
  element.style.top = `${Math.max(4, top)}px`;
}
