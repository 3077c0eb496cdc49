# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end proofs (record_test.py, agent_test.py) share: cases, starting and stopping programs, an agent, HTTP.

A case is a function; it passes unless it raises: Failed (by expect), Skipped (a reason), or any
other exception. Everything started within a case is ended with it, by its process id.
BIANQUE=FILE in the environment is another build, such as one with a sanitizer.

  @case("what it proves")
  def works(t):
    done = t.run(BIANQUE, "version")
    expect(done.status == 0, done.text)
"""

import contextlib
import ctypes
import json
import os
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIANQUE = os.environ.get("BIANQUE") or os.path.join(ROOT, "build", "bianque")
WORKLOADS = os.path.join(ROOT, "build", "workloads")
# What the profiler needs and no more (kernel 5.11 and later).
CAPABILITIES = ("bpf", "perfmon", "sys_ptrace", "dac_read_search", "syslog", "checkpoint_restore")
NOBODY = 65534
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000  # linux/ptrace.h, linux/wait.h
CASES = []


class Failed(Exception):
  pass


class Skipped(Exception):
  pass


def case(name):
  def add(function):
    CASES.append((name, function))
    return function
  return add


def expect(condition, *what):
  if not condition:
    raise Failed(" ".join(str(w) for w in what).strip()[-1500:] or "not so")


def need(*programs):
  for program in programs:
    if not shutil.which(program):
      raise Skipped(f"no {program}")


def workload(name):
  path = os.path.join(WORKLOADS, name)
  if not os.access(path, os.X_OK):
    raise Skipped(f"workload {name} is not built")
  return path


class Done:
  """A program that ended: its status, and what it wrote."""

  def __init__(self, status, out, err):
    self.status, self.out, self.err = status, out, err

  @property
  def text(self):
    return f"status {self.status}\n{self.out[-700:]}\n{self.err[-700:]}"


class Case:
  """What a case may start; close() ends it."""

  def __init__(self):
    self.dir = tempfile.mkdtemp(prefix="bianque-e2e.")
    self.running = []

  def path(self, name):
    return os.path.join(self.dir, name)

  def write(self, name, text):
    with open(self.path(name), "w", encoding="utf-8") as file:
      file.write(text)
    return self.path(name)

  def run(self, *argv, timeout=60, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, check=False, **options)
    return Done(done.returncode, done.stdout.decode(errors="replace"),
                done.stderr.decode(errors="replace"))

  def start(self, *argv, log=None, **options):
    """A program in the background; its output goes to a file, log(process) reads it."""
    path = self.path(log or f"log-{len(self.running)}")
    with open(path, "wb") as out:
      process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
    process.log_path = path
    self.running.append(process)
    return process

  def close(self):
    for process in reversed(self.running):
      if process.poll() is None:
        process.terminate()
        try:
          process.wait(10)
        except subprocess.TimeoutExpired:
          process.kill()
          process.wait()
    shutil.rmtree(self.dir, ignore_errors=True)


# ---- other circumstances: each gives the words to put before a command ---------------------------

def as_nobody(capabilities):
  """As a user without rights, with these capabilities."""
  need("setpriv")
  caps = ",".join(["-all"] + [f"+{c}" for c in capabilities])
  return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
          f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}", "--"]


def mounted(script, *args):
  """In a mount namespace of its own, after `script` with these arguments."""
  need("unshare")
  return ["unshare", "-m", "--propagation", "private", "sh", "-c",
          f'{script} && shift {len(args)} && exec "$@"', "sh", *args]


def other_file(t, path, content):
  """With other content in a file."""
  return mounted('mount --bind "$1" "$2"', t.write("instead", content), path)


def full_folder(path, size="64k"):
  """With a file system of `size` on a folder, and nothing free on it."""
  return mounted('mount -t tmpfs -o "size=$2,mode=755" none "$1" && '
                 '{ dd if=/dev/zero "of=$1/full" bs=4k 2>/dev/null || true; }', path, size)


def hidden_kallsyms():
  """/proc/kallsyms as kptr_restrict=2 shows it."""
  with open("/proc/kallsyms", encoding="ascii", errors="replace") as file:
    return "".join("0" * 16 + line[16:] for line in file)


def log_text(path):
  with open(path, encoding="utf-8", errors="replace") as file:
    return file.read()


def log(process):
  return log_text(process.log_path)


def stop(process, sig=signal.SIGTERM, timeout=30):
  """(exit status, seconds it took)."""
  began = time.monotonic()
  process.send_signal(sig)
  try:
    status = process.wait(timeout)
  except subprocess.TimeoutExpired as err:
    raise Failed(f"still runs {timeout} s after {signal.Signals(sig).name}\n{log(process)}") from err
  return status, time.monotonic() - began


@contextlib.contextmanager
def stopped_thread(pid, name):
  """One thread of a process stands still meanwhile, as one whose read does not return would."""
  folder = f"/proc/{pid}/task"
  tid = next(int(tid) for tid in os.listdir(folder) if log_text(f"{folder}/{tid}/comm") == name + "\n")
  ptrace = ctypes.CDLL(None, use_errno=True).ptrace
  if ptrace(PTRACE_ATTACH, tid, None, None):
    raise Skipped(f"cannot stop a thread: {os.strerror(ctypes.get_errno())}")
  os.waitpid(tid, WALL)
  try:
    yield
  finally:
    ptrace(PTRACE_DETACH, tid, None, None)


def wait_for(what, condition, timeout=30):
  end = time.monotonic() + timeout
  while time.monotonic() < end:
    value = condition()
    if value:
      return value
    time.sleep(0.05)
  raise Failed(f"not within {timeout} s: {what}")


def free_port():
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


# Never through a proxy of the environment: the agent is on loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Reply:
  def __init__(self, status, headers, body):
    self.status, self.headers, self.body = status, headers, body

  @property
  def text(self):
    return self.body.decode(errors="replace")

  @property
  def json(self):
    return json.loads(self.body)


class Agent:
  """`bianque agent` on a port and folders of its own."""

  def __init__(self, t, *sets, config="", prefix=(), env=None):
    self.port = free_port()
    self.url = f"http://127.0.0.1:{self.port}"
    self.config = t.write(f"agent-{self.port}.yaml", config or "profile:\n  hz: 99\n")
    folders = [f"agent.{key}_dir={t.path(f'{key}-{self.port}')}" for key in ("state", "cache")]
    values = [f"http.listen=127.0.0.1:{self.port}", *folders, *sets]
    argv = [*prefix, BIANQUE, "agent", "-c", self.config]
    for value in values:
      argv += ["--set", value]
    self.process = t.start(*argv, log=f"agent-{self.port}.log", env=env)

  @property
  def log(self):
    return log(self.process)

  def get(self, path, headers=None, method="GET", body=None, timeout=60):
    request = urllib.request.Request(self.url + path, headers=headers or {}, method=method,
                                     data=body)
    try:
      with OPENER.open(request, timeout=timeout) as reply:
        return Reply(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as err:
      return Reply(err.code, err.headers, err.read())

  def try_get(self, path):
    try:
      return self.get(path, timeout=5)
    except OSError:
      return None

  def answers(self, path="/healthz", status=200, timeout=30):
    def there():
      expect(self.process.poll() is None, f"the agent ended: {self.process.poll()}\n{self.log}")
      reply = self.try_get(path)
      return reply if reply and reply.status == status else None
    return wait_for(f"{path} {status}", there, timeout)

  def ready(self, timeout=30):
    return self.answers("/readyz", 200, timeout)

  def metric(self, name, **labels):
    """The sum of a metric's samples with these labels; None when there is none."""
    total = None
    for line in self.get("/metrics").text.splitlines():
      if line.startswith(name) and line[len(name):len(name) + 1] in ("{", " "):
        if all(f'{k}="{v}"' in line for k, v in labels.items()):
          total = (total or 0.0) + float(line.rsplit(" ", 1)[1])
    return total


