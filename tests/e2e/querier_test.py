#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pyroscope's query API from outside: a client of its own, with the messages' field numbers typed anew
and protobuf written and read by hand, asks a running agent in protobuf and in JSON. Flame graphs are
held against rows made here from the same range as pprof, sums by time against flame graphs of
each bucket. querier_test.py [WORD...] runs the cases whose names hold a word.
"""

import concurrent.futures
import gzip
import json
import math
import os
import re
import socket
import struct
import sys
import time

from harness import case, expect, ready_agent, start_shares, start_tests, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mock"))
import pprof_wire  # pylint: disable=wrong-import-position

SERVICE = "/querier.v1.QuerierService/"
CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
SAMPLES = "process_cpu:samples:count:cpu:nanoseconds"
OF_TYPE = ["__name__", "__period_type__", "__period_unit__", "__profile_type__", "__type__", "__unit__"]

# Message: {field: (JSON name, kind)}; kind: s string, i int64, e enum, d double, B bytes, or a message;
# in a list: repeated.
SCHEMA = {
    "Pair": {1: ("name", "s"), 2: ("value", "s")},
    "Labels": {1: ("labels", ["Pair"])},
    "ProfileTypesRequest": {1: ("start", "i"), 2: ("end", "i")},
    "ProfileType": {1: ("ID", "s"), 2: ("name", "s"), 4: ("sampleType", "s"), 5: ("sampleUnit", "s"),
                    6: ("periodType", "s"), 7: ("periodUnit", "s")},
    "ProfileTypesResponse": {1: ("profileTypes", ["ProfileType"])},
    "LabelNamesRequest": {1: ("matchers", ["s"]), 2: ("start", "i"), 3: ("end", "i")},
    "LabelNamesResponse": {1: ("names", ["s"])},
    "LabelValuesRequest": {1: ("name", "s"), 2: ("matchers", ["s"]), 3: ("start", "i"), 4: ("end", "i")},
    "LabelValuesResponse": {1: ("names", ["s"])},
    "SeriesRequest": {1: ("matchers", ["s"]), 2: ("labelNames", ["s"]), 3: ("start", "i"), 4: ("end", "i")},
    "SeriesResponse": {2: ("labelsSet", ["Labels"])},
    "Location": {1: ("name", "s")},
    "StackTraceSelector": {1: ("callSite", ["Location"])},
    "SelectMergeStacktracesRequest": {
        1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("start", "i"), 4: ("end", "i"),
        5: ("maxNodes", "i"), 6: ("format", "e"), 7: ("stackTraceSelector", "StackTraceSelector"),
        8: ("profileIdSelector", ["s"]), 10: ("traceIdSelector", ["s"]), 11: ("spanSelector", ["s"])},
    "Level": {1: ("values", ["i"])},
    "FlameGraph": {1: ("names", ["s"]), 2: ("levels", ["Level"]), 3: ("total", "i"), 4: ("maxSelf", "i")},
    "PprofResult": {1: ("profile", "B")},
    "SelectMergeStacktracesResponse": {1: ("flamegraph", "FlameGraph"), 5: ("pprof", "PprofResult")},
    "SelectMergeProfileRequest": {1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("start", "i"),
                                  4: ("end", "i"), 5: ("maxNodes", "i")},
    "SelectMergeSpanProfileRequest": {
        1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("spanSelector", ["s"]), 4: ("start", "i"),
        5: ("end", "i"), 6: ("maxNodes", "i")},
    "SelectMergeSpanProfileResponse": {1: ("flamegraph", "FlameGraph")},
    "DiffRequest": {1: ("left", "SelectMergeStacktracesRequest"),
                    2: ("right", "SelectMergeStacktracesRequest")},
    "FlameGraphDiff": {1: ("names", ["s"]), 2: ("levels", ["Level"]), 3: ("total", "i"),
                       4: ("maxSelf", "i"), 5: ("leftTicks", "i"), 6: ("rightTicks", "i")},
    "DiffResponse": {1: ("flamegraph", "FlameGraphDiff")},
    "SelectSeriesRequest": {
        1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("start", "i"), 4: ("end", "i"),
        5: ("groupBy", ["s"]), 6: ("step", "d"), 7: ("aggregation", "e"), 9: ("limit", "i")},
    "Point": {1: ("value", "d"), 2: ("timestamp", "i")},
    "SeriesOfPoints": {1: ("labels", ["Pair"]), 2: ("points", ["Point"])},
    "SelectSeriesResponse": {1: ("series", ["SeriesOfPoints"])},
}


# ---- the client ----------------------------------------------------------------------------------

def varint(value):
  value &= (1 << 64) - 1
  out = bytearray()
  while value > 127:
    out.append(value & 127 | 128)
    value >>= 7
  return bytes(out + bytes([value]))


def encode(message, values):
  out = b""
  for number, (name, kind) in SCHEMA[message].items():
    if name not in values:
      continue
    one = kind[0] if isinstance(kind, list) else kind
    for value in values[name] if isinstance(kind, list) else [values[name]]:
      if one in "ie":
        out += varint(number << 3) + varint(value)
      elif one == "d":
        out += varint(number << 3 | 1) + struct.pack("<d", value)
      else:
        data = value.encode() if one == "s" else encode(one, value)
        out += varint(number << 3 | 2) + varint(len(data)) + data
  return out


def decode(message, data):
  """A dict with everything, defaults too."""
  out = {name: [] if isinstance(kind, list) else {"s": "", "i": 0, "d": 0.0}.get(kind)
         for name, kind in SCHEMA[message].values()}
  for number, wire, value in pprof_wire.fields(data):
    expect(number in SCHEMA[message], f"{message} has no field {number}")
    name, kind = SCHEMA[message][number]
    one = kind[0] if isinstance(kind, list) else kind
    if one == "i":
      values = [pprof_wire.signed(v) for v in pprof_wire.numbers(value, wire)]
    elif one == "d":
      values = [struct.unpack("<d", value.to_bytes(8, "little"))[0]]
    elif one == "B":
      values = [value]
    else:
      values = [value.decode() if one == "s" else decode(one, value)]
    if isinstance(kind, list):
      out[name] += values
    else:
      out[name] = values[-1]
  return out


def from_json(message, values):
  """What decode would give of the same in protobuf; strict about what JSON says how."""
  known = {name: kind for name, kind in SCHEMA[message].values()}
  expect(set(values) <= set(known), message, set(values) - set(known))
  out = {}
  for name, kind in known.items():
    one = kind[0] if isinstance(kind, list) else kind
    if name not in values:
      out[name] = [] if isinstance(kind, list) else {"s": "", "i": 0, "d": 0.0}.get(kind)
      continue
    found = values[name] if isinstance(kind, list) else [values[name]]
    expect(found and (isinstance(kind, list) or found[0] not in ("", "0", 0)), name, "is a default")
    if one == "i":
      expect(all(isinstance(v, str) for v in found), name, "is no string")
      found = [int(v) for v in found]
    elif one == "d":
      found = [float(v) for v in found]
    elif one not in "sB":
      found = [from_json(one, v) for v in found]
    out[name] = found if isinstance(kind, list) else found[0]
  return out


def post(agent, method, body, content="application/proto", **headers):
  headers = {k.replace("_", "-"): v for k, v in headers.items()}
  return agent.get(SERVICE + method, method="POST", body=body,
                   headers={"Content-Type": content, "Connect-Protocol-Version": "1", **headers})


def ask(agent, method, **values):
  """The answer, which is the same in protobuf, plain and compressed, and in JSON."""
  body, answer = encode(method + "Request", values), method + "Response"
  plain = post(agent, method, body)
  expect(plain.status == 200 and plain.headers["Content-Type"] == "application/proto", method,
         plain.status, plain.text)
  packed = post(agent, method, gzip.compress(body), Content_Encoding="gzip", Accept_Encoding="gzip")
  data = packed.body
  if packed.headers["Content-Encoding"] == "gzip":
    data = gzip.decompress(data)
  expect(data == plain.body, method, "differs when compressed")
  said = {k: str(v) if k in ("start", "end") else v for k, v in values.items()}
  text = post(agent, method, json.dumps(said).encode(), "application/json")
  expect(text.status == 200, method, text.text)
  found = decode(answer, plain.body)
  if not (found.get("pprof") or {}).get("profile"):
    expect(from_json(answer, text.json) == found, method, "differs in JSON:", text.text[:300], found)
  return found


def recent(seconds=6, before=1):
  """A range that lies still: milliseconds."""
  end = int(time.time() * 1000) - before * 1000
  return {"start": end - seconds * 1000, "end": end}


def busy_agent(t, window="5m", seconds=9):
  """With nothing stored yet, unless the windows are short: so that no answer changes meanwhile."""
  agent = ready_agent(t, f"profile.window={window}")
  start_shares(t)
  time.sleep(seconds)
  return agent


# ---- what rows should be ---------------------------------------------------------------------------

class Node:
  def __init__(self):
    self.self, self.children = 0, {}

  def total(self):
    return self.self + sum(c.total() for c in self.children.values())


def tree_of_pprof(data):
  profile, root = pprof_wire.Profile(data), Node()
  names = {f.id: profile.text(f.name) for f in profile.functions}
  lines = {l.id: [names[f] for f in l.lines] for l in profile.locations}
  for sample in profile.samples:
    node = root
    for location in reversed(sample.locations):
      for name in reversed(lines[location]):
        node = node.children.setdefault(name, Node())
    node.self += sample.values[0]
  return root


def rows_of_tree(root):
  """[[(left end, total, self, name)]]"""
  rows = []

  def add(node, name, depth, x):
    if len(rows) == depth:
      rows.append([])
    rows[depth].append((x, node.total(), node.self, name))
    x += node.self
    for child in sorted(node.children, key=str.encode):
      add(node.children[child], child, depth + 1, x)
      x += node.children[child].total()

  limit = sys.getrecursionlimit()
  sys.setrecursionlimit(10000)
  add(root, "total", 0, 0)
  sys.setrecursionlimit(limit)
  return rows


def rows_of_answer(graph, width=4):
  """The same of an answer; with a baseline, of its left side or (width 7) both."""
  rows = []
  for level in graph["levels"]:
    values, ends, row = level["values"], [0, 0], []
    expect(len(values) % width == 0 and values, "a row of", len(values))
    for at in range(0, len(values), width):
      bar = values[at:at + width]
      sides = []
      for side in range((width - 1) // 3):
        offset, total, own = bar[3 * side:3 * side + 3]
        expect(offset >= 0 and 0 <= own <= total, "bar", bar)
        sides.append((ends[side] + offset, total, own))
        ends[side] += offset + total
      name = graph["names"][bar[-1]]
      row.append((*sides[0], name) if width == 4 else (sides[0], sides[1], name))
    rows.append(row)
  return rows


# ---- cases -------------------------------------------------------------------------------------------




@case("types, label names, label values, series")
def what_there_is(t):
  agent = busy_agent(t)
  types = wait_for("types", lambda: ask(agent, "ProfileTypes")["profileTypes"])
  expect([p["ID"] for p in types] == [CPU, SAMPLES], types)
  for p in types:
    expect(p["ID"] == ":".join(p[k] for k in ("name", "sampleType", "sampleUnit", "periodType",
                                               "periodUnit")), p)
  when = recent()
  names = ask(agent, "LabelNames", **when)["names"]
  expect(names == sorted(set(names)) and set(OF_TYPE + ["service_name", "host"]) <= set(names), names)
  services = ask(agent, "LabelValues", name="service_name", **when)["names"]
  expect(services == sorted(set(services)) and "shares" in services, services)
  expect(ask(agent, "LabelValues", name="__profile_type__", **when)["names"] == [CPU, SAMPLES])
  expect(ask(agent, "LabelValues", name="__unit__", matchers=['{__type__="cpu"}'], **when)["names"]
         == ["nanoseconds"])
  both = ask(agent, "LabelValues", name="service_name", **when,
             matchers=['{service_name=~"s.*"}', '{service_name!~"sh.*"}'])["names"]
  expect(both == [s for s in services if s[0] == "s" and s[:2] != "sh"], both)
  expect(ask(agent, "LabelValues", name="no_such", **when)["names"] == [])
  sets = ask(agent, "Series", matchers=['{service_name="shares"}'], **when)["labelsSet"]
  expect(len(sets) == 2, sets)
  for labels in sets:
    found = {p["name"]: p["value"] for p in labels["labels"]}
    expect(list(found) == sorted(found) and found["service_name"] == "shares" and
           set(OF_TYPE) <= set(found) and found["__profile_type__"] in (CPU, SAMPLES), found)
  few = ask(agent, "Series", labelNames=["service_name", "__name__", "nothing"], **when)["labelsSet"]
  expect([[p["value"] for p in s["labels"]] for s in few] ==
         [["process_cpu", s] for s in services], few)
  long_ago = {"start": 1000, "end": 2000}
  expect(ask(agent, "LabelNames", **long_ago)["names"] == [])
  expect(ask(agent, "Series", **long_ago)["labelsSet"] == [])
  expect(post(agent, "Series", json.dumps(long_ago).encode(), "application/json").text == "{}")


@case("flame graphs are the rows of the same range as pprof")
def flame_graphs(t):
  agent = busy_agent(t)
  for type_id, selector in ((CPU, '{service_name="shares"}'), (SAMPLES, "{}"),
                            (CPU, '{service_name!="shares",__type__="cpu"}')):
    asked = {"profileTypeID": type_id, "labelSelector": selector, **recent()}
    answer = ask(agent, "SelectMergeStacktraces", maxNodes=1000000, format=4, **asked)
    expect(answer["flamegraph"] is None, "a flame graph beside pprof")
    data = answer["pprof"]["profile"]
    bare = post(agent, "SelectMergeProfile", encode("SelectMergeProfileRequest", asked))
    expect(bare.body == data, "SelectMergeProfile differs")
    profile = pprof_wire.Profile(data)
    expect([profile.text(p.type) for p in profile.sample_types] == [type_id.split(":")[1]])
    expect(profile.text(profile.period_type.type) == "cpu" and profile.period == 1000000000 // 99)
    expect(asked["start"] <= profile.time_nanos // 1000000 <= asked["end"], profile.time_nanos)
    rows = rows_of_tree(tree_of_pprof(data))
    graph = ask(agent, "SelectMergeStacktraces", maxNodes=1000000, **asked)["flamegraph"]
    expect(graph["names"][0] == "total" and len(set(graph["names"])) == len(graph["names"]))
    expect(rows_of_answer(graph) == rows, selector, rows_of_answer(graph)[:3], rows[:3])
    expect(graph["total"] == rows[0][0][1] > 0, graph["total"], rows[0])
    expect(graph["maxSelf"] == max(bar[2] for row in rows for bar in row), graph["maxSelf"])
  expect(any(bar[3].startswith("leaf_a") for row in rows_of_answer(ask(
      agent, "SelectMergeStacktraces", profileTypeID=CPU, labelSelector='{service_name="shares"}',
      **recent())["flamegraph"]) for bar in row), "no leaf_a")


@case("max_nodes bounds a flame graph, call sites choose stacks")
def bounded(t):
  agent = busy_agent(t)
  asked = {"profileTypeID": CPU, "labelSelector": "{}", **recent()}
  whole = ask(agent, "SelectMergeStacktraces", **asked)["flamegraph"]
  small = ask(agent, "SelectMergeStacktraces", maxNodes=12, **asked)["flamegraph"]
  bars = [bar for row in rows_of_answer(small) for bar in row]
  expect(len(bars) <= 12 and "other" in small["names"], len(bars), small["names"])
  expect(small["total"] == whole["total"] == sum(bar[2] for bar in bars), small["total"])
  first = max(rows_of_answer(whole)[1], key=lambda bar: bar[1])
  chosen = ask(agent, "SelectMergeStacktraces", stackTraceSelector={"callSite": [{"name": first[3]}]},
               **asked)["flamegraph"]
  expect(chosen["total"] == first[1] and len(chosen["levels"][1]["values"]) == 4, chosen["levels"][:2])


@case("sums by time are those of each bucket's flame graph, stamped at the right")
def sums(t):
  agent = busy_agent(t)
  when = recent(8)
  asked = {"profileTypeID": CPU, "labelSelector": '{service_name=~"shares|bianque"}'}
  answer = ask(agent, "SelectSeries", step=2.0, groupBy=["service_name", "__type__"], **asked, **when)
  groups = {tuple((p["name"], p["value"]) for p in s["labels"]): s["points"] for s in answer["series"]}
  key = (("__type__", "cpu"), ("service_name", "shares"))
  expect(key in groups and len(groups) <= 2, list(groups))
  stamps = [p["timestamp"] for p in groups[key]]
  expect(stamps == [when["start"] + 2000 * k for k in (1, 2, 3, 4)], stamps, when)
  for point in groups[key]:
    graph = ask(agent, "SelectMergeStacktraces", profileTypeID=CPU, start=point["timestamp"] - 2000,
                labelSelector='{service_name="shares"}', end=point["timestamp"])["flamegraph"]
    expect(math.isclose(point["value"], graph["total"], rel_tol=1e-6), point, graph["total"])
  whole = ask(agent, "SelectSeries", step=8.0, **asked, **when)["series"]
  expect(len(whole) == 1 and whole[0]["labels"] == [] and len(whole[0]["points"]) == 1, whole)
  expect(math.isclose(whole[0]["points"][0]["value"],
                      sum(p["value"] for points in groups.values() for p in points), rel_tol=1e-6),
         whole, groups)
  counted = ask(agent, "SelectSeries", step=8.0, **{**asked, "profileTypeID": SAMPLES}, **when)["series"]
  expect(math.isclose(counted[0]["points"][0]["value"] * 1e9 / 99, whole[0]["points"][0]["value"],
                      rel_tol=1e-6), counted, whole)
  one = ask(agent, "SelectSeries", step=4.0, limit=1, groupBy=["service_name"], profileTypeID=CPU,
            labelSelector="{}", **when)["series"]
  expect(len(one) == 1, one)
  # A step that does not fit: what is beyond the last right edge has no bucket.
  odd = ask(agent, "SelectSeries", step=3.0, **asked, **when)["series"][0]["points"]
  expect([p["timestamp"] - when["start"] for p in odd] == [3000, 6000], odd)
  mean = ask(agent, "SelectSeries", step=8.0, aggregation=1, profileTypeID=CPU, **when,
             labelSelector='{service_name="shares"}')["series"][0]["points"][0]["value"]
  total = sum(p["value"] for p in groups[key])
  expect(math.isclose(mean, total * 300 / 8, rel_tol=1e-6), mean, total)  # of windows of 5 minutes


@case("long steps come from stored windows, and agree with the recorder")
def stored_sums(t):
  agent = busy_agent(t, window="1s", seconds=20)
  when = recent(16, before=2)
  asked = {"profileTypeID": CPU, "labelSelector": '{service_name="shares"}', **when}
  points = ask(agent, "SelectSeries", step=16.0, **asked)["series"][0]["points"]
  total = ask(agent, "SelectMergeStacktraces", **asked)["flamegraph"]["total"]
  expect(len(points) == 1 and math.isclose(points[0]["value"], total, rel_tol=0.05), points, total)


@case("a comparison has both sides in one tree")
def diffs(t):
  agent = busy_agent(t)
  when = recent()
  left = {"profileTypeID": CPU, "labelSelector": '{service_name="shares"}', **when}
  right = {"profileTypeID": CPU, "labelSelector": "{}", **when}
  graph = ask(agent, "Diff", left=left, right=right)["flamegraph"]
  alone = [ask(agent, "SelectMergeStacktraces", maxNodes=1000000, **side)["flamegraph"]
           for side in (left, right)]
  expect([graph["leftTicks"], graph["rightTicks"]] == [g["total"] for g in alone], graph["total"])
  expect(graph["total"] == graph["leftTicks"] + graph["rightTicks"], graph["total"])
  rows = rows_of_answer(graph, 7)
  for at, bars in enumerate(rows_of_answer(alone[0])):
    found = sorted((l[1], l[2], name) for l, _, name in rows[at] if l[1])
    expect(found == sorted(bar[1:] for bar in bars), at, found, bars)
  same = ask(agent, "Diff", left=left, right=left)["flamegraph"]
  expect(all(l == r for row in rows_of_answer(same, 7) for l, r, _ in row), same["levels"])
  nothing = ask(agent, "Diff", left=left, right={**left, "labelSelector": '{service_name="no"}'})
  expect(nothing["flamegraph"]["rightTicks"] == 0 < nothing["flamegraph"]["leftTicks"], "right")


@case("nothing found is an empty answer of the right shape")
def nothing(t):
  agent = ready_agent(t)
  empty = {"names": ["total"], "levels": [{"values": [0, 0, 0, 0]}], "total": 0, "maxSelf": 0}
  asked = {"profileTypeID": CPU, "labelSelector": "{}", "start": 1000, "end": 2000}
  expect(ask(agent, "SelectMergeStacktraces", **asked)["flamegraph"] == empty)
  now = {**asked, **recent()}
  for change in ({"labelSelector": '{service_name="no such"}'}, {"spanSelector": ["0011223344556677"]},
                 {"profileIdSelector": ["x"]}, {"labelSelector": '{__profile_type__="x:y:z:a:b"}'},
                 {"profileTypeID": "memory:alloc_space:bytes:space:bytes"},
                 {"start": 1 << 62, "end": (1 << 63) - 1}):
    expect(ask(agent, "SelectMergeStacktraces", **{**now, **change})["flamegraph"] == empty, change)
  expect(ask(agent, "SelectMergeSpanProfile", **now, spanSelector=["0011223344556677"])["flamegraph"]
         == empty)
  diff = ask(agent, "Diff", left=asked, right=asked)["flamegraph"]
  expect(diff["names"] == ["total"] and diff["levels"] == [{"values": [0] * 7}], diff)
  answer = post(agent, "SelectMergeStacktraces",
                encode("SelectMergeStacktracesRequest", {**asked, "format": 4}))
  expect(answer.body == b"\x2a\x02\x0a\x00", answer.body)  # pprof { profile {} }
  expect(post(agent, "SelectMergeProfile", encode("SelectMergeProfileRequest", asked)).body == b"")
  expect(ask(agent, "SelectSeries", step=15.0, **asked)["series"] == [])
  expect(agent.get("/ready").text == "ready\n")


@case("bad requests: code, status and words; what is no Connect error")
def bad_requests(t):
  agent = ready_agent(t)
  good = {"profileTypeID": CPU, "labelSelector": "{}", **recent()}
  rows = [("SelectMergeStacktraces", change) for change in (
      {"labelSelector": ""}, {"labelSelector": "service_name"}, {"labelSelector": '{a=~"("}'},
      {"start": 0}, {"end": 0}, {"start": -5}, {"start": good["end"] + 1}, {"profileTypeID": "cpu"},
      {"profileTypeID": ""}, {"profileTypeID": CPU + ":x"}, {"maxNodes": -1}, {"maxNodes": 1048577})]
  rows += [("SelectSeries", change) for change in (
      {}, {"step": 0.0}, {"step": -1.0}, {"step": math.nan}, {"step": math.inf}, {"step": 1e-9},
      {"step": 0.001, "start": 1000}, {"step": 1.0, "limit": -1}, {"step": 1.0, "aggregation": 7},
      {"step": 1.0, "groupBy": ["x"] * 31})]
  rows += [("Diff", {"left": good}), ("LabelValues", {}), ("LabelNames", {"matchers": [""]}),
           ("Diff", {"left": good, "right": {**good, "profileTypeID": SAMPLES}}),
           ("LabelNames", {"matchers": ["{}", "{"]}), ("Series", {"start": 0}),
           ("LabelNames", {"matchers": ["{" + ",".join('a="b"' for _ in range(20)) + "}"] * 2})]
  for method, change in rows:
    known = {name for name, _ in SCHEMA[method + "Request"].values()}
    values = {k: v for k, v in {**good, **change}.items() if k in known}
    reply = post(agent, method, encode(method + "Request", values))
    expect(reply.status == 400, method, change, reply.status, reply.text)
    expect(reply.json["code"] == "invalid_argument" and len(reply.json["message"]) > 10, reply.text)
    expect(reply.headers["Content-Type"] == "application/json", reply.headers)
  at = post(agent, "LabelNames", encode("LabelNamesRequest", {**good, "matchers": ['{a="b" c']})).json
  expect(re.search(r"at character 8", at["message"]), at)
  body = encode("SelectMergeStacktracesRequest", good)
  for data, content, headers, status, code in (
      (body, "application/x-protobuf", {}, 415, None),
      (body, "application/proto; charset=utf-8", {}, 415, None),
      (body[:-1] + b"\xff", "application/proto", {}, 400, "invalid_argument"),
      (b"{", "application/json", {}, 400, "invalid_argument"),
      (b'{"start":"x"}', "application/json", {}, 400, "invalid_argument"),
      (b'[]', "application/json; charset=utf-8", {}, 400, "invalid_argument"),
      (body, "application/proto", {"Connect-Protocol-Version": "2"}, 400, "invalid_argument"),
      (body, "application/proto", {"Connect-Timeout-Ms": "12345678901"}, 400, "invalid_argument"),
      (body, "application/proto", {"Connect-Timeout-Ms": "soon"}, 400, "invalid_argument"),
      (body, "application/proto", {"Content-Encoding": "zstd"}, 501, "unimplemented"),
      (body, "application/proto", {"Content-Encoding": "gzip"}, 400, "invalid_argument"),
      (gzip.compress(bytes(1 << 20)), "application/proto", {"Content-Encoding": "gzip"}, 429,
       "resource_exhausted"),
      (encode("SelectMergeStacktracesRequest", {**good, "format": 2}), "application/proto", {}, 501,
       "unimplemented"),
      (bytes(300 << 10), "application/proto", {}, 413, None)):
    reply = post(agent, "SelectMergeStacktraces", data, content, **headers)
    expect(reply.status == status, content, headers, status, reply.status, reply.text)
    if code:
      expect(reply.json["code"] == code, reply.text)
  unknown = post(agent, "SelectHeatmap", b"")
  expect(unknown.status == 404 and unknown.text == "404 page not found\n", unknown.text)
  get = agent.get(SERVICE + "ProfileTypes")
  expect(get.status == 405 and get.headers["Allow"] == "POST", get.status, get.headers)
  unsure = post(agent, "ProfileTypes", b'{"noSuchField":1,"end":null,"start":"0"}', "application/json")
  expect(unsure.status == 200, unsure.text)


@case("many at once, and clients that go away")
def many(t):
  agent = busy_agent(t)
  body = encode("SelectMergeStacktracesRequest", {"profileTypeID": CPU, "labelSelector": "{}", **recent()})
  with concurrent.futures.ThreadPoolExecutor(60) as pool:
    replies = list(pool.map(lambda _: post(agent, "SelectMergeStacktraces", body), range(60)))
  statuses = {r.status for r in replies}
  expect(200 in statuses and statuses <= {200, 429}, statuses)
  for reply in replies:
    expect(reply.status == 200 or reply.json["code"] == "resource_exhausted", reply.text)
  head = (f"POST {SERVICE}SelectMergeStacktraces HTTP/1.1\r\nHost: 127.0.0.1:{agent.port}\r\n"
          f"Content-Type: application/proto\r\nContent-Length: {len(body)}\r\n\r\n").encode()
  for _ in range(60):
    with socket.create_connection(("127.0.0.1", agent.port)) as gone:
      gone.sendall(head + body)
  wait_for("an answer", lambda: post(agent, "SelectMergeStacktraces", body).status == 200)


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
