#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records every truth program with one recorder and prints a table of what it got right.

  truth.py [-r perf-fp|perf-dwarf|gdb|bianque] [--seconds 5] [--hz 997] [--no-check]
           [--running S] [--known FILE] [--again N] [NAME[:MODE]...]

gdb is no profiler: it stops the program some times and shows the stack, which proves that what a
truth program says of itself is true.

Programs are those of build/workloads (`make workloads`). With --no-check (a table of what a peer
does) the exit status is 0 whatever the figures are; else 1 when a row is below the thresholds of
check_folded.py. A program that this machine cannot run is a row that says why.

--running S (bianque only): a program of one process has been running for S seconds when its recording
begins. An emulated machine is so slow that the start of a program and of the recorder would be most of
what is seen. Those of many processes are recorded from their start on all the same.

--again N: a row below a threshold is recorded once more for N times as long, since on a busy
machine the first milliseconds of a program may weigh much. FILE of --known has lines
`NAME[:MODE] REASON`, # begins a comment: such a row below a threshold is printed with its reason and
counts as skipped, one that holds is named at the end, so that its line goes.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

import check_folded
import perf_fold

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORKLOADS = os.path.join(ROOT, "build", "workloads")
BIANQUE = os.path.join(ROOT, "build", "bianque")
# Parts of other programs.
PARTS = ("execs-b", "storm-a", "storm-b", "storm-c")
MANY_PROCESSES = ("execs-a", "procs", "storm")
IN_A_CHILD = MANY_PROCESSES + ("placed",)
OFF = 77
SLACK_S = 120  # beyond --seconds: start, symbols, writing


class Recorder:
  """How a profiler is run around a command and its output brought to folded text."""

  def __init__(self, hz, work):
    self.hz, self.work = hz, work

  def run(self, argv, timeout):
    """(exit status, output of both kinds)."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


class Perf(Recorder):
  """perf record, with frame pointers or with copies of the stack."""

  inline = False

  def __init__(self, hz, work, graph):
    super().__init__(hz, work)
    self.graph = graph

  def record(self, argv, expected, timeout):
    data = os.path.join(self.work, "perf.data")
    # A process's own clock begins with it: one that lives for less than a period is never
    # sampled. So where processes come and go, the CPUs are sampled.
    del expected
    where = ["-a"] if os.path.basename(argv[0]) in MANY_PROCESSES else []
    status, text = self.run(["perf", "record", "-q", *where, "-F", str(self.hz), "-e", "cpu-clock",
                             "--call-graph", self.graph, "-o", data, "--", *argv], timeout)
    if status:
      return status, text, ""
    script = subprocess.run(["perf", "script", "-i", data, "--no-inline", "--max-stack", "4096",
                             "-F", "comm,ip,sym,dso"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    stacks = perf_fold.fold(script.stdout.decode(errors="replace").splitlines())
    return 0, text, "".join(f"{stack} {count}\n" for stack, count in stacks.items())


class Gdb(Recorder):
  """gdb's backtrace of the thread that runs, again and again."""

  inline = False
  FRAME = re.compile(r"^#\d+ +(?:0x[0-9a-f]+ in )?(.*?)(?: \(.*)?$")

  def record(self, argv, expected, timeout):
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as program:
      folded = ""
      time.sleep(0.3)
      while program.poll() is None:
        folded += self.backtrace(program.pid, expected)
      return program.returncode, program.stdout.read().decode(errors="replace"), folded

  def backtrace(self, pid, expected):
    pid, comm = self.busiest(pid, expected)
    if not pid:
      time.sleep(0.01)
      return ""
    text = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-iex",
                           "set debuginfod enabled off", "-iex", "set print frame-arguments none",
                           "-ex", "set backtrace past-main on", "-ex", "bt"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False).stdout.decode(errors="replace")
    frames = [self.FRAME.match(line) for line in text.splitlines() if line.startswith("#")]
    names = [(f.group(1) if f else "?").replace(";", ":").split(" at ")[0] for f in frames]
    return ";".join([comm] + names[::-1]) + " 1\n" if names else ""

  @staticmethod
  def busiest(pid, expected):
    """Of the process and its descendants, one that runs and has an expected name."""
    pids, found = [pid], (0, "")
    while pids:
      pid = pids.pop()
      try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
          head, _, tail = stat.read().rpartition(") ")
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as children:
          pids += map(int, children.read().split())
      except OSError:
        continue
      comm = head.partition("(")[2]
      if tail[0] == "R" and check_folded.fnmatchcase(comm, expected.comm):
        found = (pid, comm)
    return found


class Bianque(Recorder):
  """bianque record."""

  inline = True

  def __init__(self, hz, work, running, seconds):
    super().__init__(hz, work)
    self.running, self.seconds = running, seconds

  def record(self, argv, expected, timeout):
    del expected
    out = os.path.join(self.work, "out.folded")
    command = [BIANQUE, "record", "-F", str(self.hz), "-f", "folded", "-o", out]
    if self.running and os.path.basename(argv[0]) not in IN_A_CHILD:
      status, text = self.record_running(command, argv, timeout)
    else:
      status, text = self.run([*command, "--", *argv], timeout)
    if status:
      return status, text, ""
    return 0, text, check_folded.read(out)

  def record_running(self, command, argv, timeout):
    argv = [*argv[:-1], str(timeout)]  # its --seconds: until it is ended
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as program:
      time.sleep(self.running)
      if program.poll() is not None:
        return program.returncode, program.stdout.read().decode(errors="replace")
      try:
        return self.run([*command, "-d", str(self.seconds), "-p", str(program.pid)], timeout)
      finally:
        program.kill()


