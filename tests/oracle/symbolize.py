#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every answer of `bianque symbolize` beside three programs that nobody here wrote.

For each program: random text addresses through `bianque symbolize -i --json --raw`, `addr2line -i -f`,
`eu-addr2line -i -f` and `llvm-symbolizer --inlines`, each once, all addresses through one process. Three
parts of an answer are compared on their own: the physical function, the innermost file:line, and the
whole chain of (function, file:line). Where two of the oracles agree on a part, ours must be that.

Normalised: paths (lexically; a relative path equals an absolute one that ends with it), suffixes of
pieces (.cold and so on, which llvm-symbolizer leaves), symbol versions, names of one function (same_function), `??` and 0 for unknown.

Differences that are right are put into classes by the checks of classify(); symbolize.expected allows each
class for programs by pattern, up to a share, with the reason. More than a class allows, or more than one
in a thousand without a class, fails.

	symbolize.py [-n ADDRESSES] [--keep DIR] BIANQUE [NAME...]
"""
import argparse
import fnmatch
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "symbolize")
SUFFIX = re.compile(r"(\.(cold|part|isra|constprop|llvm|lto_priv|warm|localalias|__uniq)(\.\d+)*)+$")


def run(args, data=None, cwd=None):
    return subprocess.run(args, input=data, capture_output=True, text=True, errors="replace", cwd=cwd)


def function(name):
    name = name.strip()
    if name in ("", "??"):
        return "?"
    name = name.removesuffix(".abi0")  # Go's assembly functions, in symbol tables only
    return SUFFIX.sub("", name.split("@")[0] if not name.startswith("@") else name)


def path(name):
    if name.startswith("??") or not name:
        return "?"
    return os.path.normpath(name)


def place(text):
    """file:line[:column] [(discriminator N)] -> (file, line)"""
    text = re.sub(r" \(discriminator \d+\)$", "", text)
    m = re.match(r"^(.*?):(\d+|\?)(:\d+)?$", text)
    if not m:
        return ("?", 0)
    line = 0 if m.group(2) == "?" else int(m.group(2))
    return (path(m.group(1)), line)


def same_path(a, b):
    if a == b:
        return True
    # "dir/../x" joined to another folder: compare from the end
    a, b = a.lstrip("./"), b.lstrip("./")
    return a.endswith("/" + b) or b.endswith("/" + a) or a == b


def same_place(a, b):
    # without a line the file says nothing
    return a[1] == b[1] and (a[1] == 0 or same_path(a[0], b[0]))


def same_function(a, b):
    """Equal, or aliases of one function: its complete and base constructors and destructors; a plain
    DWARF name and the mangled symbol of that name; Go's generics, whose arguments pclntab leaves out."""
    if a == b:
        return True
    if "[" in a and "[" in b:
        return re.sub(r"\[.*\]", "[]", a) == re.sub(r"\[.*\]", "[]", b)
    if a[:2] in ("_Z", "_R") and b[:2] in ("_Z", "_R"):
        return re.sub(r"([CD])[0-5](E|I|B)", r"\1\2", a) == re.sub(r"([CD])[0-5](E|I|B)", r"\1\2", b)
    for plain, mangled in ((a, b), (b, a)):
        if mangled.startswith("_Z") and plain[:2] not in ("_Z", "?"):
            name = re.sub(r"<.*", "", plain)
            if name.startswith("~"):
                return re.search(r"%d%s(I.*)?D[0-5]E" % (len(name) - 1, re.escape(name[1:])), mangled) is not None
            return "%d%s" % (len(name), name) in mangled or (
                name.startswith("operator") or re.search(r"%d%s(I.*)?C[0-5]E" % (len(name), re.escape(name)), mangled) is not None)
    return False


def same_chain(a, b):
    return len(a) == len(b) and all(same_function(x[0], y[0]) and same_place(x[1], y[1]) for x, y in zip(a, b))


