#!/usr/bin/env bash
# Builds a release: a tarball with the program, its manual pages, completions for every shell, and the licence.
#
#     scripts/release.sh [OUT_DIR]      default: dist/ in the target folder
#
# The Rust crates and their C code (zstd, mimalloc) are linked into the program. FFmpeg's libraries and the C library are those of
# the system, so a tarball fits machines with the same major version of FFmpeg.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

cargo build --release --locked
target="${CARGO_TARGET_DIR:-target}"
lift="$target/release/lift"
version="$("$lift" --version | cut -d' ' -f2)"
host="$(rustc -vV | sed -n 's/^host: //p')"
name="lift-$version-$host"
out="${1:-$target/dist}"
stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT

mkdir -p "$stage/$name/completions" "$out"
cp "$lift" LICENSE README.md "$stage/$name/"
"$lift" man -o "$stage/$name/man"
for shell in bash zsh fish powershell elvish; do
    "$lift" completions "$shell" >"$stage/$name/completions/lift.$shell"
done
# The names are sorted, with one owner and one time, so that equal builds make equal tarballs.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$stage" -cf - "$name" | gzip -9n >"$out/$name.tar.gz.tmp"
mv "$out/$name.tar.gz.tmp" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")

echo "$out/$name.tar.gz  $(du -h "$out/$name.tar.gz" | cut -f1)"
echo "shared libraries that it needs:"
ldd "$lift" | sed -n 's/^\t\(\S*\).*/  \1/p' | grep -E 'libav|libsw|libc\.|libm\.|libgcc' | sort
