// SPDX-License-Identifier: Apache-2.0
// The one-file page in a real browser: Debian's Chromium, driven by playwright-core. No test leaves
// a console error, a violation of the content security policy or a request to anywhere.

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {extname, join} from 'node:path';
import {after, before, test} from 'node:test';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
const require = createRequire(join(process.env.NODE_TOOLS, 'node_modules', 'x.js'));
const WEB = new URL('../../profiler/web/', import.meta.url).pathname;
let playwright;
try {
  playwright = require('playwright-core');
} catch {
  /* said below */
}
const missing = !playwright
  ? 'playwright-core is not installed (npm)'
  : !CHROMIUM
    ? 'no chromium'
    : false;

let browser, folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bianque-web-'));
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

const FOLDED = `worker;_start;main;serve;parse [libjson.so];lex 30
worker;_start;main;serve;parse [libjson.so];scan_[i] 10
worker;_start;main;serve;handle [app/h.py:12];query [app/db.py:7];sys_read_[k] 25
worker;_start;main;serve;handle [app/h.py:12];render [app/h.py:90] 15
worker;_start;main;walk;walk;walk;visit 12
helper;_start;main;parse [libjson.so] 8
`;

function export_(input, name, ...options) {
  const path = join(folder, name);
  if (!input.startsWith('@')) {
    writeFileSync(`${path}.in`, input);
    input = `${path}.in`;
  }
  execFileSync(process.env.EXPORT_PROFILE, [
    '-t',
    'A title',
    '-h',
    'box-1',
    ...options,
    '-o',
    path,
    input,
  ]);
  return path;
}

// Opens a page, runs the steps, and looks for what must never be.
async function open(url, steps, context = {}) {
  const where = await browser.newContext({viewport: {width: 1280, height: 800}, ...context});
  const page = await where.newPage(),
    bad = [],
    asked = [];
  page.on(
    'console',
    m =>
      ['error', 'warning'].includes(m.type()) &&
      !/willReadFrequently/.test(m.text()) &&
      bad.push(m.text()),
  ); // but for what only these tests do: read pixels
  page.on('pageerror', error => bad.push(error.message));
  page.on('dialog', dialog => bad.push(`dialog ${dialog.message()}`) && dialog.dismiss());
  page.on('request', request => asked.push(request.url()));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', event =>
      window.violations.push(event.violatedDirective),
    );
  });
  await page.goto(url);
  await page.waitForFunction(
    () => window.bianque || !document.getElementById('view') || document.querySelector('.broken'),
  );
  try {
    await steps(page);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    assert.deepEqual(bad, []);
    assert.deepEqual(
      asked.filter(
        u =>
          new URL(u).origin !== new URL(url).origin ||
          (url.startsWith('file:') && u.split('#')[0] !== url.split('#')[0]),
      ),
      [],
    );
  } finally {
    await where.close();
  }
}

const page = (name, input, steps, context) =>
  test(name, {skip: missing, timeout: 120000}, async t => {
    const path = export_(input, `${name.replace(/\W/g, '-')}.html`);
    await open(`file://${path}`, p => steps(p, path, t), context);
  });

// After an animation and the picture that follows.
const settled = p =>
  p.waitForFunction(() => !window.bianque.flame.run && !window.bianque.flame.waiting);

// After the last key in the search box has been searched for.
const searched = p =>
  p.waitForFunction(
    () => window.bianque.flame.asked.query === document.querySelector('input').value,
  );

// The middle of a frame by name (the nth of them), in the window.
const spot = (p, name, nth = 0) =>
  p.evaluate(
    ([name, nth]) => {
      const {flame} = window.bianque,
        l = flame.layout,
        box = flame.stage.getBoundingClientRect(),
        {view} = flame;
      const found = Array.from(l.rows).filter(
        i => flame.tree.frames.name[flame.tree.frame[i]] === name,
      )[nth];
      const scale = view.width / (view.x1 - view.x0),
        row = view.flip ? l.nRows - 1 - l.depth[found] : l.depth[found];
      const left = Math.max(0, (l.x0[found] - view.x0) * scale);
      const right = Math.min(view.width, (l.x0[found] + l.tree.total[found] - view.x0) * scale);
      return {
        x: box.left + (left + right) / 2,
        y: box.top + (row + 0.5) * view.rowHeight - view.top,
      };
    },
    [name, nth],
  );
