#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bianque record` from outside: targets, formats through their own readers, exit status, signals,
privileges. Needs root and `make bianque workloads`. record_test.py [WORD...] runs the cases whose
names hold a word; ends with `N passed, N failed, N skipped`.
"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import check_folded
from harness import (BIANQUE, CAPABILITIES, ROOT, Failed, Skipped, as_nobody, case, expect,
                     full_folder, hidden_kallsyms, log, need, other_file, start_shares, start_tests,
                     stop, wait_for, workload)

SUMMARY = re.compile(r"bianque: (\d+) samples in [\d.]+ s at (\d+) Hz, [\d.]+ % whole stacks, "
                     r"(\d+) lost")
DURATION = re.compile(r"samples in ([\d.]+) s")


def record(t, *args, timeout=90, **options):
  return t.run(BIANQUE, "record", *args, timeout=timeout, **options)


def folded(text):
  return list(check_folded.parse_folded(text))


def comms(samples):
  return {comm for comm, _, _ in samples}


def leaves(samples):
  return {frames[-1] for _, frames, _ in samples if frames}


# ---- shares ------------------------------------------------------------------------------------

@case("shares A 60, B 30, C 10 within 1.5 points at 10,000 samples")
def exact_shares(t):
  program = workload("shares")
  expectation = t.run(program, "--expect").out
  text = ""
  # A busy machine gives the program less than a CPU: until there are enough.
  for _ in range(4):
    done = record(t, "-F", "997", "-f", "folded", "--", program, "--seconds", "11")
    expect(done.status == 0, done.text)
    text += done.out
    result = check_folded.check(check_folded.parse_expectation(expectation),
                                check_folded.parse_folded(text))
    if result.samples >= check_folded.FULL_SAMPLES:
      break
  print(f"     {result.samples} samples, worst {result.worst:.2f} points, "
        f"whole {result.whole_pct:.2f} %, chains {result.chain_pct:.2f} %")
  limit = 1.5 * max(1.0, (check_folded.FULL_SAMPLES / max(result.samples, 1)) ** 0.5)
  expect(result.worst <= limit, f"{result.worst:.2f} points off")
  expect(result.chain_pct >= 99 and result.whole_pct >= 99, f"chains {result.chain_pct:.2f} %")


# ---- formats -----------------------------------------------------------------------------------

def record_as(t, ending):
  path = t.path("out" + ending)
  done = record(t, "-F", "499", "-o", path, "--", workload("shares"), "--seconds", "1")
  expect(done.status == 0, done.text)
  match = SUMMARY.search(done.err)
  expect(match and path in done.err, "no summary line:", done.text)
  return path, int(match.group(1))


def read(path):
  with open(path, encoding="utf-8") as file:
    return file.read()


@case("pprof: go tool pprof reads it, names and counts")
def format_pprof(t):
  need("go")
  path, samples = record_as(t, ".pb.gz")
  top = t.run("go", "tool", "pprof", "-top", "-sample_index=samples", "-nodecount=50", path)
  expect(top.status == 0 and "leaf_a" in top.out and "Type: samples" in top.out, top.text)
  total = re.search(r"of (\d+) total", top.out)
  expect(total and int(total.group(1)) == samples, f"{samples} recorded:", top.text)
  raw = t.run("go", "tool", "pprof", "-raw", path)
  expect(raw.status == 0 and "cpu/nanoseconds" in raw.out and "PeriodType: cpu" in raw.out,
         raw.text)


@case("folded: every line is comm;root;...;leaf COUNT")
def format_folded(t):
  path, samples = record_as(t, ".folded")
  stacks = folded(read(path))
  expect(sum(n for _, _, n in stacks) == samples, "counts are not the samples")
  expect("leaf_a" in leaves(stacks), "no leaf_a")


@case("speedscope: its schema's indices, weights and units")
def format_speedscope(t):
  path, samples = record_as(t, ".speedscope.json")
  data = json.loads(read(path))
  expect(data["$schema"] == "https://www.speedscope.app/file-format-schema.json", data["$schema"])
  frames = data["shared"]["frames"]
  expect(any(f["name"] == "leaf_a" for f in frames), "no leaf_a")
  total = 0
  for profile in data["profiles"]:
    expect(profile["type"] == "sampled" and len(profile["samples"]) == len(profile["weights"]),
           profile["type"])
    expect(all(0 <= i < len(frames) for s in profile["samples"] for i in s), "an index is off")
    total += sum(profile["weights"])
  expect(total > 0 and samples > 0, "nothing in it")


