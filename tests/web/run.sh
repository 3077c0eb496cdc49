#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The page's tests, by `make test-web` (B: the build folder): modules in node, pages in Chromium.
# What is missing is skipped with its reason. Ends with `N passed, N failed, N skipped`.
set -u
: "${B:?the build folder}"
here=$(dirname "$0")
export EXPORT_PROFILE="$B/tools/export_profile" BUNDLE="$B/gen/snapshot.bundle.js"
export NODE_TOOLS="$B/web" SERVED="$B/gen/web"
if ! command -v node >/dev/null; then
  echo 'skipped: no node (apt-get install nodejs)'
  echo '0 passed, 0 failed, 1 skipped'
  exit 0
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
node --test --test-reporter=tap "$here"/*.test.mjs >"$out" 2>&1
status=$?
# Failures whole, what tests print about themselves, reasons of skips.
if [ $status -ne 0 ]; then
  cat "$out"
else
  grep -E '# SKIP|^ *# [^S]' "$out" |
    grep -vE '^# (tests|suites|pass|fail|cancelled|skipped|todo|duration)'
fi
number() {
  sed -n "s/^# $1 //p" "$out" | tail -1
}
echo
failed=$(($(number fail) + $(number cancelled)))
echo "$(number pass) passed, $failed failed, $(number skipped) skipped"
exit $status
