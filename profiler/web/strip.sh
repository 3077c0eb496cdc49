#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints a module or style as it is embedded: no comments, no indentation, fewer lines. What stands in
# lines stays as it is. It relies on how the files are written: comments are whole lines or end one,
# no text runs over a line's end, and ` // ` is in none.
set -eu
case $1 in
*.js)
  sed -e '/^[[:space:]]*\/\//d; s/ \/\/ .*$//; s/^[[:space:]]*//; /^\/\*.*\*\/$/d; /^$/d' "$1" |
    sed -e ':a; /[,({[]$/{N; s/\n//; ba}' | sed -e 's/,\([])}]\)/\1/g'
  ;;
*.css)
  sed -e '/^\/\*.*\*\/$/d; /^\/\*/,/\*\/$/d; s/^[[:space:]]*//; /^$/d' "$1" |
    sed -e ':a; /[;{,]$/{N; s/\n//; ba}' | sed -e 's/: /:/g; s/ {/{/g; s/;}/}/g'
  ;;
*) cat "$1" ;;
esac
