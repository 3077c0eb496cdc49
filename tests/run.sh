#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run test suites one after the other and add up what they say: each ends with a line
# `N passed, N failed, N skipped`; one that ends without it, or with another exit status than that line
# means, counts as one failed. A suite is a make target test-SUITE. Called by `make test` with AS_OWNER (how
# to become the tree's owner, "" when that is who we are) and ROOT_SUITES (which stay root). Folders that
# killed runs left a day ago are removed first.
# usage: tests/run.sh BUILD-DIR SUITE...
set -u -o pipefail

build=$1
shift
logs=$build/test-logs
mkdir -p "$logs"
$AS_OWNER python3 -B tests/in_folder.py --sweep
[ -z "$AS_OWNER" ] || python3 -B tests/in_folder.py --sweep
passed=0 failed=0 skipped=0 bad=()

for suite; do
	log=$logs/$suite.log
	start=$SECONDS
	echo "== $suite"
	as=$AS_OWNER
	[[ " $ROOT_SUITES " != *" $suite "* ]] || as=
	$as make --no-print-directory "B=$build" "test-$suite" 2>&1 | tee "$log"
	status=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -1)
	read -r p _ f _ s _ <<< "${line:-0 passed, 0 failed, 0 skipped}"
	if [ -z "$line" ]; then
		echo "$suite: ended without a result (exit status $status)"
		f=1
	elif [ $status -ne 0 ] && [ "$f" = 0 ]; then
		echo "$suite: exit status $status, yet no test failed"
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
	[ "$f" = 0 ] || bad+=("$suite")
	echo "-- $suite: $p passed, $f failed, ${s:-0} skipped, $((SECONDS - start)) s"
done

echo
[ ${#bad[@]} -eq 0 ] || echo "failed suites: ${bad[*]} (output in $logs)"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
