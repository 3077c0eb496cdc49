// SPDX-License-Identifier: Apache-2.0
// The call tree: decoded from the agent's node table (format=json, described in
// profiler/export/export.h), and rebuilt by what the reader asks for. A tree is
//
//	by node     n, parent, frame, self, total; a parent's number is smaller than its children's
//	frames      by frame: n, name, module, file, line, kind, inlined, rank
//	about       title, unit, samples, ...: the scalars of the table
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
  return tree;
}

// Self and total of each frame over the whole tree; of recursive frames the outermost counts.
export function frameTotals(tree) {
  const self = new Float64Array(tree.frames.n),
    total = new Float64Array(tree.frames.n);
  const count = new Int32Array(tree.frames.n);
  for (let i = 0; i < tree.n; i++) {
    const f = tree.frame[i];
    self[f] += tree.self[i];
    count[f]++;
    if (!hasAncestor(tree, i, g => g === f)) total[f] += tree.total[i];
  }
  return {self, total, count};
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
    collapsed = [0];
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
      }
    }
    target[i] = to;
    self[to] += weight.self[i];
  }
  return finish(tree, parent, frame, self, collapsed, weight.self[0]);
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

function finish(tree, parent, frame, self, collapsed, rootSelf) {
  const n = parent.length,
    total = Float64Array.from(self);
  total[0] += rootSelf;
  for (let i = n - 1; i > 0; i--) total[parent[i]] += total[i];
  return {
    n,
    about: tree.about,
    frames: tree.frames,
    parent: Int32Array.from(parent),
    frame: Int32Array.from(frame),
    self: Float64Array.from(self),
    total,
    collapsed: Int32Array.from(collapsed),
  };
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
  return {self, total};
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
