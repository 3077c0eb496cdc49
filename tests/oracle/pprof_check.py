#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold pprof files against the strictest reader's rules, decoding the wire format by hand.

pprof_check.py [--push] [--whole FILE] FILE...

Every file: no unknown field, field type or repeated singular field; string_table[0] is "", all
strings UTF-8, used and unique; every string index in range; ids not 0, unique, none dangling; every
location used and with a line, every function used and with a name; mapping flags agree with what its
locations say; period type and period set; no `-` or `:` in a type; values as many as types, none
negative, not all 0; label names plain, once per sample.
--push: Pyroscope's limits too: no string labels, 1.5 MiB plain, 16,000 samples, 1,000 locations.
With several FILEs: their times are at least 1 ms apart. --whole: their samples add up to FILE's.
"""
import gzip
import re
import sys
from collections import Counter

VARINT, I64, BYTES, I32 = 0, 1, 2, 5


class Bad(Exception):
  pass


def need(condition, *what):
  if not condition:
    raise Bad(" ".join(str(w) for w in what))


def varint(data, at):
  value = shift = 0
  while True:
    need(at < len(data) and shift < 70, "varint cut short")
    byte = data[at]
    value |= (byte & 0x7F) << shift
    at += 1
    shift += 7
    if byte < 0x80:
      return value, at


def signed(value):
  return value - (1 << 64) if value >= 1 << 63 else value


# field -> (name, kind): i int, m message, s string, p packed ints; upper case: repeated
SCHEMA = {
    "Profile": {1: ("sample_type", "M", "ValueType"), 2: ("sample", "M", "Sample"),
                3: ("mapping", "M", "Mapping"), 4: ("location", "M", "Location"),
                5: ("function", "M", "Function"), 6: ("string_table", "S"), 7: ("drop_frames", "i"),
                8: ("keep_frames", "i"), 9: ("time_nanos", "i"), 10: ("duration_nanos", "i"),
                11: ("period_type", "m", "ValueType"), 12: ("period", "i"), 13: ("comment", "P"),
                14: ("default_sample_type", "i")},
    "ValueType": {1: ("type", "i"), 2: ("unit", "i")},
    "Sample": {1: ("location_id", "P"), 2: ("value", "P"), 3: ("label", "M", "Label")},
    "Label": {1: ("key", "i"), 2: ("str", "i"), 3: ("num", "i"), 4: ("num_unit", "i")},
    "Mapping": {1: ("id", "i"), 2: ("memory_start", "i"), 3: ("memory_limit", "i"),
                4: ("file_offset", "i"), 5: ("filename", "i"), 6: ("build_id", "i"),
                7: ("has_functions", "i"), 8: ("has_filenames", "i"),
                9: ("has_line_numbers", "i"), 10: ("has_inline_frames", "i")},
    "Location": {1: ("id", "i"), 2: ("mapping_id", "i"), 3: ("address", "i"),
                 4: ("line", "M", "Line"), 5: ("is_folded", "i")},
    "Line": {1: ("function_id", "i"), 2: ("line", "i"), 3: ("column", "i")},
    "Function": {1: ("id", "i"), 2: ("name", "i"), 3: ("system_name", "i"), 4: ("filename", "i"),
                 5: ("start_line", "i")},
}


def decode(data, kind):
  schema = SCHEMA[kind]
  out = {f[0]: [] if f[1].isupper() else None if f[1] == "m" else 0 for f in schema.values()}
  seen = set()
  at = 0
  while at < len(data):
    tag, at = varint(data, at)
    number, wire = tag >> 3, tag & 7
    need(number in schema, kind, "has the unknown field", number)
    name, how = schema[number][:2]
    if wire == VARINT:
      value, at = varint(data, at)
      value = signed(value)
      need(how in "iP", kind, name, "is a number")
    else:
      need(wire == BYTES, kind, name, "has wire type", wire)
      size, at = varint(data, at)
      need(at + size <= len(data), kind, name, "is cut short")
      value = data[at:at + size]
      at += size
    if how in "Mm":
      value = decode(value, schema[number][2])
    elif how == "S":
      value = value.decode("utf-8")  # strict
    elif how == "P" and wire == BYTES:
      packed, i = value, 0
      while i < len(packed):
        v, i = varint(packed, i)
        out[name].append(signed(v))
      need(packed, kind, name, "is packed and empty")
      continue
    if how.isupper():
      out[name].append(value)
    else:
      need(number not in seen, kind, name, "is said twice")
      seen.add(number)
      out[name] = value
  return out


def load(path):
  data = open(path, "rb").read()
  if data[:2] == b"\x1f\x8b":
    data = gzip.decompress(data)
  return decode(data, "Profile"), len(data)


def table(rows, what):
  ids = [r["id"] for r in rows]
  need(all(i > 0 for i in ids), what, "with id 0")
  need(len(set(ids)) == len(ids), what, "ids are not unique")
  return {r["id"]: r for r in rows}


def check_types(p, text, used):
  def value_type(t, what):
    need(t is not None, what, "is missing")
    used.update((t["type"], t["unit"]))
    need(text(t["type"]), what, "has no type")
    need(text(t["unit"]), what, "has no unit")
    need(not re.search("[-:]", text(t["type"])), what, text(t["type"]), "has - or :")
    return text(t["type"])

  need(p["sample_type"], "no sample type")
  names = [value_type(t, "sample type") for t in p["sample_type"]]
  need(len(set(names)) == len(names), "two equal sample types")
  value_type(p["period_type"], "period type")
  need(p["period"] > 0, "no period")
  used.add(p["default_sample_type"])
  need(text(p["default_sample_type"]) in names, "default sample type is none of the types")
  for c in p["comment"]:
    used.add(c)
    text(c)


def check_sample(s, p, locations, text, used, push):
  need(len(s["value"]) == len(p["sample_type"]), "a sample with too few or too many values")
  need(all(v >= 0 for v in s["value"]) and any(s["value"]), "a sample with bad values", s["value"])
  need(s["location_id"], "a sample without stack")
  for i in s["location_id"]:
    need(i in locations, "a sample with the unknown location", i)
  keys = []
  for l in s["label"]:
    used.update((l["key"], l["str"], l["num_unit"]))
    keys.append(text(l["key"]))
    need(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", keys[-1]), "label name", repr(keys[-1]))
    need(not (l["str"] and (l["num"] or l["num_unit"])), "a label that is text and number")
    text(l["str"]), text(l["num_unit"])
    need(not (push and l["str"]), "string label", keys[-1])
    if keys[-1] in ("pid", "tid"):
      need(not l["str"] and l["num"] > 0, keys[-1], "is not a number")
    if keys[-1] in ("comm", "thread"):
      need(l["str"], keys[-1], "is not text")
  need(len(set(keys)) == len(keys), "a label twice")
  if push:
    need(len(s["location_id"]) <= 1000, "a stack of", len(s["location_id"]))


def check_locations(p, locations, functions, mappings, text, used):
  stub = re.compile(r"\[unknown\]|.+\+0x[0-9a-f]+")
  flags = {i: [False] * 4 for i in mappings}
  for l in p["location"]:
    need(l["line"], "location", l["id"], "without line")
    need(not l["mapping_id"] or l["mapping_id"] in mappings, "unknown mapping")
    for line in l["line"]:
      need(line["function_id"] in functions, "a line without function")
      need(line["line"] >= 0 and line["column"] >= 0, "a negative line")
      f = functions[line["function_id"]]
      if l["mapping_id"]:
        have = flags[l["mapping_id"]]
        have[0] |= not stub.fullmatch(text(f["name"]))
        have[1] |= bool(text(f["filename"]))
        have[2] |= line["line"] > 0
        have[3] |= len(l["line"]) > 1
  for i, m in mappings.items():
    used.update((m["filename"], m["build_id"]))
    text(m["filename"])
    need(re.fullmatch("([0-9a-f]{2,40})?", text(m["build_id"])), "build id")
    need(m["memory_start"] < m["memory_limit"] or not m["memory_limit"], "mapping", i, "range")
    if any(l["mapping_id"] == i for l in p["location"]):
      said = [bool(m["has_" + k])
              for k in ("functions", "filenames", "line_numbers", "inline_frames")]
      need(said == flags[i], "mapping", i, "says", said, "but its locations", flags[i])


def check(p, size, push):
  strings = p["string_table"]
  used = {0}

  def text(index):
    need(0 <= index < len(strings), "string index", index, "of", len(strings))
    return strings[index]

  need(strings and strings[0] == "", "string_table[0] is not empty")
  need(len(set(strings)) == len(strings), "a string twice")
  need(all(len(s.encode()) <= 65535 for s in strings), "a string too long")
  check_types(p, text, used)
  mappings = table(p["mapping"], "mapping")
  locations = table(p["location"], "location")
  functions = table(p["function"], "function")
  for f in p["function"]:
    used.update((f["name"], f["system_name"], f["filename"]))
    need(text(f["name"]), "a function without name")
    need(text(f["system_name"]), "a function without system name")
    text(f["filename"])
  check_locations(p, locations, functions, mappings, text, used)
  for s in p["sample"]:
    check_sample(s, p, locations, text, used, push)
  need({i for s in p["sample"] for i in s["location_id"]} == set(locations), "unused locations")
  need({l["function_id"] for x in p["location"] for l in x["line"]} == set(functions),
       "unused functions")
  need(used == set(range(len(strings))), "unused strings",
       [strings[i] for i in set(range(len(strings))) - used][:5])
  need(p["time_nanos"] >= 0 and p["duration_nanos"] >= 0, "time")
  if push:
    need(size <= 3 << 19, size, "bytes")
    need(len(p["sample"]) <= 16000, len(p["sample"]), "samples")


def samples_of(p, cut):
  """Stacks by names, as a multiset of values; stacks that were cut count by leaf and root."""
  strings = p["string_table"]
  functions = {f["id"]: strings[f["name"]] for f in p["function"]}
  names = {l["id"]: tuple(functions[x["function_id"]] for x in l["line"]) for l in p["location"]}
  out = Counter()
  for s in p["sample"]:
    stack = tuple(names[i] for i in s["location_id"])
    labels = tuple(sorted((strings[l["key"]], l["num"]) for l in s["label"] if not l["str"]))
    if len(stack) >= cut:
      stack = (stack[0], stack[-1])
    for i, v in enumerate(s["value"]):
      out[(i, stack, labels)] += v
  return out


def main():
  args = sys.argv[1:]
  push = "--push" in args and not args.remove("--push")
  whole = None
  if "--whole" in args:
    at = args.index("--whole")
    whole = args[at + 1]
    del args[at:at + 2]
  times, total, failed = [], Counter(), 0
  for path in args:
    try:
      p, size = load(path)
      check(p, size, push)
      times.append(p["time_nanos"])
      total += samples_of(p, 3 if whole and push else 1 << 30)
      if len(args) < 8:
        print(f"ok   {path}: {len(p['sample'])} samples, {len(p['location'])} locations, "
              f"{len(p['function'])} functions, {size} bytes plain")
    except (Bad, UnicodeDecodeError, OSError, EOFError) as error:
      print(f"FAIL {path}: {error}")
      failed += 1
  times.sort()
  if any(b - a < 1000000 for a, b in zip(times, times[1:])):
    print("FAIL parts are less than 1 ms apart")
    failed += 1
  if whole and not failed:
    want = samples_of(load(whole)[0], 3 if push else 1 << 30)
    if +want != +total:
      print("FAIL the parts are not the whole")
      failed += 1
  if len(args) >= 8 and not failed:
    print(f"ok   {len(args)} parts")
  return 1 if failed else 0


if __name__ == "__main__":
  sys.exit(main())
