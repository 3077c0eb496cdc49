// SPDX-License-Identifier: Apache-2.0
// The page's modules without a browser: decoding, rebuilding, layout, names, colours, budgets.
// EXPORT_PROFILE names the tool that makes node tables, BUNDLE the joined script, SERVED the folder of
// the files as they are embedded.

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFileSync, readdirSync} from 'node:fs';
import {test} from 'node:test';
import {Script} from 'node:vm';

const WEB = new URL('../../profiler/web/', import.meta.url);
const load = name => import(new URL(name, WEB));
const nodes = await load('nodes.js'),
  layouts = await load('layout.js'),
  format = await load('format.js');
const state = await load('state.js'),
  timeline = await load('timeline.js'),
  panels = await load('panels.js'),
  dialogs = await load('dialogs.js');
const theme = await load('theme.js'),
  drawing = await load('draw.js');

const made = (...args) =>
  JSON.parse(
    execFileSync(process.env.EXPORT_PROFILE, ['-f', 'json', ...args], {maxBuffer: 1 << 30}),
  );

// A tree by hand: [name, self, children...].
function table(root) {
  const names = ['all', 'other'],
    doc = {
      version: 1,
      unit: 'count',
      scale: 2,
      kinds: ['native', 'group'],
      strings: [''],
      frames: {name: [], module: [], file: [], line: [], kind: [], inlined: []},
      nodes: {parent: [], frame: [], self: [], total: [], flags: []},
    };
  const add = ([name, self, ...children], parent, depth) => {
    const me = doc.nodes.parent.length,
      row = depth ? (names.includes(name) ? names.indexOf(name) : names.push(name) - 1) : 0;
    doc.nodes.parent.push(me - parent);
    doc.nodes.frame.push(row);
    doc.nodes.self.push(self);
    doc.nodes.total.push(0);
    doc.nodes.flags.push(0);
    doc.nodes.total[me] = self + children.reduce((sum, c) => sum + add(c, me, depth + 1), 0);
    return doc.nodes.total[me];
  };
  add(root, 0, 0);
  names.forEach((name, i) => {
    doc.strings.push(name);
    doc.frames.name.push(1);
    for (const column of ['module', 'file', 'line', 'kind', 'inlined']) doc.frames[column].push(0);
  });
  for (let i = doc.nodes.frame.length - 1; i > 0; i--) doc.nodes.frame[i] -= doc.nodes.frame[i - 1];
  return nodes.decode(doc);
}

// The tree as text: name(self) with its children in order.
function text(tree, node = 0) {
  const children = [];
  for (let i = node + 1; i < tree.n; i++) if (tree.parent[i] === node) children.push(text(tree, i));
  children.sort();
  const below = children.length ? `(${children.join(' ')})` : '';
  return `${tree.frames.name[tree.frame[node]]}${tree.self[node] || ''}${below}`;
}

const frameOf = (tree, name) => tree.frames.name.indexOf(name);
const mark = (tree, ...names) =>
  Uint8Array.from(tree.frames.name, n => (names.includes(n) ? 1 : 0));
const SMALL = ['all', 0, ['main', 1, ['a', 2, ['b', 3]], ['b', 4, ['a', 5]]], ['idle', 10]];

function checkTree(tree) {
  const sum = Float64Array.from(tree.self);
  for (let i = tree.n - 1; i > 0; i--) {
    assert.ok(tree.parent[i] < i);
    sum[tree.parent[i]] += sum[i];
  }
  assert.deepEqual(sum, tree.total);
}

function checkLayout(l) {
  const {tree} = l;
  for (let i = 1; i < tree.n; i++) {
    const p = tree.parent[i];
    assert.equal(l.depth[i], l.depth[p] + 1);
    assert.ok(l.x0[i] >= l.x0[p] && l.x0[i] + tree.total[i] <= l.x0[p] + tree.total[p] + 1e-6);
  }
  for (let r = 0; r < l.nRows; r++)
    for (let i = l.rowStart[r]; i < l.rowStart[r + 1]; i++) {
      assert.equal(l.depth[l.rows[i]], r);
      assert.equal(l.rowOf[l.rows[i]], i);
      if (i > l.rowStart[r])
        assert.ok(l.x0[l.rows[i]] >= l.x0[l.rows[i - 1]] + tree.total[l.rows[i - 1]] - 1e-6);
    }
  assert.equal(l.rowStart[l.nRows], tree.n);
}

