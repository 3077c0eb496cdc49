#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Makefile is read in silence where nothing is installed yet but a bare system and make: the
# compilers come with `make run` itself.
bin=$(mktemp -d) || exit 2
trap 'rm -rf "$bin"' EXIT
for p in env find id make printf sed sh stat uname; do
	ln -s "/usr/bin/$p" "$bin/$p"
done
said=$(env -i "PATH=$bin" make help 2>&1 >/dev/null) || [ -n "$said" ] || said='make help fails'
[ -z "$said" ] || { echo "Makefile:1: on a bare system it says: $said"; exit 1; }
