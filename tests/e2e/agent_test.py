#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bianque agent` from outside: start, HTTP, profiles on demand, reload, end, and a host that is
against it. Each case has an agent of its own, on loopback, with its own folders. agent_test.py
[WORD...] runs the cases whose names hold a word; ends with `N passed, N failed, N skipped`.
"""

import array
import concurrent.futures
import gzip
import json
import os
import re
import signal
import socket
import struct
import sys
import time

import check_folded
from harness import (BIANQUE, CAPABILITIES, Agent, Skipped, as_nobody, case, expect, free_port,
                     full_folder, hidden_kallsyms, mounted, need, other_file, ready_agent,
                     start_shares, start_tests, stop, stopped_thread, wait_for, workload)

PROFILE = "/debug/pprof/profile"
MAP_AND_SPIN = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
  mapped = mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
while True:
  sum(range(1000))
"""
METRICS = ("bianque_profile_samples_total", "bianque_profile_stacks_total", "bianque_lost_total",
           "bianque_unwind_stops_total", "bianque_map_entries", "bianque_map_max_entries",
           "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds")


def comms(text):
  return {comm for comm, _, _ in check_folded.parse_folded(text)}


# ---- start and HTTP ----------------------------------------------------------------------------

@case("it starts, is healthy and ready, says its version and tables")
def starts(t):
  agent = Agent(t)
  expect(agent.answers("/healthz").text == "ok\n", "healthz")
  ready = agent.ready().json
  expect(ready["status"] in ("ready", "degraded") and not ready["waiting"], ready)
  version = agent.get("/version").json
  expect(version["name"] == "bianque" and version["version"] in t.run(BIANQUE, "version").out,
         version)
  state = json.dumps(agent.get("/debug/state").json)
  for table in ("processes", "objects", "stacks", "segments", "ring_0"):
    expect(f'"{table}"' in state, f"no table {table}:", state[:500])
  root = agent.get("/routes")
  expect(root.status == 200 and "format=html" in root.text and "/metrics" in root.text, root.text)
  page = agent.get("/")
  expect(page.status == 200 and "web/app.js" in page.text, page.text)
  expect(agent.get("/web/app.js").status == 200 and agent.get("/web/x.js").status == 404)
  expect("http://127.0.0.1:" in agent.log and "serving on" in agent.log, agent.log)
  status = agent.get("/api/v1/status")
  expect(status.status == 200 and isinstance(status.json, dict), status.text[:500])


@case("/metrics: promtool finds nothing, what dashboards need is there")
def metrics(t):
  need("promtool")
  agent = ready_agent(t)
  start_shares(t)
  wait_for("samples", lambda: agent.metric("bianque_profile_samples_total", kind="cpu"))
  text = agent.get("/metrics").text
  for name in METRICS:
    expect(re.search(f"^{name}[{{ ]", text, re.M), f"no {name}")
  check = t.run("sh", "-c", 'promtool check metrics < "$1"', "sh", t.write("metrics", text))
  expect(check.status == 0 and not check.err.strip(), check.text)
  open_metrics = agent.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
  expect(open_metrics.text.endswith("# EOF\n"), open_metrics.text[-100:])
  expect("openmetrics-text" in open_metrics.headers["Content-Type"], open_metrics.headers)


@case("bad requests: their status, and an error in words")
def bad_requests(t):
  agent = ready_agent(t)
  for path, status in (("/nonsense", 404), (PROFILE + "?seconds=0", 422),
                       (PROFILE + "?seconds=601", 422), (PROFILE + "?hz=998&seconds=1", 422),
                       (PROFILE + "?hz=0&seconds=1", 422), (PROFILE + "?pid=0&seconds=1", 422),
                       (PROFILE + "?secnods=1", 400), (PROFILE + "?pid=4194303&seconds=1", 404),
                       (PROFILE + "?format=nonsense&seconds=1", 400),
                       (PROFILE + "?container=0123456789abcdef&seconds=1", 404)):
    reply = agent.get(path)
    expect(reply.status == status, path, f"{reply.status}, not {status}:", reply.text[:300])
    expect(len(reply.text) > 10, path, "no words")
  expect("seconds" in agent.get(PROFILE + "?secnods=1").text, "no nearest key")
  expect(agent.get("/metrics", method="POST", body=b"x").status == 405, "POST /metrics")


