#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Good inputs for the fuzzers of the store and of queries: seed_store.py CORPUS [STORE] (make fuzz's
build/fuzz/corpus; a folder of segments, such as STATE/store). A small segment is made here; blocks of
the store's are unpacked with zstd, as many as an input holds."""

import glob
import os
import struct
import subprocess
import sys

DICT, WINDOW, MINUTE = 1, 2, 3
MAX_INPUT = 60000
SELECTORS = [
    '{}', '{service_name="nginx"}', '{a="x", b!="y",}', "{a=~'web-.*',pid!=`7`}", '{comm=~"(a+)+b"}',
    '{a!~"[[:alpha:]]+|\\\\d{3,9}",tid="8"}', '{a="\\x41\\n\\""}', '{a=', '{a="x"}}',
]
TIMES = ["now", "now-15m", "now-1d", "1700000000.25", "2023-11-14T22:13:20.5Z", "2024-02-29T00:00:00+05:30",
         "2023-02-29T00:00:00Z", "9000000001", "nan", "-1", "now+1s", "now-99999999d"]


def uleb(*values):
  out = bytearray()
  for value in values:
    while value >= 0x80:
      out.append(value & 0x7f | 0x80)
      value >>= 7
    out.append(value)
  return bytes(out)


def zigzag(*values):
  return b"".join(uleb(v << 1 if v >= 0 else (-v << 1) - 1) for v in values)


def dictionary(first):
  """All tables with something in them; only strings where it goes on."""
  strings = ["main", "leaf", "/bin/x", "cpu", "nanoseconds", "samples", "count", "service_name", "s"]
  text = [s.encode() for s in (["more"] if first else strings)]
  begin = 10 if first else 1
  out = uleb(begin, len(text)) + b"".join(uleb(len(t)) + t for t in text)
  if first:
    return out + uleb(2, 0, 2, 0, 3, 0, 3, 0, 2, 0, 1, 0, 1, 0)
  out += uleb(1, 1, 3, 0, 0x1000, 0x2000, 0)                 # mapping: file, build ID, start, limit, offset
  out += uleb(0, 2, 1, 0, 3, 5, 2, 0, 3, 6)                  # functions: name, system name, file, line
  out += uleb(0, 3, 1, 1, 1, 0, 9, 1, 1, 2, 1, 10, 0, 11, 0, 1, 0x1234, 1, 1, 0)
  out += uleb(1, 2, 1, 0, 1, 1)                              # nodes: up, location
  out += uleb(1, 1, 77, 78, 1)                               # thread
  out += uleb(0, 1, 4, 2, 1, 6, 7, 4, 5, 4, 5, 1000)         # kind
  return out + uleb(0, 1, 0, 1, 8, 9)                        # series


def window(start, n):
  head = uleb(start, 10 ** 10, 5, n, n, 0, 1, n)
  return (head + uleb(*[0] * n) + zigzag(1, *[1, -1] * n)[:n] + zigzag(1, *[0] * (n - 1)) + uleb(*[3] * n) +
          zigzag(*[0] * n))


def block(kind, raw, how=0):
  return struct.pack("<BBH", kind, how, len(raw)) + raw


def put(corpus, fuzzer, name, data):
  folder = os.path.join(corpus, fuzzer)
  os.makedirs(folder, exist_ok=True)
  with open(os.path.join(folder, "seed_" + name), "wb") as f:
    f.write(data)


def blocks_of(path):
  """(kind, payload) of a segment."""
  with open(path, "rb") as f:
    data = f.read()
  at = 40
  while at + 24 <= len(data):
    _, kind, _, packed, _, _ = struct.unpack_from("<IHHIIQ", data, at)
    raw = subprocess.run(["zstd", "-dc"], input=data[at + 24:at + 24 + packed], stdout=subprocess.PIPE,
                         check=True).stdout
    yield kind, raw
    at += 24 + packed


def real(corpus, folder):
  for i, path in enumerate(sorted(glob.glob(os.path.join(folder, "*.seg")))):
    out = b"\1"
    for kind, raw in blocks_of(path):
      if len(raw) < 65536 and len(out) + len(raw) < MAX_INPUT:
        out += block(kind, raw)
    put(corpus, "store_fuzz", f"real{i}", out)


def main(corpus, *stores):
  start = 1700000000 * 10 ** 9
  good = block(DICT, dictionary(0)) + block(WINDOW, window(start, 2)) + block(DICT, dictionary(1))
  good += block(WINDOW, window(start + 10 ** 10, 1)) + block(MINUTE, window(start, 2))
  for flags in (0, 1, 3, 5, 9):
    put(corpus, "store_fuzz", f"made{flags}", bytes([flags]) + good)
  put(corpus, "store_fuzz", "torn", b"\1" + good + block(0, struct.pack("<IHHII", 0x4b4c4251, 2, 0, 99, 9), 1))
  for i, text in enumerate(SELECTORS):
    put(corpus, "selector_fuzz", str(i), text.encode() + b"\0aaaaaaaaaaaaaaaaaaaaaac")
  for i, text in enumerate(TIMES):
    put(corpus, "query_time_fuzz", str(i), text.encode())
  for folder in stores:
    real(corpus, folder)


if __name__ == "__main__":
  main(*sys.argv[1:])