const hover = async (p, name, nth) => {
  const {x, y} = await spot(p, name, nth);
  await p.mouse.move(x, y);
};
const click = async (p, name, nth, options) => {
  const {x, y} = await spot(p, name, nth);
  await p.mouse.click(x, y, options);
  await settled(p);
};
const zoomed = p =>
  p.evaluate(() => {
    const {flame} = window.bianque;
    return flame.tree.frames.name[flame.tree.frame[flame.zoom]];
  });
const crumbs = p => p.locator('.crumbs button').allTextContents();

page('says what it shows', FOLDED, async p => {
  assert.equal(await p.title(), 'A title · box-1');
  assert.match(
    await p.locator('.head').innerText(),
    /A title\s+box-1\s+2026-09-21 14:13:20 - 14:13:30 UTC, 10s/,
  );
  const foot = await p.locator('.foot').innerText();
  for (const part of [
    '100 samples',
    '1.01 s cpu',
    '0.10 cores',
    '100.0 % whole stacks',
    '0 lost',
    'kernel 25.0 %',
  ])
    assert.ok(foot.includes(part), `${part} in ${foot}`);
  const drawn = await p.evaluate(() => {
    const canvas = document.querySelector('.picture'),
      c = canvas.getContext('2d');
    const data = c.getImageData(0, 0, canvas.width, canvas.height).data,
      colours = new Set();
    for (let i = 0; i < data.length; i += 4)
      colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return colours.size;
  });
  assert.ok(drawn > 20, `${drawn} colours`);
});

page('zooms and comes back', FOLDED, async p => {
  await click(p, 'serve');
  assert.equal(await zoomed(p), 'serve');
  assert.deepEqual(await crumbs(p), ['all', 'worker', '_start', 'main', 'serve']);
  assert.match(await p.locator('.zoomed').innerText(), /808 ms, 80\.0 %/);
  await click(p, 'handle');
  assert.equal(await zoomed(p), 'handle');
  await p.keyboard.press('Backspace');
  await settled(p);
  assert.equal(await zoomed(p), 'serve');
  await p.locator('.crumbs button', {hasText: 'worker'}).click();
  await settled(p);
  assert.equal(await zoomed(p), 'worker');
  await p.locator('.overview').click({position: {x: 5, y: 5}});
  await p.keyboard.press('r');
  assert.equal(await zoomed(p), 'all');
  const range = await p.evaluate(() => [
    window.bianque.flame.view.x0,
    window.bianque.flame.view.x1,
  ]);
  assert.equal(range[0], 0);
});

page('wheel and drag', FOLDED, async p => {
  const {x, y} = await spot(p, 'main', 1),
    width = () =>
      p.evaluate(() => {
        const {view} = window.bianque.flame;
        return view.x1 - view.x0;
      });
  const all = await width();
  await p.mouse.move(x, y);
  await p.keyboard.down('Control');
  await p.mouse.wheel(0, -240);
  await p.keyboard.up('Control');
  await settled(p);
  assert.ok((await width()) < all * 0.95);
  const start = await p.evaluate(() => window.bianque.flame.view.x0);
  await p.mouse.down();
  await p.mouse.move(x - 150, y, {steps: 5});
  await p.mouse.up();
  const end = await p.evaluate(() => window.bianque.flame.view.x0);
  assert.ok(end > start, 'dragging pans, and is no click');
  await p.keyboard.press('-');
  await p.keyboard.press('-');
  await p.keyboard.press('-');
  assert.ok(Math.abs((await width()) - all) < all * 1e-6);
});

