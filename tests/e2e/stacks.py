#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds `bianque stacks` against eu-stack and gdb, and against what can go wrong.

  stacks.py [CASE...]      a case is a name of the list below, or the start of one

Chains are compared by address: every physical frame of every thread, from the leaf to the root.
Where a program runs it is stopped by SIGSTOP for that, so that all three see the same; where it is
blocked, it is not. Functions, inlined ones too, and lines are compared with gdb's.

Where eu-stack and gdb disagree, the one that gets further is right unless it leaves known code.
Prints a line a case that failed or was skipped, with its reason, and `N passed, N failed, N skipped`.
"""

import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
BIANQUE = os.path.join(BUILD, "bianque")
WAITS = os.path.join(BUILD, "e2e", "waits")
WORK = os.path.join(BUILD, "workloads")
NOBODY = 65534
TIMEOUT_S = 120


class Skip(Exception):
  """Why a case cannot run here."""


class Failed(Exception):
  """What is not as it should be."""


def expect(condition, text):
  if not condition:
    raise Failed(text)


def need(program):
  path = shutil.which(program)
  if not path:
    raise Skip(f"no {program}")
  return path


# ---- programs to look at ---------------------------------------------------------------------------


class Program:
  """A program that runs as long as the `with` block; ended with all its children."""

  def __init__(self, argv, ready=None, settle=0.5, cwd=None, env=None, user=None):
    if not os.path.exists(argv[0]):
      raise Skip(f"no {argv[0]}")
    self.argv, self.ready, self.settle = argv, ready, settle
    self.options = {"cwd": cwd, "env": env, "user": user, "group": user}

  def __enter__(self):
    self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, start_new_session=True,
                                    **self.options)
    self.pid = self.process.pid
    self.first_line = ""
    if self.ready is not None:
      self.first_line = self.process.stdout.readline().decode()
      expect(re.match(self.ready, self.first_line), f"{self.argv} said {self.first_line!r}")
    time.sleep(self.settle)
    expect(self.process.poll() is None, f"{self.argv} ended")
    return self

  def __exit__(self, *_):
    # Killed as a group: stopped ones, and those that waits for ever, too.
    try:
      os.killpg(self.pid, signal.SIGKILL)
    except ProcessLookupError:
      pass
    self.process.stdout.close()
    self.process.wait()

  def stop(self):
    os.kill(self.pid, signal.SIGSTOP)
    for _ in range(200):
      if all(state == "T" for state in states(self.pid).values()):
        return
      time.sleep(0.01)
    raise Failed(f"{self.argv} does not stop")

  def go(self):
    os.kill(self.pid, signal.SIGCONT)


def states(pid):
  found = {}
  for tid in os.listdir(f"/proc/{pid}/task"):
    try:
      with open(f"/proc/{pid}/task/{tid}/stat", encoding="latin-1") as f:
        found[int(tid)] = f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
      pass
  return found


# ---- the three of them -----------------------------------------------------------------------------


class Frame:
  def __init__(self, pc, name="", inlined=False, line=0, file="", kind="native", symbols=None):
    self.pc, self.name, self.inlined, self.line, self.file = pc, name, inlined, line, file
    self.kind, self.symbols = kind, symbols

  def __repr__(self):
    return f"{self.pc:#x} {self.name}"


class Biases:
  """Run-time address minus ELF virtual address, for each file that a process has mapped."""

  def __init__(self, pid):
    self.of = {}
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
      for line in maps:
        fields = line.rstrip("\n").split(maxsplit=5)
        if len(fields) < 6 or "x" not in fields[1]:
          continue
        start, offset = int(fields[0].split("-")[0], 16), int(fields[2], 16)
        path = fields[5].removesuffix(" (deleted)")
        if path == "[vdso]":
          self.of.setdefault(path, start)
        elif path.startswith("/"):
          self.add(path, start, offset)

  def add(self, path, start, offset):
    try:
      with open(path, "rb") as f:
        head = f.read(64)
        if head[:5] != b"\x7fELF\x02":
          return
        at, size, n = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
        f.seek(at)
        table = f.read(size * n)
    except OSError:
      return
    for i in range(n):
      kind, flags, off, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", table, i * size)
      if kind == 1 and flags & 1 and off - 4096 < offset < off + filesz:
        self.of.setdefault(path, start - (vaddr + offset - off))


class Symbols:
  """The addresses of the names in a file and in its debug file."""

  known = {}

  def __init__(self, path, build_id):
    self.addresses = {}
    for name in (path, f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"):
      if not os.path.isfile(name):
        continue
      table = run(["readelf", "--wide", "--symbols", name]).stdout.decode(errors="replace")
      for fields in map(str.split, table.splitlines()):
        if len(fields) >= 8 and fields[3] in ("FUNC", "NOTYPE", "IFUNC") and fields[6] != "UND":
          self.addresses.setdefault(fields[7].split("@")[0], set()).add(fields[1])

  @classmethod
  def of(cls, path, build_id):
    if (path, build_id) not in cls.known:
      cls.known[path, build_id] = cls(path, build_id)
    return cls.known[path, build_id]

  def same(self, a, b):
    """Two names of one function."""
    return bool(self.addresses.get(a, set()) & self.addresses.get(b, set()))


def run(argv, timeout=TIMEOUT_S, **options):
  return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, timeout=timeout, check=False, **options)


def bianque(*args, status=0, **options):
  done = run([BIANQUE, "stacks", *map(str, args)], **options)
  out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
  expect(done.returncode == status, f"stacks {args}: status {done.returncode}: {err or out[:300]}")
  return out, err


def ours(pid, *options, **how):
  """By tid: what --json says, with `chain`: user frames as Frame, leaf first."""
  threads = [json.loads(line) for line in bianque("--json", *options, pid, **how)[0].splitlines()]
  biases = Biases(pid)
  for thread in threads:
    thread["chain"] = []
    for f in thread["frames"]:
      if f["kind"] in ("kernel", "mark"):
        continue
      bias = biases.of.get(f["object"])
      pc = int(f["address"], 16) + bias if f["address"] and bias is not None else 0
      thread["chain"].append(Frame(pc, f["function"], f["inlined"], f["line"], f["file"],
                                   f["kind"], Symbols.of(f["object"], f["build_id"])))
  tids = [thread["tid"] for thread in threads]
  expect(tids == sorted(set(tids)), "threads are not ascending")
  return {thread["tid"]: thread for thread in threads}


def eu_stack(pid):
  """By tid: the pcs; and the tids on which it gave up."""
  need("eu-stack")
  done = run(["eu-stack", "-n", "2000", "-p", str(pid)])
  threads, tid = {}, 0
  for line in done.stdout.decode(errors="replace").splitlines():
    if match := re.match(r"TID (\d+):", line):
      tid = int(match[1])
      threads[tid] = []
    elif match := re.match(r"#\d+ +0x([0-9a-f]+)", line):
      threads[tid].append(Frame(int(match[1], 16)))
  gave_up = {int(tid) for tid in re.findall(r"tid (\d+) at", done.stderr.decode(errors="replace"))}
  return threads, gave_up


GDB = """
import gdb, json
gdb.execute("set backtrace limit 1500")
gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")
for thread in gdb.selected_inferior().threads():
  thread.switch()
  frames = []
  try:
    f = gdb.newest_frame()
    while f is not None and f.is_valid():
      sal = f.find_sal()
      # One that has jumped to its callee is no frame any more; gdb infers it.
      if f.type() != gdb.TAILCALL_FRAME:
        frames.append([f.pc(), f.name() or "", f.type() == gdb.INLINE_FRAME, sal.line,
                       sal.symtab.filename if sal.symtab else ""])
      f = f.older()
  except gdb.error:
    pass
  print("@" + json.dumps([thread.ptid[1], frames]))
