#!/usr/bin/env bash
# Checks lift's types for arm64 on a machine of another kind: Linux, and macOS (of which nothing more can be done on Linux).
#
#     scripts/cross.sh [TARGET ...]     aarch64-unknown-linux-gnu and aarch64-apple-darwin by default
#
# Only Rust is checked. C code of crates is not compiled: a stand-in for the compiler writes empty files. FFmpeg's interface is read
# from this machine's headers, as for arm64 Linux, which has the same types. Wants rustup, for the targets' standard libraries.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cat >"$work/cc" <<'END'
#!/bin/sh
while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then : >"$2"; fi
    shift
done
END
chmod +x "$work/cc"
# The headers of an x86-64 C library take a target of another name for one of 32 bits, unless they are told otherwise.
headers="-D__x86_64__ -I/usr/include -I/usr/include/$(uname -m)-linux-gnu"

for target in "${@:-aarch64-unknown-linux-gnu aarch64-apple-darwin}"; do
    for target in $target; do
        rustup target add "$target" 2>/dev/null || { echo "rustup has no standard library for $target" >&2; exit 1; }
        env PKG_CONFIG_ALLOW_CROSS=1 SDKROOT=/ "CC_${target//-/_}=$work/cc" "AR_${target//-/_}=true" \
            BINDGEN_EXTRA_CLANG_ARGS="--target=aarch64-unknown-linux-gnu $headers" \
            RUSTFLAGS="-D warnings" cargo check --release --locked --all-targets --target "$target"
        echo "types hold for $target"
    done
done
