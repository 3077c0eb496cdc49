// SPDX-License-Identifier: Apache-2.0
// The flame graph: overview strip, breadcrumb, canvas, tool tip, menu, keys. It shows one tree (of
// nodes.js) and knows nothing of where it came from. What it is asked to show is `asked`, plain
// data, so that a link can hold it; the element it lives in gets a `change` event when that
// changes.

import {calm, copyText, h, narrow, refill, sizeCanvas, typing} from './dom.js';
import {draw, drawOverview, edges, outline, rowAt, rowTop, TextFitter} from './draw.js';
import {formatShare, formatValue, shortName} from './format.js';
import {hit, layout, neighbour, occurrences, within} from './layout.js';
import {Menu} from './menu.js';
import {findMatches, frameTotals, matchFrames, nodeOfNames, nodeOfPath, pathOf} from './nodes.js';
import {rebuild} from './nodes.js';
import {makeTheme} from './theme.js';
import {fillTip, placeTip, sentence} from './tip.js';

const ROW = 22,
  OVERVIEW = 14,
  ZOOM_MS = 180,
  DRAG_PX = 4,
  MIN_RANGE = 1e-7,
  WHOLE = 0.9999; // of the total: nothing to speak of is out of view
const HELP = 'Flame graph. Arrow keys move between frames, Enter zooms, Backspace goes back.';

export class Flame {
  // part: one of several graphs on a page; it has no strip, no crumbs and no keys of its own.
  constructor(element, tree, theme, {part = false} = {}) {
    this.element = element;
    this.part = part;
    this.foreignKeys = new Set(); // the page has them
    this.base = tree;
    this.themeName = theme;
    this.theme = makeTheme(theme, tree.frames);
    this.asked = {
      query: '',
      order: 'name',
      flip: false,
      ends: false,
      collapse: false,
      only: false,
      focus: [],
      hide: [],
    };
    this.view = {
      x0: 0,
      x1: 1,
      top: 0,
      width: 0,
      height: 0,
      rowHeight: ROW,
      flip: false,
      ends: false,
    };
    this.names = new Array(tree.frames.n);
    this.history = [];
    this.hovered = this.selected = -1;
    this.build();
    this.fitter = new TextFitter(this.picture.getContext('2d'));
    this.listen();
    this.remake([]);
  }