"""


def gdb(pid):
  """By tid: frames with names, inlined ones among them."""
  need("gdb")
  with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
    script.write(GDB)
    script.flush()
    done = run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex",
                "set auto-load off", "-p", str(pid), "-x", script.name])
  threads = {}
  for line in done.stdout.decode(errors="replace").splitlines():
    if line.startswith("@"):
      tid, frames = json.loads(line[1:])
      threads[tid] = [Frame(pc, name, inlined, number, file)
                      for pc, name, inlined, number, file in frames]
  expect(threads, f"gdb says nothing: {done.stderr.decode(errors='replace')[-300:]}")
  return threads


# ---- comparing -------------------------------------------------------------------------------------


def physical(chain):
  return [f for f in chain if not f.inlined]


def same_pc(i, our, their):
  # Of a caller we say the last byte of its call; a frame that a signal interrupted is exact.
  return our.pc == their.pc or (i > 0 and our.pc == their.pc - 1)


def equal_frames(chain, oracle):
  """How many frames from the leaf on are equal."""
  n = 0
  for i, (our, their) in enumerate(zip(chain, oracle)):
    if not same_pc(i, our, their):
      break
    n += 1
  return n


def compare_chains(threads, oracles, truncated=False, roots=()):
  """Every thread's chain equals that of an oracle; eu-stack first, gdb where eu-stack gave up.
  An oracle that ends early (no unwind rows) must agree as far as it goes. roots: functions behind
  which oracles, or we, cannot go: without unwind rows, or Go's that leave a stack."""
  checked = 0
  for tid, thread in threads.items():
    chain = physical(thread["chain"])
    ends = [i for i, frame in enumerate(chain) if frame.name in roots]
    chain = chain[:ends[0] + 1] if ends else chain
    if not truncated and not ends:
      expect(thread["whole"], f"tid {tid} ends with {thread['stop']}: {chain[-3:]}")
    reasons = []
    for name, by_tid, gave_up in oracles:
      oracle = by_tid.get(tid)
      if not oracle:
        reasons.append(f"{name} has no such thread")
        continue
      n = equal_frames(chain, oracle)
      if (ends and n == len(chain)) or n == len(chain) == len(oracle) or (n == len(oracle) and tid in gave_up) or (
          truncated and n == min(len(chain), len(oracle))):
        checked += 1
        break
      reasons.append(f"{name} agrees on {n} of {len(chain)} (it has {len(oracle)}): ours goes on "
                     f"{chain[n:n + 3]}, its {oracle[n:n + 3]}")
    else:
      raise Failed(f"tid {tid}: " + "; ".join(reasons))
  return checked


