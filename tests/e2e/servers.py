#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real servers under load, recorded by bianque and by perf with copied stacks over the same seconds.

  servers.py [--seconds 10] [postgres|nginx|redis]...

The ten leaf functions with the largest shares by either must agree within 2 points, in up to three
rounds taken together (what a busy machine does to the server is not the same from one moment to the
next); the share of whole stacks is printed for both and must be 99 % for bianque. Servers are those
of the host, else those that `make deps-test` unpacked; they listen on loopback, on free ports and in
folders of their own.

Without a PMU the samples are a timer's, which cannot interrupt where interrupts are off: what happens
there (in a guest: the host's work for a wake-up) is seen in the function that switches them on, and
how much of it depends on how the timers of two samplers lie to each other and on each other's work.
The share of such functions is printed; the others are compared by their shares of the rest.

A leaf is the physical function: inlined frames are left out. Debian strips the servers, so a leaf
that neither can name is known by where its function begins according to .eh_frame (readelf), and
names of one address (memmove, __memmove_avx_unaligned) are one.
"""

import argparse
import bisect
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

import check_folded
import harness
import perf_fold
from harness import BIANQUE, NOBODY, case, expect, need

HZ, PERF_HZ = 997, 991  # not in step with each other
TOP, MAX_POINTS, MIN_WHOLE = 10, 2.0, 99.0
MIN_SAMPLES = 1500  # of each: below, chance alone is two points
MAX_ROUNDS = 3
WARM_S, START_S = 2, 1
PIECE = re.compile(r"(\.(part|isra|constprop|cold|llvm)(\.\d+)*)+")  # of a function
# Where interrupts come back on.
INTERRUPTS_ON = {f"{name}_[k]" for name in (
    "_raw_spin_unlock_irqrestore", "_raw_spin_unlock_irq", "finish_task_switch",
    "irqentry_exit_to_user_mode", "do_syscall_64", "__pv_queued_spin_lock_slowpath")}
HAS_PMU = os.path.exists("/sys/bus/event_source/devices/cpu")
UNNAMED = re.compile(r"(.+)\+0x([0-9a-f]+)$")
DEBUG = "/usr/lib/debug/.build-id"
UNPACKED = os.path.join(os.path.dirname(BIANQUE), "servers")
FIRST = ("nice", "-n", "-10")  # a server that waits for its turn gives no samples
ARGS = argparse.Namespace(seconds=10)


def output(*argv):
  return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, check=False).stdout.decode(errors="replace")


class Object:
  """A mapped ELF file: where its functions begin, and its segments."""

  def __init__(self, path):
    self.path, self.name = path, os.path.basename(path)
    ranges = re.findall(r" FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)",
                        output("readelf", "--debug-dump=frames", path))
    self.starts = sorted({int(begin, 16) for begin, _ in ranges})
    self.loads = [tuple(int(field, 16) for field in fields) for fields in re.findall(
        r"LOAD +0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+)",
        output("readelf", "-lW", path))]

  def function(self, address):
    """Where the function of an ELF address begins."""
    at = bisect.bisect_right(self.starts, address) - 1
    return f"{self.name}+0x{self.starts[at] if at >= 0 else address:x}"

  def address(self, offset):
    """The ELF address of a file offset."""
    for file_at, address, size in self.loads:
      if file_at <= offset < file_at + size:
        return offset - file_at + address
    return offset

  def symbols(self):
    """(name, address), of its debug file as well."""
    build_id = re.search(r"Build ID: ([0-9a-f]+)", output("readelf", "-n", self.path))
    debug = f"{DEBUG}/{build_id[1][:2]}/{build_id[1][2:]}.debug" if build_id else ""
    for argv in (("nm", "-D", self.path), ("nm", self.path), ("nm", debug)):
      if os.path.exists(argv[-1]):
        for line in output(*argv).splitlines():
          fields = line.split()
          if len(fields) == 3 and fields[1] in "tTwWiI":
            yield fields[2].split("@")[0], int(fields[0], 16)


class Functions:
  """One key for a function, however it was named."""

  def __init__(self, pids):
    self.maps, self.objects, self.keys = [], {}, {}
    self.add_vdso()
    for pid in pids:
      with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
          fields = line.split(None, 5)
          if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
            self.add_map(fields)
    with open("/proc/kallsyms", encoding="ascii", errors="replace") as file:
      for address, _, name, *_ in map(str.split, file):
        self.keys.setdefault(name + "_[k]", address)

  def add_vdso(self):
    """It is in every process the same, this one's included."""
    with open("/proc/self/maps", encoding="utf-8") as maps, open("/proc/self/mem", "rb") as mem:
      begin, end = next((int(x, 16) for x in line.split()[0].split("-")) for line in maps
                        if line.endswith("[vdso]\n"))
      mem.seek(begin)
      with tempfile.NamedTemporaryFile(prefix="vdso.") as file:
        file.write(mem.read(end - begin))
        file.flush()
        for name, address in Object(file.name).symbols():
          self.keys.setdefault(name, f"vdso:{address:x}")

  def add_map(self, fields):
    path = fields[5].rstrip("\n")
    begin, end = (int(x, 16) for x in fields[0].split("-"))
    self.maps.append((begin, end, int(fields[2], 16), path))
    if path not in self.objects and os.path.exists(path):
      self.objects[path] = one = Object(path)
      for name, address in one.symbols():
        self.keys.setdefault(name, f"{one.name}:{address:x}")

  def at(self, pc, path):
    """The key of an address without a name, as perf prints it: at run time, or the offset in its file
    (perf 6.1 with copied stacks)."""
    for begin, end, offset, mapped in self.maps:
      if begin <= pc < end and mapped in self.objects:
        one = self.objects[mapped]
        return one.function(one.address(pc - begin + offset))
    one = self.objects.get(path)
    return one.function(one.address(pc)) if one else "[unknown]"

  def key(self, name):
    """The key of a name."""
    match = UNNAMED.match(name)
    for one in self.objects.values():
      if match and one.name == match.group(1):
        return one.function(int(match.group(2), 16))
    name = PIECE.sub("", name)
    return self.keys.get(name, name)


class Profile:
  """Leaves by key, and how many stacks reach the program's or the thread's start."""

  def __init__(self):
    self.leaves, self.names = Counter(), {}
    self.samples = self.whole = self.blurred = 0

  def add(self, key, name, root, count):
    """root: whether the stack reaches it. A name of perf has no suffix."""
    self.samples += count
    self.whole += count * root
    if not HAS_PMU and PIECE.sub("", name.removesuffix("_[k]")) + "_[k]" in INTERRUPTS_ON:
      self.blurred += count
      return
    self.leaves[key] += count
    self.names.setdefault(key, name)

  def join(self, other):
    self.leaves += other.leaves
    self.names = {**other.names, **self.names}
    self.samples += other.samples
    self.whole += other.whole
    self.blurred += other.blurred

  def share(self, key):
    return 100 * self.leaves[key] / max(self.samples - self.blurred, 1)

  @property
  def blurred_pct(self):
    return 100 * self.blurred / max(self.samples, 1)

  @property
  def whole_pct(self):
    return 100 * self.whole / max(self.samples, 1)


def reaches_root(frames):
  """Root first. _start has no name in a stripped program, so what it calls is asked for."""
  return any(f.startswith(("__libc_start_main", "__clone", "clone")) for f in frames[:2])


def read_bianque(path, functions):
  profile = Profile()
  for _, frames, count in check_folded.parse_folded(check_folded.read(path)):
    marked = bool(frames) and frames[0].startswith(check_folded.MARKS)
    named = [f for f in frames if not f.endswith(check_folded.INLINE)]
    leaf = named[-1] if named else "[nothing]"
    profile.add(functions.key(leaf), leaf, not marked and reaches_root(named), count)
  return profile


def read_perf(data, listed, window, functions):
  """Like perf_fold.py, with the leaf's address where it has no name."""
  profile = Profile()
  perf_fold.drop_bpf_records(data)
  script = subprocess.Popen(["perf", "script", "-i", data, "--pid", listed, "--no-inline", "--time",
                             f"{window[0]:.6f},{window[1]:.6f}", "-F", "comm,ip,sym,dso"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
  leaf, frames = None, []
  for line in script.stdout:
    line = line.decode(errors="replace").rstrip("\n")
    if line.strip() and line[0].isspace() and (name := perf_fold.frame_name(line)):
      leaf = leaf or perf_fold.FRAME.match(line)
      frames.append(name)
    elif not line.strip() and frames:
      key = functions.at(int(leaf[1], 16), leaf[3]) if frames[0] == "[unknown]" else \
          functions.key(frames[0])
      profile.add(key, key if frames[0] == "[unknown]" else frames[0],
                  reaches_root(frames[::-1]), 1)
      leaf, frames = None, []
  expect(script.wait() == 0, "perf script failed")
  return profile


def record_both(t, pids):
  """(bianque's, perf's) over the same seconds. perf samples CPUs as bianque does: an event of a task
  is stopped and started whenever that waits, and then shows more of where it wakes."""
  functions = Functions(pids)
  folded, data, listed = t.path("bianque.folded"), t.path("perf.data"), ",".join(map(str, pids))
  perf = t.start("nice", "-n", "-10", "perf", "record", "-q", "-F", str(PERF_HZ), "-e", "cpu-clock",
                 "-k", "CLOCK_MONOTONIC", "--call-graph", "dwarf,8192", "-a", "-o", data)
  time.sleep(START_S)
  begin = time.monotonic()
  ours = t.run(BIANQUE, "record", "-F", str(HZ), "-d", str(ARGS.seconds), "-p", listed, "-f",
               "folded", "-o", folded)
  window = begin, time.monotonic()
  harness.stop(perf, harness.signal.SIGINT)
  expect(ours.status == 0, ours.text)
  return read_bianque(folded, functions), read_perf(data, listed, window, functions)


def differences(ours, perf):
  """Prints the largest leaves; returns the lines of those that differ."""
  print(f"     {perf.samples} samples by perf, {ours.samples} by bianque; whole "
        f"{perf.whole_pct:.1f} % and {ours.whole_pct:.1f} %")
  if not HAS_PMU:
    print(f"     where interrupts come back on: {perf.blurred_pct:.1f} % and {ours.blurred_pct:.1f} %")
  top = {key for p in (ours, perf) for key, _ in p.leaves.most_common(TOP)}
  bad = []
  for key in sorted(top, key=lambda k: -perf.share(k)):
    name = ours.names.get(key) or perf.names[key]
    line = f"{perf.share(key):6.2f} % {ours.share(key):6.2f} % {name}"
    print(f"     {line}")
    if abs(perf.share(key) - ours.share(key)) > MAX_POINTS:
      bad.append(line)
  return bad


def compare(t, pids):
  time.sleep(WARM_S)
  ours, perf, bad = Profile(), Profile(), []
  for _ in range(MAX_ROUNDS):
    for whole, part in zip((ours, perf), record_both(t, pids)):
      whole.join(part)
    bad = differences(ours, perf)
    enough = min(ours.samples, perf.samples) >= MIN_SAMPLES
    if enough and not bad:
      break
  if not enough:
    raise harness.Skipped(f"the machine gave the server too little: {ours.samples} samples")
  expect(not bad, "perf and bianque differ:", "; ".join(bad))
  expect(ours.whole_pct >= MIN_WHOLE, f"whole: {ours.whole_pct:.1f} %")


def children(pid):
  with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
    return [int(child) for child in file.read().split()]


def listens(port):
  def there():
    with harness.socket.socket() as s:
      return s.connect_ex(("127.0.0.1", port)) == 0
  harness.wait_for(f"a server on port {port}", there)


def unpacked(t, pattern):
  """The program of the host, else a copy of the unpacked ones that any user may run."""
  if found := sorted(glob.glob(pattern)):
    return found[-1]
  if not glob.glob(UNPACKED + pattern):
    raise harness.Skipped(f"no {pattern}; run `make deps-test`")
  shutil.copytree(UNPACKED, t.path("servers"), symlinks=True)
  return sorted(glob.glob(t.path("servers") + pattern))[-1]


@case("postgres under pgbench")
def postgres(t):
  need("setpriv")
  folder = os.path.dirname(unpacked(t, "/usr/lib/postgresql/*/bin/postgres"))
  tool = lambda name: os.path.join(folder, name)
  user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
  data, port = t.path("pg"), harness.free_port()
  os.chmod(t.dir, 0o755)
  os.mkdir(data, 0o700)
  os.chown(data, NOBODY, NOBODY)
  done = t.run(*user, tool("initdb"), "-D", data, "-A", "trust", "-U", "bench", "--no-sync",
               "--no-locale", cwd="/")
  expect(done.status == 0, done.text)
  server = t.start(*FIRST, *user, tool("postgres"), "-D", data, "-k", data, "-p", str(port),
                   "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", cwd="/")
  listens(port)
  where = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
  done = t.run(tool("pgbench"), *where, "-i", "-s", "3", "-q", "postgres", cwd="/")
  expect(done.status == 0, done.text)
  t.start(*FIRST, tool("pgbench"), *where, "-S", "-c", "4", "-T", "3600", "postgres", cwd="/")
  time.sleep(WARM_S)
  compare(t, children(server.pid))


NGINX = """
daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log {dir}/access.log; gzip on; gzip_types text/html; gzip_comp_level 4;
  server {{ listen 127.0.0.1:{port}; root {dir}/www; }}
}}
"""


@case("nginx under wrk")
def nginx(t):
  need("wrk")
  program, port = unpacked(t, "/usr/sbin/nginx"), harness.free_port()
  os.chmod(t.dir, 0o755)
  os.mkdir(t.path("www"))
  t.write("www/index.html", "".join(f"<p>line {i * i} of a page</p>\n" for i in range(200)))
  config = t.write("nginx.conf", NGINX.format(dir=t.dir, port=port))
  server = t.start(*FIRST, program, "-p", t.dir, "-c", config)
  listens(port)
  t.start(*FIRST, "wrk", "-t1", "-c16", "-d", "3600", "-H", "Accept-Encoding: gzip",
          f"http://127.0.0.1:{port}/")
  compare(t, [server.pid, *children(server.pid)])


@case("redis under redis-benchmark")
def redis(t):
  need("redis-check-rdb", "redis-benchmark")
  # The server is the same program under another name; only its package starts one on the host.
  program, port = t.path("redis-server"), harness.free_port()
  os.symlink(shutil.which("redis-check-rdb"), program)
  server = t.start(*FIRST, program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--dir", t.dir)
  listens(port)
  t.start(*FIRST, "redis-benchmark", "-p", str(port), "-c", "20", "-n", "2000000000", "-r", "10000",
          "-P", "4", "-q", "zadd", "set", "__rand_int__", "member:__rand_int__")
  compare(t, [server.pid])


def main():
  parser = argparse.ArgumentParser(description="Real servers by bianque and perf.")
  parser.add_argument("--seconds", type=int, default=10)
  parser.add_argument("names", nargs="*")
  parser.parse_args(namespace=ARGS)
  need_perf = subprocess.run(["perf", "--version"], stdout=subprocess.DEVNULL, check=False)
  if need_perf.returncode:
    print("skip all: no perf\n0 passed, 0 failed, 1 skipped")
    return 0
  return harness.start_tests(ARGS.names)


if __name__ == "__main__":
  sys.exit(main())