@case("json: it parses, and its root is all samples")
def format_json(t):
  path, samples = record_as(t, ".json")
  text = read(path)
  expect("leaf_a" in text and samples > 0, "no leaf_a")
  expect(isinstance(json.loads(text), dict), "no object")


@case("svg: XML with a title per frame")
def format_svg(t):
  path, _ = record_as(t, ".svg")
  root = ET.parse(path).getroot()
  titles = [e.text or "" for e in root.iter() if e.tag.endswith("title")]
  expect(any("leaf_a" in text for text in titles), "no title names leaf_a")


@case("html: one file that asks nobody for anything")
def format_html(t):
  path, _ = record_as(t, ".html")
  text = read(path)
  outside = []

  class Links(HTMLParser):
    def handle_starttag(self, tag, attrs):
      for key, value in attrs:
        if key in ("src", "href") and value and not value.startswith(("#", "data:")):
          outside.append(value)
  Links().feed(text)
  expect("leaf_a" in text and "Content-Security-Policy" in text, "no leaf_a or no policy")
  expect(not outside, "it links to", outside[:3])


@case("text: a table with the leaf functions")
def format_text(t):
  path, _ = record_as(t, ".txt")
  expect("leaf_a" in read(path), read(path)[:500])


# ---- targets -----------------------------------------------------------------------------------

@case("what a file is of stands in it")
def titles(t):
  shares, host = start_shares(t), os.uname().nodename
  for args, title in ((["-p", str(shares.pid)], f"cpu of pid {shares.pid}"), ([], "cpu"),
                      (["--", "sleep", "0.1"], "cpu of sleep 0.1")):
    done = record(t, "-d", "1", "-f", "text", "-o", "-", *args)
    expect(done.out.startswith(f"{title} on {host}\n"), done.out[:200], done.err)


@case("-p: these processes with all their threads, nobody else")
def target_pids(t):
  one = t.start(workload("threads"), "--seconds", "30")
  two = start_shares(t)
  time.sleep(0.3)
  done = record(t, "-d", "2", "-F", "199", "-f", "folded", "-p", f"{one.pid},{two.pid}")
  expect(done.status == 0, done.text)
  samples = folded(done.out)
  expect("shares" in comms(samples), comms(samples))
  # The threads of one name themselves; none of another program may be there.
  expected = check_folded.parse_expectation(t.run(workload("threads"), "--expect").out)
  strange = [c for c in comms(samples)
             if c not in ("shares", "threads") and not check_folded.fnmatchcase(c, expected.comm)]
  expect(not strange, "not asked for:", strange)
  expect(len(comms(samples)) > 1, comms(samples))


def make_cgroup():
  for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory",
               "/sys/fs/cgroup/cpu"):
    path = os.path.join(root, f"bianque-e2e-{os.getpid()}")
    if os.path.exists(os.path.join(root, "cgroup.procs")):
      try:
        os.mkdir(path)
        return path
      except OSError:
        continue
  raise Skipped("no cgroup can be made here")


@case("--cgroup: the processes of a cgroup and below it")
def target_cgroup(t):
  path = make_cgroup()
  below = os.path.join(path, "below")
  try:
    os.mkdir(below)
    inside = start_shares(t)
    t.start(workload("cxx"), "shares", "--seconds", "30")
    with open(os.path.join(below, "cgroup.procs"), "w", encoding="ascii") as procs:
      procs.write(str(inside.pid))
    done = record(t, "-d", "2", "-F", "199", "-f", "folded", "--cgroup", path)
    expect(done.status == 0, done.text)
    expect(comms(folded(done.out)) == {"shares"}, done.text)
    stop(inside, signal.SIGKILL)
  finally:
    for folder in (below, path):
      for _ in range(50):
        try:
          os.rmdir(folder)
          break
        except FileNotFoundError:
          break
        except OSError:
          time.sleep(0.1)


@case("-- COMMAND: its whole process tree, until it ends")
def target_command(t):
  script = f"{workload('shares')} --seconds 1 & {workload('cxx')} shares --seconds 1; wait"
  done = record(t, "-F", "199", "-f", "folded", "--", "sh", "-c", script)
  expect(done.status == 0, done.text)
  seen = comms(folded(done.out))
  expect({"shares", "cxx"} <= seen, seen)
  expect(seen <= {"shares", "cxx", "sh", "bianque"}, "not of the tree:", seen)


