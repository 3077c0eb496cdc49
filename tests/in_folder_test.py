#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""in_folder.py: what it leaves behind, which is nothing."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in_folder.py")
OLD = time.time() - 2 * 86400


# Whoever runs this may ignore them (nohup, a shell's background job), and programs inherit that.
for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
  signal.signal(ignored, signal.SIG_DFL)


def has_ended(pid):
  try:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
      return file.read().rpartition(")")[2].split()[0] == "Z"
  except (FileNotFoundError, ProcessLookupError):
    return True


class InFolder(unittest.TestCase):
  def setUp(self):
    top = tempfile.TemporaryDirectory()
    self.addCleanup(top.cleanup)
    self.top = top.name

  def start(self, *command):
    return subprocess.Popen([sys.executable, "-B", PROGRAM, *command], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": self.top})

  def test_status_and_folder(self):
    with self.start("sh", "-c", 'mkdir "$TMPDIR/x" && echo "$TMPDIR" && exit 3') as process:
      folder = process.communicate()[0].strip()
    self.assertEqual(process.returncode, 3)
    self.assertEqual(os.path.dirname(folder), self.top)
    self.assertEqual(os.listdir(self.top), [])

  def test_killed(self):
    with self.start("sh", "-c", "kill -9 $$") as process:
      process.wait()
    self.assertEqual((process.returncode, os.listdir(self.top)), (128 + 9, []))

  def test_signals(self):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      with self.start("sh", "-c", "sleep 60 & echo $!; touch $TMPDIR/x; wait") as process:
        sleeper = int(process.stdout.readline())
        process.send_signal(number)
        self.assertEqual(process.wait(15), 128 + number)
      self.assertEqual(os.listdir(self.top), [])
      self.assertTrue(has_ended(sleeper), "the sleeper lives on")

  def test_sweep(self):
    old = ["bianque-test-aB3xYz", "bianque-e2e.abcd_123", "bianque-placed.Rgpqi4"]
    kept = ["bianque-notes", "bianque-test-aB3xYz-mine", "other-test-aB3xYz"]
    for name in old + kept + ["bianque-e2e.recently"]:
      os.makedirs(os.path.join(self.top, name, "x"))
    os.symlink(self.top, os.path.join(self.top, "bianque-web-linked"))
    for name in old + kept:
      os.utime(os.path.join(self.top, name), (OLD, OLD))
    os.utime(os.path.join(self.top, "bianque-web-linked"), (OLD, OLD), follow_symlinks=False)
    if os.geteuid() == 0:
      kept.append("bianque-push.others_1")
      os.mkdir(os.path.join(self.top, kept[-1]))
      os.chown(os.path.join(self.top, kept[-1]), 65534, 65534)
      os.utime(os.path.join(self.top, kept[-1]), (OLD, OLD))
    with self.start("--sweep") as process:
      self.assertEqual(process.wait(), 0)
    self.assertEqual(sorted(os.listdir(self.top)),
                     sorted(kept + ["bianque-e2e.recently", "bianque-web-linked"]))


if __name__ == "__main__":
  done = unittest.main(exit=False).result
  bad = len(done.failures) + len(done.errors)
  print(f"{done.testsRun - bad - len(done.skipped)} passed, {bad} failed, {len(done.skipped)} skipped")
  sys.exit(bad != 0)