page('tool tip and all occurrences', FOLDED, async p => {
  const marked = () =>
    p.evaluate(() => {
      const canvas = document.querySelector('.marks'),
        c = canvas.getContext('2d');
      return c
        .getImageData(0, 0, canvas.width, canvas.height)
        .data.filter((v, i) => i % 4 === 3 && v).length;
    });
  await hover(p, 'query');
  const tip = await p.locator('.tip').innerText();
  assert.match(tip, /^query\napp\/db\.py:7 · python/);
  assert.match(
    tip.replace(/\s+/g, ' '),
    /cpu 0 ns 253 ms of all 0\.0 % 25\.0 % of parent – 62\.5 %/,
  );
  const one = await marked();
  await hover(p, 'parse', 1); // the larger one
  assert.match(
    (await p.locator('.tip').innerText()).replace(/\s+/g, ' '),
    /in 2 places 8\.0 % 48\.0 %/,
  );
  assert.ok((await marked()) > one * 1.2);
  await hover(p, 'scan');
  assert.match(await p.locator('.tip').innerText(), /scan \[inlined into parse\]/);
  await p.mouse.move(5, 5);
  assert.ok(await p.locator('.tip').isHidden());
  assert.equal(await marked(), 0);
});

page('search', FOLDED, async p => {
  await p.keyboard.press('/');
  await p.keyboard.type('parse');
  await searched(p);
  assert.equal(await p.locator('.count').innerText(), '2 matches, 48.0 %');
  await p.keyboard.press('Enter');
  await settled(p);
  assert.equal(await p.locator('.count').innerText(), '1 / 2, 1 in view, 100.0 %');
  assert.equal(await zoomed(p), 'parse');
  await p.keyboard.press('Escape');
  assert.ok(await p.locator('.found').isHidden());
  await p.keyboard.press('/');
  await p.keyboard.type('/^(lex|visit)$/');
  await p.keyboard.press('Enter');
  await p.locator('.scroll').press('n');
  await p.locator('text=Only matches').click();
  assert.deepEqual(await p.locator('.pill').allTextContents(), ['only matches ✕']);
  assert.match(await p.locator('.count').innerText(), /^1 of 2 in view, 100\.0 %$/);
  const total = await p.evaluate(() => window.bianque.flame.tree.total[0] / 1e9);
  assert.ok(Math.abs(total - 0.4242) < 0.001);
  await p.locator('input[type=search]').fill('/(/');
  await p.waitForFunction(
    () => document.querySelector('.count').textContent === 'not an expression',
  );
  await p.locator('input[type=search]').fill('no such thing');
  await p.waitForFunction(() => document.querySelector('.count').textContent === 'no match');
});

page('zoomed in, only matches in view count', FOLDED, async p => {
  const count = () => p.locator('.count').innerText();
  await p.keyboard.press('/');
  await p.keyboard.type('/^(parse|visit)$/');
  await searched(p);
  assert.equal(await count(), '3 matches, 60.0 %');
  await p.locator('.scroll').focus();
  await click(p, 'serve'); // 80 of 100, its parse 40
  assert.equal(await count(), '1 of 3 in view, 50.0 %');
  await click(p, 'handle');
  assert.equal(await count(), '0 of 3 in view, 0.0 %');
  await p.keyboard.press('Backspace');
  await settled(p);
  await p.keyboard.press('Backspace');
  await settled(p);
  assert.equal(await count(), '3 matches, 60.0 %');
  await p.keyboard.press('+'); // the middle 70 %
  assert.match(await count(), /^[123] of 3 in view, /);
});