@case("-a: the whole host, kernel frames at the leaf end")
def target_all(t):
  start_shares(t)
  t.start("dd", "if=/dev/zero", "of=/dev/null", "bs=64")
  done = record(t, "-d", "2", "-F", "199", "-f", "folded")
  expect(done.status == 0, done.text)
  samples = folded(done.out)
  expect({"shares", "dd"} <= comms(samples), comms(samples))
  expect(any(f[-1].endswith("_[k]") for c, f, _ in samples if c == "dd" and f), "no kernel frame")
  for _, frames, _ in samples:
    inside = [f.endswith("_[k]") for f in frames]
    expect(inside == sorted(inside), "a user frame below a kernel frame:", frames)
  expect(not any("" in frames for _, frames, _ in samples), "an empty name")


# ---- the end of a recording ----------------------------------------------------------------------

@case("Ctrl-C: the first one writes what there is")
def interrupt(t):
  path = t.path("out.folded")
  start_shares(t)
  process = t.start(BIANQUE, "record", "-d", "60", "-F", "99", "-o", path)
  time.sleep(2)
  status, took_s = stop(process, signal.SIGINT)
  expect(status == 0, status, log(process))
  expect(SUMMARY.search(log(process)), log(process))
  expect("shares" in comms(folded(read(path))), "shares is not in what was written")
  expect(took_s < 20, f"{took_s:.1f} s")


@case("Ctrl-C: the second one gives up, and nothing is left behind")
def give_up(t):
  path = t.path("out.folded")
  start_shares(t)
  process = t.start(BIANQUE, "record", "-d", "60", "-F", "99", "-o", path)
  time.sleep(2)
  expect(any(".tmp-" in name for name in os.listdir(t.dir)), "nothing was begun:", log(process))
  process.send_signal(signal.SIGINT)
  time.sleep(0.02)  # or both would be one
  status, _ = stop(process, signal.SIGINT)
  expect(status == 1 and not SUMMARY.search(log(process)), status, log(process))
  left = [name for name in os.listdir(t.dir) if "out.folded" in name]
  expect(not left, "left behind:", left)


@case("the terminal is closed: what there is is written; under nohup it goes on")
def hang_up(t):
  path = t.path("out.folded")
  start_shares(t)
  pid, terminal = pty.fork()
  if pid == 0:
    os.execv(BIANQUE, [BIANQUE, "record", "-d", "60", "-o", path])
  time.sleep(2)
  os.close(terminal)
  time.sleep(0.02)
  try:
    os.kill(pid, signal.SIGHUP)  # the shell's, behind the kernel's
    wait_for("its end", lambda: os.waitpid(pid, os.WNOHANG)[0], 20)
  except Failed:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise
  expect([n for n in os.listdir(t.dir) if "out.folded" in n] == ["out.folded"], os.listdir(t.dir))
  expect("shares" in comms(folded(read(path))), "shares is not in what was written")
  process = t.start("nohup", BIANQUE, "record", "-d", "3", "-o", path)
  time.sleep(1)
  process.send_signal(signal.SIGHUP)
  expect(process.wait(20) == 0 and float(DURATION.search(log(process)).group(1)) > 2.9, log(process))


@case("-o through links: what a link names is replaced, standard output is written to as it is")
def output_links(t):
  real, link = t.write("real.folded", "old"), t.path("link.folded")
  os.symlink("real.folded", link)
  start_shares(t)  # an idle host gives no samples
  done = record(t, "-d", "1", "-o", link)
  expect(done.status == 0 and os.path.islink(link) and read(real) != "old", done.text)
  device, out = t.path("device"), t.path("out")
  os.symlink("/proc/self/fd/1", device)
  before = os.lstat("/dev/stdout").st_ino
  for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", device):
    with open(out, "ab") as file:
      done = subprocess.run([BIANQUE, "record", "-q", "-d", "1", "-f", "folded", "-o", name],
                            stdout=file, stderr=subprocess.PIPE, timeout=60, check=False)
    expect(done.returncode == 0 and read(out), name, done.stderr)
  expect(os.lstat("/dev/stdout").st_ino == before, "/dev/stdout was replaced")
  expect(os.path.islink(device), "a link was replaced")


@case("-- COMMAND: how it ended is said, the status is that of the recording")
def command_end(t):
  for script, wanted in (("exit 3", "the command ended with 3"), ("exit 127", "ended with 127"),
                         ("kill -9 $$", "the command was killed by signal 9"), ("exit 0", "")):
    done = record(t, "-f", "folded", "--", "sh", "-c", script)
    expect(done.status == 0 and wanted in done.err, script, done.text)
    expect(wanted or "the command" not in done.err, done.text)
  done = record(t, "-d", "1", "-f", "folded", "--", "sleep", "2")
  expect(done.status == 0 and re.search(r"the command goes on as pid \d+\n", done.err), done.text)
  done = record(t, "-o", "x.html", "--", "/nonexistent/program", cwd=t.dir)
  expect(done.status == 1 and len(done.err.splitlines()) == 1 and "cannot be run" in done.err,
         done.text)
  expect(not os.path.exists(t.path("x.html")), "a file of nothing")