# ---- the four programs: each returns a list of chains, innermost first: [(function, (file, line))...]

def ours(bianque, binary, addresses):
    out = run([bianque, "symbolize", "-e", binary, "-i", "--json", "--raw", "--no-cache"],
              "".join("%x\n" % a for a in addresses))
    if out.returncode:
        sys.exit("bianque symbolize failed: " + out.stderr)
    chains = []
    base = os.path.basename(binary)
    for line in out.stdout.splitlines():
        frames = json.loads(line)["frames"]
        chains.append([("?" if f["function"].startswith(base + "+") else function(f["function"]),
                        (path(f["file"]), f["line"])) for f in frames])
    return chains


def pairs(lines):
    return [(function(lines[i]), place(lines[i + 1])) for i in range(0, len(lines) - 1, 2)]


def addr2line(tool, binary, addresses):
    out = run([tool, "-i", "-f", "-a", "-e", binary], "".join("0x%x\n" % a for a in addresses))
    chains, lines = [], None
    for line in out.stdout.splitlines():
        if re.match(r"^0x[0-9a-f]{16}$", line):
            if lines is not None:
                chains.append(lines)
            lines = []
        elif lines is not None:
            # eu-addr2line: "callee inlined at FILE:LINE in caller" on one line
            m = re.match(r"^(.*) inlined at (.*) in (.*)$", line)
            lines.append(m.group(1) if m else line)
    if lines is not None:
        chains.append(lines)
    return [pairs(c) for c in chains]


def gotool(binary, addresses):
    out = run(["go", "tool", "addr2line", binary], "".join("0x%x\n" % a for a in addresses))
    return [pairs(out.stdout.splitlines()[i:i + 2]) for i in range(0, 2 * len(addresses), 2)]


def llvm(binary, addresses):
    out = run(["llvm-symbolizer", "--obj=" + binary, "--inlines", "--no-demangle"],
              "".join("0x%x\n" % a for a in addresses))
    return [pairs(b.split("\n")) for b in out.stdout.strip("\n").split("\n\n")]


# ---- programs to ask about

def text_of(binary):
    for line in run(["readelf", "-SW", binary]).stdout.splitlines():
        m = re.match(r"^\s*\[\s*\d+\]\s+\.text\s+\S+\s+(\S+)\s+\S+\s+(\S+)", line)
        if m:
            return int(m.group(1), 16), int(m.group(2), 16)
    return 0, 0


def build(command, cwd):
    out = run(["sh", "-c", command], cwd=cwd)
    if out.returncode:
        print("  cannot build: %s: %s" % (command, out.stderr.strip()[-300:]))
    return out.returncode == 0


def debug_copy(work, name, source, command):
    """A changed copy of a program, whose twin the oracles can read."""
    target = os.path.join(work, name)
    shutil.copy(source, target)
    return target if build(command % {"f": target}, work) else None


def same_text(work, a, b):
    return build("objcopy -O binary -j .text %s a.text && objcopy -O binary -j .text %s b.text && "
                 "cmp a.text b.text" % (a, b), work)


def libc():
    for line in run(["ldconfig", "-p"]).stdout.splitlines():
        if line.strip().startswith("libc.so.6") and "x86-64" in line:
            return line.split()[-1]
    return None


def first(*paths):
    import glob
    for p in paths:
        for found in sorted(glob.glob(p)):
            return os.path.realpath(found)
    return None


