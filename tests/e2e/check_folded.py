#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds a folded profile against what a truth program says of itself.

  check_folded.py EXPECTATION FOLDED [--comm GLOB] [--no-inline] [--min-samples 30]
                  [--min-whole 99] [--min-chain 99] [--max-error 1.5 (points at 10,000 samples)]

EXPECTATION is the output of a truth program's --expect (the format stands in
tests/workloads/truth.h), FOLDED the output of `bianque record -f folded` or of perf_fold.py:
`comm;root;...;leaf COUNT`, kernel frames ending in _[k], inlined ones in _[i]; `-` is standard
input. Printed: samples, the share of whole stacks, the share that matches a full known chain,
and for each expected leaf its share and the error in points. Exit 1 when a threshold is not
held, 2 for input that cannot be read.

How it counts:
- Kernel frames at the leaf side are left out: such a sample counts for the user function that it
  interrupted. One without any user frame is a broken stack, unless the kernel was starting or
  ending the process: those are counted apart.
- Whole: no mark ([truncated], [incomplete:...]) and a root that the expectation names; or a full
  match of an expected chain, which may begin with a mark.
- A sample whose leaf the expectation names must match a chain with that leaf; one with another
  leaf may match a chain that ends in * or ?.
- Inlined frames that the expectation does not name may stand anywhere; with --no-inline those
  that it names are not asked for.
"""

import argparse
import math
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

INLINE = "_[i]"
FULL_SAMPLES = 10000  # --max-error is for this many or more; with fewer chance counts for more
MARKS = ("[truncated]", "[incomplete")
# Where the kernel has no user stack to show: a process that begins or ends.
NO_USER = re.compile(r"(do_exit|do_group_exit|exec_binprm|bprm_execve|begin_new_exec|execve|"
                     r"ret_from_fork|schedule_tail|finish_task_switch)")


class BadInput(Exception):
  pass


def glob_to_regex(glob):
  return "[^;]*".join(re.escape(part) for part in glob.split("*"))


def frame_regex(frame):
  """One frame of a chain, with the inlined frames that may stand before it."""
  if frame == "*":
    return "(?:[^;]*;)*"
  skip = r"(?:[^;]*_\[i\];)*"
  if frame == "?":
    return skip + "[^;]*;"
  if frame.endswith(INLINE):
    return skip + glob_to_regex(frame[:-len(INLINE)]) + r"_\[i\];"
  return skip + glob_to_regex(frame) + r"(?:_\[[ij]\])?;"


@dataclass
class Line:
  """One expected chain."""
  share: float  # percent; None: only the chain is known
  frames: list
  regex: re.Pattern = None
  count: int = 0  # samples that match the chain
  leaf_count: int = 0  # samples with its leaf, whatever the chain

  @property
  def leaf(self):
    return self.frames[-1]

  @property
  def names_leaf(self):
    return self.leaf not in ("*", "?")

  def leaf_is(self, frame):
    frame = re.sub(r"_\[[ij]\]$", "", frame)
    return self.names_leaf and re.fullmatch(glob_to_regex(self.leaf), frame) is not None


@dataclass
class Expectation:
  lines: list = field(default_factory=list)
  roots: list = field(default_factory=list)
  comm: str = "*"
  base_known: bool = False


def parse_expectation(text, no_inline=False):
  expected = Expectation()
  for number, raw in enumerate(text.splitlines(), 1):
    line = raw.split("#", 1)[0].strip() if "{closure#" not in raw else raw.strip()
    if not line:
      continue
    word, _, rest = line.partition(" ")
    if word == "comm":
      expected.comm = rest
    elif word == "root":
      expected.roots.append(rest)
    elif word == "base" and rest == "known":
      expected.base_known = True
    elif rest and (word == "-" or re.fullmatch(r"[0-9.]+", word)):
      frames = rest.split(";")
      if no_inline:
        frames = [f for f in frames if not f.endswith(INLINE)]
      share = None if word == "-" else float(word)
      chain = Line(share, frames)
      chain.regex = re.compile("".join(frame_regex(f) for f in frames))
      expected.lines.append(chain)
    else:
      raise BadInput(f"expectation, line {number}: not understood: {raw[:80]}")
  if not expected.lines:
    raise BadInput("the expectation has no chain")
  expected.roots = expected.roots or ["_start"]
  return expected


def parse_folded(text):
  """Yields (comm, frames, count)."""
  for number, line in enumerate(text.splitlines(), 1):
    if not line:
      continue
    stack, _, count = line.rpartition(" ")
    if not stack or not count.isdigit():
      raise BadInput(f"folded, line {number}: no `STACK COUNT`: {line[:80]}")
    comm, *frames = stack.split(";")
    yield comm, frames, int(count)


@dataclass
class Result:
  samples: int = 0  # of the program, process start and end left out
  no_user: int = 0  # those
  whole: int = 0
  chain: int = 0
  known: int = 0  # the base of chain
  errors: list = field(default_factory=list)  # (leaf, expected share, measured, points)
  broken: Counter = field(default_factory=Counter)  # stacks that match nothing

  @property
  def whole_pct(self):
    return 100 * self.whole / self.samples if self.samples else 0.0

  @property
  def chain_pct(self):
    return 100 * self.chain / self.known if self.known else 0.0

  @property
  def worst(self):
    return max((abs(e[3]) for e in self.errors), default=0.0)


def root_ok(expected, frames):
  return any(fnmatchcase(frames[0], root) for root in expected.roots)


def count_sample(expected, frames, count, result):
  while frames and frames[-1].endswith("_[k]"):
    frames = frames[:-1]
  result.samples += count
  marked = bool(frames) and frames[0].startswith(MARKS)
  if not frames:
    result.known += 0 if expected.base_known else count
    result.broken["(no user frame)"] += count
    return
  named = [line for line in expected.lines if line.leaf_is(frames[-1])]
  for leaf in {line.leaf for line in named}:
    next(line for line in named if line.leaf == leaf).leaf_count += count
  stack = ";".join(frames) + ";"
  lines = named or [line for line in expected.lines if not line.names_leaf]
  match = next((line for line in lines if line.regex.fullmatch(stack)), None)
  if match:
    match.count += count
    result.chain += count
  if match or named or not expected.base_known:
    result.known += count
  if (match and match.frames[0].startswith(MARKS)) or (not marked and root_ok(expected, frames)):
    result.whole += count
  if not match or marked:
    result.broken[stack[:-1]] += count


def shares(expected, result):
  """Each leaf's share: of several chains with one leaf the shares add up."""
  leaves = {}
  for line in expected.lines:
    if line.share is None:
      continue
    key = line.leaf if line.names_leaf else ";".join(line.frames)
    share, count = leaves.get(key, (0.0, 0))
    leaves[key] = (share + line.share,
                   count + (line.leaf_count if line.names_leaf else line.count))
  base = result.known if expected.base_known else result.samples
  for leaf, (share, count) in leaves.items():
    measured = 100 * count / base if base else 0.0
    result.errors.append((leaf, share, measured, measured - share))


