// SPDX-License-Identifier: Apache-2.0
// The agent's page in Chromium, over agent_stub.mjs.

import assert from 'node:assert/strict';
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import {
  browser,
  drag,
  folder,
  hashOf,
  idle,
  last,
  missing,
  page,
  shot,
  small,
  state,
} from './agent_page.mjs';
import {startAgent, tableOf} from './agent_stub.mjs';

page('loads: time line, graph, table, figures', async (p, agent) => {
  assert.equal(await p.title(), 'box-1 · Bianque');
  const legend = await p.locator('.legend').innerText();
  for (const part of ['cores used', 'nginx', 'postgres', 'other']) assert.ok(legend.includes(part));
  const foot = await p.locator('#status').innerText();
  for (const part of [
    '100 samples',
    'cores × 15 min',
    '1 object without symbols', // of two: the other is not in the profile
    'no hardware counter',
  ])
    assert.ok(foot.includes(part), `${part} in ${foot}`);
  assert.equal(await p.locator('#status .warn').count(), 0);
  assert.equal(last(agent, 'profile').get('from'), 'now-15m');
  assert.equal(last(agent, 'profile').get('to'), 'now');
  assert.equal(await p.locator('.table tbody tr').first().locator('button').innerText(), 'lex');
  await shot(p, 'light');
});

page('dark', async p => shot(p, 'dark'), {context: {colorScheme: 'dark'}});

page('a drag selects, with shift a baseline; the link opens it', async (p, agent) => {
  await drag(p, '.line-canvas', 0.5, 0.75);
  const {sel} = await state(p);
  assert.ok(Math.abs(sel[1] - sel[0] - 225000) < 3000, sel);
  assert.equal(Date.parse(last(agent, 'profile').get('from')), sel[0]);
  assert.equal(last(agent, 'series').get('from'), 'now-15m', 'the time line stays');
  assert.match(await p.locator('.line-said').innerText(), /selected .* \(3 min \d+ s\)/);
  await p.keyboard.down('Shift');
  await drag(p, '.line-canvas', 0.2, 0.45);
  await p.keyboard.up('Shift');
  const {base} = await state(p);
  assert.equal(await p.evaluate(() => window.bianque.pane), 'diff');
  assert.equal(Date.parse(last(agent, 'profile').get('base_from')), base[0]);
  const hash = await hashOf(p);
  await p.goto(`${agent.url}${hash}`);
  await p.reload();
  await idle(p);
  assert.deepEqual([(await state(p)).sel, (await state(p)).base], [sel, base]);
  assert.equal(await p.evaluate(() => window.bianque.pane), 'diff');
  await p.locator('[aria-label="drop the selection"]').click();
  await idle(p);
  assert.equal((await state(p)).sel, null);
  await p.goBack();
  await idle(p);
  assert.deepEqual((await state(p)).sel, sel, 'back is a view back');
});

page('filters: legend, dialog, pills', async (p, agent) => {
  await p.locator('button.legend-item', {hasText: 'postgres'}).click();
  await idle(p);
  assert.equal(last(agent, 'profile').get('match'), '{service_name="postgres"}');
  await p.locator('.filter').click();
  await idle(p);
  assert.equal(last(agent, 'profile').get('match'), null);
  await p.locator('text=+ filter').click();
  await p.locator('.dialog [aria-label=Label]').selectOption('pid');
  await p.locator('.dialog [aria-label=Value]').fill('7');
  await p.keyboard.press('Enter');
  await idle(p);
  assert.equal(last(agent, 'profile').get('match'), '{pid="7"}');
  assert.equal(last(agent, 'series').get('match'), '{pid="7"}');
  assert.equal(await p.title(), '7 · box-1 · Bianque');
});

page('a whole selector pasted for a filter', async (p, agent) => {
  const value = p.locator('.dialog [aria-label=Value]');
  await p.locator('text=+ filter').click();
  await value.fill('{service_name=nginx}');
  await p.keyboard.press('Enter');
  assert.match(await p.locator('.dialog').innerText(), /This is not like/);
  await value.fill(' {service_name="nginx",host!~"b.*"} ');
  await p.keyboard.press('Enter');
  await idle(p);
  assert.equal(last(agent, 'profile').get('match'), '{service_name="nginx",host!~"b.*"}');
  assert.equal(await p.locator('.filter').count(), 2);
  const [file] = await Promise.all([
    p.waitForEvent('download'),
    p.locator('[aria-label=Download]').selectOption('html'),
  ]);
  assert.match(file.suggestedFilename(), /^box-1-cpu-nginx-b\._-20[\dT-]+\.html$/);
});

