// SPDX-License-Identifier: Apache-2.0
// The agent's page by keyboard and by eye: every pane is reached, the focus is seen and stays, dialogs
// close, text has contrast.

import assert from 'node:assert/strict';
import {idle, last, page, state} from './agent_page.mjs';

page('the time line by keyboard: a step, a stretch, a baseline', async (p, agent) => {
  const canvas = p.locator('.line-canvas');
  const press = async (...keys) => {
    for (const key of keys) await p.keyboard.press(key);
  };
  await p.locator('button.legend-item').last().focus();
  await p.keyboard.press('Tab');
  await p.waitForSelector('.line-canvas[role=slider]');
  const shown = () =>
    p.evaluate(() => {
      const {from_ms, step_ms, steps} = window.bianque.line.doc;
      return {from_ms, step_ms, steps};
    });
  let doc = await shown();
  await press('Home', 'ArrowRight', 'ArrowRight', 'Shift+ArrowRight');
  assert.match(await canvas.getAttribute('aria-valuetext'), /cores$/);
  assert.equal(await canvas.getAttribute('aria-valuenow'), '3');
  await p.keyboard.press('Enter');
  await idle(p);
  const from = doc.from_ms + 2 * doc.step_ms;
  assert.deepEqual((await state(p)).sel, [from, from + 2 * doc.step_ms]);
  doc = await shown();
  await press('End', 'ArrowRight', 'b');
  await idle(p);
  const {base} = await state(p);
  assert.equal(base[0], doc.from_ms + (doc.steps - 1) * doc.step_ms, 'the last step');
  assert.ok(base[1] > base[0] && base[1] <= base[0] + doc.step_ms, 'which the end may cut');
  assert.ok(last(agent, 'profile').get('base_from'));
});

page(
  'heat map by keyboard; a legend, times below',
  async p => {
    assert.match(await p.locator('.heat-legend').innerText(), /^1\s*2\s*3\s*4\s*samples$/);
    const canvas = p.locator('.heat-box canvas');
    await canvas.focus();
    for (const key of ['Home', 'ArrowRight', 'ArrowDown', 'Shift+ArrowDown'])
      await p.keyboard.press(key);
    assert.match(await p.locator('.heat-said').innerText(), /:\d\d\.020, 40 ms/);
    await p.keyboard.press('Enter');
    await idle(p);
    const {sel} = await state(p);
    assert.deepEqual([sel[0] % 1000, sel[1] - sel[0]], [20, 40]);
    assert.equal(await p.evaluate(() => window.bianque.pane), 'both');
  },
  {hash: '#view=heat'},
);

// Every element that Tab reaches, from the first to the last: [what it is, whether its focus shows].
async function walk(p) {
  const seen = [];
  await p.evaluate(() => document.activeElement.blur());
  for (let i = 0; i < 120; i++) {
    await p.keyboard.press('Tab');
    const at = await p.evaluate(() => {
      const e = document.activeElement,
        {outlineStyle, outlineWidth} = getComputedStyle(e),
        name = e.getAttribute('aria-label') || e.textContent.trim() || e.title;
      if (e === document.body || e.dataset.walked) return null;
      e.dataset.walked = 'yes';
      return [name, outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1];
    });
    if (!at) break;
    seen.push(at);
  }
  return seen;
}