def check(expected, samples, comm=None):
  result = Result()
  for name, frames, count in samples:
    if not fnmatchcase(name, comm or expected.comm):
      continue
    if frames and all(f.endswith("_[k]") for f in frames) and any(map(NO_USER.search, frames)):
      result.no_user += count
    else:
      count_sample(expected, frames, count, result)
  shares(expected, result)
  return result


def read(path):
  try:
    if path == "-":
      return sys.stdin.read()
    with open(path, encoding="utf-8", errors="replace") as file:
      return file.read()
  except OSError as err:
    raise BadInput(f"{path}: {err.strerror}") from err


def verdict(result, limits):
  """The thresholds that are not held, in words."""
  bad = []
  if result.samples < limits.min_samples:
    bad.append(f"{result.samples} samples, fewer than {limits.min_samples}")
  if result.whole_pct < limits.min_whole:
    bad.append(f"whole {result.whole_pct:.2f} %, less than {limits.min_whole} %")
  if result.chain_pct < limits.min_chain:
    bad.append(f"known chains {result.chain_pct:.2f} %, less than {limits.min_chain} %")
  max_error = limits.max_error * max(1.0, math.sqrt(FULL_SAMPLES / max(result.samples, 1)))
  if result.worst > max_error:
    bad.append(f"a leaf is {result.worst:.2f} points off, more than {max_error:.2f}")
  return bad


def add_limits(parser):
  parser.add_argument("--min-samples", type=int, default=30)
  parser.add_argument("--min-whole", type=float, default=99.0)
  parser.add_argument("--min-chain", type=float, default=99.0)
  parser.add_argument("--max-error", type=float, default=1.5)


def main():
  parser = argparse.ArgumentParser(description="Hold a folded profile against a truth program.")
  parser.add_argument("expectation")
  parser.add_argument("folded")
  parser.add_argument("--comm", help="instead of the expectation's")
  parser.add_argument("--no-inline", action="store_true")
  parser.add_argument("--show", type=int, default=3, help="unmatched stacks printed")
  add_limits(parser)
  args = parser.parse_args()
  try:
    expected = parse_expectation(read(args.expectation), args.no_inline)
    result = check(expected, parse_folded(read(args.folded)), args.comm)
  except BadInput as err:
    print(f"check_folded.py: {err}", file=sys.stderr)
    return 2
  print(f"samples {result.samples}, whole {result.whole_pct:.2f} %, "
        f"known chains {result.chain_pct:.2f} %, worst leaf {result.worst:.2f} points off"
        + (f"; {result.no_user} while starting or ending" if result.no_user else ""))
  for leaf, share, measured, points in result.errors:
    print(f"  {share:5.1f} % expected, {measured:6.2f} % measured, {points:+6.2f}  {leaf[-60:]}")
  for stack, count in result.broken.most_common(args.show):
    text = stack if len(stack) < 300 else stack[:150] + " ... " + stack[-150:]
    print(f"  unmatched {count}: {text}")
  bad = verdict(result, args)
  for line in bad:
    print(f"failed: {line}")
  return 1 if bad else 0


if __name__ == "__main__":
  sys.exit(main())
