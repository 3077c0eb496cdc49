#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: the figures that the budgets name, with those of perf and bpftrace beside them, on the
same programs in the same run. Prints a Markdown table; prints, never fails by time.

  run.py [--minutes 0.5] [--readme] [GROUP...]      groups: see GROUPS at the end

--minutes is how long the agent's memory is watched; whether it is flat wants 10 or more. --readme puts the
table into README.md. A whole run takes 10 minutes; Ctrl-C ends it with what is measured so far. The rows
stand in rows.py; a row whose group did not run, or could not, says so.
"""

import argparse
import contextlib
import datetime
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure import (BIANQUE, BENCH, CPUS, Recording, bpf_runs, bpf_stats, cpu_s, harness, idle_s,
                     load, rss_mib, run_tool, undisturbed, usage_of, workload)
import rows
import storm

ROOT = harness.ROOT
STUB = os.path.join(ROOT, "tests", "mock", "pyroscope_stub.py")
PYTHON = [sys.executable, "-B"]
BUSY = (workload("cxx", "shares"), workload("rust"), workload("golang"), workload("stacks", "setjmp"))
BIG_FILES = ("/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", "/usr/lib/x86_64-linux-gnu/libc.so.6",
             "/usr/bin/python3.11", "/usr/bin/git", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3")
PROMPT_NICE = -10
USER_S = 8  # of a recording
TABLE = rows.Table()


def say(text):
  print(f"   {text}", flush=True)


# ---- the kernel side ----------------------------------------------------------------------------

def kernel_cost(kind, depth, hz, seconds, folder):
  """(nanoseconds a run, share of the runs that met the program) on CPUs that a program fills."""
  with load(workload("deep", str(depth)), everywhere=True, nice=-5):
    time.sleep(0.5)
    recording = Recording(kind, hz, folder).start()
    time.sleep(2)  # until it is loaded and knows the program
    before = bpf_runs(recording.process.pid)
    time.sleep(seconds)
    after = bpf_runs(recording.process.pid)
    recording.stop()
  runs = after[1] - before[1]
  return (after[0] - before[0]) / max(runs, 1), recording.share("deep") or 1.0


def kernel(folder):
  cost = {}
  with bpf_stats():
    for hz, seconds in ((997, 4), (99, 6), (19, 10)):
      for depth in (30, 128):
        cost[hz, depth] = kernel_cost("bianque", depth, hz, seconds, folder)
        say(f"{hz} Hz, {depth} frames: {cost[hz, depth][0]:.0f} ns a sample, "
            f"{100 * cost[hz, depth][1]:.0f} % of them the program's")
    peer = kernel_cost("bpftrace", 30, 997, 4, folder)[0] if shutil.which("bpftrace") else None
  for hz in (997, 99, 19):
    (low, share), (high, _) = cost[hz, 30], cost[hz, 128]
    TABLE.put(f"frame_{hz}", (high - low) / 98 / share)
    TABLE.put(f"sample_{hz}", low / 1000,
              f"bpftrace {peer / 1000:.1f} µs, no frame of it" if peer and hz == 997 else "")


# ---- the user side, beside the peers --------------------------------------------------------------

def user_once(kind, hz, folder):
  with load(*BUSY):
    time.sleep(0.5)
    recording = Recording(kind, hz, folder).start()
    time.sleep(USER_S)
    recording.stop()
  say(f"{kind} at {hz} Hz: {recording.samples} samples, {recording.cpu_s:.2f} CPU s, "
      f"peak {recording.peak_mib:.0f} MiB")
  return recording


def user(folder):
  used = {}
  for kind, rounds in (("bianque", 3), ("perf-dwarf", 1), ("perf-fp", 1), ("bpftrace", 1)):
    if kind != "bianque" and not shutil.which(kind.partition("-")[0]):
      continue
    for hz in (99, 997):
      try:
        # What a round costs beyond the cheapest is the machine's.
        used[kind, hz] = min((user_once(kind, hz, folder) for _ in range(rounds)),
                             key=lambda r: r.cpu_s)
      except RuntimeError as why:
        say(f"{kind} at {hz} Hz: {why}")
  cost = {}
  for kind in {kind for kind, _ in used if (kind, 99) in used and (kind, 997) in used}:
    low, high = used[kind, 99], used[kind, 997]
    cost[kind] = 1e6 * (high.cpu_s - low.cpu_s) / max(high.samples - low.samples, 1)
  ours = used["bianque", 997]
  beside = ", ".join(f"{k} {cost[k]:.1f}" for k in sorted(cost) if k != "bianque")
  dwarf = cost.get("perf-dwarf", 0)
  TABLE.put("user_sample", cost["bianque"],
            beside + (f": {cost['bianque'] / dwarf:.2f} of perf-dwarf" if dwarf > 0 else ""))
  TABLE.put("user_fixed", used["bianque", 99].cpu_s,
            ", ".join(f"{k} {used[k, 99].cpu_s:.2f}" for k in sorted(cost) if k != "bianque"))
  whole = re.search(r"([\d.]+) % whole stacks, (\d+) lost", harness.log_text(ours.err))
  if whole:
    TABLE.put("whole", float(whole.group(1)))
    TABLE.put("lost", int(whole.group(2)))


# ---- the exec storm --------------------------------------------------------------------------------

def exec_storm(_folder):
  peers = {}
  for kind in ("perf-dwarf", "perf-fp"):
    peers[kind] = storm.run_storm(kind, 500, 8, 99)
  storm.run_storm("bianque", 500, 1, 99)  # the programs' rows are cached from now on
  for hz, seconds in ((99, 15), (997, 8)):
    r = storm.run_storm("bianque", 500, seconds, hz)
    say(f"{hz} Hz: {r.said}")
    names = {"samples": lambda x: 100 * x.ours / max(x.perf, 1), "cpu": lambda x: x.cpu_pct,
             "whole": lambda x: x.check.whole_pct, "unknown": lambda x: x.unknown_pct}
    for name, value in names.items():
      beside = ", ".join(f"{k} {value(p):.1f}" for k, p in peers.items()) if hz == 99 else ""
      TABLE.put(f"storm_{name}_{hz}", value(r), beside)


# ---- the agent -------------------------------------------------------------------------------------

class Pushing(harness.Agent):
  """An agent that pushes to a stub, so that everything is named and encoded."""

  def __init__(self, t, hz, *sets, **options):
    stub = t.start(*PYTHON, STUB, "--port", "0", log="stub.log")
    port = harness.wait_for("the stub", lambda: re.search(r"PORT (\d+)", harness.log(stub)))
    super().__init__(t, f"profile.hz={hz}", f"pyroscope.url=http://127.0.0.1:{port.group(1)}",
                     "agent.cpu_budget_pct=100", *sets, **options)

  def map_mib(self):
    return (self.metric("bianque_bpf_map_memory_bytes") or 0) / 2**20


def cpu_pct_over(pid, seconds):
  """(percent of a core that a process used, percent of all CPUs that the host did)."""
  before, idle, began = cpu_s(pid), idle_s(), time.monotonic()
  time.sleep(seconds)
  took = time.monotonic() - began
  return 100 * (cpu_s(pid) - before) / took, 100 - 100 * (idle_s() - idle) / took / len(CPUS)


def put_cpu(row, pid, seconds, beside=""):
  used, busy = cpu_pct_over(pid, seconds)
  TABLE.put(row, used, f"host {busy:.0f} % busy" + beside)


def perf_beside(hz, folder):
  recording = Recording("perf-dwarf", hz, folder).start()
  time.sleep(2)
  used, _ = cpu_pct_over(recording.process.pid, 10)
  recording.process.terminate()
  recording.process.wait()
  return f"; perf record --call-graph dwarf {used:.2f}, without names"


def agent_cpu(folder):
  t = harness.Case()
  try:
    with load(*BUSY, *BUSY[:2]):
      agent = Pushing(t, 19)
      agent.ready()
      time.sleep(32)  # two windows: symbols are open
      put_cpu("agent_busy_19", agent.process.pid, 30, perf_beside(19, folder))
    time.sleep(5)
    put_cpu("agent_idle", agent.process.pid, 30)
    scrape(agent)
  finally:
    t.close()


def scrape(agent):
  took, before = [], cpu_s(agent.process.pid)
  for _ in range(100):
    began = time.monotonic()
    agent.get("/metrics")
    took.append(1000 * (time.monotonic() - began))
  TABLE.put("scrape_ms", statistics.median(took))
  TABLE.put("scrape_cpu", 10 * (cpu_s(agent.process.pid) - before))


def memory(folder):
  t = harness.Case()
  try:
    with load(*BUSY, *BUSY[:2]):
      agent = Pushing(t, 99)
      agent.ready()
      time.sleep(32)
      start_mib = rss_mib(agent.process.pid)
      put_cpu("agent_busy_99", agent.process.pid, max(60 * TABLE.minutes, 10),
              perf_beside(99, folder))
      TABLE.put("rss", rss_mib(agent.process.pid),
                f"{start_mib:.1f} after half a minute, this is {TABLE.minutes:g} min later")
      TABLE.put("bpf_memory", agent.map_mib())
    storm_memory(agent)
  finally:
    t.close()


def storm_memory(agent):
  seen = []
  for _ in range(3):
    subprocess.run([storm.STORM, "--rate", "500", "--seconds", "15"], stdout=subprocess.DEVNULL,
                   check=False)
    seen.append(rss_mib(agent.process.pid))
  TABLE.put("storm_rss", seen[-1] - seen[0], ", ".join(f"{s:.1f}" for s in seen))


MAPPER = """
import mmap, os, sys, time
kept = []
for path in sys.argv[1:]:
  fd = os.open(path, os.O_RDONLY)
  kept.append(mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
time.sleep(600)
"""


def elf_files(n):
  """n ELF files of this host, programs and libraries, of all sizes."""
  found = []
  for folder in ("/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu"):
    for name in sorted(os.listdir(folder)):
      path = os.path.join(folder, name)
      if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
          if file.read(4) == b"\x7fELF":
            found.append(path)
  random.Random(1).shuffle(found)
  return found[:n]


def many_files(_folder):
  t = harness.Case()
  try:
    agent = Pushing(t, 99)
    agent.ready()
    before = agent.metric("bianque_map_entries", map="objects")
    t.start(*PYTHON, "-c", MAPPER, *elf_files(300))
    harness.wait_for("300 files", lambda: agent.metric("bianque_map_entries", map="objects") >=
                     before + 200, 60)  # some of before may go meanwhile
    time.sleep(20)
    TABLE.put("many_rss", rss_mib(agent.process.pid))
    TABLE.put("many_bpf", agent.map_mib())
  finally:
    t.close()


# ---- start ------------------------------------------------------------------------------------------

def stamp_s(text):
  """The log's time stamp as seconds of the day."""
  match = re.search(r"T(\d+):(\d+):([\d.]+)Z info  agent: sampling", text)
  return sum(float(g) * f for g, f in zip(match.groups(), (3600, 60, 1))) if match else None


def start_once(t, cache):
  """(to sampling, to ready, to all known, CPU s when ready) of one start."""
  began = time.time()
  agent = harness.Agent(t, f"agent.cache_dir={cache}", "profile.hz=19",
                        prefix=("nice", "-n", str(-PROMPT_NICE)))
  harness.wait_for("ready", lambda: (agent.try_get("/readyz") or harness.Reply(0, 0, 0)).status
                   == 200)
  ready, used = time.time() - began, cpu_s(agent.process.pid)
  harness.wait_for("all known", lambda: '"running_programs_known":true' in
                   agent.get("/api/v1/status").text.replace(" ", ""), 60)
  known = time.time() - began
  sampling = stamp_s(agent.log) - began % 86400
  harness.stop(agent.process)
  return sampling, ready, known, used


@contextlib.contextmanager
def prompt():
  """Who measures goes before those who are measured."""
  os.setpriority(os.PRIO_PROCESS, 0, PROMPT_NICE)
  try:
    yield
  finally:
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def start(folder):
  for name, busy in (("quiet", ()), ("busy", BUSY * 3 + BUSY[:1])):
    t = harness.Case()
    try:
      with load(*busy), prompt():
        time.sleep(1)
        cold = start_once(t, os.path.join(folder, f"cache-{name}"))
        warm = [start_once(t, os.path.join(folder, f"cache-{name}")) for _ in range(5)]
    finally:
      t.close()
    for i, what in enumerate(("sampling", "ready", "known", "cpu")):
      TABLE.put(f"start_{what}_{name}", statistics.median(w[i] for w in warm),
                f"cold cache {cold[i]:.2f}")


def unwindable_ms(agent, program):
  """How long a program that spins was copied after its exec, by its copied samples."""
  before = agent.metric("bianque_profile_copied_stacks_total")
  process = subprocess.Popen(["nice", "-n", "-19", "taskset", "-c", str(CPUS[0]), program,
                              "--seconds", "1"], stdout=subprocess.DEVNULL)
  process.wait()
  time.sleep(1.5)  # until the metric is published
  return 1000 * (agent.metric("bianque_profile_copied_stacks_total") - before) / 997


def exec_time(folder):
  t = harness.Case()
  try:
    agent = harness.Agent(t, "profile.hz=997", "agent.cpu_budget_pct=100")
    agent.ready()
    time.sleep(5)
    new, cached = [], []
    for i in range(7):
      # Another program for the cache: other rows make another key.
      path = os.path.join(folder, f"new-{i}")
      made = subprocess.run(["gcc", "-I", ROOT, "-D_GNU_SOURCE", "-O2", f"-DOTHER={i}", "-include",
                             write_filler(folder, i), "-o", path,
                             os.path.join(ROOT, "tests/workloads/shares.c"),
                             os.path.join(ROOT, "tests/workloads/truth.c")], check=False)
      if made.returncode == 0:
        new.append(unwindable_ms(agent, path))
        cached.append(unwindable_ms(agent, path))
    TABLE.put("exec_new", statistics.median(new), f"{min(new):.0f} to {max(new):.0f}")
    TABLE.put("exec_cached", statistics.median(cached), f"{min(cached):.0f} to {max(cached):.0f}")
  finally:
    t.close()


def write_filler(folder, i):
  """Functions that make a file of its own size."""
  path = os.path.join(folder, f"filler-{i}.h")
  with open(path, "w", encoding="ascii") as file:
    for n in range(50 + i):
      file.write(f"__attribute__((used)) static int filler_{n}(int x) {{ return x * {n + i}; }}\n")
  return path


# ---- the library ------------------------------------------------------------------------------------

def number(pattern, text):
  match = re.search(pattern, text, re.M)
  return float(match.group(1)) if match else None


def library(folder):
  files = [path for path in BIG_FILES if os.path.exists(path)]
  compiled = run_tool("unwind_bench", *files)
  say(compiled.strip())
  TABLE.put("compile", number(r"compile: ([\d.]+)", compiled))
  TABLE.put("records", number(r"records: ([\d.]+)", run_tool("resolve_bench")),
            f"{number(r'records: ([0-9.]+)', run_tool('resolve_bench', '100000', '2000')):.1f} "
            "with 100,000 distinct stacks")
  encoded = run_tool("export_bench")
  say(encoded.strip().splitlines()[0] if encoded.strip() else "export_bench says nothing")
  put_encode(encoded)
  symbols(folder)


def put_encode(text):
  """Of the rows `NAME  MS ms  MIB MiB out  MIB MiB peak`."""
  rows_by_name = {}
  for line in text.splitlines():
    match = re.match(r" *(.*?) +([\d.]+) ms +[\d.]+ MiB out +([\d.]+) MiB peak", line)
    if match:
      rows_by_name[match.group(1)] = f"{match.group(2)} ms, {match.group(3)} MiB"
  if "pprof" in rows_by_name:
    TABLE.put("encode", rows_by_name["pprof"], "; ".join(
        f"{name} {rows_by_name[name]}" for name in ("pprof, not compressed", "protobuf-c, whole tree")
        if name in rows_by_name))


def debug_file():
  """The largest file with DWARF among those that the tests install."""
  best, size = None, 0
  for folder, _, names in os.walk("/usr/lib/debug/.build-id"):
    for name in names:
      path = os.path.join(folder, name)
      if 20e6 < os.path.getsize(path) < 400e6 and os.path.getsize(path) > size:
        best, size = path, os.path.getsize(path)
  return best


def symbols(folder):
  path = debug_file()
  if not path:
    return
  found = run_tool("symbolize_bench", path, os.path.join(folder, "index"))
  say(found.strip().replace("\n", "; "))
  TABLE.put("find", number(r"find: ([\d.]+)", found))
  if not shutil.which("llvm-symbolizer"):
    return
  section = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, check=True)
  text = re.search(r" \.text +\S+ +([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+)", section.stdout.decode())
  begin, size = (int(g, 16) for g in text.groups())
  rand = random.Random(1)
  addresses = "".join(f"0x{begin + rand.randrange(size):x}\n" for _ in range(100000)).encode()
  cold = usage_of([BIANQUE, "symbolize", "--cache", os.path.join(folder, "cold"), "-i", "--json",
                   "-e", path], addresses)
  theirs = usage_of(["llvm-symbolizer", "-i", "-f", "-C", "-e", path], addresses)
  name = os.path.basename(path)
  TABLE.put("cold_time", cold[0] / theirs[0],
            f"{cold[0]:.2f} to {theirs[0]:.2f} CPU s, {os.path.getsize(path) / 1e6:.0f} MB ({name[:12]})")
  TABLE.put("cold_memory", cold[1] / theirs[1], f"{cold[1]:.0f} to {theirs[1]:.0f} MiB")


