#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing generated and nothing binary is committed; scripts may be executed."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

GENERATED = re.compile(r"(^|/)vmlinux\.h$|\.skel\.h$|\.pb-c\.[ch]$|\.(o|a|so|pyc|gz|xz|zst|bin)$")
# Pictures and inputs of tests may be bytes; they stand in these folders.
BYTES = ("tests/data/", "profiler/web/")

for path in tree.FILES:
    full = os.path.join(tree.ROOT, path)
    if GENERATED.search(path) and not path.startswith(BYTES):
        tree.breach(path, 1, "made by the build, or an archive: not committed")
    with open(full, "rb") as f:
        head = f.read(1 << 20)
    if b"\0" in head and not path.startswith(BYTES):
        tree.breach(path, 1, "is binary")
    if head.startswith(b"#!") and not os.access(full, os.X_OK):
        tree.breach(path, 1, "begins with #! and cannot be executed: chmod +x")
tree.finish()