def bare(name):
  """The last part of a name, without what the two write differently: parameters and types, versions,
  Go's and Rust's marks, the type that a Rust function belongs to."""
  name = re.sub(r"@.*| \[clone .*|\[[0-9a-f]{8,16}\]", "", name).replace("->", "")
  depth, kept = 0, ""
  for c in name if "operator" not in name else "":
    depth += (c in "<({") - (c in ">)}")
    if depth == 0 and c not in ">)}":
      kept += c
  return (kept or name).removesuffix(".abi0").removesuffix("::").rsplit("::", 1)[-1]


def same_name(our, their):
  a, b = bare(our.name), bare(their.name)
  return a == b or (our.symbols and our.symbols.same(a, b))


def compare_names(threads, by_tid, roots=()):
  """Functions and inlined ones as gdb names them, and the line where both know one; as far as the
  physical frames are the same, and up to roots."""
  checked = 0
  for tid, thread in threads.items():
    theirs, chain = by_tid.get(tid, []), thread["chain"]
    n_equal = equal_frames(physical(chain), physical(theirs))
    for our, their in zip(chain, theirs):
      if n_equal <= 0:
        break
      n_equal -= not our.inlined
      if not their.name:
        continue
      where = f"tid {tid} at {their}: ours {our} {our.file}:{our.line}, gdb {their.file}:{their.line}"
      expect(same_name(our, their), where)
      if our.line and their.line:
        expect(our.line == their.line, where)
      checked += 1
      if our.name in roots:
        break
  return checked


