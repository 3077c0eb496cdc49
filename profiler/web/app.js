// SPDX-License-Identifier: Apache-2.0
// The agent's page: when was it bad (time line), who (series, filters), why (flame graph), is it new
// (diff), where (table, sandwich), can it be trusted (status line). One state (state.js) stands in
// the address; every change of it asks the agent again, which merges; the old picture stays until
// the new one is there.

import {ApiError, download, getJson, saveBlob, setToken, takeToken} from './api.js';
import {copyText, h, refill} from './dom.js';
import {formatChange, formatCount, formatShare, formatValue} from './format.js';
import {buildTop} from './head.js';
import {decode, emptyTree, pathOf} from './nodes.js';
import {clock, formatMatch, iso, lengthText, parseMatch, rangesOf, readState} from './state.js';
import {recorded, SPLITS, writeState} from './state.js';
import {DIFF} from './theme.js';
import {Timeline} from './timeline.js';
import {KEYS, View} from './view.js';

const LIVE_MS = 5000,
  STATUS_MS = 10000,
  MIN_LINE_MS = 10000;
const MORE_KEYS = [
  ['d', 'diff'],
  ['l', 'live'],
  ['[  ]', 'earlier, later'],
  ['+  −', 'shorter, longer time line'],
  ['p', 'processes'],
  ['m', 'heat map'],
  ['Tab, ⇧← ⇧→', 'select on the time line'],
];
const FORMATS = ['pprof', 'folded', 'html', 'svg', 'speedscope', 'json', 'text'];
const ENDINGS = {pprof: 'pb.gz', text: 'txt', speedscope: 'speedscope.json'};

const choose = (label, options, onchange) =>
  h(
    'select',
    {'aria-label': label, title: label, onchange: event => onchange(event.target)},
    ...options.map(([value, text]) => h('option', {value}, text)),
  );

// The controls of this page in the bar of View.
function buildTools(page) {
  const split = choose(
    'Split by',
    SPLITS.map(v => [v, `split: ${v}`]),
    e => page.app.change({split: e.value}),
  );
  const group = choose('Time line by', [['service_name', 'by service_name']], e =>
    page.app.change({group: e.value}),
  );
  const kind = choose('Kind', [['cpu', 'kind: cpu']], e => page.app.change({kind: e.value}));
  const save = choose(
    'Download',
    [['', 'export'], ...FORMATS.map(f => [f, f]), ['png', 'picture (png)']],
    e => {
      page.app.save(e.value);
      e.value = '';
    },
  );
  const link = h(
    'button',
    {type: 'button', title: 'copy a link to exactly this', onclick: () => page.app.copyLink()},
    'Copy link',
  );
  return {split, group, kind, save, link};
}

export class App extends View {
  constructor() {
    const page = {},
      tools = buildTools(page),
      top = buildTop(page, tools),
      lineBox = h('section', {class: 'line', 'aria-label': 'Time line'}),
      busy = h('div', {class: 'busy', role: 'progressbar', 'aria-label': 'asking', hidden: true}),
      notices = h('div', {'aria-live': 'polite'});
    super(emptyTree(), {
      keys: [...KEYS, ...MORE_KEYS],
      head: [busy, top.element, lineBox, notices],
      tabs: [
        ['diff', 'Diff'],
        ['heat', 'Heat map'],
        ['processes', 'Processes'],
      ],
      tools: [tools.split],
    });
    page.app = this;
    Object.assign(this, {top, tools, busy, notices, skew: 0, statusAt: 0, problem: null, query: 0});
    for (const key of ['+', '-', 'd']) this.flame.foreignKeys.add(key);
    this.line = new Timeline(lineBox, {
      select: (range, isBase) => this.select(range, isBase),
      filter: name => this.toggleFilter(name),
    });
    const keys = async () => new (await this.part('line_keys')).LineKeys(this.line);
    this.line.canvas.addEventListener('focus', () => this.attempt(keys), {once: true});
    this.extra = h('div', {class: 'extra'});
    this.panesBox.after(this.extra);
    this.footer = document.getElementById('status');
    this.setTheme(this.themeName);
    addEventListener('hashchange', () => this.fromAddress());
    addEventListener('popstate', () => this.fromAddress());
    document.addEventListener('visibilitychange', () => !document.hidden && this.tick());
    this.fromAddress();
    this.listKinds();
  }

