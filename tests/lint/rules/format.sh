#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# C is as clang-format leaves it (.clang-format); `make format` makes it so.
command -v clang-format >/dev/null || { echo "clang-format is not installed"; exit 77; }
git ls-files -co --exclude-standard '*.c' '*.h' | xargs -n 16 -P "$(nproc)" sh -c '
	for f; do
		[ -f "$f" ] || continue
		lines=$(clang-format "$f" | diff "$f" - | grep -c "^[<>]")
		[ "$lines" = 0 ] || echo "$f:1: clang-format changes $lines lines: make format"
	done' sh | sort | { ! grep .; }
