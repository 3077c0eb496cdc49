#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpack Debian packages without installing them: a server that is installed is also started.
# usage: unpack.sh FOLDER PACKAGE...      Those that are installed or unpacked already are left out.
set -eu
folder=$1
shift
mkdir -p "$folder"
cd "$folder"
fetch() { apt-get download -qq -o APT::Sandbox::User=root "$1"; }
for package; do
  if [ -e "$package.unpacked" ] ||
     dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
    continue
  fi
  fetch "$package" 2>/dev/null || { apt-get update -q && fetch "$package"; }
  dpkg -x "$package"_*.deb .
  rm "$package"_*.deb
  touch "$package.unpacked"
done
