#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds `bianque stacks` against eu-stack and gdb, and against what can go wrong.

  stacks.py [CASE...]      a case is a name of the list below, or the start of one

Chains are compared by address: every physical frame of every thread, from the leaf to the root.
Where a program runs it is stopped by SIGSTOP for that, so that all three see the same; where it is
blocked, it is not. Functions, inlined ones too, and lines are compared with gdb's.

Where eu-stack and gdb disagree, the one that gets further is right unless it leaves known code.
Prints a line a case that failed or was skipped, with its reason, and `N passed, N failed, N skipped`.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from stacks_harness import (BIANQUE, Biases, Failed, Frame, NOBODY, Program, Skip, TIMEOUT_S,
                            WAITS, WORK, against_oracles, bianque, compare_chains, equal_frames,
                            eu_stack, expect, need, ours, physical, run, states)

# ---- cases -----------------------------------------------------------------------------------------

CASES = {}


def case(function):
  CASES[function.__name__.replace("_", "-")] = function
  return function


def workload(name, mode="", snapshots=3, names=True, **how):
  def run_case():
    argv = [os.path.join(WORK, name), *([mode] if mode else []), "--seconds", "1000"]
    with Program(argv) as program:
      for _ in range(snapshots):
        program.stop()
        against_oracles(program.pid, names=names, **how)
        program.go()
        time.sleep(0.11)
  CASES[f"{name}-{mode}" if mode else name] = run_case


for work_name, work_mode in (
    ("shares", ""), ("shares-nopie", ""), ("shares-static", ""),
    ("shares-debugfr", ""), ("shares-clang", ""),
    ("stacks", "recurse500"), ("stacks", "huge"), ("stacks", "realign"), ("stacks", "setjmp"),
    ("stacks", "noreturn"), ("stacks", "tail"), ("signals", "alt"), ("signals", "normal"),
    ("signals", "self"), ("signals", "nested"), ("threads", ""), ("cxx", "shares"),
    ("cxx", "caught"), ("rust", "")):
  workload(work_name, work_mode)
workload("shares-fp", frameless=True)
workload("shares-stripped", names=False)
workload("shares-musl", roots=("libc_start_main_stage2", "__libc_start_main", "_start_c", "_start"))
# Where Go leaves a goroutine's stack, and where its own threads begin.
GO_ROOTS = ("runtime.clone", "runtime.mcall", "runtime.mstart", "crosscall1", "runtime.morestack",
            "runtime.systemstack", "runtime.asmcgocall", "runtime.sigtramp", "runtime.sigreturn")
workload("golang", roots=GO_ROOTS)
workload("golang-cgo", roots=GO_ROOTS)


@case
def too_deep():
  """3,000 frames: the limit of 1,024, said."""
  with Program([os.path.join(WORK, "stacks"), "recurse3000", "--seconds", "1000"]) as program:
    for _ in range(20):  # between two descents it is shallow
      program.stop()
      thread = ours(program.pid)[program.pid]
      if thread["stop"] == "truncated":
        break
      program.go()
      time.sleep(0.02)
    expect(len(physical(thread["chain"])) == 1024, f"{len(thread['chain'])} frames")
    expect(not thread["whole"] and thread["stop"] == "truncated", thread["stop"])
    expect(thread["frames"][-1]["function"] == "[truncated]", "no mark")
    eu, _ = eu_stack(program.pid)
    compare_chains({program.pid: thread}, [("eu-stack", eu, set())], truncated=True)