  // ---- state and address ----
  fromAddress() {
    const p = new URLSearchParams(location.hash.slice(1)),
      hadToken = takeToken(p);
    this.state = readState(p);
    if (hadToken) this.setHash(p);
    else if (this.written === location.hash) return; // our own
    this.graphFrom(p);
    this.zoomNames = p.get('z') ? p.get('z').split('\n') : [];
    this.sandwich.name = p.get('fn') ?? '';
    const view = Object.hasOwn(this.panes, this.state.view) ? this.state.view : '';
    super.show(view || this.mainPane());
    this.load();
  }

  toAddress(push = false) {
    if (!this.state) return;
    const p = writeState({...this.state, view: this.pane}),
      {flame} = this,
      path = pathOf(flame.tree, flame.zoom).map(f => flame.base.frames.name[f]);
    const zoom = this.loaded ? path : (this.zoomNames ?? []);
    if (zoom.length) p.set('z', zoom.join('\n'));
    this.graphTo(p);
    this.setHash(p, push);
    this.written = location.hash;
  }

  now() {
    return Date.now() + this.skew;
  }

  ranges() {
    return rangesOf(this.state, this.now());
  }

  change(changes) {
    Object.assign(this.state, changes);
    this.toAddress(true);
    this.load();
  }

  show(which) {
    const was = this.pane;
    super.show(which);
    if (!this.state) return;
    const kindOf = pane => (['diff', 'heat', 'processes'].includes(pane) ? pane : 'flame');
    if (which === 'diff' && !this.state.base && !this.state.baseMatch) this.state.base = 'before';
    this.toAddress(which !== was);
    if (kindOf(was) === kindOf(which)) return;
    this.load();
  }

  // The heat map or the list, made when it is first asked for.
  async panel() {
    const {HeatMap, Processes} = await this.part('panels');
    if (this.panelOf === this.pane) return this.shownPanel;
    this.panelOf = this.pane;
    this.extra.replaceChildren();
    if (this.pane === 'heat') {
      this.shownPanel = new HeatMap(this.extra, sel => this.select(sel, false));
      this.shownPanel.setTheme(this.themeName);
    } else {
      const only = (pid, split) => {
        const match = [...this.state.match.filter(m => m[0] !== 'pid'), ['pid', '=', `${pid}`]];
        Object.assign(this.state, {match, split});
        this.show(this.mainPane());
      };
      this.shownPanel = new Processes(this.extra, {
        process: pid => only(pid, 'none'),
        threads: pid => only(pid, 'tid'),
      });
    }
    return this.shownPanel;
  }

  mainPane() {
    return innerWidth < 900 ? 'flame' : 'both';
  }

  // ---- asking ----
  // range: 'line', or 'graph': what is selected of it. Times that follow the clock are the agent's.
  args(range) {
    const {state} = this,
      line = this.ranges().line,
      sel = range === 'graph' ? state.sel : null,
      at = (text, i) => (/^now/.test(text) ? text : iso(line[i]));
    return {
      kind: state.kind,
      from: sel ? iso(sel[0]) : at(state.from, 0),
      to: sel ? iso(sel[1]) : at(state.to, 1),
      match: state.match.length ? formatMatch(state.match) : '',
    };
  }

  profileArgs() {
    const {state} = this,
      args = {...this.args('graph'), group: state.split === 'none' ? '' : state.split};
    if (this.pane !== 'diff') return args;
    const [from, to] = this.ranges().base.map(iso);
    return {
      ...args,
      base_from: from,
      base_to: to,
      base_match: formatMatch(state.baseMatch ?? state.match),
    };
  }

  // Everything that is shown, at once; what was asked before is dropped.
  async load() {
    const query = ++this.query,
      {state} = this;
    this.abort?.abort();
    clearTimeout(this.timer);
    this.abort = new AbortController();
    const {signal} = this.abort;
    this.busy.hidden = false;
    this.root.classList.add('loading');
    this.top.update(state, this.host ?? '');
    try {
      const [doc] = await Promise.all([
        getJson('api/v1/series', 'series', {...this.args('line'), group: state.group}, signal),
        this.loadStatus(signal),
      ]);
      if (query !== this.query) return;
      this.doc = doc;
      if (state.to === 'now') this.skew = doc.to_ms - Date.now();
      this.problem = null;
      this.showLine();
      await this.loadPane(query, signal);
    } catch (error) {
      if (error.name === 'AbortError' || query !== this.query) return;
      this.fail(error);
      if (error.status === 401) this.askToken();
    } finally {
      if (query === this.query) this.settled();
    }
  }