test('decodes, scales, refuses other versions', () => {
  const tree = table(SMALL);
  assert.equal(text(tree), 'all(idle20 main2(a4(b6) b8(a10)))');
  checkTree(tree);
  assert.throws(() => nodes.decode({version: 2}), /version 2/);
});

test('lays out by name and by weight, other last', () => {
  const tree = table(['all', 0, ['b', 5], ['other', 9], ['a', 1], ['c', 7]]);
  const names = l => Array.from(l.rows.subarray(1), i => tree.frames.name[tree.frame[i]]).join('');
  const byName = layouts.layout(tree),
    byWeight = layouts.layout(tree, 'weight');
  checkLayout(byName);
  checkLayout(byWeight);
  assert.equal(names(byName), 'abcother');
  assert.equal(names(byWeight), 'cbaother');
});

test('finds the node at a point', () => {
  const l = layouts.layout(table(SMALL)),
    at = (row, x) => {
      const node = layouts.hit(l, row, x);
      return node < 0 ? null : l.tree.frames.name[l.tree.frame[node]];
    };
  assert.equal(at(0, 0), 'all');
  assert.equal(at(1, 0), 'idle');
  assert.equal(at(1, 19.99), 'idle');
  assert.equal(at(1, 20), 'main');
  assert.equal(at(2, 20), 'a');
  assert.equal(at(2, 49), null); // main's own
  assert.equal(at(1, 50), null);
  assert.equal(at(9, 1), null);
  assert.equal(at(-1, 1), null);
  assert.equal(at(0, -1), null);
});

test('moves to neighbours', () => {
  const l = layouts.layout(table(SMALL)),
    main = layouts.hit(l, 1, 25);
  const idle = layouts.neighbour(l, main, 'previous');
  assert.equal(l.tree.frames.name[l.tree.frame[idle]], 'idle');
  assert.equal(layouts.neighbour(l, idle, 'previous'), -1);
  assert.equal(layouts.neighbour(l, idle, 'next'), main);
  assert.equal(layouts.neighbour(l, main, 'next'), -1);
  assert.equal(layouts.neighbour(l, main, 'parent'), 0);
  assert.equal(layouts.neighbour(l, 0, 'parent'), -1);
  const child = layouts.neighbour(l, main, 'child'); // the larger
  assert.equal(l.tree.frames.name[l.tree.frame[child]], 'b');
  assert.equal(layouts.neighbour(l, idle, 'child'), -1);
});

test('totals and matches count overlaps once', () => {
  const tree = table(['all', 0, ['f', 1, ['g', 2, ['f', 3, ['h', 4]]]], ['h', 5]]);
  const totals = nodes.frameTotals(tree),
    f = frameOf(tree, 'f');
  assert.equal(totals.total[f], 20);
  assert.equal(totals.self[f], 8);
  assert.equal(totals.count[f], 2);
  const found = nodes.findMatches(tree, mark(tree, 'f', 'h'));
  assert.equal(found.total, 30);
  assert.equal(found.nodes.length, 2);
  const places = layouts.occurrences(tree);
  assert.equal(places.start[f + 1] - places.start[f], 2);
});

test('queries: text, exact, expression, nonsense', () => {
  const tree = table(['all', 0, ['Main', 1], ['mainly', 1], ['x', 1]]);
  const names = query => {
    const match = nodes.matchFrames(tree.frames, query);
    return match && tree.frames.name.filter((_, i) => match[i]).join();
  };
  assert.equal(names('main'), 'Main,mainly');
  assert.equal(names('"Main"'), 'Main');
  assert.equal(names('/^m.*n$/'), 'Main');
  assert.equal(names('nothing'), '');
  assert.equal(names('  '), null);
  assert.equal(names('/(/'), null);
  assert.equal(names('all'), ''); // the root is no function
});

test('focus, hide, collapse', () => {
  const tree = table(SMALL);
  const shown = options => {
    const out = nodes.rebuild(tree, options);
    checkTree(out);
    checkLayout(layouts.layout(out));
    return text(out);
  };
  assert.equal(shown({}), text(tree));
  assert.equal(shown({focus: [mark(tree, 'b')]}), 'all(main(a(b6) b8(a10)))');
  assert.equal(shown({focus: [mark(tree, 'b'), mark(tree, 'a')]}), 'all(main(a(b6) b(a10)))');
  assert.equal(shown({focus: [mark(tree, 'nobody')]}), 'all');
  assert.equal(shown({hide: mark(tree, 'main')}), 'all2(a4(b6) b8(a10) idle20)');
  assert.equal(shown({hide: mark(tree, 'a')}), 'all(idle20 main6(b24))');
  const loop = table(['all', 0, ['f', 1, ['f', 2, ['g', 3, ['f', 4, ['h', 5]], ['g', 6]]]]]);
  const once = nodes.rebuild(loop, {collapse: true});
  checkTree(once);
  assert.equal(text(once), 'all(f14(g18 h10))');
  assert.equal(once.collapsed[nodes.nodeOfPath(once, [frameOf(loop, 'f')])], 2);
});

