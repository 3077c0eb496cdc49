#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=300 mem=1024 smp=2
# A CPU goes offline under the agent and comes back: it is sampled before and after, nothing is taken for
# lost, and the agent stays ready.
set -u
at=127.0.0.1:19704
control=/sys/devices/system/cpu/cpu1/online
[ -w $control ] || { echo "this kernel has no CPU that can be switched off" && exit 77; }
build/bianque agent --set agent.state_dir=/tmp/state --set agent.cache_dir=/tmp/cache --set profile.hz=99 &
agent=$!
taskset -c 1 sh -c 'while :; do :; done' &
busy=$!
trap 'kill $agent $busy' EXIT

samples() { # of CPU 1
  curl -s "http://$at/metrics" | awk '/^bianque_profile_samples_total\{/ && /cpu="1"/ {n += $2} END {print n + 0}'
}
grows() { # within half a minute
  local before
  before=$(samples)
  for _ in {1..30}; do
    sleep 1
    [ "$(samples)" -gt $((before + 20)) ] && return 0
  done
  echo "$1: CPU 1 has $(samples) samples, $before half a minute ago" && exit 1
}

for _ in {1..60}; do
  curl -sf "http://$at/readyz" >/dev/null && break
  sleep 1
done
grows "before"
echo 0 >$control
sleep 5
gone=$(samples)
sleep 5
[ "$(samples)" = "$gone" ] || { echo "a CPU that is offline is sampled" && exit 1; }
echo 1 >$control
taskset -p -c 1 $busy >/dev/null || exit 1 # its affinity went with the CPU
grows "after"
curl -sf "http://$at/readyz" >/dev/null || { echo "not ready afterwards" && exit 1; }