  settled() {
    this.busy.hidden = true;
    this.root.classList.remove('loading');
    this.showNotices();
    this.schedule();
  }

  schedule() {
    const again = this.state.live || this.problem?.status === 0 || this.collecting();
    clearTimeout(this.timer);
    if (again && this.problem?.status !== 401) this.timer = setTimeout(() => this.tick(), LIVE_MS);
  }

  tick() {
    if (document.hidden || !this.busy.hidden) return;
    if (this.state.live || this.problem?.status === 0 || this.collecting()) this.load();
  }

  async loadPane(query, signal) {
    const {pane} = this;
    if (pane === 'heat' || pane === 'processes') {
      const panel = await this.panel(),
        range = this.ranges().graph,
        hz = this.status.sampling?.hz || 19,
        asked = {args: this.args('graph'), range, hz, utc: this.state.utc, now: this.now()},
        about = await panel.load(asked, signal);
      if (query !== this.query) return;
      this.about = about ?? this.doc;
      this.showStatus(null);
      return;
    }
    const table = await getJson('api/v1/profile', 'nodes', this.profileArgs(), signal);
    if (query !== this.query) return;
    const tree = decode(table);
    this.about = tree.about;
    const zoom = this.loaded ? null : this.zoomNames;
    this.loaded = true;
    this.flame.setTree(tree, zoom);
    await this.showDiff();
    this.showStatus(tree);
    if (pane === 'sandwich') this.sandwich.show(this.sandwich.name || this.heaviest());
  }

  async loadStatus(signal) {
    if (this.status && Date.now() - this.statusAt < STATUS_MS) return;
    this.status = await getJson('api/v1/status', 'parts', {}, signal);
    this.statusAt = Date.now();
    this.host = this.status.host;
    this.top.update(this.state, this.host);
  }

  listKinds() {
    this.attempt(async () => {
      const [kinds, labels] = await Promise.all(
        ['kinds', 'labels'].map(name => getJson(`api/v1/${name}`, name, {from: 'now-1d'})),
      );
      const fill = (select, list, text, value) => {
        const all = [...new Set([value, ...list])].map(v => h('option', {value: v}, text(v)));
        select.replaceChildren(...all);
        select.value = value;
      };
      this.labels = labels.labels;
      fill(this.tools.kind, kinds.kinds, v => `kind: ${v}`, this.state.kind);
      fill(this.tools.group, [...labels.labels, 'comm', 'pid'], v => `by ${v}`, this.state.group);
    });
  }

  // ---- what is shown ----
  showLine() {
    const {state} = this,
      {base} = this.ranges(),
      values = state.match.map(m => m[2]),
      only = state.match.find(m => m[0] === state.group && m[1] === '=');
    this.line.set(this.doc, {
      sel: state.sel,
      base: this.pane === 'diff' && state.base ? base : null,
      utc: state.utc,
      now: this.now(),
      filtered: only?.[2],
    });
    document.title = [...values, this.host, 'Bianque'].join(' · ');
    this.tools.split.value = state.split;
    this.tools.group.value = state.group;
    this.tools.kind.value = state.kind;
  }

  async showDiff() {
    if (this.pane !== 'diff') return;
    const {buildDiffBar} = await this.part('diff_bar'),
      {diff, about} = this.flame.base,
      {unit} = about;
    if (!this.diffBar) {
      this.diffBar = buildDiffBar(this);
      this.panesBox.before(this.diffBar.element);
    }
    const now = diff?.now.total[0] ?? 0,
      base = diff?.base.total[0] ?? 0;
    this.diffBar.update(
      this.state,
      diff
        ? `now ${formatValue(now, unit)}, baseline ${formatValue(base, unit)} at the same length: ` +
            (base ? formatChange(now, base) : `nothing in ${now ? 'the baseline' : 'either'}`)
        : '',
      DIFF[this.themeName],
    );
  }

