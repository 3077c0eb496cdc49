// SPDX-License-Identifier: Apache-2.0
// What both pages share around one flame graph: its bar, search, table, sandwich, theme, keys and
// help. A page extends it with where trees come from and what its address says: `toAddress` is
// called after every change.

import {h, typing} from './dom.js';
import {Flame} from './flame.js';
import {formatCount, formatShare} from './format.js';
import {Sandwich} from './sandwich.js';
import {Table} from './table.js';
import {KINDS} from './theme.js';

export const KEYS = [
  ['/', 'search'],
  ['n  N', 'next, previous match'],
  ['← ↑ → ↓', 'move between frames'],
  ['Enter', 'zoom in'],
  ['Backspace', 'back'],
  ['r', 'reset'],
  ['f', 'focus: only stacks through it'],
  ['h', 'hide: its time to its callers'],
  ['c', 'collapse recursion'],
  ['i', 'flip: root below'],
  ['Ctrl wheel', 'zoom'],
  ['s', 'sandwich: callers and callees'],
  ['t', 'flame graph, with table, table'],
  ['right click', 'menu, also the menu key'],
  ['drag', 'pan when zoomed'],
  ['tap', 'what it is; once more: zoom'],
  ['?', 'this list'],
];

export class View {
  constructor(tree, {keys, head = [], tabs = [], tools = []}) {
    this.system = matchMedia('(prefers-color-scheme: dark)');
    this.chosen = this.storedTheme(); // null: the system's
    this.themeName = this.chosen ?? this.systemTheme();
    this.root = document.getElementById('view');
    this.flameBox = h('section', {'aria-label': 'Flame graph'});
    this.sandwichBox = h('section', {class: 'sandwich', 'aria-label': 'Callers and callees'});
    this.tableBox = h('section', {
      class: 'table',
      'aria-label': 'Functions',
      'data-own-keys': true,
    });
    this.panesBox = h('div', {class: 'panes'}, this.flameBox, this.sandwichBox, this.tableBox);
    this.root.replaceChildren(...head, this.buildBar(tabs, tools), this.panesBox);
    this.help = this.buildHelp(keys);
    this.show(innerWidth < 900 ? 'flame' : 'both');
    this.setTheme(this.themeName);
    this.flame = new Flame(this.flameBox, tree, this.themeName);
    this.table = new Table(this.tableBox, this.flame);
    this.sandwich = new Sandwich(this.sandwichBox, this.flame);
    this.flameBox.addEventListener('change', () => this.changed());
    this.root.addEventListener('ask-search', event => this.searchFor(event.detail));
    this.root.addEventListener('ask-sandwich', event => this.sandwichOf(event.detail));
    document.addEventListener('keydown', event => this.key(event));
    this.system.addEventListener('change', () => this.setTheme(this.chosen ?? this.systemTheme()));
  }

  button(text, title, action, attributes = {}) {
    return h('button', {type: 'button', title, onclick: action, ...attributes}, text);
  }

