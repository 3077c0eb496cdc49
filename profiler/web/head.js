// SPDX-License-Identifier: Apache-2.0
// What stands around the panes of the agent's page: the bar on top, the pills of filters.
// Everything is told to the page, `app`, by its methods.

import {h, refill} from './dom.js';
import {formatMatch, lengthText, timeOf} from './state.js';

const lastOf = length => `Last ${lengthText(-timeOf(`now-${length}`, 0))}`,
  LENGTHS = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '24h'];
const button = (text, title, onclick, attributes = {}) =>
  h('button', {type: 'button', title, onclick, ...attributes}, text);

// page: {app}, filled once the page exists.
export function buildTop(page, tools) {
  const length = h(
    'select',
    {'aria-label': 'Time range', onchange: () => page.app.setLength(length.value)},
    ...LENGTHS.map(l => h('option', {value: l}, lastOf(l))),
    h('option', {value: '', hidden: true}),
  );
  const zone = Object.fromEntries(
    ['local', 'UTC'].map(name => [
      name,
      button(name, `times in ${name}`, () => page.app.change({utc: name === 'UTC'})),
    ]),
  );
  const live = button('● live', 'follow: every 5 s  (l)', () => page.app.toggleLive());
  const zoomLine = button('⤢', 'time line: only the selected range', () => page.app.zoomLine());
  const host = h('span', {class: 'host'}),
    filters = h('span', {class: 'filters', role: 'group', 'aria-label': 'Filters'});
  const element = h(
    'div',
    {class: 'top', role: 'toolbar', 'aria-label': 'What to show'},
    h('span', {class: 'brand'}, 'Bianque'),
    host,
    length,
    button('‹', 'earlier  ( [ )', () => page.app.shift(-1), {'aria-label': 'earlier'}),
    button('›', 'later  ( ] )', () => page.app.shift(1), {'aria-label': 'later'}),
    zoomLine,
    h('span', {class: 'segments', role: 'group', 'aria-label': 'Times'}, zone.local, zone.UTC),
    filters,
    button('+ filter', 'only some services, containers, processes', () => page.app.askFilter()),
    h('span', {class: 'gap'}),
    tools.kind,
    tools.group,
    tools.save,
    tools.link,
    live,
  );
  const press = (b, on) => b.setAttribute('aria-pressed', on ? 'true' : 'false');
  const update = (state, hostName) => {
    const own = /^now-(\w+)$/.exec(state.from)?.[1];
    length.lastChild.textContent = own && state.to === 'now' ? lastOf(own) : 'Own range';
    length.value = state.to === 'now' && LENGTHS.includes(own) ? own : '';
    press(zone.local, !state.utc);
    press(zone.UTC, state.utc);
    press(live, state.live);
    zoomLine.hidden = !state.sel;
    host.textContent = hostName;
    refill(
      filters,
      ...state.match.map(([label, op, value], i) =>
        button(`${label} ${op} ${value} ✕`, 'remove', () => page.app.dropFilter(i), {
          class: 'filter',
        }),
      ),
    );
  };
  return {element, update};
}
