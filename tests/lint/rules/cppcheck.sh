#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cppcheck's warnings; what it cannot know stands with its reason in cppcheck.suppress.
command -v cppcheck >/dev/null || { echo "cppcheck is not installed"; exit 77; }
[ -d "$B/gen" ] || { echo "generated headers are missing: make first"; exit 77; }
cppcheck -q -j "$(nproc)" --enable=warning,portability --std=c11 -I. -I"$B/gen" \
	-D_GNU_SOURCE -D__x86_64__ -D__linux__ '-DBIANQUE_VERSION="0"' '-DLIBBPF_OPTS(t,n,...)=struct t n={__VA_ARGS__}' \
	--suppressions-list=tests/lint/cppcheck.suppress --template='{file}:{line}: {id}: {message}' \
	profiler symbolize 2>&1 | { ! grep .; }