page('the search stays where it is, on a bar with room and without', async p => {
  const place = async () => JSON.stringify(await p.locator('.bar input').boundingBox());
  for (const width of [1280, 2200]) {
    await p.setViewportSize({width, height: 760});
    const before = await place();
    await p.locator('.bar input').fill('parse');
    await p.waitForFunction(() => window.bianque.flame.asked.query === 'parse');
    assert.ok(await p.locator('.found').isVisible());
    assert.equal(await place(), before);
    await p.keyboard.press('Escape');
  }
});

page('the time line by process: its name, and its pid as the filter', async (p, agent) => {
  const group = p.locator('[aria-label="Time line by"]');
  await group.selectOption('pid');
  await idle(p);
  assert.equal(last(agent, 'series').get('group'), 'pid');
  await p.locator('button.legend-item', {hasText: /^postgres \(\d+\)$/}).click();
  await idle(p);
  assert.match(last(agent, 'profile').get('match'), /^\{pid="\d+"\}$/);
});

page('a series keeps its colour', async p => {
  const slots = () => p.evaluate(() => [...window.bianque.line.slots]);
  const before = new Map(await slots());
  assert.equal(new Set(before.values()).size, 8);
  await p.locator('button.legend-item', {hasText: 'worker'}).click();
  await idle(p);
  assert.deepEqual(await slots(), [['worker', before.get('worker')]]);
});

page('search, zoom, focus: in the address', async (p, agent) => {
  await p.keyboard.press('/');
  await p.keyboard.type('parse');
  await p.waitForFunction(() => window.bianque.flame.asked.query === 'parse');
  assert.equal(await p.locator('.count').innerText(), '2 matches, 48.0 %');
  await p.keyboard.press('Enter');
  await p.locator('.scroll').press('f');
  await idle(p);
  const hash = await hashOf(p);
  assert.match(hash, /q=parse/);
  assert.match(hash, /focus=parse/);
  await p.goto('about:blank');
  await p.goto(`${agent.url}${hash}`);
  await idle(p);
  assert.equal(await p.locator('.pill').innerText(), 'focus parse ✕');
  assert.ok(
    Math.abs((await p.evaluate(() => window.bianque.flame.tree.total[0] / 1e9)) - 0.4848) < 0.01,
  );
  await p.evaluate(() => window.bianque.load());
  await idle(p);
  assert.equal(await p.locator('.pill').count(), 1, 'another answer keeps what is asked for');
});

page('sandwich', async p => {
  await p.locator('.table tbody button', {hasText: 'parse'}).first().click();
  await p.locator('.bar button', {hasText: 'Sandwich'}).click();
  await idle(p);
  await p.locator('.table tbody button', {hasText: 'parse'}).first().click();
  assert.match(
    await p.locator('.sandwich-head').innerText(),
    /parse\s+self .* 48\.0 %, in 2 places/,
  );
  const names = which =>
    p.evaluate(w => {
      const {tree} = window.bianque.sandwich[w];
      return Array.from(tree.frame, f => tree.frames.name[f]);
    }, which);
  assert.deepEqual((await names('callees')).sort(), ['lex', 'parse', 'scan']);
  assert.ok((await names('callers')).includes('serve'));
  await shot(p, 'sandwich');
});

page(
  'diff: baselines and colours',
  async (p, agent) => {
    await p.keyboard.press('d');
    await idle(p);
    const span = key => {
      const q = last(agent, 'profile');
      return Date.parse(q.get(key)) || Date.now() - 900000;
    };
    assert.ok(Math.abs(span('base_to') - (Date.now() - 900000)) < 5000);
    assert.match(await p.locator('.diff-bar').innerText(), /baseline .* at the same length: −/);
    assert.match(await p.locator('.table thead').innerText(), /baseline\s+now\s+change/);
    await p.locator('[aria-label=Baseline]').selectOption('yesterday');
    await idle(p);
    assert.ok(Math.abs(span('base_to') - (Date.now() - 86400000)) < 5000);
    await p.locator('[aria-label="Filter of the baseline"]').fill('{service_name="b"}');
    await p.keyboard.press('Enter');
    await idle(p);
    assert.equal(last(agent, 'profile').get('base_match'), '{service_name="b"}');
    await shot(p, 'diff-dark');
  },
  {context: {colorScheme: 'dark'}},
);