def store(folder):
  text = run_tool("store_bench", os.path.join(folder, "day"), "24", "20000")
  say(text.strip().replace("\n", "; "))
  value = {name: number(rf"^{name} ([\d.]+)", text) for name in (
      "store_cpu_pct", "store_worst_ms", "store_mib", "day_cpu_ms", "day_mib", "day_edges_cpu_ms",
      "day_threads_cpu_ms", "minutes15_cpu_ms")}
  TABLE.put("store_cpu", value["store_cpu_pct"], f"a window {value['store_worst_ms']:.0f} ms at most")
  TABLE.put("store_day", value["store_mib"])
  TABLE.put("day_read", value["day_cpu_ms"] / 1000,
            f"by thread {value['day_threads_cpu_ms'] / 1000:.2f} s, 15 minutes "
            f"{value['minutes15_cpu_ms']:.0f} ms")
  TABLE.put("day_memory", value["day_mib"])


GROUPS = {"kernel": kernel, "library": library, "store": store, "start": start, "storm": exec_storm, "user": user,
          "exec": exec_time, "files": many_files, "cpu": agent_cpu, "memory": memory}


def run_groups(names):
  for name in names:
    print(f"== {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bianque-bench.") as folder:
      try:
        GROUPS[name](folder)
      except (harness.Skipped, harness.Failed, OSError, RuntimeError, ValueError, TypeError,
              AttributeError) as why:
        print(f"   {name}: not measured: {why}", flush=True)


def machine():
  """The date and the machine in words; taken before its load is ours."""
  linux = ".".join(platform.release().split(".")[:2])
  return (f"{datetime.date.today().isoformat()}, {len(CPUS)} shared cores, Linux {linux}, cpu-clock, "
          f"load average {os.getloadavg()[0]:.1f} before it began")


def main():
  parser = argparse.ArgumentParser(description="The figures of the budgets.")
  parser.add_argument("--minutes", type=float, default=0.5)
  parser.add_argument("--readme", action="store_true")
  parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
  args = parser.parse_args()
  unknown = [name for name in args.groups if name not in GROUPS]
  if unknown:
    sys.exit(f"run.py: no group '{unknown[0]}'; there are {', '.join(GROUPS)}")
  if os.geteuid():
    sys.exit("run.py: needs root: sudo make bench")
  TABLE.minutes = args.minutes
  title = machine()
  with undisturbed(), contextlib.suppress(KeyboardInterrupt):  # then what there is so far
    run_groups(args.groups or GROUPS)
  table = TABLE.markdown(title)
  print(table)
  if args.readme:
    rows.put_into(os.path.join(ROOT, "README.md"), table)
  return 0


if __name__ == "__main__":
  sys.exit(main())