@case
def a_hundred_threads():
  with Program([WAITS, "100"], ready="ready") as program:
    threads = ours(program.pid)
    expect(len(threads) == 101, f"{len(threads)} threads")
    blocked = {tid: t for tid, t in threads.items() if t["state"] != "running"}
    expect(len(blocked) >= 98, f"only {len(blocked)} blocked")
    expect(all(t["how"] == "off_cpu" for t in blocked.values()), "a blocked thread was sampled")
    expect(all(any(f["kind"] == "kernel" for f in t["frames"]) for t in blocked.values()),
           "no kernel frames")
    # Nothing was stopped: those that wait are compared as they are.
    eu, gave_up = eu_stack(program.pid)
    compare_chains(blocked, [("eu-stack", eu, gave_up)])
    for tid in set(threads) - set(blocked):
      chain = [f.name for f in threads[tid]["chain"] if not f.inlined]
      expect("wait_forever" in chain and "thread_main" in chain and threads[tid]["whole"],
             f"a running thread: {chain}")
    program.stop()
    against_oracles(program.pid)


@case
def threads_that_wake_up_all_the_time():
  with Program([WAITS, "wakes"]) as program:
    for _ in range(10):
      for thread in ours(program.pid).values():
        chain = [f.name for f in physical(thread["chain"])]
        expect(thread["whole"] and "waker" in chain, f"{thread['how']}: {chain}")


@case
def running_threads():
  """As many as there are CPUs and two more; each has its whole chain."""
  with Program([os.path.join(WORK, "threads"), "--seconds", "1000"]) as program:
    how = set()
    for _ in range(20):
      for thread in ours(program.pid).values():
        expect(thread["whole"], f"{thread['how']} {thread['stop']}: {thread['chain']}")
        how.add(thread["how"])
    expect("sampled" in how, f"none was sampled in 20 looks: {how}")


@case
def a_deep_running_thread():
  """Its stack is longer than a sample's copy of it."""
  with Program([os.path.join(WORK, "stacks"), "huge", "--seconds", "1000"]) as program:
    whole = [ours(program.pid)[program.pid]["whole"] for _ in range(20)]
    expect(all(whole), f"{whole.count(False)} of 20 are not whole")


@case
def stopped_by_ptrace():
  with Program([WAITS, "30"], ready="ready") as program:
    threads = ours(program.pid, "--stop")
    expect(all(t["how"] == "stopped" for t in threads.values()), "not all are stopped")
    running = {tid for tid, t in threads.items() if t["state"] == "running"}
    blocked = {tid: t for tid, t in threads.items() if tid not in running}
    eu, gave_up = eu_stack(program.pid)
    compare_chains(blocked, [("eu-stack", eu, gave_up)])
    expect("T" not in states(program.pid).values() and "t" not in states(program.pid).values(),
           "left stopped")
    program.stop()
    against_oracles(program.pid)
    expect(compare_chains(ours(program.pid, "--stop"), [("eu-stack", *eu_stack(program.pid))]) == 31,
           "not all equal")
    expect(set(states(program.pid).values()) == {"T"}, "a stopped process was let go")


@case
def no_signal_is_lost():
  with Program([WAITS, "signals"], ready="0") as program:
    for i in range(1, 101):
      if i % 4 == 0: # in the middle of it
        looking = subprocess.Popen([BIANQUE, "stacks", "--stop", str(program.pid)],
                                   stdout=subprocess.DEVNULL)
        time.sleep(i / 2000)
        os.kill(program.pid, signal.SIGUSR1)
        expect(looking.wait(TIMEOUT_S) == 0, "stacks --stop fails")
      else:
        os.kill(program.pid, signal.SIGUSR1)
      if not select.select([program.process.stdout], [], [], 5)[0]:
        raise Failed(f"signal {i} of 100 did not arrive")
      said = int(program.process.stdout.readline())
      expect(said == i, f"{said} signals instead of {i}")


@case
def nothing_is_stopped():
  """No ptrace, no signal: by strace."""
  need("strace")
  with Program([WAITS, "100"], ready="ready") as program:
    done = run(["strace", "-f", "-e", "trace=ptrace,kill,tkill,tgkill", "-o", "/dev/stdout", BIANQUE,
                "stacks", "--json", str(program.pid)])
    calls = [line for line in done.stdout.decode(errors="replace").splitlines()
             if re.search(r"\b(ptrace|t?g?kill)\(", line)]
    expect(done.returncode == 0 and not calls, f"status {done.returncode}, {calls[:3]}")