page('heat map', async (p, agent) => {
  await p.keyboard.press('m');
  await idle(p);
  assert.equal(last(agent, 'heatmap').get('step'), '20ms');
  await shot(p, 'heat');
  const box = await p.locator('.heat-box canvas').boundingBox();
  await p.mouse.move(box.x + box.width * 0.5, box.y + (box.height - 18) * 0.31);
  await p.mouse.down();
  await p.mouse.move(box.x + box.width * 0.5, box.y + (box.height - 18) * 0.45);
  await p.mouse.up();
  await idle(p);
  const {sel} = await state(p);
  assert.equal(sel[1] - sel[0], 160);
  assert.equal(await p.evaluate(() => window.bianque.pane), 'both');
});

const PROCESSES_ASKED = ['pid', '1000', '900000ms']; // a step over the range
page('processes', async (p, agent) => {
  await p.keyboard.press('p');
  await idle(p);
  const asked = last(agent, 'series');
  assert.deepEqual([asked.get('group'), asked.get('limit'), asked.get('step')], PROCESSES_ASKED);
  const row = await p.locator('.list tbody tr').first().innerText();
  assert.match(row, /^100\s+nginx\s+900 s\s+1\.00\s/);
  assert.match(await p.locator('.list').innerText(), /101\s+postgres gone\s[^]*postgres\.service/);
  assert.match(await p.locator('.list').innerText(), /8\s+idle/, 'those that used nothing');
  assert.match(await p.locator('.extra').innerText(), /^11 processes/);
  await shot(p, 'processes');
  await p.locator('.list tbody button', {hasText: 'nginx'}).click();
  await idle(p);
  assert.equal(last(agent, 'profile').get('match'), '{pid="100"}');
});

page(
  'processes with a filter: only what it lets through',
  async p => {
    assert.match(await p.locator('.extra').innerText(), /^1 process that the filters let through/);
    assert.equal(await p.locator('.list tbody tr').count(), 1);
    assert.match(await p.locator('.list tbody').innerText(), /101\s+postgres gone/);
    assert.equal(await p.locator('.banner').count(), 0);
    assert.doesNotMatch(await p.locator('#status').innerText(), /samples/, 'those of the host');
  },
  {hash: '#view=processes&match={service_name="postgres"}'},
);

page('keyboard: range, length, live', async (p, agent) => {
  await p.keyboard.press('-');
  await idle(p);
  assert.equal(last(agent, 'series').get('from'), 'now-1800s');
  const length = p.locator('[aria-label="Time range"] option:checked');
  assert.equal(await length.innerText(), 'Last 30 min');
  await p.keyboard.press('[');
  await idle(p);
  assert.ok(Math.abs(Date.parse(last(agent, 'series').get('to')) - (Date.now() - 900000)) < 5000);
  await p.keyboard.press('l');
  await idle(p);
  assert.equal(last(agent, 'series').get('to'), 'now');
  const n = agent.asked.length;
  await p.waitForTimeout(6500);
  assert.ok(agent.asked.length > n, 'live asks again');
  await p.keyboard.press('l');
  await p.keyboard.press('?');
  assert.ok(await p.locator('dialog').isVisible());
  assert.equal((await p.locator('dialog').innerText()).match(/\+\s+−/g).length, 1, 'said once');
  await p.keyboard.press('Escape');
  const unnamed = await p.evaluate(
    () =>
      [...document.querySelectorAll('button, input, select')].filter(
        e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.title),
      ).length,
  );
  assert.equal(unnamed, 0);
});

page('downloads', async p => {
  const [file] = await Promise.all([
    p.waitForEvent('download'),
    p.locator('[aria-label=Download]').selectOption('folded'),
  ]);
  assert.match(file.suggestedFilename(), /^box-1-cpu-.*\.folded$/);
});

