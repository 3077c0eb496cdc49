// SPDX-License-Identifier: Apache-2.0
// Elements without markup: text is always a text node, so no name of a program can become HTML.

// h('button', {class: 'x', onclick: f}, 'text', child)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value);
  }
  element.append(...children.filter(c => c !== null && c !== undefined && c !== false));
  return element;
}

// Other children; the focus stays on the button that stands where the focused one stood, or last.
export function refill(element, ...children) {
  const buttons = () => [...element.querySelectorAll('button')],
    at = buttons().indexOf(document.activeElement);
  element.replaceChildren(...children);
  if (at >= 0) (buttons()[at] ?? buttons().at(-1))?.focus({preventScroll: true});
}

// A canvas as large as asked for, sharp on any screen; its context, in CSS pixels.
export function sizeCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * ratio)),
    px = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== px) {
    canvas.width = w;
    canvas.height = px;
  }
  const context = canvas.getContext('2d');
  context.setTransform(w / Math.max(width, 1), 0, 0, px / Math.max(height, 1), 0, 0);
  return context;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // not allowed here: the old way
    const area = h('textarea', {class: 'unseen'});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

export function typing(event) {
  return /^(input|textarea|select)$/i.test(event.target.tagName ?? '');
}

export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// A phone held upright: less stands beside a name. The width is flame.css's.
export function narrow() {
  return matchMedia('(max-width: 480px)').matches;
}
