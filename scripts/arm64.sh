#!/usr/bin/env bash
# Runs the tests of the NEON kernels, and the goldens of the networks, as an arm64 program under qemu on a machine of another kind.
#
#     scripts/arm64.sh [FILTER ...]     of the tests that run no other program; by default those of kernels, model and model_parity
#
# Wants Debian or Ubuntu with aarch64-linux-gnu-gcc and qemu-aarch64-static, which it installs, and rustup for the target's standard
# library. FFmpeg is built for arm64 from the sources of scripts/static.sh, with the decoders of the test clips. All of it stays in the
# cache folder and in target/. qemu is some twenty times slower than a processor, so this is no measurement of speed.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"
lift_static=true
. scripts/setup.sh

target=aarch64-unknown-linux-gnu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/lift-static"
if ! { command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64-static; } >/dev/null; then
    bring g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static || { echo "this needs aarch64-linux-gnu-g++ and qemu-aarch64-static" >&2; exit 1; }
fi
rustup target add "$target" 2>/dev/null || { echo "rustup has no standard library for $target" >&2; exit 1; }

libs="$cache/libraries-$target"
if [ ! -f "$libs/complete" ]; then
    scripts/static.sh --libraries >/dev/null
    work="$(mktemp -d)"
    trap 'rm -rf "$work"' EXIT
    tar -xf "$cache"/sources/ffmpeg_*.orig.tar.* -C "$work"
    rm -rf "$libs"
    (
        cd "$work"/ffmpeg-*
        ./configure --prefix="$libs" --enable-cross-compile --cross-prefix=aarch64-linux-gnu- --arch=aarch64 --target-os=linux --enable-pic \
            --disable-autodetect --disable-programs --disable-doc --disable-debug --disable-everything --enable-protocol=file \
            --enable-decoder=h264,hevc,vp8,vp9,mpeg4,mpeg2video,gif,png,mjpeg --enable-parser=h264,hevc,vp8,vp9,mpeg4video,mpegvideo,gif,png,mjpeg \
            --enable-demuxer=mov,matroska,avi,mpegts,gif,image2 --enable-encoder=mpeg4 --enable-muxer=mp4 \
            --enable-bsf=vp9_superframe_split,h264_mp4toannexb,hevc_mp4toannexb
        make -j "$(nproc)" && make install
    ) >"$cache/arm64.log" 2>&1 || { tail -n 15 "$cache/arm64.log" >&2; exit 1; }
    touch "$libs/complete"
fi

filters=("$@")
[ $# -gt 0 ] || filters=(kernels:: model:: model_parity::)
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR="$libs/lib/pkgconfig"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export BINDGEN_EXTRA_CLANG_ARGS="--target=aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
cd "$root"
cargo test --release --locked --features static --target "$target" --no-fail-fast -- "${filters[@]}"
