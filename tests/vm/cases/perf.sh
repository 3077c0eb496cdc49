#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=600 mem=2048
# The check of a profile holds on this kernel for a recorder that is known to be right on these
# programs: so a failure of our own recorder here is its own. Emulated, a program's start is one or
# two percent of these few seconds and chance is large, hence the wide limits.
[ -x build/workloads/shares ] || { echo "the truth programs are not built" && exit 77; }
command -v perf >/dev/null || { echo "no perf" && exit 77; }
programs="shares cxx:shares stacks:setjmp"
# shellcheck disable=SC2086 # a list of words
exec tests/e2e/truth.py -r perf-dwarf --hz 299 --seconds 6 --min-chain 90 --max-error 3 $programs
