#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The past, asked from outside: what the flight recorder and the local store answer is held against
each other, against profiles taken at the same time, and across a restart. past_test.py [WORD...]
runs the cases whose names hold a word; ends with `N passed, N failed, N skipped`.
"""

import gzip
import json
import os
import signal
import sys
import time
import urllib.parse

import check_folded
from harness import (case, expect, ready_agent, start_shares, start_tests, stop, wait_for)

WINDOW = "profile.window=2s"
SHARES = {"leaf_a": 0.60, "leaf_b": 0.30, "leaf_c": 0.10}


def ask(agent, path, **query):
  text = urllib.parse.urlencode(query)
  return agent.get(f"/api/v1/{path}" + (f"?{text}" if text else ""))


def folded(agent, **query):
  reply = ask(agent, "profile", format="folded", **query)
  expect(reply.status == 200, reply.status, reply.text[:300])
  return list(check_folded.parse_folded(reply.text))


def count(stacks, leaf=None):
  return sum(n for _, frames, n in stacks
             if leaf is None or any(leaf in frame for frame in frames))


def stored(agent, n):
  """Wait until n windows are on disk."""
  wait_for(f"{n} windows", lambda: (agent.metric("bianque_store_windows_total") or 0) >= n, 60)


def cpu_s(pid):
  """What the process has had of a CPU, which on a busy machine is less than the time that passed."""
  with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
    fields = file.read().rpartition(")")[2].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy(t, *sets, seconds=9):
  """An agent that has seen the workload for some seconds; its process, with what it had of a CPU
  meanwhile as `used_s`; from and to, unix seconds. Late samples have arrived by then."""
  agent = ready_agent(t, WINDOW, *sets)
  shares = start_shares(t)
  time.sleep(2)
  begin, used = time.time(), cpu_s(shares.pid)
  time.sleep(seconds)
  end, shares.used_s = time.time(), cpu_s(shares.pid) - used
  time.sleep(1.5)
  return agent, shares, begin, end


@case("the recorder: any second of the last minutes, shares as they are")
def from_recorder(t):
  agent, shares, begin, end = busy(t)
  stacks = folded(agent, **{"from": begin, "to": end, "match": f'{{pid="{shares.pid}"}}'})
  total = count(stacks)
  expect(abs(total - 99 * shares.used_s) < 0.15 * 99 * shares.used_s + 15, total, shares.used_s)
  for leaf, share in SHARES.items():
    expect(abs(count(stacks, leaf) / total - share) < 0.06 + 10 / total, leaf, count(stacks, leaf), total)
  parts = [count(folded(agent, **{"from": begin + i, "to": min(begin + i + 1, end),
                                  "match": f'{{pid="{shares.pid}"}}'}))
           for i in range(int(end - begin) + 1)]
  expect(sum(parts) == total and max(parts) <= 110, parts, total)
  expect(not folded(agent, **{"from": begin, "to": end, "match": '{pid="1",comm="nobody"}'}), "who?")
  compressed(agent, begin, end)


def compressed(agent, begin, end):
  """Answers are the same compressed; pprof is so already."""
  for name in ("json", "html", "folded", "pprof"):
    path = f"/api/v1/profile?from={begin}&to={end}&format={name}"
    plain, packed = agent.get(path), agent.get(path, headers={"Accept-Encoding": "gzip"})
    expect(plain.headers["Content-Encoding"] is None, name, plain.headers)
    expect(packed.headers["Content-Encoding"] == (None if name == "pprof" else "gzip"), name, packed.headers)
    body = packed.body if name == "pprof" else gzip.decompress(packed.body)
    expect(body == plain.body and (name == "pprof" or len(packed.body) < len(plain.body)), name, len(packed.body))


@case("the store: what was seen is there after a restart; the parts add up to the whole")
def after_restart(t):
  agent, shares, begin, end = busy(t)
  state = agent.config
  match = f'{{pid="{shares.pid}"}}'
  before = count(folded(agent, **{"from": begin - 30, "to": end, "match": match}))
  stop(shares)
  stored(agent, 5)
  time.sleep(2.5)
  agent.process.send_signal(signal.SIGTERM)
  expect(agent.process.wait(20) == 0, agent.log)
  again = ready_agent(t, WINDOW, f"agent.state_dir={t.path(f'state-{agent.port}')}")
  wide = {"from": begin - 30, "to": end + 2}  # before the second one sees anything
  after = count(folded(again, match=match, **wide))
  # A stack that was copied may be known a moment after its window has ended.
  expect(after >= before * 0.98 - 2, before, after, state)
  everything = count(folded(again, **wide))
  services = ask(again, "label/service_name/values", **wide).json["values"]
  expect("shares" in services, services)
  parts = sum(count(folded(again, match=json.dumps({"service_name": s}).replace(
      '"service_name": ', "service_name="), **wide)) for s in services)
  expect(parts == everything, parts, everything)
  by_tid = ask(again, "profile", format="json", group="tid", **wide).json
  whole = ask(again, "profile", format="json", **wide).json
  expect(by_tid["nodes"]["total"][0] * by_tid["scale"] == whole["nodes"]["total"][0] * whole["scale"],
         "threads do not add up to the whole")
  by_pid = ask(again, "profile", format="json", group="pid", **wide).json
  expect(f"shares ({shares.pid})" in by_pid["strings"], by_pid["strings"][:40])
  expect(not any(s.startswith("[unknown] (") for s in by_pid["strings"]), "a process without a name")
  expect(by_pid["nodes"]["total"][0] * by_pid["scale"] == whole["nodes"]["total"][0] * whole["scale"],
         "processes do not add up to the whole")
  expect(whole["nodes"]["total"][0] * whole["scale"] == everything * (10**9 // 99), everything)
  all_there_is = ask(again, "profile", **{"from": 0, "to": end + 2}).json
  expect(0 <= all_there_is["time_ms"] / 1000 - (begin - 30) < 60 and
         all_there_is["time_ms"] + all_there_is["duration_ms"] <= (end + 5) * 1000, "a profile since 1970",
         all_there_is["time_ms"], all_there_is["duration_ms"], begin)
  sums_by_thread(again, shares, wide, everything)


def sums_by_thread(agent, shares, wide, everything):
  """Sums of a process, its thread and its name, read from the store's windows, are those of its series."""
  def lines(group, **more):
    answer = ask(agent, "series", group=group, step="5s", limit=1000, **wide, **more).json
    expect(all(abs(sum(s["values"]) - s["total"]) < 1000 for s in answer["series"]), answer)
    return {s["name"]: s for s in answer["series"]}
  mine = lines("service_name", match=f'{{service_name="shares",pid="{shares.pid}"}}')["shares"]
  all_shares = lines("service_name")["shares"]["total"]
  by_pid = lines("pid")
  # Others may run the same program. Before its exec it has another name, for a sample or two.
  expect(abs(sum(s["total"] for s in by_pid.values() if s["process"] == "shares") - all_shares) < 5e7, by_pid)
  for group, name in (("pid", str(shares.pid)), ("tid", str(shares.pid)), ("comm", "shares")):
    found = lines(group)
    wanted = all_shares if group == "comm" else mine["total"]
    expect(abs(wanted - found[name]["total"]) <= 5e7, group, found[name], mine)
    expect(abs(sum(s["total"] for s in found.values()) - everything * (10**9 // 99)) < 2.2e9, group, everything)
    only = lines("", match=f'{{{group}="{name}"}}')
    expect([s["values"] for s in only.values()] == [found[name]["values"]], group, only)
  # It has ended, and the agent that saw it, too.
  row = lines("pid")[str(shares.pid)]
  expect((row["process"], row["service_name"], row["container"]) == ("shares", "shares", row["container"]), row)
  row = lines("tid")[str(shares.pid)]
  expect((row["process"], row["comm"], row["pid"], row["service_name"]) == ("shares", "shares", shares.pid, "shares"),
         row)
  few = ask(agent, "series", group="tid", limit=1, **wide).json["series"]
  expect(few[-1]["other"] and few[-1]["service_name"] == few[-1]["container"] == "", few)
  expect("service_name" not in lines("comm")["shares"], lines("comm"))
  expect(not lines("pid", match='{pid="1",comm="nobody"}'), "who?")


@case("time without an agent is told apart from time without samples")
def gaps(t):
  begin = time.time()
  agent = ready_agent(t, "profile.window=1s")
  stored(agent, 3)
  running = ask(agent, "series", **{"from": begin - 600}).json
  expect(running["gaps"] == [], running["gaps"])  # nothing is known of what was before
  agent.process.send_signal(signal.SIGTERM)
  expect(agent.process.wait(20) == 0, agent.log)
  stopped = time.time()
  time.sleep(4)
  started = time.time()
  again = ready_agent(t, "profile.window=1s", f"agent.state_dir={t.path(f'state-{agent.port}')}")
  stored(again, 3)
  for query in ({"from": begin - 600, "step": "60s"}, {"from": begin, "step": "1s", "match": '{pid="0"}'}):
    found = ask(again, "series", **query).json["gaps"]
    expect(len(found) == 1, found)
    expect(abs(found[0][0] / 1000 - stopped) < 2 and -0.1 < found[0][1] / 1000 - started < 3, found, stopped, started)
  expect(ask(again, "series", **{"from": stopped + 1, "to": stopped + 3.5}).json["gaps"], "none within it")
  expect(ask(again, "series", **{"from": started + 3}).json["gaps"] == [], "one behind it")


@case("two ranges side by side are their whole, wherever the recorder's part begins")
def neighbours(t):
  agent = ready_agent(t, "profile.window=4s")
  shares = start_shares(t)
  begin = time.time()
  time.sleep(17)
  end = time.time()
  stored(agent, 3)
  time.sleep(1.5)
  match = f'{{pid="{shares.pid}"}}'
  whole = count(folded(agent, **{"from": begin - 60, "to": end, "match": match}))
  for middle in (begin + s for s in (5, 6, 7, 8, 9, 10, 11, 14)):
    parts = [count(folded(agent, **{"from": a, "to": b, "match": match}))
             for a, b in ((begin - 60, middle), (middle, end))]
    expect(abs(sum(parts) - whole) <= 0.01 * whole + 2, middle - begin, parts, whole)


@case("series: sums by time are those of the profile, a line for each service")
def sums(t):
  agent, shares, begin, end = busy(t)
  stored(agent, 3)
  for query in ({"from": begin, "to": end, "step": "1s"},
                {"from": begin - 600, "to": end, "step": "15s"}):
    series = ask(agent, "series", **query).json
    mine = [s for s in series["series"] if s["name"] == "shares"]
    expect(len(mine) == 1 and len(mine[0]["values"]) == series["steps"], series)
    expect(abs(sum(mine[0]["values"]) - mine[0]["total"]) < 1000, mine)
    # A window at the edge is shared out by time, the profile takes or leaves it whole.
    seen = count(folded(agent, match='{service_name="shares"}', **{k: query[k] for k in ("from", "to")}))
    expect(abs(mine[0]["total"] - seen * 1e9 / 99) < 2.2e9, mine[0]["total"], seen)
  few = ask(agent, "series", limit=1, **{"from": begin, "to": end}).json["series"]
  expect(len(few) == 2 and few[1]["name"] == "other" and few[1]["other"], few)
  for query in ({"step": "1s"}, {"step": "15s"}):
    query.update({"from": begin, "to": end})
    mine, by_pid, only = (
        [s for s in ask(agent, "series", **query, **more).json["series"] if s["name"] in ("shares", str(shares.pid))][0]
        for more in ({"match": f'{{service_name="shares",pid="{shares.pid}"}}'}, {"group": "pid"},
                     {"match": f'{{pid="{shares.pid}"}}'}))
    # A sample may have come between two questions.
    expect(abs(by_pid["total"] - mine["total"]) < 1e8 and abs(only["total"] - mine["total"]) < 1e8, mine, by_pid, only)
  one = ask(agent, "series", group="", **{"from": begin, "to": end}).json["series"]
  expect(len(one) == 1, one)


@case("heat map: every sample in its second")
def heat_map(t):
  agent, shares, begin, end = busy(t, seconds=5)
  query = {"from": int(begin), "to": int(begin) + 4, "match": f'{{pid="{shares.pid}"}}'}
  heat = ask(agent, "heatmap", step="100ms", **query).json
  expect((heat["columns"], heat["rows"]) == (4, 10), heat)
  expect(len(heat["cells"]) == 40 and sum(heat["cells"]) == heat["samples"], heat)
  expect(max(heat["cells"]) == heat["max"], heat)
  stacks = folded(agent, **query)
  expect(abs(count(stacks) - heat["samples"]) <= 1, count(stacks), heat["samples"])


@case("a rate that changes leaves what was recorded as it was")
def another_rate(t):
  agent, shares, begin, end = busy(t, seconds=5)
  query = {"from": begin, "to": end, "match": '{service_name="shares"}'}

  def figures():
    profile = ask(agent, "profile", **query).json
    by_name, by_pid = (ask(agent, "series", step="1s", group=group, **query).json["series"][0]["total"]
                       for group in ("service_name", "pid"))
    heat = ask(agent, "heatmap", step="100ms", **query).json
    return [profile["nodes"]["total"][0] * profile["scale"], by_name, by_pid, heat["samples"], heat["hz"]]
  before = figures()
  t.write(os.path.basename(agent.config), "profile:\n  hz: 19\n")
  agent.process.send_signal(signal.SIGHUP)
  wait_for("the new rate", lambda: agent.metric("bianque_profile_rate_hertz") == 19)
  time.sleep(2)
  expect(figures() == before, before, figures())
  expect(abs(before[0] / 1e9 - shares.used_s) < 0.15 * shares.used_s + 0.2, before, shares.used_s)
  used, query["to"] = cpu_s(shares.pid), time.time()
  time.sleep(3)
  query["from"], query["to"] = query["to"], time.time()
  used = cpu_s(shares.pid) - used
  time.sleep(1)
  expect(abs(figures()[0] / 1e9 - used) < 0.2 * used + 0.3, figures(), used)


@case("a comparison: the same range is equal, another one is not, what is gone is there")
def comparison(t):
  agent, shares, begin, end = busy(t, seconds=6)
  query = {"from": begin, "to": end, "base_from": begin, "base_to": end}
  same = ask(agent, "profile", **query).json["nodes"]
  expect(same["self"] == same["base_self"] and same["total"] == same["base_total"], "not equal")
  small = ask(agent, "profile", max_nodes=20, **query).json["nodes"]
  rows = list(zip(small["self"], small["total"], small["base_self"], small["flags"]))
  others = [row for row in rows if row[3] & 1]
  expect(others and all(own == total == base for own, total, base, _ in others), others)
  expect(sum(own for own, *_ in rows) == small["total"][0] == same["total"][0] >= sum(own for own, *_ in others) > 0,
         others, small["total"][0], same["total"][0])
  stop(shares)
  stopped = time.time()
  time.sleep(3)
  query["from"], query["to"] = stopped + 0.5, stopped + 2.5
  gone = ask(agent, "profile", match='{service_name="shares"}', **query).json["nodes"]
  expect(gone["total"][0] == 0 and gone["base_total"][0] > 0, gone["total"], gone["base_total"])
  two = ask(agent, "profile", format="folded", match='{service_name="shares"}', **query).text
  expect(all(line.rsplit(" ", 2)[1:] == [line.split()[-2], "0"] for line in two.splitlines()), two)


@case("a match that would take for ever is an error, at once; the next question has its answer")
def endless_match(t):
  agent = ready_agent(t, WINDOW)
  name = "a" * 15
  begin = time.time()
  t.start(sys.executable, "-c", f"import ctypes\nctypes.CDLL(None).prctl(15, b'{name}')\nwhile True: pass")
  stored(agent, 3)
  time.sleep(1)
  for operator in ("=~", "!~"):
    match = f'{{comm{operator}"(a*)*(a*)*(a*)*(a*)*[bc]"}}'
    for path, query in (("profile", {"from": begin}), ("profile", {"from": begin - 600}), ("heatmap", {}),
                        ("series", {"step": "1s"}), ("series", {"from": begin - 600, "group": "pid"})):
      began = time.time()
      reply = ask(agent, path, match=match, **query)
      expect(reply.status >= 400 and time.time() - began < 3, path, query, reply.text[:300], time.time() - began)
      expect(path == "heatmap" or "too complex" in reply.text, path, reply.text)
  expect(count(folded(agent, **{"from": begin, "match": f'{{comm=~"a+"}}'})) > 20, "the next question")


@case("what does not parse is refused, with the place")
def bad_questions(t):
  agent = ready_agent(t, WINDOW)
  for path, query, status, word in (
      ("profile", {"match": "{pid=}"}, 400, "character 6"),
      ("profile", {"match": "nginx"}, 400, "character 1"),
      ("profile", {"match": '{a=~"("}'}, 400, "regular expression"),
      ("profile", {"from": "yesterday"}, 400, "from"),
      ("profile", {"from": "now", "to": "now-1h"}, 400, "not before"),
      ("profile", {"from": "9999-01-01T00:00:00Z"}, 422, "from"),
      ("profile", {"kind": "cats"}, 404, "cats"),
      ("profile", {"format": "gif"}, 400, "gif"),
      ("profile", {"max_nodes": 0}, 422, "max_nodes"),
      ("profile", {"max_nodes": "many"}, 400, "max_nodes"),
      ("profile", {"base_from": "now-1h"}, 400, "base_to"),
      ("profile", {"nodes": 3}, 400, "nodes"),
      ("series", {"from": 0, "step": "1s"}, 422, "step"),
      ("heatmap", {"step": "7ms"}, 400, "step"),
      ("heatmap", {"from": "now-2h"}, 422, "3601"),
      ("label/x", {}, 404, "NAME"),
      ("label//values", {}, 404, "NAME")):
    reply = ask(agent, path, **query)
    expect(reply.status == status and word in reply.text, path, query, reply.status, reply.text)
    expect(reply.json["error"]["code"] and reply.json["error"]["message"], reply.text)
  for path, status in (("profile", 200), ("profile?format=html", 200), ("series", 200), ("heatmap", 200), ("kinds", 200),
                       ("processes", 200), ("profile?from=x", 400)):
    reply, head = (agent.get(f"/api/v1/{path}", method=method) for method in ("GET", "HEAD"))
    expect(head.status == reply.status == status and not head.body, path, head.status, head.body[:100])
    expect(head.headers["Content-Type"] == reply.headers["Content-Type"], path, head.headers)
  for query in ({"from": 1, "to": 2}, {"from": "2100-01-01T00:00:00Z", "to": "2101-01-01T00:00:00Z"}):
    expect(ask(agent, "profile", **query).json["samples"] == 0, query)
    expect(ask(agent, "labels", **query).json == {"labels": []}, query)


@case("store.enabled: false keeps nothing; the recorder answers all the same")
def without_store(t):
  agent, shares, begin, end = busy(t, "store.enabled=false", seconds=4)
  stacks = folded(agent, **{"from": begin, "to": end, "match": f'{{pid="{shares.pid}"}}'})
  expect(abs(count(stacks) - 99 * shares.used_s) < 0.15 * 99 * shares.used_s + 15, count(stacks))
  expect(agent.metric("bianque_store_bytes") is None, "there is a store")
  store = agent.get("/api/v1/status").json["store"]
  expect("set it to true" in store.pop("reason"), store)
  expect(store == {"enabled": False, "ok": False, "since_ms": 0, "bytes": 0, "max_bytes": 0, "retention_s": 0}, store)
  expect("store" not in agent.get("/readyz").text, "what was switched off is no fault", agent.get("/readyz").text)


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
