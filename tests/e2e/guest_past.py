#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The store, its queries and the page on the kernel of a guest (tests/vm/cases/past.sh), and what only a guest may
suffer: a clock that is set. Emulated and slow, so nothing here depends on how fast anything is. guest_past.py [WORD...]
"""

import json
import os
import socket
import sys
import time

from harness import CASES, Agent, Failed, Skipped, case, expect, start_tests, stop, wait_for, workload
from past_test import ask, count, folded
from store_test import last_end, segments, start_over, store_dir, windows

CASES.clear()  # of those files: they are run by their own names

SETS = ("profile.window=5s", "agent.cpu_budget_pct=100")
DAY_S = 86400
SLOW_S = 500


def same(a, b):
  """A stack that was copied may be known a moment after its window has ended."""
  return abs(a - b) <= 0.02 * a + 2


def busy(t):
  """An agent that has stored some windows of a workload; what asks for these of it, and where they end."""
  agent = Agent(t, *SETS, config="profile:\n  hz: 49\n")
  agent.ready(SLOW_S)
  shares = t.start(workload("shares"), "--seconds", "600")
  try:
    wait_for("windows", lambda: windows(agent) >= 4, SLOW_S)
  except Failed as why:
    raise Failed(f"{why}\n{agent.log}") from why
  until = last_end(segments(store_dir(agent, t)))
  # Not from 0: a clock that is set back makes windows that lie long before.
  return agent, {"match": f'{{pid="{shares.pid}"}}', "from": f"{until - 3600:.9f}", "to": f"{until:.9f}"}, until


def post(agent, method, **fields):
  reply = agent.get(f"/querier.v1.QuerierService/{method}", {"Content-Type": "application/json"}, "POST",
                    json.dumps(fields).encode())
  expect(reply.status == 200, method, reply.status, reply.text[:300])
  return reply.json


@case("what was seen is answered by every road, and after kill -9")
def every_road(t):
  agent, mine, until = busy(t)
  seen = count(folded(agent, **mine))
  expect(seen > 20, seen, agent.log)
  stacks = folded(agent, **mine)
  for leaf, share in (("leaf_a", 0.6), ("leaf_b", 0.3)):
    expect(abs(count(stacks, leaf) / seen - share) < 0.25, leaf, sorted(stacks, key=lambda s: -s[2])[:8])
  named = [s for s in ask(agent, "series", step="5s", **{"from": "now-5m"}).json["series"] if s["name"] == "shares"]
  expect(named and named[0]["total"] > 0, named)
  expect(ask(agent, "heatmap", **{"from": "now-10s"}).status == 200, "heat map")
  flame = post(agent, "SelectMergeStacktraces", profileTypeID="process_cpu:cpu:nanoseconds:cpu:nanoseconds",
               labelSelector='{service_name="shares"}', start=int((until - 3600) * 1000), end=int(until * 1000))
  flame = flame["flamegraph"]
  expect("leaf_a" in flame["names"], flame["names"][:20])
  page = agent.get("/")
  expect(page.status == 200 and "script-src 'self'" in page.headers["Content-Security-Policy"], page.headers)
  expect(agent.get("/web/app.js").status == 200, "no app.js")
  agent.process.kill()
  agent.process.wait()
  kept = segments(store_dir(agent, t))
  again = start_over(t, agent)
  again.ready(SLOW_S)
  after = count(folded(again, **mine))
  expect(same(seen, after), seen, after)
  expect(all(segments(store_dir(again, t))[name][:len(data)] == data for name, data in kept.items()), "was changed")
  expect("dropped" not in again.log and " error store" not in again.log, again.log)


def set_clock(seconds):
  time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


@case("a clock that is set a day ahead, and back: nothing is deleted, windows go on")
def clock(t):
  if "VM_KERNEL" not in os.environ or socket.gethostname() != "guest":
    raise Skipped("the clock of this machine is not ours to set")
  agent, mine, _ = busy(t)
  seen = count(folded(agent, **mine))
  expect(seen > 20, seen)
  for jump in (2 * DAY_S, -2 * DAY_S, -DAY_S, DAY_S):
    set_clock(jump)
    had = windows(agent)
    wait_for(f"windows after a jump of {jump} s", lambda n=had: windows(agent) >= n + 3, SLOW_S)
    expect(agent.get("/healthz").status == 200, "held")
    now = count(folded(agent, match=mine["match"], **{"from": "now-20s"}))
    expect(now > 0, f"nothing of the last seconds after a jump of {jump} s")
  expect(agent.metric("bianque_store_dropped_segments_total") == 0, "segments were dropped", agent.log)
  after = count(folded(agent, **mine))
  expect(same(seen, after), seen, after)
  status, _ = stop(agent.process, timeout=60)
  expect(status == 0, status, agent.log)
  again = start_over(t, agent)
  again.ready(SLOW_S)
  expect(same(seen, count(folded(again, **mine))), "gone after a restart")


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
