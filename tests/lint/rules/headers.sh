#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone. Those of the BPF side (*.bpf.h) are parts of programs.
${CC:-gcc} --version >/dev/null 2>&1 || { echo "there is no C compiler"; exit 77; }
[ -d "$B/gen" ] || { echo "generated headers are missing: make first"; exit 77; }
git ls-files -co --exclude-standard '*.h' | grep -v '\.bpf\.h$' | grep -v '^tests/' |
	xargs -P "$(nproc)" -I{} sh -c '
		${CC:-gcc} -std=gnu17 -fsyntax-only -I. -I"$B/gen" -D_GNU_SOURCE -Wno-pragma-once-outside-header \
			-include {} -x c /dev/null 2>&1 | grep -m1 error: | sed "s|^|{}:1: does not compile alone: |"' |
	sort | { ! grep .; }
