#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compile both halves for arm64 without linking: every source of the program with Debian's cross gcc, the
# BPF objects for an arm64 kernel. Libraries' headers are this machine's, behind the target's own; a source
# that needs one which only the target's package has (libunwind's) is skipped.
# usage: cross.sh BUILD-DIR CLANG. Ends with `N passed, N failed, N skipped`.
set -u -o pipefail
build=$1 clang=$2
cc=aarch64-linux-gnu-gcc
passed=0 failed=0 skipped=0
if ! command -v $cc >/dev/null; then
  echo "skipped: no $cc (apt-get install gcc-aarch64-linux-gnu)"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
out=$build/cross
mkdir -p "$out"
own=$(echo '#include <libunwind-ptrace.h>' | $cc -E -idirafter /usr/include \
  -idirafter "/usr/include/$(gcc -print-multiarch)" -xc - 2>&1 >/dev/null)
for f in profiler/*.c profiler/*/*.c symbolize/*.c metrics/*.c; do
  if [ -n "$own" ] && grep -q '^#include <libunwind' "$f"; then
    echo "skipped: $f: no libunwind-dev for arm64" >&2
    continue
  fi
  echo "$f"
done 2>"$out/skipped" | xargs -P "$(nproc)" -I{} bash -c '
  '"$cc"' -fsyntax-only -O1 -std=gnu17 -Wall -Wextra -Werror -D_GNU_SOURCE -DBIANQUE_VERSION="\"x\"" -I. -I'"$build"'/gen \
    -idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch) {} >&2 && echo ok || echo "failed: {}"' >"$out/result" 2>"$out/errors"
passed=$(grep -c '^ok' "$out/result")
failed=$(grep -c '^failed' "$out/result")
[ "$failed" = 0 ] || { cat "$out/errors"; grep '^failed' "$out/result"; }
cat "$out/skipped"
skipped=$(grep -c '^skipped' "$out/skipped")
for f in bpf/*.bpf.c; do
  if $clang -target bpf -mcpu=v3 -D__TARGET_ARCH_arm64 -D__aarch64__ -I. -I/usr/aarch64-linux-gnu/include -O2 -g -Wall -Wextra -Werror \
    -c -o "$out/$(basename "$f" .c).o" "$f"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) && echo "failed: $f"
  fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