def against_oracles(pid, names=True, roots=()):
  threads = ours(pid)
  eu, gave_up = eu_stack(pid)
  by_gdb = gdb(pid)
  expect(set(threads) == set(eu) == set(by_gdb), "not the same threads")
  n = compare_chains(threads, [("eu-stack", eu, gave_up), ("gdb", by_gdb_physical(by_gdb), set())],
                     roots=roots)
  if names:
    expect(compare_names(threads, by_gdb, roots), "gdb names nothing")
  return n


def by_gdb_physical(threads):
  # gdb gives an inlined frame the pc of the frame that holds it.
  return {tid: physical(frames) for tid, frames in threads.items()}


# ---- cases -----------------------------------------------------------------------------------------

CASES = {}


def case(function):
  CASES[function.__name__.replace("_", "-")] = function
  return function


def workload(name, mode="", snapshots=3, names=True, **how):
  def run_case():
    argv = [os.path.join(WORK, name), *([mode] if mode else []), "--seconds", "1000"]
    with Program(argv) as program:
      for _ in range(snapshots):
        program.stop()
        against_oracles(program.pid, names=names, **how)
        program.go()
        time.sleep(0.11)
  CASES[f"{name}-{mode}" if mode else name] = run_case


for work_name, work_mode in (
    ("shares", ""), ("shares-nopie", ""), ("shares-static", ""), ("shares-fp", ""), ("shares-debugfr", ""), ("shares-clang", ""),
    ("stacks", "recurse500"), ("stacks", "huge"), ("stacks", "realign"), ("stacks", "setjmp"),
    ("stacks", "noreturn"), ("stacks", "tail"), ("signals", "alt"), ("signals", "normal"),
    ("signals", "self"), ("signals", "nested"), ("threads", ""), ("cxx", "shares"),
    ("cxx", "caught"), ("rust", "")):
  workload(work_name, work_mode)
workload("shares-stripped", names=False)
workload("shares-musl", roots=("libc_start_main_stage2", "__libc_start_main", "_start_c", "_start"))
# Where Go leaves a goroutine's stack, and where its own threads begin.
GO_ROOTS = ("runtime.clone", "runtime.mcall", "runtime.mstart", "crosscall1", "runtime.morestack",
            "runtime.systemstack", "runtime.asmcgocall", "runtime.sigtramp", "runtime.sigreturn")
workload("golang", roots=GO_ROOTS)
workload("golang-cgo", roots=GO_ROOTS)


@case
def too_deep():
  """3,000 frames: the limit of 1,024, said."""
  with Program([os.path.join(WORK, "stacks"), "recurse3000", "--seconds", "1000"]) as program:
    program.stop()
    thread = ours(program.pid)[program.pid]
    expect(len(physical(thread["chain"])) == 1024, f"{len(thread['chain'])} frames")
    expect(not thread["whole"] and thread["stop"] == "truncated", thread["stop"])
    expect(thread["frames"][-1]["function"] == "[truncated]", "no mark")
    eu, _ = eu_stack(program.pid)
    compare_chains({program.pid: thread}, [("eu-stack", eu, set())], truncated=True)


