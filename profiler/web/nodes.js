// SPDX-License-Identifier: Apache-2.0
// The call tree: decoded from the agent's node table (format=json, described in
// profiler/export/export.h), and rebuilt by what the reader asks for. A tree is
//
//	by node     n, parent, frame, self, total; a parent's number is smaller than its children's
//	frames      by frame: n, name, module, file, line, kind, inlined, rank
//	about       title, unit, samples, ...: the scalars of the table
//	diff        of two profiles, else absent: now and base, {self, total} by node, the base at the
//	            length of the other; and tone, which way a node went. self and total are then widths:
//	            those of now, and of base where nothing is left now
//
// Pure functions over typed arrays; no DOM. Frame 0 is `all`, frame 1 `other`.

function undelta(column) {
  const out = new Int32Array(column.length);
  for (let i = 0, value = 0; i < column.length; i++) out[i] = value += column[i];
  return out;
}

// Frames by name: their order among siblings, the same at every look.
function rankFrames(frames) {
  const order = Array.from({length: frames.n}, (_, i) => i);
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  order.sort(
    (a, b) =>
      compare(a === 1, b === 1) ||
      compare(frames.name[a], frames.name[b]) ||
      compare(frames.module[a], frames.module[b]) ||
      a - b,
  );
  const rank = new Int32Array(frames.n);
  order.forEach((frame, i) => (rank[frame] = i));
  return rank;
}

export function decode(doc) {
  if (doc.version !== 1)
    throw new Error(`node table of version ${doc.version}; this page reads version 1`);
  const {strings, nodes, frames: table, ...about} = doc,
    n = nodes.parent.length;
  const texts = column => Array.from(undelta(column), id => strings[id]);
  const frames = {
    n: table.name.length,
    kinds: doc.kinds,
    name: texts(table.name),
    module: texts(table.module),
    file: texts(table.file),
    line: Int32Array.from(table.line),
    kind: Uint8Array.from(table.kind),
    inlined: Uint8Array.from(table.inlined),
  };
  frames.rank = rankFrames(frames);
  const tree = {
    n,
    about,
    frames,
    parent: new Int32Array(n),
    frame: undelta(nodes.frame),
    self: Float64Array.from(nodes.self, v => v * doc.scale),
    total: Float64Array.from(nodes.total, v => v * doc.scale),
  };
  for (let i = 0; i < n; i++) tree.parent[i] = i - nodes.parent[i];
  if (!nodes.base_total) return tree;
  const {duration_ms: length, base_duration_ms: baseLength, scale} = doc,
    factor = scale * (length > 0 && baseLength > 0 ? length / baseLength : 1);
  return withDiff(
    tree,
    tree.self,
    Float64Array.from(nodes.base_self, v => v * factor),
  );
}

function sums({n, parent}, self) {
  const total = Float64Array.from(self);
  for (let i = n - 1; i > 0; i--) total[parent[i]] += total[i];
  return total;
}

const TONES = 3; // each way
export const GONE = -TONES - 1;

// Tones: -3 (much less) .. 3 (much more), GONE: nothing is left. Less than a thousandth of the whole
// is no change.
function withDiff(tree, now, base) {
  const diff = {
    now: {self: now, total: sums(tree, now)},
    base: {self: base, total: sums(tree, base)},
    tone: new Int8Array(tree.n),
  };
  const a = diff.now.total,
    b = diff.base.total,
    least = Math.max(a[0], b[0]) / 1000;
  const self = Float64Array.from(now, (v, i) => (a[i] > 0 ? v : base[i]));
  for (let i = 0; i < tree.n; i++) {
    const by = a[i] - b[i];
    if (i && !(a[i] > 0)) diff.tone[i] = GONE;
    else if (Math.abs(by) >= least) {
      const part = Math.abs(by) / Math.max(a[i], b[i]);
      diff.tone[i] = Math.sign(by) * Math.min(TONES, Math.floor(part * 5));
    }
  }
  return {...tree, self, total: sums(tree, self), diff};
}

