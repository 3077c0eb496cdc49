#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make test-e2e`: every end-to-end proof one after the other, `N passed, N failed, N skipped` of all.

  run.py [truth|record|agent|past|querier|store|servers]...

A part that ends without such a line, or with a status that does not fit it, counts as one failed.
"""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Thresholds are those of check_folded.py: 99 % whole, 99 % of known chains, shares within 1.5 points.
PARTS = {
    "truth": ("truth.py", "--seconds", "2", "--again", "3", "--known",
              os.path.join(HERE, "truth.known")),
    "record": ("record_test.py",),
    "agent": ("agent_test.py",),
    "past": ("past_test.py",),
    "querier": ("querier_test.py",),
    "store": ("store_test.py",),
    "servers": ("servers.py",),
}
DEFAULT = ("truth", "record", "agent", "past", "querier", "store")  # servers is a suite of its own
RESULT = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


def run_part(name):
  """(passed, failed, skipped)."""
  program, *args = PARTS[name]
  print(f"-- {name}", flush=True)
  last = ""
  with subprocess.Popen([sys.executable, "-B", os.path.join(HERE, program), *args],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT) as process:
    for line in process.stdout:
      last = line.decode(errors="replace").rstrip("\n")
      print(last, flush=True)
  match = RESULT.fullmatch(last)
  if not match or bool(process.returncode) != bool(int(match.group(2))):
    print(f"{name}: ended with status {process.returncode} and no fitting result")
    return 0, 1, 0
  return tuple(map(int, match.groups()))


def main():
  unknown = [name for name in sys.argv[1:] if name not in PARTS]
  if unknown:
    sys.exit(f"run.py: no part '{unknown[0]}'; there are {', '.join(PARTS)}")
  if os.geteuid():
    print("skip all: needs root\n0 passed, 0 failed, 1 skipped")
    return 0
  began = time.monotonic()
  sums = [sum(counts) for counts in zip(*map(run_part, sys.argv[1:] or DEFAULT))]
  print(f"{time.monotonic() - began:.0f} s")
  print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped")
  return 1 if sums[1] else 0


if __name__ == "__main__":
  sys.exit(main())
