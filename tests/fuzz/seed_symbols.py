#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds for the symbol fuzzers from small programs built here: seed_symbols.py CORPUS_DIR"""
import os
import shutil
import subprocess
import sys
import tempfile

SECTIONS = "info abbrev line str line_str addr str_offsets ranges rnglists".split()
SOURCE = """
static inline __attribute__((always_inline)) int twice(int x) { volatile int y = x; return y * 2; }
static inline __attribute__((always_inline)) int four(int x) { return twice(twice(x)); }
__attribute__((noinline)) int work(int n) { int t = 0; for (int i = 0; i < n; i++) t += four(i); return t; }
void _start(void) { work(3); for (;;) ; }
"""


def sections(file, work, extra=()):
    out = b""
    for i, name in enumerate(SECTIONS):
        raw = os.path.join(work, "raw")
        open(raw, "w").close()
        subprocess.run(["objcopy", "-O", "binary", "--set-section-flags", ".debug_%s=alloc" % name,
                        "-j", ".debug_" + name, file, raw], capture_output=True)
        data = open(raw, "rb").read()[:60000]
        out += (b"" if i == len(SECTIONS) - 1 else len(data).to_bytes(2, "little")) + data
    return out


def put(corpus, fuzzer, name, data):
    folder = os.path.join(corpus, fuzzer)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def main():
    corpus, work = sys.argv[1], tempfile.mkdtemp()
    source = os.path.join(work, "s.c")
    open(source, "w").write(SOURCE)
    for compiler in ("gcc", "clang"):
        for version in "2345":
            file = os.path.join(work, compiler + version)
            if subprocess.run([compiler, "-O2", "-g", "-gdwarf-" + version, "-nostdlib", "-static",
                               "-Wl,-Ttext=0x1000", "-o", file, source], capture_output=True).returncode:
                continue
            put(corpus, "dwarf_fuzz", compiler + version, sections(file, work))
            put(corpus, "minidebug_fuzz", compiler + version, b"\1" + open(file, "rb").read())
    xz = subprocess.run(["xz", "-c", os.path.join(work, "gcc4")], capture_output=True).stdout
    put(corpus, "minidebug_fuzz", "xz", b"\0" + xz)
    put(corpus, "minidebug_fuzz", "link", b"\5" + b"name.debug\0\0" + b"\1\2\3\4")
    put(corpus, "minidebug_fuzz", "alt", b"\2" + b"/x/name\0" + bytes(range(20)))
    put(corpus, "perf_map_fuzz", "map", b"1000 20 a\n1010 8 b c\n0x1000 0x4 d\n2000 ffff LazyCompile:~x /y.js:1\n")
    put(corpus, "kallsyms_fuzz", "syms", b"ffffffff81000000 T _text\nffffffff81000010 t foo.cold\n"
        b"ffffffffc0000000 t bar\t[mod]\n0000000000000000 A percpu\n")
    for n, name in enumerate(("_ZNSt6vectorIiSaIiEE9push_backERKi", "_RNvC7mycrate3foo", "foo.isra.0.cold",
                              "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "main.main/1(*2)")):
        put(corpus, "demangle_fuzz", str(n), name.encode())
    go = os.path.join(work, "go")
    if shutil.which("go"):
        program = os.path.join(work, "x.go")
        open(program, "w").write("package main\nfunc main() { println(1) }\n")
        subprocess.run(["go", "build", "-o", go, program], env=dict(os.environ, CGO_ENABLED="0", GO111MODULE="off"))
        raw = os.path.join(work, "raw")
        subprocess.run(["objcopy", "-O", "binary", "-j", ".gopclntab", go, raw])
        put(corpus, "gopclntab_fuzz", "go", open(raw, "rb").read()[:65000])
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
