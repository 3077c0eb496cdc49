// SPDX-License-Identifier: Apache-2.0
// The bar of a diff: against what. It tells the page, `app`, what is chosen; loaded with the first diff.

import {h} from './dom.js';
import {formatMatch} from './state.js';

// update(state, what the sums are, colours)
export function buildDiffBar(app) {
  const what = h(
    'select',
    {'aria-label': 'Baseline', onchange: () => app.setBase(what.value)},
    ...[
      ['before', 'the same length before'],
      ['yesterday', 'the same time yesterday'],
      ['same', 'the same time (other filter)'],
      ['drag', 'shift-drag on the time line'],
    ].map(([value, text]) => h('option', {value}, text)),
  );
  const match = h('input', {
    'aria-label': 'Filter of the baseline',
    placeholder: 'same filter, or {service_name="…"}',
    spellcheck: 'false',
    onchange: () => app.setBaseMatch(match.value),
  });
  const said = h('span', {class: 'quiet', 'aria-live': 'polite'}),
    scale = h('span', {class: 'scale', 'aria-hidden': 'true'});
  const element = h(
    'div',
    {class: 'diff-bar', role: 'group', 'aria-label': 'Diff'},
    h('span', {}, 'against'),
    what,
    match,
    said,
    h('span', {class: 'quiet'}, 'less ', scale, ' more'),
  );
  const update = (state, text, colours) => {
    what.value = Array.isArray(state.base) ? 'drag' : (state.base ?? 'same');
    if (match !== document.activeElement)
      match.value = state.baseMatch ? formatMatch(state.baseMatch) : '';
    said.textContent = text;
    scale.replaceChildren(
      ...colours.slice(1).map(colour => {
        const item = h('i');
        item.style.background = colour;
        return item;
      }),
    );
  };
  return {element, update};
}
