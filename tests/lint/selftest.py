#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every rule must break: each on a small tree with one breach, and keep quiet on it once mended."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
APACHE = "// SPDX-License-Identifier: Apache-2.0\n"
HEAD = APACHE + "/* What it is. */\n"
GPL = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n/* What it is. */\n"
REASONS = GPL + '#ifndef R_H\n#define R_H\n#define STOP_LIST(X) X(ROOT, "root", 1)\n\n' \
    '#define LOSS_LIST(X) X(FULL, "full")\n\n#endif\n'
USES = HEAD + "int x = STOP_ROOT, y = LOSS_FULL;\n"
MAKE = "lint:\n"
# rule, what breaks it, what mends it (files that differ)
CASES = [
    ("includes", {"metrics/a.c": HEAD + '#include "profiler/router.h"\n'}, {"metrics/a.c": HEAD}),
    ("includes", {"symbolize/a.c": HEAD + "#include <pthread.h>\n"}, {"symbolize/a.c": HEAD}),
    ("includes", {"bpf/record.h": GPL + "#pragma once\n#include <stdio.h>\n"},
     {"bpf/record.h": GPL + "#pragma once\n#include <linux/types.h>\n"}),
    ("includes", {"profiler/a.h": HEAD + "#pragma once\n", "profiler/a.c": HEAD + "#include <stdio.h>\n"},
     {"profiler/a.c": HEAD + '#include "profiler/a.h"\n'}),
    ("includes", {"profiler/a.h": HEAD}, {"profiler/a.h": HEAD + "#pragma once\n"}),
    ("sizes", {"a.c": HEAD + "int f(void)\n{\n" + "\tx();\n" * 81 + "}\n"},
     {"a.c": HEAD + "int f(void)\n{\n" + "\tx();\n" * 80 + "}\n"}),
    ("sizes", {"a.c": HEAD + "int main(void)\n{\n" + "\tx();\n" * 61 + "}\n"},
     {"a.c": HEAD + "int main(void)\n{\n" + "\tx();\n" * 60 + "}\n"}),
    ("sizes", {"a.py": "#\n" * 801}, {"a.py": "#\n" * 800}),
    ("sizes", {"a.py": "# \n"}, {"a.py": "#\n"}),
    ("reasons", {"bpf/reason.h": REASONS, "bpf/a.c": HEAD + "int x = LOSS_FULL;\n"}, {"bpf/a.c": USES}),
    ("reasons", {"bpf/reason.h": REASONS, "bpf/a.c": HEAD + "int y = LOSS_FULL, x = a == STOP_ROOT;\n"},
     {"bpf/a.c": USES}),
    ("heads", {"profiler/a.c": "/* no license */\n"}, {"profiler/a.c": HEAD}),
    ("heads", {"bpf/a.h": HEAD}, {"bpf/a.h": GPL}),
    ("heads", {"profiler/a.c": APACHE + "int x;\n"}, {"profiler/a.c": HEAD + "int x;\n"}),
    ("words", {"a.c": "/* TO" "DO */\n"}, {"a.c": "/* done */\n"}),
    ("words", {"profiler/a.c": 'void f(void) { sprintf(s, "x"); }\n'},
     {"profiler/a.c": '/* sprintf() */ char *s = "sprintf()";\n'}),
    ("words", {"symbolize/a.c": 'void f(void) { log_warn(x, "x"); }\n'},
     {"symbolize/a.c": 'void f(void) { log_debug(x, "x"); }\n'}),
    ("registry", {"metrics/a.c": "COLLECTOR(b, .help = 0);\n", "tests/unit/metrics/a_test.c": "SUITE(a);\n"},
     {"metrics/a.c": "COLLECTOR(a, .help = 0);\n"}),
    ("registry", {"metrics/a.c": "COLLECTOR(a, .help = 0);\n"}, {"tests/unit/metrics/a_test.c": "SUITE(a);\n"}),
    ("registry", {"tests/unit/a_test.c": "SUITE(a);\n", "tests/unit/b_test.c": "SUITE(a);\n"},
     {"tests/unit/b_test.c": "SUITE(b);\n"}),
    ("registry", {"tests/fuzz/a_fuzz.c": "\n"}, {"tests/fuzz/a_fuzz.c": "LLVMFuzzerTestOneInput\n"}),
    ("readme", {"README.md": "`bpf/gone.h`\n", "bpf/a.h": GPL, "Makefile": MAKE}, {"README.md": "`bpf/a.h`\n"}),
    ("readme", {"README.md": "`make gone`\n", "Makefile": MAKE}, {"README.md": "`make lint`\n"}),
    ("readme", {"README.md": "B\n| what | measured |\n|---|---|\n| a | 1 |\nE\n", "Makefile": MAKE,
                "tests/bench/rows.py": "BEGIN, END = 'BE'\nROWS = (('a', 'a'), ('b', 'b'))\n"},
     {"README.md": "B\n| what | measured |\n|---|---|\n| a | 1 |\n| b | 2 |\nE\n"}),
    ("artefacts", {"bpf/vmlinux.h": GPL}, {"bpf/vmlinux.h": None}),
    ("artefacts", {"a": "x\0y"}, {"a": "xy"}),
    ("format", {"a.c": "int  x ;\n"}, {"a.c": "int x;\n"}),
    ("headers", {"profiler/a.h": "struct a { uint32_t x; };\n", "build/gen/x": ""},
     {"profiler/a.h": "#include <stdint.h>\nstruct a { uint32_t x; };\n"}),
    ("shell", {"a.sh": "#!/bin/sh\nif\n"}, {"a.sh": "#!/bin/sh\ntrue\n"}),
    ("makefile", {"Makefile": "X := $(shell cc -v)\nhelp:\n\t@:\n"},
     {"Makefile": "X = $(shell cc -v)\nhelp:\n\t@:\n"}),
    ("tidy", {"profiler/a.c": "int f(int *p)\n{\n\tif (!p)\n\t\treturn *p;\n\treturn 0;\n}\n", "build/gen/x": ""},
     {"profiler/a.c": "int f(const int *p)\n{\n\treturn p ? *p : 0;\n}\n"}),
    ("cppcheck", {"profiler/a.c": "int f(void)\n{\n\tint a[2];\n\ta[2] = 1;\n\treturn a[0];\n}\n",
                  "symbolize/b.c": "int g;\n", "build/gen/x": ""},
     {"profiler/a.c": "int f(void)\n{\n\tint a[2] = {0};\n\treturn a[0];\n}\n"}),
]


