// SPDX-License-Identifier: Apache-2.0
// Numbers and names as people read them.

const SCALES = {
  nanoseconds: {base: 1000, names: ['ns', 'µs', 'ms', 's']},
  bytes: {base: 1024, names: ['B', 'KiB', 'MiB', 'GiB', 'TiB']},
};

// 12,480
export function formatCount(n) {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',');
}

// Three digits that count (1.23, 12.3, 123), then whole thousands.
function threeDigits(v) {
  return v >= 999.5 ? formatCount(v) : v.toFixed(v < 9.995 ? 2 : v < 99.95 ? 1 : 0);
}

// 96.2 s, 3.10 MiB, 12,480
export function formatValue(v, unit) {
  const scale = SCALES[unit];
  if (!scale) return formatCount(v);
  let i = 0;
  while (v >= scale.base * 0.9995 && i + 1 < scale.names.length) {
    v /= scale.base;
    i++;
  }
  return `${i ? threeDigits(v) : Math.round(v)} ${scale.names[i]}`;
}

// 14.3 %; small but not nothing is < 0.1 %
export function formatShare(part, whole) {
  const p = whole > 0 ? (100 * part) / whole : 0;
  return p > 0 && p < 0.1 ? '< 0.1 %' : `${p.toFixed(1)} %`;
}

// What became of it: +12 %, −3.4 %, new, gone, ±0
export function formatChange(now, base) {
  if (!(base > 0)) return now > 0 ? 'new' : '';
  if (!(now > 0)) return 'gone';
  const p = (100 * (now - base)) / base,
    size = Math.abs(p);
  if (size < 0.05) return '±0';
  return `${p > 0 ? '+' : '−'}${size < 9.95 ? size.toFixed(1) : formatCount(size)} %`;
}

// Where a frame's code is, in few words: its object, else its file with one folder. The kernel
// itself goes without saying: it has its colour.
export function placeOf(frames, frame) {
  const module = frames.module[frame];
  if (module) return module.startsWith('[kernel') ? '' : module;
  return frames.file[frame].replace(/^.*\/(?=[^/]*\/[^/]*$)/, '');
}

// What matters of a name in a narrow box: no arguments, no template arguments, no return type.
// `std::vector<int>::push_back(int&&)` is std::vector::push_back, `operator()` and `<module>` stay.
export function shortName(name) {
  if (name.length > 4096 || !/[<(]/.test(name)) return name;
  let out = '',
    depth = 0,
    args = false;
  for (let i = 0; i < name.length; i++) {
    const c = name[i];
    if (depth === 0 && c === '(' && out && !name.startsWith('(anonymous', i)) {
      if (/operator$/.test(out) && name[i + 1] === ')') {
        out += '()';
        i++;
        continue;
      }
      if (/[\w>\]}~=+\-*/%^&|!]$|operator\S+$/.test(out)) {
        const end = matching(name, i);
        if (end < 0) return name;
        args = true;
        i = end;
        continue;
      }
    }
    if (c === '<' && /\w$/.test(out) && !/operator$/.test(out)) {
      const end = matching(name, i);
      if (end < 0) return name;
      i = end;
      continue;
    }
    depth += '({['.includes(c) ? 1 : ')}]'.includes(c) ? -1 : 0;
    out += c;
  }
  if (args) out = withoutType(out.replace(/ (const|volatile|&|&&|noexcept)+$/, ''));
  return out || name;
}

// The index of the bracket that closes the one at `from`, or -1. `->` and `operator>` close
// nothing.
function matching(s, from) {
  let depth = 0;
  for (let i = from; i < s.length; i++) {
    const c = s[i];
    if (c === '(' || (c === '<' && !/operator<?$/.test(s.slice(Math.max(0, i - 9), i)))) depth++;
    else if ((c === ')' || (c === '>' && s[i - 1] !== '-')) && --depth === 0) return i;
  }
  return -1;
}

// `void f` is f; but not the words of `operator new`, `non-virtual thunk to f`, `(anonymous
// namespace)`.
function withoutType(s) {
  const at = s.search(/operator\b/),
    head = at < 0 ? s : s.slice(0, at);
  if (/ (to|for) /.test(head) || /[({]/.test(head)) return s;
  return s.slice(head.lastIndexOf(' ') + 1);
}
