#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy with the checks of .clang-tidy over the product; what it gets wrong stands with its
# reason in tidy.suppress. The analyzer runs shallow, which takes a tenth of the time; DEEP=1 lets it
# look through every path.
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed"; exit 77; }
[ -d "$B/gen" ] || { echo "generated headers are missing: make first"; exit 77; }
[ -n "$DEEP" ] || shallow="-Xclang -analyzer-config -Xclang mode=shallow"
export shallow
git ls-files -co --exclude-standard 'profiler/*.c' 'symbolize/*.c' 'runtimes/*.c' 'metrics/*.c' \
	'events/*.c' | xargs -P "$(nproc)" -I{} sh -c '
		[ -f {} ] || exit 0
		clang-tidy --quiet {} -- -std=gnu17 -I. -I"$B/gen" -D_GNU_SOURCE \
			-DBIANQUE_VERSION=\"0\" $shallow 2>/dev/null |
			grep -E "(warning|error):" | sed "s|^$PWD/||"' | sort -u |
	awk 'NR == FNR { if (!/^#/) off[$1 " " $2] = 1; next }
	     { file = $0; sub(/:.*/, "", file); check = $NF; gsub(/[][]/, "", check) }
	     !((file " " check) in off)' tests/lint/tidy.suppress - | { ! grep .; }