@case
def a_hundred_threads():
  with Program([WAITS, "100"], ready="ready") as program:
    threads = ours(program.pid)
    expect(len(threads) == 101, f"{len(threads)} threads")
    blocked = {tid: t for tid, t in threads.items() if t["state"] != "running"}
    expect(len(blocked) >= 98, f"only {len(blocked)} blocked")
    expect(all(t["how"] == "off_cpu" for t in blocked.values()), "a blocked thread was sampled")
    expect(all(any(f["kind"] == "kernel" for f in t["frames"]) for t in blocked.values()),
           "no kernel frames")
    # Nothing was stopped: those that wait are compared as they are.
    eu, gave_up = eu_stack(program.pid)
    compare_chains(blocked, [("eu-stack", eu, gave_up)])
    for tid in set(threads) - set(blocked):
      chain = [f.name for f in threads[tid]["chain"] if not f.inlined]
      expect("wait_forever" in chain and "thread_main" in chain and threads[tid]["whole"],
             f"a running thread: {chain}")
    program.stop()
    against_oracles(program.pid)


@case
def threads_that_wake_up_all_the_time():
  with Program([WAITS, "wakes"]) as program:
    for _ in range(10):
      for thread in ours(program.pid).values():
        chain = [f.name for f in physical(thread["chain"])]
        expect(thread["whole"] and "waker" in chain, f"{thread['how']}: {chain}")


@case
def running_threads():
  """As many as there are CPUs and two more; each has its whole chain."""
  with Program([os.path.join(WORK, "threads"), "--seconds", "1000"]) as program:
    how = set()
    for _ in range(20):
      for thread in ours(program.pid).values():
        expect(thread["whole"], f"{thread['how']} {thread['stop']}: {thread['chain']}")
        how.add(thread["how"])
    expect("sampled" in how, f"none was sampled in 20 looks: {how}")


@case
def a_deep_running_thread():
  """Its stack is longer than a sample's copy of it."""
  with Program([os.path.join(WORK, "stacks"), "huge", "--seconds", "1000"]) as program:
    whole = [ours(program.pid)[program.pid]["whole"] for _ in range(20)]
    expect(all(whole), f"{whole.count(False)} of 20 are not whole")


@case
def stopped_by_ptrace():
  with Program([WAITS, "30"], ready="ready") as program:
    threads = ours(program.pid, "--stop")
    expect(all(t["how"] == "stopped" for t in threads.values()), "not all are stopped")
    running = {tid for tid, t in threads.items() if t["state"] == "running"}
    blocked = {tid: t for tid, t in threads.items() if tid not in running}
    eu, gave_up = eu_stack(program.pid)
    compare_chains(blocked, [("eu-stack", eu, gave_up)])
    expect("T" not in states(program.pid).values() and "t" not in states(program.pid).values(),
           "left stopped")
    program.stop()
    against_oracles(program.pid)
    expect(compare_chains(ours(program.pid, "--stop"), [("eu-stack", *eu_stack(program.pid))]) == 31,
           "not all equal")
    expect(set(states(program.pid).values()) == {"T"}, "a stopped process was let go")


@case
def no_signal_is_lost():
  with Program([WAITS, "signals"], ready="0") as program:
    for i in range(1, 101):
      if i % 4 == 0: # in the middle of it
        looking = subprocess.Popen([BIANQUE, "stacks", "--stop", str(program.pid)],
                                   stdout=subprocess.DEVNULL)
        time.sleep(i / 2000)
        os.kill(program.pid, signal.SIGUSR1)
        expect(looking.wait(TIMEOUT_S) == 0, "stacks --stop fails")
      else:
        os.kill(program.pid, signal.SIGUSR1)
      if not select.select([program.process.stdout], [], [], 5)[0]:
        raise Failed(f"signal {i} of 100 did not arrive")
      said = int(program.process.stdout.readline())
      expect(said == i, f"{said} signals instead of {i}")


@case
def nothing_is_stopped():
  """No ptrace, no signal: by strace."""
  need("strace")
  with Program([WAITS, "100"], ready="ready") as program:
    done = run(["strace", "-f", "-e", "trace=ptrace,kill,tkill,tgkill", "-o", "/dev/stdout", BIANQUE,
                "stacks", "--json", str(program.pid)])
    calls = [line for line in done.stdout.decode(errors="replace").splitlines()
             if re.search(r"\b(ptrace|t?g?kill)\(", line)]
    expect(done.returncode == 0 and not calls, f"status {done.returncode}, {calls[:3]}")