test('hiding merges what meets', () => {
  const tree = table(['all', 0, ['x', 1, ['leaf', 2]], ['y', 0, ['x', 3, ['leaf', 4]]]]);
  assert.equal(text(nodes.rebuild(tree, {hide: mark(tree, 'y')})), 'all(x8(leaf12))');
});

test('paths come back, as far as they exist', () => {
  const tree = table(SMALL),
    path = ['main', 'b', 'a'].map(n => frameOf(tree, n));
  const node = nodes.nodeOfPath(tree, path);
  assert.deepEqual(nodes.pathOf(tree, node), path);
  assert.deepEqual(nodes.pathOf(tree, nodes.nodeOfPath(tree, [...path, 77])), path);
  assert.equal(nodes.nodeOfPath(tree, [77]), 0);
});

test('short names', () => {
  for (const [name, want] of Object.entries({
    'std::vector<int, std::allocator<int> >::push_back(int&&)': 'std::vector::push_back',
    'void foo<int>(int) const': 'foo',
    'unsigned long std::__detail::f<unsigned long>(int)': 'std::__detail::f',
    'bool A<B>::operator==(C const&) const': 'A::operator==',
    'ns::X::operator()(int) const': 'ns::X::operator()',
    'operator new(unsigned long)': 'operator new',
    'std::ostream& std::operator<< <char>(std::ostream&, char)': 'std::operator<< <char>',
    'a::(anonymous namespace)::f(int)': 'a::(anonymous namespace)::f',
    'non-virtual thunk to A::b()': 'non-virtual thunk to A::b',
    'core::fmt::pad::{closure#0}': 'core::fmt::pad::{closure#0}',
    '<T as core::Trait>::method': '<T as core::Trait>::method',
    '<module>': '<module>',
    'main.(*Server).ServeHTTP': 'main.(*Server).ServeHTTP',
    'java.lang.String.<init>': 'java.lang.String.<init>',
    'f(': 'f(',
    '': '',
    '<': '<',
    '((((': '((((',
  }))
    assert.equal(format.shortName(name), want);
  format.shortName('a<'.repeat(2000));
  format.shortName('x(y<'.repeat(900) + ')>'.repeat(900));
});

test('figures', () => {
  assert.equal(format.formatValue(96_200_000_000, 'nanoseconds'), '96.2 s');
  assert.equal(format.formatValue(999, 'nanoseconds'), '999 ns');
  assert.equal(format.formatValue(1e12, 'nanoseconds'), '1,000 s');
  assert.equal(format.formatValue(3.1 * 1048576, 'bytes'), '3.10 MiB');
  assert.equal(format.formatValue(12480, 'count'), '12,480');
  assert.equal(format.formatShare(1, 3), '33.3 %');
  assert.equal(format.formatShare(1, 1e6), '< 0.1 %');
  assert.equal(format.formatShare(0, 0), '0.0 %');
});

test('every text on every fill has contrast 4.5', () => {
  for (const [name, base] of Object.entries(theme.THEMES)) {
    for (const [kind, fills] of Object.entries(theme.KINDS[name]))
      for (const fill of fills.flatMap(f => [f, theme.mix(f, base.page, theme.FADE)]))
        for (const text of [base.text, base.dim])
          assert.ok(theme.contrast(text, fill) >= 4.5, `${name} ${kind} ${text} on ${fill}`);
    assert.ok(theme.contrast(base.matchText, base.match) >= 4.5);
    for (const outline of [base.hover, base.select, base.window])
      assert.ok(theme.contrast(outline, base.page) >= 3, `${name} ${outline}`);
    // what matches stands out by lightness, not by hue alone
    for (const fill of Object.values(theme.KINDS[name]).flat())
      assert.ok(theme.contrast(base.match, theme.mix(fill, base.page, theme.FADE)) >= 3);
  }
});