RECORDERS = {
    "perf-fp": lambda args, work: Perf(args.hz, work, "fp"),
    "perf-dwarf": lambda args, work: Perf(args.hz, work, "dwarf,16384"),
    "gdb": lambda args, work: Gdb(args.hz, work),
    "bianque": lambda args, work: Bianque(args.hz, work, args.running, args.seconds),
}


def output_of(program, *args):
  return subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        timeout=30, check=True).stdout.decode()


def programs(wanted):
  """(name, mode) of all programs, or of those wanted; mode "" is the only one."""
  try:
    names = sorted(n for n in os.listdir(WORKLOADS)
                   if os.access(os.path.join(WORKLOADS, n), os.X_OK) and "." not in n)
  except OSError:
    names = []
  if not names:
    sys.exit("truth.py: no truth program is built; run `make workloads`")
  rows = [(name, mode) for name in names if name not in PARTS
          for mode in output_of(os.path.join(WORKLOADS, name), "--modes").split("\n")[:-1]]
  if not wanted:
    return rows
  chosen = [row for row in rows if row[0] in wanted or ":".join(row) in wanted]
  unknown = [w for w in wanted if not any(w in (n, f"{n}:{m}") for n, m in rows)]
  if unknown:
    sys.exit(f"truth.py: no truth program '{unknown[0]}'")
  return chosen


def read_known(path):
  """Reasons by row."""
  rows = {}
  for line in check_folded.read(path).splitlines() if path else ():
    row, _, reason = line.partition("#")[0].strip().partition(" ")
    if row:
      rows[row] = reason.strip()
  return rows


def run_row(recorder, name, mode, args, seconds):
  """(what to print, whether it holds)."""
  program = os.path.join(WORKLOADS, name)
  command = [program] + ([mode] if mode else [])
  expected = check_folded.parse_expectation(output_of(*command, "--expect"), not recorder.inline)
  try:
    status, text, folded = recorder.record(command + ["--seconds", str(seconds)], expected,
                                           seconds + SLACK_S)
  except subprocess.TimeoutExpired:
    return f"failed: still running after {seconds + SLACK_S} s", False
  last = text.strip().split("\n")[-1]
  if status == OFF:
    return f"off: {last}", None
  if status:
    return f"failed: exit status {status}: {last}", False
  result = check_folded.check(expected, check_folded.parse_folded(folded))
  bad = check_folded.verdict(result, args)
  line = (f"{result.samples:8} {result.whole_pct:8.2f} {result.chain_pct:8.2f} "
          f"{result.worst:8.2f}  {'; '.join(bad) or 'ok'}")
  if args.show and result.broken:
    for stack, count in result.broken.most_common(args.show):
      line += f"\n    {count} {stack if len(stack) < 400 else stack[:200] + ' ... ' + stack[-200:]}"
  return line, not bad


def run_rows(recorder, known, args):
  """How many hold (True), do not (False) and are skipped (None), and the known ones that hold."""
  counts, gone = {True: 0, False: 0, None: 0}, []
  for name, mode in programs(args.programs):
    row = f"{name}:{mode}" if mode else name
    line, holds = run_row(recorder, name, mode, args, args.seconds)
    if holds is False and row in known:
      line, holds = f"{line}\n    known: {known[row]}", None
    elif holds is False and args.again:
      print(f"{row:24} {line}\n    again", flush=True)
      line, holds = run_row(recorder, name, mode, args, args.seconds * args.again)
    elif holds and row in known:
      gone.append(row)
    print(f"{row:24} {line}", flush=True)
    counts[holds] += 1
  return counts, gone


def main():
  parser = argparse.ArgumentParser(description="The truth programs under one recorder.")
  parser.add_argument("-r", "--recorder", choices=RECORDERS, default="bianque")
  parser.add_argument("--seconds", type=int, default=5)
  parser.add_argument("--hz", type=int, default=997)
  parser.add_argument("--no-check", action="store_true")
  parser.add_argument("--known", metavar="FILE", help="rows that are known not to hold, and why")
  parser.add_argument("--running", type=int, default=0, metavar="S")
  parser.add_argument("--again", type=int, default=0, metavar="N")
  parser.add_argument("--show", type=int, default=0, help="unmatched stacks printed per row")
  check_folded.add_limits(parser)
  parser.add_argument("programs", nargs="*", metavar="NAME[:MODE]")
  args = parser.parse_args()
  known = read_known(args.known)
  print(f"{args.recorder}, {args.hz} Hz, {args.seconds} s each; %, %, points")
  print(f"{'program':24} {'samples':>8} {'whole':>8} {'chains':>8} {'error':>8}")
  with tempfile.TemporaryDirectory(prefix="bianque-truth.") as work:
    counts, gone = run_rows(RECORDERS[args.recorder](args, work), known, args)
  for row in gone:
    print(f"known no longer: {row}; take its line out of {args.known}")
  print(f"{counts[True]} passed, {counts[False]} failed, {counts[None]} skipped")
  return 1 if counts[False] and not args.no_check else 0


if __name__ == "__main__":
  sys.exit(main())