@case("log levels change at run time")
def log_levels(t):
  agent = ready_agent(t)
  reply = agent.get("/api/v1/log", method="PUT", body=b'{"ring":"debug"}')
  expect(reply.status == 200 and reply.json["ring"] == "debug", reply.text)
  expect(agent.get("/api/v1/log", method="PUT", body=b'{"rang":"debug"}').status == 422, "rang")


# ---- profiles on demand --------------------------------------------------------------------------

@case("go tool pprof, straight against it")
def go_pprof(t):
  need("go")
  agent = ready_agent(t)
  start_shares(t)
  environment = dict(os.environ, PPROF_TMPDIR=t.dir, no_proxy="127.0.0.1")
  done = t.run("go", "tool", "pprof", "-top", "-nodecount=30", f"{agent.url}{PROFILE}?seconds=2",
               env=environment)
  expect(done.status == 0 and "leaf_a" in done.out and "Type: cpu" in done.out, done.text)


@case("every format over HTTP, by its content type")
def formats(t):
  agent = ready_agent(t)
  start_shares(t)
  names = ("pprof", "folded", "html", "svg", "speedscope", "json", "text")
  with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
    replies = dict(zip(names, pool.map(
        lambda f: agent.get(f"{PROFILE}?seconds=2&format={f}"), names)))
  for name, reply in replies.items():
    expect(reply.status == 200, name, reply.status, reply.text[:200])
    body = gzip.decompress(reply.body) if name == "pprof" else reply.body
    expect(b"leaf_a" in body, name, "has no leaf_a")
  types = {name: reply.headers["Content-Type"].split(";")[0] for name, reply in replies.items()}
  expect(types["html"] == "text/html" and types["svg"] == "image/svg+xml" and
         types["json"] == "application/json" and types["folded"] == "text/plain", types)


@case("a profile of one process says so in its title, one of the host does not")
def titles(t):
  agent = ready_agent(t)
  shares = start_shares(t)
  heads = {"html": "<title>%s", "svg": "<title>%s", "json": '"title":"%s', "text": "%s"}
  paths = [(f"{PROFILE}?seconds=1&format={name}{target}", head % title)
           for name, head in heads.items()
           for target, title in ((f"&pid={shares.pid}", f"cpu of pid {shares.pid}"), ("", "cpu"))]
  with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
    replies = list(pool.map(agent.get, [path for path, _ in paths]))
  for (path, title), reply in zip(paths, replies):
    expect(title in reply.text[:2000], path, f"no '{title}':", reply.text[:500])
    expect(("cpu of" in reply.text[:2000]) == ("pid=" in path), path, reply.text[:500])


@case("several at a time with rates of their own, a fifth is told to wait")
def many_rates(t):
  agent = ready_agent(t)
  shares = start_shares(t)
  rates = (97, 197, 499, 997)
  path = f"{PROFILE}?seconds=4&pid={shares.pid}&format=folded"
  with concurrent.futures.ThreadPoolExecutor(len(rates)) as pool:
    running = [pool.submit(agent.get, f"{path}&hz={hz}") for hz in rates]
    time.sleep(1.5)
    fifth = agent.get(path + "&hz=33")
    replies = [r.result() for r in running]
  expect(fifth.status == 429, "the fifth:", fifth.status, fifth.text[:300])
  counts = []
  for hz, reply in zip(rates, replies):
    expect(reply.status == 200, hz, reply.status, reply.text[:300])
    expect(comms(reply.text) == {"shares"}, hz, comms(reply.text))
    counts.append(sum(n for _, _, n in check_folded.parse_folded(reply.text)))
  # The program has the same CPU time in all of them: samples go with the rate.
  for hz, n in zip(rates, counts):
    expect(0.5 < n * rates[-1] / (hz * counts[-1]) < 2, "samples by rate:", rates, counts)
  again = agent.get(f"{PROFILE}?seconds=1&hz=33&format=folded")
  expect(again.status == 200, "afterwards:", again.status, again.text[:300])


