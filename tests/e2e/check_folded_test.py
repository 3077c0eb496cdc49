#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_folded.py and perf_fold.py on inputs made by hand: python3 -m unittest, or run it."""

import argparse
import os
import subprocess
import sys
import tempfile
import unittest

import check_folded
import perf_fold

HERE = os.path.dirname(os.path.abspath(__file__))
LIMITS = argparse.Namespace(min_samples=30, min_whole=99.0, min_chain=99.0, max_error=1.5)

SHARES = """# a comment
comm prog
60 _start;*;main;alpha;leaf_a
30 _start;*;main;beta*;leaf_b
10 _start;*;main;gamma;leaf_c
"""
EXACT = """prog;_start;libc_a;libc_b;main;alpha;leaf_a 600
prog;_start;main;beta(int);leaf_b 300
prog;_start;libc_a;main;gamma;leaf_c 99
prog;_start;libc_a;main;gamma;leaf_c;irq_[k];timer_[k] 1
other;nothing 5000
"""


def check(expectation, folded, no_inline=False):
  expected = check_folded.parse_expectation(expectation, no_inline)
  return check_folded.check(expected, check_folded.parse_folded(folded))


class Check(unittest.TestCase):
  def test_exact(self):
    result = check(SHARES, EXACT)
    self.assertEqual((result.samples, result.whole, result.chain), (1000, 1000, 1000))
    self.assertEqual(result.worst, 0)
    self.assertEqual(check_folded.verdict(result, LIMITS), [])

  def test_missing_middle_frame(self):
    result = check(SHARES, EXACT.replace("main;alpha;", "main;"))
    self.assertEqual((result.whole, result.chain), (1000, 400))
    self.assertEqual(result.worst, 0)  # the leaf is right all the same
    self.assertEqual(len(check_folded.verdict(result, LIMITS)), 1)

  def test_missing_root(self):
    result = check(SHARES, EXACT.replace("_start;libc_a;libc_b;main", "main"))
    self.assertEqual((result.whole, result.chain), (400, 400))

  def test_marks(self):
    folded = EXACT.replace("prog;_start;main;beta", "prog;[incomplete:no_row];main;beta")
    result = check(SHARES, folded)
    self.assertEqual((result.whole, result.chain), (700, 700))
    deep = "comm p\n100 [truncated];*;r;r;r;leaf\n"
    self.assertEqual(check(deep, "p;[truncated];r;r;r;r;leaf 50\n").whole, 50)
    self.assertEqual(check(deep, "p;[truncated];r;r;leaf 50\n").whole, 0)
    self.assertEqual(check(deep, "p;r;r;r;r;leaf 50\n").chain, 0)

  def test_wrong_share(self):
    result = check(SHARES, EXACT.replace("leaf_a 600", "leaf_a 60"))
    self.assertAlmostEqual(result.worst, 60 - 100 * 60 / 460)
    self.assertIn("points off", check_folded.verdict(result, LIMITS)[0])

  def test_error_limit_grows_with_fewer_samples(self):
    result = check_folded.Result(samples=100, whole=100, chain=100, known=100,
                                 errors=[("leaf", 60, 66, 6.0)])
    self.assertEqual(check_folded.verdict(result, LIMITS), [])
    result = check_folded.Result(samples=10000, whole=10000, chain=10000, known=10000,
                                 errors=[("leaf", 60, 61.6, 1.6)])
    self.assertEqual(len(check_folded.verdict(result, LIMITS)), 1)

  def test_named_leaf_needs_its_chain(self):
    expectation = "comm p\n- _start;main;a;leaf\n- _start;main;*\n"
    self.assertEqual(check(expectation, "p;_start;main;leaf 10\n").chain, 0)
    self.assertEqual(check(expectation, "p;_start;main;a;leaf 10\n").chain, 10)
    self.assertEqual(check(expectation, "p;_start;main;z;y 10\n").chain, 10)

  def test_question_mark_is_one_frame(self):
    expectation = "comm p\nroot *\n60 ?;?;?\n40 ?;?\n"
    result = check(expectation, "p;x;y;z 60\np;x;y 40\n")
    self.assertEqual((result.chain, result.worst), (100, 0))
    self.assertEqual(check(expectation, "p;x;y;z;w 60\n").chain, 0)

  def test_inlined(self):
    expectation = "comm p\n100 _start;main;outer;middle_[i];leaf\n"
    self.assertEqual(check(expectation, "p;_start;main;outer;middle_[i];leaf 1\n").chain, 1)
    self.assertEqual(check(expectation, "p;_start;main;outer;leaf 1\n").chain, 0)
    self.assertEqual(check(expectation, "p;_start;main;outer;leaf 1\n", True).chain, 1)
    self.assertEqual(check(expectation, "p;_start;x_[i];main;outer;middle_[i];leaf 1\n").chain, 1)
    self.assertEqual(check(expectation, "p;_start;main;outer;middle;leaf 1\n").chain, 0)

  def test_without_user_frames(self):
    ending = check(SHARES, EXACT + "prog;do_exit_[k];exit_mm_[k] 50\n")
    self.assertEqual((ending.samples, ending.no_user), (1000, 50))
    broken = check(SHARES, EXACT + "prog;page_fault_[k] 50\nprog 50\n")
    self.assertEqual((broken.samples, broken.whole), (1100, 1000))

  def test_base_known(self):
    folded = EXACT + "prog;_start;_dl_start;_dl_relocate 1000\n"
    self.assertGreater(check(SHARES, folded).worst, 25)
    result = check(SHARES + "base known\n", folded)
    self.assertEqual((result.worst, result.known, result.chain), (0, 1000, 1000))
    self.assertEqual((result.samples, result.whole), (2000, 2000))

  def test_roots(self):
    expectation = "comm p\nroot runtime.goexit*\n100 runtime.goexit*;main.leaf\n"
    self.assertEqual(check(expectation, "p;runtime.goexit.abi0;main.leaf 3\n").whole, 3)
    self.assertEqual(check(expectation, "p;_start;main.leaf 3\n").whole, 0)

  def test_deep_chain_is_fast(self):
    frames = ";".join(["r"] * 3000)
    self.assertEqual(check(f"comm p\n100 _start;*;{frames};leaf\n",
                           f"p;_start;x;{frames};leaf 7\np;_start;x;{frames};r 3\n").chain, 7)

  def test_bad_input(self):
    for text in ("", "comm p\n", "sixty a;b\n", "60\n"):
      with self.assertRaises(check_folded.BadInput):
        check_folded.parse_expectation(text)
    for text in ("no count\n", "17\n", "a;b x\n"):
      with self.assertRaises(check_folded.BadInput):
        list(check_folded.parse_folded(text))


