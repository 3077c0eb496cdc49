#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=600
# The unit tests on this kernel: what they prove must not hang on the one of the build machine.
[ -x build/unit ] || { echo "build/unit is not built" && exit 77; }
exec build/unit
