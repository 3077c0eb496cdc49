// SPDX-License-Identifier: Apache-2.0
// Dialogs of the agent's page, loaded when the first is opened.

import {h} from './dom.js';
import {formatCount, formatShare} from './format.js';
import {parseMatch} from './state.js';

const OPERATORS = ['=', '!=', '=~', '!~'];
const BY_THREAD = ['pid', 'tid', 'comm'];

const HINT =
  '=~ and !~ take regular expressions over the whole value. A whole selector can be pasted as the ' +
  'value: {service_name="nginx",host!~"b.*"}';

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

// Ask for filters: done(list of [label, operator, value]). names: of labels; values(label): a promise.
// A whole selector that is pasted for a value is what it says.
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
  const said = h('p', {class: 'quiet', 'aria-live': 'polite'}, HINT);
  const add = () => {
    const isSelector = /^\s*\{.*\}\s*$/s.test(value.value),
      list = isSelector ? parseMatch(value.value) : [[label.value, op.value, value.value]];
    if (!list) {
      said.textContent = `This is not like {service_name="nginx",host!~"b.*"}: ${value.value}`;
      return;
    }
    dialog.close();
    done(list);
  };
  const fill = async () => list.replaceChildren(...(await values(label.value)).map(option));
  if (names.includes('service_name')) label.value = 'service_name';
  const dialog = openDialog(
    'Only what fits',
    h('div', {class: 'row'}, label, op, value, list, button('Add', 'add this filter', add)),
    said,
  );
  value.focus();
  fill();
}

// Why stacks end before their root: bpf/reason.h.
export const STOPS = {
  truncated: 'deeper than profile.max_frames: the root side is cut',
  no_row: 'code without unwind rows, and without a frame pointer that holds',
  unmapped: 'the program counter was in no file and no code that is known',
  read_fault: 'the stack could not be read: that part of it was not in memory',
  rule: 'a rule of the unwind tables that is not followed',
  no_progress: 'the stack pointer does not grow: a damaged stack, or not one',
  not_loaded: 'the process was so new that its unwind rows were not there yet',
  copy_limited: 'more stacks of new processes at once than may be copied',
  copy_short: 'the stack of a new process was longer than what is copied of it',
  '32bit': 'a 32-bit program: its stacks are not unwound',
  file_gone: 'the file it ran from was deleted or replaced before it could be read',
  other: 'small stacks of a very full range, added up',
};

// Why samples are lost: there, too.
export const LOSSES = {
  ring_full: 'the agent did not come to read in time: the host was busier than its buffers last',
  nested: 'more interrupts within each other than there is room for',
  not_run:
    'an estimate: the kernel left the sampling out while another program of the same kind ' +
    '(a tracer, a security agent) ran on that CPU',
  sideband: 'the kernel dropped news of mapped files; they were read again from /proc',
  stack_unknown: 'a sample came whose stack never did',
  bad_record: 'a record that cannot be: please report it',
  table_full: 'one of the agent’s tables was full; /debug/state shows which',
  memory: 'the agent had no memory left for them',
};

// What ended the stacks that are not whole, the largest first: [[reason, its sum]]. A mark stands where
// the root would: below nothing but the groups of a split.
export function stopsOf(tree) {
  const total = tree.diff?.now.total ?? tree.total,
    kindOf = node => tree.frames.kinds[tree.frames.kind[tree.frame[node]]],
    outer = new Uint8Array(tree.n).fill(1, 0, 1),
    sums = new Map();
  for (let i = 1; i < tree.n; i++) {
    const above = outer[tree.parent[i]],
      name = tree.frames.name[tree.frame[i]].replace(/^\[(?:incomplete:)?(.*)\]$/, '$1');
    outer[i] = above && kindOf(i) === 'group';
    if (above && kindOf(i) === 'mark') sums.set(name, (sums.get(name) ?? 0) + total[i]);
  }
  return [...sums].filter(([, v]) => v > 0).sort((a, b) => b[1] - a[1]);
}

// How far the figures can be trusted: about: of the answer; tree: or null; lacking: objects without
// symbols that occur in it; part: 'stacks', 'lost', 'symbols', 'parts', where the reader came from.
export function showTrust({status, about, tree, lacking}, part) {
  const {sampling, parts = []} = status,
    all = tree?.diff?.now.total[0] ?? tree?.total[0],
    stops = tree ? stopsOf(tree) : [],
    // one that is well may have had to set something aside
    store = status.store?.ok && status.store.reason ? [['store', status.store.reason]] : [],
    degraded = parts.filter(p => p.state === 'degraded'),
    lost = Object.entries(sampling?.lost_total ?? {}).filter(([, n]) => n),
    noRows = sampling?.objects_without_rows ?? [];
  const section = (id, title, rows, none, note) =>
    h(
      'section',
      {'data-part': id},
      h('h2', {}, title),
      rows.length
        ? h('table', {}, ...rows.map(cells => h('tr', {}, ...cells.map(c => h('td', {}, c)))))
        : h('p', {}, none),
      rows.length > 0 && note && h('p', {class: 'quiet'}, note),
    );
  const dialog = openDialog(
    'Can these figures be trusted?',
    h(
      'div',
      {class: 'scrolled', tabindex: '0'},
      section(
        'stacks',
        'Stacks that are not whole, of what is chosen',
        stops.map(([name, v]) => [name, formatShare(v, all), STOPS[name] ?? '']),
        tree ? 'none' : 'the flame graph says which',
        'Their frames are right, those nearer to the root are missing.',
      ),
      section(
        'lost',
        `Samples lost on this host in this range: ${formatCount(about.lost ?? 0)}`,
        lost.map(([name, n]) => [name, formatCount(n), LOSSES[name] ?? '']),
        'none since the agent started',
        'The reasons are counted on the whole host, since the agent started.',
      ),
      section(
        'symbols',
        'Objects without symbols, of what is chosen',
        lacking.map(o => [
          o.path,
          o.package ? `install ${o.package}` : o.note,
          o.build_id.slice(0, 16),
        ]),
        'none',
        'As the agent knows them now: of programs that ended long ago nothing is known.',
      ),
      section(
        'rows',
        'Objects without unwind rows, on this host now',
        noRows.map(o => [o.path, o.reason]),
        'none',
      ),
      section(
        'parts',
        'What is degraded now',
        degraded.map(p => [h('b', {}, p.name), p.reason]).concat(store),
        'nothing',
        '`bianque check` on the host says what this kernel and these rights allow, and how to get more.',
      ),
    ),
  );
  dialog.querySelector(`[data-part=${part}]`).scrollIntoView();
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
