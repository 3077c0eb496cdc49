#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What registers itself: a collector is named like its file and has a test, no metric or suite stands
twice, a test file registers its suite, a fuzzer its entry, and everything registered is read.
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree


def stem(path):
    return os.path.basename(path).split(".")[0]


def unique(seen, key, path, line, what):
    if key in seen:
        tree.breach(path, line, f"{what} {key} stands in {seen[key]}, too")
    seen[key] = path


for path in tree.files(".c", under=("metrics/", "events/")):
    names = re.findall(r"\bCOLLECTOR\(\s*(\w+)", tree.code(path))
    if names != [stem(path)]:
        tree.breach(path, 1, f"registers {names or 'nothing'}, must be the collector {stem(path)}")
    if f"tests/unit/{path[:-2]}_test.c" not in tree.FILES:
        tree.breach(path, 1, f"has no test: tests/unit/{path[:-2]}_test.c")

metrics, suites = {}, {}
for path in tree.files(".c"):
    source = tree.text(path)
    if not path.startswith("tests/"):
        for m in re.finditer(r'^METRIC\(\s*\w+,\s*\w+,\s*"([^"]+)"', source, re.M):
            unique(metrics, m.group(1), path, tree.line_of(source, m.start()), "metric")
    for m in re.finditer(r"^SUITE(?:_TIMEOUT)?\((\w+)", source, re.M):
        unique(suites, m.group(1), path, tree.line_of(source, m.start()), "suite")

for path in tree.files("_test.c", under=("tests/unit/", "tests/bpf/")):
    if not re.search(r"^SUITE(_TIMEOUT)?\(", tree.text(path), re.M):
        tree.breach(path, 1, "registers no SUITE, so nothing runs")
for path in tree.files("_fuzz.c", under=("tests/fuzz/",)):
    if "LLVMFuzzerTestOneInput" not in tree.text(path):
        tree.breach(path, 1, "has no LLVMFuzzerTestOneInput")

code = "\n".join(tree.code(f) for f in tree.files(".c", ".h"))
registered = set(re.findall(r"\bREGISTER\((\w+),", code)) - {"section_"}
read = set(re.findall(r"\bREGISTRY\((\w+),", code)) - {"section_"}
for name in sorted(registered - read):
    tree.breach("profiler/base/registry.h", 1, f"section {name} is filled and never read")
tree.finish()
