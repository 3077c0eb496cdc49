#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local store and the queries over it, from outside: kills at any moment, disks that refuse, damage, and callers
that mean ill. Needs root.

  store_test.py [WORD]...        cases whose names hold a word

KILLS=N in the environment: how many kills (100). Segments are read here by code of their own (segment_file.h says the
layout, zstd unpacks), so the store is not asked to judge itself.
"""

import concurrent.futures
import glob
import os
import random
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import time

from harness import (Agent, case, expect, mounted, need, ready_agent, start_shares, start_tests, stop, wait_for)

HEAD, BLOCK = 40, 24
DICT, WINDOW = 1, 2
WINDOW_S = 1
FAST = (f"profile.window={WINDOW_S}s",)


# ---- segments, read without the store ------------------------------------------------------------

def ulebs(data, at, n):
  out = []
  for _ in range(n):
    value = shift = 0
    while True:
      byte = data[at]
      at += 1
      value |= (byte & 0x7f) << shift
      shift += 7
      if byte < 0x80:
        break
    out.append(value)
  return out, at


def whole_blocks(data):
  """(kind, end, packed payload) of each block that is there to its end."""
  at = HEAD
  while at + BLOCK <= len(data):
    magic, kind, _, packed, _, _ = struct.unpack_from("<IHHIIQ", data, at)
    if magic != 0x4b4c4251 or at + BLOCK + packed > len(data):
      return
    yield kind, at + BLOCK + packed, data[at + BLOCK:at + BLOCK + packed]
    at += BLOCK + packed


def unpack(packed):
  return subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout


def window_facts(packed):
  """(end in s, samples that its entries add up to)."""
  raw = unpack(packed)
  (start, length, _, _, _, _, _, n), at = ulebs(raw, 0, 8)
  _, at = ulebs(raw, at, 3 * n)  # series, nodes, threads
  counts, _ = ulebs(raw, at, n)
  return (start + length) / 1e9, sum(counts)


def segments(folder):
  """{name: bytes}"""
  out = {}
  for path in sorted(glob.glob(os.path.join(folder, "*.seg"))):
    with open(path, "rb") as file:
      out[os.path.basename(path)] = file.read()
  return out


def stored_samples(folder):
  return sum(window_facts(packed)[1] for data in segments(folder).values()
             for kind, _, packed in whole_blocks(data) if kind == WINDOW)


def total(agent, query=""):
  """Samples of everything there is, as the agent answers; query may hold `&to=`."""
  reply = agent.get(f"/api/v1/profile?from=0&format=folded&group=comm{query}")
  expect(reply.status == 200, reply.status, reply.text[:300])
  return sum(int(line.rsplit(" ", 1)[1]) for line in reply.text.splitlines())


def store_dir(agent, t):
  return t.path(f"state-{agent.port}/store")


def start_over(t, agent, *sets):
  """The same agent again: its port and folders; without waiting."""
  again = Agent.__new__(Agent)
  again.port, again.url, again.config = agent.port, agent.url, agent.config
  argv = agent.process.args
  again.process = t.start(*argv, *[w for s in sets for w in ("--set", s)], log=f"again-{time.monotonic_ns()}.log")
  return again


# ---- kill -9 -------------------------------------------------------------------------------------

def compare(before, after, cut):
  """Blocks that were whole are there, byte for byte; but for the one that was cut on purpose."""
  for name, old in before.items():
    new = after.get(name, b"")
    ends = [end for _, end, _ in whole_blocks(old)]
    keep = ends[-1] if ends else 0
    expect(new[:keep] == old[:keep], f"{name}: {len(new)} bytes of {keep} that were whole (cut {cut})")


def last_end(before):
  name = max(before)
  ends = [window_facts(packed)[0] for kind, _, packed in whole_blocks(before[name]) if kind == WINDOW][-1:]
  return ends[0] if ends else None


@case("kill -9 at 100 moments: what was stored is there, the open window is lost and no more")
def kills(t):
  need("zstd")
  chance = random.Random(7)
  start_shares(t)
  agent = Agent(t, *FAST)
  folder, lost, torn = store_dir(agent, t), [], 0
  for i in range(int(os.environ.get("KILLS", "100"))):
    agent.ready()
    known = segments(folder)
    behind = 0
    if i % 2:  # else in the middle of a start
      wait_for("a window", lambda a=agent: windows(a), 30)
      behind = time.time() - last_end(segments(folder))  # names of a first window may take their time
    time.sleep(chance.uniform(0, 1.2))
    agent.process.kill()
    killed = time.time()
    agent.process.wait()
    before = segments(folder)
    compare(known, before, 0)
    if max(before, default="") > max(known, default="") and last_end(before):
      lost.append((killed - last_end(before), behind))
    cut = 0
    if i % 4 == 1 and before:  # as a power cut would: the last block is there in part
      path = os.path.join(folder, max(before))
      ends = [HEAD] + [end for _, end, _ in whole_blocks(before[max(before)])]
      if len(ends) > 1:
        cut = chance.randint(1, ends[-1] - ends[-2] - 1)
        os.truncate(path, ends[-1] - cut)
        before = segments(folder)
    agent = start_over(t, agent)
    if cut:
      torn += 1
      wait_for("what was dropped", lambda a=agent: "dropped" in a.log, 10)
      compare(before, segments(folder), cut)
  agent.ready()
  wait_for("a window", lambda: (agent.metric("bianque_store_windows_total") or 0) > 1)
  expect(" error store" not in agent.log, agent.log)
  stop(agent.process)
  wanted = stored_samples(folder)
  agent = start_over(t, agent, "profile.window=5m")
  agent.ready()
  got = total(agent)
  now = agent.metric("bianque_profile_samples_total", kind="cpu") or 0
  expect(wanted <= got <= wanted + now, f"{got} samples answered, {wanted} in the files")
  print(f"     {len(lost)} of the kills after a window: the last {sorted(lost)[len(lost) // 2][0]:.2f} s lost in the "
        f"middle, {max(lost)[0]:.2f} s at most, when naming was {max(lost)[1]:.2f} s behind; {torn} ends torn; "
        f"{wanted} samples there")
  beyond = max(seconds - behind for seconds, behind in lost)
  expect(beyond < WINDOW_S + 1.5, f"more than the open window is gone: {beyond:.2f} s")


# ---- disks ---------------------------------------------------------------------------------------

def sampling_goes_on(agent):
  first = agent.metric("bianque_profile_samples_total", kind="cpu") or 0
  wait_for("samples", lambda: agent.metric("bianque_profile_samples_total", kind="cpu") > first + 50)


def windows(agent):
  return agent.metric("bianque_store_windows_total") or 0


def fill(path):
  """Until nothing fits."""
  with open(path, "wb", buffering=0) as file:
    for size in (1 << 20, 1 << 12, 1):
      try:
        while True:
          file.write(bytes(size))
      except OSError:
        pass


@case("a disk that is full for a while: it says so, samples on, and stores again when there is room")
def full_for_a_while(t):
  folder = t.path("disk")
  os.mkdir(folder)
  agent = ready_agent(t, *FAST, f"agent.state_dir={folder}/state", f"agent.cache_dir={folder}/cache",
                      prefix=mounted('mount -t tmpfs -o size=64m none "$1"', folder))
  start_shares(t)
  wait_for("windows", lambda: windows(agent) > 3)
  inside = f"/proc/{agent.process.pid}/root{folder}"
  until = f"&to={last_end(segments(f'{inside}/state/store')):.9f}"
  kept = total(agent, until)
  fill(f"{inside}/full")
  wait_for("a lost window", lambda: (agent.metric("bianque_store_failed_windows_total") or 0) > 1)
  ready = agent.get("/readyz")
  expect(ready.status == 200 and re.search(r"store.*(No space|full)", ready.text, re.S), ready.text)
  # The segment or its index, whichever meets the end of the disk first.
  expect(re.search(r"a window is lost.*(No space|full)", agent.log), agent.log)
  sampling_goes_on(agent)
  os.unlink(f"{inside}/full")
  had = windows(agent)
  wait_for("windows again", lambda: windows(agent) > had + 1, 15)
  wait_for("/readyz", lambda: not re.search("No space|full", agent.get("/readyz").text), 5)
  expect(0 < kept == total(agent, until), "what was there is gone")


@case("a store that cannot be written: it says so, samples on, and stores when it can")
def unwritable(t):
  folder = t.path("state-ro")
  os.makedirs(f"{folder}/store")
  agent = ready_agent(t, *FAST, f"agent.state_dir={folder}",
                      prefix=mounted('mount -t tmpfs -o ro,mode=700 none "$1"', f"{folder}/store"))
  start_shares(t)
  wait_for("the reason", lambda: "Read-only" in agent.log, 10)
  wait_for("/readyz", lambda: "not kept" in agent.get("/readyz").text, 5)
  store = agent.get("/api/v1/status").json["store"]
  expect(store["enabled"] and not store["ok"] and "Read-only" in store["reason"], store)
  expect((store["since_ms"], store["max_bytes"], store["retention_s"]) == (0, 2 << 30, 86400), store)
  sampling_goes_on(agent)
  expect(total(agent) > 0, "the recorder answers nothing")
  t.run("nsenter", "-m", "-t", str(agent.process.pid), "mount", "-o", "remount,rw", f"{folder}/store")
  wait_for("windows", lambda: windows(agent) > 1, 30)
  wait_for("/readyz", lambda: "not kept" not in agent.get("/readyz").text, 5)
  store = agent.get("/api/v1/status").json["store"]
  expect(store["ok"] and not store["reason"] and store["bytes"] > 0, store)
  expect(0 <= time.time() - store["since_ms"] / 1000 < 120, store, time.time())


def filled_store(t):
  """An agent that was stopped, its store's folder and the samples in it."""
  agent = ready_agent(t, *FAST)
  start_shares(t)
  wait_for("windows", lambda: windows(agent) > 3)
  stop(agent.process)
  return agent, store_dir(agent, t), stored_samples(store_dir(agent, t))