page('keyboard and screen readers', FOLDED, async p => {
  const path = () => p.locator('[role=treeitem]').allTextContents();
  await p.locator('.scroll').focus();
  await p.keyboard.press('ArrowDown'); // selects where we are
  for (let i = 0; i < 4; i++) await p.keyboard.press('ArrowDown');
  assert.deepEqual(
    (await path()).map(s => s.split(',')[0]),
    ['all', 'worker', '_start', 'main', 'serve'],
  );
  assert.match(
    await p.locator('[aria-live=polite].unseen').innerText(),
    /^serve, 808 ms, 80\.0 % of all, self 0 ns$/,
  );
  assert.equal(
    await p.locator('[role=treeitem][aria-selected=true]').getAttribute('aria-level'),
    '5',
  );
  await p.keyboard.press('ArrowRight');
  assert.match((await path()).at(-1), /^walk,/);
  await p.keyboard.press('Enter');
  await settled(p);
  assert.equal(await zoomed(p), 'walk');
  await p.keyboard.press('c');
  const tree = await p.evaluate(() => Math.max(...window.bianque.flame.tree.collapsed));
  assert.equal(tree, 2);
  await p.keyboard.press('i');
  assert.ok(await p.evaluate(() => window.bianque.flame.view.flip));
  await p.keyboard.press('?');
  assert.ok(await p.locator('dialog').isVisible());
  await p.locator('dialog button').click();
  const unnamed = await p.evaluate(
    () =>
      [...document.querySelectorAll('button, input, canvas:not([aria-hidden])')].filter(
        e =>
          e.tagName !== 'CANVAS' &&
          !(e.getAttribute('aria-label') || e.textContent.trim() || e.title),
      ).length,
  );
  assert.equal(unnamed, 0);
  await p.locator('.segments button').first().focus();
  assert.notEqual(
    await p.evaluate(() => getComputedStyle(document.activeElement).outlineStyle),
    'none',
  );
});

page(
  'menu: focus, hide, highlight, copy',
  FOLDED,
  async p => {
    const menu = async (name, item) => {
      await click(p, name, 0, {button: 'right'});
      await p.locator('.menu button', {hasText: item}).click();
    };
    await menu('handle', 'Focus');
    assert.deepEqual(await p.locator('.pill').allTextContents(), ['focus handle ✕']);
    assert.ok(
      await p.evaluate(
        () =>
          !Array.from(window.bianque.flame.tree.frame).some(
            f => window.bianque.flame.tree.frames.name[f] === 'walk',
          ),
      ),
    );
    await menu('serve', 'Hide');
    assert.equal(await p.locator('.pill').count(), 2);
    await p.locator('.pill').first().click();
    await p.locator('.pill').first().click();
    assert.equal(await p.locator('.pill').count(), 0);
    await menu('main', 'Highlight');
    assert.equal(await p.locator('input[type=search]').inputValue(), '"main"');
    assert.equal(await p.locator('.count').innerText(), '2 matches, 100.0 %');
    await menu('query', 'Copy stack');
    assert.equal(
      await p.evaluate(() => navigator.clipboard.readText()),
      'worker\n_start\nmain\nserve\nhandle\nquery',
    );
    await click(p, 'query', 0, {button: 'right'});
    await p.keyboard.press('ArrowDown');
    await p.keyboard.press('Escape');
    assert.ok(await p.locator('.menu').isHidden());
  },
  {permissions: ['clipboard-read', 'clipboard-write']},
);

page('table', FOLDED, async p => {
  const names = () => p.locator('.table tbody .name button').allTextContents();
  assert.deepEqual((await names()).slice(0, 3), ['lex', 'sys_read', 'render']);
  await p.locator('.table th.total button').click();
  assert.equal((await names())[0].startsWith('_start') || (await names())[0] === 'main', true);
  assert.equal(await p.locator('.table th.total').getAttribute('aria-sort'), 'descending');
  await p.locator('.table tbody .name button', {hasText: 'walk'}).click();
  assert.equal(await p.locator('.count').innerText(), '1 match, 12.0 %');
  assert.deepEqual(await names(), ['walk']);
  assert.equal(await p.evaluate(() => document.activeElement.textContent), 'walk');
  await p.keyboard.press('n'); // the row kept the focus; n is the graph's
  await settled(p);
  assert.equal(await zoomed(p), 'walk');
  await p.locator('.segments button', {hasText: 'Table'}).click();
  assert.ok(await p.locator('.flame').isHidden());
  assert.ok(await p.locator('.table').isVisible());
});

