#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=3000 mem=2048
# Our own recorder on every truth program, those of one process while they run. Emulated, the start of a
# program of many processes is one or two percent of these few seconds and chance is large, hence the
# wide limits.
[ -x build/workloads/shares ] || { echo "the truth programs are not built" && exit 77; }
build/bianque record --help >/dev/null 2>&1 || { echo "bianque has no record yet" && exit 77; }
exec tests/e2e/truth.py -r bianque --hz 299 --seconds 4 --running 3 --again 2 --known tests/vm/record.known --min-chain 90 --max-error 3
