#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a test suite with TMPDIR a folder of its own, which is removed at its end: also when it is ended by
SIGINT, SIGTERM or SIGHUP, together with every program that it started (its process group).

  in_folder.py COMMAND ARG...   ends as COMMAND does
  in_folder.py --sweep          removes what killed runs left: folders by the names that suites give theirs,
                                of this user, a day old
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMES = re.compile(r"bianque-(suite|test|e2e|push|truth|bench|storm|oracle|placed|web|vm)[.-]\w{6,8}")
OLD_S = 86400
END_S = 10  # from the signal to SIGKILL


def sweep(top):
  for entry in os.scandir(top):
    if NAMES.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
      stat = entry.stat(follow_symlinks=False)
      if stat.st_uid == os.geteuid() and time.time() - stat.st_mtime > OLD_S:
        shutil.rmtree(entry.path, ignore_errors=True)


def signal_group(group, number):
  """False when nobody is left in it."""
  try:
    os.killpg(group, number)
    return True
  except ProcessLookupError:
    return False


def end_group(group):
  """What a shell starts in the background ignores SIGINT."""
  signal_group(group, signal.SIGTERM)
  end = time.monotonic() + END_S
  while signal_group(group, 0) and time.monotonic() < end:
    time.sleep(0.05)
  signal_group(group, signal.SIGKILL)


def run(command):
  seen, group = [], None

  def on_signal(number, _):
    seen.append(number)
    if group:
      signal_group(group, number)

  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
      signal.signal(number, on_signal)
  folder = tempfile.mkdtemp(prefix="bianque-suite.")
  try:
    os.chmod(folder, 0o1777)  # as /tmp is: some tests become nobody
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": folder}, process_group=0) as process:
      group = process.pid
      for number in seen[:1]:  # before there was a group
        signal_group(group, number)
      status = process.wait()
    if seen:
      end_group(group)
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  return 128 + seen[0] if seen else 128 - status if status < 0 else status


if __name__ == "__main__":
  if sys.argv[1:] == ["--sweep"]:
    sweep(tempfile.gettempdir())
  else:
    sys.exit(run(sys.argv[1:]))