@case("a client that goes away frees its place")
def client_gone(t):
  agent = ready_agent(t)
  for _ in range(6):  # more than run at once
    with socket.create_connection(("127.0.0.1", agent.port)) as s:
      s.sendall(f"GET {PROFILE}?seconds=60&hz=97 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
      time.sleep(0.5)
  wait_for("a place", lambda: agent.get(f"{PROFILE}?seconds=1&hz=97&format=folded").status == 200)


@case("/api/v1/status: a file without symbols is listed with the package that has them")
def lacking(t):
  if not os.path.exists("/var/lib/dpkg/info/dash.list"):
    raise Skipped("dash is no package here")
  t.start("dash", "-c", "while :; do :; done")
  agent = ready_agent(t)

  def listed():
    expect(agent.get(PROFILE + "?seconds=1").status == 200, "no profile")
    files = {f["path"]: f for f in agent.get("/api/v1/status").json["symbols"]["lacking"]}
    return next((f for path, f in files.items() if path.endswith("/dash") and f["package"]), None)
  found = wait_for("dash in the list", listed)
  expect(found["package"] == "dash-dbgsym" and found["note"], found)


def with_large_eh_frame(t, program):
  """A copy whose .eh_frame is said to be a hole of 15 GiB; it runs as before."""
  with open(program, "rb") as file:
    data = bytearray(file.read())
  table, = struct.unpack_from("<Q", data, 0x28)
  _, size, n, names = struct.unpack_from("<HHHH", data, 0x38)
  at = lambda i: table + i * size
  names, = struct.unpack_from("<Q", data, at(names) + 24)
  for i in range(n):
    name = names + struct.unpack_from("<I", data, at(i))[0]
    if data[name:].startswith(b".eh_frame\0"):
      struct.pack_into("<QQ", data, at(i) + 24, len(data), 15 << 30)
  path = t.path("large-eh-frame")
  with open(path, "wb") as file:
    file.write(data)
    file.truncate(16 << 30)
  os.chmod(path, 0o755)
  return path


@case("/api/v1/status: a file that is too much work is listed with the reason, and in the log once")
def too_much_work(t):
  path = with_large_eh_frame(t, workload("shares"))
  agent = ready_agent(t)
  for _ in range(2):
    t.start(path, "--seconds", "60")

  def listed():
    files = agent.get("/api/v1/status").json["sampling"]["objects_without_rows"]
    return next((f for f in files if f["path"] == path), None)
  expect(wait_for("it in the list", listed)["reason"] == "too much work", agent.log)
  for _ in range(2):
    expect(agent.get(PROFILE + "?seconds=1").status == 200, "no profile")
  expect(agent.log.count(path) == 1 and "too much work" in agent.log, agent.log)


@case("/api/v1/processes: who was sampled, with its name")
def processes(t):
  agent = ready_agent(t)
  shares = start_shares(t)

  def listed():
    reply = agent.get("/api/v1/processes")
    expect(reply.status == 200, reply.status, reply.text[:300])
    return f'"pid":{shares.pid},' in reply.text.replace(" ", "") and "shares" in reply.text
  wait_for("shares in the list", listed)
  expect(agent.get("/api/v1/processes").json["left_out"] == 0, "left out")


@case("/api/v1/processes: one that takes long holds nobody, a fifth is told to wait")
def processes_stuck(t):
  agent = ready_agent(t)
  wait_for("it knows itself", lambda: any(  # a busy host's processes are read one after the other
      p["pid"] == agent.process.pid for p in agent.get("/api/v1/processes").json["processes"]))
  with concurrent.futures.ThreadPoolExecutor(5) as pool:
    with stopped_thread(agent.process.pid, "lister"):
      running = [pool.submit(agent.get, "/api/v1/processes") for _ in range(5)]
      wait_for("one is refused", lambda: [r for r in running if r.done()])
      expect(agent.get("/healthz", timeout=5).status == 200, "held")
      expect([r.result().status for r in running if r.done()] == [429], "not one of five")
    for reply in (r.result(30) for r in running):
      expect(reply.status == 429 or any(p["pid"] == agent.process.pid
                                        for p in reply.json["processes"]), reply.text[:300])
  expect(agent.get("/api/v1/processes").status == 200, "afterwards")


@case("/api/v1/processes: it does not wait for names")
def processes_beside_naming(t):
  agent = ready_agent(t)
  with stopped_thread(agent.process.pid, "builder"):
    for _ in range(5):
      reply = agent.get("/api/v1/processes", timeout=5)
      expect(reply.status == 200 and reply.json["left_out"] == 0, reply.text[:300])


# ---- reload and end ------------------------------------------------------------------------------

@case("SIGTERM and SIGINT: it ends within a second, exit 0")
def ends(t):
  for sig in (signal.SIGTERM, signal.SIGINT):
    for _ in range(3):  # on a busy machine once is chance
      agent = ready_agent(t)
      status, took_s = stop(agent.process, sig)
      expect(status == 0, sig, status, agent.log)
      if took_s <= 1:
        break
    expect(took_s <= 1, sig, f"{took_s:.2f} s in the third try")


def costly_library(path):
  """An ELF file that maps, and whose rows would take minutes: many segments, many FDEs."""
  n_fdes, n_segments, text, eh_frame = 2_000_000, 4096, 0x10000000, 0x400000
  at_hdr = 64 + 56 * n_segments
  hdr = bytes((1, 0x1b, 3, 0x3b, 4, 0, 0, 0))  # pc-relative: .eh_frame stands right behind
  cie = struct.pack("<IIB3sBBBBB6s", 20, 0, 1, b"zR\0", 1, 0x78, 16, 1, 0x1b, b"\x0c\x07\x08\x90\x01\0")
  frames = array.array("I", cie.ljust(24, b"\0"))
  for i in range(n_fdes):
    at = 24 + 20 * i
    frames.extend((16, at + 4, text + 64 * i - (eh_frame + at + 8) & 0xffffffff, 64, 0))
  frames.append(0)
  code = b"\x90" * 4096
  size = len(hdr) + 4 * len(frames)
  parts = [(1, 4, at_hdr, eh_frame - len(hdr), size, size),
           (1, 5, at_hdr + size, text, len(code), 64 * n_fdes),
           (0x6474e550, 4, at_hdr, eh_frame - len(hdr), len(hdr), len(hdr))]  # PT_GNU_EH_FRAME
  segments = [(1, 5, 0, 0x1000, 16, 16)] * (n_segments - len(parts)) + parts
  with open(path, "wb") as file:
    file.write(b"\x7fELF\2\1\1".ljust(16, b"\0") +
               struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, text, 64, 0, 0, 64, 56, n_segments, 0, 0, 0))
    for kind, flags, offset, address, in_file, in_memory in segments:
      file.write(struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, in_file, in_memory, 1))
    file.write(hdr)
    frames.tofile(file)
    file.write(code)


