// SPDX-License-Identifier: Apache-2.0
// What tests of the agent's page share: page() opens it in Chromium over agent_stub.mjs and runs a test's
// steps, after which there is no console error, no violation of the policy and no request to anywhere
// else. Screenshots stay in the build folder.

import assert from 'node:assert/strict';
import {existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {startAgent, tableOf} from './agent_stub.mjs';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
const SHOTS = join(process.env.NODE_TOOLS, 'screenshots');
const require = createRequire(join(process.env.NODE_TOOLS, 'node_modules', 'x.js'));
let playwright;
try {
  playwright = require('playwright-core');
} catch {
  /* said below */
}
export const missing = !playwright
  ? 'playwright-core is not installed (npm)'
  : !CHROMIUM
    ? 'no chromium'
    : false;

const FOLDED = `worker;_start;main;serve;parse [libjson.so];lex 30
worker;_start;main;serve;parse [libjson.so];scan_[i] 10
worker;_start;main;serve;handle [app/h.py:12];query [app/db.py:7];sys_read_[k] 25
worker;_start;main;serve;handle [app/h.py:12];render [app/h.py:90] 15
worker;_start;main;walk;walk;walk;visit 12
nginx (7);_start;main;parse [libjson.so] 8
`;

export let browser, folder, small;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bianque-agent-page-'));
  mkdirSync(SHOTS, {recursive: true});
  writeFileSync(join(folder, 'folded'), FOLDED);
  small = tableOf(join(folder, 'folded'));
  if (!missing)
    browser = await playwright.chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--enable-unsafe-swiftshader'],
    });
});
after(async () => {
  await browser?.close();
  rmSync(folder, {recursive: true, force: true});
});

// The page over an agent. expected: console errors that belong to the test.
export function page(
  name,
  steps,
  {agent: fields = () => ({}), hash = '', context = {}, expected = null} = {},
) {
  test(name, {skip: missing, timeout: 120000}, async t => {
    const agent = await startAgent({table: small, ...fields()}),
      where = await browser.newContext({viewport: {width: 1440, height: 900}, ...context}),
      p = await where.newPage(),
      bad = [];
    p.on('console', m => {
      if (['error', 'warning'].includes(m.type()) && !expected?.test(m.text())) bad.push(m.text());
    });
    p.on('pageerror', error => bad.push(error.message));
    p.on(
      'request',
      r =>
        r.url().startsWith(agent.url) ||
        r.url().startsWith('data:') ||
        r.url().startsWith('blob:') ||
        bad.push(`asks ${r.url()}`),
    );
    await p.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', event =>
        window.violations.push(event.violatedDirective),
      );
    });
    try {
      await p.goto(agent.url + hash);
      await idle(p);
      await steps(p, agent, t);
      assert.deepEqual(await p.evaluate(() => window.violations), []);
      assert.deepEqual(bad, []);
    } finally {
      await where.close();
      agent.stop();
    }
  });
}

export const idle = p =>
  p.waitForFunction(() => {
    const page = window.bianque;
    return page?.busy.hidden && !page.flame.run && !page.flame.waiting && !page.line.waiting;
  });
export const last = (agent, name) => agent.asked.filter(a => a.name === name).at(-1)?.query;
export const shot = (p, name) => p.screenshot({path: join(SHOTS, `${name}.png`)});

// Drag on a canvas between two parts of its width.
export async function drag(p, selector, from, to, y = 0.5) {
  const box = await p.locator(selector).boundingBox(),
    at = part => box.x + part * box.width;
  await p.mouse.move(at(from), box.y + y * box.height);
  await p.mouse.down();
  await p.mouse.move(at(to), box.y + y * box.height, {steps: 4});
  await p.mouse.up();
  await idle(p);
}
export const state = p => p.evaluate(() => window.bianque.state);
export const hashOf = p => p.evaluate(() => location.hash);