def programs(work, wanted):
    """Yields (name, our file, the oracles' file)."""
    def want(name):
        return not wanted or any(fnmatch.fnmatch(name, w) for w in wanted)

    installed = {
        "libjvm": first("/usr/lib/jvm/java-17-openjdk*/lib/server/libjvm.so"),
        "python3.11": first("/usr/bin/python3.11"),
        "libc": libc(),
        "libLLVM": first("/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", "/usr/lib/llvm-14/lib/libLLVM-14.so*"),
        "git": first("/usr/bin/git"),
        "postgres": first("/usr/lib/postgresql/*/bin/postgres"),
    }
    for name, file in installed.items():
        if want(name):
            yield name, file, file

    sources = "%s/heavy.cc %s/heavy_other.cc" % (SOURCES, SOURCES)
    for compiler, cc in (("gcc", "g++"), ("clang", "clang++ -std=c++17")):
        for version in ("4", "5"):
            for variant, flags in (("", ""), ("-split", "-gsplit-dwarf"), ("-lto", "-flto")):
                name = "c++-%s-dwarf%s%s" % (compiler, version, variant)
                if not want(name):
                    continue
                if compiler == "clang":
                    flags += " -fuse-ld=lld" if "lto" in variant else ""
                file = twin = os.path.join(work, name)
                ok = build("%s -O2 -g -gdwarf-%s %s -o %s %s" % (cc, version, flags, file, sources), work)
                if variant == "-split":
                    # addr2line and eu-addr2line read split units badly: ask about the same code unsplit
                    twin = os.path.join(work, "c++-%s-dwarf%s" % (compiler, version))
                    ok = ok and same_text(work, file, twin)
                yield name, file if ok else None, twin
    base = os.path.join(work, "base")
    if any(want(n) for n in ("c++-dwz", "c++-zlib", "c++-zlib-gnu", "c++-zstd", "c++-debuglink",
                             "c++-dwp-dwarf4", "c++-dwp-dwarf5", "c++-mini", "c++-sections")):
        build("g++ -O2 -g -o %s %s" % (base, sources), work)
    for name, command in (
            ("c++-dwz", "cp %(f)s %(f)s.2 && dwz -m %(f)s.common %(f)s %(f)s.2"),
            ("c++-zlib", "objcopy --compress-debug-sections=zlib %(f)s"),
            ("c++-zlib-gnu", "objcopy --compress-debug-sections=zlib-gnu %(f)s"),
            ("c++-zstd", "objcopy --compress-debug-sections=zstd %(f)s"),
            ("c++-debuglink", "objcopy --only-keep-debug %(f)s %(f)s.debug && strip %(f)s && "
                              "objcopy --remove-section=.note.gnu.build-id %(f)s && "
                              "objcopy --add-gnu-debuglink=%(f)s.debug %(f)s")):
        if want(name):
            yield name, debug_copy(work, name, base, command), base
    if want("c++-mini"):
        yield "c++-mini", debug_copy(work, "c++-mini", base, MINI), debug_copy(
            work, "c++-mini-twin", base, "strip -g %(f)s")
    if want("c++-sections"):
        file = os.path.join(work, "c++-sections")
        ok = build("g++ -O2 -g -ffunction-sections -Wl,--gc-sections -o %s %s" % (file, sources), work)
        yield "c++-sections", file if ok else None, file
    for compiler, cc in (("gcc", "g++"), ("clang", "clang++ -std=c++17")):
        for version in ("4", "5"):
            name = "c++-%s-dwp-dwarf%s" % (compiler, version)
            if not want(name):
                continue
            file = os.path.join(work, name)
            twin = os.path.join(work, "c++-%s-dwarf%s" % (compiler, version))
            ok = build("%s -O2 -g -gdwarf-%s -gsplit-dwarf -o %s %s && llvm-dwp -e %s -o %s.dwp && rm -f *.dwo" % (
                cc, version, file, sources, file, file), work)
            ok = ok and build("test -e %s || %s -O2 -g -gdwarf-%s -o %s %s" % (twin, cc, version, twin, sources), work)
            yield name, file if ok and same_text(work, file, twin) else None, twin
    if want("rust"):
        file = os.path.join(work, "rust")
        ok = build("rustc -O -g -C symbol-mangling-version=v0 -o %s %s/heavy.rs" % (file, SOURCES), work)
        yield "rust", file if ok else None, file
    if want("rust-legacy"):
        file = os.path.join(work, "rust-legacy")
        ok = build("rustc -O -g -C symbol-mangling-version=legacy -o %s %s/heavy.rs || "
                   "rustc -O -g -o %s %s/heavy.rs" % (file, SOURCES, file, SOURCES), work)
        yield "rust-legacy", file if ok else None, file
    if want("go"):
        file = os.path.join(work, "go")
        yield "go", file if go_build(work, file, "") else None, file
    if want("go-stripped"):
        # without DWARF and symbols: beside the same program with DWARF
        file, twin = os.path.join(work, "go-stripped"), os.path.join(work, "go-twin")
        ok = go_build(work, twin, "") and go_build(work, file, "-ldflags='-s -w'")
        yield "go-stripped", file if ok else None, twin