def read_terminal(leader):
  """What was written to a pseudo-terminal until its last writer closed it."""
  text = b""
  try:
    while chunk := os.read(leader, 65536):
      text += chunk
  except OSError:
    pass  # its end: Linux gives EIO
  os.close(leader)
  return text.decode(errors="replace")


@case("a terminal: a progress bar while it records, a summary at its end")
def progress(t):
  shares = workload("shares")
  leader, follower = pty.openpty()
  process = subprocess.Popen([BIANQUE, "record", "-d", "2", "-F", "49", "-o", t.path("x.folded"),
                              "-p", str(t.start(shares, "--seconds", "30").pid)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower)
  t.running.append(process)
  os.close(follower)
  text = read_terminal(leader)
  expect(process.wait(30) == 0, text)
  expect(re.search(r"\r\[=+ *\] ", text), text[-500:])
  expect(SUMMARY.search(text), text[-500:])


@case("-f text: its lines fit the terminal; in a file nothing is cut")
def text_fits(t):
  command = ["--", "sh", "-c", 'exec "$0" shares --seconds 1 >/dev/null', workload("cxx")]
  leader, follower = pty.openpty()
  fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 64, 0, 0))
  process = subprocess.Popen([BIANQUE, "record", "-q", "-F", "499", "-f", "text", *command],
                             stdin=subprocess.DEVNULL, stdout=follower, stderr=subprocess.DEVNULL)
  t.running.append(process)
  os.close(follower)
  table = read_terminal(leader).split("\r\n\r\n")[1].splitlines()
  expect(process.wait(30) == 0 and any("cxx" in line for line in table), table)
  expect(max(map(len, table)) <= 64, "too wide:", max(table, key=len))
  done = record(t, "-q", "-F", "499", "-f", "text", *command)
  expect(any(len(line) > 64 for line in done.out.splitlines()[6:]), "nothing long:", done.text)
  expect("\u2026" not in done.out, "cut:", done.text)


@case("-q: neither progress nor summary")
def quiet(t):
  done = record(t, "-q", "-d", "1", "-f", "folded", "-o", t.path("x.folded"))
  expect(done.status == 0 and done.out == "", done.text)
  said = [line for line in done.err.splitlines() if not line.startswith("bianque: warning: ")]
  expect(not said, said)


@case("a target that dies in the middle: what was seen is written")
def dying_target(t):
  process = t.start(workload("shares"), "--seconds", "1")
  done = record(t, "-d", "2", "-F", "199", "-f", "folded", "-p", str(process.pid))
  expect(done.status == 0 and "shares" in comms(folded(done.out)), done.text)


# ---- exit status -------------------------------------------------------------------------------

USAGE = (["-Z"], ["-F", "0"], ["-F", "998"], ["-F", "x"], ["-d", "0"], ["-d", "5parsecs"],
         ["-k", "nonsense"], ["-f", "nonsense"], ["-a", "-p", "1"], ["-a", "--", "true"],
         ["-p", ""], ["-p", "x"], ["stray"], ["--"], ["-o"], ["-o", "x.prof"])
FAILURE = (["-p", "2147483646"], ["--cgroup", "/nonexistent"], ["--cgroup", "/tmp"],
           ["--container", "0123456789abcdef"], ["-d", "1", "-o", "/nonexistent/x.folded"],
           ["-d", "1", "-f", "folded", "-o", "/dev/full"], ["--", "/nonexistent/program"])


@case("exit status: 2 and one line for bad usage, 1 for what failed, with the reason")
def exit_status(t):
  start_shares(t)  # else there may be nothing to write
  for args, wanted in [(a, 2) for a in USAGE] + [(a, 1) for a in FAILURE]:
    done = record(t, *args, cwd=t.dir)
    expect(done.status == wanted, args, f"status {done.status}, not {wanted}:", done.text)
    expect(done.err.startswith("bianque"), args, done.text)
    expect(done.out == "" or wanted == 1, args, done.text)
  left = [name for name in os.listdir(t.dir) if ".tmp-" in name]
  expect(not left, "left behind:", left)


@case("exit status: help and version are 0, no command and unknown ones 2")
def exit_status_of_commands(t):
  for args, wanted in ((["--help"], 0), (["version"], 0), (["record", "--help"], 0), ([], 2),
                       (["help"], 0), (["help", "unwind"], 0), (["help", "nonsense"], 2),
                       (["nonsense"], 2), (["unwind", "/nonexistent"], 1)):
    done = t.run(BIANQUE, *args)
    expect(done.status == wanted, args, done.text)
    expect(done.out if wanted == 0 else done.err, args, "says nothing")