@case("SIGTERM while a file that is too much work is loaded: it ends within a second")
def ends_while_loading(t):
  costly_library(t.path("costly"))
  agent = ready_agent(t)
  t.start(sys.executable, "-c", MAP_AND_SPIN, t.path("costly"))
  time.sleep(1.5)
  status, took_s = stop(agent.process)
  expect(status == 0 and took_s < 1.5, f"{status} after {took_s:.1f} s\n{agent.log}")


@case("SIGTERM while a profile runs: the client is answered, it ends")
def ends_while_waited_for(t):
  agent = ready_agent(t)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    running = pool.submit(agent.get, f"{PROFILE}?seconds=60")
    time.sleep(1)
    status, _ = stop(agent.process)
    expect(status == 0, status, agent.log)
    try:
      expect(running.result(10).status >= 500, "a whole profile?")
    except OSError:
      pass  # the connection is closed: also an answer


@case("SIGHUP: a good file counts, a bad one does not and is named by line and nearest key")
def reload(t):
  agent = ready_agent(t, config="agent:\n  labels: {zone: a}\n")
  t.write(os.path.basename(agent.config), "agent:\n  labels: {zone: b}\n")
  agent.process.send_signal(signal.SIGHUP)
  wait_for("it says so", lambda: "reloaded" in agent.log)
  t.write(os.path.basename(agent.config), "agent:\n  lables: {zone: c}\n")
  agent.process.send_signal(signal.SIGHUP)
  wait_for("it says so", lambda: "labels" in agent.log.split("reloaded")[-1] and
           f"{agent.config}:2" in agent.log)
  expect(agent.get("/healthz").status == 200, "dead")
  expect(agent.ready(), "not ready")


