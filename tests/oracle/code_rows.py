#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows that are not from CFI, held against what somebody else says of the same code.

  code_rows.py BUILD

objdump_insns: lengths and targets of instructions beside objdump's, none may differ. gap_rows: code
that CFI describes, followed as if none did; at most 0.1 % of the rows may differ. go: the rows of a
stripped Go program, from its stack deltas, beside those of the same program with .debug_frame: the
CFAs must be equal. A part whose files this machine lacks is skipped.
"""

import itertools
import os
import subprocess
import sys

SHOWN = 5


def program(argv):
  return subprocess.run(argv, check=False).returncode == 0


def rows(bianque, path):
  """(address, CFA rule) of each row that differs from the one before."""
  out = subprocess.run([bianque, "unwind", "--derived", path], check=True, text=True,
                       stdout=subprocess.PIPE).stdout
  lines = [line.split()[:2] for line in out.splitlines()]
  # Above a return address is nothing: .debug_frame says so of code behind one, deltas do not.
  found = [(addr, "none" if cfa == "CFA=rsp+0" else cfa) for addr, cfa in lines]
  return [next(group) for _, group in itertools.groupby(found, key=lambda row: row[1])]


def go(build):
  full, stripped = (os.path.join(build, "workloads", name)
                    for name in ("golang", "golang-stripped"))
  if not (os.access(full, os.R_OK) and os.access(stripped, os.R_OK)):
    return None
  bianque = os.path.join(build, "bianque")
  ours, theirs = set(rows(bianque, stripped)), set(rows(bianque, full))
  for addr, cfa in sorted(ours ^ theirs)[:SHOWN]:
    print(f"  {addr} {cfa}: only {'stripped' if (addr, cfa) in ours else 'with .debug_frame'}")
  print(f"go: {len(theirs)} rows, {len(ours ^ theirs)} differ")
  return bool(theirs) and ours == theirs


def main():
  if len(sys.argv) != 2:
    sys.exit(__doc__)
  build = sys.argv[1]
  results = {
      "objdump_insns": program([os.path.join(build, "oracle", "objdump_insns")]),
      "gap_rows": program([os.path.join(build, "oracle", "gap_rows")]),
      "go": go(build),
  }
  for name, held in results.items():
    print(f"{name}: {'skipped, no Go program' if held is None else 'ok' if held else 'FAILED'}")
  held = list(results.values())
  print(f"{held.count(True)} passed, {held.count(False)} failed, {held.count(None)} skipped")
  return held.count(False) > 0


if __name__ == "__main__":
  sys.exit(main())
