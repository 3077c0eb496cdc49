// SPDX-License-Identifier: Apache-2.0
// Where the frames of a tree lie: x in the unit of the value, one row per storey. Pure, no DOM.
//
//	x0        by node: left edge; the right one is x0 + total
//	depth     by node
//	row       nodes of a storey from left to right: rows[rowStart[d] .. rowStart[d + 1])
//	rowOf     by node: its place in rows (so the neighbours of a frame are next to it)

// order: 'name' (the same place at every look) or 'weight' (largest first). `other` comes last.
export function layout(tree, order = 'name') {
  const {n, parent, total, frame} = tree,
    rank = tree.frames.rank;
  const {start, list} = childrenOf(tree);
  const x0 = new Float64Array(n),
    depth = new Uint16Array(n);
  const before =
    order === 'weight'
      ? (a, b) =>
          (frame[a] === 1) - (frame[b] === 1) ||
          total[b] - total[a] ||
          rank[frame[a]] - rank[frame[b]]
      : (a, b) => rank[frame[a]] - rank[frame[b]];
  for (let p = 0; p < n; p++) {
    sortSlice(list, start[p], start[p + 1], before);
    let x = x0[p];
    for (let i = start[p]; i < start[p + 1]; i++) {
      const c = list[i];
      x0[c] = x;
      x += total[c];
      depth[c] = depth[p] + 1;
    }
  }
  return {tree, x0, depth, start, list, ...rowsOf(n, start, list)};
}

// Children of each node: list[start[p] .. start[p + 1]).
function childrenOf({n, parent}) {
  const start = new Int32Array(n + 2),
    list = new Int32Array(n);
  for (let i = 1; i < n; i++) start[parent[i] + 2]++;
  for (let i = 0; i < n; i++) start[i + 2] += start[i + 1];
  for (let i = 1; i < n; i++) list[start[parent[i] + 1]++] = i;
  return {start, list};
}

function sortSlice(list, from, to, before) {
  let i = from + 1;
  while (i < to && before(list[i - 1], list[i]) <= 0) i++;
  if (i < to) list.subarray(from, to).sort(before);
}

function rowsOf(n, start, list) {
  const rows = new Int32Array(n),
    rowOf = new Int32Array(n),
    rowStart = [0];
  let filled = n ? 1 : 0;
  for (let from = 0; from < filled;) {
    const to = filled;
    for (; from < to; from++) {
      rowOf[rows[from]] = from;
      for (let i = start[rows[from]]; i < start[rows[from] + 1]; i++) rows[filled++] = list[i];
    }
    rowStart.push(to);
  }
  return {rows, rowOf, rowStart, nRows: rowStart.length - 1};
}

// The first place in a row whose frame ends right of x.
export function firstEndingAfter(l, row, x, from = l.rowStart[row]) {
  let low = from,
    high = l.rowStart[row + 1];
  while (low < high) {
    const mid = (low + high) >> 1,
      node = l.rows[mid];
    if (l.x0[node] + l.tree.total[node] > x) high = mid;
    else low = mid + 1;
  }
  return low;
}

// The node at x in a row, or -1.
export function hit(l, row, x) {
  if (row < 0 || row >= l.nRows || x < 0) return -1;
  const at = firstEndingAfter(l, row, x);
  if (at >= l.rowStart[row + 1] || l.x0[l.rows[at]] > x) return -1;
  return l.rows[at];
}

// Nodes around one: parent, largest child, siblings and cousins in the same storey. -1 for none.
export function neighbour(l, node, way) {
  const at = l.rowOf[node],
    row = l.depth[node];
  if (way === 'parent') return node ? l.tree.parent[node] : -1;
  if (way === 'previous') return at > l.rowStart[row] ? l.rows[at - 1] : -1;
  if (way === 'next') return at + 1 < l.rowStart[row + 1] ? l.rows[at + 1] : -1;
  let best = -1;
  for (let i = l.start[node]; i < l.start[node + 1]; i++)
    if (best < 0 || l.tree.total[l.list[i]] > l.tree.total[best]) best = l.list[i];
  return best;
}

// How many of these nodes, none of which is above another, lie between x0 and x1, and their share of
// that range in the unit of the value.
export function within(l, nodes, x0, x1) {
  let count = 0,
    total = 0;
  for (const node of nodes) {
    const part = Math.min(l.x0[node] + l.tree.total[node], x1) - Math.max(l.x0[node], x0);
    if (part <= (x1 - x0) * 1e-9) continue; // what only touches it, after rounding
    count++;
    total += part;
  }
  return {count, total};
}

// All nodes of each frame: list[start[f] .. start[f + 1]).
export function occurrences(tree) {
  const start = new Int32Array(tree.frames.n + 2),
    list = new Int32Array(tree.n);
  for (let i = 0; i < tree.n; i++) start[tree.frame[i] + 2]++;
  for (let f = 0; f < tree.frames.n; f++) start[f + 2] += start[f + 1];
  for (let i = 0; i < tree.n; i++) list[start[tree.frame[i] + 1]++] = i;
  return {start, list};
}