test('text of the page has contrast 4.5', () => {
  const css = readFileSync(new URL('flame.css', WEB), 'utf8');
  const blocks = {
    light: /:root \{([^}]*)\}/.exec(css)[1],
    dark: /data-theme=.dark.\] \{([^}]*)\}/.exec(css)[1],
  };
  for (const [name, block] of Object.entries(blocks)) {
    const v = Object.fromEntries(
      [...block.matchAll(/--([\w-]+): (#\w{6});/g)].map(m => [m[1], m[2]]),
    );
    for (const on of ['page', 'panel', 'button', 'button-hover', 'tint'])
      assert.ok(theme.contrast(v.text, v[on]) >= 4.5, `${name} text on ${on}`);
    for (const on of ['page', 'panel', 'button'])
      assert.ok(theme.contrast(v.quiet, v[on]) >= 4.5, `${name} quiet on ${on}`);
    assert.ok(theme.contrast(v['on-accent'], v.accent) >= 4.5);
    assert.ok(theme.contrast(v.warn, v.panel) >= 4.5);
    assert.equal(v.page, theme.THEMES[name].page);
  }
});

test('the picture without a script has the same colours', () => {
  const c = readFileSync(new URL('../export/svg.c', WEB), 'utf8');
  for (const name of ['light', 'dark']) {
    const block = new RegExp(`\\b${name}\\[FRAME_KIND_COUNT\\]\\[STEPS\\] = \\{([^;]*)\\};`).exec(
      c,
    )[1];
    const rows = [...block.matchAll(/\[FRAME_(\w+)\] = \{([^}]*)\}/g)];
    assert.deepEqual(
      Object.fromEntries(
        rows.map(m => [m[1].toLowerCase(), [...m[2].matchAll(/#\w{6}/g)].map(x => x[0])]),
      ),
      theme.KINDS[name],
    );
  }
});

test('a module keeps its shade, and modules spread over the shades', () => {
  const steps = [0, 0, 0, 0];
  for (let i = 0; i < 400; i++) steps[theme.stepOf(`libfoo${i}.so`)]++;
  assert.ok(Math.min(...steps) > 60, String(steps));
  assert.equal(theme.stepOf('libc.so.6'), theme.stepOf('libc.so.6'));
});

// A context that counts what is asked of it.
function context() {
  return {
    calls: 0,
    texts: [],
    fillRect() {
      this.calls++;
    },
    strokeRect() {
      this.calls++;
    },
    fillText(t) {
      this.texts.push(t);
    },
    measureText: t => ({width: 7 * Array.from(t).length}),
  };
}

test('labels are cut in the middle or in front, whole characters only', () => {
  const fitter = new drawing.TextFitter(context());
  assert.equal(fitter.fit('short', 35), 'short');
  assert.equal(fitter.fit('std::vector::push_back', 84), 'std::v…_back');
  assert.equal(fitter.fit('std::vector::push_back', 84, true), '…::push_back');
  assert.equal(fitter.fit('🔥🔥🔥🔥🔥🔥', 35), '🔥🔥…🔥🔥');
  assert.equal(fitter.fit('abcdef', 14), '');
  assert.equal(fitter.fit('x'.repeat(100000), 70).length, 10);
});

test('a name in a narrow box loses its qualifiers first', () => {
  const fitter = new drawing.TextFitter(context());
  const fit = (name, chars) => fitter.fitName(name, 7 * chars);
  assert.equal(fit('std::vector::push_back', 22), 'std::vector::push_back');
  assert.equal(fit('std::vector::push_back', 12), 'std::v…_back');
  assert.equal(fit('std::vector::push_back', 11), '…push_back');
  assert.equal(fit('std::vector::push_back', 7), 'pus…ack');
  assert.equal(fit('a::b::c::d::e::ffff', 9), '…e::ffff');
  assert.equal(fit('main.(*Server).serve', 10), '…serve');
  assert.equal(fit('libfoo-1.so+0x1234', 10), 'libfo…1234');
  assert.equal(fit('truth_main', 6), 'tru…in');
  assert.equal(fitter.fitName('a::bcdefghij', 63, true), '…cdefghij');
});

test('matches in a part of the picture', () => {
  const tree = table(['all', 0, ['a', 4], ['b', 2, ['m', 2]], ['c', 0, ['m', 6, ['m', 1]]]]),
    l = layouts.layout(tree),
    {nodes: found} = nodes.findMatches(
      tree,
      tree.frames.name.map(name => name === 'm'),
    );
  const scale = tree.total[0] / 15;
  const inside = (x0, x1) => {
    const {count, total} = layouts.within(l, found, x0 * scale, x1 * scale);
    return [count, Math.round((total / scale) * 1e6) / 1e6];
  };
  assert.deepEqual(inside(0, 15), [2, 9]); // the m below an m is part of it
  assert.deepEqual(inside(0, 4), [0, 0]);
  assert.deepEqual(inside(4, 8), [1, 2]);
  assert.deepEqual(inside(8, 15), [1, 7]);
  assert.deepEqual(inside(5, 9), [2, 2]);
});

// What begins where the view ends may, by rounding, begin a little before, and is not drawn.
test('a sliver at the right edge ends the row', () => {
  const tree = table(['all', 0, ['a', 1216], ['b', 1]]),
    l = layouts.layout(tree),
    c = context();
  const view = {x0: 0, x1: tree.total[1], top: 0, width: 348, height: 100, rowHeight: 22};
  assert.ok(view.x1 * (view.width / view.x1) < view.width, 'these numbers do not show it');
  c.fillRect = () => assert.ok(++c.calls < 100, 'it never ends');
  const look = theme.makeTheme('light', tree.frames),
    fitter = new drawing.TextFitter(c);
  drawing.draw(c, l, view, look, {match: null, zoom: 1}, fitter, f => tree.frames.name[f]);
  assert.deepEqual(c.texts, ['all', 'a']);
});

// Budgets: parse, decode and layout 120 ms, draw 16 ms, hit 1 ms. Times are printed, work is held.
test('50,000 nodes', t => {
  const doc = JSON.stringify(made('@made-up,100000,40')),
    best = (n, f) =>
      Math.min(
        ...Array.from({length: n}, () => {
          const start = performance.now();
          f();
          return performance.now() - start;
        }),
      );
  let tree, l;
  const first = best(1, () => {
    tree = nodes.decode(JSON.parse(doc));
    l = layouts.layout(tree);
  });
  assert.ok(tree.n > 45000 && tree.n <= 50000);
  checkTree(tree);
  checkLayout(l);
  const look = theme.makeTheme('light', tree.frames),
    c = context(),
    fitter = new drawing.TextFitter(c);
  const view = {x0: 0, x1: tree.total[0], top: 0, width: 1400, height: 1000, rowHeight: 22};
  const draw = () =>
    drawing.draw(c, l, view, look, {match: null, zoom: 0}, fitter, f => tree.frames.name[f]);
  const drawn = best(5, draw),
    hit =
      best(5, () => {
        for (let i = 0; i < 1000; i++) layouts.hit(l, i % l.nRows, (i / 1000) * tree.total[0]);
      }) / 1000;
  t.diagnostic(
    `${tree.n} nodes: parse, decode, layout ${first.toFixed(1)} ms cold; ` +
      `draw ${drawn.toFixed(2)} ms ` +
      `(no canvas); hit ${(hit * 1000).toFixed(2)} µs`,
  );
  assert.ok(c.calls / 5 < 1400 * 2 * 46, 'drawing goes by pixels, not by nodes');
});

test('nasty profiles come through', () => {
  const tree = nodes.decode(made('@nasty'));
  checkTree(tree);
  checkLayout(layouts.layout(tree));
  assert.ok(tree.frames.name.includes('</script><script>alert(1)</script>'));
  assert.ok(tree.frames.name.every(name => name.length));
  tree.frames.name.forEach(name => format.shortName(name));
  const empty = nodes.decode(made('@empty'));
  assert.equal(empty.n, 1);
  checkLayout(layouts.layout(empty));
  nodes.rebuild(empty, {collapse: true});
});

test('modules are plain, small, and join into one script', () => {
  const files = readdirSync(WEB).filter(f => /\.(js|css)$/.test(f));
  for (const f of files.filter(f => f.endsWith('.js'))) {
    const source = readFileSync(new URL(f, WEB), 'utf8');
    assert.ok(
      !/innerHTML|insertAdjacentHTML|outerHTML|document\.write|\beval\b|new Function/.test(source),
      f,
    );
    for (const line of source.split('\n').filter(s => s.startsWith('import')))
      assert.match(line, /^import \{[^}]*\} from '\.\/[\w-]+\.js';$/, `${f}: ${line}`);
  }
  const bundle = readFileSync(process.env.BUNDLE, 'utf8');
  assert.ok(!/^(import|export) /m.test(bundle) && !bundle.includes('</script'));
  new Script(bundle); // a name declared twice would not parse
});

test('what is served is the same program', () => {
  const served = f => readFileSync(`${process.env.SERVED}/${f}`, 'utf8');
  for (const f of readdirSync(process.env.SERVED)) {
    const text = served(f),
      source = readFileSync(new URL(f, WEB), 'utf8');
    // The characters that are left when nothing is indented and no line is commented.
    const bare = s =>
      s
        .replace(
          f.endsWith('.css') ? /\/\*[^]*?\*\//g : /^\s*\/\/.*$| \/\/ .*$|^\s*\/\*.*\*\/$/gm,
          '',
        )
        .replace(/\s+/g, '')
        .replace(/[,;](?=[)}\]])/g, '');
    assert.equal(bare(text), bare(source), f);
    assert.ok(text.length < source.length || f.endsWith('.html'), f);
  }
});

