#!/usr/bin/env bash
# Builds lift with its CUDA backend; further arguments go to cargo (--target-dir DIR, -j 1, --features flash-attn).
#
# Neither a GPU nor a driver is needed to build, and the program starts without them. A CUDA toolkit that is installed is
# used: CUDA_HOME, nvcc on the PATH, or /usr/local/cuda. Where there is none, compiler, headers and libraries come from PyPI
# into an environment of their own in the cache folder (1.2 GB; LIFT_CUDA_ENV names another place).
#
# CUDA_COMPUTE_CAP names the GPU to compile for: 90 (Hopper: H100, H200) by default, 80 is A100, 89 Ada, 100 Blackwell.
#
# CUDA's libraries are not linked but loaded when first used (scripts/cuda/shim.c): the driver by the name it is installed
# under, the others from the folder they were found in when building, or by LD_LIBRARY_PATH on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "this script knows Linux on x86-64 only; elsewhere install the CUDA toolkit and use: cargo build --release --features cuda" >&2
    exit 1
fi

env="${LIFT_CUDA_ENV:-${XDG_CACHE_HOME:-$HOME/.cache}/lift/cuda-13.0}"

# Prints the folder of a toolkit that is installed.
installed_toolkit() {
    if [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
        echo "$CUDA_HOME"
    elif command -v nvcc >/dev/null; then
        dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")"
    elif [ -x /usr/local/cuda/bin/nvcc ]; then
        echo /usr/local/cuda
    fi
}

# Prints the folder of the toolkit from PyPI, fetched the first time.
fetched_toolkit() {
    local packages="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.88
        nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35"
    if [ ! -e "$env/complete" ]; then
        echo "fetching the CUDA 13.0 compiler and libraries into $env" >&2
        python3 -m venv "$env"
        # shellcheck disable=SC2086 # a list of packages
        "$env/bin/pip" -q install $packages >&2
        touch "$env/complete"
    fi
    echo "$env"/lib/python3*/site-packages/nvidia/cu13
}

toolkit="$(installed_toolkit)"
if [ -z "$toolkit" ]; then toolkit="$(fetched_toolkit)"; fi
for libraries in "$toolkit/lib64" "$toolkit/lib" ""; do
    if ls "$libraries"/libcublas.so* >/dev/null 2>&1; then break; fi
done
if [ -z "$libraries" ]; then
    echo "$toolkit has no libcublas: install the whole CUDA toolkit, or hide this one (CUDA_HOME, PATH) to have it fetched" >&2
    exit 1
fi

# Everything the linker is given: stand-ins for the libraries, and the static runtime, which needs none.
links="$env/link/lib64"
mkdir -p "$links"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# stand_in NAME SONAME MISSING, the functions' names on standard input
stand_in() {
    sort -u | sed 's/.*/S(&)/' >"$work/$1.h"
    cc -O2 -fPIC -c scripts/cuda/shim.c -o "$work/$1.o" -DSYMBOLS="\"$work/$1.h\"" -DSONAME="\"$2\"" -DMISSING="$3"
    rm -f "$links/lib$1.a"
    ar rcs "$links/lib$1.a" "$work/$1.o"
}
# The driver's functions by its header, since the driver is not here; 34 is CUDA_ERROR_STUB_LIBRARY. The others' from the
# libraries; the numbers are their status codes for "not initialized".
grep -ohE '\bcu[A-Z][A-Za-z0-9_]*' "$toolkit/include/cuda.h" | stand_in cuda libcuda.so.1 34
for library in cublas:1 cublasLt:1 curand:101 nvrtc:11; do
    file="$(ls "$libraries/lib${library%:*}".so* | head -n 1)"
    soname="$(readelf -d "$file" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
    nm -D --defined-only "$file" | sed -n 's/.* T \([A-Za-z_][A-Za-z0-9_]*\).*/\1/p' | stand_in "${library%:*}" "$soname" "${library#*:}"
done
cp "$libraries/libcudart_static.a" "$links/libcudart.a"

unset CUDA_PATH CUDA_ROOT CUDA_TOOLKIT_ROOT_DIR CUDNN_LIB
export CUDA_HOME="$env/link" NVCC="$toolkit/bin/nvcc" PATH="$toolkit/bin:$PATH" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
cargo rustc --release --locked --features cuda --bin lift "$@" -- -C link-arg="-Wl,-rpath,$libraries"
