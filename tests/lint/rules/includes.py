#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the floors. A .c of the product includes its own header first."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

INCLUDE = re.compile(r'^#\s*include\s*(["<])([^">]+)[">]', re.M)
# Contracts that upper floors see; the rest of profiler/ is implementation.
BPF = r"bpf/(record|reason|config)\.h"
CONTRACTS = r"profiler/(collector|sample|metric|event|process|object|segment|option|part)\.h"
# Folder, what of the project it may include, and the headers of the system it must not.
FLOORS = [
    ("profiler/base/", rf"profiler/base/|{BPF}", None),
    ("symbolize/", rf"symbolize/|profiler/base/|{BPF}|bpf/unwind\.h", r"pthread\.h|bpf/(?!record|reason|config|unwind)"),
    ("runtimes/", rf"runtimes/|symbolize/|profiler/base/|{CONTRACTS}|{BPF}|bpf/unwind\.h", r"pthread\.h"),
    ("metrics/", rf"profiler/base/|{CONTRACTS}|{BPF}|bpf/[a-z_]+\.skel\.h", r"pthread\.h|sys/epoll\.h"),
    ("events/", rf"profiler/base/|{CONTRACTS}|{BPF}|bpf/[a-z_]+\.skel\.h", r"pthread\.h|sys/epoll\.h"),
    ("profiler/", r"profiler/|symbolize/|runtimes/runtime\.h|bpf/", None),
]
# Headers of bpf/ that user space reads, too: nothing but the kernel's types and each other.
BPF_SHARED = ("record.h", "reason.h", "config.h", "unwind.h")


def check_floor(path, quote, name, line):
    for folder, allowed, forbidden in FLOORS:
        if not path.startswith(folder):
            continue
        if quote == '"' and not re.match(allowed, name) and "/" in name:
            tree.breach(path, line, f'"{name}" lies on a higher floor than {folder}')
        elif quote == '"' and "/" not in name:
            tree.breach(path, line, f'"{name}": includes are written from the root of the tree')
        if forbidden and re.match(forbidden, name):
            tree.breach(path, line, f"<{name}> has no place in {folder}")
        return


def check_bpf(path, quote, name, line):
    stem = os.path.basename(path)
    if stem in BPF_SHARED and not (name == "linux/types.h" or name.startswith("bpf/")):
        tree.breach(path, line, f"<{name}>: a header of both sides includes linux/types.h only")
    if not re.match(r"linux/|bpf/|asm/", name):
        tree.breach(path, line, f"<{name}> is user space's")


def check_own(path):
    """foo.c reads foo.h before anything else, so that the header is known to stand alone."""
    own = path[:-2] + ".h"
    found = [m.group(2) for m in INCLUDE.finditer(tree.text(path))]
    if os.path.exists(os.path.join(tree.ROOT, own)) and (not found or found[0] != own):
        tree.breach(path, 1, f'its own header "{own}" comes first')


for path in tree.files(".c", ".h"):
    source = tree.text(path)
    for m in INCLUDE.finditer(source):
        line = tree.line_of(source, m.start())
        if path.startswith("bpf/"):
            check_bpf(path, m.group(1), m.group(2), line)
        else:
            check_floor(path, m.group(1), m.group(2), line)
    if path.endswith(".c") and path.startswith(("profiler/", "symbolize/", "runtimes/")):
        check_own(path)
    # The halves by architecture are parts of one header.
    if path.endswith(".h") and not re.search(r"_(x86|arm64)\.bpf\.h$", path) and not re.search(r"^#(pragma once|ifndef \w+_H\n#define )", source, re.M):
        tree.breach(path, 1, "a header needs #pragma once")
tree.finish()
