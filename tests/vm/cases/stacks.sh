#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=900 mem=2048
# bianque stacks on this kernel: the registers of blocked threads, samples of running ones, ptrace.
[ -x build/e2e/waits ] && [ -x build/workloads/shares ] || { echo "the programs are not built" && exit 77; }
exec python3 -B tests/e2e/stacks.py shares-nopie shares-static signals-self stacks-realign too-deep \
  a-hundred threads-that-wake running stopped-by no-signal the-first a-kernel without-priv in-a-pid