@case
def threads_that_come_and_go():
  with Program([WAITS, "churn"]) as program:
    n = whole = 0
    for _ in range(20):
      for thread in ours(program.pid).values():
        n += 1
        # glibc has no unwind rows where one thread becomes two.
        whole += thread["whole"] or thread["chain"][-1].name in ("__clone3", "clone3")
    expect(whole >= 0.98 * n, f"{whole} of {n} whole")


@case
def execs_without_end():
  with Program([WAITS, "exec"]) as program:
    taken = 0
    for _ in range(30):
      done = run([BIANQUE, "stacks", str(program.pid)])
      text = done.stderr.decode() + done.stdout.decode(errors="replace")
      expect(done.returncode in (0, 1), f"status {done.returncode}: {text[:200]}")
      expect(done.returncode == 0 or "ended meanwhile" in text or "cannot be" in text, text[:200])
      taken += done.returncode == 0
    expect(taken >= 25, f"{taken} of 30 looks have an answer")


@case
def the_first_thread_has_ended():
  with Program([WAITS, "leader"]) as program:
    threads = ours(program.pid)
    expect(threads[program.pid]["how"] == "ended", threads[program.pid]["how"])
    rest = [t for tid, t in threads.items() if tid != program.pid]
    expect(len(rest) == 20 and all(t["whole"] for t in rest), "not all of the others are whole")


@case
def the_number_of_a_thread():
  with Program([WAITS, "10"], ready="ready") as program:
    tid = max(states(program.pid))
    expect(set(ours(program.pid)) == {t["tid"] for t in map(
        json.loads, bianque("--json", tid)[0].splitlines())}, "not the whole process")


@case
def python_program():
  code = ("import threading, time\n"
          "def inner(): time.sleep(1000)\n"
          "for _ in range(5): threading.Thread(target=inner, daemon=True).start()\n"
          "print('ready', flush=True)\n"
          "threading.Lock().acquire() and threading.Event().wait()\n")
  python = os.path.realpath(sys.executable)
  with Program([python, "-c", code], ready="ready") as program:
    expect(len(ours(program.pid)) == 6, "not six threads")
    against_oracles(program.pid)


@case
def java_program():
  """Frames of interpreted and compiled code are not in files: up to them all is equal, and threads
  of the machine itself are equal to the root."""
  javac, java = need("javac"), need("java")
  with tempfile.TemporaryDirectory() as work:
    with open(os.path.join(work, "Waits.java"), "w", encoding="utf-8") as f:
      f.write("public class Waits { public static void main(String[] a) throws Exception {"
              "System.out.println(\"ready\"); Thread.sleep(1000000); } }")
    expect(run([javac, "-d", work, f.name]).returncode == 0, "javac fails")
    with Program([os.path.realpath(java), "-Xmx64m", "-cp", work, "Waits"], ready="ready",
                 settle=3) as program:
      program.stop()
      threads = ours(program.pid)
      eu, _ = eu_stack(program.pid)
      native = equal = 0
      for tid, thread in threads.items():
        chain = physical(thread["chain"])
        jit = [i for i, f in enumerate(chain) if f.kind == "jit"]
        stop = jit[0] if jit else len(chain)
        n = equal_frames(chain[:stop], eu[tid])
        expect(n == stop, f"tid {tid} {thread['comm']}: equal up to {n} of {stop}: {chain[n:n + 2]}, "
                          f"{eu[tid][n:n + 2]}")
        native += not jit
        equal += not jit and n == len(eu[tid]) and thread["whole"]
      expect(native >= 10 and equal == native, f"{equal} of {native} native threads are equal")


