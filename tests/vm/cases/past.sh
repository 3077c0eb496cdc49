#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=1500 mem=2048
# The store, its queries and the page on this kernel; and a clock that is set under the agent.
[ -x build/bianque ] && [ -x build/workloads/shares ] || { echo "the programs are not built" && exit 77; }
exec python3 -B tests/e2e/guest_past.py
