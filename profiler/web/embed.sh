#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the C file behind web.h: embed.sh FILE... Each becomes an array with its name, type and
# SHA-256.
set -eu

echo '/* Made by profiler/web/embed.sh. */'
echo '#include "profiler/web/web.h"'
i=0
table=
for file; do
  name=${file##*/}
  case $name in
  *.js) type='text/javascript; charset=utf-8' ;;
  *.html) type='text/html; charset=utf-8' ;;
  *.css) type='text/css; charset=utf-8' ;;
  *) echo "embed.sh: no content type for '$file'" >&2; exit 1 ;;
  esac
  sha=$(sha256sum "$file" | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64)
  echo "static const unsigned char data_${i}[] = {"
  od -An -v -tu1 "$file" | sed 's/  */,/g; s/^,//; s/$/,/'
  echo '};'
  table="$table	{\"$name\", \"$type\", data_$i, sizeof(data_$i), \"$sha\"},
"
  i=$((i + 1))
done
echo 'const struct web_file web_files[] = {'
printf '%s	{0},\n};\n' "$table"
