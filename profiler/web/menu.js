// SPDX-License-Identifier: Apache-2.0
// A context menu: arrows and Enter, Escape and clicks elsewhere close it, focus goes back.

import {h} from './dom.js';

export class Menu {
  constructor(parent) {
    this.element = h('div', {
      class: 'menu',
      role: 'menu',
      hidden: true,
      onkeydown: event => this.key(event),
      onfocusout: event => this.element.contains(event.relatedTarget) || this.close(),
    });
    parent.append(this.element);
  }

  // items: [text, key hint, action], or null for a line between groups.
  open(x, y, title, items) {
    this.back = document.activeElement;
    this.element.replaceChildren(
      h('div', {class: 'menu-title'}, title),
      ...items.map(item =>
        item
          ? h(
              'button',
              {type: 'button', role: 'menuitem', onclick: () => this.run(item[2])},
              h('span', {}, item[0]),
              item[1] && h('kbd', {}, item[1]),
            )
          : h('hr'),
      ),
    );
    this.element.hidden = false;
    const {width, height} = this.element.getBoundingClientRect();
    this.element.style.left = `${Math.max(4, Math.min(x, innerWidth - width - 4))}px`;
    this.element.style.top = `${Math.max(4, Math.min(y, innerHeight - height - 4))}px`;
    this.element.querySelector('button').focus();
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.back?.focus?.({preventScroll: true});
  }

  run(action) {
    this.close();
    action();
  }

  key(event) {
    const buttons = [...this.element.querySelectorAll('button')];
    const at = buttons.indexOf(document.activeElement);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1 + buttons.length,
      Home: 0,
      End: buttons.length - 1,
    };
    event.stopPropagation();
    if (event.key === 'Escape' || event.key === 'Tab') this.close();
    else if (event.key in to) buttons[to[event.key] % buttons.length].focus();
    else return;
    event.preventDefault();
  }
}