@case("a file of a secret: --check names line and key, the server does not start, SIGHUP keeps the old one")
def secret_file(t):
  config = f"http:\n  token_file: {t.path('token')}\n"
  def check(agent, *words):
    result = t.run(BIANQUE, "config", "--check", agent.config)
    for word in (f"{agent.config}:2:15", "http.token_file", *words):
      expect(word in result.err, f"no '{word}':", result.err)
    for word in words:
      expect(word in agent.log, f"no '{word}':", agent.log)
    expect(result.status == 1, result.status)
  agent = Agent(t, config=config)
  expect(agent.process.wait(20) == 1, agent.log)
  check(agent, "there is no such file; make it")
  t.write("token", "t0ken\n")
  os.chmod(t.path("token"), 0o600)
  agent = Agent(t, config=config)
  agent.answers("/healthz")
  expect(t.run(BIANQUE, "config", "--check", agent.config).status == 0, "a good one is refused")
  os.chmod(t.path("token"), 0o604)
  agent.process.send_signal(signal.SIGHUP)
  wait_for("it says so", lambda: "the old settings go on" in agent.log and "0600" in agent.log)
  check(agent, "chmod it to 0600")
  expect(agent.get("/version").status == 401, "the token counts no more")


# ---- a host that is against it --------------------------------------------------------------------

@case("a bad configuration: exit 1; line, key and nearest key are named")
def bad_config(t):
  for text, words in (("profile:\n  hzz: 19\n", (":2", "hzz", "'hz'")),
                      ("profile:\n  hz: 5000\n", (":2", "hz", "997")),
                      ("profil:\n  hz: 19\n", (":1", "profile")),
                      ("profile: [\n", (":",))):
    agent = Agent(t, config=text)
    expect(agent.process.wait(20) == 1, text, agent.log)
    for word in words:
      expect(word in agent.log, repr(text), f"no '{word}':", agent.log)
    check = t.run(BIANQUE, "config", "--check", agent.config)
    expect(check.status == 1 and words[-1] in check.err, check.text)


@case("a port in use: exit 1, the address is named")
def port_in_use(t):
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    s.listen()
    port = s.getsockname()[1]
    agent = Agent(t, f"http.listen=127.0.0.1:{port}")
    expect(agent.process.wait(20) == 1, agent.log)
    expect(f"127.0.0.1:{port}" in agent.log and "http.listen" in agent.log, agent.log)


@case("a second agent on the host: exit 1, it names the first")
def second_agent(t):
  first = ready_agent(t)
  state = [f"agent.state_dir={t.path(f'state-{first.port}')}"]
  second = Agent(t, *state)
  expect(second.process.wait(20) == 1, second.log)
  expect(f"pid {first.process.pid}" in second.log, second.log)
  expect(first.get("/healthz").status == 200, "the first died")