def write(top, files):
    for name, text in files.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if text is None:
            os.remove(path)
            continue
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def judge(top, rule):
    path = next(os.path.join(HERE, "rules", f) for f in os.listdir(os.path.join(HERE, "rules"))
                if f.startswith(rule + "."))
    command = [sys.executable, "-B", path, top] if path.endswith(".py") else [path]
    run = subprocess.run(command, cwd=top, capture_output=True, env={**os.environ, "B": "build"})
    return run.returncode, (run.stdout + run.stderr).decode(errors="replace")


def main():
    passed = failed = skipped = 0
    for rule, broken, mended in CASES:
        with tempfile.TemporaryDirectory() as top:
            subprocess.run(["git", "-C", top, "init", "-q"], check=True)
            write(top, {".gitignore": "/build/\n/tests/lint/\n"})
            os.makedirs(os.path.join(top, "tests"))
            os.symlink(HERE, os.path.join(top, "tests", "lint"))
            for dot in (".clang-format", ".clang-tidy"):
                os.symlink(os.path.join(HERE, "..", "..", dot), os.path.join(top, dot))
            write(top, broken)
            first, said = judge(top, rule)
            write(top, mended)
            second, still = judge(top, rule)
        if first == 77 or second == 77:
            skipped += 1
            print(f"skip {rule}: {said.strip()}")
        elif first == 0 or second != 0:
            failed += 1
            print(f"FAIL {rule}: {sorted(broken)}: " +
                  ("does not see the breach" if first == 0 else f"still broken when mended:\n{still}"))
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