page('everything by keyboard: each pane is reached, the focus is seen, Escape closes', async p => {
  const first = await walk(p),
    names = first.map(([name]) => name);
  for (const name of [
    ...['Time range', '+ filter', 'Kind', 'Download', 'Processes', 'Reset'],
    ...['Search functions, files, modules', 'keys', 'function', 'lex'],
  ])
    assert.ok(names.includes(name), `${name} in ${names}`);
  assert.ok(names.some(name => /^Time line(\.|$)/.test(name)));
  assert.ok(names.some(name => /^Flame graph/.test(name)));
  assert.ok(names.some(name => /without symbols/.test(name)));
  assert.deepEqual(
    first.filter(([, seen]) => !seen),
    [],
  );
  for (const [pane, inside] of [
    ['Table', /^lex$/],
    ['Sandwich', /^Flame graph/],
    ['Diff', /^Baseline$/],
    ['Heat map', /^Heat map\./],
    ['Processes', /^nginx$/],
  ]) {
    await p.locator('.bar button', {hasText: pane}).first().focus();
    await p.keyboard.press('Enter');
    await idle(p);
    await p.evaluate(() => document.querySelectorAll('*').forEach(e => delete e.dataset.walked));
    const there = await walk(p);
    assert.ok(
      there.some(([name]) => inside.test(name)),
      `${pane}: ${there.map(([name]) => name)}`,
    );
    assert.deepEqual(
      there.filter(([, seen]) => !seen),
      [],
      pane,
    );
  }
  for (const [button, dialog] of [
    ['+ filter', '.dialog'],
    ['?', '.help'],
    ['no hardware counter', '.dialog'],
  ]) {
    await p.locator('button', {hasText: button}).last().focus();
    await p.keyboard.press('Enter');
    await p.waitForSelector(`${dialog}[open]`);
    await p.keyboard.press('Escape');
    assert.equal(await p.locator('dialog[open]').count(), 0, button);
  }
  await p.locator('.bar button', {hasText: 'Flame'}).press('Enter');
  await idle(p);
  await p.locator('.scroll').first().focus();
  await p.keyboard.press('ArrowDown');
  await p.keyboard.press('ContextMenu');
  await p.waitForSelector('.menu:not([hidden])');
  await p.keyboard.press('ArrowDown');
  const style = await p.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(style, 'none');
  await p.keyboard.press('Escape');
  assert.equal(await p.locator('.menu:not([hidden])').count(), 0);
});

page('the focus stays where it is when something new is shown', async p => {
  const focused = () => p.evaluate(() => document.activeElement.textContent);
  for (const selector of ['#status button', 'button.legend-item']) {
    await p.locator(selector).last().focus();
    const text = await focused();
    await p.evaluate(() => window.bianque.load());
    await idle(p);
    assert.equal(await focused(), text, selector);
  }
  await p.evaluate(() => window.bianque.flame.enter(4));
  await idle(p);
  await p.locator('.crumbs button').last().focus();
  await p.keyboard.press('Enter');
  await idle(p);
  assert.equal(await focused(), 'all', 'out of the zoom, to the last crumb there is');
  await p.evaluate(() => window.bianque.show('processes'));
  await idle(p);
  await p.locator('.list th button', {hasText: 'name'}).focus();
  await p.keyboard.press('Enter');
  assert.equal(await focused(), 'name');
  assert.match(await p.locator('.list tbody tr').first().innerText(), /a gone/, 'sorted');
});

// Text that is seen, against what is behind it: those below 4.5 : 1, by the text.
const faint = p =>
  p.evaluate(async () => {
    const {contrast, mix} = await import('./web/theme.js'),
      parse = colour => colour.match(/[\d.]+/g).map(Number),
      hex = rgb => `#${rgb.map(v => Math.round(v).toString(16).padStart(2, '0')).join('')}`,
      bad = [],
      words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    // What is behind an element: colours from the page up, laid over one another.
    const behind = element => {
      const under = element.parentElement ? behind(element.parentElement) : '#ffffff',
        [r, g, b, a = 1] = parse(getComputedStyle(element).backgroundColor);
      return mix(under, hex([r, g, b]), a);
    };
    let n = 0;
    while (words.nextNode()) {
      const {parentElement: e, data} = words.currentNode;
      if (!data.trim() || !e.checkVisibility() || e.closest('.unseen, option, noscript')) continue;
      const [r, g, b, a = 1] = parse(getComputedStyle(e).color),
        ground = behind(e),
        ratio = contrast(mix(ground, hex([r, g, b]), a), ground);
      n++;
      if (ratio < 4.5) bad.push(`${data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return n > 30 ? bad : [`only ${n} texts`];
  });
for (const colorScheme of ['light', 'dark'])
  page(
    `every text has contrast 4.5, ${colorScheme}`,
    async p => {
      for (const pane of ['both', 'sandwich', 'diff', 'heat', 'processes']) {
        await p.evaluate(which => window.bianque.show(which), pane);
        await idle(p);
        await p.waitForTimeout(400); // colours that change slowly
        assert.deepEqual(await faint(p), [], pane);
      }
      await p.locator('#status button').first().click();
      assert.deepEqual(await faint(p), []);
      await p.evaluate(() => document.documentElement.style.setProperty('--quiet', '#808080'));
      await p.waitForTimeout(400);
      assert.notDeepEqual(await faint(p), [], 'what is measured is what is drawn');
    },
    {
      context: {colorScheme},
      agent: () => ({lost: 5, store: {enabled: false, ok: false, reason: 'x'}, gaps: [[1, 2]]}),
    },
  );