page('sandwich, and its address', FOLDED, async (p, path) => {
  await p.locator('.segments button', {hasText: 'Sandwich'}).click();
  assert.match(await p.locator('.sandwich-head').innerText(), /lex\s+self .* 30\.0 %, in 1 place/);
  await p.locator('.table tbody .name button', {hasText: 'main'}).first().click();
  assert.match(await p.locator('.sandwich-head').innerText(), /main\s+self 0 ns, total 1\.01 s/);
  const hash = await p.evaluate(() => location.hash);
  await p.goto('about:blank');
  await p.goto(`file://${path}${hash}`);
  await p.waitForFunction(() => window.bianque);
  assert.match(await p.locator('.sandwich-head').innerText(), /main\s+self 0 ns, total 1\.01 s/);
  assert.ok(await p.locator('.panes > .flame').isHidden());
  await p.keyboard.press('t');
  assert.ok(await p.locator('.sandwich').isHidden());
});

page('a link opens the same view', FOLDED, async (p, path) => {
  await click(p, 'handle');
  await p.keyboard.press('/');
  await p.keyboard.type('r');
  await searched(p);
  await p.locator('text=Order: name').click();
  const state = () =>
    p.evaluate(() => {
      const {flame} = window.bianque;
      return JSON.stringify([
        flame.asked,
        flame.zoom,
        flame.view.x0,
        flame.view.x1,
        document.querySelector('input').value,
        document.querySelector('.count').textContent,
      ]);
    });
  const was = await state(),
    hash = await p.evaluate(() => location.hash);
  await p.goto('about:blank');
  await p.goto(`file://${path}${hash}`);
  await p.waitForFunction(() => window.bianque);
  assert.equal(await state(), was);
  await p.goto(`file://${path}#z=99999.3&focus=77777&q=%F0&order=x`);
  await p.reload();
  await p.waitForFunction(() => window.bianque);
});

page(
  'both themes',
  FOLDED,
  async p => {
    const fill = () =>
      p.evaluate(() => [
        document.documentElement.dataset.theme,
        ...document.querySelector('.picture').getContext('2d').getImageData(200, 10, 1, 1).data,
      ]);
    assert.equal((await fill())[0], 'dark');
    const dark = await fill();
    assert.ok(dark[1] < 120);
    await p.keyboard.press('d');
    await settled(p);
    const light = await fill();
    assert.equal(light[0], 'light');
    assert.ok(light[1] > 160);
    await p.reload();
    await p.waitForFunction(() => window.bianque);
    assert.equal((await fill())[0], 'light', 'the choice is kept');
  },
  {colorScheme: 'dark'},
);

page(
  'the system changes its scheme',
  FOLDED,
  async p => {
    const theme = () => p.evaluate(() => document.documentElement.dataset.theme),
      system = async colorScheme => {
        await p.emulateMedia({colorScheme});
        // The page is told when it is painted.
        await p.evaluate(
          () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
        );
        return theme();
      };
    assert.equal(await system('dark'), 'dark');
    assert.equal(await system('light'), 'light');
    await p.keyboard.press('d'); // dark is chosen: it stays
    assert.equal(await system('dark'), 'dark');
    assert.equal(await system('light'), 'dark');
    await p.keyboard.press('d'); // as the system has it: followed again
    assert.equal(await system('dark'), 'dark');
    assert.equal(await system('light'), 'light');
    await p.evaluate(() => localStorage.setItem('bianque-theme', 'constructor'));
    await p.reload();
    await p.waitForFunction(() => window.bianque);
    assert.equal(await theme(), 'light');
  },
  {colorScheme: 'light'},
);

page('nasty names are only text', '@nasty', async p => {
  assert.equal(await p.evaluate(() => document.scripts.length), 1); // the data is taken out
  assert.ok(
    await p.evaluate(() =>
      window.bianque.flame.tree.frames.name.includes('</script><script>alert(1)</script>'),
    ),
  );
  await p.keyboard.press('/');
  await p.keyboard.type('</script');
  await searched(p);
  assert.match(await p.locator('.count').innerText(), /1 match/);
  await p.locator('.count').hover();
  await p.keyboard.press('Enter');
  await settled(p);
  assert.ok((await crumbs(p)).at(-1).startsWith('</script'));
  assert.match(await p.locator('.foot').innerText(), /a comment with <\/script> and \\xff/);
});

