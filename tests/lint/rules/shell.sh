#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shell scripts parse by the shell that they name, and shellcheck finds no error or warning in them.
broken=0
for f in $(git ls-files -co --exclude-standard '*.sh' '.ci/run'); do
	case $(head -1 "$f") in
	*bash*) bash -n "$f" || broken=1 ;;
	*) sh -n "$f" || broken=1 ;;
	esac
done
[ "$broken" = 0 ] || exit 1
command -v shellcheck >/dev/null || { echo "shellcheck is not installed"; exit 77; }
git ls-files -co --exclude-standard '*.sh' '.ci/run' | xargs shellcheck -S warning -f gcc
