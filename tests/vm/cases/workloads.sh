#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=400 mem=2048
# Every truth program runs on this kernel: what the profiler's own tests need there.
set -uo pipefail
[ -x build/workloads/shares ] || { echo "the truth programs are not built" && exit 77; }

ran=0 off=0 failed=0
for program in build/workloads/*; do
  [[ $program == *.* || $program == *storm-? || $program == *execs-b || ! -x $program ]] && continue
  slow=()
  [[ $program == */storm ]] && slow=(--rate 10) # each takes ten times as long here
  while read -r mode; do
    out=$(timeout 60 "$program" ${mode:+"$mode"} "${slow[@]}" --seconds 1 2>&1)
    status=$?
    case $status in
    0) ran=$((ran + 1)) ;;
    77) off=$((off + 1)) && echo "off: $out" ;;
    *) failed=$((failed + 1)) && echo "failed: ${program##*/} $mode: status $status: $out" ;;
    esac
  done < <("$program" --modes)
done
echo "$ran ran, $off off, $failed failed"
[ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
