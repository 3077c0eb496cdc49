#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's map of the code names what exists, make targets that it tells exist, and its figures are
the rows that the benchmark prints."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

if "README.md" not in tree.FILES:
    tree.skip("there is no README.md yet")
source = tree.text("README.md")
folders = {os.path.dirname(f) for f in tree.FILES}
folders |= {d for f in folders for d in (f.split("/")[0], "/".join(f.split("/")[:2]))}
tops = {f.split("/")[0] for f in tree.FILES if "/" in f}
PATH = re.compile(r"(?<![\w/.$~-])((?:%s)/[\w./*{},-]*)" % "|".join(map(re.escape, sorted(tops))))


def spread(name):
    """a/{b,c}.x -> a/b.x, a/c.x"""
    m = re.match(r"(.*?)\{([^}]*)\}(.*)", name)
    return [p for part in m.group(2).split(",") for p in spread(m.group(1) + part + m.group(3))] \
        if m else [name]


def exists(name):
    if re.search(r"\b[A-Z]{2,}\b", name):
        return True  # metrics/NAME.c: a name to be chosen
    if "*" in name:
        want = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        return any(want.fullmatch(f) for f in tree.FILES)
    return name in tree.FILES or name.rstrip("/") in folders or \
        any(f.startswith(name + ".") for f in tree.FILES)


for m in PATH.finditer(source):
    for name in spread(m.group(1).rstrip(".,")):
        if not exists(name):
            tree.breach("README.md", tree.line_of(source, m.start()), f"{name} does not exist")
names = {os.path.basename(f) for f in tree.FILES}
for m in re.finditer(r"`([\w-]+\.(?:[ch]|py|sh|js|bpf\.[ch]))`", source):
    if m.group(1) not in names:
        tree.breach("README.md", tree.line_of(source, m.start()), f"{m.group(1)} does not exist")
targets = set(re.findall(r"^([\w-]+):", tree.text("Makefile"), re.M)) | \
    {t for l in re.findall(r"^\.PHONY:(.*)", tree.text("Makefile"), re.M) for t in l.split()}
for m in re.finditer(r"`(?:sudo )?make ([a-z][a-z-]*[a-z])(?![\w-])", source):
    if m.group(1) not in targets:
        tree.breach("README.md", tree.line_of(source, m.start()), f"no target `make {m.group(1)}`")
ROWS = "tests/bench/rows.py"
if ROWS in tree.FILES:
    rows = {}
    exec(compile(tree.text(ROWS), ROWS, "exec"), rows)
    begin, end = source.find(rows["BEGIN"]), source.find(rows["END"])
    table = [l.split("|")[1].strip() for l in source[begin:end].split("\n") if l.startswith("| ")]
    if table[1:] != [row[1] for row in rows["ROWS"]]:
        tree.breach("README.md", tree.line_of(source, max(begin, 0)),
                    "its figures are not the rows of `make bench`: sudo make bench BENCH_ARGS=--readme")
tree.finish()
