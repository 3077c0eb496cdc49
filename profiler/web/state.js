// SPDX-License-Identifier: Apache-2.0
// What the page shows, as plain data, and the address that says it: `#from=now-1h&to=now&...`. The
// part after # never leaves the browser, so it may be long. Pure, no DOM.
//
//	from, to   of the time line: now, now-15m, or unix ms
//	sel, base  [ms, ms] of the graph and of a diff's baseline, or null; base may be 'before' (the
//	           same length just before) or 'yesterday'
//	match, baseMatch   lists of [label, operator, value]
//	view       flame, both, table, sandwich, diff, heat, processes

export const DEFAULTS = {
  from: 'now-15m',
  to: 'now',
  sel: null,
  base: null,
  match: [],
  baseMatch: null,
  kind: 'cpu',
  group: 'service_name',
  split: 'none',
  view: '',
  utc: false,
  live: false,
};
export const SPLITS = ['none', 'comm', 'pid', 'tid'];
const SECOND = {s: 1, m: 60, h: 3600, d: 86400};
const MATCHER = /\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)/y;

// ms of `now`, `now-15m` or a number of ms; NaN for anything else.
export function timeOf(text, now) {
  const ago = /^now(?:-(\d{1,9})([smhd]))?$/.exec(text);
  if (ago) return now - (ago[1] ? ago[1] * SECOND[ago[2]] * 1000 : 0);
  return /^\d{1,15}$/.test(text) ? Number(text) : NaN;
}

// The list of a selector, or null when it is none.
export function parseMatch(text) {
  const body = text.trim().replace(/^\{([^]*)\}$/, '$1'),
    list = [];
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < body.length) {
    const found = MATCHER.exec(body);
    if (!found) return null;
    list.push([found[1], found[2], found[3].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))]);
  }
  return list;
}

export function formatMatch(list) {
  const quote = s => s.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n');
  return `{${list.map(([label, op, value]) => `${label}${op}"${quote(value)}"`).join(',')}}`;
}

// From 2001 to 2255, the last year that the agent takes.
const sensible = ms => ms >= 1e12 && ms < 9e12;

const range = text => {
  const [from, to] = /^\d+-\d+$/.test(text) ? text.split('-').map(Number) : [];
  return from < to && sensible(from) && sensible(to) ? [from, to] : null;
};

// From the parameters of an address; what makes no sense is as if it were not there.
export function readState(p) {
  const now = Date.now(),
    value = (key, makesSense) => (makesSense(p.get(key) ?? '') ? p.get(key) : DEFAULTS[key]),
    time = key => value(key, text => sensible(timeOf(text, now))),
    word = key => value(key, text => /^\w{1,100}$/.test(text));
  const base = p.get('base'),
    baseMatch = p.has('base_match') ? parseMatch(p.get('base_match')) : null,
    view = word('view'),
    against = view === 'diff' && !baseMatch ? 'before' : DEFAULTS.base; // not with itself
  const [from, to] = [time('from'), time('to')],
    ordered = timeOf(from, now) < timeOf(to, now);
  return {
    from: ordered ? from : DEFAULTS.from,
    to: ordered ? to : DEFAULTS.to,
    sel: range(p.get('sel')),
    base: base === 'before' || base === 'yesterday' ? base : (range(base) ?? against),
    match: parseMatch(p.get('match') ?? '') ?? [],
    baseMatch,
    kind: word('kind'),
    group: word('group'),
    split: value('split', text => SPLITS.includes(text)),
    view,
    utc: p.has('utc'),
    live: p.has('live'),
  };
}

export function writeState(s, p = new URLSearchParams()) {
  const text = v => (Array.isArray(v) ? v.join('-') : String(v));
  for (const key of ['from', 'to', 'sel', 'base', 'kind', 'group', 'split', 'view'])
    if (s[key] !== null && text(s[key]) !== text(DEFAULTS[key] ?? '')) p.set(key, text(s[key]));
  if (s.match.length) p.set('match', formatMatch(s.match));
  if (s.baseMatch) p.set('base_match', formatMatch(s.baseMatch));
  if (s.utc) p.set('utc', '1');
  if (s.live) p.set('live', '1');
  return p;
}

// The ranges in ms at a moment: of the time line, of the graph, of the baseline.
export function rangesOf(s, now) {
  const line = [timeOf(s.from, now), timeOf(s.to, now)],
    graph = s.sel ?? line,
    back = by => graph.map(t => Math.max(t - by, 0));
  const base =
    s.base === 'before'
      ? back(graph[1] - graph[0])
      : s.base === 'yesterday'
        ? back(86400000)
        : (s.base ?? graph);
  return {line, graph, base};
}

// How much of a range was recorded: what a series answer says of its beginning and its gaps.
export function recorded([from, to], {since_ms: since, gaps = []}) {
  const start = Math.max(from, since || 0),
    missing = ([a, b]) => Math.max(0, Math.min(b, to) - Math.max(a, start));
  return gaps.reduce((ms, gap) => ms - missing(gap), Math.max(to - start, 0));
}

export const iso = ms => new Date(ms).toISOString();

// ---- times as people read them ----
const two = n => String(n).padStart(2, '0');

// 2026-11-21, 23:05:09; in local time or UTC.
export function clock(ms, utc) {
  const d = new Date(utc ? ms : ms - new Date(ms).getTimezoneOffset() * 60000);
  return {
    day: `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`,
    time: `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`,
    minute: `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`,
  };
}

export function rangeText([from, to], utc, now) {
  const a = clock(from, utc),
    b = clock(to, utc),
    today = clock(now, utc).day;
  return (
    (a.day === today ? '' : `${a.day} `) +
    `${a.time} – ${b.day === a.day ? '' : `${b.day} `}${b.time}`
  );
}

// 3 min 30 s, 2.5 s, 160 ms
export function lengthText(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${+(ms / 1000).toFixed(1)} s`;
  const parts = [];
  let left = Math.round(ms / 1000);
  for (const [unit, size] of [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ]) {
    if (left >= size && parts.length < 2) parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return parts.join(' ');
}

const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200]
  .concat([86400, 172800, 604800])
  .map(s => s * 1000);

// Round times between from and to, at most one in `apart` pixels.
export function ticks(from, to, width, utc, apart = 90) {
  const step = TICKS.find(s => (s / (to - from)) * width >= apart) ?? TICKS.at(-1),
    zone = utc ? 0 : new Date(from).getTimezoneOffset() * 60000,
    list = [];
  for (let t = Math.ceil((from - zone) / step) * step + zone; t <= to; t += step) {
    const {day, time, minute} = clock(t, utc);
    list.push({
      ms: t,
      text: minute === '00:00' ? day.slice(5) : step < 60000 ? time : minute,
    });
  }
  return list;
}
