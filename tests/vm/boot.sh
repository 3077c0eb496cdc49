#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Run one command as root on another kernel:
#
#   tests/vm/boot.sh --kernel 5.10 [--smp 2] [--mem 1024] [--timeout 120] [--cgroup v2|v1]
#                    [--out DIR] -- COMMAND [ARG...]
#
# The kernel is Debian's (tests/vm/kernel.sh fetches it once), the machine is qemu's software
# emulation, so it works without KVM and without root; 10 to 20 times slower than the host. The guest
# sees the host's root with all its programs, and this tree at the same path; whatever it writes is
# gone afterwards, but for /out, which is DIR here. The command starts in the current folder with
# this PATH and HOME, no standard input; its output and exit status are passed on.
# Exit status: the command's; 124 when the time is over; 125 when the guest itself failed, with the
# end of its console on stderr. No guest outlives this script, even when it is killed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
kernel='' smp=2 mem=1024 limit=120 cgroup=v2 out=''

usage() {
  echo "boot.sh: $*" >&2
  echo "usage: boot.sh --kernel 5.10|6.1|6.12 [--smp N] [--mem MIB] [--timeout S]" \
    "[--cgroup v2|v1] [--out DIR] -- COMMAND [ARG...]" >&2
  exit 125
}

number() {
  [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || usage "$1 wants a number, not '$2'"
}

while [ $# -gt 0 ]; do
  case $1 in
  --kernel | --smp | --mem | --timeout | --cgroup | --out)
    [ $# -ge 2 ] || usage "$1 wants a value"
    case $1 in
    --kernel) kernel=$2 ;;
    --smp) number "$1" "$2" && smp=$2 ;;
    --mem) number "$1" "$2" && mem=$2 ;;
    --timeout) number "$1" "$2" && limit=$2 ;;
    --cgroup) [[ $2 =~ ^v[12]$ ]] || usage "--cgroup is v1 or v2" && cgroup=$2 ;;
    --out) out=$2 ;;
    esac
    shift 2
    ;;
  --)
    shift
    break
    ;;
  *) usage "unknown argument '$1'" ;;
  esac
done
[ -n "$kernel" ] || usage "which --kernel?"
[ $# -gt 0 ] || usage "no command"
qemu=$(command -v qemu-system-x86_64) || usage "qemu-system-x86_64 is missing; see 'make deps-vm'"

dir=$("$here/kernel.sh" "$kernel")
release=$(sed -n 's/^release //p' "$dir/kernel.txt")
modules=$dir/root/lib/modules/$release

job=$(mktemp -d "${TMPDIR:-/tmp}/bianque-vm.XXXXXX")
guest=''
# shellcheck disable=SC2317 # reached by the trap
cleanup() {
  if [ -n "$guest" ]; then
    kill -KILL "$guest" 2>/dev/null || true
    wait "$guest" 2>/dev/null || true
  fi
  rm -rf "$job"
}
trap cleanup EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

mkdir "$job/in" "$job/out"
[ -n "$out" ] || out=$job/out
mkdir -p "$out"
out=$(cd "$out" && pwd)
printf "BQ_ROOT='%s'\nBQ_MODULES='%s'\nBQ_CGROUP=%s\n" "$root" "$modules" "$cgroup" >"$job/in/vars"
{
  printf 'cd %q || exit 125\n' "$PWD"
  printf 'export PATH=%q HOME=%q VM_KERNEL=%q\n' "$PATH:/usr/sbin:/sbin" "${HOME:-/root}" "$kernel"
  printf '%q ' "$@"
  echo
} >"$job/in/command"
mkfifo "$job/stdout" "$job/stderr"
cat "$job/stdout" &
cat "$job/stderr" >&2 &
readers="$(jobs -p)"

# Each holds the next to its own life: the guest cannot outlive this script.
setpriv --pdeathsig KILL timeout -k 2 "$limit" setpriv --pdeathsig KILL \
  "$qemu" -accel tcg,thread=multi -machine pc -cpu max,la57=off -smp "$smp" -m "$mem" \
  -nodefaults -no-user-config -no-reboot -display none \
  -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
  -append "console=ttyS0 quiet panic=-1 oops=panic no_timer_check tsc=reliable" \
  -chardev "file,id=console,path=$job/console" -serial chardev:console \
  -virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
  -virtfs "local,path=$job/in,mount_tag=job,security_model=none,readonly=on" \
  -virtfs "local,path=$out,mount_tag=out,security_model=none" \
  -device virtio-serial \
  -chardev "file,id=out,path=$job/stdout" -device virtserialport,chardev=out,name=bq.out \
  -chardev "file,id=err,path=$job/stderr" -device virtserialport,chardev=err,name=bq.err \
  -chardev "file,id=status,path=$job/status" -device virtserialport,chardev=status,name=bq.status \
  </dev/null >"$job/qemu" 2>&1 &
guest=$!
code=0
wait "$guest" || code=$?
guest=''
# A guest that never opened its ports leaves the readers waiting for a writer.
: 3<>"$job/stdout" 4<>"$job/stderr"
# shellcheck disable=SC2086
wait $readers || true

if [ -s "$job/status" ]; then
  exit "$(cat "$job/status")"
fi
if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
  echo "boot.sh: Linux $kernel: over its limit of $limit s" >&2
  code=124
else
  echo "boot.sh: Linux $kernel ended without a result (qemu's status $code)" >&2
  code=125
fi
tail -n 25 "$job/qemu" "$job/console" >&2 || true
exit "$code"