// Self and total of each frame over the whole tree; of recursive frames the outermost counts.
export function frameTotals(tree) {
  const self = new Float64Array(tree.frames.n),
    total = new Float64Array(tree.frames.n);
  const count = new Int32Array(tree.frames.n);
  const {diff} = tree,
    now = diff && new Float64Array(tree.frames.n),
    base = diff && new Float64Array(tree.frames.n);
  for (let i = 0; i < tree.n; i++) {
    const f = tree.frame[i];
    self[f] += tree.self[i];
    count[f]++;
    if (hasAncestor(tree, i, g => g === f)) continue;
    total[f] += tree.total[i];
    if (!diff) continue;
    now[f] += diff.now.total[i];
    base[f] += diff.base.total[i];
  }
  return {self, total, count, now, base};
}

function hasAncestor(tree, node, test) {
  while (node > 0) {
    node = tree.parent[node];
    if (test(tree.frame[node])) return true;
  }
  return false;
}

// Frames that a query means: "exact name", /regular expression/, else text in name, file or module,
// upper and lower case alike. null for an empty or impossible one.
export function matchFrames(frames, query) {
  const test = query.trim() ? makeTest(frames, query) : null;
  if (!test) return null;
  const match = new Uint8Array(frames.n);
  for (let i = 2; i < frames.n; i++) match[i] = test(i) ? 1 : 0;
  return match;
}

function makeTest(frames, query) {
  const {name, module, file} = frames;
  if (/^".+"$/.test(query)) {
    const exact = query.slice(1, -1);
    return i => name[i] === exact;
  }
  const expression = /^\/(.+)\/$/.exec(query);
  if (!expression) {
    const text = query.toLowerCase();
    frames.lower ??= name.map((n, i) => `${n}\n${module[i]}\n${file[i]}`.toLowerCase());
    return i => frames.lower[i].includes(text);
  }
  try {
    const re = new RegExp(expression[1], 'i');
    return i => re.test(name[i]) || re.test(module[i]) || re.test(file[i]);
  } catch {
    return null;
  }
}

// Outermost nodes that match, in the tree's order, and their sum: overlaps count once.
export function findMatches(tree, match) {
  const covered = new Uint8Array(tree.n),
    nodes = [];
  let total = 0;
  for (let i = 0; i < tree.n; i++) {
    const above = i > 0 && covered[tree.parent[i]];
    if (match[tree.frame[i]] && !above) {
      nodes.push(i);
      total += tree.total[i];
    }
    covered[i] = above || match[tree.frame[i]] ? 1 : 0;
  }
  return {nodes, total};
}

// The tree with, of:
//	focus     list of marks by frame: only stacks that pass through a marked frame of each
//	hide      marks by frame: these frames vanish, their time becomes their callers'
//	collapse  a function that calls itself, directly or through others, is one storey
// Equal frames that come to hang under one parent become one. `collapsed` says by node how many
// storeys it stands for, beyond itself.
export function rebuild(tree, {focus = [], hide = null, collapse = false}) {
  const weight = focusWeights(tree, focus),
    index = new Map(),
    target = new Int32Array(tree.n);
  const parent = [0],
    frame = [0],
    self = [0],
    collapsed = [0],
    {diff} = tree,
    now = diff && [0],
    base = diff && [0];
  for (let i = 1; i < tree.n; i++) {
    const up = target[tree.parent[i]],
      f = tree.frame[i];
    if (weight.total[i] <= 0) continue;
    const hidden = hide && hide[f],
      known = collapse && !tree.frames.name[f].startsWith('[');
    let to = hidden ? up : known ? ancestorOf(parent, frame, up, f) : -1;
    if (to >= 0 && !hidden)
      collapsed[to] = Math.max(collapsed[to], callsAbove(tree, target, i, to));
    if (to < 0) {
      const key = up * tree.frames.n + f;
      to = index.get(key) ?? -1;
      if (to < 0) {
        to = parent.length;
        index.set(key, to);
        parent.push(up);
        frame.push(f);
        self.push(0);
        collapsed.push(0);
        now?.push(0);
        base?.push(0);
      }
    }
    target[i] = to;
    self[to] += weight.self[i];
    if (!diff || (weight.seen && weight.seen[i] !== weight.all)) continue;
    now[to] += diff.now.self[i];
    base[to] += diff.base.self[i];
  }
  self[0] += weight.self[0];
  const made = {...finish(tree, {parent, frame, self}), collapsed: Int32Array.from(collapsed)};
  return diff ? withDiff(made, Float64Array.from(now), Float64Array.from(base)) : made;
}

