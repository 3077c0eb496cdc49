#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=120
# Debian's kernels have all that we ask for: nothing is off but what nobody asked for, and what the
# emulator lacks is degraded.
[ -x build/bianque ] || { echo "bianque is not built" && exit 77; }
out=$(build/bianque check) || { echo "$out" && exit 1; }
echo "$out"
unexpected=$(grep -E '^off' <<<"$out" | grep -vE '^off +(debuginfod|debug_files) ')
[ -z "$unexpected" ]
