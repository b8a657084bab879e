#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does our series fit another linux-source-6.12? Applies it with fuzz 0, configures, and compiles the files it touches and our own.
#
#   kernel/scripts/rebase-check.sh VERSION|TAR
#
# VERSION is one that `apt-cache madison linux-source-6.12` lists; it is fetched and unpacked beside the installed one, which stays as it is.
# Ends with the hunks that moved and by how many lines. docs/rebase.md says what to do when a patch does not apply.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$top/build/kernel/rebase
log=$work/log

die() {
	printf 'rebase-check: %s\n' "$*" >&2
	exit 1
}

# fetch VERSION: prints the path of its archive.
fetch() {
	rm -rf "$work/package"
	mkdir -p "$work/package"
	cd "$work/package"
	apt-get download -qq "linux-source-6.12=$1" >&2 || die "linux-source-6.12=$1 cannot be fetched; apt-cache madison linux-source-6.12 lists what can"
	dpkg -x ./*.deb .
	find "$work/package" -name 'linux-source-*.tar.xz'
}

# What the patches touch, as goals for make: a header is compiled with whoever includes it.
goals() {
	sed -n 's,^+++ b/\(.*\)\.c$,\1.o,p' "$top"/kernel/patches/*.patch | sort -u
	printf 'mm/squeezy/\n'
}

report() {
	printf '\n%s, %d patches, fuzz 0. Hunks that moved:\n' "$(make -s -C "$work/tree" kernelversion)" \
		"$(find "$top/kernel/patches" -name '*.patch' | wc -l)"
	awk '/^patching file/ { file = $3 } /^Hunk .*offset/ { print "  " file ": " $0; moved = 1 } END { if (!moved) print "  none" }' "$log"
}

[ $# = 1 ] || die 'name one version or archive'
mkdir -p "$work"
archive=$1
[ -e "$archive" ] || archive=$(fetch "$1")
rm -rf "$work/tree"
"$top/kernel/scripts/build.sh" --variant emulated --tree "$work/tree" --archive "$archive" --goals "$(goals | tr '\n' ' ')" 2>&1 | tee "$log"
report