def answers_from_store(agent, wanted):
  agent.ready()
  # What it samples itself by now comes on top.
  return wait_for("the store", lambda: "profiles are kept" in agent.log) and \
    wanted <= total(agent) <= wanted + agent.metric("bianque_profile_samples_total", kind="cpu")


@case("a damaged index is set aside and made anew from the segments")
def damaged_index(t):
  need("zstd")
  agent, folder, wanted = filled_store(t)
  with open(f"{folder}/index.sqlite", "r+b") as file:
    file.seek(100)
    file.write(os.urandom(8000))
  for name in ("index.sqlite-wal", "index.sqlite-shm"):
    if os.path.exists(f"{folder}/{name}"):
      os.unlink(f"{folder}/{name}")
  agent = start_over(t, agent)
  expect(answers_from_store(agent, wanted), "samples are gone", agent.log)
  expect("index.sqlite.damaged" in agent.log and os.path.exists(f"{folder}/index.sqlite.damaged"), agent.log)


@case("a damaged segment costs the blocks that are hit, and the answer says so")
def damaged_segment(t):
  need("zstd")
  agent, folder, wanted = filled_store(t)
  name, data = max(segments(folder).items())
  ends = [(kind, end, len(packed)) for kind, end, packed in whole_blocks(data) if kind == WINDOW]
  _, end, packed = ends[len(ends) // 2]
  with open(f"{folder}/{name}", "r+b") as file:
    file.seek(end - packed // 2)
    file.write(bytes([data[end - packed // 2] ^ 0xff]))
  os.unlink(f"{folder}/index.sqlite")
  agent = start_over(t, agent)
  agent.ready()
  wait_for("what was dropped", lambda: "1 blocks" in agent.log and "dropped" in agent.log)
  expect(agent.metric("bianque_store_damaged_blocks_total") == 1, agent.log)
  parts = {part["name"]: part for part in agent.get("/api/v1/status").json["parts"]}
  expect(parts["store"]["state"] == "ok" and "1 blocks" in parts["store"]["reason"], parts["store"])
  expect(0 < total(agent) < wanted + agent.metric("bianque_profile_samples_total", kind="cpu"), agent.log)


@case("an index whose numbers are huge: sums all the same, and no table as long as they are")
def huge_ids(t):
  agent, folder, _ = filled_store(t)
  query = f"/api/v1/series?from=now-1h&to={time.time():.3f}&step=1m"
  index = sqlite3.connect(f"{folder}/index.sqlite")
  with index:
    index.execute("UPDATE series SET id = id + (1 << 60)")
    for table in ("seen", "point"):
      index.execute(f"UPDATE {table} SET series = series + (1 << 60)")
  index.close()
  # The bound is this machine's, should there be such a table.
  again = Agent(t, *FAST, f"agent.state_dir={t.path(f'state-{agent.port}')}", prefix=["prlimit", "--as=4294967296"])
  again.ready()
  reply = again.get(query)
  expect(reply.status == 200 and "shares" in [s["name"] for s in reply.json["series"]], reply.status, reply.text[:300])
  expect(rss_kib(again) < (96 << 10), rss_kib(again))


# ---- callers that mean ill -----------------------------------------------------------------------

def rss_kib(agent):
  with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as file:
    values = dict(line.split(":", 1) for line in file)
  return sum(int(values[key].split()[0]) for key in ("RssAnon", "RssShmem"))


def losses(agent):
  """What did not come through, as counted where it happened; not_run is an estimate of a busy host."""
  return [line for line in agent.get("/metrics").text.splitlines()
          if line.startswith("bianque_lost_total") and 'reason="not_run"' not in line
          and not line.endswith(" 0")]


def ask_raw(agent, path, wait=60):
  """The status of an answer; 0 when the connection was closed."""
  with socket.create_connection(("127.0.0.1", agent.port), timeout=wait) as s:
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{agent.port}\r\nConnection: close\r\n\r\n".encode())
    data = b""
    while True:
      try:
        part = s.recv(1 << 16)
      except OSError:
        break
      if not part:
        break
      data = data if len(data) > 64 else data + part
  match = re.match(rb"HTTP/1.1 (\d+)", data)
  return int(match.group(1)) if match else 0


@case("1,000 parallel requests and slow readers: clear answers, memory bounded, no sample lost")
def flood(t):
  agent = ready_agent(t, *FAST)
  start_shares(t)
  wait_for("windows", lambda: windows(agent) > 2)
  paths = ["/api/v1/profile?from=0", "/api/v1/series?from=now-1h&group=service_name&step=10s",
           "/api/v1/profile?from=0&format=pprof&group=tid", "/api/v1/labels", "/api/v1/label/service_name/values"]
  slow = []
  for _ in range(20):  # ask, and read nothing
    s = socket.create_connection(("127.0.0.1", agent.port))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(b"GET /api/v1/profile?from=0&format=html HTTP/1.1\r\nHost: localhost\r\n\r\n")
    slow.append(s)
  before, lost = rss_kib(agent), losses(agent)

  def ask(i):
    try:
      return ask_raw(agent, paths[i % len(paths)])
    except OSError:
      return 0

  began, most = time.monotonic(), before
  with concurrent.futures.ThreadPoolExecutor(200) as pool:
    waiting = [pool.submit(ask, i) for i in range(1000)]
    while not all(w.done() for w in waiting):
      most = max(most, rss_kib(agent))
      time.sleep(0.05)
  took = time.monotonic() - began
  statuses = [w.result() for w in waiting]
  counts = {status: statuses.count(status) for status in sorted(set(statuses))}
  for s in slow:
    s.close()
  after = rss_kib(agent)
  print(f"     1000 answers in {took:.1f} s: {counts}; RSS {before} -> {after} KiB, {most} at most")
  expect(set(counts) <= {0, 200, 429, 503}, counts)
  expect(counts.get(200, 0) >= 16, counts)
  expect(most < before + (96 << 10), f"{most - before} KiB more")
  expect(losses(agent) == lost, "samples were lost:", lost, losses(agent))
  # The allocator keeps none of it for each of its threads; what was sampled meanwhile has come on top.
  wait_for("the memory that answers took", lambda: rss_kib(agent) < before + (6 << 10), 15)
  print(f"     {rss_kib(agent)} KiB a moment later")
  # What the slow ones asked for may be under way for a moment.
  wait_for("an answer", lambda: ask_raw(agent, paths[0]) == 200, 10)
  sampling_goes_on(agent)


NAN_TIMES = ("nan", "NaN", "inf", "-1", "1e9", "now+5m", "99999999999999", "2023-02-30T00:00:00Z", "''", "%00")


@case("ranges, selectors, names and numbers of all sorts: 200 or what is wrong with them")
def abuse(t):
  agent = ready_agent(t, *FAST)
  start_shares(t)
  wait_for("windows", lambda: windows(agent) > 2)
  year = "2019-01-01T00:00:00Z"
  fine = ["/api/v1/profile?from=0", "/api/v1/profile?from=2033-01-01T00:00:00Z&to=2034-01-01T00:00:00Z",
          f"/api/v1/profile?from={year}&to=2019-01-02T00:00:00Z", "/api/v1/series?from=now-1d&step=1h",
          f"/api/v1/labels?from={year}&to=2019-01-02T00:00:00Z", "/api/v1/kinds",
          "/api/v1/profile?from=0&max_nodes=1", "/api/v1/label/nonsense/values",
          "/api/v1/profile?match={service_name=~%22(a%2B)%2Bb%22}"]
  long = "{a=%22" + "x" * 4096 + "%22}"
  bad = [("/api/v1/profile?from=now&to=now-1h", 400), ("/api/v1/profile?max_nodes=0", 422),
         ("/api/v1/profile?max_nodes=1000001", 422), ("/api/v1/profile?max_nodes=nan", 422),
         (f"/api/v1/profile?match={long}", 400), ("/api/v1/profile?match={a=", 400),
         ("/api/v1/profile?match={a=~%22(%22}", 400), ("/api/v1/profile?nonsense=1", 400),
         ("/api/v1/profile?format=nonsense", 400), ("/api/v1/profile?kind=nonsense", 400),
         ("/api/v1/series?from=0&step=1s", 422), ("/api/v1/series?step=0s", 422),
         ("/api/v1/series?group=" + "x" * 5000, 400), ("/api/v1/label/../../etc/passwd/values", 400),
         ("/api/v1/label/..%2f..%2fetc/values", 404), ("/api/v1/label//values", 404)]
  bad += [(f"/api/v1/{what}?from={value}", 400) for value in NAN_TIMES for what in ("profile", "series", "labels")]
  for path in fine:
    reply = agent.get(path)
    expect(reply.status == 200, path, reply.status, reply.text[:300])
  wrong = []
  for path, status in bad:
    reply = agent.get(path)
    if reply.status not in ((400, 404, 422) if status != 422 else (400, 422)):
      wrong.append(f"{path[:80]}: {reply.status} {reply.text[:100]}")
    elif reply.status == 400 and "error" in reply.text and not reply.json["error"]["message"]:
      wrong.append(f"{path[:80]}: no words")
  expect(not wrong, "\n".join(wrong))
  expect(re.search(r"character \d", agent.get("/api/v1/profile?match={a=}").text), "no place in the selector's error")
  expect(agent.get("/healthz").status == 200, agent.log)


@case("a page of another origin learns nothing: no CORS, and its Host is refused")
def other_origin(t):
  agent = ready_agent(t, *FAST)
  for path in ("/api/v1/profile", "/api/v1/series", "/api/v1/labels", "/api/v1/label/service_name/values",
               "/api/v1/kinds"):
    reply = agent.get(path, {"Origin": "http://evil.example"})
    cors = [name for name in reply.headers if name.lower().startswith("access-control")]
    expect(not cors, path, cors)
    reply = agent.get(path, {"Host": f"evil.example:{agent.port}"})
    expect(reply.status in (403, 421), path, reply.status, reply.text[:200])
    reply = agent.get(path, {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"},
                      method="OPTIONS")
    expect(reply.status in (403, 405), path, reply.status)


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
