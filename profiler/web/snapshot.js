// SPDX-License-Identifier: Apache-2.0
// The page of one file that `record -o x.html` writes: a profile and the flame graph, nothing from
// outside. What is shown stands in the address, so that a link to the file opens the same view.

import {h} from './dom.js';
import {decode, pathOf} from './nodes.js';
import {KEYS, View} from './view.js';

class Snapshot extends View {
  constructor(tree) {
    super(tree, {keys: [...KEYS, ['+  −', 'zoom in, out'], ['d', 'dark, light']]});
    addEventListener('hashchange', () => this.fromAddress());
    this.fromAddress();
    this.changed();
  }

  moreKeys() {
    return {d: () => this.toggleTheme()};
  }

  toAddress() {
    const {tree, zoom} = this.flame,
      p = new URLSearchParams(),
      path = pathOf(tree, zoom).join('.');
    if (path) p.set('z', path);
    this.graphTo(p);
    this.setHash(p);
  }

  fromAddress() {
    const p = new URLSearchParams(location.hash.slice(1)),
      {flame} = this,
      path = (p.get('z') ?? '').split('.').filter(s => /^\d+$/.test(s));
    if (!location.hash) return;
    this.graphFrom(p);
    flame.remake(path.map(Number).filter(f => f < flame.base.frames.n));
    flame.changed();
    if (p.get('fn')) this.sandwichOf(p.get('fn'));
  }
}

function start() {
  const data = document.getElementById('data');
  try {
    window.bianque = new Snapshot(decode(JSON.parse(data.textContent)));
    data.remove();
  } catch (error) {
    document
      .getElementById('view')
      .replaceChildren(
        h(
          'p',
          {class: 'broken', role: 'alert'},
          `This page cannot show its profile: ${error.message}`,
        ),
      );
    throw error;
  }
}

start();
