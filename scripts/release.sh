#!/usr/bin/env bash
# Builds a release: a tarball with the program, its manual pages, completions for every shell and the licences, a wheel, the sources of
# the libraries inside, and SHA256SUMS of them.
#
#     scripts/release.sh [OUT_DIR]      default: dist/ in the target folder
#
# On Linux the program is that of scripts/static.sh. Elsewhere FFmpeg's libraries and the C library are the system's, so the tarball fits
# machines with the same FFmpeg major version, and there is no wheel.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
out="${1:-$target/dist}"
stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
mkdir -p "$out"
if [ "$(uname -s)" = Linux ]; then
    scripts/static.sh
    lift="$target/static/lift" licences="$target/static/licences"
else
    . scripts/setup.sh
    cargo build --release --locked
    lift="$target/release/lift" licences="$stage/licences"
    mkdir "$licences"
    cp LICENSE "$licences/lift-MIT.txt"
    scripts/supply.py --texts >"$licences/crates.txt"
fi
version="$("$lift" --version | cut -d' ' -f2)"
name="lift-$version-$(rustc -vV | sed -n 's/^host: //p')"

# Sorted names, one owner and one time: equal builds make equal tarballs.
pack() {
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$stage" -cf - "$1"
}

mkdir -p "$stage/$name/completions" "$stage/$name/man/man1"
cp "$lift" README.md "$stage/$name/"
cp -r "$licences" "$stage/$name/licences"
"$lift" man -o "$stage/$name/man/man1"
for shell in bash zsh fish powershell elvish; do
    "$lift" completions "$shell" >"$stage/$name/completions/lift.$shell"
done
pack "$name" | gzip -9n >"$out/$name.tar.gz.tmp"
mv "$out/$name.tar.gz.tmp" "$out/$name.tar.gz"
made=("$name.tar.gz")

if [ "$(uname -s)" = Linux ]; then
    # The LGPL asks for FFmpeg's source in the place that gives the program away.
    cp -r "${XDG_CACHE_HOME:-$HOME/.cache}/lift-static/sources" "$stage/lift-$version-sources"
    pack "lift-$version-sources" >"$out/lift-$version-sources.tar.tmp"
    mv "$out/lift-$version-sources.tar.tmp" "$out/lift-$version-sources.tar"
    made+=("lift-$version-sources.tar" "$(basename "$(scripts/wheel.py "$lift" "$licences" "$out")")")
fi
(cd "$out" && sha256sum "${made[@]}" >SHA256SUMS)
for file in "${made[@]}" SHA256SUMS; do echo "$out/$file  $(du -h "$out/$file" | cut -f1)"; done
