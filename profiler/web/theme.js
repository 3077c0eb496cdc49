// SPDX-License-Identifier: Apache-2.0
// Colours. A kind of frame is a hue, a module a step of lightness within it, so that a library
// keeps its shade from one look to the next. Hues after Okabe and Ito (safe for colour-blind eyes);
// every text on every fill has a contrast of at least 4.5 : 1, which a test measures. What is drawn
// on a canvas stands here, all else in flame.css; profiler/export/svg.c has the same fills.

export const KINDS = {
  light: {
    native: ['#b5e2fd', '#a2dbfd', '#8fd5fd', '#83cdf7'],
    kernel: ['#ffca9c', '#fdbf89', '#f5b781', '#ecaf79'],
    jit: ['#d3d3fe', '#cacafc', '#c1c0fd', '#b9b8f5'],
    python: ['#eeea8d', '#e6e185', '#ded97d', '#d6d175'],
    java: ['#fec7e0', '#ffb9d9', '#f7b1d1', '#eea9c9'],
    gpu: ['#9fefc9', '#97e7c1', '#8fdeb9', '#87d6b1'],
    mark: ['#d7dbe0', '#cfd3d8', '#c7cbd0', '#bfc3c8'],
    group: ['#d7dfe7', '#cfd7df', '#c7cfd7', '#bfc7cf'],
  },
  dark: {
    native: ['#275872', '#20516b', '#184a64', '#0e425c'],
    kernel: ['#6c4723', '#65401d', '#5e3915', '#56320c'],
    jit: ['#4d4c71', '#47466a', '#403f63', '#39375b'],
    python: ['#5b5818', '#555110', '#4e4a04', '#464200'],
    java: ['#6c4256', '#653c50', '#5e3549', '#562e41'],
    gpu: ['#295e47', '#225741', '#1a503a', '#104833'],
    mark: ['#505255', '#494c4e', '#424547', '#3b3d40'],
    group: ['#4f5459', '#484d52', '#42464b', '#3a3f43'],
  },
};

// text on fills, dim: the module behind a name; match: frames that were searched for; hover,
// select: outlines, against both the page and the fills.
export const THEMES = {
  light: {
    page: '#fbfbfa',
    text: '#1b1f24',
    dim: '#3f464e',
    match: '#8a1c5c',
    matchText: '#ffffff',
    hover: '#1b1f24',
    select: '#0b57d0',
    window: '#0b57d0',
  },
  dark: {
    page: '#15181b',
    text: '#eef0f2',
    dim: '#c6cbd1',
    match: '#ffb3dd',
    matchText: '#1b1f24',
    hover: '#ffffff',
    select: '#8ab8ff',
    window: '#8ab8ff',
  },
};

// A diff: gone, then from much less (blue) over no change to much more (vermilion).
export const DIFF = {
  light: ['#fbfbfa', '#7db8f2', '#a5cdf5', '#c9e0f7', '#dfe2e5', '#f9d9c6', '#f7bd9b', '#f3a077'],
  dark: ['#15181b', '#184f88', '#204a76', '#263c54', '#343a40', '#53392c', '#6f3d24', '#7f3a15'],
};
// Series of a time line, the last is `other`: shapes of 3 : 1 against the page.
export const SERIES = {
  light: [
    '#3f83d6',
    '#c96f1a',
    '#2a9d72',
    '#b0629a',
    '#8a8270',
    '#3b8ea6',
    '#987e1f',
    '#7a6fd0',
    '#9aa1a9',
  ],
  dark: [
    '#4f93e6',
    '#c9823f',
    '#3fa67e',
    '#b8709f',
    '#8f8875',
    '#4f9db3',
    '#a89140',
    '#877ddb',
    '#656c74',
  ],
};

// FNV-1a, as profiler/export/svg.c.
export function hashOf(text) {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export const stepOf = text => hashOf(text) % 4;

function rgb(hex) {
  return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
}

// a with the share `amount` of b mixed in.
export function mix(a, b, amount) {
  const x = rgb(a),
    y = rgb(b);
  return (
    '#' +
    x
      .map((v, i) =>
        Math.round(v + (y[i] - v) * amount)
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')
  );
}

// WCAG 2 contrast ratio.
export function contrast(a, b) {
  const [hi, lo] = [a, b]
    .map(hex => {
      const [r, g, bl] = rgb(hex)
        .map(v => v / 255)
        .map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
    })
    .sort((x, y) => y - x);
  return (hi + 0.05) / (lo + 0.05);
}

// Everything the renderer asks for; by frame: fill, faded fill (what does not match a search), and
// the bar that marks an inlined one.
export function makeTheme(name, frames) {
  const base = THEMES[name],
    fills = KINDS[name],
    seen = new Map();
  const fill = new Array(frames.n),
    faded = new Array(frames.n),
    bar = new Array(frames.n);
  for (let i = 0; i < frames.n; i++) {
    const where = frames.module[i] || frames.file[i];
    let step = seen.get(where);
    if (step === undefined) seen.set(where, (step = stepOf(where)));
    fill[i] = (fills[frames.kinds[frames.kind[i]]] ?? fills.native)[step];
    faded[i] = mix(fill[i], base.page, FADE);
    bar[i] = mix(fill[i], base.text, 0.5);
  }
  return {name, ...base, fill, faded, bar, diff: DIFF[name]};
}

export const FADE = 0.55;