@case
def threads_that_come_and_go():
  with Program([WAITS, "churn"]) as program:
    n = whole = 0
    for _ in range(20):
      for thread in ours(program.pid).values():
        n += 1
        # glibc has no unwind rows where one thread becomes two.
        whole += thread["whole"] or thread["chain"][-1].name in ("__clone3", "clone3")
    expect(whole >= 0.98 * n, f"{whole} of {n} whole")


@case
def execs_without_end():
  with Program([WAITS, "exec"]) as program:
    taken = 0
    for _ in range(30):
      done = run([BIANQUE, "stacks", str(program.pid)])
      text = done.stderr.decode() + done.stdout.decode(errors="replace")
      expect(done.returncode in (0, 1), f"status {done.returncode}: {text[:200]}")
      expect(done.returncode == 0 or "ended meanwhile" in text or "cannot be" in text, text[:200])
      taken += done.returncode == 0
    expect(taken >= 25, f"{taken} of 30 looks have an answer")


@case
def the_first_thread_has_ended():
  with Program([WAITS, "leader"]) as program:
    threads = ours(program.pid)
    expect(threads[program.pid]["how"] == "ended", threads[program.pid]["how"])
    rest = [t for tid, t in threads.items() if tid != program.pid]
    expect(len(rest) == 20 and all(t["whole"] for t in rest), "not all of the others are whole")


@case
def the_number_of_a_thread():
  with Program([WAITS, "10"], ready="ready") as program:
    tid = max(states(program.pid))
    expect(set(ours(program.pid)) == {t["tid"] for t in map(
        json.loads, bianque("--json", tid)[0].splitlines())}, "not the whole process")


@case
def python_program():
  code = ("import threading, time\n"
          "def inner(): time.sleep(1000)\n"
          "for _ in range(5): threading.Thread(target=inner, daemon=True).start()\n"
          "print('ready', flush=True)\n"
          "threading.Lock().acquire() and threading.Event().wait()\n")
  python = os.path.realpath(sys.executable)
  with Program([python, "-c", code], ready="ready") as program:
    expect(len(ours(program.pid)) == 6, "not six threads")
    against_oracles(program.pid)


@case
def java_program():
  """Frames of interpreted and compiled code are not in files: up to them all is equal, and threads
  of the machine itself are equal to the root."""
  javac, java = need("javac"), need("java")
  with tempfile.TemporaryDirectory() as work:
    with open(os.path.join(work, "Waits.java"), "w", encoding="utf-8") as f:
      f.write("public class Waits { public static void main(String[] a) throws Exception {"
              "System.out.println(\"ready\"); Thread.sleep(1000000); } }")
    expect(run([javac, "-d", work, f.name]).returncode == 0, "javac fails")
    with Program([os.path.realpath(java), "-Xmx64m", "-cp", work, "Waits"], ready="ready",
                 settle=3) as program:
      program.stop()
      threads = ours(program.pid)
      eu, _ = eu_stack(program.pid)
      native = equal = 0
      for tid, thread in threads.items():
        chain = physical(thread["chain"])
        jit = [i for i, f in enumerate(chain) if f.kind == "jit"]
        stop = jit[0] if jit else len(chain)
        n = equal_frames(chain[:stop], eu[tid])
        expect(n == stop, f"tid {tid} {thread['comm']}: equal up to {n} of {stop}: {chain[n:n + 2]}, "
                          f"{eu[tid][n:n + 2]}")
        native += not jit
        equal += not jit and n == len(eu[tid]) and thread["whole"]
      expect(native >= 10 and equal == native, f"{equal} of {native} native threads are equal")