const NOT_WHOLE = `worker;[incomplete:no_row];serve;parse [libjson.so] 30
worker;[truncated];deep 10
worker;_start;main;serve 60
`;
page(
  'why: stacks that are not whole, what is lost, what lacks symbols',
  async p => {
    const foot = p.locator('#status');
    await foot.locator('button', {hasText: '60.0 % whole stacks'}).click();
    const text = await p.locator('.dialog').innerText();
    for (const part of [
      /no_row\s+30\.0 %\s+code without unwind rows/,
      /truncated\s+10\.0 %\s+deeper than profile.max_frames/,
      /lost on this host in this range: 5/,
      /not_run\s+41\s+an estimate/,
      /nested\s+3/,
      /libjson.so\s+install libjson-dbgsym/,
      /no hardware counter/,
    ])
      assert.match(text, part);
    assert.ok(!text.includes('elsewhere'), 'of what is chosen');
    await p.keyboard.press('Escape');
    await p.locator('.dialog').waitFor({state: 'detached'});
    await foot.locator('button', {hasText: '5 lost'}).press('Enter');
    const top = await p.locator('.dialog [data-part=lost]').boundingBox(),
      box = await p.locator('.dialog .scrolled').boundingBox();
    assert.ok(top.y >= box.y - 1 && top.y < box.y + box.height, 'what was asked for is in sight');
    await shot(p, 'why');
  },
  {
    agent: () => {
      writeFileSync(join(folder, 'not-whole'), NOT_WHOLE);
      return {table: tableOf(join(folder, 'not-whole')), lost: 5};
    },
  },
);

page('what is in small stacks is in no row', async (p, agent) => {
  const foot = p.locator('.table-foot');
  assert.doesNotMatch(await foot.innerText(), /small stacks/);
  agent.table = tableOf('-n', '12', join(folder, 'folded'));
  await p.evaluate(() => window.bianque.load());
  await idle(p);
  const share = await p.evaluate(() => {
    const {totals, tree} = window.bianque.flame;
    return ((100 * totals.total[1]) / tree.total[0]).toFixed(1);
  });
  assert.ok(share > 1);
  assert.ok((await foot.innerText()).includes(`${share} % is in small stacks, not listed`));
});

page(
  'time without an agent',
  async (p, agent) => {
    const box = await p.locator('.line-canvas').boundingBox(),
      [gap, other] = await p.evaluate(() => {
        const {width} = document.querySelector('.line-canvas'),
          context = document.querySelector('.line-canvas').getContext('2d'),
          {data} = context.getImageData(0, 8, width, 1);
        return [0.35, 0.8].map(part => data[4 * Math.round(width * part) + 3]);
      });
    assert.ok(gap > 30 && other === 0, `grey: ${gap}, elsewhere ${other}`);
    await p.mouse.move(box.x + box.width * 0.35, box.y + 40);
    assert.match(await p.locator('.line .tip').innerText(), /nothing was recorded: no agent ran/);
    await p.mouse.move(box.x + box.width * 0.8, box.y + 40);
    assert.match(await p.locator('.line .tip').innerText(), /cores/);
    const [[from, to]] = agent.gaps;
    assert.match(await p.locator('#status').innerText(), /cores × 11 min 40 s/);
    agent.table = tableOf('/dev/null');
    await p.evaluate(sel => window.bianque.change({sel}), [from + 1000, to - 1000]);
    await idle(p);
    assert.match(await p.locator('.banner').innerText(), /No agent ran in this range/);
    await shot(p, 'gap');
  },
  {agent: () => ({gaps: [[Date.now() - 700000, Date.now() - 500000]]})},
);

page(
  'the store that is off, and one that fails',
  async (p, agent) => {
    assert.match(
      await p.locator('.banner').innerText(),
      /The store is off: only the last 5 minutes are kept\. .* set store\.enabled to true/,
    );
    agent.store = {ok: false, reason: 'No space left on device'};
    await p.reload();
    await idle(p);
    assert.match(
      await p.locator('.banner.warn').innerText(),
      /keeps nothing now, only the last 5 minutes are there: No space left/,
    );
  },
  {agent: () => ({store: {enabled: false, ok: false, reason: 'store.enabled is false'}})},
);

page(
  'nothing matches: the filter can be dropped',
  async (p, agent) => {
    assert.match(await p.locator('.banner').innerText(), /Nothing in this range matches/);
    await p.locator('.banner button').click();
    await idle(p);
    assert.equal(last(agent, 'profile').get('match'), null);
    assert.equal(await p.locator('.banner').count(), 0);
  },
  {hash: '#match={service_name="nope"}'},
);

