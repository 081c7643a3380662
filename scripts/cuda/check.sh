#!/usr/bin/env bash
# Runs the program that build_cuda.sh built without a driver, and then with pretend GPUs (pretend.c) that are absent, broken or
# full. The machine must have a C compiler and no NVIDIA driver. The argument is the path of the program (default:
# target/release/lift).
set -euo pipefail
cd "$(dirname "$0")/../.."
lift="$(realpath "${1:-target/release/lift}")"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/clips" "$work/pretend"
for i in $(seq 20); do cp assets/clips/ball_rising.mp4 "$work/clips/$i.mp4"; done
cc -O1 -fPIC -shared -Wno-unused-parameter scripts/cuda/pretend.c -o "$work/pretend/libcuda.so.1"
for name in libcublas.so.12 libcublas.so.13 libcurand.so.10; do ln -s libcuda.so.1 "$work/pretend/$name"; done

# expect TEXT ROWS FLAG...: runs lift with the PRETEND_* variables that are set, and checks what it says and how many of the 20
# clips have a row
expect() {
    local text="$1" rows="$2" said written
    shift 2
    said="$("$lift" embed --model mini "$work/clips" -o - "$@" 2>&1 >"$work/rows" || true)"
    written="$(wc -l <"$work/rows")"
    if [[ "$said" != *"$text"* || "$written" != "$rows" ]]; then
        printf 'expected "%s" and %s rows, got %s rows and\n%s\n' "$text" "$rows" "$written" "$said" >&2
        exit 1
    fi
    echo "as expected: $rows rows, $text"
}

expect "no NVIDIA driver on this machine" 0 --device cuda
expect "no NVIDIA driver on this machine (libcuda.so.1 is not there); running on the CPU" 20 --device auto
expect "20 embedded" 20 --device cpu

export LD_LIBRARY_PATH="$work/pretend"
PRETEND_COUNT=0 expect "the NVIDIA driver shows no GPU: " 0 --device cuda
PRETEND_INIT=100 expect "the NVIDIA driver shows no GPU; running on the CPU" 20 --device auto
PRETEND_COUNT=2 expect "no GPU number 2: the driver shows 2" 0 --device cuda:2
PRETEND_INIT=999 expect "the GPU 0 cannot be used" 0 --device cuda
PRETEND_BLAS=1 expect "the GPU 0 cannot be used" 0 --device cuda
for precision in f32 bf16 f16; do
    expect "20 embedded" 20 --device cuda --precision "$precision"
    PRETEND_MB=60 expect "going on with" 20 --device cuda --precision "$precision" --batch 256
    PRETEND_GEMM=3 expect "no room for a single frame" 0 --device cuda --precision "$precision"
done