// ---- the state and its address ----
test('selectors are read and written', () => {
  for (const [text, list] of [
    ['{}', []],
    ['{a="b"}', [['a', '=', 'b']]],
    [
      ' { a =~ "x.*" , b!="\\"\\\\" } ',
      [
        ['a', '=~', 'x.*'],
        ['b', '!=', '"\\'],
      ],
    ],
    [
      '{a="}",b!~"{,"}',
      [
        ['a', '=', '}'],
        ['b', '!~', '{,'],
      ],
    ],
    ['{a="1\\n2"}', [['a', '=', '1\n2']]],
  ]) {
    assert.deepEqual(state.parseMatch(text), list, text);
    assert.deepEqual(state.parseMatch(state.formatMatch(list)), list);
  }
  for (const bad of ['{a}', '{a=b}', '{a="b}', '{="b"}', '{a="b" c="d"}', '{a=="b"}'])
    assert.equal(state.parseMatch(bad), null, bad);
});

test('the address holds the whole state, and nothing by default', () => {
  const none = state.readState(new URLSearchParams());
  assert.deepEqual(none, state.DEFAULTS);
  assert.equal(String(state.writeState(none)), '');
  const all = {
    from: '1780000000000',
    to: '1790000000000',
    sel: [1789999000000, 1789999500000],
    base: 'yesterday',
    match: [['service_name', '=', 'a&b #"']],
    baseMatch: [['host', '!=', 'x']],
    kind: 'offcpu',
    group: 'host',
    split: 'pid',
    view: 'diff',
    utc: true,
    live: true,
  };
  assert.deepEqual(state.readState(new URLSearchParams(String(state.writeState(all)))), all);
  for (const bad of [
    'from=x&to=now-5y&sel=9-1&base=q&match={a&base_match=}&kind=a%20b&view=%00&group=',
    'sel=1-999999999999999&base=1789999500000-1789999000000&split=x&from=now-999999999d',
    'sel=1789999000000-9000000000000&base=1789999000000&split=&from=1&to=9000000000000',
    'sel=-1789999000000&base=1789999000000-1789999500000-1789999900000',
  ])
    assert.deepEqual(state.readState(new URLSearchParams(bad)), state.DEFAULTS, bad);
  const baseOf = text => state.readState(new URLSearchParams(text)).base;
  assert.equal(baseOf('view=diff'), 'before', 'a diff is not with itself');
  assert.equal(baseOf('view=diff&base=yesterday'), 'yesterday');
  assert.equal(baseOf('view=diff&base_match={a="b"}'), null, 'but with another filter it may be');
});