page(
  'the first minute, and before the store begins',
  async (p, agent) => {
    assert.match(await p.locator('.banner').innerText(), /Collecting: 1\d s of samples/);
    agent.since = Date.now() - 600000;
    await p.evaluate(() => window.bianque.change({from: 'now-2h', to: 'now-1h'}));
    await idle(p);
    assert.match(await p.locator('.banner').innerText(), /store begins at/);
    await p.locator('.banner button').click();
    await idle(p);
    assert.equal(Date.parse(last(agent, 'series').get('from')), agent.since);
  },
  {agent: () => ({since: Date.now() - 12000})},
);

page(
  'nothing yet: a past range is not said to be collected',
  async p => {
    assert.match(await p.locator('.banner').innerText(), /No samples in this range/);
  },
  {
    agent: () => ({since: 0, table: tableOf('/dev/null')}),
    hash: '#from=1790000000000&to=1790000900000',
  },
);

page(
  'the agent goes away and comes back',
  async (p, agent) => {
    agent.down = true;
    await p.evaluate(() => window.bianque.load());
    await idle(p);
    assert.match(await p.locator('.banner').innerText(), /does not answer/);
    assert.ok(await p.evaluate(() => window.bianque.flame.tree.n > 5), 'the last data stays');
    agent.down = false;
    await p.locator('.banner', {hasText: 'Retry'}).locator('button').click();
    await idle(p);
    assert.equal(await p.locator('.banner').count(), 0);
  },
  {expected: /ERR_|Failed to load/},
);

page(
  'an answer that the page cannot read is said, the picture stays, a reload mends it',
  async (p, agent) => {
    const whole = JSON.stringify(small);
    for (const [pane, name, text, said] of [
      ['both', 'series', '{}', /it has no 'series'/],
      ['both', 'series', '{"series":[{}]}', /cannot read/],
      ['both', 'series', 'null', /it has no 'series'/],
      ['both', 'profile', '{}', /it has no 'nodes'/],
      ['both', 'profile', whole.replace('"version":1', '"version":2'), /table of version 2/],
      ['both', 'profile', whole.slice(0, whole.length / 2), /JSON/],
      ['heat', 'heatmap', '{}', /it has no 'cells'/],
      ['processes', 'processes', '[]', /it has no 'processes'/],
    ]) {
      agent.broken = {[name]: text};
      await p.evaluate(pane => {
        window.bianque.show(pane);
        window.bianque.load();
      }, pane);
      await idle(p);
      const banner = await p.locator('.banner').innerText();
      assert.match(banner, said);
      assert.match(banner, /cannot read what the agent answered.*Reload the page/s);
      assert.ok(await p.evaluate(() => window.bianque.flame.tree.n > 5), 'the last data stays');
    }
    await p.evaluate(() => window.bianque.show('both'));
    agent.broken = {status: '{}', labels: '{"labels":'};
    await p.reload();
    await idle(p);
    assert.match(await p.locator('.banner').innerText(), /cannot read/);
    agent.broken = {};
    await p.locator('.banner', {hasText: 'Reload'}).locator('button').click();
    await p.waitForFunction(() => window.bianque?.flame.tree.n > 5);
    assert.equal(await p.locator('.banner').count(), 0);
  },
  {expected: /it has no|node table|JSON|undefined/},
);

page(
  'what makes no sense in a link is left out',
  async (p, agent) => {
    assert.equal(await p.locator('.banner').count(), 0);
    assert.equal(last(agent, 'profile').get('from'), 'now-15m');
    assert.equal(last(agent, 'profile').get('group'), null);
  },
  {hash: '#sel=1-999999999999999&split=x&from=now-999999999d'},
);

page(
  'what the agent refuses is said',
  async p => {
    assert.match(await p.locator('.banner').innerText(), /refuses: match: expected a label/);
    await p.locator('.banner button').click();
    await idle(p);
    assert.equal(await p.locator('.banner').count(), 0);
  },
  {hash: '#match={a="bad"}', expected: /400/},
);