page('nothing to show', '@empty', async p => {
  assert.match(await p.locator('.foot').innerText(), /0 lost/);
  await p.keyboard.press('ArrowDown');
  await p.keyboard.press('Enter');
  await p.keyboard.press('n');
  await p.keyboard.press('+');
});

page(
  'a phone',
  FOLDED,
  async p => {
    assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.equal(await p.evaluate(() => window.bianque.pane), 'flame');
    const at = await spot(p, 'serve');
    await p.touchscreen.tap(at.x, at.y);
    await p.waitForTimeout(600);
    assert.ok(await p.locator('.tip').isVisible());
    assert.match(await p.locator('.tip').innerText(), /^serve/);
    assert.equal(await zoomed(p), 'all');
    await p.touchscreen.tap(at.x, at.y);
    await settled(p);
    assert.equal(await zoomed(p), 'serve');
    assert.ok(!(await p.locator('.tip').isVisible()));
  },
  {viewport: {width: 390, height: 800}, hasTouch: true, isMobile: true},
);

const LONG = `worker;_start;main;a::very::long_name_of_a_namespace::that_ends_in::insert 60
worker;_start;main;std::narrow::box::burn 17
worker;_start;main;other_function_with_a_name_that_is_long_enough_for_a_phone 23
`;
page(
  'a narrow phone: names stay readable',
  LONG,
  async p => {
    const drawn = await p.evaluate(async () => {
      const texts = [],
        own = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
        texts.push(text);
        own.call(this, text, ...at);
      };
      window.bianque.flame.paintNow();
      CanvasRenderingContext2D.prototype.fillText = own;
      return texts;
    });
    assert.ok(drawn.includes('…burn'), drawn);
    await p.locator('input[type=search]').fill('insert');
    await searched(p);
    await click(p, 'main');
    const row = await p.locator('.count').evaluate(e => e.getClientRects().length);
    assert.equal(row, 1);
    await p.locator('input[type=search]').fill('');
    await searched(p);
    await p.locator('.segments button', {hasText: 'Table'}).click();
    const names = p.locator('.table tbody .name');
    assert.ok((await names.first().evaluate(e => e.clientWidth)) > 320);
    assert.match(
      (await p.locator('.table tbody .name button').allTextContents()).join(),
      /other_function_with…enough_for_a_phone|other_function.{30,}/,
    );
    const wide = () => p.evaluate(() => document.documentElement.scrollWidth);
    assert.ok((await wide()) <= 360);
    assert.equal(
      await p.evaluate(() => {
        const [head, cell] = ['.table th.self', '.table tbody td:nth-child(2)'].map(s =>
          document.querySelector(s).getBoundingClientRect(),
        );
        return Math.abs(head.right - cell.right) < 1;
      }),
      true,
      'a heading stands above its column',
    );
  },
  {viewport: {width: 360, height: 740}, hasTouch: true, isMobile: true},
);

page(
  'nothing moves when motion is not wanted',
  FOLDED,
  async p => {
    const range = await p.evaluate(() => {
      const {flame} = window.bianque;
      flame.enter(
        Array.from(flame.tree.frame).findIndex(f => flame.tree.frames.name[f] === 'handle'),
      );
      return [flame.view.x0, flame.view.x1, flame.layout.x0[flame.zoom]];
    });
    assert.equal(range[0], range[2]); // at once
  },
  {reducedMotion: 'reduce'},
);

