// SPDX-License-Identifier: Apache-2.0
// One function, its callers above and its callees below, each side summed over all places where it
// is called. It follows the filters and the search of the graph it belongs to.

import {h} from './dom.js';
import {Flame} from './flame.js';
import {formatCount, formatShare, formatValue} from './format.js';
import {calleesOf, callersOf, emptyTree} from './nodes.js';

export class Sandwich {
  constructor(element, flame) {
    this.flame = flame;
    this.name = '';
    this.head = h('div', {class: 'sandwich-head', 'aria-live': 'polite'});
    this.element = element;
    flame.element.addEventListener('change', () => this.show(this.name));
  }

  // The graphs, when they are first looked at.
  build() {
    const [above, below] = ['Callers', 'Callees'].map(label => h('div', {'aria-label': label}));
    this.element.append(above, this.head, below);
    this.callers = new Flame(above, emptyTree(), this.flame.themeName, {part: true});
    this.callees = new Flame(below, emptyTree(), this.flame.themeName, {part: true});
    this.callers.asked.flip = true;
  }

  setTheme(name) {
    this.callers?.setTheme(name);
    this.callees?.setTheme(name);
  }

  show(name) {
    const {tree, base, asked} = this.flame;
    this.name = name;
    if (!this.element.clientWidth) return; // not shown
    if (!this.callers) this.build();
    const known = this.made;
    if (known?.tree !== tree || known.name !== name) {
      const match = Uint8Array.from(base.frames.name, (n, f) => (f > 1 && n === name ? 1 : 0)),
        found = match.includes(1);
      this.made = {tree, name};
      this.callers.setTree(found ? callersOf(tree, match) : emptyTree(), []);
      this.callees.setTree(found ? calleesOf(tree, match) : emptyTree(), []);
      this.callers.scroll.scrollTop = this.callers.scroll.scrollHeight;
      this.describe(match, name);
    }
    for (const part of [this.callers, this.callees]) part.search(asked.query);
  }

  describe(match, name) {
    const {tree, totals, base} = this.flame,
      {unit} = base.about,
      all = tree.total[0];
    const total = this.callees.tree.total[0],
      self = match.reduce((sum, on, f) => sum + (on ? totals.self[f] : 0), 0),
      places = match.reduce((sum, on, f) => sum + (on ? totals.count[f] : 0), 0);
    const said = !name
      ? 'in the table, by its menu, or with s'
      : !places
        ? 'is not in this profile'
        : `self ${formatValue(self, unit)}, total ${formatValue(total, unit)}, ` +
          `${formatShare(total, all)}, in ${formatCount(places)} ` +
          (places === 1 ? 'place' : 'places');
    this.head.replaceChildren(
      h('span', {class: 'quiet'}, '▲ callers'),
      h('b', {}, name || 'Choose a function'),
      h('span', {}, said),
      h('span', {class: 'quiet'}, '▼ callees'),
    );
  }
}