page(
  'the token: from the address, into this tab',
  async (p, agent) => {
    assert.ok(!(await hashOf(p)).includes('token'));
    assert.equal(await p.evaluate(() => sessionStorage.getItem('bianque-token')), 'sesame');
    assert.ok(await p.evaluate(() => window.bianque.flame.tree.n > 5));
    await p.reload();
    await idle(p);
    assert.ok(await p.evaluate(() => window.bianque.flame.tree.n > 5));
    agent.token = 'other';
    await p.evaluate(() => window.bianque.load());
    await p.locator('.dialog input').fill('other');
    await p.locator('.dialog button', {hasText: 'Use it'}).click();
    await idle(p);
    await p.waitForFunction(() => !window.bianque.problem);
  },
  {agent: () => ({token: 'sesame'}), hash: '#token=sesame', expected: /401/},
);

page('a slow answer leaves the old picture', async (p, agent) => {
  agent.delay = 1500;
  await p.evaluate(() => void window.bianque.load());
  assert.ok(await p.locator('.busy').isVisible());
  assert.ok(await p.evaluate(() => window.bianque.flame.tree.n > 5));
  await idle(p);
});

page('nothing of a name becomes markup', async p => {
  await p.evaluate(() => {
    window.bianque.change({match: [['service_name', '=', '<img src=x onerror=alert(1)>']]});
  });
  await idle(p);
  assert.equal(await p.locator('img').count(), 0);
});

page(
  'a phone',
  async p => {
    assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.equal(await p.evaluate(() => window.bianque.pane), 'flame');
    await shot(p, 'phone');
    await p.evaluate(() => window.bianque.show('processes'));
    await idle(p);
    const pane = await p.locator('.bar [aria-pressed=true]').boundingBox();
    assert.ok(pane.x >= 0 && pane.x + pane.width <= 420 - 36, 'the pane shown is in sight');
    await p.evaluate(() => window.bianque.show('diff'));
    await idle(p);
    assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await shot(p, 'phone-diff');
  },
  {
    context: {
      viewport: {width: 420, height: 850},
      hasTouch: true,
      isMobile: true,
      colorScheme: 'dark',
    },
  },
);

test('weight and 50,000 nodes', {skip: missing, timeout: 180000}, async t => {
  const agent = await startAgent({table: tableOf('@made-up,100000,40')}),
    p = await browser.newPage({viewport: {width: 1440, height: 900}}),
    files = new Set();
  p.on('response', r => r.url().includes('/api/') || files.add(new URL(r.url()).pathname));
  try {
    await p.goto(agent.url);
    await idle(p);
    const bytes = [...files]
      .map(f => f.replace(/^\/(web\/)?/, '') || 'index.html')
      .filter(f => readdirSync(process.env.SERVED).includes(f))
      .reduce((sum, f) => sum + readFileSync(join(process.env.SERVED, f)).length, 0);
    assert.ok(bytes < 120000, `${bytes} bytes for the first look`);
    const took = await p.evaluate(async () => {
      const {decode} = await import('./web/nodes.js'),
        {layout} = await import('./web/layout.js'),
        {flame} = window.bianque,
        text = await (await fetch('api/v1/profile?from=now-15m&to=now')).text(),
        best = (n, f) =>
          Math.min(
            ...Array.from({length: n}, (_, i) => {
              const start = performance.now();
              f(i);
              return performance.now() - start;
            }),
          );
      const box = flame.stage.getBoundingClientRect();
      return {
        n: flame.tree.n,
        made: best(5, () => layout(decode(JSON.parse(text)))),
        draw: best(8, () => flame.paintNow()),
        hit:
          best(5, i => {
            for (let k = 0; k < 100; k++)
              flame.nodeAt({clientX: box.left + 8 * k + i, clientY: box.top + 22 * (k % 20) + 5});
          }) / 100,
        paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
        memory: performance.memory.usedJSHeapSize / 1e6,
      };
    });
    t.diagnostic(
      `the page: ${took.n} nodes: parse and layout ${took.made.toFixed(0)} ms (budget 120), ` +
        `draw ${took.draw.toFixed(1)} ms (16), hit ${(took.hit * 1000).toFixed(0)} µs (1000), ` +
        `first paint ${took.paint.toFixed(0)} ms (200), heap ${took.memory.toFixed(0)} MB (60), ` +
        `${(bytes / 1000).toFixed(1)} kB (120)`,
    );
    assert.ok(took.n > 45000);
  } finally {
    await p.close();
    agent.stop();
  }
});
