#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The license line of every source file, and for C a head that says what the file is."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

SOURCE = (".c", ".h", ".cc", ".py", ".sh", ".js", ".mjs", ".css", ".rs", ".go", ".proto")
PRODUCT = ("bpf/", "profiler/", "symbolize/", "runtimes/", "metrics/", "events/")

for path in tree.files(*SOURCE):
    first = "\n".join(tree.text(path).split("\n")[:3])
    want = "GPL-2.0-only OR BSD-2-Clause" if path.startswith("bpf/") else "Apache-2.0"
    found = re.search(r"SPDX-License-Identifier: (.*?)\s*(\*/)?$", first, re.M)
    if not found:
        tree.breach(path, 1, f"no line `SPDX-License-Identifier: {want}`")
    elif found.group(1) != want:
        tree.breach(path, 1, f"license is {found.group(1)}, must be {want}")
    if path.endswith((".c", ".h")) and path.startswith(PRODUCT):
        rest = tree.text(path).split("\n", 1)
        if len(rest) < 2 or not re.match(r"\s*/[*/]", rest[1]):
            tree.breach(path, 2, "no head: what it is, on which thread, where its facts come from")
tree.finish()