test('ranges and times', () => {
  const now = 1790000000000,
    at = s => state.rangesOf({...state.DEFAULTS, ...s}, now);
  assert.deepEqual(at({}).line, [now - 900000, now]);
  assert.deepEqual(at({from: 'now-2h', to: 'now-1h'}).graph, [now - 7200000, now - 3600000]);
  assert.deepEqual(at({sel: [1000, 3000], base: 'before'}).base, [0, 1000]);
  assert.deepEqual(at({sel: [1000, 3000], base: [5, 6]}).base, [5, 6]);
  assert.equal(state.readState(new URLSearchParams('from=now-1h&to=now-2h')).from, 'now-15m');
  const gaps = [
    [0, 150],
    [180, 200],
    [290, 400],
  ];
  assert.equal(state.recorded([100, 300], {}), 200, 'of an agent that says nothing about it');
  assert.equal(state.recorded([100, 300], {since_ms: 160, gaps}), 140 - 20 - 10);
  assert.equal(state.recorded([100, 300], {since_ms: 500, gaps}), 0);
  assert.equal(state.lengthText(210000), '3 min 30 s');
  assert.equal(state.lengthText(200), '200 ms');
  assert.equal(state.lengthText(2500), '2.5 s');
  assert.equal(state.lengthText(33650), '34 s');
  assert.equal(state.lengthText(2402000), '40 min 2 s');
  assert.equal(state.lengthText(86400000), '1 d');
  assert.equal(state.clock(0, true).time, '00:00:00');
  for (const span of [1000, 60000, 900000, 86400000, 30 * 86400000])
    for (const {ms} of state.ticks(now, now + span, 1000, true))
      assert.ok(ms >= now && ms <= now + span && ms % 1000 === 0);
  assert.ok(state.ticks(now, now + 900000, 1000, true).length <= 12);
});

