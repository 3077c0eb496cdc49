// SPDX-License-Identifier: Apache-2.0
// An agent for the page's tests: serves the embedded files with the agent's policy, and answers the
// API with made-up figures of the right shape. What was asked is in `asked`.

import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {extname, join} from 'node:path';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";
const TYPES = {'.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html'};

export function tableOf(...args) {
  const text = execFileSync(process.env.EXPORT_PROFILE, ['-f', 'json', ...args], {
    maxBuffer: 1 << 30,
  });
  return JSON.parse(text);
}

// As query_time.c reads them.
function timeOf(text, now) {
  const ago = /^now(?:-(\d+)([smhd]))?$/.exec(text);
  if (ago) return now - (ago[1] ? ago[1] * {s: 1, m: 60, h: 3600, d: 86400}[ago[2]] * 1000 : 0);
  return Date.parse(text);
}

const SERIES = ['nginx', 'postgres', 'worker', 'a', 'b', 'c', 'd', 'e', 'f', 'g'];

function series(q, agent) {
  const now = Date.now(),
    from = timeOf(q.get('from'), now),
    to = timeOf(q.get('to'), now),
    step = parseInt(q.get('step'), 10) || Math.max(1000, Math.floor((to - from) / 120000) * 1000),
    steps = Math.ceil((to - from) / step),
    byPid = q.get('group') === 'pid',
    only = /service_name="(.*)"/.exec(q.get('match') ?? '')?.[1],
    pid = /pid="(.*)"/.exec(q.get('match') ?? '')?.[1],
    pidOf = name => `${100 + SERIES.indexOf(name)}`,
    line = (name, i) => {
      const values = Array.from(
        {length: steps},
        (_, k) => (step * 1e6 * (1 + (k % 7 === i))) / (i + 2),
      );
      const total = values.reduce((a, b) => a + b, 0);
      const owner = {process: name, service_name: `${name}.service`, container: ''};
      return byPid ? {name: pidOf(name), ...owner, total, values} : {name, total, values};
    };
  return {
    from_ms: from,
    to_ms: to,
    step_ms: step,
    steps,
    kind: 'cpu',
    unit: 'nanoseconds',
    group: q.get('group'),
    since_ms: agent.since,
    samples: 100,
    whole: 99,
    lost: agent.lost,
    gaps: agent.gaps,
    series: SERIES.filter(s => (!only || s === only) && (!pid || pidOf(s) === pid)).map(line),
  };
}

function profile(q, agent) {
  const doc = structuredClone(agent.table),
    now = Date.now(),
    {nodes} = doc;
  doc.time_ms = timeOf(q.get('from'), now);
  doc.duration_ms = timeOf(q.get('to'), now) - doc.time_ms;
  doc.lost = agent.lost;
  if (/nope/.test(q.get('match') ?? '')) {
    doc.samples = doc.whole = 0;
    for (const column of Object.values(nodes)) column.length = 1;
    nodes.self[0] = nodes.total[0] = 0;
  }
  if (q.has('base_from')) {
    doc.base_duration_ms = timeOf(q.get('base_to'), now) - timeOf(q.get('base_from'), now);
    nodes.base_self = nodes.self.map((v, i) => (i % 3 ? v : 2 * v));
    nodes.base_total = nodes.base_self.slice();
    for (let i = nodes.parent.length - 1; i > 0; i--)
      nodes.base_total[i - nodes.parent[i]] += nodes.base_total[i];
  }
  return doc;
}

function heatmap(q) {
  const to = Math.floor(timeOf(q.get('to'), Date.now()) / 1000) * 1000,
    step = parseInt(q.get('step'), 10),
    rows = 1000 / step,
    columns = 60;
  const cells = Array.from({length: columns * rows}, (_, i) => (i % 37 === 0 ? 4 : i % 3));
  return {from_ms: to - 60000, to_ms: to, step_ms: step, rows, columns, max: 4, cells, since_ms: 0};
}

const STATUS = {
  version: '0.1.0',
  host: 'box-1',
  uptime_seconds: 4000,
  parts: [
    {name: 'sampling', state: 'degraded', reason: 'no hardware counter: samples by cpu-clock'},
    {name: 'store', state: 'ok', reason: ''},
  ],
  sampling: {hz: 99, lost_total: {ring_full: 0, nested: 3, not_run: 41}, objects_without_rows: []},
  store: {
    enabled: true,
    ok: true,
    reason: '',
    since_ms: 1790000000000,
    bytes: 1000000,
    max_bytes: 2147483648,
    retention_s: 86400,
  },
  symbols: {
    lacking: [
      {path: '/usr/lib/libjson.so', build_id: 'ab12', note: 'no file', package: 'libjson-dbgsym'},
      {path: '/usr/bin/elsewhere', build_id: 'cd34', note: 'no file', package: ''},
    ],
  },
};

const ANSWERS = {
  series,
  profile,
  heatmap,
  status: (q, agent) => ({...STATUS, store: {...STATUS.store, ...agent.store}}),
  kinds: () => ({kinds: ['cpu']}),
  labels: () => ({labels: ['host', 'service_name']}),
  'label/service_name/values': () => ({values: SERIES}),
  'label/host/values': () => ({values: ['box-1']}),
  'label/pid/values': () => ({values: []}),
  processes: () => ({
    processes: [
      {pid: 100, comm: 'nginx', service_name: 'nginx', container: ''},
      {pid: 8, comm: 'idle', service_name: 'idle', container: 'abcdef0123456789'},
    ],
    left_out: 0,
  }),
};

// fields: table (of the profile), since (ms), gaps, lost, store (what differs from one that is well),
// token ('': none), down, delay (ms), broken (texts that are answered instead, by name).
export async function startAgent(fields) {
  const agent = {
    since: Date.now() - 3600000,
    gaps: [],
    lost: 0,
    store: {},
    token: '',
    down: false,
    delay: 0,
    broken: {},
    asked: [],
    ...fields,
  };
  const reply = (response, status, type, body) => {
    response.writeHead(status, {'Content-Type': type, 'Content-Security-Policy': POLICY});
    response.end(body);
  };
  const fail = (response, status, code, message) =>
    reply(response, status, 'application/json', JSON.stringify({error: {code, message}}));
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://x/'),
      name = url.pathname.replace(/^\/api\/v1\//, '');
    if (name === url.pathname) {
      const file = join(
        process.env.SERVED,
        url.pathname === '/' ? 'index.html' : url.pathname.slice(5),
      );
      if (!existsSync(file)) fail(response, 404, 'not_found', 'no such file');
      else reply(response, 200, TYPES[extname(file)], readFileSync(file));
      return;
    }
    agent.asked.push({name, query: url.searchParams});
    if (agent.down) request.socket.destroy();
    else if (agent.token && request.headers.authorization !== `Bearer ${agent.token}`)
      fail(response, 401, 'unauthorized', 'give the token');
    else if (/bad/.test(url.searchParams.get('match') ?? ''))
      fail(response, 400, 'bad_match', 'match: expected a label');
    else if (!ANSWERS[name]) fail(response, 404, 'not_found', name);
    else {
      const {searchParams: q} = url,
        text = agent.broken[name] ?? JSON.stringify(ANSWERS[name](q, agent)),
        type = (q.get('format') ?? 'json') === 'json' ? 'application/json' : 'text/plain';
      setTimeout(() => reply(response, 200, type, text), agent.delay);
    }
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  agent.url = `http://127.0.0.1:${server.address().port}/`;
  agent.stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return agent;
}