# ---- privileges and a hardened host --------------------------------------------------------------

@case("no root: exit 1, it says which capabilities it needs")
def no_root(t):
  need("setpriv")
  done = t.run(*as_nobody([]), BIANQUE, "record", "-d", "1", "-f", "folded")
  expect(done.status == 1 and "CAP_" in done.err and "root" in done.err, done.text)


@case("the six capabilities are enough, without root and CAP_SYS_RESOURCE")
def six_capabilities(t):
  need("setpriv")
  shares = start_shares(t)
  done = t.run(*as_nobody(CAPABILITIES), BIANQUE, "record", "-d", "2", "-F", "199", "-f", "folded",
               "-p", str(shares.pid))
  if "kernel" in done.err and "memlock" in done.err and os.uname().release.startswith("5.10"):
    raise Skipped("before 5.11 maps need a raised memlock limit")
  expect(done.status == 0, done.text)
  stacks = folded(done.out)
  expect("leaf_a" in leaves(stacks), done.text)


@case("the service's unit gives what is needed: a program replaced while it runs is unwound")
def unit_capabilities(t):
  need("setpriv")
  with open(os.path.join(ROOT, "deploy", "bianque.service"), encoding="ascii") as file:
    names = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.M).group(1).split()
  given = [name.removeprefix("CAP_").lower() for name in names]
  # Besides: a raised priority, and locked memory before 5.11.
  expect(sorted(given) == sorted([*CAPABILITIES, "sys_nice", "sys_resource"]), given)
  program = shutil.copy(workload("shares"), t.path("replaced"))
  shares = t.start(program, "--seconds", "60")
  os.rename(shutil.copy("/bin/true", t.path("new")), program)
  bounds = ",".join(["-all"] + [f"+{name}" for name in given])
  done = t.run("setpriv", f"--bounding-set={bounds}", "--", BIANQUE, "record", "-d", "2", "-F", "199",
               "-f", "folded", "-p", str(shares.pid))
  expect(done.status == 0 and "leaf_a" in leaves(folded(done.out)), done.text)
  whole = re.search(r"([\d.]+) % whole stacks", done.err)
  expect(whole and float(whole.group(1)) > 90, done.text)


@case("one capability missing: it works with less, or says what is missing")
def one_missing(t):
  need("setpriv")
  shares = start_shares(t)
  for missing in CAPABILITIES:
    rest = [c for c in CAPABILITIES if c != missing]
    done = t.run(*as_nobody(rest), BIANQUE, "record", "-d", "1", "-F", "199", "-f", "folded", "-p",
                 str(shares.pid))
    if done.status == 0:
      expect(folded(done.out), f"without {missing}: no samples:", done.text)
    else:
      expect(done.status == 1 and done.err.startswith("bianque"), f"without {missing}:", done.text)


@case("kptr_restrict=2 (no kernel address): kernel frames stay, none has an empty name")
def kptr_restrict(t):
  t.start("dd", "if=/dev/zero", "of=/dev/null", "bs=64")
  done = t.run(*other_file(t, "/proc/kallsyms", hidden_kallsyms()), BIANQUE, "record", "-d", "2", "-F",
               "199", "-f", "folded")
  expect(done.status == 0, done.text)
  kernel = [f for c, fs, _ in folded(done.out) if c == "dd" for f in fs if f.endswith("_[k]")]
  expect(kernel, "no kernel frame of dd")
  expect(all(len(f) > len("_[k]") for f in kernel), "an empty name")


@case("no BTF: exit 1, it says so")
def no_btf(t):
  if not os.path.exists("/sys/kernel/btf/vmlinux"):
    raise Skipped("this kernel has none at all")
  done = t.run(*other_file(t, "/sys/kernel/btf/vmlinux", ""), BIANQUE, "record", "-d", "1", "-f",
               "folded")
  expect(done.status == 1 and "BTF" in done.err, done.text)


@case("a cache that cannot be written, a full disk: it records all the same")
def full_disk(t):
  start_shares(t)
  done = t.run(*full_folder("/var/cache"), BIANQUE, "record", "-d", "2", "-F", "99", "-f", "folded")
  expect(done.status == 0, done.text)
  expect("shares" in comms(folded(done.out)), done.text)
  expect("cache" in done.err, "says nothing of it:", done.text)


if __name__ == "__main__":
  sys.exit(start_tests(sys.argv[1:]))