MINI = ("nm %(f)s --format=posix --defined-only | awk '{print $1}' | sort -u > %(f)s.all && "
        "objcopy -S --keep-symbols=%(f)s.all --remove-section=.gdb_index --remove-section=.comment "
        "--only-keep-debug %(f)s %(f)s.mini && strip --strip-debug --remove-section=.comment %(f)s.mini && "
        "xz -k -f %(f)s.mini && strip %(f)s && "
        "objcopy --add-section .gnu_debugdata=%(f)s.mini.xz %(f)s")


def go_build(work, file, flags):
    return build("CGO_ENABLED=0 GOFLAGS=-mod=mod GO111MODULE=off go build %s -o %s %s/go/main.go" % (
        flags, file, SOURCES), work)


# ---- comparing

PARTS = {
    "function": (lambda c: c[-1][0], same_function),
    "line": (lambda c: c[0][1], same_place),
    "chain": (lambda c: c, same_chain),
}


def read_expected():
    rows = []
    with open(os.path.join(HERE, "symbolize.expected")) as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                pattern, kind, per_mille, reason = line.split(None, 3)
                rows.append((pattern, kind, float(per_mille), reason))
    return rows


class Symbols:
    """The sized function symbols of a file and of its debug file, by address and by name."""

    def __init__(self, binary):
        files = [binary]
        m = re.search(r"Build ID: (\w+)", run(["readelf", "-n", binary]).stdout)
        if m:
            files.append("/usr/lib/debug/.build-id/%s/%s.debug" % (m.group(1)[:2], m.group(1)[2:]))
        self.starts, self.ranges = {}, set()
        for f in files:
            for line in run(["readelf", "-sW", f]).stdout.splitlines():
                w = line.split()
                if len(w) >= 8 and w[3] in ("FUNC", "IFUNC", "NOTYPE") and w[6] != "UND":
                    start = int(w[1], 16)
                    self.starts.setdefault(function(w[7]), set()).add(start)
                    self.ranges.add((start, start + int(w[2], 0)))
        self.ranges = sorted(self.ranges)

    def covered(self, address):
        import bisect
        i = bisect.bisect(self.ranges, (address, 1 << 64))
        return any(s <= address < e for s, e in self.ranges[max(0, i - 50):i])

    def aliases(self, a, b):
        return bool(self.starts.get(a, set()) & self.starts.get(b, set()))


def classify(symbols, address, mine, others):
    """padding: behind a function's end; alias: another name of the same place; order: the oracles do not
    agree about the whole chain, and ours is that of one of them."""
    if mine[-1][0] == "?" and not symbols.covered(address):
        return "padding"
    for chain in others:
        if len(chain) == len(mine) and mine[-1][0] != chain[-1][0] and symbols.aliases(mine[-1][0], chain[-1][0]) and all(
                same_place(x[1], y[1]) for x, y in zip(mine, chain)):
            return "alias"
    if any(same_chain(mine, chain) for chain in others):
        return "order"
    return "other"