@case
def postgres_server():
  initdb, postgres = need("initdb"), need("postgres")
  if os.geteuid():
    raise Skip("not root")
  with tempfile.TemporaryDirectory() as work:
    os.chmod(work, 0o755)
    data = os.path.join(work, "data")
    os.mkdir(data)
    os.chown(data, NOBODY, NOBODY)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    done = run([initdb, "-D", data, "-A", "trust", "-N"], user=NOBODY, group=NOBODY, env=env, cwd=data,
               extra_groups=[])
    if done.returncode:
      raise Skip("initdb fails: " + done.stderr.decode(errors="replace")[-200:].strip())
    with Program([postgres, "-D", data, "-c", "listen_addresses=", "-k", data], cwd=data, env=env,
                 user=NOBODY, settle=3) as program:
      with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as f:
        pids = [program.pid, *map(int, f.read().split())]
      expect(len(pids) >= 5, f"{len(pids)} processes")
      for pid in pids:
        eu, gave_up = eu_stack(pid)
        compare_chains(ours(pid), [("eu-stack", eu, gave_up)])


@case
def a_stripped_program():
  with Program([need("sleep"), "1000"]) as program:
    eu, gave_up = eu_stack(program.pid)
    compare_chains(ours(program.pid), [("eu-stack", eu, gave_up)])
    out, _ = bianque(program.pid)
    expect(re.match(rf"{program.pid} sleep\n(  \S.* \(\S+\)( \S.*:\d+)?\n)+$", out), out)


@case
def names_with_control_characters():
  with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "a\x1b[31m\nb")
    shutil.copy(need("sleep"), path)
    with Program([path, "1000"]) as program:
      out, _ = bianque(program.pid)
      expect("\x1b" not in out and out.startswith(f"{program.pid} a?[31m b\n"), out)
      expect(ours(program.pid)[program.pid]["comm"] == "a\x1b[31m\nb", "comm in JSON")


@case
def a_program_that_was_replaced():
  with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "waits")
    shutil.copy(WAITS, path)
    with Program([path, "5"], ready="ready") as program:
      os.unlink(path)
      shutil.copy("/bin/true", path)
      for thread in ours(program.pid).values():
        names = [f.name for f in thread["chain"]]
        expect(thread["whole"] and "deeper" in names, f"{thread['stop']}: {names}")


@case
def no_such_process():
  _, err = bianque(2**22 + 7, status=1)
  expect("there is no process" in err, err)
  for args in ((), ("x",), ("0",), ("1", "2"), ("-1",), ("--nonsense", "1")):
    _, err = bianque(*args, status=2)
    expect("see bianque stacks --help" in err, err)


@case
def a_zombie():
  with Program([WAITS, "zombie"], ready=r"\d+") as program:
    _, err = bianque(int(program.first_line), status=1)
    expect("has ended" in err and str(program.pid) in err, err)


@case
def a_kernel_thread():
  if not os.path.exists("/proc/2/stack"):
    raise Skip("no kernel thread is to be seen")
  with open("/proc/2/stat", encoding="ascii") as f:
    if "(kthreadd)" not in f.read():
      raise Skip("pid 2 is not kthreadd")
  out, _ = bianque(2)
  expect(re.match(r"2 kthreadd\n(  \S+ \(\[kernel\]\)\n)+$", out), out)


def as_nobody():
  if os.geteuid():
    raise Skip("not root")
  work = tempfile.mkdtemp()
  os.chmod(work, 0o755)
  shutil.copy(BIANQUE, work)
  shutil.copy(WAITS, work)
  return work


@case
def not_allowed():
  work = as_nobody()
  try:
    with Program([WAITS, "2"], ready="ready") as program:
      for option in ([], ["--stop"]):
        done = run([os.path.join(work, "bianque"), "stacks", *option, str(program.pid)], user=NOBODY,
                   group=NOBODY, extra_groups=[])
        text = done.stderr.decode()
        expect(done.returncode == 1 and "run it as root" in text, f"{done.returncode}: {text}")
  finally:
    shutil.rmtree(work)