test('a time line stacks the largest, a heat map finds its moments', () => {
  const doc = {
    unit: 'nanoseconds',
    step_ms: 1000,
    steps: 2,
    series: [
      {name: 'a', total: 3e9, values: [2e9, 1e9]},
      {name: 'b', total: 1e9, values: [0, 1e9]},
      {name: 'c', total: 5e8, values: [5e8, 0]},
      {name: 'other', other: true, total: 5e8, values: [0, 5e8]},
    ],
  };
  const {rows, sums, max} = timeline.stackSeries(doc, 2);
  assert.deepEqual(
    rows.map(r => [r.name, r.values]),
    [
      ['a', [2, 1]],
      ['b', [0, 1]],
      ['other', [0.5, 0.5]],
    ],
  );
  assert.deepEqual(sums, [2.5, 2.5]);
  assert.equal(max, 2.5);
  assert.equal(timeline.stackSeries({...doc, steps: 0, series: []}).max, 1);
  for (const [v, top] of [
    [0.9, 1],
    [1, 1],
    [2.5, 3],
    [0.031, 0.04],
    [17, 20],
  ])
    assert.ok(Math.abs(timeline.niceAbove(v) - top) < 1e-9, v);
  const heat = {from_ms: 5000, step_ms: 100};
  assert.deepEqual(panels.heatRange(heat, {column: 2, row: 3}, {column: 1, row: 9}), [6900, 7400]);
});

test('a heat map: one sample is seen, half of the most is clearly paler than the most', () => {
  for (const name of ['light', 'dark']) {
    const apart = (a, b, max) =>
      theme.contrast(panels.heatShade(a, max, name), panels.heatShade(b, max, name));
    assert.equal(panels.heatShade(0, 9, name), theme.THEMES[name].page);
    for (const max of [1, 2, 4, 300]) assert.ok(apart(0, 1, max) >= 1.15, `1 of ${max}, ${name}`);
    for (const max of [2, 4, 300])
      assert.ok(apart(max / 2, max, max) >= 2, `half of ${max}, ${name}`);
    assert.ok(apart(1, 2, 4) >= 1.3);
  }
});

test('processes are joined with what they used', () => {
  const series = [
    {name: '7', process: 'worker', total: 8},
    {name: '9', process: 'x (y)', service_name: 'web', container: 'c1', total: 6},
    {name: '10', process: 'old', total: 1}, // of an agent that does not say whose it was
    {name: 'other', other: true, total: 3},
  ];
  const processes = [
    {pid: 7, comm: 'worker', service_name: 'w', container: ''},
    {pid: 8, comm: 'z', service_name: 'z', container: ''},
  ];
  const joined = all =>
    panels
      .joinProcesses({processes}, {series}, all)
      .map(r => [r.pid, r.comm, r.value, r.service_name, r.container, !!r.gone]);
  const rows = [
    [7, 'worker', 8, 'w', '', false],
    [8, 'z', 0, 'z', '', false],
    [9, 'x (y)', 6, 'web', 'c1', true],
    [10, 'old', 1, '', '', true],
  ];
  assert.deepEqual(joined(true), rows);
  assert.deepEqual(
    joined(false),
    rows.filter(r => r[2]),
    'with a filter only those that match',
  );
});

test('why stacks are not whole: the marks nearest the root, summed by reason', () => {
  const doc = table([
    'all',
    0,
    ['[incomplete:no_row]', 1, ['f', 30, ['[truncated]', 4]]],
    ['w (1)', 0, ['[truncated]', 0, ['g', 10]], ['[incomplete:no_row]', 2], ['g', 50]],
    ['h', 1, ['[other]', 2]],
  ]);
  const kind = name => doc.frames.name.indexOf(name);
  doc.frames.kinds = ['native', 'group', 'mark'];
  for (const name of ['all', 'w (1)']) doc.frames.kind[kind(name)] = 1;
  for (const name of ['[incomplete:no_row]', '[truncated]', '[other]'])
    doc.frames.kind[kind(name)] = 2;
  assert.deepEqual(dialogs.stopsOf(doc), [
    ['no_row', 74],
    ['truncated', 20],
  ]);
  const reasons = readFileSync(new URL('../../bpf/reason.h', WEB), 'utf8'),
    labels = (list, whole) =>
      [
        ...reasons
          .split(`define ${list}`)[1]
          .split('\nenum')[0]
          .matchAll(/"(\w+)"(,\s*1\))?/g),
      ]
        .filter(m => !m[2] || whole)
        .map(m => m[1]);
  const explained = Object.keys(dialogs.STOPS).filter(s => s !== 'other');
  assert.deepEqual(explained.sort(), labels('STOP_LIST', false).sort());
  assert.deepEqual(Object.keys(dialogs.LOSSES).sort(), labels('LOSS_LIST', true).sort());
});

