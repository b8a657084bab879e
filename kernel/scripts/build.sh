#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the guest kernel from Debian's linux-source-6.12 (the newest installed one): unpack, apply kernel/patches with fuzz 0,
# copy kernel/files, merge kernel/config, compile. Output: build/kernel/{bzImage,version,config}.
#
#   kernel/scripts/build.sh [--variant emulated|kvm|auto] [--extra FRAGMENT]... [--stock] [--tree DIR] [--out DIR]
#                           [--archive TAR] [--goals "GOAL..."]
#
# "emulated" patches no text at run time, which QEMU's multi-threaded TCG needs; "kvm" has jump labels and CPU mitigations;
# "auto" (default) is kvm where the host can use it. --extra adds a fragment of kernel/config (e.g. debug). --stock leaves out our
# patches, our files and CONFIG_SQUEEZY, and nothing else: the other side of a comparison. --archive is another linux-source than the
# installed one, --goals what make is to make instead of a kernel (rebase-check.sh). Re-runnable: what is up to date is kept.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
kernel=$top/kernel
variant=auto
extra=()
squeezy=("$kernel/config/squeezy.config")
patches=("$kernel"/patches/*.patch)
tree=$top/build/kernel/linux
out=$top/build/kernel
archive=/usr/src/linux-source-6.12.tar.xz
goals=bzImage

die() {
	printf 'kernel: %s\n' "$*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	if [ "$1" = --stock ]; then
		squeezy=()
		patches=()
		shift
		continue
	fi
	[ $# -ge 2 ] || die "option $1 needs a value"
	case $1 in
	--variant) variant=$2 ;;
	--extra) extra+=("$kernel/config/$2.config") ;;
	--tree) tree=$(realpath -m "$2") ;;
	--out) out=$(realpath -m "$2") ;;
	--archive) archive=$(realpath -m "$2") ;;
	--goals) goals=$2 ;;
	*) die "unknown option $1: the options are --variant, --extra, --stock, --tree, --out, --archive and --goals" ;;
	esac
	shift 2
done
if [ "$variant" = auto ]; then
	variant=emulated
	if [ -w /dev/kvm ] && grep -qEm1 '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then variant=kvm; fi
fi
fragments=("$kernel"/config/{base,virtio,mm,"$variant"}.config "${squeezy[@]}" "${extra[@]}")
for fragment in "${fragments[@]}"; do
	[ -r "$fragment" ] || die "there is no config fragment $fragment"
done

[ -r "$archive" ] || die "$archive is missing: install Debian's package linux-source-6.12 (tools/deps does)"

# A tree is good for one archive and one set of patches; anything else is unpacked anew.
prepare_tree() {
	local want patch
	want=$(stat -c '%s %Y' "$archive"; cat /dev/null "${patches[@]}" | sha256sum)
	if [ -e "$tree/.squeezy-base" ] && [ "$(cat "$tree/.squeezy-base")" = "$want" ]; then return; fi
	printf 'unpacking %s\n' "$archive"
	rm -rf "$tree"
	mkdir -p "$tree"
	tar -xf "$archive" -C "$tree" --strip-components=1
	for patch in "${patches[@]}"; do
		printf 'applying %s\n' "${patch##*/}"
		patch -d "$tree" -p1 -F0 --no-backup-if-mismatch -i "$patch" ||
			die "$patch does not apply to $(make -s -C "$tree" kernelversion): rebase it (kernel/patches/0000-cover.txt says what each hook relies on)"
	done
	printf '%s\n' "$want" >"$tree/.squeezy-base"
}

# Only what differs, so that an incremental build stays incremental.
copy_files() {
	local file
	[ ${#patches[@]} != 0 ] || return 0
	(cd "$kernel/files" && find . -type f) | while read -r file; do
		cmp -s "$kernel/files/$file" "$tree/$file" && continue
		mkdir -p "$tree/${file%/*}"
		cp "$kernel/files/$file" "$tree/$file"
	done
}

# The value of $1 in the result: "n" also when Kconfig dropped the symbol.
config_value() {
	sed -n "s/^$1=//p" "$tree/.config" | grep . || printf 'n\n'
}

# Kconfig drops symbols whose parents are off without a word: compare what was asked with what came out.
check_config() {
	local symbol value bad=0
	while IFS='=' read -r symbol value; do
		[ "$(config_value "$symbol")" = "$value" ] && continue
		printf 'kernel: asked for %s=%s, got %s\n' "$symbol" "$value" "$(config_value "$symbol")" >&2
		bad=1
	done < <(cat "${fragments[@]}" | grep -E '^CONFIG_[A-Z0-9_]+=' | tac | awk -F= '!seen[$1]++')
	[ $bad = 0 ] || die "the kernel's configuration dropped symbols we need: enable what they depend on in kernel/config"
}

configure() {
	local old new
	old=$(sha256sum "$tree/.config" 2>/dev/null || true)
	cp "$tree/.config" "$tree/.config.before" 2>/dev/null || true
	make -s -C "$tree" allnoconfig
	(cd "$tree" && scripts/kconfig/merge_config.sh -m -Q .config "${fragments[@]}" >/dev/null)
	make -s -C "$tree" olddefconfig
	check_config
	new=$(sha256sum "$tree/.config")
	# The same configuration keeps its old date, or make would look at everything again.
	if [ "$old" = "$new" ]; then mv "$tree/.config.before" "$tree/.config"; fi
}

compile() {
	local cc=gcc
	if command -v ccache >/dev/null; then cc="ccache gcc"; fi
	# shellcheck disable=SC2086 # a list of goals
	make -C "$tree" -j "$(nproc)" CC="$cc" KBUILD_BUILD_USER=squeezy KBUILD_BUILD_HOST=build KBUILD_BUILD_TIMESTAMP='@1700000000' $goals
}

prepare_tree
copy_files
configure
compile
[ "$goals" = bzImage ] || exit 0
mkdir -p "$out"
cp "$tree/arch/x86/boot/bzImage" "$out/bzImage.new"
make -s -C "$tree" kernelrelease >"$out/version"
cp "$tree/.config" "$out/config"
mv "$out/bzImage.new" "$out/bzImage"
printf 'built %s (%s)\n' "$out/bzImage" "$(cat "$out/version") $variant"
