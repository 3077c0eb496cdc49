// SPDX-License-Identifier: Apache-2.0
// Dialogs of the agent's page, loaded when the first is opened.

import {h} from './dom.js';

const OPERATORS = ['=', '!=', '=~', '!~'];
const BY_THREAD = ['pid', 'tid', 'comm'];

const button = (text, title, onclick) => h('button', {type: 'button', title, onclick}, text);

// A dialog with a title that closes by Escape, its button, or by returning from `act`.
function openDialog(title, ...children) {
  const dialog = h(
    'dialog',
    {class: 'dialog', 'aria-label': title, 'data-own-keys': true, onclose: () => dialog.remove()},
    h('h2', {}, title),
    ...children,
    h('form', {method: 'dialog', class: 'row'}, h('button', {}, 'Close')),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Ask for a filter: done([label, operator, value]). names: of labels; values(label): a promise.
export function askFilter(names, values, done) {
  const list = h('datalist', {id: 'values'}),
    option = text => h('option', {value: text}, text);
  const label = h(
    'select',
    {'aria-label': 'Label', onchange: () => fill()},
    ...[...names.filter(n => !BY_THREAD.includes(n)), ...BY_THREAD].map(option),
  );
  const op = h('select', {'aria-label': 'Operator'}, ...OPERATORS.map(option)),
    value = h('input', {
      'aria-label': 'Value',
      list: 'values',
      autocomplete: 'off',
      onkeydown: event => event.key === 'Enter' && (event.preventDefault(), add()),
    });
  const add = () => {
    dialog.close();
    done([label.value, op.value, value.value]);
  };
  const fill = async () => list.replaceChildren(...(await values(label.value)).map(option));
  if (names.includes('service_name')) label.value = 'service_name';
  const dialog = openDialog(
    'Only what fits',
    h('div', {class: 'row'}, label, op, value, list, button('Add', 'add this filter', add)),
    h('p', {class: 'quiet'}, '=~ and !~ take regular expressions over the whole value.'),
  );
  value.focus();
  fill();
}

// What the agent says about itself: parts that are degraded, losses, objects without symbols.
export function showTrust(status) {
  const table = rows =>
    h('table', {}, ...rows.map(cells => h('tr', {}, ...cells.map(c => h('td', {}, c)))));
  const degraded = (status.parts ?? []).filter(p => p.state === 'degraded'),
    lost = Object.entries(status.sampling?.lost_total ?? {}).filter(([, n]) => n),
    lacking = status.symbols?.lacking ?? [],
    rows = status.sampling?.objects_without_rows ?? [];
  const part = (title, list, none) => [
    h('h2', {}, title),
    list.length ? table(list) : h('p', {}, none),
  ];
  openDialog(
    'Can these figures be trusted?',
    h(
      'div',
      {class: 'scrolled'},
      ...part(
        'What is degraded',
        degraded.map(p => [h('b', {}, p.part ?? p.name), p.reason]),
        'nothing',
      ),
      ...part(
        'Samples lost since the start, by reason',
        lost.map(([reason, n]) => [reason, String(n)]),
        'none',
      ),
      ...part(
        'Objects without symbols',
        lacking.map(o => [
          o.path,
          o.package ? `install ${o.package}` : o.note,
          o.build_id.slice(0, 16),
        ]),
        'none',
      ),
      ...part(
        'Objects without unwind rows',
        rows.map(o => [o.path, o.reason]),
        'none',
      ),
    ),
    h('p', {class: 'quiet'}, '`bianque check` on the host says how to mend each of them.'),
  );
}

// The token: use(text).
export function askToken(use) {
  const input = h('input', {type: 'password', 'aria-label': 'Token', autocomplete: 'off'});
  const done = () => {
    dialog.close();
    use(input.value);
  };
  input.addEventListener('keydown', event => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    done();
  });
  const dialog = openDialog(
    'This agent asks for its token',
    h('div', {class: 'row'}, input, button('Use it', 'ask again with it', done)),
    h('p', {class: 'quiet'}, 'It stays in this tab. A link can carry it: …/#token=TOKEN'),
  );
  input.focus();
}
