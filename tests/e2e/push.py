#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real agent pushing to tests/mock/pyroscope_stub.py through outages, kills and reloads:

    push.py BIANQUE          as root; about a minute; prints what it saw and `N passed, N failed, N skipped`

What is held: nothing the real server would refuse or get wrong (the stub's violations), every sample
of a window in the pushed profiles, sampling that goes on whatever the server does, spooled profiles that
all arrive after a kill -9 with at most one repeated, an end that no server holds up."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
STUB = os.path.join(HERE, "..", "mock", "pyroscope_stub.py")
PASSED, FAILED = [], []


def check(what, good, text=""):
    (PASSED if good else FAILED).append(what)
    print("  %-6s %s%s" % ("ok" if good else "FAILED", what, ": " + str(text) if text != "" else ""),
          flush=True)


class Stub:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-B", STUB], stdout=subprocess.PIPE,
                                        text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def control(self, what, value=None):
        data = None if value is None else json.dumps(value).encode()
        url = "http://127.0.0.1:%d/control/%s" % (self.port, what)
        return json.load(urllib.request.urlopen(urllib.request.Request(url, data), timeout=30))

    def report(self):
        return self.control("report")

    def fail(self, *faults):
        self.control("faults", list(faults))

    def reset(self):
        self.control("reset", {})


class Agent:
    """One configuration, run again and again."""

    def __init__(self, binary, stub):
        self.binary, self.stub = binary, stub
        self.dir = tempfile.mkdtemp(prefix="bianque-push.")
        self.config = os.path.join(self.dir, "bianque.yaml")
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.process = None
        self.port = 0

    def write_config(self, labels="{env: one}", more=""):
        with open(self.config, "w") as f:
            f.write("agent: {state_dir: %s/state, cache_dir: %s/cache, labels: %s,\n"
                    "        cpu_budget_pct: 100}\n"
                    "http: {listen: '127.0.0.1:%d'}\n"
                    "profile: {hz: 49, window: 1s}\n"
                    "pyroscope: {url: 'http://127.0.0.1:%d'%s}\n"
                    % (self.dir, self.dir, labels, self.port, self.stub.port, more))

    def start(self):
        if not self.port:
            self.port = free_port()
            self.write_config()
        self.process = subprocess.Popen([self.binary, "agent", "-c", self.config],
                                        stdout=self.log, stderr=self.log)
        wait("ready", lambda: self.get("/readyz"), 20)

    def get(self, path):
        try:
            return urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path),
                                          timeout=5).read().decode()
        except OSError:
            return ""

    def metric(self, name, **labels):
        """The sum of all series of a family that have these labels."""
        total = 0
        for line in self.get("/metrics").splitlines():
            m = re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if m and m.group(1) == name and all('%s="%s"' % pair in (m.group(2) or "")
                                                for pair in labels.items()):
                total += float(m.group(3))
        return int(total)

    def end(self, number):
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - began

    def lines(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, good, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if good():
            return True
        time.sleep(0.2)
    check(what + " in time", False, "%d s" % seconds)
    return False


def samples_of(report):
    return sum(p["total"][0] for p in report["profiles"])


def usual(agent, stub):
    agent.start()
    wait("windows", lambda: agent.metric("bianque_profile_windows_total") >= 6, 30)
    # Between two windows both sides have the same samples, each once.
    same = wait("every sample", lambda: samples_of(stub.report()) ==
                agent.metric("bianque_profile_window_samples_total"), 30)
    check("every sample of the windows is in a profile", same, samples_of(stub.report()))
    end_s = agent.end(signal.SIGTERM)
    report = stub.report()
    services = {p["labels"]["service_name"] for p in report["profiles"]}
    check("profiles arrive", len(report["profiles"]) >= 6, len(report["profiles"]))
    check("the server would take and show every one", not report["violations"],
          report["violations"][:3])
    check("one request a profile", report["requests"] == len(report["profiles"]))
    check("labels", all(p["labels"].get("env") == "one" and p["labels"].get("host") and
                        p["labels"]["__name__"] == "process_cpu" for p in report["profiles"]))
    check("services by name", len(services) >= 2, sorted(services)[:6])
    check("SIGTERM ends it soon", end_s < 3, "%.2f s" % end_s)


def outage(agent, stub):
    """Answers of 503, then a server that hangs; then a good one."""
    stub.reset()
    agent.start()
    wait("the first profile", lambda: stub.report()["profiles"], 20)
    stub.fail({"status": 503, "times": -1})
    wait("spooled profiles", lambda: agent.metric("bianque_push_spooled_total") >= 8, 30)
    ready = json.loads(agent.get("/readyz"))
    check("/readyz says why", any(d["part"] == "pyroscope" and "no profiles reach" in d["reason"]
                                  for d in ready["degraded"]), ready["degraded"])
    stub.fail({"hang": 30, "times": -1})
    before, windows = agent.metric("bianque_profile_samples_total"), \
        agent.metric("bianque_profile_windows_total")
    time.sleep(6)
    check("sampling goes on while the server hangs",
          agent.metric("bianque_profile_samples_total") > before and
          agent.metric("bianque_profile_windows_total") >= windows + 4 and
          agent.metric("bianque_profile_windows_dropped_total") == 0)
    stub.fail()
    wait("the spool drains", lambda: "pyroscope" not in
         [d["part"] for d in json.loads(agent.get("/readyz") or '{"degraded":[]}')["degraded"]] and
         agent.metric("bianque_table_fill", part="pyroscope", table="spool") == 0, 120)
    time.sleep(2)
    check("nothing was lost", agent.metric("bianque_push_profiles_total", outcome="dropped") == 0)
    report = stub.report()
    check("nothing came twice", report["duplicates"] == 0, report["duplicates"])
    check("no violation", not report["violations"], report["violations"][:3])
    check("all that was encoded arrived", len(report["profiles"]) >=
          agent.metric("bianque_profile_encoded_total") - 80)


def killed(agent, stub):
    """kill -9 with a backlog while it is being sent."""
    stub.fail({"status": 503, "times": -1})
    want = agent.metric("bianque_push_spooled_total") + 30
    wait("a backlog", lambda: agent.metric("bianque_push_spooled_total") >= want, 60)
    spooled = agent.metric("bianque_push_spooled_total") - want + 30
    at_ms = time.time() * 1000
    lives = 3
    stub.reset()
    for life in range(lives):
        # Each life sends a few slowly and dies within a request, or after it was stored.
        stub.fail({"slow": 0.05, "times": 4}, {"hang": 2, "store": True, "times": 1},
                  {"status": 503, "times": -1})
        wait("a request under way", lambda: stub.report()["requests"] >= 5 * (life + 1), 90)
        agent.end(signal.SIGKILL)
        stub.fail({"status": 503, "times": -1})
        time.sleep(2.5)
        if life + 1 < lives:
            agent.start()
    stub.fail()
    agent.start()
    old = lambda: [p for p in stub.report()["profiles"] if p["time_ms"] <= at_ms]  # noqa: E731
    wait("the backlog", lambda: len(old()) - stub.report()["duplicates"] >= spooled, 120)
    report = stub.report()
    check("all that was spooled arrives", len(old()) - report["duplicates"] >= spooled,
          "%d of %d" % (len(old()) - report["duplicates"], spooled))
    check("at most one comes twice for each kill", report["duplicates"] <= lives,
          "%d in %d kills" % (report["duplicates"], lives))
    check("no violation", not report["violations"], report["violations"][:3])


def reload(agent, stub):
    agent.write_config("{env: two}", ", tenant: team-a")
    agent.process.send_signal(signal.SIGHUP)
    good = wait("the new label", lambda: any(p["labels"].get("env") == "two"
                                             for p in stub.report()["profiles"]), 20)
    check("SIGHUP changes labels", good)
    check("and the tenant", stub.report()["headers"].get("X-Scope-OrgID") == "team-a")
    with open(agent.config, "a") as f:
        f.write("pyroscop: {}\n")
    agent.process.send_signal(signal.SIGHUP)
    wait("the error", lambda: "old one goes on" in agent.lines(), 10)
    stub.reset()
    wait("profiles after a bad file", lambda: stub.report()["profiles"], 20)
    check("a bad file keeps the old settings", "pyroscope" in agent.lines() and
          stub.report()["headers"].get("X-Scope-OrgID") == "team-a")


def ending(agent, stub):
    """SIGTERM while the server hangs: what waits goes to the spool, and comes next time."""
    stub.reset()
    stub.fail({"hang": 30, "times": -1})
    time.sleep(3)
    end_s = agent.end(signal.SIGTERM)
    check("SIGTERM ends it soon, server hanging", end_s < 3, "%.2f s" % end_s)
    stub.reset()
    now_ms = time.time() * 1000
    agent.write_config()
    agent.start()
    good = wait("what was spooled", lambda: any(p["time_ms"] < now_ms - 1000 for p in
                                                stub.report()["profiles"]), 60)
    check("what waited comes with the next start", good)
    agent.end(signal.SIGTERM)
    modes = {oct(os.stat(os.path.join(folder, name)).st_mode & 0o777)
             for folder, _, names in os.walk(os.path.join(agent.dir, "state", "spool"))
             for name in names}
    check("the spool is the agent's alone", modes <= {"0o600"}, modes)


def main():
    if os.geteuid():
        print("skipped: sampling needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    if len(sys.argv) != 2:
        sys.exit("usage: push.py BIANQUE")
    os.environ["no_proxy"] = "*"
    stub = Stub()
    # On an idle host no sample comes, and no profile.
    work = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    agent = Agent(os.path.abspath(sys.argv[1]), stub)
    try:
        for part in (usual, outage, killed, reload, ending):
            print(part.__name__, flush=True)
            part(agent, stub)
        errors = [line for line in agent.lines().splitlines() if " error " in line and
                  "config:" not in line]
        check("no error in the log", not errors, errors[:3])
    finally:
        if agent.process and agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait()
        for process in (work, stub.process):
            process.kill()
            process.wait()
        if FAILED:
            print("  log: %s" % agent.log.name, *agent.lines().splitlines()[-20:], sep="\n  ")
        else:
            shutil.rmtree(agent.dir)
    print("%d passed, %d failed, 0 skipped" % (len(PASSED), len(FAILED)))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