// The nearest node at or above `node` with this frame, or -1.
function ancestorOf(parent, frame, node, f) {
  for (; node > 0; node = parent[node]) if (frame[node] === f) return node;
  return -1;
}

// How many ancestors of a node with its frame became the same node of the new tree.
function callsAbove(tree, target, node, to) {
  let calls = 0;
  for (let up = tree.parent[node]; up > 0; up = tree.parent[up])
    if (tree.frame[up] === tree.frame[node] && target[up] === to) calls++;
  return calls;
}

function finish(tree, {parent, frame, self}) {
  const made = {
    n: parent.length,
    about: tree.about,
    frames: tree.frames,
    parent: Int32Array.from(parent),
    frame: Int32Array.from(frame),
    self: Float64Array.from(self),
  };
  return {...made, total: sums(made, made.self)};
}

// What is left of each node's self and total by the focus.
function focusWeights(tree, focus) {
  if (!focus.length) return tree;
  const self = new Float64Array(tree.n),
    total = new Float64Array(tree.n);
  const all = 2 ** focus.length - 1,
    seen = new Int32Array(tree.n);
  for (let i = 0; i < tree.n; i++) {
    seen[i] = i ? seen[tree.parent[i]] : 0;
    focus.forEach((marks, bit) => (seen[i] |= marks[tree.frame[i]] << bit));
    self[i] = total[i] = seen[i] === all ? tree.self[i] : 0;
  }
  for (let i = tree.n - 1; i > 0; i--) total[tree.parent[i]] += total[i];
  return {self, total, seen, all};
}

// Frames from below the root to a node, and the way back: the deepest node of such a path that
// exists.
export function pathOf(tree, node) {
  const path = [];
  for (; node > 0; node = tree.parent[node]) path.push(tree.frame[node]);
  return path.reverse();
}

export function nodeOfPath(tree, path) {
  let node = 0;
  for (const frame of path) {
    let next = -1;
    for (let i = node + 1; i < tree.n && next < 0; i++)
      if (tree.parent[i] === node && tree.frame[i] === frame) next = i;
    if (next < 0) break;
    node = next;
  }
  return node;
}

export function nodeOfNames(tree, names) {
  let node = 0;
  for (const name of names) {
    let next = -1;
    for (let i = node + 1; i < tree.n && next < 0; i++)
      if (tree.parent[i] === node && tree.frames.name[tree.frame[i]] === name) next = i;
    if (next < 0) break;
    node = next;
  }
  return node;
}

// Everything a function calls, as one tree with it as the root: the outermost calls count.
export function calleesOf(tree, match) {
  const make = treeMaker(tree, match),
    target = new Int32Array(tree.n).fill(-1);
  for (let i = 1; i < tree.n; i++) {
    const up = target[tree.parent[i]];
    if (up < 0 && !match[tree.frame[i]]) continue;
    target[i] = up < 0 ? 0 : make.child(up, tree.frame[i]);
    make.self[target[i]] += tree.self[i];
  }
  return make.done();
}

// Everything that calls it, the same way round: its callers hang below it.
export function callersOf(tree, match) {
  const make = treeMaker(tree, match);
  for (const node of findMatches(tree, match).nodes) {
    let at = 0;
    for (let up = tree.parent[node]; up > 0; up = tree.parent[up])
      at = make.child(at, tree.frame[up]);
    make.self[at] += tree.total[node];
  }
  return make.done();
}

function treeMaker(tree, match) {
  const parent = [0],
    frame = [Math.max(match.indexOf(1), 0)],
    self = [0],
    index = new Map();
  const child = (up, f) => {
    const key = up * tree.frames.n + f;
    let node = index.get(key);
    if (node === undefined) {
      index.set(key, (node = parent.push(up) - 1));
      frame.push(f);
      self.push(0);
    }
    return node;
  };
  return {child, self, done: () => finish(tree, {parent, frame, self})};
}

export function emptyTree() {
  const none = {module: [0, 0], file: [0, 0], line: [0, 0], kind: [0, 0], inlined: [0, 0]};
  return decode({
    version: 1,
    type: 'cpu',
    unit: 'nanoseconds',
    kinds: ['group'],
    scale: 1,
    frames: {name: [1, 1], ...none},
    nodes: {parent: [0], frame: [0], self: [0], total: [0], flags: [0]},
    strings: ['', 'all', 'other'],
  });
}
