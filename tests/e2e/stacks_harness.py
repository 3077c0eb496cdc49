# SPDX-License-Identifier: Apache-2.0
"""What tests/e2e/stacks.py is made of: programs to look at, `bianque stacks`, eu-stack and gdb read into
one shape, and their comparison. Chains are compared by address, functions and lines with gdb's."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

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


def without_caller(chain):
  # An oracle that steps by the frame pointer from a leaf that has none skips the leaf's caller.
  return chain[:1] + chain[2:]


def compare_chains(threads, oracles, truncated=False, roots=(), frameless=False):
  """Every thread's chain equals that of an oracle; eu-stack first, gdb where eu-stack gave up.
  An oracle that ends early (no unwind rows) must agree as far as it goes. roots: functions behind
  which oracles, or we, cannot go: without unwind rows, or Go's that leave a stack. frameless: leaves
  have neither frame pointer nor unwind rows."""
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
      if frameless and equal_frames(without_caller(chain), oracle) == len(chain) - 1 >= 5:
        checked += 1
        break
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


def against_oracles(pid, names=True, **how):
  threads = ours(pid)
  eu, gave_up = eu_stack(pid)
  by_gdb = gdb(pid)
  expect(set(threads) == set(eu) == set(by_gdb), "not the same threads")
  n = compare_chains(threads, [("eu-stack", eu, gave_up), ("gdb", by_gdb_physical(by_gdb), set())],
                     **how)
  if names:
    expect(compare_names(threads, by_gdb, how.get("roots", ())), "gdb names nothing")
  return n


def by_gdb_physical(threads):
  # gdb gives an inlined frame the pc of the frame that holds it.
  return {tid: physical(frames) for tid, frames in threads.items()}
