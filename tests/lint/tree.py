# SPDX-License-Identifier: Apache-2.0
"""
What the rules share: the files of the tree, C without its comments and strings, and the end of a rule.

A rule is a program in rules/: it takes the tree's root as its argument, prints one line for each
breach (`path:line: what, and what to do`) and exits 0 (kept), 1 (broken) or 77 (cannot be judged
here; the last line says why).
"""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ".")
_breaches = []


def _listed():
    """What git knows, or would: tracked and new files, without the ignored ones."""
    try:
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"],
                             capture_output=True, check=True).stdout.decode()
        names = [n for n in out.split("\0") if n]
    except (OSError, subprocess.CalledProcessError):  # a tarball: all but what make makes
        names = []
        for top, dirs, found in os.walk(ROOT):
            dirs[:] = [d for d in dirs if d not in (".git", "build") and top == ROOT or
                       d != "node_modules" and top != ROOT]
            names += [os.path.relpath(os.path.join(top, f), ROOT) for f in found]
    return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))


FILES = _listed()


def files(*ends, under=("",)):
    return [f for f in FILES if f.endswith(tuple(ends)) and f.startswith(tuple(under))]


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(path):
    """C with comments blanked and strings emptied; every line keeps its number."""
    def blank(m):
        s = m.group(0)
        return '""' if s[0] == '"' else "0" if s[0] == "'" else "\n" * s.count("\n")
    return _TOKEN.sub(blank, text(path))


def line_of(source, at):
    return source.count("\n", 0, at) + 1


def breach(path, line, what):
    _breaches.append(f"{path}:{line}: {what}")


def skip(why):
    print(why)
    sys.exit(77)


def finish():
    for b in _breaches:
        print(b)
    sys.exit(1 if _breaches else 0)
