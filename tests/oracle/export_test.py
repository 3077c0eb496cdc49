#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every export format, held against programs nobody here wrote: export_test.py EXPORT_PROFILE

go tool pprof reads pprof (-top, -raw, -traces, -tree) and its sums are those of the folded text;
pprof_check.py holds the rules of strict readers and the parts of a split; Python's XML and JSON
parsers read svg, json and speedscope; the node table adds up and is what README.md says. Ends with
`N passed, N failed, N skipped`.
"""
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter

import pprof_check

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = sys.argv[1]
INPUTS = ["@nasty", "@empty", "@made-up,3000,30", "@made-up,300,1"]
passed = failed = skipped = 0


def run(*args, **options):
  return subprocess.run(args, capture_output=True, text=True, errors="surrogateescape",
                        timeout=300, **options)


def case(name, problem):
  global passed, failed
  if problem:
    failed += 1
    print(f"FAIL {name}: {problem}")
  else:
    passed += 1


def export(folder, what, ending, *options):
  path = os.path.join(folder, re.sub("[^a-z0-9]", "_", what) + ending)
  done = run(TOOL, *options, "-o", path, what)
  if done.returncode:
    raise SystemExit(f"export_profile {what}: {done.stderr}")
  return path


def folded_leaves(path):
  """Self samples by leaf name, suffixes taken off."""
  leaves = Counter()
  for line in open(path, encoding="utf-8", newline="\n"):
    stack, count = line.rsplit(" ", 1)
    leaf = re.sub(r"_\[[kij]\]$", "", stack.rsplit(";", 1)[1])
    leaves[leaf] += int(count)
  return leaves


def go_leaves(text):
  leaves = Counter()
  for line in text.split("\n"):
    m = re.match(r"\s*(\d+)\s+[\d.]+%\s+[\d.]+%\s+\d+\s+[\d.]+%\s+(.*?)(?: \(inline\))?$", line)
    if m and int(m[1]):
      leaves[m[2]] += int(m[1])
  return leaves


def go_pprof(folder, what, pprof, folded):
  global skipped
  go = shutil.which("go")
  if not go:
    print("skipped go tool pprof: no go")
    skipped += 1
    return
  env = dict(os.environ, PPROF_TMPDIR=folder, PPROF_BINARY_PATH=folder)
  for report in "-top", "-raw", "-traces", "-tree":
    done = run(go, "tool", "pprof", report, "-symbolize=none", pprof, env=env)
    case(f"go tool pprof {report} {what}",
         done.returncode and done.stderr or "unrecognized" in done.stderr and done.stderr)
  done = run(go, "tool", "pprof", "-top", "-sample_index=samples", "-nodecount=100000",
             "-nodefraction=0", "-functions", "-symbolize=none", pprof, env=env)
  want, have = folded_leaves(folded), go_leaves(done.stdout)
  # go tool pprof simplifies C++ names for people; compare the values, and the names it kept
  case(f"go tool pprof agrees with folded, {what}",
       sorted(want.values()) != sorted(have.values()) and
       f"{want.most_common(5)} {have.most_common(5)}")


def svg(path):
  root = ET.parse(path).getroot()
  if root.tag != "{http://www.w3.org/2000/svg}svg":
    return root.tag
  bad = [e.tag for e in root.iter() if re.search("script|foreignObject|}a$|image$", e.tag)]
  links = [k for e in root.iter() for k in e.attrib if "href" in k or k.startswith("on")]
  return bad + links


def undelta(column):
  out, value = [], 0
  for d in column:
    value += d
    out.append(value)
  return out


def node_table(path, folded):
  doc = json.load(open(path, encoding="utf-8"))
  nodes, frames = doc["nodes"], doc["frames"]
  n = len(nodes["parent"])
  total = [s for s in nodes["self"]]
  if any(len(c) != n for c in nodes.values()) or \
          len({len(c) for c in frames.values()}) != 1:
    return "columns of unequal length"
  for i in range(n - 1, 0, -1):
    parent = i - nodes["parent"][i]
    if not 0 <= parent < i:
      return f"parent of node {i}"
    total[parent] += total[i]
  if total != nodes["total"]:
    return "totals are not the sums of selfs"
  rows = undelta(nodes["frame"])
  names = undelta(frames["name"])
  if not all(0 <= r < len(names) for r in rows):
    return "frame out of range"
  if not all(doc["strings"][s] for s in names):
    return "an empty name"
  keys = set(zip(names, undelta(frames["module"]), frames["kind"], frames["inlined"]))
  if len(keys) != len(names):
    return "two equal frames"
  want = sum(folded_leaves(folded).values())
  if doc["samples"] != want:
    return f"{doc['samples']} samples, folded has {want}"
  return None


def speedscope(path, folded):
  doc = json.load(open(path, encoding="utf-8"))
  p = doc["profiles"][0]
  n = len(doc["shared"]["frames"])
  if p["type"] != "sampled" or len(p["samples"]) != len(p["weights"]):
    return "shape"
  if not all(0 <= f < n for s in p["samples"] for f in s) or not all(p["samples"]):
    return "frame out of range"
  if sum(p["weights"]) != p["endValue"] or p["startValue"]:
    return "weights do not add up"
  return None


def check_input(folder, what):
  pprof = export(folder, what, ".pb.gz")
  folded = export(folder, what, ".folded")
  labels = export(folder, what, ".labels.pb.gz", "-s")
  for path in pprof, labels:
    done = run(sys.executable, os.path.join(HERE, "pprof_check.py"), path)
    case(f"pprof_check {what}", done.returncode and done.stdout + done.stderr)
  prefix = os.path.join(folder, "part")
  run(TOOL, "-p", prefix, what, check=True)
  parts = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.startswith("part"))
  done = run(sys.executable, os.path.join(HERE, "pprof_check.py"), "--push", "--whole", pprof,
             *parts)
  case(f"pprof_check, parts of {what}", done.returncode and done.stdout + done.stderr)
  for path in parts:
    os.unlink(path)
  go_pprof(folder, what, pprof, folded)
  case(f"svg {what}", svg(export(folder, what, ".svg")))
  case(f"json {what}", node_table(export(folder, what, ".json"), folded))
  case(f"json, few nodes, {what}", node_table(export(folder, what, ".json", "-n", "50"), folded))
  case(f"speedscope {what}", speedscope(export(folder, what, ".speedscope.json"), folded))


def readme_example(folder):
  """README.md's node table: its rows are the fields there are, its example is what comes out."""
  text = open(os.path.join(HERE, "../../README.md"), encoding="utf-8").read()
  chapter = text.split("## API: the node table\n", 1)[1].split("\n## ", 1)[0]
  example = json.loads(re.search("```json\n(.*?)```", chapter, re.S)[1])
  path = os.path.join(folder, "readme.folded")
  with open(path, "w", encoding="utf-8") as file:
    file.write(re.search("```folded\n(.*?)```", chapter, re.S)[1])
  done = run(TOOL, "-f", "json", "-t", example["title"], path)
  if done.returncode or json.loads(done.stdout) != example:
    return f"the example is not what comes out: {done.stdout}{done.stderr}"

  def kind(value):
    if isinstance(value, list):
      inner = {kind(v) for v in value} or {"string"}  # the example has no comments
      return inner.pop() + "s" if len(inner) == 1 else "mixed"
    return {int: "integer", str: "string"}.get(type(value), "?")
  have = [(f"{key}.{column}" if column else key, kind(v))
          for key, value in json.loads(done.stdout).items()
          for column, v in (value.items() if isinstance(value, dict) else [("", value)])]
  told = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \|", chapter, re.M)
  wrong = [pair for pair in zip(have, told) if pair[0] != pair[1]]
  if wrong or len(have) != len(told):
    return f"of {len(have)} fields {len(told)} are told; the first that differ: {wrong[:1]}"
  return None