def compare(name, mine, oracles, addresses, symbols, expected, show):
    ok = True
    for part, (get, same) in PARTS.items():
        judged, shown, classes = 0, 0, {}
        alone = part == "chain" and name.startswith("go")  # only llvm-symbolizer knows Go's inlining
        for i, address in enumerate(addresses):
            chains = [o[i] for o in oracles.values() if o[i]]
            answers = [get(c) for c in chains if part != "chain" or c is not None]
            if alone:
                chains = [oracles["llvm"][i]]
                answers = agreed = [get(chains[0])] if chains[0][-1][0] != "?" else []
            else:
                agreed = [a for n, a in enumerate(answers)
                          if any(same(a, b) for m, b in enumerate(answers) if m != n)]
            if not agreed:
                continue
            judged += 1
            if any(same(get(mine[i]), a) for a in agreed):
                continue
            kind = classify(symbols, address, mine[i], chains)
            classes[kind] = classes.get(kind, 0) + 1
            if kind in ("other", "order") and shown < show:
                shown += 1
                print("    0x%x\n      ours  %s" % (address, get(mine[i])))
                for n, o in oracles.items():
                    if o[i]:
                        print("      %-5s %s" % (n, get(o[i])))
        if not judged:
            print("  %-9s no two oracles agree anywhere" % part)
            continue
        wrong = sum(classes.values())
        print("  %-9s %6d judged, %5d differ: %7.3f %% equal" % (part, judged, wrong, 100 - 100.0 * wrong / judged))
        for kind, n in sorted(classes.items()):
            rows = [e for e in expected if fnmatch.fnmatch(name, e[0]) and e[1] == kind]
            limit = rows[0][2] if rows else 1.0 if kind == "other" else 0.0
            share = 1000.0 * n / judged
            print("    %-8s %5d (%.2f per mille, allowed %g)%s%s" % (
                kind, n, share, limit, "" if share <= limit else "  TOO MANY",
                ": " + rows[0][3] if rows else ""))
            ok = ok and share <= limit
    return ok


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-n", type=int, default=20000)
    parser.add_argument("--eu-libjvm", type=int, default=300, help="eu-addr2line takes 30 ms an address there")
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--keep")
    parser.add_argument("bianque")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    work = args.keep or tempfile.mkdtemp(prefix="bianque-oracle-")
    os.makedirs(work, exist_ok=True)
    bianque = os.path.abspath(args.bianque)
    expected = read_expected()
    passed = failed = skipped = 0
    for name, file, twin in programs(work, args.names):
        if not file or not twin or not os.path.exists(file):
            print("%s: skipped: not installed, or it could not be built" % name)
            skipped += 1
            continue
        start, size = text_of(twin)
        random.seed(name)
        addresses = sorted(random.randrange(start, start + size) for _ in range(args.n))
        began = time.time()
        mine = ours(bianque, file, addresses)
        took = time.time() - began
        n_eu = args.eu_libjvm if name == "libjvm" else args.n
        oracles = {
            "gnu": addr2line("addr2line", twin, addresses),
            "llvm": llvm(twin, addresses),
        }
        if name.startswith("go"):
            # binutils 2.40 and elfutils 0.188 cannot read Go's DWARF 5 line tables
            oracles["gnu"] = gotool(twin, addresses)
        else:
            eu = addr2line("eu-addr2line", twin, addresses[::max(1, args.n // n_eu)])
            whole = [None] * args.n
            for at, chain in zip(range(0, args.n, max(1, args.n // n_eu)), eu):
                whole[at] = chain
            oracles["eu"] = whole
        bad = [n for n, o in oracles.items() if len(o) != args.n]
        print("%s: %d addresses, %.2f s%s" % (name, args.n, took, "; unusable oracle: %s" % bad if bad else ""))
        oracles = {n: o for n, o in oracles.items() if n not in bad}
        if compare(name, mine, oracles, addresses, Symbols(twin), expected, args.show):
            passed += 1
        else:
            failed += 1
        sys.stdout.flush()
    if not args.keep:
        shutil.rmtree(work)
    print("\n%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
