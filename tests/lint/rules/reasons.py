#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every reason of bpf/reason.h is given somewhere, and its label is of one form and unique."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

LIST = "bpf/reason.h"
if LIST not in tree.FILES:
    tree.breach(LIST, 1, "the list of reasons is missing")
    tree.finish()
source = tree.text(LIST)
used = "\n".join(tree.code(f) for f in tree.files(".c", ".h", under=("bpf/", "profiler/", "runtimes/",
                                                                     "metrics/", "events/"))
                 if f != LIST)
# What only reads the reasons does not give them: comparisons.
given = re.sub(r"[!=]=\s*(STOP|LOSS)_\w+|case (STOP|LOSS)_\w+", "", used)
for prefix in ("STOP", "LOSS"):
    body = re.search(rf"#define {prefix}_LIST\(X\)(.*?)\n\n", source, re.S)
    labels = {}
    for m in re.finditer(r'X\((\w+),\s*"([^"]*)"', body.group(1) if body else ""):
        line = tree.line_of(source, source.find(m.group(0)))
        if not re.search(rf"\b{prefix}_{m.group(1)}\b", given):
            tree.breach(LIST, line, f"{prefix}_{m.group(1)} is given nowhere: remove or use it")
        if not re.fullmatch(r"[0-9a-z_]+", m.group(2)):
            tree.breach(LIST, line, f'label "{m.group(2)}": lower case, digits and _ only')
        if m.group(2) in labels:
            tree.breach(LIST, line, f'label "{m.group(2)}" stands twice')
        labels[m.group(2)] = True
    if not labels:
        tree.breach(LIST, 1, f"no {prefix}_LIST found")
tree.finish()