@case("an address that others can reach needs a token")
def open_to_others(t):
  agent = Agent(t, f"http.listen=0.0.0.0:{free_port()}")
  expect(agent.process.wait(20) == 1 and "token_file" in agent.log, agent.log)


@case("no root: it serves HTTP, is not ready, says why and what to do")
def no_root(t):
  os.chmod(t.dir, 0o777)
  agent = Agent(t, prefix=as_nobody([]))
  agent.answers("/healthz")
  reply = agent.answers("/readyz", 503)
  expect("root" in agent.log and "CAP_" in agent.log, agent.log)
  expect(json.loads(reply.body)["status"] != "ready", reply.text)
  status, _ = stop(agent.process)
  expect(status == 0, status)


@case("the six capabilities are enough")
def six_capabilities(t):
  if os.uname().release.startswith("5.10"):
    raise Skipped("before 5.11 maps need a raised memlock limit")
  os.chmod(t.dir, 0o777)
  agent = ready_agent(t, prefix=as_nobody(CAPABILITIES))
  start_shares(t)
  reply = agent.get(f"{PROFILE}?seconds=2&format=folded")
  expect("leaf_a" in reply.text, reply.text[:500], agent.log)


@case("a full disk under state and cache: it samples and serves all the same")
def full_disk(t):
  folder = t.path("full")
  os.mkdir(folder)
  # The last values of a key count.
  agent = ready_agent(t, f"agent.state_dir={folder}/state", f"agent.cache_dir={folder}/cache",
                      prefix=full_folder(folder, "1m"))
  start_shares(t)
  reply = agent.get(f"{PROFILE}?seconds=2&format=folded")
  expect("leaf_a" in reply.text, reply.text[:300], agent.log)
  expect("cannot be" in agent.log, "it says nothing:", agent.log)


@case("a read-only state folder: exit 1, it says what to set")
def read_only_state(t):
  folder = t.path("read-only")
  os.mkdir(folder)
  agent = Agent(t, f"agent.state_dir={folder}/state",
                prefix=mounted('mount -t tmpfs -o ro none "$1"', folder))
  expect(agent.process.wait(20) == 1 and "state_dir" in agent.log, agent.log)


@case("kptr_restrict=2: kernel frames without names, never empty")
def kptr_restrict(t):
  agent = ready_agent(t, prefix=other_file(t, "/proc/kallsyms", hidden_kallsyms()))
  t.start("dd", "if=/dev/zero", "of=/dev/null", "bs=64")
  reply = agent.get(f"{PROFILE}?seconds=2&format=folded")
  kernel = [f for c, fs, _ in check_folded.parse_folded(reply.text) if c == "dd" for f in fs
            if f.endswith("_[k]")]
  expect(kernel and all(len(f) > len("_[k]") for f in kernel), kernel[:5])


@case("no BTF: it serves HTTP, /readyz says what is missing")
def no_btf(t):
  if not os.path.exists("/sys/kernel/btf/vmlinux"):
    raise Skipped("this kernel has none at all")
  agent = Agent(t, prefix=other_file(t, "/sys/kernel/btf/vmlinux", ""))
  reply = agent.answers("/readyz", 503)
  expect("BTF" in reply.text, reply.text)


@case("programs that come and go by the hundred: the agent stays up and its tables bounded")
def churn(t):
  agent = ready_agent(t)
  done = t.run(workload("storm"), "--rate", "200", "--seconds", "5")
  expect(done.status == 0, done.text)
  expect(agent.get("/healthz").status == 200, agent.log)
  entries, most = (agent.metric(m, map="processes")
                   for m in ("bianque_map_entries", "bianque_map_max_entries"))
  expect(entries is not None and entries <= most, entries, most)


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