@case
def postgres_server():
  initdb, postgres = need("initdb"), need("postgres")
  if os.geteuid():
    raise Skip("not root")
  with tempfile.TemporaryDirectory() as work:
    os.chmod(work, 0o755)
    data = os.path.join(work, "data")
    os.mkdir(data)
    os.chown(data, NOBODY, NOBODY)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    done = run([initdb, "-D", data, "-A", "trust", "-N"], user=NOBODY, group=NOBODY, env=env, cwd=data,
               extra_groups=[])
    if done.returncode:
      raise Skip("initdb fails: " + done.stderr.decode(errors="replace")[-200:].strip())
    with Program([postgres, "-D", data, "-c", "listen_addresses=", "-k", data], cwd=data, env=env,
                 user=NOBODY, settle=3) as program:
      with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as f:
        pids = [program.pid, *map(int, f.read().split())]
      expect(len(pids) >= 5, f"{len(pids)} processes")
      for pid in pids:
        eu, gave_up = eu_stack(pid)
        compare_chains(ours(pid), [("eu-stack", eu, gave_up)])


@case
def a_stripped_program():
  with Program([need("sleep"), "1000"]) as program:
    eu, gave_up = eu_stack(program.pid)
    compare_chains(ours(program.pid), [("eu-stack", eu, gave_up)])
    out, _ = bianque(program.pid)
    expect(re.match(rf"{program.pid} sleep\n(  \S.* \(\S+\)( \S.*:\d+)?\n)+$", out), out)


@case
def names_with_control_characters():
  with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "a\x1b[31m\nb")
    shutil.copy(need("sleep"), path)
    with Program([path, "1000"]) as program:
      out, _ = bianque(program.pid)
      expect("\x1b" not in out and out.startswith(f"{program.pid} a?[31m?b\n"), out)
      expect(ours(program.pid)[program.pid]["comm"] == "a\x1b[31m\nb", "comm in JSON")


@case
def a_program_that_was_replaced():
  with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "waits")
    shutil.copy(WAITS, path)
    with Program([path, "5"], ready="ready") as program:
      os.unlink(path)
      shutil.copy("/bin/true", path)
      for thread in ours(program.pid).values():
        names = [f.name for f in thread["chain"]]
        expect(thread["whole"] and "deeper" in names, f"{thread['stop']}: {names}")


@case
def no_such_process():
  _, err = bianque(2**22 + 7, status=1)
  expect("there is no process" in err, err)
  for args in ((), ("x",), ("0",), ("1", "2"), ("-1",), ("--nonsense", "1")):
    _, err = bianque(*args, status=2)
    expect("see bianque stacks --help" in err, err)


@case
def a_zombie():
  with Program([WAITS, "zombie"], ready=r"\d+") as program:
    _, err = bianque(int(program.first_line), status=1)
    expect("has ended" in err and str(program.pid) in err, err)


@case
def a_kernel_thread():
  if not os.path.exists("/proc/2/stack"):
    raise Skip("no kernel thread is to be seen")
  with open("/proc/2/stat", encoding="ascii") as f:
    if "(kthreadd)" not in f.read():
      raise Skip("pid 2 is not kthreadd")
  out, _ = bianque(2)
  expect(re.match(r"2 kthreadd\n(  \S+ \(\[kernel\]\)\n)+$", out), out)


def as_nobody():
  if os.geteuid():
    raise Skip("not root")
  work = tempfile.mkdtemp()
  os.chmod(work, 0o755)
  shutil.copy(BIANQUE, work)
  shutil.copy(WAITS, work)
  return work


@case
def not_allowed():
  work = as_nobody()
  try:
    with Program([WAITS, "2"], ready="ready") as program:
      for option in ([], ["--stop"]):
        done = run([os.path.join(work, "bianque"), "stacks", *option, str(program.pid)], user=NOBODY,
                   group=NOBODY, extra_groups=[])
        text = done.stderr.decode()
        expect(done.returncode == 1 and "run it as root" in text, f"{done.returncode}: {text}")
  finally:
    shutil.rmtree(work)