@case
def without_privileges():
  """One's own program, by pc and sp alone: what is shown is right, what is not known is said."""
  work = as_nobody()
  try:
    with Program([os.path.join(work, "waits"), "30"], ready="ready", user=NOBODY) as program:
      done = run([os.path.join(work, "bianque"), "stacks", "--json", str(program.pid)], user=NOBODY,
                 group=NOBODY, extra_groups=[])
      text = done.stderr.decode()
      if done.returncode and "ptrace_scope" in text:
        raise Skip("Yama forbids it")
      expect(done.returncode == 0 and "only pc and sp" in text, f"{done.returncode}: {text}")
      biases, whole = Biases(program.pid), 0
      eu, _ = eu_stack(program.pid)
      threads = [json.loads(line) for line in done.stdout.splitlines()]
      blocked = [t for t in threads if t["how"] == "pc_sp"]
      expect(len(threads) == 31 and len(blocked) >= 28, f"{len(blocked)} blocked of {len(threads)}")
      for t in blocked:
        chain = [Frame(int(f["address"], 16) + biases.of[f["object"]], f["function"])
                 for f in t["frames"] if f["kind"] == "native" and not f["inlined"]]
        n = equal_frames(chain, eu[t["tid"]])
        expect(n == len(chain), f"tid {t['tid']}: wrong behind frame {n}: {chain[n:n + 2]}")
        expect(t["whole"] == (n == len(eu[t["tid"]])), "an early end that is not said")
        whole += t["whole"]
      expect(whole > len(blocked) / 3, f"{whole} of {len(blocked)} are whole")
  finally:
    shutil.rmtree(work)


@case
def in_a_pid_namespace():
  need("unshare")
  script = f"sleep 1000 & sleep 0.3; {BIANQUE} stacks $!; kill $!"
  done = run(["unshare", "--pid", "--fork", "--mount-proc", "bash", "-c", script])
  out, err = done.stdout.decode(), done.stderr.decode()
  if "unshare" in err:
    raise Skip(err.strip())
  expect("PID namespace" in err and "__libc_start_main" in out, f"{err} {out}")


@case
def a_namespace_within():
  """From outside: mappings, files and symbols of a process in other namespaces."""
  need("unshare")
  with Program(["/usr/bin/unshare", "--pid", "--mount", "--fork", "--mount-proc", WAITS, "5"],
               ready="ready") as program:
    with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as f:
      pid = int(f.read().split()[0])
    eu, gave_up = eu_stack(pid)
    threads = {tid: t for tid, t in ours(pid).items() if t["state"] != "running"}
    expect(len(threads) >= 5, f"{len(threads)} threads")
    compare_chains(threads, [("eu-stack", eu, gave_up)])


@case
def ten_thousand_threads():
  """Not too slow, and all there."""
  with Program([WAITS, "10000"], ready="ready") as program:
    start = time.monotonic()
    out, _ = bianque("--json", program.pid)
    took = time.monotonic() - start
    threads = [json.loads(line) for line in out.splitlines()]
    whole = sum(t["whole"] for t in threads)
    expect(len(threads) == 10001 and whole == 10001, f"{whole} of {len(threads)} whole")
    print(f"     10,001 threads in {took:.1f} s")


def main():
  wanted = sys.argv[1:]
  counts = {"passed": 0, "failed": 0, "skipped": 0}
  for name, run_case in CASES.items():
    if wanted and not any(name.startswith(w) for w in wanted):
      continue
    try:
      run_case()
      counts["passed"] += 1
      print(f"ok   {name}")
    except Skip as why:
      counts["skipped"] += 1
      print(f"skip {name}: {why}")
    except Failed as why:
      counts["failed"] += 1
      print(f"FAIL {name}: {why}")
    except Exception:  # pylint: disable=broad-except
      counts["failed"] += 1
      print(f"FAIL {name}: {traceback.format_exc()}")
    sys.stdout.flush()
  print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
  return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
  sys.exit(main())