  collecting() {
    const {doc} = this;
    if (!doc || this.state?.to !== 'now') return false;
    return (doc.since_ms ? this.now() - doc.since_ms : this.status.uptime_seconds * 1000) < 60000;
  }

  // One line for each thing that is in the way, with what can be done.
  showNotices() {
    const {state, doc, problem} = this,
      {graph} = this.ranges(),
      list = [];
    const act = (text, f) => h('button', {type: 'button', onclick: f}, text);
    const say = (text, warn, ...actions) =>
      list.push(h('div', {class: warn ? 'banner warn' : 'banner'}, text, ...actions));
    if (problem) {
      const {status, message} = problem;
      say(
        status === 0
          ? 'The agent does not answer. What is shown is what it said last.'
          : status === 200
            ? `The page cannot read what the agent answered: ${message}.`
            : `The agent refuses: ${message}`,
        true,
        status === 200
          ? act('Reload the page', () => location.reload())
          : /^(0|401|429|5..)$/.test(status)
            ? act('Retry', () => this.load())
            : act('Start over', () => this.startOver()),
      );
    } else if (doc) {
      const since = doc.since_ms;
      if (since && graph[1] <= since)
        say(
          `Nothing is kept from then: the store begins at ${this.when(since)}.`,
          false,
          act('Show from there', () => this.change({from: `${since}`, to: 'now', sel: null})),
        );
      else if (this.collecting())
        say(
          since
            ? `Collecting: ${lengthText(this.now() - since)} of samples so far.`
            : 'Collecting: the first samples come in a moment.',
          false,
        );
      else if (doc.gaps?.some(([from, to]) => from <= graph[0] && graph[1] <= to))
        say('No agent ran in this range: nothing was recorded.', false);
      else if (this.about?.samples === 0 && state.match.length)
        say(
          'Nothing in this range matches all filters. Without',
          false,
          ...state.match.map((m, i) => act(`${m.join(' ')} ✕`, () => this.dropFilter(i))),
        );
      else if (this.about?.samples === 0) say('No samples in this range.', false);
      for (const text of this.about?.comments ?? []) say(text, true);
    }
    const {store} = this.status ?? {};
    if (store && !store.ok)
      say(
        store.enabled
          ? `The store keeps nothing now, only the last 5 minutes are there: ${store.reason}`
          : 'The store is off: only the last 5 minutes are kept. To keep more, set store.enabled to ' +
              'true and start the agent again.',
        store.enabled,
      );
    refill(this.notices, ...list);
  }

  when(ms) {
    const {day, time} = clock(ms, this.state.utc);
    return `${day} ${time}`;
  }

  // What the figures rest on. tree: with shares of its kinds, or null.
  showStatus(tree) {
    const {about, status} = this,
      figure = (n, text, warn) => h('span', {class: warn ? 'warn' : ''}, h('b', {}, n), ` ${text}`),
      why = (n, text, warn, part) => {
        const onclick = () => this.showTrust(part, tree);
        return h('button', {type: 'button', title: 'why', onclick}, figure(n, `${text} ▸`, warn));
      };
    const {samples, whole, lost} = about,
      items = samples >= 0 ? [figure(formatCount(samples), 'samples')] : [];
    items.push(...this.sums(tree, figure));
    if (samples && whole >= 0) {
      const say = tree && whole < samples ? why : figure,
        warn = whole < 0.97 * samples;
      items.push(say(formatShare(whole, samples), 'whole stacks', warn, 'stacks'));
    }
    if (lost >= 0) items.push((lost ? why : figure)(formatCount(lost), 'lost', lost > 0, 'lost'));
    const lacking = this.lacking(tree).length;
    if (lacking)
      items.push(
        why(lacking, `${lacking === 1 ? 'object' : 'objects'} without symbols`, false, 'symbols'),
      );
    for (const part of status.parts ?? [])
      if (part.state === 'degraded') items.push(why('', part.reason.split(':')[0], false, 'parts'));
    refill(this.footer, ...items, h('span', {class: 'kinds'}, ...this.kindShares(tree)));
    super.setTheme(this.themeName); // of the swatches
  }

