# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures with: CPU time and memory of processes, run time of BPF programs, and
one way to run each recorder over the same seconds."""

import contextlib
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
# pylint: disable=wrong-import-position
import check_folded  # noqa: E402
import harness  # noqa: E402
import perf_fold  # noqa: E402

BIANQUE = harness.BIANQUE
BENCH = os.path.join(ROOT, "build", "bench")
CPUS = sorted(os.sched_getaffinity(0))
TICK = os.sysconf("SC_CLK_TCK")
STATS = "/proc/sys/kernel/bpf_stats_enabled"
PERF_EVENT_PROGRAM = 7  # enum bpf_prog_type
STOP_S = 120
SESSION_NICE = -15


def cpu_s(pid):
  """User and system seconds of a process so far; 0 once it has ended."""
  try:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
      fields = file.read().rpartition(") ")[2].split()
  except OSError:
    return 0.0
  return (int(fields[11]) + int(fields[12])) / TICK


def idle_s():
  """Seconds that all CPUs together were idle so far, waiting for disks included."""
  with open("/proc/stat", encoding="ascii") as file:
    fields = file.readline().split()
  return (int(fields[4]) + int(fields[5])) / TICK


def rss_mib(pid):
  """RssAnon + RssShmem: files mapped count for nobody. BPF arrays that a process has mapped are in
  neither of the two."""
  total = 0
  with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
    for line in file:
      if line.startswith(("RssAnon:", "RssShmem:")):
        total += int(line.split()[1])
  return total / 1024


@contextlib.contextmanager
def bpf_stats():
  """Run times of BPF programs are counted within; as it was afterwards."""
  with open(STATS, encoding="ascii") as file:
    before = file.read()
  with open(STATS, "w", encoding="ascii") as file:
    file.write("1")
  try:
    yield
  finally:
    with open(STATS, "w", encoding="ascii") as file:
      file.write(before)


def bpf_runs(pid):
  """(nanoseconds, runs) of the perf event programs whose descriptors a process holds."""
  seen = {}
  for fd in os.listdir(f"/proc/{pid}/fdinfo"):
    with contextlib.suppress(OSError):
      with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
        info = dict(line.split(":", 1) for line in file if ":" in line)
      if int(info.get("prog_type", -1)) == PERF_EVENT_PROGRAM:
        seen[int(info["prog_id"])] = int(info["run_time_ns"]), int(info["run_cnt"])
  return tuple(map(sum, zip(*seen.values()))) or (0, 0)


@contextlib.contextmanager
def undisturbed():
  """Programs of this session go before those of others, as far as the kernel schedules by session
  (sched_autogroup: there a nice value holds within its session alone)."""
  path = "/proc/self/autogroup"
  before = None
  with contextlib.suppress(OSError):
    with open(path, encoding="ascii") as file:
      before = file.read().split()[-1]
    with open(path, "w", encoding="ascii") as file:
      file.write(str(SESSION_NICE))
  try:
    yield
  finally:
    with contextlib.suppress(OSError):
      if before is not None:
        with open(path, "w", encoding="ascii") as file:
          file.write(before)


def pinned(command, cpu, nice=0):
  """A program on one CPU, in the background."""
  return subprocess.Popen(["nice", "-n", str(nice), "taskset", "-c", str(cpu), *command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def load(*commands, everywhere=False, nice=0):
  """Programs that run within: each on a CPU in turn, or on every CPU."""
  places = [(c, cpu) for c in commands for cpu in CPUS] if everywhere else [
      (c, CPUS[i % len(CPUS)]) for i, c in enumerate(commands)]
  running = [pinned(command, cpu, nice) for command, cpu in places]
  try:
    yield running
  finally:
    for process in running:
      process.kill()
      process.wait()


def workload(name, *mode, seconds=3600):
  return [os.path.join(harness.WORKLOADS, name), *mode, "--seconds", str(seconds)]


class Recording:
  """One recorder over some seconds: its CPU time with its children's, and what it recorded. It is
  put before the load, so that a figure is not that of waiting.

  kind: bianque, perf-dwarf, perf-fp (perf record and then perf script, as names are what is wanted)
  or bpftrace."""

  def __init__(self, kind, hz, folder):
    self.kind, self.hz = kind, hz
    self.out = os.path.join(folder, f"{kind}.out")
    self.err = os.path.join(folder, f"{kind}.err")
    self.cpu_s = self.peak_mib = 0.0
    self.stacks = []  # (comm, frames, count)
    self.process = None

  def argv(self):
    if self.kind == "bianque":
      return [BIANQUE, "record", "-a", "-d", "1h", "-F", str(self.hz), "-f", "folded", "-o", self.out]
    if self.kind == "bpftrace":
      return ["bpftrace", "-e", f"profile:hz:{self.hz} {{ @[kstack, ustack, comm] = count(); }}",
              "-o", self.out]
    graph = {"perf-fp": "fp", "perf-dwarf": "dwarf,8192"}[self.kind]
    return ["perf", "record", "-q", "-a", "-F", str(self.hz), "-e", "cpu-clock", "--call-graph",
            graph, "-o", self.out]

  def start(self):
    with open(self.err, "wb") as err:
      self.process = subprocess.Popen(["nice", "-n", "-10", *self.argv()],
                                      stdin=subprocess.DEVNULL, stdout=err, stderr=err)
    return self

  def wait(self, process):
    """Its usage, once it has ended."""
    end = time.monotonic() + STOP_S
    while time.monotonic() < end:
      pid, status, usage = os.wait4(process.pid, os.WNOHANG)
      if pid:
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.peak_mib = max(self.peak_mib, usage.ru_maxrss / 1024)
        return
      time.sleep(0.02)
    process.kill()
    process.wait()
    raise RuntimeError(f"{self.kind} did not end within {STOP_S} s")

  def stop(self):
    self.process.send_signal(signal.SIGINT)
    self.wait(self.process)
    if self.kind.startswith("perf"):
      self.script()
    elif self.kind == "bianque":
      self.stacks = list(check_folded.parse_folded(check_folded.read(self.out)))
    else:
      with open(self.out, encoding="utf-8", errors="replace") as file:
        self.stacks = [("", [], int(line.rpartition("]: ")[2])) for line in file if "]: " in line]
    return self

  def script(self):
    perf_fold.drop_bpf_records(self.out)
    script = subprocess.Popen(["perf", "script", "-i", self.out, "--no-inline", "-F",
                               "comm,ip,sym,dso"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    folded = perf_fold.fold(line.decode(errors="replace") for line in script.stdout)
    self.wait(script)
    for stack, count in folded.items():
      comm, *frames = stack.split(";")
      if not comm.startswith("swapper"):
        self.stacks.append((comm, frames, count))

  @property
  def samples(self):
    return sum(count for _, _, count in self.stacks)

  def share(self, comm):
    """Of the samples, those of this program."""
    return sum(n for c, _, n in self.stacks if c == comm) / max(self.samples, 1)


def run_tool(name, *args, timeout=300):
  """The output of a benchmark in C."""
  path = os.path.join(BENCH, name)
  if not os.access(path, os.X_OK):
    raise harness.Skipped(f"{name} is not built: make benches")
  done = subprocess.run([path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, timeout=timeout, check=False)
  return done.stdout.decode(errors="replace")


# A process keeps the peak RSS of what it was before its exec: of us, who may be large. This one is small.
LAUNCHER = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def usage_of(argv, data=b""):
  """(CPU seconds, peak RSS in MiB, pages of files included) of a command that is given `data`."""
  ran = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *argv], input=data,
                       stdout=subprocess.PIPE, check=True)
  status, used_s, peak_mib = ran.stdout.split()
  if int(status):
    raise RuntimeError(f"{argv[0]} ended with {int(status)}")
  return float(used_s), float(peak_mib)
