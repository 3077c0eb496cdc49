#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What tests/vm/boot.sh promises to every other case: who we are, what may be written, which kernel
# interfaces are mounted.
set -euo pipefail

fail() {
  echo "$*"
  exit 1
}

[ "$(id -u)" = 0 ] || fail "not root"
[[ $(uname -r) == "$VM_KERNEL".* ]] || fail "runs $(uname -r), not $VM_KERNEL"
[ "$(nproc)" = 2 ] || fail "$(nproc) CPUs online, not 2"
[ -f tests/vm/boot.sh ] || fail "not in the project's folder"
[ -z "$(ls /tmp)" ] || fail "/tmp is not empty"
for dir in /tmp /run /dev/shm /out /etc /var/lib /opt "$PWD"; do
  touch "$dir/.rig" || fail "$dir cannot be written"
  rm "$dir/.rig"
done
[ -s /sys/kernel/btf/vmlinux ] || fail "no BTF of the kernel"
for mount in cgroup2:/sys/fs/cgroup bpf:/sys/fs/bpf tracefs:/sys/kernel/tracing \
  debugfs:/sys/kernel/debug securityfs:/sys/kernel/security devpts:/dev/pts; do
  awk -v t="${mount%%:*}" -v d="${mount#*:}" '$2 == d && $3 == t { found = 1 } END { exit !found }' \
    /proc/mounts || fail "${mount%%:*} is not mounted on ${mount#*:}"
done
[ "$(cat <(echo fd))" = fd ] || fail "no /dev/fd"
modprobe dummy || fail "modprobe finds no module"
unshare --user --map-root-user true || fail "no user namespaces"
unshare --mount --pid --fork true || fail "no mount and PID namespaces"
(exec 3<>/dev/tcp/127.0.0.1/1) 2>/dev/null && fail "something listens on port 1"
ip -o addr show lo | grep -q 127.0.0.1 || fail "no loopback"
echo "Linux $(uname -r), $(nproc) CPUs, $(free -m | awk '/^Mem/ { print $2 }') MiB"