  // Objects without symbols, as far as frames of theirs are in what is chosen.
  lacking(tree) {
    const seen = new Set(tree?.frames.module),
      list = this.status.symbols?.lacking ?? [];
    return list.filter(o => seen.has(o.path.replace(/.*\//, '')));
  }

  sums(tree, figure) {
    const {about} = this,
      list = [];
    if (!tree) return list;
    const all = tree.diff ? tree.diff.now.total[0] : tree.total[0],
      length = recorded([about.time_ms, about.time_ms + about.duration_ms], this.doc);
    if (about.unit === 'nanoseconds' && length > 0)
      list.push(
        figure(
          (all / 1e6 / length).toFixed(2),
          `cores × ${lengthText(length)} = ${formatValue(all, about.unit)}`,
        ),
      );
    if (about.all_nodes > tree.n)
      list.push(
        figure(formatCount(tree.n), `of ${formatCount(about.all_nodes)} nodes, the rest is other`),
      );
    return list;
  }

  kindShares(tree) {
    if (!tree) return [];
    const sums = new Float64Array(tree.frames.kinds.length);
    for (let i = 1; i < tree.n; i++) sums[tree.frames.kind[tree.frame[i]]] += tree.self[i];
    return tree.frames.kinds
      .map((name, k) => [name, sums[k]])
      .filter(([, v]) => v > 0)
      .sort((a, b) => b[1] - a[1])
      .map(([name, v]) => {
        const text = name === 'group' ? 'other' : name;
        return h('span', {'data-kind': name}, `${text} ${formatShare(v, tree.total[0])}`);
      });
  }

  setTheme(name) {
    super.setTheme(name);
    this.line?.setTheme(name);
    this.shownPanel?.setTheme?.(name);
    if (this.diffBar) this.showDiff();
  }

  // ---- what the reader does ----
  select(range, isBase) {
    if (isBase) {
      this.state.base = range;
      if (this.pane === 'diff') this.change({});
      else this.show('diff');
      return;
    }
    this.state.live = false;
    this.state.sel = range;
    if (range && this.pane === 'heat') {
      this.show(this.mainPane());
      return;
    }
    this.change({});
  }

  toggleFilter(name) {
    const {state} = this,
      label = state.group,
      same = m => m[0] === label && m[1] === '=' && m[2] === name,
      rest = state.match.filter(m => m[0] !== label || m[1] !== '=');
    this.change({match: state.match.some(same) ? rest : [...rest, [label, '=', name]]});
  }

  dropFilter(i) {
    this.change({match: this.state.match.filter((_, k) => k !== i)});
  }

  askFilter() {
    const values = async label => {
      try {
        return (await getJson(`api/v1/label/${label}/values`, 'values', {from: 'now-1d'})).values;
      } catch {
        return []; // the reader can type
      }
    };
    this.attempt(async () => {
      const {askFilter} = await this.part('dialogs');
      askFilter(this.labels ?? ['service_name'], values, filters =>
        this.change({match: [...this.state.match, ...filters]}),
      );
    });
  }

  showTrust(part, tree) {
    const {status, about} = this,
      lacking = this.lacking(tree);
    this.attempt(async () =>
      (await this.part('dialogs')).showTrust({status, about, tree, lacking}, part),
    );
  }

  setLength(length) {
    if (length) this.change({from: `now-${length}`, to: 'now', sel: null});
  }

  setLine(from, to) {
    const now = this.now(),
      end = Math.min(to, now),
      start = Math.min(from, end - MIN_LINE_MS);
    this.change({
      from: `${Math.round(start)}`,
      to: end >= now - 500 ? 'now' : `${Math.round(end)}`,
    });
  }

  // The selection, else the time line, by its own length or half of it.
  shift(way) {
    const {line} = this.ranges(),
      {sel} = this.state;
    this.state.live = false;
    if (sel) {
      const by = (sel[1] - sel[0]) * way;
      this.change({sel: sel.map(t => Math.round(t + by))});
      return;
    }
    const by = ((line[1] - line[0]) / 2) * way;
    if (way > 0 && line[1] >= this.now() - 1000) return;
    this.setLine(line[0] + by, line[1] + by);
  }

  zoomLine() {
    const {sel} = this.state;
    if (!sel) return;
    this.state.sel = null;
    this.setLine(...sel);
  }

  lengthen(factor) {
    const [from, to] = this.ranges().line,
      length = Math.max(MIN_LINE_MS, Math.min((to - from) * factor, 90 * 86400000));
    if (this.state.to === 'now') this.change({from: `now-${Math.round(length / 1000)}s`});
    else this.setLine((from + to) / 2 - length / 2, (from + to) / 2 + length / 2);
  }

  toggleLive() {
    const live = !this.state.live,
      [from, to] = this.ranges().line;
    if (live && this.state.to !== 'now')
      this.state.from = `now-${Math.max(60, Math.round((to - from) / 1000))}s`;
    this.change(live ? {live, to: 'now', sel: null} : {live});
  }

  setBase(what) {
    if (what === 'drag') return this.showDiff(); // it is dragged, not chosen
    this.change({base: what === 'same' ? null : what});
  }

  setBaseMatch(text) {
    const match = text.trim() ? parseMatch(text) : null;
    if (text.trim() && !match) {
      this.fail(new ApiError(400, 'bad_match', `'${text}' is not like {service_name="nginx"}`));
      return;
    }
    if (match && !this.state.baseMatch && this.state.base === 'before') this.state.base = null;
    this.change({baseMatch: match});
  }

  startOver() {
    this.problem = null;
    this.change(readState(new URLSearchParams(this.state.utc ? 'utc=1' : '')));
  }

  save(format) {
    const stamp = iso(this.ranges().graph[0]).slice(0, 19).replace(/:/g, '-'),
      {kind, match} = this.state,
      parts = [this.host ?? 'bianque', kind, ...match.map(m => m[2]), stamp],
      name = ending =>
        `${parts
          .join('-')
          .replace(/[^\w.-]+/g, '_')
          .slice(-200)}.${ending}`;
    if (format === 'png') this.flame.picture.toBlob(blob => blob && saveBlob(blob, name('png')));
    if (!FORMATS.includes(format)) return;
    const args = {...this.profileArgs(), format};
    this.attempt(() => download('api/v1/profile', args, name(ENDINGS[format] ?? format)));
  }

  // A link to these moments, not to those `now` will mean when it is opened.
  copyLink() {
    const {state} = this,
      fixed = this.ranges().line,
      was = [state.from, state.to, state.live];
    [state.from, state.to, state.live] = [
      `${Math.round(fixed[0])}`,
      `${Math.round(fixed[1])}`,
      false,
    ];
    this.toAddress();
    copyText(location.href);
    [state.from, state.to, state.live] = was;
    this.toAddress();
    this.tools.link.textContent = 'Copied';
    setTimeout(() => (this.tools.link.textContent = 'Copy link'), 1500);
  }

  // Modules that are seldom needed are loaded when they are, with the styles of them all.
  async part(name) {
    this.styles ??= new Promise((onload, onerror) =>
      document.head.append(h('link', {rel: 'stylesheet', href: 'web/parts.css', onload, onerror})),
    );
    try {
      await this.styles;
      return await import(`./${name}.js`);
    } catch {
      this.styles = null; // a module that is here stays, a style is asked for again
      throw new ApiError(0, 'gone', 'the agent does not answer');
    }
  }

  // Something the reader began, whose failure is said.
  async attempt(what) {
    try {
      await what();
    } catch (error) {
      this.fail(error);
    }
  }

  // What is no ApiError came of an answer that is not as expected.
  fail(error) {
    const known = error instanceof ApiError;
    if (!known) console.error(error);
    this.problem = known ? error : new ApiError(200, 'unreadable', error.message);
    this.showNotices();
  }

  askToken() {
    if (document.querySelector('.dialog')) return;
    this.attempt(async () => {
      const {askToken} = await this.part('dialogs');
      askToken(token => {
        setToken(token);
        this.load();
        this.listKinds();
      });
    });
  }

  moreKeys() {
    const toggle = pane => () => this.show(this.pane === pane ? 'both' : pane);
    return {
      d: toggle('diff'),
      p: toggle('processes'),
      m: toggle('heat'),
      l: () => this.toggleLive(),
      '[': () => this.shift(-1),
      ']': () => this.shift(1),
      '+': () => this.lengthen(0.5),
      '-': () => this.lengthen(2),
    };
  }
}

window.bianque = new App();
