// SPDX-License-Identifier: Apache-2.0
// The time line by keyboard: arrows move a step, with shift they widen the selection from where it
// began; Enter takes it, b as the baseline of a diff, Escape leaves it.

import {clock, lengthText} from './state.js';

const WAYS = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9};

export class LineKeys {
  constructor(line) {
    this.line = line;
    line.canvas.setAttribute('role', 'slider');
    line.canvas.setAttribute('aria-label', 'Time line');
    line.canvas.addEventListener('keydown', event => this.key(event));
    line.canvas.addEventListener('focus', () => this.focused());
    line.canvas.addEventListener('blur', () => this.leave());
    this.focused();
  }

  // A pointer that presses focuses, too: it has its own selection.
  focused() {
    if (this.line.canvas.matches(':focus-visible')) this.move(0, false);
  }

  // Times from the first step's beginning to the last one's end.
  range() {
    const {from_ms: from, to_ms: to, step_ms: step} = this.line.doc,
      [a, b] = [this.anchor, this.step].sort((x, y) => x - y);
    return [from + a * step, Math.min(to, from + (b + 1) * step)];
  }

  key(event) {
    const way = WAYS[event.key];
    if (!this.line.doc || event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) this.move(way, event.shiftKey);
    else if (event.key === 'Enter' || event.key === 'b') {
      const range = this.range();
      this.leave();
      this.line.on.select(range, event.key === 'b');
    } else if (event.key === 'Escape') {
      this.leave();
      if (this.line.marks.sel) this.line.on.select(null, false);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  move(way, widen) {
    const {line} = this,
      {doc, marks, canvas} = line;
    if (!doc) return;
    const last = doc.steps - 1;
    this.step = Math.max(0, Math.min(last, (this.step ?? last) + way));
    this.anchor = widen ? Math.min(last, this.anchor ?? this.step) : this.step;
    const [from, to] = this.range(),
      at = doc.from_ms + (this.step + 0.5) * doc.step_ms;
    line.drag = {a: from, b: to, isBase: false};
    line.paint();
    line.hover({clientX: canvas.getBoundingClientRect().left + line.x(at)});
    const said = line.sumText(this.step, at),
      text = `${clock(from, marks.utc).time}, ${lengthText(to - from)}, ${said}`;
    for (const [name, value] of Object.entries({max: last, min: 0, now: this.step, text}))
      canvas.setAttribute(`aria-value${name}`, value);
  }

  leave() {
    this.line.tip.hidden = true;
    this.line.drop();
  }
}