@case
def without_privileges():
  """One's own program, by pc and sp alone: what is shown is right, what is not known is said."""
  work = as_nobody()
  try:
    with Program([os.path.join(work, "waits"), "30"], ready="ready", user=NOBODY) as program:
      done = run([os.path.join(work, "bianque"), "stacks", "--json", str(program.pid)], user=NOBODY,
                 group=NOBODY, extra_groups=[])
      text = done.stderr.decode()
      if done.returncode and "ptrace_scope" in text:
        raise Skip("Yama forbids it")
      expect(done.returncode == 0 and "only pc and sp" in text, f"{done.returncode}: {text}")
      biases, whole = Biases(program.pid), 0
      eu, _ = eu_stack(program.pid)
      threads = [json.loads(line) for line in done.stdout.splitlines()]
      blocked = [t for t in threads if t["how"] == "pc_sp"]
      expect(len(threads) == 31 and len(blocked) >= 28, f"{len(blocked)} blocked of {len(threads)}")
      for t in blocked:
        chain = [Frame(int(f["address"], 16) + biases.of[f["object"]], f["function"])
                 for f in t["frames"] if f["kind"] == "native" and not f["inlined"]]
        n = equal_frames(chain, eu[t["tid"]])
        expect(n == len(chain), f"tid {t['tid']}: wrong behind frame {n}: {chain[n:n + 2]}")
        expect(t["whole"] == (n == len(eu[t["tid"]])), "an early end that is not said")
        whole += t["whole"]
      expect(whole > len(blocked) / 3, f"{whole} of {len(blocked)} are whole")
  finally:
    shutil.rmtree(work)


@case
def in_a_pid_namespace():
  need("unshare")
  script = f"sleep 1000 & sleep 0.3; {BIANQUE} stacks $!; kill $!"
  done = run(["unshare", "--pid", "--fork", "--mount-proc", "bash", "-c", script])
  out, err = done.stdout.decode(), done.stderr.decode()
  if "unshare" in err:
    raise Skip(err.strip())
  expect("PID namespace" in err and "__libc_start_main" in out, f"{err} {out}")


@case
def a_namespace_within():
  """From outside: mappings, files and symbols of a process in other namespaces."""
  need("unshare")
  with Program(["/usr/bin/unshare", "--pid", "--mount", "--fork", "--mount-proc", WAITS, "5"],
               ready="ready") as program:
    with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as f:
      pid = int(f.read().split()[0])
    eu, gave_up = eu_stack(pid)
    threads = {tid: t for tid, t in ours(pid).items() if t["state"] != "running"}
    expect(len(threads) >= 5, f"{len(threads)} threads")
    compare_chains(threads, [("eu-stack", eu, gave_up)])


@case
def ten_thousand_threads():
  """Not too slow, and all there."""
  with Program([WAITS, "10000"], ready="ready") as program:
    start = time.monotonic()
    out, _ = bianque("--json", program.pid)
    took = time.monotonic() - start
    threads = [json.loads(line) for line in out.splitlines()]
    whole = sum(t["whole"] for t in threads)
    expect(len(threads) == 10001 and whole == 10001, f"{whole} of {len(threads)} whole")
    print(f"     10,001 threads in {took:.1f} s")


def main():
  wanted = sys.argv[1:]
  counts = {"passed": 0, "failed": 0, "skipped": 0}
  for name, run_case in CASES.items():
    if wanted and not any(name.startswith(w) for w in wanted):
      continue
    try:
      run_case()
      counts["passed"] += 1
      print(f"ok   {name}")
    except Skip as why:
      counts["skipped"] += 1
      print(f"skip {name}: {why}")
    except Failed as why:
      counts["failed"] += 1
      print(f"FAIL {name}: {why}")
    except Exception:  # pylint: disable=broad-except
      counts["failed"] += 1
      print(f"FAIL {name}: {traceback.format_exc()}")
    sys.stdout.flush()
  print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
  return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
  sys.exit(main())