def ready_agent(t, *sets, **options):
  agent = Agent(t, *sets, **options)
  agent.ready()
  return agent


def start_shares(t):
  """A program with known leaves (leaf_a, leaf_b, leaf_c), on a CPU until the case ends."""
  return t.start(workload("shares"), "--seconds", "60")


def run_case(name, function):
  """ok, FAIL or skip, printed as it is."""
  t, began = Case(), time.monotonic()
  try:
    function(t)
    print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return "ok"
  except Skipped as why:
    print(f"skip {name}: {why}", flush=True)
    return "skip"
  except Failed as why:
    print(f"FAIL {name}: {why}", flush=True)
    return "FAIL"
  except Exception:  # pylint: disable=broad-except
    print(f"FAIL {name}:\n{traceback.format_exc(limit=4)}", flush=True)
    return "FAIL"
  finally:
    t.close()


def start_tests(wanted=()):
  """Runs the cases whose names hold one of the words; `N passed, N failed, N skipped`."""
  if os.geteuid():
    print("skip all: needs root\n0 passed, 0 failed, 1 skipped")
    return 0
  if not os.access(BIANQUE, os.X_OK):
    sys.exit(f"{BIANQUE} is not built; run `make`")
  # Whoever runs this may ignore it (nohup); what is started here would, too.
  signal.signal(signal.SIGHUP, signal.SIG_DFL)
  counts = {"ok": 0, "FAIL": 0, "skip": 0}
  for name, function in CASES:
    if not wanted or any(word in name for word in wanted):
      counts[run_case(name, function)] += 1
  print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
  return 1 if counts["FAIL"] else 0