class Command(unittest.TestCase):
  def run_on(self, expectation, folded):
    with tempfile.TemporaryDirectory() as work:
      paths = [os.path.join(work, name) for name in ("expectation", "folded")]
      for path, text in zip(paths, (expectation, folded)):
        with open(path, "w", encoding="utf-8") as file:
          file.write(text)
      return subprocess.run([sys.executable, os.path.join(HERE, "check_folded.py"), *paths],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

  def test_exit_status(self):
    self.assertEqual(self.run_on(SHARES, EXACT).returncode, 0)
    self.assertEqual(self.run_on(SHARES, EXACT.replace("alpha;", "")).returncode, 1)
    self.assertEqual(self.run_on(SHARES, "").returncode, 1)
    self.assertEqual(self.run_on(SHARES, "rubbish\n").returncode, 2)


SCRIPT = """prog one
\t        ffffffff81001234 asm_sysvec+0x1 ([kernel.kallsyms])
\t            55d0c0de1200 leaf(int, char*) (/tmp/a b/prog)
\t            55d0c0de1100 operator; odd (inlined)
\t            55d0c0de1000 [unknown] (/usr/lib/libx.so)
\tffffffffffffffff [unknown] ([unknown])

swapper

prog
\t            7ffd0000 __vdso_clock_gettime ([vdso])
"""


class PerfFold(unittest.TestCase):
  def test_fold(self):
    self.assertEqual(dict(perf_fold.fold(SCRIPT.splitlines())), {
        "prog one;[unknown];[unknown];operator: odd_[i];leaf(int, char*);asm_sysvec+0x1_[k]": 1,
        "swapper": 1,
        "prog;__vdso_clock_gettime": 1,
    })

  def test_not_perf_script(self):
    with self.assertRaises(ValueError):
      perf_fold.fold(["comm", "no frame here"])


if __name__ == "__main__":
  done = unittest.main(exit=False).result
  bad = len(done.failures) + len(done.errors)
  print(f"{done.testsRun - bad - len(done.skipped)} passed, {bad} failed, {len(done.skipped)} skipped")
  sys.exit(bad != 0)