  buildBar(tabs, tools) {
    const ask = key => () => this.flame.ask({[key]: !this.flame.asked[key]});
    this.panes = Object.fromEntries(
      [
        ['flame', 'Flame'],
        ['both', 'Both'],
        ['table', 'Table'],
        ['sandwich', 'Sandwich'],
        ...tabs,
      ].map(([key, text]) => [key, this.button(text, `show: ${key}  (t)`, () => this.show(key))]),
    );
    this.toggles = {
      collapse: this.button('Recursion', 'collapse recursive calls  (c)', ask('collapse')),
      flip: this.button('Flip', 'root below  (i)', ask('flip')),
      ends: this.button('Ends', 'cut long names in front, not in the middle', ask('ends')),
    };
    this.order = this.button('', 'order of frames: by name, or the largest first', () =>
      this.flame.ask({order: this.flame.asked.order === 'name' ? 'weight' : 'name'}),
    );
    this.input = h('input', {
      type: 'search',
      placeholder: 'Search  ( / )',
      spellcheck: 'false',
      autocomplete: 'off',
      'aria-label': 'Search functions, files, modules',
      title: 'text, "exact name" or /regular expression/',
      oninput: () => this.typed(),
      onkeydown: event => this.searchKey(event),
    });
    this.count = h('output', {
      class: 'count',
      'aria-live': 'polite',
      title:
        'matches, those within others not counted, and their share; zoomed in: of what is shown',
    });
    this.only = this.button('Only matches', 'keep only the stacks that match', () =>
      this.flame.ask({only: !this.flame.asked.only}),
    );
    this.found = h(
      'span',
      {class: 'found', hidden: true},
      this.count,
      this.button('‹', 'previous match  (N)', () => this.flame.nextMatch(-1), {
        'aria-label': 'previous match',
      }),
      this.button('›', 'next match  (n)', () => this.flame.nextMatch(1), {
        'aria-label': 'next match',
      }),
      this.only,
    );
    return h(
      'div',
      {class: 'bar', role: 'toolbar', 'aria-label': 'View'},
      h(
        'span',
        {class: 'segments', role: 'group', 'aria-label': 'Panes'},
        ...Object.values(this.panes),
      ),
      h('span', {class: 'graph-only'}, this.order, ...Object.values(this.toggles)),
      this.button(
        'Reset',
        'all of it again: no zoom, search, focus; nothing hidden or collapsed  (r)',
        () => this.resetAll(),
      ),
      h('span', {class: 'gap'}),
      this.input,
      this.found,
      ...tools,
      this.button('◐', 'dark or light', () => this.toggleTheme(), {
        'aria-label': 'dark or light',
      }),
      this.button('?', 'keys', () => this.help.showModal(), {'aria-label': 'keys'}),
    );
  }