page('50,000 nodes stay fluid', '@made-up,100000,40', async (p, path, t) => {
  const took = await p.evaluate(async () => {
    const {flame} = window.bianque,
      best = (n, f) =>
        Math.min(
          ...Array.from({length: n}, (_, i) => {
            const start = performance.now();
            f(i);
            return performance.now() - start;
          }),
        );
    const box = flame.stage.getBoundingClientRect(),
      draw = best(8, () => flame.paintNow());
    const hovered =
      best(5, i => {
        for (let k = 0; k < 20; k++)
          flame.hover(
            flame.nodeAt({clientX: box.left + 40 * k + i, clientY: box.top + 22 * (k % 30) + 5}),
            {clientX: 9, clientY: 9},
          );
      }) / 20;
    const hit =
      best(5, i => {
        for (let k = 0; k < 100; k++)
          flame.nodeAt({clientX: box.left + 8 * k + i, clientY: box.top + 22 * (k % 30) + 5});
      }) / 100;
    const searched = best(3, i => {
      flame.search(`operation_${i}`);
      flame.paintNow();
    });
    return {
      n: flame.tree.n,
      draw,
      hovered,
      hit,
      searched,
      load: performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,
      memory: performance.memory.usedJSHeapSize / 1e6,
    };
  });
  t.diagnostic(
    `${took.n} nodes: draw ${took.draw.toFixed(1)} ms, hit ${(took.hit * 1000).toFixed(0)} µs, ` +
      `hover with outlines and tool tip ${took.hovered.toFixed(2)} ms, ` +
      `search and draw ${took.searched.toFixed(1)} ms, heap ${took.memory.toFixed(0)} MB, ` +
      `loaded ${took.load.toFixed(0)} ms, file ${(readFileSync(path).length / 1e6).toFixed(1)} MB`,
  );
});

// ---- served, not inlined; and other people's readers ----
const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.html': 'text/html',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
};

async function serve(files, headers, run) {
  const server = createServer((request, response) => {
    const name = decodeURIComponent(request.url.split('?')[0].slice(1)) || 'index.html',
      body = files(name);
    response.writeHead(body ? 200 : 404, {
      'Content-Type': TYPES[extname(name)] ?? 'text/plain',
      ...headers,
    });
    response.end(body ?? '');
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  try {
    await run(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test(
  'the modules load one by one, as the agent serves them',
  {skip: missing, timeout: 60000},
  async () => {
    const data = readFileSync(export_(FOLDED, 'served.json'), 'utf8');
    const index =
      '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="flame.css">' +
      '<main id="view"></main>' +
      `<script type="application/json" id="data">${data.replaceAll('<', '\\u003c')}</script>` +
      '<script type="module" src="snapshot.js"></script>';
    const file = name =>
      name === 'index.html'
        ? index
        : existsSync(join(WEB, name))
          ? readFileSync(join(WEB, name))
          : null;
    await serve(
      file,
      {
        'Content-Security-Policy':
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:",
      },
      url =>
        open(url, async p => {
          await click(p, 'serve');
          assert.equal(await zoomed(p), 'serve');
        }),
    );
  },
);

test('the picture opens alone', {skip: missing, timeout: 60000}, async () => {
  await open(`file://${export_('@nasty', 'nasty.svg')}`, async p => {
    assert.ok(await p.evaluate(() => document.querySelectorAll('g rect').length > 2));
  });
  await open(`file://${export_(FOLDED, 'picture.svg')}`, async p => {
    assert.ok(await p.evaluate(() => document.querySelectorAll('g rect').length > 20));
    assert.match(await p.evaluate(() => document.querySelector('g title').textContent), /^all/);
  });
});

test(
  'speedscope reads its format',
  {
    skip:
      missing ||
      (!existsSync(join(process.env.NODE_TOOLS, 'node_modules/speedscope')) &&
        'speedscope is not installed (npm)'),
    timeout: 60000,
  },
  async () => {
    const release = join(process.env.NODE_TOOLS, 'node_modules/speedscope/dist/release');
    for (const [name, input] of [
      ['ours.speedscope.json', FOLDED],
      ['nasty.speedscope.json', '@nasty'],
    ]) {
      const ours = readFileSync(export_(input, name));
      const file = f =>
        f === name ? ours : existsSync(join(release, f)) ? readFileSync(join(release, f)) : null;
      await serve(file, {}, async url => {
        const context = await browser.newContext(),
          p = await context.newPage(),
          bad = [];
        p.on('pageerror', error => bad.push(error.message));
        await p.goto(`${url}#profileURL=${encodeURIComponent(url + name)}`);
        await p.waitForFunction(() => document.title.includes('A title'), null, {timeout: 30000});
        assert.deepEqual(bad, []);
        await context.close();
      });
    }
  },
);