// ---- sandwich and diff ----
test('a sandwich sums callers and callees, recursion once', () => {
  const tree = table(SMALL),
    match = mark(tree, 'b');
  assert.equal(text(nodes.calleesOf(tree, match)), 'b14(a10)');
  assert.equal(text(nodes.callersOf(tree, match)), 'b(a(main6) main18)');
  const deep = table(['all', 0, ['f', 1, ['g', 2, ['f', 4, ['h', 8]]]]]),
    f = mark(deep, 'f');
  assert.equal(text(nodes.calleesOf(deep, f)), 'f2(g4(f8(h16)))');
  assert.equal(nodes.callersOf(deep, f).total[0], 30);
  for (const made of [nodes.calleesOf(tree, match), nodes.callersOf(deep, f)]) {
    checkTree(made);
    checkLayout(layouts.layout(made));
  }
});

const baseOf = (doc, self) => {
  doc.nodes.base_self = self;
  doc.nodes.base_total = self;
  return doc;
};

test('a diff keeps what has gone, and knows lengths', () => {
  const doc = baseOf(
    {
      version: 1,
      unit: 'count',
      scale: 1,
      duration_ms: 1000,
      base_duration_ms: 2000,
      kinds: ['native'],
      strings: ['', 'all', 'other', 'same', 'new', 'gone', 'more'],
      frames: {
        name: [1, 1, 1, 1, 1, 1],
        module: [0, 0, 0, 0, 0, 0],
        file: [0, 0, 0, 0, 0, 0],
        line: [0, 0, 0, 0, 0, 0],
        kind: [0, 0, 0, 0, 0, 0],
        inlined: [0, 0, 0, 0, 0, 0],
      },
      nodes: {
        parent: [0, 1, 2, 3, 4],
        frame: [0, 2, 1, 1, 1],
        self: [0, 10, 5, 0, 30],
        total: [45, 10, 5, 0, 30],
      },
    },
    [0, 20, 0, 8, 20],
  );
  const tree = nodes.decode(doc),
    {now, base, tone} = tree.diff;
  assert.deepEqual([...base.total], [24, 10, 0, 4, 10]);
  assert.deepEqual([...now.total], [45, 10, 5, 0, 30]);
  assert.deepEqual([...tree.total], [49, 10, 5, 4, 30], 'widths: the gone one by what it was');
  assert.equal(tone[1], 0);
  assert.equal(tone[2], 3);
  assert.equal(tone[3], nodes.GONE);
  assert.ok(tone[4] > 0);
  checkTree(tree);
  const focused = nodes.rebuild(tree, {focus: [mark(tree, 'gone', 'more')]});
  assert.deepEqual([focused.diff.now.total[0], focused.diff.base.total[0]], [30, 14]);
  const hidden = nodes.rebuild(tree, {hide: mark(tree, 'new')});
  assert.deepEqual([hidden.diff.now.total[0], hidden.diff.base.total[0]], [45, 24]);
  const totals = nodes.frameTotals(tree);
  assert.deepEqual([totals.now[5], totals.base[5]], [30, 10]);
  assert.equal(format.formatChange(30, 10), '+200 %');
  assert.equal(format.formatChange(9, 10), '−10 %');
  assert.equal(format.formatChange(10.05, 10), '+0.5 %');
  assert.equal(format.formatChange(1, 0), 'new');
  assert.equal(format.formatChange(0, 1), 'gone');
  assert.equal(format.formatChange(10, 10), '±0');
});

test('the colours of a diff and of a time line', () => {
  for (const name of ['light', 'dark']) {
    for (const fill of theme.DIFF[name])
      for (const text of ['text', 'dim'])
        assert.ok(theme.contrast(theme.THEMES[name][text], fill) >= 4.5, `${name} ${text} ${fill}`);
    for (const fill of theme.SERIES[name].slice(0, -1))
      assert.ok(theme.contrast(theme.THEMES[name].page, fill) >= 3, `${name} ${fill}`);
  }
});