  buildHelp(keys) {
    const dialog = h(
      'dialog',
      {class: 'help', 'aria-label': 'Keys', 'data-own-keys': true},
      h('h2', {}, 'Keys'),
      h(
        'dl',
        {},
        ...keys.flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]),
      ),
      h(
        'p',
        {},
        'Width is the share of the total. Callers are above what they call. Colours tell ' +
          'kernel, native and interpreted code apart, shades of one colour its modules; a bar on ' +
          'the left marks an inlined function.',
      ),
      h('form', {method: 'dialog'}, h('button', {}, 'Close')),
    );
    document.body.append(dialog);
    return dialog;
  }

  // ---- search ----
  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flame.search(this.input.value), 60);
  }

  searchFor(query) {
    this.input.value = query;
    this.flame.search(query);
  }

  searchKey(event) {
    if (event.key === 'Enter') {
      clearTimeout(this.timer);
      this.flame.search(this.input.value);
      this.flame.nextMatch(event.shiftKey ? -1 : 1);
    } else if (event.key === 'Escape') {
      if (this.input.value) this.searchFor('');
      this.flame.scroll.focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  resetAll() {
    this.searchFor('');
    this.flame.reset();
  }

  // ---- what follows the graph ----
  changed() {
    const {asked, found, foundAt, match} = this.flame,
      press = (button, on) => button.setAttribute('aria-pressed', on ? 'true' : 'false');
    this.order.textContent = `Order: ${asked.order}`;
    for (const [key, button] of Object.entries(this.toggles)) press(button, asked[key]);
    press(this.only, asked.only);
    if (this.input !== document.activeElement) this.input.value = asked.query;
    this.found.hidden = !asked.query;
    this.count.textContent = match ? this.countText(found, foundAt) : 'not an expression';
    this.toAddress();
  }

  // `12 matches, 48.0 %`; zoomed in, those in view and their share of it: `3 of 12 in view, 62.5 %`.
  countText({nodes, total}, at) {
    const {tree} = this.flame,
      seen = this.flame.foundInView(),
      n = formatCount(nodes.length),
      place = at >= 0 ? `${formatCount(at + 1)} / ${n}` : '';
    if (!nodes.length) return 'no match';
    if (seen)
      return (
        (place ? `${place}, ${formatCount(seen.count)}` : `${formatCount(seen.count)} of ${n}`) +
        ` in view, ${formatShare(seen.total, seen.of)}`
      );
    const share = formatShare(total, tree.total[0]);
    return `${place || n} ${nodes.length === 1 ? 'match' : 'matches'}, ${share}`;
  }

  // ---- the address ----
  // What is asked of the graph, to and from the parameters of an address.
  graphTo(p) {
    const {asked} = this.flame;
    for (const [key, value] of Object.entries({
      q: asked.query,
      order: asked.order === 'weight' && 'weight',
      flip: asked.flip && '1',
      ends: asked.ends && '1',
      rec: asked.collapse && '1',
      only: asked.only && '1',
      fn: this.pane === 'sandwich' && this.sandwich.name,
    }))
      if (value) p.set(key, value);
    for (const key of ['focus', 'hide']) asked[key].forEach(name => p.append(key, name));
  }

  graphFrom(p) {
    this.input.value = p.get('q') ?? '';
    Object.assign(this.flame.asked, {
      query: p.get('q') ?? '',
      order: p.get('order') === 'weight' ? 'weight' : 'name',
      flip: p.has('flip'),
      ends: p.has('ends'),
      collapse: p.has('rec'),
      only: p.has('only'),
      focus: p.getAll('focus'),
      hide: p.getAll('hide'),
    });
  }

  setHash(p, push = false) {
    const hash = String(p),
      url = hash ? `#${hash}` : location.pathname + location.search;
    if (hash !== location.hash.slice(1))
      history[push ? 'pushState' : 'replaceState'](null, '', url);
  }

  // ---- panes, theme, keys ----
  moreKeys() {
    return {};
  }

  show(which) {
    this.pane = which;
    for (const [key, button] of Object.entries(this.panes))
      button.setAttribute('aria-pressed', key === which ? 'true' : 'false');
    this.panes[which].scrollIntoView({block: 'nearest', inline: 'center'}); // of a phone's bar
    this.root.dataset.show = which;
    this.table?.update();
    if (which === 'sandwich') this.sandwich?.show(this.sandwich.name || this.heaviest());
    if (this.sandwich) this.toAddress();
  }

  // The function to begin a sandwich with: the selected one, else that with the largest self.
  heaviest() {
    const {flame} = this,
      {base, totals} = flame;
    const here = flame.current();
    if (here > 0) return base.frames.name[flame.tree.frame[here]];
    let best = -1;
    for (let f = 2; f < base.frames.n; f++)
      if (totals.self[f] > 0 && !(totals.self[f] <= totals.self[best])) best = f;
    return best < 0 ? '' : base.frames.name[best];
  }

  sandwichOf(name) {
    this.sandwich.name = name;
    this.show('sandwich');
  }

  storedTheme() {
    try {
      const name = localStorage.getItem('bianque-theme');
      return Object.hasOwn(KINDS, name) ? name : null;
    } catch {
      // a file may have no storage
      return null;
    }
  }

  systemTheme() {
    return this.system.matches ? 'dark' : 'light';
  }

  setTheme(name) {
    this.themeName = name;
    document.documentElement.dataset.theme = name;
    for (const item of document.querySelectorAll('[data-kind]'))
      item.style.setProperty('--swatch', (KINDS[name][item.dataset.kind] ?? KINDS[name].group)[2]);
    this.flame?.setTheme(name);
    this.sandwich?.setTheme(name);
  }

  // Back to what the system has, it is followed again.
  toggleTheme() {
    this.setTheme(this.themeName === 'dark' ? 'light' : 'dark');
    this.chosen = this.themeName === this.systemTheme() ? null : this.themeName;
    try {
      if (this.chosen) localStorage.setItem('bianque-theme', this.chosen);
      else localStorage.removeItem('bianque-theme');
    } catch {
      /* not kept */
    }
  }

  key(event) {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    if (event.target.closest?.('.menu, dialog')) return;
    const panes = ['flame', 'both', 'table'],
      keys = {
        '/': () => {
          this.input.focus();
          this.input.select();
        },
        '?': () => this.help.showModal(),
        s: () => this.sandwichOf(this.heaviest()),
        t: () => this.show(panes[(panes.indexOf(this.pane) + 1) % panes.length]),
        r: () => this.searchFor(''),
        ...this.moreKeys(),
      };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}
