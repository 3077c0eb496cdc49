#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The exec storm under a recorder, with a perf beside it that only counts.

  storm.py [-r bianque|perf-fp|perf-dwarf] [--rate 500] [--seconds 10] [--hz 997] [--check]

Runs build/workloads/storm (`make workloads`) while `perf record -e cpu-clock -a` without stacks
and the recorder sample all CPUs at the same rate. Printed: what the storm did; samples of each
program by perf and by the recorder; of the recorder's samples the share of whole stacks, of known
chains and of frames without a name; the recorder's CPU time. With --check the exit status is 1
when the recorder has less than 95 % of perf's samples, less than 95 % of them whole, or more than
1 % of frames unknown.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
# pylint: disable=wrong-import-position
import check_folded  # noqa: E402
import perf_fold  # noqa: E402

STORM = os.path.join(ROOT, "build", "workloads", "storm")
BIANQUE = os.path.join(ROOT, "build", "bianque")
START_S = 2  # until a recorder runs
STOP_S = 60  # until it has written
JOB = re.compile(r"storm-[a-z]$")
UNKNOWN = re.compile(r"^(\[unknown\]|\[jit\]|.*\+0x[0-9a-f]+)")


class Running:
  """A recorder in the background, stopped by SIGINT."""

  def __init__(self, argv):
    self.argv = argv
    self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT)

  def stop(self):
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGINT)
    try:
      text, _ = self.process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
      self.process.kill()
      sys.exit(f"storm.py: {self.argv[0]} did not stop within {STOP_S} s")
    if self.process.returncode not in (0, -signal.SIGINT):
      sys.exit(f"storm.py: {' '.join(self.argv)}: status {self.process.returncode}:\n"
               + text.decode(errors="replace"))

  def cpu_s(self):
    """User and system seconds so far; 0 once it has ended."""
    try:
      with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    except OSError:
      return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def perf_argv(hz, data, graph=None):
  stacks = ["--call-graph", graph] if graph else []
  return ["perf", "record", "-q", "-a", "-F", str(hz), "-e", "cpu-clock", *stacks, "-o", data]


def perf_script(data, fields):
  perf_fold.drop_bpf_records(data)
  done = subprocess.run(["perf", "script", "-i", data, "--no-inline", "-F", fields],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        check=False)
  if done.returncode:
    sys.exit(f"storm.py: perf script: {done.stderr.decode(errors='replace').strip()[-500:]}")
  return done.stdout.decode(errors="replace").splitlines()


class Recorder:
  """How one is started, and its output as (comm, frames, count)."""

  def __init__(self, name, hz, seconds, work):
    self.name = name
    self.out = os.path.join(work, "recorder.out")
    graph = {"perf-fp": "fp", "perf-dwarf": "dwarf,8192"}.get(name)
    if graph:
      self.argv = perf_argv(hz, self.out, graph)
    else:
      self.argv = [BIANQUE, "record", "-a", "-d", str(seconds), "-F", str(hz), "-f", "folded",
                   "-o", self.out]

  def samples(self):
    if self.name == "bianque":
      return list(check_folded.parse_folded(check_folded.read(self.out)))
    stacks = perf_fold.fold(perf_script(self.out, "comm,ip,sym,dso"))
    return [(*(lambda c, *f: (c, f))(*stack.split(";")), n) for stack, n in stacks.items()]


def frames_unknown(samples):
  """Percent of the storm programs' frames."""
  total = unknown = 0
  for comm, frames, count in samples:
    if JOB.match(comm):
      total += count * len(frames)
      unknown += count * sum(1 for f in frames if UNKNOWN.match(f))
  return 100 * unknown / total if total else 0.0


class Result:
  """What a storm came to: samples by perf and by the recorder, and how good these are."""

  def __init__(self, said, counted, samples, cpu_pct):
    self.said, self.cpu_pct = said, cpu_pct
    self.counted, self.recorded = counted, Counter()
    for comm, _, count in samples:
      self.recorded[comm] += count
    self.jobs = sorted(c for c in counted if JOB.match(c))
    self.perf, self.ours = (sum(c[j] for j in self.jobs) for c in (counted, self.recorded))
    expectation = subprocess.run([STORM, "--expect"], stdout=subprocess.PIPE, check=True)
    self.check = check_folded.check(check_folded.parse_expectation(expectation.stdout.decode()),
                                    samples)
    self.unknown_pct = frames_unknown(samples)

  @property
  def good(self):
    return self.ours >= 0.95 * self.perf and self.check.whole_pct >= 95 and self.unknown_pct <= 1


def run_storm(recorder, rate, seconds, hz):
  """One storm under a recorder (bianque, perf-fp, perf-dwarf) with a counting perf beside it."""
  with tempfile.TemporaryDirectory(prefix="bianque-storm.") as work:
    data = os.path.join(work, "perf.data")
    recorder = Recorder(recorder, hz, seconds + 2 * START_S + STOP_S, work)
    running = [Running(recorder.argv), Running(perf_argv(hz, data))]
    time.sleep(START_S)
    before_s, began_s = running[0].cpu_s(), time.monotonic()
    storm = subprocess.run([STORM, "--rate", str(rate), "--seconds", str(seconds)],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False)
    cpu_pct = 100 * (running[0].cpu_s() - before_s) / (time.monotonic() - began_s)
    for one in running:
      one.stop()
    counted = Counter(line.strip() for line in perf_script(data, "comm"))
    return Result(storm.stdout.decode().strip(), counted, recorder.samples(), cpu_pct)


def report(args, r):
  print(r.said)
  print(f"{'samples':16} {'perf':>8} {args.recorder:>12} {'ratio':>8}")
  for comm in r.jobs:
    print(f"{comm:16} {r.counted[comm]:8} {r.recorded[comm]:12} "
          f"{r.recorded[comm] / r.counted[comm]:8.3f}")
  if not r.perf:
    sys.exit("storm.py: perf saw no sample of the storm")
  print(f"{'all of them':16} {r.perf:8} {r.ours:12} {r.ours / r.perf:8.3f}")
  print(f"whole {r.check.whole_pct:.1f} %, known chains {r.check.chain_pct:.1f} %, "
        f"without user frames while starting or ending {r.check.no_user}, "
        f"frames unknown {r.unknown_pct:.2f} %, recorder {r.cpu_pct:.1f} % of a core")
  for stack, count in r.check.broken.most_common(args.show):
    print(f"  unmatched {count}: {stack[:300]}")


def main():
  parser = argparse.ArgumentParser(description="The exec storm under a recorder.")
  parser.add_argument("-r", "--recorder", choices=("bianque", "perf-fp", "perf-dwarf"),
                      default="bianque")
  parser.add_argument("--rate", type=float, default=500)
  parser.add_argument("--seconds", type=int, default=10)
  parser.add_argument("--hz", type=int, default=997)
  parser.add_argument("--check", action="store_true")
  parser.add_argument("--show", type=int, default=0, help="unmatched stacks printed")
  args = parser.parse_args()
  if not os.access(STORM, os.X_OK):
    sys.exit("storm.py: build/workloads/storm is not built; run `make workloads`")
  result = run_storm(args.recorder, args.rate, args.seconds, args.hz)
  report(args, result)
  return 1 if args.check and not result.good else 0


if __name__ == "__main__":
  sys.exit(main())
