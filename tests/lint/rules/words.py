#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Words and calls that have no place: unfinished work, a developer's paths, unbounded strings."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import tree

ANYWHERE = [
    (r"\b(TODO|FIXME|HACK)\b|\bXXX\b", "unfinished work: do it or leave the remark out"),
    (r"(?i)keep (this |it |them |these )?in sync", "one place per fact: derive it or assert it"),
    (r"(?<![\w.$}])/(home|Users|work)/\w+/\w", "a path of one developer's machine"),
    (r"^(<{7}|>{7}) ", "a merge left this"),
]
# In C; comments and strings do not count.
CALLS = [
    (r"\b(sprintf|vsprintf|strcat|gets|tmpnam|mktemp)\s*\(",
     ("profiler/", "symbolize/", "runtimes/", "metrics/", "events/"), "unbounded: use the n form or buf"),
    (r"\bstrtok\s*\(", ("profiler/", "symbolize/", "runtimes/", "metrics/", "events/"),
     "its place is shared by all threads: strtok_r"),
    (r"\bsystem\s*\(|\bpopen\s*\(", ("profiler/", "symbolize/", "runtimes/", "metrics/", "events/"),
     "starts a shell"),
    (r"\blog_(error|warn|info)\s*\(|\blog_limited\s*\(",
     ("symbolize/", "runtimes/", "profiler/base/"), "a library does not log above debug"),
    (r"\b(printf|puts|fprintf)\s*\(", ("symbolize/", "runtimes/", "metrics/", "events/"),
     "modules do not print"),
    (r"\bpthread_create\s*\(", ("profiler/", "symbolize/", "runtimes/", "metrics/", "events/"),
     "threads start in profiler/base/thread.c"),
    (r"\b(socket|epoll_create1?|eventfd)\s*\(", ("symbolize/", "runtimes/", "metrics/", "events/"),
     "no module owns a socket or an epoll"),
]
EXCEPT = {("profiler/base/thread.c", "pthread_create"), ("profiler/base/log.h", "log_"),
          ("profiler/base/log.c", "log_"), ("profiler/base/check.h", "fprintf")}


def allowed(path, call):
    return any(path == p and call.startswith(c) for p, c in EXCEPT)


for path in tree.FILES:
    if path.startswith("tests/lint/") or path == "LICENSE":
        continue
    source = tree.text(path)
    for pattern, why in ANYWHERE:
        for m in re.finditer(pattern, source, re.M):
            tree.breach(path, tree.line_of(source, m.start()), f"{m.group(0).strip()!r}: {why}")
    if not path.endswith((".c", ".h")):
        continue
    source = tree.code(path)
    for pattern, under, why in CALLS:
        for m in re.finditer(pattern, source):
            if path.startswith(under) and not allowed(path, m.group(0)):
                tree.breach(path, tree.line_of(source, m.start()), f"{m.group(0)}: {why}")
tree.finish()
