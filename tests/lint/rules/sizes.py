#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Function 80 lines, main 60, file 800; no blanks at a line's end. Columns: rules/format.sh."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

FUNCTION, MAIN, FILE = 80, 60, 800
SOURCE = (".c", ".h", ".cc", ".py", ".sh", ".js", ".mjs", ".css", ".rs", ".go")


def check_functions(path):
    lines = tree.code(path).split("\n")
    for start, line in enumerate(lines):
        if line != "{":
            continue
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("}")), start)
        name = "?"
        for back in range(start - 1, max(start - 12, -1), -1):
            m = re.match(r"[A-Za-z_].*?(\w+)\s*\(", lines[back])
            if m:
                name = m.group(1)
                break
        limit = MAIN if name == "main" else FUNCTION
        if end - start - 1 > limit:
            tree.breach(path, start, f"{name} has {end - start - 1} lines, at most {limit}: split it")


for path in tree.files(*SOURCE):
    source = tree.text(path)
    lines = source.split("\n")
    if len(lines) - 1 > FILE:
        tree.breach(path, 1, f"{len(lines) - 1} lines, at most {FILE}: split it")
    if source and not source.endswith("\n"):
        tree.breach(path, len(lines), "no newline at the end")
    for i, line in enumerate(lines, 1):
        if line != line.rstrip():
            tree.breach(path, i, "blanks at the end of the line")
    if path.endswith(".c"):
        check_functions(path)
tree.finish()
