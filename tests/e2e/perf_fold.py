#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`perf script -F comm,ip,sym,dso` on standard input -> folded stacks, one line each.

The shape is that of `bianque record -f folded`: `comm;root;...;leaf COUNT`, kernel frames end in
_[k] and inlined ones in _[i], a `;` in a name becomes `:`. perf says nothing of stacks that it
could not finish, so there are no marks.
"""

import re
import struct
import sys
from collections import Counter

# "  55d0c0a1 name (dso)"; the name may hold anything, inlined frames have "(inlined)" for a dso.
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*?)(?: \(([^()]*(?:\([^()]*\))?[^()]*)\))?$")
KERNEL_BEGIN = 0xffff800000000000
NO_ADDRESS = 0xffffffffffff0000  # perf's own marks lie above
# perf.data: where the records are said to be; PERF_RECORD_KSYMBOL and _BPF_EVENT, and a type that readers
# pass over.
DATA_FIELD, BPF_RECORDS, PASSED_OVER = 40, (17, 18), 65


def drop_bpf_records(path):
  """Takes BPF programs that came and went out of a perf.data: perf 6.1 ends with `failed to process
  type: 17` (or 18) where such a record bears the number of an event that it has not noted."""
  with open(path, "r+b") as file:
    data = bytearray(file.read())
    begin, size = struct.unpack_from("<QQ", data, DATA_FIELD)
    at = begin
    while at < begin + size:
      kind, _, length = struct.unpack_from("<IHH", data, at)
      if kind in BPF_RECORDS:
        struct.pack_into("<I", data, at, PASSED_OVER)
        file.seek(at)
        file.write(data[at:at + 4])
      at += max(length, 8)


def frame_name(line):
  match = FRAME.match(line)
  if not match:
    return None
  address, name, dso = match.groups()
  name = (name or "[unknown]").replace(";", ":")
  if dso == "inlined":
    return name + "_[i]"
  return name + "_[k]" if KERNEL_BEGIN <= int(address, 16) < NO_ADDRESS else name


def fold(lines):
  stacks = Counter()
  comm, frames = None, []
  for line in lines:
    line = line.rstrip("\n")
    if line.strip() and comm is None:
      comm = line.strip().replace(";", ":")
    elif line.strip():
      name = frame_name(line)
      if name is None:
        raise ValueError(f"not a frame: {line!r}")
      frames.append(name)
    elif comm is not None:
      stacks[";".join([comm] + frames[::-1])] += 1
      comm, frames = None, []
  if comm is not None:
    stacks[";".join([comm] + frames[::-1])] += 1
  return stacks


def main():
  try:
    for stack, count in sorted(fold(sys.stdin).items()):
      print(stack, count)
  except ValueError as err:
    print(f"perf_fold.py: {err}; wanted: perf script -F comm,ip,sym,dso", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
