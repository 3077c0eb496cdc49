#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every case of tests/vm/cases in every kernel, each in a guest of its own:
#
#   tests/vm/run.sh [-k "5.10 6.1 6.12"] [-j GUESTS] [CASE...]
#
# A case is a bash script that runs in the guest as root in the project's folder: exit 0 passed, 77
# off (its last line of output says why), anything else failed. What it needs of the guest stands in
# it as `# vm: timeout=300 mem=2048 smp=2 cgroup=v1 kernels=6.1,6.12`; each part may be left out.
# Prints a table and one line for each case that is off or failed; ends with the sums. The output of
# each is kept in build/vm/log/KERNEL-CASE.log. Exit 1 when one failed or none ran.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
vm_dir=${VM_DIR:-$root/build/vm}
log=$vm_dir/log
kernels="5.10 6.1 6.12"
jobs=$(($(nproc) / 2))

while getopts k:j: option; do
  case $option in
  k) kernels=$OPTARG ;;
  j) jobs=$OPTARG ;;
  *) echo "usage: run.sh [-k KERNELS] [-j GUESTS] [CASE...]" >&2 && exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ "$jobs" -ge 1 ] || jobs=1

# The value of NAME in the case's `# vm:` line, else the default.
wish() {
  local value
  value=$(sed -n "s/^# vm:.*\b$2=\([^ ]*\).*/\1/p" "$1" | head -n 1)
  echo "${value:-$3}"
}

# Leaves "passed|off|failed SECONDS" in KERNEL-CASE.result.
run_case() {
  local kernel=$1 case=$2 name code=0 began=$SECONDS state=failed out
  name=$kernel-$(basename "$case" .sh)
  out=$vm_dir/out/$name
  rm -rf "$out"
  if [[ ",$(wish "$case" kernels "$kernel")," != *",$kernel,"* ]]; then
    echo "not meant for this kernel" >"$log/$name.log"
    code=77
  else
    # Ends with this shell.
    setpriv --pdeathsig TERM "$here/boot.sh" --kernel "$kernel" --timeout "$(wish "$case" timeout 120)" \
      --mem "$(wish "$case" mem 1024)" --smp "$(wish "$case" smp 2)" \
      --cgroup "$(wish "$case" cgroup v2)" --out "$out" -- bash "$case" >"$log/$name.log" 2>&1 ||
      code=$?
  fi
  case $code in
  0) state=passed ;;
  77) state=off ;;
  esac
  echo "$state $((SECONDS - began))" >"$log/$name.result"
}

cases=()
for name in "$@"; do
  [ -f "$here/cases/$name.sh" ] || { echo "run.sh: no case '$name' in tests/vm/cases" >&2 && exit 2; }
  cases+=("$here/cases/$name.sh")
done
[ ${#cases[@]} -gt 0 ] || cases=("$here"/cases/*.sh)

rm -rf "$log"
mkdir -p "$log"
for kernel in $kernels; do
  "$here/kernel.sh" "$kernel" >/dev/null
done
trap 'kill $(jobs -p) 2>/dev/null || true; wait; exit 130' INT TERM HUP

cd "$root"
running=0
for case in "${cases[@]}"; do
  for kernel in $kernels; do
    if [ "$running" -ge "$jobs" ]; then
      wait -n || true
      running=$((running - 1))
    fi
    run_case "$kernel" "$case" &
    running=$((running + 1))
  done
done
wait

passed=0 failed=0 off=0 notes=''
printf '%-16s' case
# shellcheck disable=SC2086 # a list of words
printf '%14s' $kernels
echo
for case in "${cases[@]}"; do
  name=$(basename "$case" .sh)
  printf '%-16s' "$name"
  for kernel in $kernels; do
    state=failed seconds=0
    read -r state seconds <"$log/$kernel-$name.result" || true
    last=$(grep -v '^$' "$log/$kernel-$name.log" | tail -n 1 || true)
    case $state in
    passed)
      passed=$((passed + 1))
      printf '%14s' "ok ${seconds}s"
      ;;
    off)
      off=$((off + 1))
      printf '%14s' off
      notes+="off: $name on $kernel: $last"$'\n'
      ;;
    *)
      failed=$((failed + 1))
      printf '%14s' "failed ${seconds}s"
      notes+="failed: $name on $kernel: $last (${log#"$root/"}/$kernel-$name.log)"$'\n'
      ;;
    esac
  done
  echo
done
printf '%s' "$notes"
echo "$passed passed, $failed failed, $off skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