def encode(message, kind):
  """The inverse of pprof_check.decode, to make files that are wrong in one thing."""
  def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
      out.append(value & 0x7F | 0x80)
      value >>= 7
    return bytes(out) + bytes([value])

  def record(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data

  out = b""
  for number, (name, how, *sub) in pprof_check.SCHEMA[kind].items():
    values = message[name]
    for value in values if how in "MS" else [values]:
      if how == "P" and value:
        out += record(number, b"".join(varint(v) for v in value))
      elif how in "mM" and value is not None:
        out += record(number, encode(value, sub[0]))
      elif how == "S":
        out += record(number, value if isinstance(value, bytes) else value.encode())
      elif how == "i" and value:
        out += varint(number << 3) + varint(value)
  return out


def without_lines(p):
  p["location"][0]["line"] = []


BROKEN = {
    "string_table[0]": lambda p: p["string_table"].insert(0, p["string_table"].pop()),
    "not UTF-8": lambda p: p["string_table"].append(b"\xff"),
    "unused string": lambda p: p["string_table"].append("nobody says this"),
    "location without line": without_lines,
    "unknown location": lambda p: p["sample"][0]["location_id"].append(1 << 40),
    "location id 0": lambda p: p["location"][0].update(id=0),
    "double location": lambda p: p["location"].append(p["location"][0]),
    "double function": lambda p: p["function"].append(p["function"][0]),
    "unknown function": lambda p: p["location"][0]["line"][0].update(function_id=1 << 40),
    "empty name": lambda p: p["function"][0].update(name=0),
    "unknown mapping": lambda p: p["location"][0].update(mapping_id=999),
    "string out of range": lambda p: p["function"][0].update(filename=1 << 30),
    "negative value": lambda p: p["sample"][0].update(value=[-1, 1]),
    "all zero": lambda p: p["sample"][0].update(value=[0, 0]),
    "one value": lambda p: p["sample"][0].update(value=[1]),
    "no stack": lambda p: p["sample"][0].update(location_id=[]),
    "no period type": lambda p: p.update(period_type=None),
    "no period": lambda p: p.update(period=0),
    "no sample type": lambda p: p.update(sample_type=[]),
    "a dash in a type": lambda p: p["string_table"].__setitem__(
        p["sample_type"][0]["type"], "off-cpu"),
    "wrong flags": lambda p: p["mapping"][0].update(
        has_functions=not p["mapping"][0]["has_functions"]),
    "label twice": lambda p: p["sample"][0]["label"].append(p["sample"][0]["label"][0]),
    "pid as text": lambda p: p["sample"][0]["label"][0].update(num=0, str=1),
}


def checker_says_no(folder):
  """A checker that accepts everything proves nothing: files wrong in one thing each."""
  good, _ = pprof_check.load(export(folder, "@made-up,30,5", ".pb.gz"))
  path = os.path.join(folder, "broken.pb")
  for name, breaks in {"nothing": lambda p: None, **BROKEN}.items():
    p = copy.deepcopy(good)
    breaks(p)
    with open(path, "wb") as f:
      f.write(encode(p, "Profile"))
    done = run(sys.executable, os.path.join(HERE, "pprof_check.py"), path)
    case(f"pprof_check on a file with {name} wrong",
         done.returncode != (name != "nothing") and done.stdout + done.stderr)


def main():
  with tempfile.TemporaryDirectory() as folder:
    for what in INPUTS:
      check_input(folder, what)
    checker_says_no(folder)
    case("README's node table", readme_example(folder))
  print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
  return 1 if failed else 0


if __name__ == "__main__":
  sys.exit(main())