  // ---- elements ----
  build() {
    this.pills = h('div', {class: 'pills'});
    this.overview = h('canvas', {class: 'overview', 'aria-hidden': 'true'});
    this.crumbs = h('nav', {class: 'crumbs', 'aria-label': 'Zoomed into'});
    this.picture = h('canvas', {class: 'picture'});
    this.marks = h('canvas', {class: 'marks'});
    this.stage = h('div', {class: 'stage'}, this.picture, this.marks);
    this.spacer = h('div', {class: 'spacer'});
    this.path = h('ul', {
      class: 'unseen',
      role: 'tree',
      'aria-label': 'Path of the selected frame',
    });
    this.said = h('div', {class: 'unseen', 'aria-live': 'polite'});
    this.scroll = h(
      'div',
      {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': HELP},
      this.stage,
      this.spacer,
    );
    this.tip = h('div', {class: 'tip', role: 'tooltip', hidden: true});
    this.element.classList.add('flame');
    this.element.classList.toggle('part', this.part);
    this.element.append(
      this.pills,
      this.overview,
      this.crumbs,
      this.scroll,
      this.path,
      this.said,
      this.tip,
    );
    this.menu = new Menu(this.element);
  }

  // ---- what is shown ----
  // Change what is asked for; the tree is made anew where that needs it.
  ask(changes) {
    const zoom = pathOf(this.tree, this.zoom);
    Object.assign(this.asked, changes);
    this.remake(zoom);
    this.changed();
  }

  marksOf(names) {
    return Uint8Array.from(this.base.frames.name, (n, f) => (f > 1 && names.includes(n) ? 1 : 0));
  }

  // Another tree; what is asked for stays, and the zoom as far as its path exists. zoom: names from
  // below the root, or null.
  setTree(tree, zoom = null) {
    const path = zoom ?? pathOf(this.tree, this.zoom).map(f => this.base.frames.name[f]);
    this.base = tree;
    this.theme = makeTheme(this.themeName, tree.frames);
    this.names = new Array(tree.frames.n);
    this.remake([]);
    if (path.length) this.zoomTo(nodeOfNames(this.tree, path), {keep: false, still: true});
    this.changed();
  }

  // From the tree as it came to the one shown; zoom is a path of frames.
  remake(zoom) {
    const {focus, hide, collapse, only, order, flip, ends, query} = this.asked;
    const marks = focus.map(f => this.marksOf([f]));
    this.match = matchFrames(this.base.frames, query);
    if (only && this.match) marks.push(this.match);
    this.tree =
      marks.length || hide.length || collapse
        ? rebuild(this.base, {
            focus: marks,
            hide: hide.length ? this.marksOf(hide) : null,
            collapse,
          })
        : this.base;
    this.layout = layout(this.tree, order);
    this.totals = frameTotals(this.tree);
    this.places = occurrences(this.tree);
    this.found = this.match ? findMatches(this.tree, this.match) : {nodes: [], total: 0};
    this.found.nodes.sort((a, b) => this.layout.x0[a] - this.layout.x0[b]);
    this.foundAt = -1;
    this.history = [];
    this.hovered = this.selected = -1;
    Object.assign(this.view, {flip, ends});
    this.showPills();
    this.zoomTo(nodeOfPath(this.tree, zoom), {keep: false, still: true});
    this.resize();
  }

  search(query) {
    if (query === this.asked.query) return;
    if (this.asked.only) {
      this.ask({query, only: !!query.trim()});
      return;
    }
    this.asked.query = query;
    this.match = matchFrames(this.base.frames, query);
    this.found = this.match ? findMatches(this.tree, this.match) : {nodes: [], total: 0};
    this.found.nodes.sort((a, b) => this.layout.x0[a] - this.layout.x0[b]);
    this.foundAt = -1;
    this.paint();
    this.changed();
  }

  // Matches in what is shown, or will be when the animation ends; null when that is all of it.
  foundInView() {
    const all = this.tree.total[0] || 1,
      {x0, x1} = this.range;
    if (x1 - x0 >= all * WHOLE) return null;
    const {count, total} = within(this.layout, this.found.nodes, x0, x1);
    return {count, total, of: x1 - x0};
  }

  // To the next (1) or the previous (-1) match, and in.
  nextMatch(way) {
    const n = this.found.nodes.length;
    if (!n) return;
    this.foundAt = this.foundAt < 0 ? (way > 0 ? 0 : n - 1) : (this.foundAt + way + n) % n;
    const node = this.found.nodes[this.foundAt];
    this.zoomTo(node, {});
    this.select(node);
    this.changed();
  }

  setTheme(name) {
    this.themeName = name;
    this.theme = makeTheme(name, this.base.frames);
    this.paint();
  }

  labelOf = frame => (this.names[frame] ??= shortName(this.base.frames.name[frame]));

  changed() {
    this.element.dispatchEvent(new CustomEvent('change'));
  }

  showPills() {
    const {focus, hide, collapse, only} = this.asked,
      without = (list, f) => list.filter(g => g !== f);
    const pill = (text, drop) =>
      h(
        'button',
        {type: 'button', class: 'pill', title: 'remove', onclick: () => this.ask(drop())},
        text,
        h('span', {'aria-label': 'remove'}, ' ✕'),
      );
    refill(
      this.pills,
      ...focus.map(f =>
        pill(`focus ${shortName(f)}`, () => ({focus: without(this.asked.focus, f)})),
      ),
      ...hide.map(f => pill(`hide ${shortName(f)}`, () => ({hide: without(this.asked.hide, f)}))),
      ...(collapse ? [pill('recursion collapsed', () => ({collapse: false}))] : []),
      ...(only ? [pill('only matches', () => ({only: false}))] : []),
    );
    this.pills.hidden = !this.pills.children.length;
  }

  // ---- zoom ----
  // keep: remember where we were; still: without animation.
  zoomTo(node, {keep = true, still = false}) {
    const from = {x0: this.view.x0, x1: this.view.x1};
    if (keep && node !== this.zoom) this.history.push(this.zoom);
    this.zoom = node;
    const x0 = this.layout.x0[node],
      to = (this.range = {x0, x1: x0 + (this.tree.total[node] || 1)});
    this.showCrumbs();
    this.hideTip();
    this.reveal(node);
    if (still || calm()) this.setRange(to.x0, to.x1);
    else this.animate(from, to);
  }

  animate(from, to) {
    const start = performance.now(),
      run = (this.run = {});
    const step = now => {
      const t = Math.min(1, Math.max(0, (now - start) / ZOOM_MS)),
        ease = 1 - (1 - t) ** 3;
      if (this.run !== run) return;
      this.setRange(from.x0 + (to.x0 - from.x0) * ease, from.x1 + (to.x1 - from.x1) * ease, true);
      if (t < 1) requestAnimationFrame(step);
      else this.run = null;
    };
    requestAnimationFrame(step);
  }

  setRange(x0, x1, animated = false) {
    const total = this.tree.total[0] || 1,
      width = Math.min(Math.max(x1 - x0, total * MIN_RANGE), total);
    if (!animated) this.run = null;
    this.view.x0 = Math.min(Math.max(x0, 0), total - width);
    this.view.x1 = this.view.x0 + width;
    if (!animated) this.range = {x0: this.view.x0, x1: this.view.x1};
    this.paint();
  }

  // After panning: the zoom goes up to what still covers the view.
  settle() {
    const {x0, x1} = this.view,
      slack = (x1 - x0) * 1e-6;
    while (
      this.zoom > 0 &&
      (this.layout.x0[this.zoom] > x0 + slack ||
        this.layout.x0[this.zoom] + this.tree.total[this.zoom] < x1 - slack)
    )
      this.zoom = this.tree.parent[this.zoom];
    this.showCrumbs();
    this.changed();
  }

  zoomAt(x, factor) {
    const {x0, x1, width} = this.view,
      at = x0 + ((x1 - x0) * x) / width;
    this.setRange(at - (at - x0) * factor, at + (x1 - at) * factor);
    this.settle();
  }

  pan(pixels) {
    const {x0, x1, width} = this.view,
      by = (pixels / width) * (x1 - x0);
    this.setRange(x0 + by, x1 + by);
    this.settle();
  }

  back() {
    const node = this.history.pop();
    this.zoomTo(node ?? 0, {keep: false});
    this.changed();
  }

  reset() {
    this.foundAt = -1;
    Object.assign(this.asked, {focus: [], hide: [], collapse: false, only: false});
    this.remake([]);
    this.scroll.scrollTop = this.view.flip ? this.scroll.scrollHeight : 0;
    this.changed();
  }

  enter(node) {
    this.zoomTo(node === this.zoom && node > 0 ? this.tree.parent[node] : node, {});
    this.changed();
  }

  showCrumbs() {
    const path = [];
    for (let node = this.zoom; node > 0; node = this.tree.parent[node]) path.push(node);
    path.push(0);
    path.reverse();
    const crumb = node =>
      h(
        'button',
        {
          type: 'button',
          class: node === this.zoom ? 'here' : '',
          title: this.base.frames.name[this.tree.frame[node]],
          'aria-current': node === this.zoom ? 'location' : null,
          onclick: () => this.enter(node === this.zoom ? 0 : node),
        },
        this.labelOf(this.tree.frame[node]),
      );
    const [first, last] = narrow() ? [1, 1] : [2, 4],
      left = path.length - first - last; // out
    const shown = left > 1 ? [...path.slice(0, first), -1, ...path.slice(-last)] : path;
    refill(
      this.crumbs,
      ...shown.flatMap((node, i) => [
        ...(i ? [h('span', {class: 'sep', 'aria-hidden': 'true'}, '▸')] : []),
        node < 0 ? h('span', {class: 'sep'}, `… ${left} …`) : crumb(node),
      ]),
      h(
        'span',
        {class: 'zoomed'},
        this.zoom
          ? `${formatValue(
              this.tree.total[this.zoom],
              this.base.about.unit,
            )}, ${formatShare(this.tree.total[this.zoom], this.tree.total[0])}`
          : '',
      ),
    );
  }

  // ---- selection ----
  select(node) {
    this.selected = node;
    this.reveal(node);
    this.describe(node);
    this.paintMarks();
  }

  describe(node) {
    const nodes = [];
    for (let up = node; up >= 0; up = up ? this.tree.parent[up] : -1) nodes.unshift(up);
    this.path.replaceChildren(
      ...nodes.map((n, depth) =>
        h(
          'li',
          {
            role: 'treeitem',
            'aria-level': depth + 1,
            'aria-selected': n === node ? 'true' : 'false',
          },
          sentence(this.tree, n, this.base.about),
        ),
      ),
    );
    this.said.textContent = sentence(this.tree, node, this.base.about);
  }

  // Scroll a storey into sight.
  reveal(node) {
    const y = rowTop(this.layout, this.view, this.layout.depth[node]),
      {height} = this.view;
    if (y < 0 || y + ROW > height) this.scroll.scrollTop += y - Math.round(height / 3);
    this.view.top = this.topOf();
  }

  // A key or the menu acts on this node: pointed at, else selected, else zoomed.
  current() {
    return this.hovered >= 0 ? this.hovered : this.selected >= 0 ? this.selected : this.zoom;
  }

  move(way) {
    const from = this.selected >= 0 ? this.selected : this.zoom;
    const node = this.selected < 0 ? from : neighbour(this.layout, from, way);
    if (node < 0) return;
    const {x0, x1} = this.view,
      start = this.layout.x0[node],
      end = start + this.tree.total[node];
    if (end <= x0 || start >= x1) {
      // it is out of sight to the side
      this.zoomTo(this.tree.parent[node], {});
      this.changed();
    }
    this.hovered = -1;
    this.select(node);
    const at = edges(this.layout, this.view, node),
      box = this.stage.getBoundingClientRect();
    if (at)
      this.showTip(
        node,
        box.left + at.left + Math.min(20, (at.right - at.left) / 2),
        box.top + rowTop(this.layout, this.view, this.layout.depth[node]) + ROW,
      );
  }

  // ---- painting ----
  topOf() {
    const content = this.layout.nRows * ROW,
      slack = this.view.height - content;
    return this.view.flip && slack > 0 ? -slack : this.scroll.scrollTop;
  }

  resize() {
    const width = this.scroll.clientWidth,
      height = this.scroll.clientHeight;
    const content = this.layout.nRows * ROW;
    Object.assign(this.view, {width, height});
    this.stage.style.height = `${height}px`;
    this.spacer.style.height = `${Math.max(0, content - height)}px`;
    this.paint();
  }

  paint() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paintNow();
    });
  }

  paintNow() {
    const {view, theme} = this,
      state = {match: this.match, zoom: this.zoom};
    if (!view.width || !view.height) return;
    view.top = this.topOf();
    view.pixel = 1 / (window.devicePixelRatio || 1);
    draw(
      sizeCanvas(this.picture, view.width, view.height),
      this.layout,
      view,
      theme,
      state,
      this.fitter,
      this.labelOf,
    );
    this.paintOverview(state);
    this.paintMarks();
  }

  // The strip changes with the tree, the theme and the search only: it is kept beside.
  paintOverview(state) {
    const width = this.overview.clientWidth,
      {layout: l, theme, match} = this,
      was = this.strip;
    if (was?.l !== l || was.theme !== theme || was.match !== match || was.width !== width) {
      const canvas = h('canvas');
      drawOverview(sizeCanvas(canvas, width, OVERVIEW), l, width, OVERVIEW, theme, state);
      this.strip = {l, theme, match, width, canvas};
    }
    const context = sizeCanvas(this.overview, width, OVERVIEW);
    context.drawImage(this.strip.canvas, 0, 0, width, OVERVIEW);
    this.paintWindow(context, width);
  }

  // The part of the whole that is in view.
  paintWindow(context, width) {
    const total = this.tree.total[0] || 1,
      {x0, x1} = this.view;
    if (x1 - x0 >= total * WHOLE) return;
    context.fillStyle = this.theme.page;
    context.globalAlpha = 0.6;
    context.fillRect(0, 0, (x0 / total) * width, OVERVIEW);
    context.fillRect((x1 / total) * width, 0, width, OVERVIEW);
    context.globalAlpha = 1;
    context.strokeStyle = this.theme.window;
    context.lineWidth = 2;
    context.strokeRect(
      (x0 / total) * width + 1,
      1,
      Math.max(((x1 - x0) / total) * width - 2, 2),
      OVERVIEW - 2,
    );
  }

  paintMarks() {
    const {view, theme, layout: l} = this,
      context = sizeCanvas(this.marks, view.width, view.height);
    context.clearRect(0, 0, view.width, view.height);
    if (this.hovered > 0) {
      const frame = this.tree.frame[this.hovered];
      for (let i = this.places.start[frame]; i < this.places.start[frame + 1]; i++) {
        const node = this.places.list[i],
          at = edges(l, view, node);
        if (at && at.right - at.left > 1.5)
          outline(context, l, view, node, theme.hover, node === this.hovered ? 2 : 1);
      }
    } else if (this.hovered === 0) {
      outline(context, l, view, 0, theme.hover, 1);
    }
    if (this.selected >= 0) outline(context, l, view, this.selected, theme.select, 2);
  }

  // ---- pointer ----
  nodeAt(event) {
    const box = this.stage.getBoundingClientRect(),
      {view} = this;
    const x = event.clientX - box.left,
      y = event.clientY - box.top;
    if (x < 0 || y < 0 || x >= view.width || y >= view.height) return -1;
    return hit(
      this.layout,
      rowAt(this.layout, view, y),
      view.x0 + (x / view.width) * (view.x1 - view.x0),
    );
  }

  hover(node, event) {
    if (node !== this.hovered) {
      this.hovered = node;
      this.paintMarks();
      if (node >= 0) fillTip(this.tip, this.tree, this.totals, node, this.base.about);
    }
    this.stage.classList.toggle('on-frame', node >= 0);
    if (node >= 0) placeTip(this.tip, event.clientX, event.clientY);
    else this.tip.hidden = true;
  }

  showTip(node, x, y) {
    fillTip(this.tip, this.tree, this.totals, node, this.base.about);
    placeTip(this.tip, x, y);
  }

  hideTip() {
    this.tip.hidden = true;
    this.hovered = -1;
  }

  listen() {
    const {scroll, stage} = this;
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(scroll);
    scroll.addEventListener('scroll', () => {
      this.hideTip();
      this.paint();
    });
    stage.addEventListener('pointermove', event => this.pointerMove(event));
    stage.addEventListener('pointerdown', event => this.pointerDown(event));
    stage.addEventListener('pointerup', event => this.pointerUp(event));
    stage.addEventListener('pointercancel', event => this.pointers.delete(event.pointerId));
    stage.addEventListener('pointerleave', event => {
      if (event.pointerType === 'touch') return; // a finger that was lifted
      this.hideTip();
      this.paintMarks();
    });
    stage.addEventListener('contextmenu', event => {
      event.preventDefault();
      this.openMenu(this.nodeAt(event), event.clientX, event.clientY);
    });
    scroll.addEventListener('wheel', event => this.wheel(event), {passive: false});
    this.overview.addEventListener('pointerdown', event =>
      this.overview.setPointerCapture(event.pointerId),
    );
    for (const type of ['pointerdown', 'pointermove'])
      this.overview.addEventListener(type, event => event.buttons & 1 && this.centre(event));
    (this.part ? scroll : document).addEventListener('keydown', event => this.key(event));
  }

  // Centre the view on a point of the overview.
  centre(event) {
    const box = this.overview.getBoundingClientRect(),
      {x0, x1} = this.view;
    const at = ((event.clientX - box.left) / box.width) * this.tree.total[0];
    this.setRange(at - (x1 - x0) / 2, at + (x1 - x0) / 2);
    this.settle();
  }

  wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      const box = this.stage.getBoundingClientRect();
      event.preventDefault();
      this.zoomAt(
        event.clientX - box.left,
        Math.exp(Math.max(-50, Math.min(50, event.deltaY)) / 120),
      );
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      this.pan(event.deltaX || event.deltaY);
    }
  }

  pointerDown(event) {
    if (event.button !== 0) return;
    this.pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    this.drag = {x: event.clientX, y: event.clientY, moved: this.pointers.size > 1};
  }

  pointerMove(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last || !this.drag) {
      if (event.pointerType !== 'touch') this.hover(this.nodeAt(event), event);
      return;
    }
    if (this.pointers.size === 2) this.pinch(event, last);
    else this.dragBy(event, last);
    Object.assign(last, {x: event.clientX, y: event.clientY});
  }

  dragBy(event, last) {
    if (
      !this.drag.moved &&
      Math.hypot(event.clientX - this.drag.x, event.clientY - this.drag.y) < DRAG_PX
    )
      return;
    if (!this.drag.moved) this.stage.setPointerCapture(event.pointerId);
    this.drag.moved = true;
    this.hideTip();
    this.pan(last.x - event.clientX);
    if (event.pointerType !== 'touch')
      // a finger scrolls by itself
      this.scroll.scrollTop += last.y - event.clientY;
  }

  pinch(event, last) {
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
    const before = Math.hypot(last.x - other.x, last.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    this.drag.moved = true;
    if (before > 10 && after > 10)
      this.zoomAt(
        (event.clientX + other.x) / 2 - this.stage.getBoundingClientRect().left,
        before / after,
      );
  }

  pointerUp(event) {
    const drag = this.drag,
      node = this.nodeAt(event);
    this.pointers.delete(event.pointerId);
    if (event.button !== 0 || !drag) return;
    if (!this.pointers.size) this.drag = null;
    if (!drag.moved && node < 0) this.hideTip();
    if (drag.moved || node < 0) return;
    if (event.pointerType === 'touch') this.tap(node, event);
    else {
      this.selected = node;
      this.describe(node);
      this.enter(node);
    }
  }

  // Touch: the first tap tells, the second goes in.
  tap(node, event) {
    const again = this.tapped === node && !this.tip.hidden;
    this.tapped = node;
    this.select(node);
    if (again) {
      this.hideTip();
      this.enter(node);
    } else {
      this.showTip(node, event.clientX, event.clientY);
    }
  }

  // ---- menu and keys ----
  openMenu(node, x, y) {
    if (node < 0) return;
    const frame = this.tree.frame[node],
      name = this.base.frames.name[frame];
    this.hideTip();
    this.select(node);
    this.menu.open(x, y, this.labelOf(frame), [
      ['Zoom in', 'Enter', () => this.enter(node)],
      ['Focus: only stacks through it', 'f', () => this.focus(node)],
      ['Hide: its time to its callers', 'h', () => this.hide(node)],
      ['Sandwich: callers and callees', 's', () => this.tell('ask-sandwich', name)],
      ['Highlight everywhere', '', () => this.tell('ask-search', `"${name}"`)],
      [
        this.asked.collapse ? 'Expand recursion' : 'Collapse recursion',
        'c',
        () => this.ask({collapse: !this.asked.collapse}),
      ],
      null,
      ['Copy name', '', () => copyText(name)],
      [
        'Copy stack',
        '',
        () =>
          copyText(
            pathOf(this.tree, node)
              .map(f => this.base.frames.name[f])
              .join('\n'),
          ),
      ],
    ]);
  }

  // The search box and the other panes belong to the page: it is told.
  tell(what, detail) {
    this.element.dispatchEvent(new CustomEvent(what, {detail, bubbles: true}));
  }

  focus(node) {
    const frame = this.tree.frame[node],
      name = this.base.frames.name[frame];
    if (node > 0 && frame > 1 && !this.asked.focus.includes(name))
      this.ask({focus: [...this.asked.focus, name]});
  }

  hide(node) {
    const frame = this.tree.frame[node],
      name = this.base.frames.name[frame];
    if (node > 0 && frame > 1 && !this.asked.hide.includes(name))
      this.ask({hide: [...this.asked.hide, name]});
  }

  key(event) {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const up = this.view.flip ? 'child' : 'parent',
      down = this.view.flip ? 'parent' : 'child';
    const onButton = event.target.closest?.('button, a') && event.key === 'Enter';
    const keys = {
      ArrowUp: () => this.move(up),
      ArrowDown: () => this.move(down),
      ArrowLeft: () => this.move('previous'),
      ArrowRight: () => this.move('next'),
      Enter: () => this.enter(this.current()),
      Backspace: () => this.back(),
      n: () => this.nextMatch(1),
      N: () => this.nextMatch(-1),
      r: () => this.reset(),
      f: () => this.focus(this.current()),
      h: () => this.hide(this.current()),
      c: () => this.ask({collapse: !this.asked.collapse}),
      i: () => this.ask({flip: !this.asked.flip}),
      '+': () => this.zoomAt(this.view.width / 2, 0.7),
      '-': () => this.zoomAt(this.view.width / 2, 1 / 0.7),
      Escape: () => this.clearMarks(),
      ContextMenu: () => this.menuOfCurrent(),
    };
    // A table keeps the keys it moves by, a dialog all.
    const own = event.target.closest?.('[data-own-keys]');
    if (onButton || !keys[event.key] || this.foreignKeys.has(event.key)) return;
    if (!this.part && !this.element.clientWidth) return; // not shown
    if (own && (event.key.length > 1 || own.tagName === 'DIALOG')) return;
    event.preventDefault();
    keys[event.key]();
  }

  clearMarks() {
    this.selected = -1;
    this.hideTip();
    this.paintMarks();
  }

  menuOfCurrent() {
    const node = this.current(),
      at = edges(this.layout, this.view, node);
    const box = this.stage.getBoundingClientRect();
    if (at)
      this.openMenu(
        node,
        box.left + at.left + 8,
        box.top + rowTop(this.layout, this.view, this.layout.depth[node]) + ROW,
      );
  }
}
