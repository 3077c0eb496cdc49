#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every rule of rules/ over the tree, or those named as arguments, and prints what is broken.
# B is the build folder: headers made by the build, and what a slow rule remembers. Exit 1 when a rule
# is broken.
cd "$(dirname "$0")/../.." || exit 2
export B="${B:-build}"
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
passed=0 failed=0 skipped=0
for rule in tests/lint/rules/*; do
	name=$(basename "$rule")
	name=${name%.*}
	case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
	case $rule in
	*.py) python3 -B "$rule" . ;;
	*) "$rule" ;;
	esac >"$out" 2>&1
	case $? in
	0) passed=$((passed + 1)); echo "ok   $name" ;;
	77) skipped=$((skipped + 1)); echo "skip $name: $(tail -1 "$out")" ;;
	*) failed=$((failed + 1)); echo "FAIL $name"; sed 's/^/     /' "$out" ;;
	esac
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
