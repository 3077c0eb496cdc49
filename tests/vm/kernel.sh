#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's stock kernel 5.10, 6.1 or 6.12, ready to boot:  tests/vm/kernel.sh 5.10
#
# Prints the folder that holds it: vmlinuz, root/lib/modules/RELEASE, initrd (busybox, the modules
# that reach the host's root over 9p, tests/vm/init) and kernel.txt (package, version, SHA-256).
# Everything lies below $VM_DIR (default build/vm) with an APT configuration, lists and cache of its
# own; the host's are not touched and no right of root is needed. APT checks the archive's signature
# and the package's hash; a fetch is whole or absent (made aside, renamed). Fetched once: remove the
# folder to get a newer one. The initrd is made again when tests/vm/init changed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
vm_dir=${VM_DIR:-$root/build/vm}
mirror=${VM_MIRROR:-http://deb.debian.org}

# What the guest needs before it can see the host's root; dependencies are added by modprobe.
boot_modules="virtio_pci virtio_console 9p 9pnet_virtio overlay"

# Modules for devices that no guest has: two thirds of the files, and perf looks at each over 9p.
hardware="sound drivers/bluetooth drivers/comedi drivers/firewire drivers/gpu drivers/hid
  drivers/hwmon drivers/i2c drivers/iio drivers/infiniband drivers/input drivers/isdn drivers/leds
  drivers/media drivers/mfd drivers/mmc drivers/mtd drivers/net/can drivers/net/ethernet
  drivers/net/usb drivers/net/wireless drivers/nfc drivers/platform drivers/power drivers/staging
  drivers/thunderbolt drivers/usb drivers/video drivers/w1 drivers/watchdog net/bluetooth net/can
  net/mac80211 net/nfc net/wireless"

die() {
  echo "kernel.sh: $*" >&2
  exit 125
}

suite_of() {
  case $1 in
  5.10) echo bullseye ;;
  6.1) echo bookworm ;;
  6.12) echo trixie ;;
  *) die "no kernel '$1': one of 5.10 6.1 6.12" ;;
  esac
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null ||
      die "'$tool' is missing; 'make deps-vm' installs what the guests need"
  done
}

# An APT world of one suite below $1. Of the host's settings only how to reach an archive counts
# (proxies); its hooks stay out.
apt_conf() {
  local dir=$1 suite=$2
  mkdir -p "$dir"/{etc/none,state/lists/partial,cache/archives/partial}
  : >"$dir/state/status"
  cat >"$dir/etc/sources.list" <<END
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian $suite main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian-security $suite-security main
END
  env -u APT_CONFIG apt-config dump | grep '^Acquire::' >"$dir/apt.conf" || true
  cat >>"$dir/apt.conf" <<END
Dir::Etc::main "$dir/etc/none/main";
Dir::Etc::parts "$dir/etc/none";
Dir::Etc::sourcelist "$dir/etc/sources.list";
Dir::Etc::sourceparts "$dir/etc/none";
Dir::Etc::preferencesparts "$dir/etc/none";
Dir::State "$dir/state";
Dir::State::status "$dir/state/status";
Dir::Cache "$dir/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
END
}

fetch() {
  local name=$1 dir=$2 new=$2.new suite package deb release
  suite=$(suite_of "$name")
  rm -rf "$new"
  mkdir -p "$new/root"
  apt_conf "$new/apt" "$suite"
  export APT_CONFIG=$new/apt/apt.conf
  echo "kernel.sh: fetching Debian's $name ($suite)" >&2
  apt-get -qq update >&2 || die "cannot read the lists of $suite from $mirror; is it reachable?"
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' |
    head -n 1)
  [ -n "$package" ] || die "linux-image-amd64 of $suite names no kernel package"
  (cd "$new" && apt-get -qq download "$package" >&2) || die "cannot fetch $package from $mirror"
  deb=$(echo "$new/$package"_*.deb)
  dpkg-deb -x "$deb" "$new/root"
  release=$(basename "$new"/root/boot/vmlinuz-*)
  release=${release#vmlinuz-}
  mv "$new/root/boot/vmlinuz-$release" "$new/vmlinuz"
  cp "$new/root/boot/config-$release" "$new/config"
  # From 6.12 on the package has them below usr/.
  [ -d "$new/root/lib/modules" ] || mv "$new/root/usr/lib" "$new/root/lib"
  (cd "$new/root/lib/modules/$release/kernel" && echo "$hardware" | xargs rm -rf)
  depmod -b "$new/root" "$release"
  {
    echo "release $release"
    echo "package $package $(dpkg-deb -f "$deb" Version)"
    echo "sha256 $(sha256sum <"$deb" | cut -d' ' -f1)"
  } >"$new/kernel.txt"
  rm -rf "$deb" "$new/apt" "$new/root/boot" "$new/root/usr"
  rm -rf "$dir"
  mv "$new" "$dir"
}

# Put one module file and what it needs, in the order of loading.
add_modules() {
  local dir=$1 release=$2 tree=$3 name line file base
  for name in $boot_modules; do
    modprobe -d "$dir/root" -S "$release" --show-depends "$name" 2>/dev/null
  done | while read -r line; do
    [ "${line%% *}" = insmod ] || continue # built in
    file=${line#insmod }
    file=${file%% *}
    base=$(basename "$file")
    base=${base%%.ko*}
    [ -e "$tree/modules/$base.ko" ] && continue
    case $file in
    *.xz) xz -dc "$file" >"$tree/modules/$base.ko" ;;
    *.zst) zstd -qdc "$file" >"$tree/modules/$base.ko" ;;
    *) cp "$file" "$tree/modules/$base.ko" ;;
    esac
    echo "$base" >>"$tree/modules/order"
  done
  [ -s "$tree/modules/order" ] || die "no module of '$boot_modules' found for $release"
}

make_initrd() {
  local dir=$1 tree=$1/initrd.tree release
  release=$(sed -n 's/^release //p' "$dir/kernel.txt")
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,modules,proc,sys,dev,host,rw,new}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  cp "$here/init" "$tree/init"
  chmod 755 "$tree/init"
  ln -s busybox "$tree/bin/sh"
  add_modules "$dir" "$release" "$tree"
  (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$dir/initrd.new"
  rm -rf "$tree"
  mv "$dir/initrd.new" "$dir/initrd"
}

[ $# -eq 1 ] || die "usage: kernel.sh 5.10|6.1|6.12"
export PATH=$PATH:/usr/sbin:/sbin
suite_of "$1" >/dev/null
need apt-get apt-cache dpkg-deb depmod modprobe cpio busybox xz zstd flock
mkdir -p "$vm_dir"
exec 9>"$vm_dir/$1.lock"
flock 9 # another run may be fetching the same kernel
dir=$vm_dir/$1
[ -e "$dir/kernel.txt" ] || fetch "$1" "$dir"
if [ ! -e "$dir/initrd" ] || [ "$here/init" -nt "$dir/initrd" ] || [ "$here/kernel.sh" -nt "$dir/initrd" ]; then
  make_initrd "$dir"
fi
echo "$dir"
